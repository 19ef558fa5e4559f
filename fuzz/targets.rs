// SPDX-License-Identifier: Apache-2.0
//! What every input goes through, whether libFuzzer or the tests' own mutator made it: nothing may panic.

use footplate::decode::jinja::Variables;
use footplate::decode::{self, document, envelope, expiry, network, yaml};
use footplate::model::instance::Instance;
use footplate::model::time::Time;
use footplate::plan;

/// All decoders on one input, and the plan of what they make of it.
pub fn fuzz_target(data: &[u8]) {
    let variables = Variables::assumed();
    // An include list leads back to the same input: bounds end that.
    let mut fetch = |_: &footplate::model::fetch::Request| Ok(Some(data.to_vec()));
    let decoded = decode::user_data(Some(data), Some(data), &variables, &mut fetch);
    for finding in &decoded.findings {
        assert!(finding.pos.is_none_or(|pos| pos.line > 0 && pos.column > 0), "{finding:?}");
    }
    let _ = expiry::findings(&decoded.config, Time(0));
    let _ = plan::node(&decoded.config, &Instance::default());
    let _ = document::sniff(data);
    for encoding in ["base64", "gzip", "gzip+base64"] {
        let _ = envelope::Encoding::by_name(encoding).map(|e| e.decode(data));
    }
    let text = String::from_utf8_lossy(data);
    let _ = decode::bootstrap_secret(&text);
    if let Ok(node) = yaml::parse(&text) {
        let _ = network::parse(&node);
    }
}

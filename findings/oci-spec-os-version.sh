#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The crate oci-spec 0.10.0 loses `os.version` and `os.features` of a platform in an image index: it has them under names of its own, which
# the specification does not know. An index that is read and written has two images for one platform. In an image's configuration
# the same crate keeps both.
. "${BASH_SOURCE%/*}/fetch"
crates oci-spec@0.10.0 serde_json@1.0.145 <<'RUST'
use oci_spec::image::{ImageConfiguration, ImageIndex};
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let image = r#"{"mediaType": "application/vnd.oci.image.manifest.v1+json", "size": 2,
        "digest": "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "platform": {"architecture": "amd64", "os": "windows", "os.version": "10.0.20348.1"}}"#;
    let index: ImageIndex = serde_json::from_str(&format!(r#"{{"schemaVersion": 2, "manifests": [{image}]}}"#))?;
    println!("{}", serde_json::to_value(&index)?["manifests"][0]["platform"]);
    let config = r#"{"architecture": "amd64", "os": "windows", "os.version": "10.0.20348.1", "rootfs": {"type": "layers", "diff_ids": []}}"#;
    println!("{}", serde_json::to_value(serde_json::from_str::<ImageConfiguration>(config)?)?["os.version"]);
    Ok(())
}
RUST
same 'the platform in the index, and the version in the configuration' '{"architecture":"amd64","os":"windows"}
"10.0.20348.1"' "$(probe/target/debug/probe)"

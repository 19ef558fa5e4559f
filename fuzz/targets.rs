// SPDX-License-Identifier: Apache-2.0
//! The decoders, each with what it must not do on any input, whether libFuzzer or the tests' own mutator made it: panic,
//! and break the promises that are asserted here.

use std::time::Instant;

use footplate::facade::bake::lock::Lock;
use footplate::facade::decode::cloud_config::check_hostname;
use footplate::facade::decode::document::envelope;
use footplate::facade::decode::document::jinja::{self, Variables};
use footplate::facade::decode::document::{self, Documents, Source, no_fetch};
use footplate::facade::decode::kubeadm::{expiry, prepare};
use footplate::facade::decode::syntax::{json, yaml};
use footplate::facade::decode::{self, azure, capa, ignition, network, ovf};
use footplate::facade::io::http::{Error, Method, Request, Response};
use footplate::facade::io::{self, Ask, Tell, World};
use footplate::facade::model::config::NodeConfig;
use footplate::facade::model::facts::Facts;
use footplate::facade::model::fetch;
use footplate::facade::model::instance::Instance;
use footplate::facade::model::network::NetworkConfig;
use footplate::facade::model::problem::{Pos, Problem};
use footplate::facade::model::time::Time;
use footplate::facade::pipeline::sources;
use footplate::facade::plan;
use footplate::facade::platform::{PLATFORMS, Platform};

/// One: the name of its corpus, and what to do with an input.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: &[Target] = &[
    ("archive", |data| documents("#cloud-config-archive\n", data)),
    ("boothook", boothook),
    ("cloud_config", |data| documents("#cloud-config\n", data)),
    ("envelope", open),
    ("guestinfo_legacy", guestinfo_legacy),
    ("ignition", ignition_config),
    ("imds", metadata_service),
    ("jinja", template),
    ("json", |data| located(json::parse(&text(data)).err().into_iter())),
    ("kargs", |data| rendered(network::parse_kargs(&text(data)))),
    ("lock", lock),
    ("merge", merge),
    ("mime", |data| documents("MIME-Version: 1.0\n", data)),
    ("network", network_config),
    ("network_data", network_config),
    ("ovf", ovf_environment),
    ("patch", |data| documents("#cloud-config-archive\n- 'a: [1]'\n- ", data)),
    ("prepare", prepared),
    ("secret", |data| drop(decode::capi::read(data.to_vec()))),
    ("user_data", user_data),
    ("yaml", parsed),
];

fn text(data: &[u8]) -> String {
    String::from_utf8_lossy(data).into_owned()
}

/// Places are where something can stand.
fn located(problems: impl Iterator<Item = Problem>) {
    for problem in problems {
        assert!(problem.pos.is_none_or(|pos| pos.line > 0 && pos.column > 0), "{problem:?}");
        assert!(!problem.what.is_empty(), "{problem:?}");
    }
}

/// All decoders on one input, and the plan of what they make of it.
fn user_data(data: &[u8]) {
    // An include list leads back to the same input: bounds end that.
    let mut fetch = |_: &footplate::facade::model::fetch::Request| Ok(Some(data.to_vec()));
    let decoded = decode::user_data(Some(data), Some(data), &Variables::assumed(), &mut fetch);
    let _ = expiry::problems(&decoded.config, Time(0));
    let _ = plan::node(&decoded.config, &Instance::default());
    located(decoded.problems.into_iter());
}

/// A document of one kind, whatever the input begins with.
fn documents(header: &str, data: &[u8]) {
    let data = [header.as_bytes(), data].concat();
    let decoded = decode::user_data(Some(&data), None, &Variables::assumed(), &mut no_fetch);
    let _ = plan::node(&decoded.config, &Instance::default());
    located(decoded.problems.into_iter());
}

fn open(data: &[u8]) {
    let _ = document::sniff(data);
    for encoding in ["base64", "gzip", "gzip+base64"] {
        let _ = envelope::Encoding::by_name(encoding).map(|e| e.decode(data.to_vec(), envelope::MAX_DECODED));
    }
    if let Ok(opened) = envelope::open(data) {
        assert!(opened.len() <= envelope::MAX_DECODED.max(data.len()));
    }
}

fn parsed(data: &[u8]) {
    match yaml::parse(&text(data)) {
        Ok(node) => drop(node.to_json()),
        Err(problem) => located(std::iter::once(problem)),
    }
}

fn template(data: &[u8]) {
    match jinja::render(&*format!("{}\n{}", jinja::HEADER, text(data)), &Variables::assumed()) {
        Ok(rendered) => {
            let lines = rendered.text.lines().count();
            for line in 1..=lines.min(50) {
                let origin = rendered.origin(Pos { line, column: 1 });
                assert!(origin.line > 0 && origin.column > 0, "{origin:?}");
            }
            located(rendered.problems.into_iter());
        }
        Err(problem) => located(std::iter::once(problem)),
    }
}

/// Two configs, the second one with a way to merge: the input is cut at its first zero byte or in its middle.
fn merge(data: &[u8]) {
    let middle = data.iter().position(|b| *b == 0).unwrap_or(data.len() / 2);
    let parts = [&data[..middle], &data[middle..]].map(|part| serde_json::Value::from(text(part)));
    let part = |content: &serde_json::Value, how: &str| {
        format!("- {{type: text/cloud-config, content: {content}, Merge-Type: '{how}'}}\n")
    };
    for how in ["list(append)+dict(recurse_list,recurse_str)+str(append)", "dict(allow_delete)", ""] {
        let archive = format!("#cloud-config-archive\n{}{}", part(&parts[0], ""), part(&parts[1], how));
        let user = document::read(Source::User, archive.as_bytes(), &Variables::assumed(), &mut no_fetch);
        let (tree, problems) = decode::merged(user, Documents::default());
        let _ = tree.to_json();
        located(problems.into_iter());
    }
}

fn boothook(data: &[u8]) {
    let _ = capa::is_transport(data);
    located(capa::parse(&text(data)).err().into_iter());
    documents("#cloud-boothook\n", data);
}

/// What an appliance reads of the document, and what Azure's machines read of it and of the wireserver's.
fn ovf_environment(data: &[u8]) {
    let xml = text(data);
    located(ovf::properties(&xml).err().into_iter());
    located(azure::provisioning("ovf-env.xml", &xml).err().into_iter());
    match azure::GoalState::parse("goalstate", &xml) {
        Ok(goal) => assert!(ovf::properties(&goal.report(Some(&xml))).is_ok()),
        Err(problem) => located(std::iter::once(problem)),
    }
}

fn ignition_config(data: &[u8]) {
    let decoded = ignition::decode(&text(data), &mut no_fetch);
    let _ = plan::node(&decoded.config, &Instance::default());
    located(decoded.problems.into_iter());
}

/// A metadata service, and S3 beside it, as the lines `key=value` of the input say: `\n` is a line's end in a value.
struct Service(Vec<(String, Vec<u8>)>);

impl Service {
    fn of(data: &[u8]) -> Self {
        let lines = data.split(|b| *b == b'\n').filter_map(|line| {
            let (key, value) = line.split_at(line.iter().position(|b| *b == b'=')?);
            let mut value = value[1..].to_vec();
            while let Some(at) = value.windows(2).position(|w| w == b"\\n") {
                value.splice(at..at + 2, [b'\n']);
            }
            Some((text(key), value))
        });
        Self(lines.collect())
    }
}

impl World for Service {
    fn ask(&self, _: Ask<'_>) -> Result<Option<Vec<u8>>, io::Error> {
        Ok(None)
    }

    fn http(&self, requests: &[Request], _: Instant) -> Vec<Result<Response, Error>> {
        let answer = |request: &Request| {
            if request.method == Method::PUT {
                return Ok(Response::of(200, "token"));
            }
            // The first part of a path is the service's version, as a rule.
            let path =
                request.url.strip_prefix("http://169.254.169.254/").and_then(|path| path.split('?').next());
            let key = path.map_or("s3", |path| {
                path.split_once('/').map_or(path, |(_version, key)| key).trim_start_matches("meta-data/")
            });
            let value = self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_slice());
            // Of S3 the answers are read that are none: errors, and where a bucket is.
            let status = if key == "s3" { 403 } else { 200 };
            Ok(value.map_or_else(|| Response::of(404, ""), |value| Response::of(status, value.to_vec())))
        };
        requests.iter().map(answer).collect()
    }

    fn tell(&self, _: Tell<'_>) -> Result<(), io::Error> {
        Ok(())
    }

    fn asks_without_token(&self) -> bool {
        false
    }
}

fn metadata_service(data: &[u8]) {
    let world = Service::of(data);
    for platform in PLATFORMS {
        let Some(ask) = platform.network else { continue };
        let Ok(Some(instance)) = ask(&world, &Facts::default(), None) else { continue };
        assert!(
            instance.hostname.as_ref().is_none_or(|name| check_hostname(name).is_ok()),
            "{}",
            platform.id
        );
        assert!(instance.ssh_keys.iter().all(|key| !key.contains('\n')), "{}", platform.id);
        let _ = plan::node(&NodeConfig::default(), &instance);
        let _ = plan::metadata::items(&instance, "", None, false);
        located(instance.problems.iter().cloned());
        rendered((instance.network.unwrap_or_default(), Vec::new()));
    }
    let aws = Platform::by_id(PLATFORMS, "aws").expect("EC2 is in the table");
    let asked = sources::fetch(&world, aws, &fetch::Request::plain("s3://bucket/key"), Instant::now());
    assert!(asked.is_err_and(|why| !why.what.is_empty()));
}

/// What can be read can be written as networkd's files.
fn rendered((config, problems): (NetworkConfig, Vec<Problem>)) {
    located(problems.into_iter());
    located(plan::network::render(&config, &[]).problems.into_iter());
}

fn network_config(data: &[u8]) {
    if let Ok(node) = yaml::parse(&text(data)) {
        rendered(network::parse(&node));
    }
}

/// Lines of `key=value`.
fn guestinfo_legacy(data: &[u8]) {
    let text = text(data);
    let get = |key: &str| {
        let line = text.lines().find_map(|l| l.split_once('=').filter(|(name, _)| *name == key));
        line.map(|(_, value)| value.to_owned())
    };
    rendered(network::parse_guestinfo_legacy(&get));
}

fn lock(data: &[u8]) {
    match Lock::parse(data) {
        Ok(lock) => assert!(lock.check().is_ok(), "read, and no lock"),
        Err(problem) => assert!(!problem.what.is_empty(), "{problem:?}"),
    }
}

fn prepared(data: &[u8]) {
    let text = text(data);
    let mut values = prepare::Values::default();
    values.add_file(&text);
    values.add("FOOTPLATE_NAME", "value");
    if let Err(problems) = prepare::prepare(&text, &values) {
        located(problems.into_iter());
    }
}

// SPDX-License-Identifier: Apache-2.0
//! How the bootstrap ended, on the Node object of a machine that joined: a
//! [condition](https://kubernetes.io/docs/reference/node/node-status/#condition), as node-problem-detector keeps its own. The API server is
//! asked with the kubelet's credentials, which are for this node's object alone. The image's policy says whether.

use anyhow::{Context as _, Result, bail, ensure};

use super::context::Context;
use crate::decode::kubeadm::kubeconfig::{self, Held, Kubeconfig};
use crate::io::http::{Identity, Method, Request};
use crate::io::root::Root;
use crate::io::{Tell, now};
use crate::model::secret::Secret;
use crate::model::status::{Progress, Status};
use crate::plan::kubeadm::KUBELET_CONF;

/// The condition, and its reason where nothing is wrong: those of examples/node-problem-detector.json, where `True` is a problem too.
const TYPE: &str = "BootstrapProblem";
const GOOD: (&str, &str) = ("BootstrapIsGood", "footplate reports no failure");

/// Most bytes of a kubeconfig, of a certificate, of a key.
const MAX_FILE: usize = 1 << 20;

/// Most bytes of the answer: the Node object, with the images that the node has.
const MAX_ANSWER: usize = 1 << 20;

/// A node that was made a moment ago may not be known yet: it is asked for again.
const NOT_YET: &[u16] = &[404];

/// Tells the Node object, where the policy wants it and the machine is a node. What can't be told is a warning: a report never fails
/// the boot.
pub fn put(context: &Context, status: &Status) {
    if !context.policy.condition {
        return;
    }
    let told = || -> Result<()> {
        let request = request(&context.root, status)?;
        request.map_or(Ok(()), |request| Ok(context.world().tell(Tell::Http(&request))?))
    };
    if let Err(error) = told() {
        log::warn!("report: the Node object does not have the condition {TYPE}: {error:#}");
    }
}

/// The request that sets the condition; `None` where the machine did not become a node.
fn request(root: &Root, status: &Status) -> Result<Option<Request>> {
    let Some(text) = root.read(KUBELET_CONF, MAX_FILE)? else { return Ok(None) };
    let text = Secret::new(text);
    let config = Kubeconfig::parse(&String::from_utf8_lossy(text.expose()))
        .with_context(|| format!("{KUBELET_CONF}: is not a kubeconfig"))?;
    let server = config.server().unwrap_or_default().trim_end_matches('/');
    ensure!(server.starts_with("https://"), "{KUBELET_CONF}: its server is not asked over https");
    let certificate = read(root, config.certificate(), "client-certificate")?;
    let node = kubeconfig::node(&certificate)
        .with_context(|| format!("{KUBELET_CONF}: its client-certificate is not a node's"))?;
    let mut request = Request::new(Method::PATCH, format!("{server}/api/v1/nodes/{node}/status"))
        .header("content-type", "application/strategic-merge-patch+json")
        .header("accept", "application/json");
    request.body = Secret::new(condition(status).to_string());
    request.limit = MAX_ANSWER;
    request.retry_also = NOT_YET;
    request.identity = Some(Identity {
        authorities: read(root, config.authority(), "certificate-authority")?,
        certificate,
        key: read(root, config.key(), "client-key")?,
    });
    Ok(Some(request))
}

/// What the kubelet's kubeconfig holds under a name, or the file that it names.
fn read(root: &Root, held: Option<Held>, name: &str) -> Result<Secret> {
    let path = match held {
        Some(Held::Data(data)) => return Ok(data),
        Some(Held::File(path)) if path.starts_with('/') => path,
        Some(Held::File(path)) => {
            format!("{}/{path}", KUBELET_CONF.rsplit_once('/').unwrap_or_default().0)
        }
        None => bail!("{KUBELET_CONF}: has no {name}"),
    };
    let bytes = root.read(&path, MAX_FILE)?;
    bytes.map(Secret::new).with_context(|| format!("{KUBELET_CONF}: {name}: {path} does not exist"))
}

/// The patch: conditions are merged by their types, so that those of others stay.
fn condition(status: &Status) -> serde_json::Value {
    let failed = status.state == Progress::Failed;
    let (reason, message) = match failed {
        true => (camel(&status.code().unwrap_or_default()), status.error().unwrap_or_default()),
        false => (GOOD.0.to_owned(), GOOD.1.to_owned()),
    };
    let now = now().to_string();
    serde_json::json!({ "status": { "conditions": [{
        "type": TYPE,
        "status": if failed { "True" } else { "False" },
        "reason": reason,
        "message": message,
        "lastHeartbeatTime": now,
        "lastTransitionTime": now,
    }] } })
}

/// A code as Kubernetes writes reasons: `join/ca-hash-mismatch` is `JoinCaHashMismatch`.
fn camel(code: &str) -> String {
    let words = code.split(|c: char| !c.is_ascii_alphanumeric());
    words
        .flat_map(|word| word.char_indices().map(|(i, c)| if i == 0 { c.to_ascii_uppercase() } else { c }))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::problem::{Failure, Problem, Stage};

    #[test]
    fn a_failure_is_told_by_its_code_and_in_its_words() {
        let mut status = Status::default();
        let problem = Problem::error("", "kubeadm failed").code("join/ca-hash-mismatch");
        status.fail(&Failure::new(Stage::Kubeadm, problem));
        let told = condition(&status);
        let told = &told["status"]["conditions"][0];
        assert_eq!(
            (&told["type"], &told["status"], &told["reason"], &told["message"]),
            (&TYPE.into(), &"True".into(), &"JoinCaHashMismatch".into(), &"kubeadm failed".into())
        );
        status.succeed();
        let told = condition(&status);
        let told = &told["status"]["conditions"][0];
        assert_eq!((&told["status"], &told["reason"]), (&"False".into(), &GOOD.0.into()));
        let time = told["lastTransitionTime"].as_str().unwrap();
        assert!(crate::model::time::Time::parse(time).is_some(), "{time}");
    }

    #[test]
    fn it_is_the_condition_of_the_plugin() {
        let plugin: serde_json::Value =
            serde_json::from_str(include_str!("../../examples/node-problem-detector.json")).unwrap();
        let told = &plugin["conditions"][0];
        assert_eq!(
            (&told["type"], &told["reason"], &told["message"]),
            (&TYPE.into(), &GOOD.0.into(), &GOOD.1.into())
        );
    }
}

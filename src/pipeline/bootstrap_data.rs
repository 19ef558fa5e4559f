// SPDX-License-Identifier: Apache-2.0
//! The bootstrap data as the node that it describes.
//!
//! The data is read once without anything from elsewhere. That tells whether it only points at hidden data, and which
//! boothooks come before the rest: one of them may write the file that an include list names. Data that names nothing
//! elsewhere is known then; other data is read again, with all that it names.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::fetch::Found;
use super::hidden::Hidden;
use super::recorder::Recorder;
use super::{Context, changes, note, sources};
use crate::apply;
use crate::decode::document::envelope;
use crate::decode::document::jinja::Variables;
use crate::decode::document::{Fetch, Kind};
use crate::decode::kubeadm::prepare;
use crate::decode::{self, Decoded};
use crate::io::World;
use crate::io::reader::{self, Answer, Asker, Question, Work};
use crate::io::root::Root;
use crate::model::config::NodeConfig;
use crate::model::fetch::Request;
use crate::model::instance::Instance;
use crate::model::problem::{Failure, In as _, Problem, Stage, UNREACHED};
use crate::model::secret::Secret;
use crate::plan;
use crate::plan::kubeadm::BOOTHOOKS_UNIT;

/// What Ignition leaves when it has made a node
/// ([operator notes](https://coreos.github.io/ignition/operator-notes/#ignition-result-file)).
const IGNITION_RESULT: &str = "/etc/.ignition-result.json";

/// The data, and what is to be done once it is understood.
pub struct BootstrapData {
    /// What it describes.
    pub decoded: Decoded,
    hidden: Option<Hidden>,
}

impl BootstrapData {
    /// Deletes hidden data where it stood. What it held has been understood and is on the disk.
    pub fn delete_hidden(&self, recorder: &mut Recorder<'_>, world: &dyn World) {
        if let Some(Err(error)) = self.hidden.as_ref().map(|h| h.delete(world)) {
            // Cluster API deletes it too once the node is up: a failure here does no harm.
            let what = format!("the hidden bootstrap data was not deleted where it stands: {error:#}");
            recorder.warn(&[Problem::warning("", what).cure("give the role the permission to delete it")]);
        }
    }
}

/// Reads the data for a node that is being made: its boothooks run before the rest of it is read.
///
/// # Errors
/// The data can't be used, what it names can't be had, or a boothook can't be started.
pub fn read(recorder: &mut Recorder<'_>, context: &Context, found: &Found) -> Result<BootstrapData, Failure> {
    let (root, world) = (&context.root, context.world());
    if let Some(data) = already_applied(found, root)? {
        return Ok(data);
    }
    let mut first = First::read(found);
    let hidden = first.take_hidden(found, world, Some(root))?;
    let missing = run_boothooks(recorder, &first, found, root)?;
    let decoded = recorder.stage(
        Stage::Decode,
        |_| {
            let decoded = first.whole(found, world, hidden.as_ref(), Some(&missing));
            if decoded.failed() { Err(failure(&decoded)) } else { Ok(decoded) }
        },
        |decoded| decoded.config.summary(),
    )?;
    Ok(BootstrapData { decoded, hidden })
}

/// Reads the data for a plan: nothing runs, and hidden data is left where it stands.
///
/// # Errors
/// The data can't be used, or what it names can't be had.
pub fn preview(context: &Context, found: &Found) -> Result<Decoded, Failure> {
    let (root, world) = (&context.root, context.world());
    if let Some(data) = already_applied(found, root)? {
        return Ok(data.decoded);
    }
    let mut first = First::read(found);
    let hidden = first.take_hidden(found, world, None)?;
    let hooks = !first.decoded.config.boothooks.is_empty();
    let missing = (!hooks).then(|| no_such_file(&first, root));
    let mut decoded = first.whole(found, world, hidden.as_ref(), missing.as_deref());
    if decoded.failed() {
        return Err(failure(&decoded));
    }
    if hooks {
        let what = "boothooks run before the rest of the data is read: what they bring is not in this plan";
        decoded.problems.push(Problem::warning("", what));
    }
    Ok(decoded)
}

/// What the data describes without anything from elsewhere, whether it can be used or not.
pub fn first_glance(found: &Found) -> NodeConfig {
    First::read(found).decoded.config
}

/// What the data describes as far as it can be read, for a picture of it.
pub fn glance(found: &Found, world: &dyn World) -> Decoded {
    First::read(found).whole(found, world, None, None)
}

/// Why data can't be used. Where all that is wrong is that sources were out of reach, the data may be good: it was the fetch
/// that failed.
fn failure(decoded: &Decoded) -> Failure {
    let mut errors = decoded.problems.iter().filter(|p| p.is_error());
    let stage = if errors.all(|p| p.code == UNREACHED) { Stage::Fetch } else { Stage::Decode };
    Failure::of(stage, &decoded.problems)
}

/// Data that Ignition applied before the system started is not applied again: its owner may have changed the node since.
fn already_applied(found: &Found, root: &Root) -> Result<Option<BootstrapData>, Failure> {
    if found.instance.user_data.is_none() || !made_by_ignition(&found.instance, root)? {
        return Ok(None);
    }
    let note = Problem::note("", "Ignition applied this config before the system started: it stays as it is");
    // Its name goes before the metadata's all the same.
    let read = first_glance(found);
    let mut config = NodeConfig { hostname: read.hostname, ..NodeConfig::default() };
    config.system.keep_hostname = read.system.keep_hostname;
    config.system.whole_hostname = read.system.whole_hostname;
    let decoded = Decoded { config, problems: vec![note] };
    Ok(Some(BootstrapData { decoded, hidden: None }))
}

/// Whether Ignition made this node before the system started, from the machine's user-data or from none. Where the OEM
/// partition has a config, as in images for cloud-config, Ignition took that one and never asked for the machine's user-data.
///
/// # Errors
/// The disk refuses.
pub fn made_by_ignition(instance: &Instance, root: &Root) -> Result<bool, Failure> {
    let ignition = |data: &Secret| {
        envelope::open(data.expose()).is_ok_and(|d| decode::sniff(&d) == Some(Kind::Ignition))
    };
    for dir in sources::OEM {
        if root.meta(&format!("{dir}/config.ign")).stage(Stage::Apply)?.is_some() {
            return Ok(false);
        }
    }
    let result = root.meta(IGNITION_RESULT).stage(Stage::Apply)?;
    Ok(result.is_some() && instance.user_data.as_ref().is_none_or(ignition))
}

/// The data as it was read without anything from elsewhere.
struct First {
    decoded: Decoded,
    /// Whether it names something elsewhere, so that this is not all of it.
    asked: bool,
}

impl First {
    fn read(found: &Found) -> Self {
        let mut asked = false;
        let decoded = decode_user_data(found, &mut |_| {
            asked = true;
            Ok(None)
        });
        Self { decoded, asked }
    }

    /// The hidden data that it points at. The script that would have fetched it is no longer among the boothooks.
    fn take_hidden(
        &mut self,
        found: &Found,
        world: &dyn World,
        root: Option<&Root>,
    ) -> Result<Option<Hidden>, Failure> {
        let hooks = &mut self.decoded.config.boothooks;
        let hidden = Hidden::find(hooks, found, world, root)?;
        if let Some(hidden) = &hidden {
            hooks.retain(|hook| !hidden.is_script(hook.content.expose()));
        }
        Ok(hidden)
    }

    /// All of the data. `missing` is what is said of a file that it names and that is not there; without it such a file is
    /// left open.
    fn whole(
        &mut self,
        found: &Found,
        world: &dyn World,
        hidden: Option<&Hidden>,
        missing: Option<&str>,
    ) -> Decoded {
        if !self.asked && hidden.is_none() {
            return std::mem::take(&mut self.decoded);
        }
        let deadline = Instant::now() + world.patience();
        let mut fetch = |request: &Request| {
            // What stands on the machine is the image's own, or was made by data that is good.
            let (fetched, trusted) = match hidden.and_then(|h| h.include(request.url.expose())) {
                Some(data) => (Some(data), false),
                None => {
                    let fetched = sources::fetch(world, found.candidate.platform, request, deadline)?;
                    (fetched, request.hashed || sources::is_here(request))
                }
            };
            match (fetched, missing) {
                (None, Some(what)) => Err(what.into()),
                (None, None) => Ok(None),
                (Some(data), _) if trusted => Ok(Some(data)),
                (Some(data), _) => found.signatures.check_fetched(data, request, &found.instance).map(Some),
            }
        };
        let mut decoded = decode_user_data(found, &mut fetch);
        if let Some(hidden) = hidden {
            // What the script would have done is done.
            decoded.config.boothooks.retain(|hook| !hidden.is_script(hook.content.expose()));
        }
        decoded
    }
}

/// The data as it is understood where nothing else can be done; `fetch` is done here.
fn decode_user_data(found: &Found, fetch: &mut Fetch<'_>) -> Decoded {
    let Instance { user_data, vendor_data, node_name, provider_id, .. } = &found.instance;
    let work = Data {
        user: user_data.clone(),
        vendor: vendor_data.clone(),
        variables: Variables::of(&found.instance, &found.facts.os),
        node_name: node_name.clone(),
        provider_id: provider_id.clone(),
    };
    let answer = |question| match question {
        Question::Fetch(request) => Answer::Fetch(fetch(&request)),
        _ => Answer::Fetch(Ok(None)),
    };
    reader::read(&work, true, Duration::ZERO, answer)
        .unwrap_or_else(|failure| Decoded { problems: failure.problems, ..Decoded::default() })
}

/// Bootstrap data that is to be read.
#[derive(Serialize, Deserialize)]
pub struct Data {
    user: Option<Secret>,
    vendor: Option<Secret>,
    variables: Variables,
    node_name: Option<String>,
    provider_id: Option<String>,
}

impl Work for Data {
    const NAME: &'static str = "data";
    type Done = Decoded;

    fn read(&self, asker: &mut Asker<'_>) -> Decoded {
        let (user, vendor) =
            (self.user.as_ref().map(Secret::expose), self.vendor.as_ref().map(Secret::expose));
        let mut fetch = |request: &Request| match asker(Question::Fetch(request.clone())) {
            Some(Answer::Fetch(answer)) => answer,
            _ => Ok(None),
        };
        let mut decoded = decode::user_data(user, vendor, &self.variables, &mut fetch);
        let (node_name, provider_id) = (self.node_name.as_deref(), self.provider_id.as_deref());
        decoded.problems.extend(prepare::fill_in(&mut decoded.config, node_name, provider_id));
        decoded
    }
}

/// Makes systemd run the data's boothooks. Gives what is said afterwards of a file that is not there. What else is wrong with
/// the data is told when it is read whole.
fn run_boothooks(
    recorder: &mut Recorder<'_>,
    first: &First,
    found: &Found,
    root: &Root,
) -> Result<String, Failure> {
    let hooks = &first.decoded.config;
    if root.live() && !hooks.boothooks.is_empty() {
        let plan = plan::boothooks(hooks, &found.instance);
        recorder.stage(
            Stage::Apply,
            |_| apply::apply(&plan, root, note).stage(Stage::Apply),
            |outcomes| format!("boothooks={} changed={}", hooks.boothooks.len(), changes(outcomes)),
        )?;
    }
    Ok(no_such_file(first, root))
}

/// What is said of a file that the data names and that is not there.
fn no_such_file(first: &First, root: &Root) -> String {
    match (first.decoded.config.boothooks.is_empty(), root.live()) {
        (true, _) => "the file does not exist".to_owned(),
        (false, true) => {
            format!("the file does not exist after the boothooks ran: see `journalctl -u {BOOTHOOKS_UNIT}`")
        }
        (false, false) => {
            "the file does not exist; a boothook may write it when the node boots, and boothooks are not run with --root"
                .to_owned()
        }
    }
}

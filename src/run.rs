// SPDX-License-Identifier: Apache-2.0
//! The order of things: the only file that knows it.

mod hidden;
mod image;

use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use serde_json::json;

use self::hidden::Hidden;
use crate::apply::{self, Done, Outcome, accounts};
use crate::cli::{
    Cli, Command, Format, Input, KubeadmPrepare, Provision, RenderWhat, Source, TimelineFormat,
};
use crate::decode::document::Fetch;
use crate::decode::document::envelope;
use crate::decode::document::jinja::Variables;
use crate::decode::kubeadm::prepare::{self, Values};
use crate::decode::syntax::yaml;
use crate::decode::{self, Decoded};
use crate::error::{Failure, In as _, Stage, WithCure as _};
use crate::io::live::{self, Live};
use crate::io::replay::{Capture, Replay};
use crate::io::root::{Change, Ids, Root};
use crate::io::systemd::{self, Systemd};
use crate::io::{Ask, World, nic, uptime_ms};
use crate::model::facts::Facts;
use crate::model::fetch::Request;
use crate::model::instance::Instance;
use crate::model::plan::{Bootstrap, Item, Plan};
use crate::model::problem::{Problem, Severity};
use crate::model::secret::Secret;
use crate::online;
use crate::plan;
use crate::plan::network::{Rendered, naming};
use crate::platform::{self, Candidate, Detected, PLATFORMS, Platform, Reach, Wanted};
use crate::report::{self, Ended};
use crate::sources;
use crate::state::{self, Progress, StageStatus, Status};
use crate::timeline;

/// How long to follow the bootstrap: its unit's own time-out and some minutes for its end.
const BOOTSTRAP_LIMIT: Duration = Duration::from_secs(40 * 60);

/// How long the unit's `ExecStopPost=` may take to settle the result after its job ended.
const SETTLE_LIMIT: Duration = Duration::from_secs(60);

/// How often `status --wait` looks.
const STATUS_POLL: Duration = Duration::from_millis(200);

/// What Ignition leaves when it has made a node
/// ([operator notes](https://coreos.github.io/ignition/operator-notes/#ignition-result-file)).
const IGNITION_RESULT: &str = "/etc/.ignition-result.json";

/// Most that a file of metadata or kubeadm's configuration holds.
const MAX_METADATA: usize = 4 << 20;

/// Most of `/etc/environment`.
const MAX_ENVIRONMENT: usize = 1 << 20;

/// Exit code of `plan` where something is to be done, and of `status` while the bootstrap runs.
const PENDING: u8 = 2;

/// Runs a command.
///
/// # Errors
/// What failed, in which stage.
pub fn run(cli: &Cli) -> Result<u8, Failure> {
    match &cli.command {
        Command::Network(args) => network(args),
        Command::Provision(args) => provision(args),
        Command::Plan(args) => show_plan(args),
        Command::Check(input) => check(input),
        Command::Render(args) => match &args.what {
            RenderWhat::Network(input) => render_network(input),
        },
        Command::KubeadmPrepare(args) => prepare(args),
        Command::Report(args) => settle(&args.source),
        Command::Status(args) => show_status(args),
        Command::Timeline(args) => show_timeline(args),
        Command::Capture(args) => capture(&args.source, &args.dir),
        Command::Platforms(args) => platforms(&args.source, args.format),
        Command::Bake(args) => image::bake(args),
        Command::Verify(args) => image::verify(args),
        Command::Seal(args) => image::seal(args),
    }
}

fn world(source: &Source) -> Result<Box<dyn World>, Failure> {
    match &source.replay {
        Some(dir) => Ok(Box::new(Replay::open(dir).stage(Stage::Usage)?)),
        None => Ok(Box::new(Live::default())),
    }
}

fn open_root(path: Option<&Path>) -> Result<Root, Failure> {
    let live = path.is_none();
    Root::open(path.unwrap_or(Path::new("/")), live)
        .cure("--root takes a directory that exists")
        .stage(if live { Stage::Apply } else { Stage::Usage })
}

/// Prints to standard output; a reader that went away is no failure of ours.
fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

fn print_json(value: &serde_json::Value) {
    print(&format!("{value:#}\n"));
}

// The stages, one after the other

/// Keeps the status of a run up to date, in the log and under the root.
struct Recorder<'a> {
    root: Option<&'a Root>,
    status: Status,
}

impl<'a> Recorder<'a> {
    fn new(root: Option<&'a Root>) -> Self {
        Self { root, status: Status { version: 1, ..Status::default() } }
    }

    /// Runs a stage and records how it went; `summary` tells its result in `key=value` words.
    fn stage<T>(
        &mut self,
        stage: Stage,
        run: impl FnOnce(&mut Status) -> Result<T, Failure>,
        summary: impl FnOnce(&T) -> String,
    ) -> Result<T, Failure> {
        let (started_ms, clock, name) = (uptime_ms(), Instant::now(), stage.to_string());
        let result = run(&mut self.status);
        let ms = clock.elapsed().as_millis() as u64;
        let (state, summary) = match &result {
            Ok(value) => (Progress::Done, summary(value)),
            Err(_) => (Progress::Failed, String::new()),
        };
        if result.is_ok() {
            log::info!(stage = name.as_str(), ms = ms; "{name}: {summary} ms={ms}");
        }
        self.status.stages.push(StageStatus { name, state, started_ms, ms, summary });
        self.save()?;
        result
    }

    fn warn(&mut self, problems: &[Problem]) {
        for problem in problems {
            let cure = problem.cure.as_ref().map(|h| format!("; {h}")).unwrap_or_default();
            match problem.severity {
                // An error that gets here concerns a part, such as one of several interfaces: the rest goes on.
                Severity::Error | Severity::Warning => log::warn!("{problem}{cure}"),
                Severity::Note => log::info!("{problem}{cure}"),
            }
            self.status.warnings.push(format!("{problem}{cure}"));
        }
    }

    fn save(&self) -> Result<(), Failure> {
        match self.root {
            Some(root) => state::write_status(root, &self.status).stage(Stage::Report),
            None => Ok(()),
        }
    }

    fn end(&mut self, state: Progress) -> Result<(), Failure> {
        self.status.state = state;
        self.save()
    }

    /// Records why the run ends, and hands the failure on.
    fn fail(&mut self, failure: Failure) -> Failure {
        self.status.state = Progress::Failed;
        self.status.error = Some(format!("{}: {}", failure.stage, failure.error));
        self.status.why = failure.why.clone();
        self.status.cure = failure.cure.clone();
        self.status.also = failure.also.clone();
        // The failure that is on its way tells more than one of writing it down.
        let _ = self.save();
        failure
    }
}

/// What the provider says of this machine, and which provider.
struct Found {
    candidate: Candidate<'static>,
    instance: Instance,
    facts: Facts,
}

/// What the command line says of the source.
fn wanted(source: &Source) -> Wanted<'_> {
    Wanted { platform: source.platform.as_deref(), seed: source.seed.as_deref().and_then(Path::to_str) }
}

fn detect(source: &Source, world: &dyn World) -> Result<(Facts, Detected<'static>), Failure> {
    let facts = platform::facts(world).stage(Stage::Detect)?;
    let named = source.seed.is_some() || source.platform.is_some();
    let stage = if named { Stage::Usage } else { Stage::Detect };
    let detected = platform::detect(PLATFORMS, &facts, wanted(source)).stage(stage)?;
    Ok((facts, detected))
}

fn find(
    recorder: &mut Recorder<'_>,
    source: &Source,
    world: &dyn World,
    root: Option<&Root>,
) -> Result<Found, Failure> {
    let (facts, detected) = recorder.stage(
        Stage::Detect,
        |_| detect(source, world),
        |(_, detected)| {
            let ids = detected.candidates.iter().map(|c| format!("platform={}", c.platform.id));
            ids.collect::<Vec<_>>().join(" ")
        },
    )?;
    let (candidate, instance) = recorder.stage(
        Stage::Fetch,
        |status| {
            let asked = platform::fetch(world, &facts, &detected, wanted(source), Reach::Network)?;
            let (candidate, mut instance) = asked.context("no platform was asked").stage(Stage::Fetch)?;
            if let Some(root) = root {
                online::wait(world, instance.wait_for, || render(&instance, source, world, root))?;
                // The addresses are metadata too.
                platform::complete(world, &facts, candidate.platform, &mut instance)?;
            }
            status.platform = Some(candidate.platform.id.to_owned());
            status.because = Some(candidate.because.to_string());
            status.instance_id = Some(instance.instance_id.clone());
            status.hostname = instance.hostname.clone();
            Ok((candidate, instance))
        },
        |(candidate, instance)| {
            let bytes = |s: &Option<crate::model::secret::Secret>| s.as_ref().map_or(0, |s| s.len());
            format!(
                "platform={} instance-id={} hostname={} user-data={} network={}",
                candidate.platform.id,
                instance.instance_id,
                instance.hostname.as_deref().unwrap_or("-"),
                bytes(&instance.user_data),
                if instance.network.is_some() { "yes" } else { "no" },
            )
        },
    )?;
    Ok(Found { candidate, instance, facts })
}

/// The network as files, what was found wrong with it among the problems: what the kernel's command line says wins over
/// the metadata, and files that are not ours win over both. The cards are looked at where they are the ones that the
/// files are for: on the machine itself, or in its replayed answers.
fn render(instance: &Instance, source: &Source, world: &dyn World, root: &Root) -> Result<Rendered, Failure> {
    let cmdline = world.text(Ask::File("/proc/cmdline"))?;
    let ours = root.live() || source.replay.is_some();
    let (arguments, problems) =
        if ours { decode::network::parse_kargs(&cmdline) } else { Default::default() };
    let given = !arguments.interfaces.is_empty();
    let mut network = if given { Some(arguments.clone()) } else { instance.network.clone() };
    if let Some(network) = network.as_mut() {
        decode::network::ask_instead(network, &arguments.dns);
    }
    let nics = if ours { online::nics(&online::links(world).stage(Stage::Fetch)?) } else { Vec::new() };
    let mut rendered = network.map(|n| plan::network::render(&n, &nics)).unwrap_or_default();
    rendered.problems.extend(problems);
    if given && instance.network.is_some() {
        let what = "the kernel's command line sets up the network: the metadata's is left out";
        rendered.problems.push(Problem::warning("network", what));
    }
    let theirs = theirs(root).stage(Stage::Apply)?;
    plan::network::step_back(&mut rendered, &theirs, &nics);
    Ok(rendered)
}

/// The paths of networkd's files in `dir` and in those directories that the initramfs leaves behind: one there rules where
/// `dir` has none of its name.
fn network_files(root: &Root, dir: &str) -> Result<Vec<String>, Failure> {
    let mut paths = Vec::new();
    for dir in [dir, plan::network::RUN_DIR] {
        let names = root.list(dir).stage(Stage::Apply)?;
        paths.extend(names.iter().map(|name| format!("{dir}/{name}")));
    }
    paths.dedup();
    Ok(paths)
}

/// networkd's files that are not ours and not the image's.
fn theirs(root: &Root) -> Result<Vec<plan::network::Theirs>> {
    let mut theirs = Vec::new();
    for dir in [plan::network::DIR, plan::network::RUN_DIR] {
        for name in root.list(dir)? {
            if !name.ends_with(".network") || name.starts_with(plan::network::PREFIX) {
                continue;
            }
            let path = format!("{dir}/{name}");
            // What can't be read takes nothing: a link to /dev/null, by which a default is masked, to begin with.
            let Ok(Some(text)) = root.read(&path, crate::io::MAX_ANSWER) else { continue };
            theirs.push(plan::network::Theirs { path, text: String::from_utf8_lossy(&text).into_owned() });
        }
    }
    Ok(theirs)
}

/// Has a networkd that runs already take what changed, and the links that it is for, anew.
fn reload_network(outcomes: &[Outcome], root: &Root) -> Result<(), Failure> {
    let changed =
        |o: &&Outcome| matches!(o.done, Done::Changed | Done::Absent) && o.what.contains(plan::network::DIR);
    if !root.live() || outcomes.iter().filter(changed).count() == 0 {
        return Ok(());
    }
    if systemd::reload_network().stage(Stage::Apply)? {
        log::info!(
            "network: networkd has taken the changes; names and devices that are there stay as they are until the next boot"
        );
    }
    Ok(())
}

/// NICs that should have the name of their `set-name` by now.
fn misnamed(rendered: &Rendered) -> Vec<Problem> {
    let told = naming::misnamed(rendered).into_iter().map(|r| {
        let what = format!("the NIC that set-name calls {} is still called {}", r.to, r.from);
        Problem::warning("network", what)
            .cure("its configuration is in force all the same; the next boot tries again, `journalctl -u systemd-udevd` says why not now")
    });
    told.collect()
}

/// The whole plan: network and name from the metadata, the rest from the bootstrap data.
fn make_plan(found: &Found, decoded: &Decoded, rendered: &Rendered, root: &Root) -> Result<Plan, Failure> {
    let mut plan = plan::node(&decoded.config, &found.instance);
    // The bootstrap data's name wins over the metadata's, and a member of a cluster keeps the one it has.
    let member = report::is_member(root).stage(Stage::Apply)?;
    let hostname = found
        .instance
        .short_hostname()
        .filter(|_| decoded.config.hostname.is_none() && !decoded.config.system.keep_hostname && !member);
    let present = network_files(root, plan::network::DIR)?;
    let mut items = plan::network_items(rendered, &present, hostname);
    items.extend(metadata(&found.instance, root)?);
    if let Some(keys) = plan::users::keys(&found.instance) {
        let is_core = |i: &Item| matches!(i, Item::User(u) if u.name == plan::users::DEFAULT_USER);
        let there =
            accounts::Accounts::read(root).stage(Stage::Apply)?.home(plan::users::DEFAULT_USER).is_some();
        if there || plan.items.iter().any(is_core) {
            let behind = plan.items.iter().rposition(|i| matches!(i, Item::User(_))).map_or(0, |i| i + 1);
            plan.items.insert(behind, keys);
        } else {
            log::warn!(
                "apply: there is no user {}: the metadata's SSH keys are left out",
                plan::users::DEFAULT_USER
            );
        }
    }
    // A directory that two parts of the plan need is made once.
    plan.items.retain(|i| !matches!(i, Item::Directory(_)) || !items.contains(i));
    items.append(&mut plan.items);
    plan.items = items;
    // Ignition's kubeadm.service starts with the boot; it is followed like the one of cloud-config.
    let unit = format!("/etc/systemd/system/{}", plan::kubeadm::UNIT);
    let stands = |path: &str| root.stands(path).stage(Stage::Apply);
    if made_by_ignition(&found.instance, root)? && stands(plan::kubeadm::IGNITION_CONFIG)? && stands(&unit)? {
        let (unit, permit) = (plan::kubeadm::UNIT, plan::kubeadm::IGNITION_CONFIG);
        plan.bootstrap = Some(Bootstrap { unit: unit.to_owned(), permit: permit.to_owned() });
    }
    Ok(plan)
}

/// The metadata as files for those that ask for it by name.
fn metadata(instance: &Instance, root: &Root) -> Result<Vec<Item>, Failure> {
    let read = |path: &str| -> Result<String, Failure> {
        let bytes = root.read(path, MAX_METADATA).stage(Stage::Apply)?.unwrap_or_default();
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let (flatcar, coreos) = (plan::metadata::FLATCAR, plan::metadata::COREOS);
    let linked = root.link_target(coreos).stage(Stage::Apply)?.is_some();
    let file = !linked && root.stands(coreos).stage(Stage::Apply)?;
    let older = if file { Some(read(coreos)?) } else { None };
    Ok(plan::metadata::items(instance, &read(flatcar)?, older.as_deref(), linked))
}

/// Whether Ignition made this node before the system started, from the same config or from none that came this way. It
/// is not made again then: its owner may have changed it since. Where the OEM partition has a config, as in images for
/// cloud-config, Ignition took that one and never asked for the machine's user-data.
fn made_by_ignition(instance: &Instance, root: &Root) -> Result<bool, Failure> {
    let ignition = |data: &Secret| {
        envelope::open(data.expose())
            .is_ok_and(|d| decode::sniff(&d) == Some(decode::document::Kind::Ignition))
    };
    for dir in sources::OEM {
        if root.meta(&format!("{dir}/config.ign")).stage(Stage::Apply)?.is_some() {
            return Ok(false);
        }
    }
    let result = root.meta(IGNITION_RESULT).stage(Stage::Apply)?;
    Ok(result.is_some() && instance.user_data.as_ref().is_none_or(ignition))
}

/// What is left to be made of the bootstrap data; `missing` is what is said of a file that it includes and that is not there,
/// and without it such a file is left open.
fn read_user_data(
    found: &Found,
    world: &dyn World,
    root: &Root,
    hidden: Option<&Hidden>,
    missing: Option<&str>,
) -> Result<Decoded, Failure> {
    if found.instance.user_data.is_some() && made_by_ignition(&found.instance, root)? {
        let note =
            Problem::note("", "Ignition applied this config before the system started: it stays as it is");
        return Ok(Decoded { problems: vec![note], ..Decoded::default() });
    }
    Ok(fetch_and_decode(found, world, hidden, missing))
}

fn fetch_and_decode(
    found: &Found,
    world: &dyn World,
    hidden: Option<&Hidden>,
    missing: Option<&str>,
) -> Decoded {
    let deadline = Instant::now() + world.patience();
    let mut fetch = |request: &Request| match hidden.and_then(|h| h.include(request.url.expose())) {
        Some(data) => Ok(Some(data)),
        None => match sources::fetch(world, found.candidate.platform, request, deadline)? {
            None => missing.map_or(Ok(None), |what| Err(what.into())),
            fetched => Ok(fetched),
        },
    };
    decode_user_data(found, hidden, &mut fetch)
}

fn decode_user_data(found: &Found, hidden: Option<&Hidden>, fetch: &mut Fetch<'_>) -> Decoded {
    let variables = Variables::of(&found.instance, &found.facts.os);
    let bytes = |data: &'_ Option<Secret>| data.as_ref().map(|d| d.expose().to_vec());
    let (user, vendor) = (bytes(&found.instance.user_data), bytes(&found.instance.vendor_data));
    let mut decoded = decode::user_data(user.as_deref(), vendor.as_deref(), &variables, fetch);
    let Instance { node_name, provider_id, .. } = &found.instance;
    let filled = prepare::fill_in(&mut decoded.config, node_name.as_deref(), provider_id.as_deref());
    decoded.problems.extend(filled);
    if let Some(hidden) = hidden {
        // What the script would have done is done.
        decoded.config.boothooks.retain(|hook| !hidden.is_script(hook.content.expose()));
    }
    decoded
}

/// Has systemd run the data's boothooks, before anything else is made of the data: one may write what an include list
/// names. Gives what is said then of a file that is not there. What else is wrong with the data is told when it is read whole.
/// Without a recorder nothing runs, and what a hook may bring is left open.
fn run_boothooks(
    recorder: Option<&mut Recorder<'_>>,
    found: &Found,
    root: &Root,
    hidden: Option<&Hidden>,
) -> Result<Option<String>, Failure> {
    let hooks = decode_user_data(found, hidden, &mut decode::document::no_fetch).config;
    let no_file = |more: &str| Ok(Some(format!("there is no such file{more}")));
    if hooks.boothooks.is_empty() || made_by_ignition(&found.instance, root)? {
        return no_file("");
    }
    let Some(recorder) = recorder else { return Ok(None) };
    if !root.live() {
        return no_file("; a boothook may write it when the node boots: under --root none runs");
    }
    let plan = plan::boothooks(&hooks, &found.instance);
    recorder.stage(
        Stage::Apply,
        |_| apply::apply(&plan, root, note).stage(Stage::Apply),
        |outcomes| format!("boothooks={} changed={}", hooks.boothooks.len(), changes(outcomes)),
    )?;
    no_file(&format!(" after the boothooks ran: see `journalctl -u {}`", plan::kubeadm::BOOTHOOKS_UNIT))
}

// Commands

fn network(args: &crate::cli::Network) -> Result<u8, Failure> {
    let source = &args.source;
    let (world, root) = (world(source)?, open_root(args.root.as_deref())?);
    let world = world.as_ref();
    let found = detect(source, world).and_then(|(facts, detected)| {
        platform::fetch(world, &facts, &detected, wanted(source), Reach::Local)
    });
    // Without a local source there is still the kernel's command line; without either, the image's default stays, and
    // provision will say what is missing.
    let (platform, mut instance) = match found {
        Ok(Some((candidate, instance))) => (candidate.platform.id, instance),
        Ok(None) => ("asked-over-the-network", Instance::default()),
        Err(failure) if failure.stage == Stage::Detect => {
            log::info!("network: {}", failure.error);
            ("none", Instance::default())
        }
        Err(failure) => return Err(failure),
    };
    if let (Some(_), Some(network)) = (&args.out, &mut instance.network) {
        naming::without_names(network);
    }
    let mut rendered = render(&instance, source, world, &root)?;
    let dir = args.out.as_deref().unwrap_or(plan::network::DIR);
    rendered.place_in(dir);
    let problems = [instance.problems.as_slice(), &rendered.problems].concat();
    for problem in problems.iter().filter(|f| f.severity == Severity::Warning) {
        log::warn!("{problem}");
    }
    for matched in &rendered.matches {
        log::info!("network: {matched}");
    }
    let member = report::is_member(&root).stage(Stage::Apply)?;
    let hostname = instance.short_hostname().filter(|_| !member && args.out.is_none());
    // Nothing is taken away on the word of nobody.
    let known = !instance.instance_id.is_empty() || !rendered.files.is_empty();
    let present = if known { network_files(&root, dir)? } else { Vec::new() };
    let plan = Plan { items: plan::network_items(&rendered, &present, hostname), bootstrap: None };
    let outcomes = apply::apply(&plan, &root, note).stage(Stage::Apply)?;
    if root.live() {
        change_names_over(&rendered, world)?;
    }
    reload_network(&outcomes, &root)?;
    log::info!("network: platform={platform} files={} changed={}", rendered.files.len(), changes(&outcomes));
    let failed = problems.iter().any(|f| f.severity == Severity::Error);
    if failed { Err(Failure::of_problems(&problems)) } else { Ok(0) }
}

/// Changes the names over that udev can't. One that stays is no reason to leave the network unconfigured: files match by
/// address.
fn change_names_over(rendered: &Rendered, world: &dyn World) -> Result<(), Failure> {
    let nics = online::nics(&online::links(world).stage(Stage::Fetch)?);
    let renames = naming::change_over(naming::misnamed(rendered), &nics);
    if renames.is_empty() {
        return Ok(());
    }
    let names: Vec<(&str, &str)> = renames.iter().map(|r| (r.from.as_str(), r.to.as_str())).collect();
    let told: Vec<String> = renames.iter().map(|r| format!("{} is now {}", r.from, r.to)).collect();
    match nic::change_over(&names) {
        Ok(()) => log::info!("network: {}", told.join(", ")),
        Err(error) => log::warn!("network: the names of set-name are taken, and stay so: {error:#}"),
    }
    Ok(())
}

fn changes(outcomes: &[Outcome]) -> usize {
    outcomes.iter().filter(|o| matches!(o.done, Done::Changed | Done::Absent)).count()
}

/// Tells of an outcome what a person wants to know of it.
fn note(outcome: &Outcome) {
    match outcome.done {
        Done::Unchanged => log::debug!("{}: as it shall be", outcome.what),
        Done::Changed | Done::Absent => log::info!("{}: {}", outcome.what, outcome.detail),
        Done::LeftOut => log::info!("{}: left out: {}", outcome.what, outcome.detail),
    }
}

fn provision(args: &Provision) -> Result<u8, Failure> {
    let (world, root) = (world(&args.source)?, open_root(args.root.as_deref())?);
    let mut recorder = Recorder::new(Some(&root));
    let result = provision_in(&mut recorder, args, world.as_ref(), &root);
    let result = result.map_err(|failure| recorder.fail(failure));
    if args.format == Format::Json {
        print_json(&serde_json::to_value(&recorder.status).unwrap_or_default());
    }
    result
}

fn provision_in(
    recorder: &mut Recorder<'_>,
    args: &Provision,
    world: &dyn World,
    root: &Root,
) -> Result<u8, Failure> {
    let found = find(recorder, &args.source, world, Some(root).filter(|r| r.live()))?;
    if let Some(code) = already_bootstrapped(recorder, &found.instance, root)? {
        return Ok(code);
    }
    let rendered = render(&found.instance, &args.source, world, root)?;
    let problems = [found.instance.problems.as_slice(), &rendered.problems].concat();
    if problems.iter().any(|f| f.severity == Severity::Error) && !rendered.usable {
        // The machine is up by DHCP, for a person to look at. It is not the node that was asked for.
        return Err(Failure::of_problems(&problems));
    }
    recorder.warn(&problems);
    if root.live() {
        recorder.warn(&misnamed(&rendered));
    }
    let hidden = Hidden::find(&found, world, Some(root))?;
    let missing = run_boothooks(Some(recorder), &found, root, hidden.as_ref())?;
    let decoded = recorder.stage(
        Stage::Decode,
        |_| {
            let decoded = read_user_data(&found, world, root, hidden.as_ref(), missing.as_deref())?;
            if decoded.failed() { Err(Failure::of_problems(&decoded.problems)) } else { Ok(decoded) }
        },
        |decoded| decoded.config.summary(),
    )?;
    recorder.warn(&decoded.problems);
    if let Some(Err(error)) = hidden.as_ref().map(|h| h.delete(world)) {
        // Cluster API deletes it too, once the node is up: the node is none the worse.
        let what = format!("the hidden bootstrap data was not deleted where it stands: {error:#}");
        recorder.warn(&[Problem::warning("", what).cure("give the role the permission to delete it")]);
    }
    let plan = make_plan(&found, &decoded, &rendered, root)?;
    image::lay_out(recorder, root)?;
    let outcomes = recorder.stage(
        Stage::Apply,
        |_| {
            apply::compare(&plan, root).stage(Stage::Apply)?;
            let outcomes = apply::apply(&plan, root, note).stage(Stage::Apply)?;
            reload_network(&outcomes, root)?;
            Ok(outcomes)
        },
        |outcomes| format!("changed={} unchanged={}", changes(outcomes), outcomes.len() - changes(outcomes)),
    )?;
    if changes(&outcomes) == 0 {
        log::info!("apply: nothing changed, all was as it shall be");
    }
    if !root.privileged() {
        log::info!("apply: owners are left out: that needs root");
    }
    let Some(bootstrap) = plan.bootstrap else {
        log::info!("start: the bootstrap data has no commands, there is nothing to start");
        notify("no bootstrap")?;
        recorder.end(Progress::Done)?;
        return Ok(0);
    };
    if !root.live() {
        log::info!("start: {} is enabled and not started: --root", bootstrap.unit);
        recorder.end(Progress::Done)?;
        return Ok(0);
    }
    start(recorder, &bootstrap.unit, root)
}

/// A node that was bootstrapped is left alone: once per instance, and never once it is a member of a cluster.
fn already_bootstrapped(
    recorder: &mut Recorder<'_>,
    instance: &Instance,
    root: &Root,
) -> Result<Option<u8>, Failure> {
    let stamp = state::read_stamp(root, &instance.instance_id).stage(Stage::Apply)?;
    let member = report::is_member(root).stage(Stage::Apply)?;
    let failed = match &stamp {
        Some(stamp) => stamp.result == Progress::Failed,
        None if !member => return Ok(None),
        // Power went between kubeadm's success and our stamp.
        None => false,
    };
    if failed {
        let stamp = stamp.and_then(|s| Some((s.error?, s.cure)));
        let (why, cure) = stamp.unwrap_or_default();
        let failure = Err(anyhow!(why).context("the bootstrap of this instance failed on an earlier boot"));
        let cure = cure.unwrap_or_else(|| "a bootstrap runs once: delete the Machine".to_owned());
        return failure.cure(cure).stage(Stage::Start);
    }
    // The run that ended may have been cut off before it forgot what it no longer needs.
    state::remove_bootstrap(root, &instance.instance_id).stage(Stage::Apply)?;
    if root.live() {
        report::put_sentinel(root).stage(Stage::Apply)?;
        // Every boot begins with /run empty.
        let plan = Plan { items: metadata(instance, root)?, bootstrap: None };
        apply::apply(&plan, root, note).stage(Stage::Apply)?;
    }
    log::info!("start: instance {} was bootstrapped before, nothing to do", instance.instance_id);
    notify("bootstrapped before")?;
    recorder.end(Progress::Done)?;
    Ok(Some(0))
}

fn notify(status: &str) -> Result<(), Failure> {
    systemd::notify_ready(status).stage(Stage::Start)
}

/// Starts the bootstrap's unit and follows it to its end.
fn start(recorder: &mut Recorder<'_>, unit: &str, root: &Root) -> Result<u8, Failure> {
    let (systemd, job) = recorder.stage(
        Stage::Start,
        |_| {
            let systemd = Systemd::connect().stage(Stage::Start)?;
            systemd.reload().stage(Stage::Start)?;
            let job = systemd.start("StartUnit", unit).stage(Stage::Start)?;
            Ok((systemd, job))
        },
        |_| format!("unit={unit}"),
    )?;
    let (name, started_ms) = ("kubeadm".to_owned(), uptime_ms());
    let (state, summary) = (Progress::Running, String::new());
    recorder.status.stages.push(StageStatus { name, state, started_ms, ms: 0, summary });
    recorder.save()?;
    // The unit comes after this service: systemd runs it only now.
    notify(&format!("following {unit}"))?;
    let result = systemd.wait(job, BOOTSTRAP_LIMIT).stage(Stage::Start)?;
    let service = systemd.service(unit).stage(Stage::Start)?;
    log::info!("{unit}: job={result} result={} exit-status={}", service.result, service.exit_status);
    if !service.condition {
        let failure = Err(anyhow!("{unit} was not started: one of its conditions does not hold"));
        return failure.cure(format!("look at `systemctl status {unit}`")).stage(Stage::Start);
    }
    // `footplate report`, which the unit runs at its end, settles the result; should it be missing, this does.
    let deadline = Instant::now() + SETTLE_LIMIT;
    let status = loop {
        let status = state::read_status(root).stage(Stage::Report)?.unwrap_or_default();
        if status.state != Progress::Running {
            break status;
        }
        if Instant::now() >= deadline {
            let exit_status = service.exit_status.to_string();
            let ended = Ended { result: service.result, status: exit_status, invocation: None };
            break report::settle(root, &ended).stage(Stage::Report)?.unwrap_or(status);
        }
        std::thread::sleep(STATUS_POLL);
    };
    recorder.status = status;
    outcome_of(&recorder.status)
}

/// The result of a settled status.
fn outcome_of(status: &Status) -> Result<u8, Failure> {
    if status.state != Progress::Failed {
        return Ok(0);
    }
    Err(Failure {
        stage: Stage::Start,
        error: status.error.clone().unwrap_or_default(),
        why: status.why.clone(),
        cure: status.cure.clone(),
        also: status.also.clone(),
    })
}

/// Makes kubeadm's configuration ready before Cluster API's own script, the one of its Ignition data, reads it.
fn prepare(args: &KubeadmPrepare) -> Result<u8, Failure> {
    let root = open_root(args.root.as_deref())?;
    // Flatcar from 4628 on has /etc as a configuration extension, from which nothing may run; Cluster API's data has its scripts
    // there (https://github.com/flatcar/Flatcar/issues/2166). Older ones let them run, and so does this one from here on.
    match root.allow_programs("/etc") {
        Ok(Change::Changed) => {
            log::info!("kubeadm-prepare: programs may run from /etc: its mount had noexec")
        }
        Ok(Change::Unchanged) => {}
        // Data without scripts there needs it not.
        Err(error) => log::warn!("kubeadm-prepare: {error:#}"),
    }
    // Templates' commands append proxies to it, and Flatcar from 4593 on has it as a link into /usr
    // (https://github.com/kubermatic/operating-system-manager/issues/589).
    match root.put_own("/etc/environment", MAX_ENVIRONMENT) {
        Ok(Change::Changed) => {
            log::info!("kubeadm-prepare: /etc/environment is a file of its own, and can be written")
        }
        Ok(Change::Unchanged) => {}
        Err(error) => log::warn!("kubeadm-prepare: {error:#}"),
    }
    if root.stands(plan::kubeadm::SCRIPT).stage(Stage::Apply)? {
        log::info!("kubeadm-prepare: the bootstrap is footplate's own, there is nothing to prepare");
        return Ok(0);
    }
    let ours = Ids { uid: Some(0), gid: Some(0) };
    root.put_dir(plan::RUN_DIR, 0o700, ours).stage(Stage::Apply)?;
    root.put(plan::kubeadm::PREPARED, b"", 0o600, ours).stage(Stage::Apply)?;
    let result = prepare_in(&args.file, &root);
    if let Err(failure) = &result {
        let mut status = state::read_status(&root).stage(Stage::Report)?.unwrap_or_default();
        status.version = 1;
        status.state = Progress::Failed;
        status.error = Some(format!("kubeadm-prepare: {}", failure.error));
        status.cure = failure.cure.clone();
        status.also = failure.also.clone();
        state::write_status(&root, &status).stage(Stage::Report)?;
    }
    result
}

fn prepare_in(file: &str, root: &Root) -> Result<u8, Failure> {
    let instance_id = state::read_status(root).stage(Stage::Report)?.and_then(|s| s.instance_id);
    let stamp = instance_id.map(|id| state::read_stamp(root, &id).stage(Stage::Apply)).transpose()?.flatten();
    if stamp.is_some_and(|s| s.result == Progress::Failed) {
        return Err(anyhow!("the bootstrap of this instance failed on an earlier boot"))
            .cure("a bootstrap runs once: delete the Machine")
            .stage(Stage::Start);
    }
    let mut values = Values::default();
    // What drop-ins of the cluster's template set goes before what footplate knows.
    for (name, value) in std::env::vars() {
        values.add(&name, &value);
    }
    let read = |path: &str| root.read(path, MAX_METADATA).stage(Stage::Apply);
    for path in [plan::metadata::OURS, plan::metadata::FLATCAR] {
        values.add_file(&String::from_utf8_lossy(&read(path)?.unwrap_or_default()));
    }
    if let Some(json) = read(plan::metadata::METADATA)? {
        values.metadata =
            serde_json::from_slice(&json).context(plan::metadata::METADATA).stage(Stage::Apply)?;
    }
    let missing = || anyhow!("{file}: there is no such file");
    let bytes = read(file)?.ok_or_else(missing).stage(Stage::Usage)?;
    let text =
        String::from_utf8(bytes).map_err(|_| anyhow!("{file}: not UTF-8 text")).stage(Stage::Decode)?;
    let (ready, done) = prepare::prepare(&text, &values).map_err(|problems| {
        let placed = problems.into_iter().map(|f| Problem { place: file.to_owned(), ..f });
        Failure::of_problems(&placed.collect::<Vec<_>>())
    })?;
    let meta = root.meta(file).stage(Stage::Apply)?;
    let ids = meta.map_or(Ids::default(), |m| Ids { uid: Some(m.uid), gid: Some(m.gid) });
    root.put(file, ready.as_bytes(), meta.map_or(0o600, |m| m.mode), ids).stage(Stage::Apply)?;
    let done = if done.is_empty() { "nothing to do".to_owned() } else { done.join(", ") };
    log::info!("kubeadm-prepare: {file}: {done}");
    Ok(0)
}

fn settle(source: &Source) -> Result<u8, Failure> {
    let root = open_root(None)?;
    let settled = report::settle(&root, &Ended::from_environment()).stage(Stage::Report)?;
    let Some(status) = settled else { return Ok(0) };
    match (&status.state, &status.error) {
        (Progress::Failed, Some(error)) => {
            log::error!("report: {error}");
        }
        (Progress::Done, _) => log::info!("report: the bootstrap succeeded"),
        _ => return Ok(0),
    }
    let platform = status.platform.as_deref().and_then(|id| Platform::by_id(PLATFORMS, id));
    let Some(report) = platform.and_then(|p| p.report) else { return Ok(0) };
    let world = world(source)?;
    let told = platform::Report {
        state: if status.state == Progress::Done { "done" } else { "failed" },
        error: status.error.as_deref(),
    };
    // The node is what it is, whether its platform hears of it or not.
    if let Err(error) = report(world.as_ref(), &told) {
        log::warn!("report: the platform was not told: {:#}", anyhow::Error::from(error));
    }
    Ok(0)
}

fn show_plan(args: &Provision) -> Result<u8, Failure> {
    let (world, root) = (world(&args.source)?, open_root(args.root.as_deref())?);
    let mut recorder = Recorder::new(None);
    let found = find(&mut recorder, &args.source, world.as_ref(), None)?;
    let rendered = render(&found.instance, &args.source, world.as_ref(), &root)?;
    let hidden = Hidden::find(&found, world.as_ref(), None)?;
    let missing = run_boothooks(None, &found, &root, hidden.as_ref())?;
    let hooks = missing.is_none();
    let decoded = read_user_data(&found, world.as_ref(), &root, hidden.as_ref(), missing.as_deref())?;
    if decoded.failed() {
        return Err(Failure::of_problems(&decoded.problems));
    }
    recorder.warn(&found.instance.problems);
    recorder.warn(&rendered.problems);
    recorder.warn(&decoded.problems);
    if hooks {
        let what = "boothooks run before the rest of the data is read: what they bring is not in this plan";
        recorder.warn(&[Problem::warning("", what)]);
    }
    let plan = make_plan(&found, &decoded, &rendered, &root)?;
    let outcomes = apply::compare(&plan, &root).stage(Stage::Apply)?;
    let start = plan.bootstrap.as_ref().map(|b| b.unit.as_str());
    let word = |done: Done| match done {
        Done::Unchanged => ("=", "unchanged"),
        Done::Absent => ("+", "create"),
        Done::Changed => ("~", "change"),
        Done::LeftOut => ("-", "left out"),
    };
    match args.format {
        Format::Json => {
            let item = |o: &Outcome| json!({ "what": o.what, "action": word(o.done).1, "detail": o.detail });
            print_json(&json!({
                "platform": found.candidate.platform.id,
                "because": found.candidate.because.to_string(),
                "instance_id": found.instance.instance_id,
                "changes": changes(&outcomes),
                "items": outcomes.iter().map(item).collect::<Vec<_>>(),
                "network": rendered.matches,
                "start": start,
                "warnings": recorder.status.warnings,
            }));
        }
        Format::Text => {
            let mut text = format!(
                "{} ({}), instance {}\n",
                found.candidate.platform.id, found.candidate.because, found.instance.instance_id
            );
            for matched in &rendered.matches {
                text += &format!("  network {matched}\n");
            }
            let width = outcomes.iter().map(|o| o.what.chars().count()).max().unwrap_or(0).min(72);
            for o in &outcomes {
                text += &format!("{} {:width$}  {}\n", word(o.done).0, o.what, o.detail);
            }
            if let Some(unit) = start {
                text += &format!("> start {unit}\n");
            }
            let changed = changes(&outcomes);
            text += &match changed {
                0 => "nothing to do: all is as it shall be\n".to_owned(),
                n => format!("{n} to change, {} as they shall be\n", outcomes.len() - n),
            };
            print(&text);
        }
    }
    Ok(if changes(&outcomes) == 0 { 0 } else { PENDING })
}

fn check(input: &Input) -> Result<u8, Failure> {
    let bytes = live::input(&input.file).map_err(|e| platform::failure(Stage::Usage, e))?;
    let text = String::from_utf8_lossy(&bytes);
    let (variables, mut decoded) = (Variables::assumed(), Decoded::default());
    match decode::bootstrap_secret(&text) {
        Ok(secret) => {
            let decode::Bootstrap { data, problems } =
                secret.unwrap_or_else(|| decode::Bootstrap { data: bytes.clone(), problems: Vec::new() });
            decoded = decode::user_data(Some(&data), None, &variables, &mut decode::document::no_fetch);
            decoded.problems.extend(problems);
            decoded.problems.extend(decode::kubeadm::expiry::problems(&decoded.config, crate::io::now()));
            decoded.problems.extend(platform::too_large_for(PLATFORMS, data.len()));
        }
        Err(problem) => decoded.problems.push(problem),
    }
    let code = if decoded.failed() { Stage::Decode.exit_code() } else { 0 };
    // A node that knows nothing but its data.
    let plan = if code == 0 { plan::node(&decoded.config, &Instance::default()) } else { Plan::default() };
    let (outline, start) = (apply::outline(&plan), plan.bootstrap.map(|b| b.unit));
    match input.format {
        Format::Json => print_json(&json!({
            "ok": code == 0,
            "files": decoded.config.files.iter().map(|f| &f.path).collect::<Vec<_>>(),
            "users": decoded.config.users.iter().map(|u| &u.name).collect::<Vec<_>>(),
            "commands": decoded.config.runcmd.len(),
            "items": outline.iter().map(|(what, detail)| json!({ "what": what, "detail": detail })).collect::<Vec<_>>(),
            "start": start,
            "findings": decoded.problems,
        })),
        Format::Text => {
            let mut out = String::new();
            for problem in &decoded.problems {
                let level = match problem.severity {
                    Severity::Note => "note",
                    Severity::Warning => "warning",
                    Severity::Error => "error",
                };
                out += &format!("{level}: {problem}\n");
                if let Some(cure) = &problem.cure {
                    out += &format!(" hint: {cure}\n");
                }
            }
            let width = outline.iter().map(|(what, _)| what.chars().count()).max().unwrap_or(0).min(72);
            for (what, detail) in &outline {
                out += format!("+ {what:width$}  {detail}").trim_end();
                out.push('\n');
            }
            out += &start.map(|unit| format!("> start {unit}\n")).unwrap_or_default();
            out += &match code {
                0 => format!("good: {}\n", decoded.config.summary()),
                _ => "not good: the node would stop before kubeadm\n".to_owned(),
            };
            print(&out);
        }
    }
    Ok(code)
}

fn render_network(input: &Input) -> Result<u8, Failure> {
    let bytes = live::input(&input.file).map_err(|e| platform::failure(Stage::Usage, e))?;
    let opened = envelope::open(&bytes).map_err(|what| Problem::error("", what));
    let opened = opened.map_err(|f| Failure::new(Stage::Decode, f.into()))?;
    let text = String::from_utf8(opened).map_err(|_| anyhow!("not UTF-8 text")).stage(Stage::Decode)?;
    let node = yaml::parse(&text).map_err(|f| Failure::new(Stage::Decode, f.into()))?;
    let (config, mut problems) = decode::network::parse(&node);
    // The files are for whatever machine; which NICs they would match is told of this one, to people.
    let rendered = plan::network::render(&config, &[]);
    problems.extend(rendered.problems.iter().cloned());
    let nics = online::links(&Live::default()).map(|links| online::nics(&links)).unwrap_or_default();
    let here = plan::network::render(&config, &nics);
    for problem in problems.iter().filter(|f| f.severity != Severity::Error) {
        log::warn!("{problem}");
    }
    if problems.iter().any(|f| f.severity == Severity::Error) {
        return Err(Failure::of_problems(&problems));
    }
    match input.format {
        Format::Json => {
            let files = rendered.files.iter().map(|f| (f.path.clone(), f.contents.clone().into()));
            print_json(&serde_json::Value::Object(files.collect()));
        }
        Format::Text => {
            here.matches.iter().for_each(|m| print(&format!("# on this machine, {m}\n")));
            for file in &rendered.files {
                print(&format!("# {}\n{}\n", file.path, file.contents));
            }
        }
    }
    Ok(0)
}

fn show_status(args: &crate::cli::Status) -> Result<u8, Failure> {
    let root = open_root(Some(&args.root))?;
    let deadline = Instant::now() + Duration::from_secs(args.timeout);
    let status = loop {
        let status = state::read_status(&root).stage(Stage::Report)?;
        let over = status.as_ref().is_some_and(|s| s.state != Progress::Running);
        if over || !args.wait || Instant::now() >= deadline {
            break status;
        }
        std::thread::sleep(STATUS_POLL);
    };
    let known = status.is_some();
    let status = status.unwrap_or(Status { version: 1, ..Status::default() });
    match args.format {
        Format::Json => print_json(&serde_json::to_value(&status).unwrap_or_default()),
        Format::Text if !known => print("running: footplate has not run yet on this boot\n"),
        Format::Text => print(&timeline::status_text(&status)),
    }
    Ok(match status.state {
        Progress::Done => 0,
        Progress::Failed => 1,
        Progress::Running => PENDING,
    })
}

/// The status under its root's path, also where it is part of a capture.
fn show_timeline(args: &crate::cli::Timeline) -> Result<u8, Failure> {
    let captured = args.replay.as_ref().map(|dir| dir.join("file"));
    let root = open_root(Some(captured.as_deref().unwrap_or(&args.root)))?;
    let status = state::read_status(&root).stage(Stage::Report)?;
    let status = status.context("footplate has not run there").stage(Stage::Report)?;
    match args.format {
        TimelineFormat::Json => print_json(&json!({ "stages": status.stages })),
        TimelineFormat::Text => print(&timeline::text(&status.stages)),
        TimelineFormat::Svg => print(&timeline::svg(&status.stages)),
    }
    Ok(0)
}

/// Asks all that a provision asks, and keeps the answers and the status of the last one.
fn capture(source: &Source, dir: &Path) -> Result<u8, Failure> {
    live::new_directory(dir)
        .cure("name a new directory: what was captured before is not mixed with this")
        .stage(Stage::Usage)?;
    let world = world(source)?;
    let capture = Capture::new(world.as_ref());
    // A machine whose metadata is broken is worth capturing most of all.
    let found = find(&mut Recorder::new(None), source, &capture, None);
    // What include lists bring is bootstrap data too: it is read for the picture, and not kept.
    let config =
        found.as_ref().map(|f| fetch_and_decode(f, world.as_ref(), None, None).config).unwrap_or_default();
    let status = Ask::File("/run/footplate/status.json");
    let _ = online::links(&capture).and_then(|_| Ok(capture.ask(status)?));
    let out = open_root(Some(dir))?;
    let answers = crate::capture::redact(capture.into_kept(), &config);
    for (name, bytes) in &answers {
        out.put(&format!("/{name}"), bytes, 0o600, Ids::default()).stage(Stage::Apply)?;
    }
    print(&format!("{} answers in {}\n", answers.len(), dir.display()));
    if let Err(failure) = found {
        log::warn!("captured, and provision would fail: {}: {}", failure.stage, failure.error);
    }
    Ok(0)
}

fn platforms(source: &Source, format: Format) -> Result<u8, Failure> {
    let world = world(source)?;
    let facts = platform::facts(world.as_ref()).stage(Stage::Detect)?;
    let found = platform::detect(PLATFORMS, &facts, wanted(source));
    let because = |id: &str| {
        let candidates = found.as_ref().map(|d| d.candidates.as_slice()).unwrap_or_default();
        candidates
            .iter()
            .position(|c| c.platform.id == id)
            .map(|rank| (rank, candidates[rank].because.to_string()))
    };
    let seen = platform::seen(&facts);
    match format {
        Format::Json => {
            let row = |p: &Platform| {
                let because = because(p.id);
                json!({
                    "id": p.id,
                    "name": p.name,
                    "network": p.local.is_none(),
                    "matches": because.is_some(),
                    "chosen": because.as_ref().is_some_and(|(rank, _)| *rank == 0),
                    "because": because.map(|(_, b)| b),
                    "seen": seen,
                })
            };
            print_json(&PLATFORMS.iter().map(row).collect());
        }
        Format::Text => {
            let mut text = format!("seen: {seen}\n");
            for p in PLATFORMS {
                let (mark, because) = match because(p.id) {
                    Some((0, because)) => ("*", because),
                    Some((_, because)) => ("+", because),
                    None => (" ", "-".to_owned()),
                };
                text += &format!("{mark} {:10} {:48} {because}\n", p.id, p.name);
            }
            text += &match &found {
                Ok(Detected { candidates, .. }) => format!(
                    "this machine: {}, because {}\n",
                    candidates[0].platform.id, candidates[0].because
                ),
                Err(error) => format!("this machine: not known: {error}\n"),
            };
            print(&text);
        }
    }
    Ok(0)
}

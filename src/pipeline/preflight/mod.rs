// SPDX-License-Identifier: Apache-2.0
//! Before kubeadm's `init` or `join`, and after a `join` that failed: the bootstrap's script asks here, with the words that it gives
//! to kubeadm.
//!
//! kubeadm is the judge: what is found here is told, and kubeadm runs all the same unless the policy says `preflight: stop`.

mod endpoint;
mod machine;
mod retry;

use std::time::{Duration, Instant};

pub use retry::{Next, after, written};

use super::recorder::Recorder;
use super::state;
use crate::decode::kubeadm::asked::{self, Asked};
use crate::io::http::proxies_of_environment;
use crate::io::root::Root;
use crate::model::policy::{Policy, Strictness};
use crate::model::problem::{Failure, Problem, Severity, Stage};
use crate::model::status::Progress;

/// Most bytes of a file that is read.
const MAX_FILE: usize = 1 << 20;

/// How often is looked whether what is waited for has come.
const POLL: Duration = Duration::from_secs(2);

/// How long is waited for what comes soon or never: containerd's socket, the signature of a token.
const SOON: Duration = Duration::from_secs(30);

/// What a check found.
#[derive(Debug)]
enum Found {
    /// Something that may yet come. It is waited for; a short time where it comes soon or never.
    NotYet(Problem, bool),
    /// Something that kubeadm can only fail for.
    Fails(Problem),
    /// Something that is worth to know.
    Odd(Problem),
}

impl Found {
    fn problem(self) -> Problem {
        let (Self::NotYet(problem, _) | Self::Fails(problem) | Self::Odd(problem)) = self;
        problem
    }
}

/// Looks at what kubeadm needs, and waits for what may yet come. Says whether kubeadm could
/// only fail, now and later.
///
/// # Errors
/// kubeadm is not to run: the policy says so, and it could only fail.
pub fn before(root: &Root, policy: &Policy, words: &[String]) -> Result<bool, Failure> {
    retry::remember(root);
    let path = std::env::var("PATH").unwrap_or_default();
    if let Some(problem) = machine::empty_kubeadm(root, &path) {
        return Err(stop(&mut recorder(root), vec![problem]));
    }
    if policy.preflight == Strictness::Off {
        return Ok(false);
    }
    let asked = read(root, words);
    let mut recorder = recorder(root);
    let mut found = machine::check(root, &asked);
    found.extend(wait(root, policy, &mut recorder, &asked));
    (recorder.status.state, recorder.status.reason) = (Progress::Running, None);
    let for_good = found.iter().any(|f| matches!(f, Found::Fails(_) | Found::NotYet(_, true)));
    let (odd, fails): (Vec<Found>, Vec<Found>) = found.into_iter().partition(|f| matches!(f, Found::Odd(_)));
    let [fails, mut problems] =
        [fails, odd].map(|found| found.into_iter().map(Found::problem).collect::<Vec<_>>());
    if !fails.is_empty() && policy.preflight == Strictness::Stop {
        recorder.warn(&problems);
        let error = |problem| Problem { severity: Severity::Error, ..problem };
        return Err(stop(&mut recorder, fails.into_iter().map(error).collect()));
    }
    problems.splice(0..0, fails);
    // What was told before an earlier attempt is not told twice.
    problems.retain(|problem| !recorder.status.problems.contains(problem));
    recorder.warn(&problems);
    // The log has it: a full disk is no reason against kubeadm.
    if let Err(failure) = recorder.save() {
        log::warn!("preflight: the status is not written: {failure}");
    }
    Ok(for_good)
}

fn recorder(root: &Root) -> Recorder<'_> {
    let mut recorder = Recorder::new(Some(root));
    recorder.status = state::read_status(root).ok().flatten().unwrap_or_default();
    recorder
}

/// Keeps kubeadm from running.
fn stop(recorder: &mut Recorder<'_>, problems: Vec<Problem>) -> Failure {
    let failure = Failure { stage: Stage::Kubeadm, problems };
    recorder.fail(&failure);
    failure
}

/// What kubeadm is asked for by its words and by the configuration that they name.
fn read(root: &Root, words: &[String]) -> Asked {
    let text = asked::config_path(words).and_then(|path| root.read(path, MAX_FILE).ok().flatten());
    asked::asked(words, &String::from_utf8_lossy(&text.unwrap_or_default()))
}

/// Waits until nothing that is looked at may yet come, or for as long as the policy says, and tells of it every ten seconds.
fn wait(root: &Root, policy: &Policy, recorder: &mut Recorder<'_>, asked: &Asked) -> Vec<Found> {
    // kubeadm needs time too: half of it is its own.
    let limit = policy.endpoint_wait.min(policy.bootstrap_wait / 2);
    let (begun, mut soon) = (Instant::now(), None);
    loop {
        let mut found: Vec<Found> = machine::runtime(root, asked).into_iter().collect();
        found.extend(endpoint::check(root, asked, &proxies_of_environment()));
        let not_yet = found.iter().filter_map(|f| match f {
            Found::NotYet(problem, soon) => Some((problem, *soon)),
            _ => None,
        });
        // What takes long is waited for first.
        let not_yet = not_yet.min_by_key(|(_, soon)| *soon);
        let fails = found.iter().any(|f| matches!(f, Found::Fails(_)));
        let Some((problem, comes_soon)) = not_yet.filter(|_| !fails) else { return found };
        // The short time begins when nothing else is waited for.
        let since = if comes_soon { *soon.get_or_insert_with(Instant::now) } else { begun };
        soon = soon.filter(|_| comes_soon);
        let limit = if comes_soon { SOON.min(limit) } else { limit };
        if since.elapsed() >= limit {
            return found;
        }
        // A status that can't be written now is written at the end.
        let _ = recorder.wait_for(problem.to_string(), limit.saturating_sub(since.elapsed()));
        std::thread::sleep(POLL);
    }
}

/// What may pass, in a check's words.
fn problem(place: &str, what: impl Into<String>, code: &'static str, cure: &str) -> Problem {
    Problem::warning(place, what).code(code).cure(cure)
}

// SPDX-License-Identifier: Apache-2.0
//! Tells how the node stands, wherever somebody listens: the journal, the console, a file of Cluster API's directory,
//! monitoring, the platform, and the machine's Node object. At the begin, before kubeadm, at a failure of any stage, and at the end. This is the only place that does.
//!
//! A report never fails the boot: what could not be told is a warning, and is told again at the next boot.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::condition;
use super::context::Context;
use super::metrics;
use super::notice;
use super::settle::{self, Ended};
use super::state;
use crate::model::problem::{Failure, In as _, Stage};
use crate::model::status::{Progress, Status};
use crate::platform::{PLATFORMS, Platform, Report};

/// The kinds of journal entries, by which `journalctl MESSAGE_ID=…` finds them. `units/footplate.catalog` explains each.
mod message_id {
    /// The bootstrap failed.
    pub(super) const FAILED: &str = "c7b2ba1d9727400888cebbd973d380d0";
    /// The bootstrap succeeded.
    pub(super) const SUCCEEDED: &str = "600ebcc726b64c17a8bf90f5e7bd7d24";
    /// The platform could not be told, or bootstrap data could not be removed from it.
    pub(super) const NOT_TOLD: &str = "fa9371d633554ee3bdf67071292e587d";
}

/// Settles the result of a bootstrap that has ended, and tells it.
///
/// # Errors
/// The result can't be written down.
pub fn settled(context: &Context, ended: &Ended) -> Result<(), Failure> {
    let Some(status) = settle::settle(&context.root, ended).stage(Stage::Report)? else { return Ok(()) };
    match (status.state, status.error()) {
        (Progress::Failed, Some(error)) => {
            log::error!(MESSAGE_ID = message_id::FAILED, code = status.code().unwrap_or_default(); "report: {error}");
            notice::put(context, &status);
        }
        (Progress::Done, _) => {
            log::info!(MESSAGE_ID = message_id::SUCCEEDED; "report: the bootstrap succeeded");
            notice::remove(&context.root);
        }
        _ => return Ok(()),
    }
    tell(context, &status);
    // Last, since it may take the longest: an API server is another machine, or one of this machine's that just began.
    condition::put(context, &status);
    Ok(())
}

/// Records and tells that footplate itself was ended before it had a result.
///
/// # Errors
/// The result can't be written down.
pub fn aborted(context: &Context, ended: &Ended) -> Result<(), Failure> {
    let Some(status) = settle::aborted(&context.root, ended).stage(Stage::Report)? else { return Ok(()) };
    let failure = status.failure().map_or(Ok(()), Err);
    self::ended(context, &status, &failure);
    Ok(())
}

/// Tells the end of a run: to the journal, the console and the file for a failure, and to the platform.
pub fn ended(context: &Context, status: &Status, result: &Result<(), Failure>) {
    match result {
        Ok(()) => notice::remove(&context.root),
        Err(failure) => {
            let text = failure.to_string();
            let text = text.trim_start_matches("error: ");
            log::error!(MESSAGE_ID = message_id::FAILED, code = status.code().unwrap_or_default(); "{text}");
            notice::put(context, status);
        }
    }
    tell(context, status);
}

/// Tells the platform and monitoring of a status. Of a node that is made below another root they are not told: it is not the machine
/// that runs.
pub fn tell(context: &Context, status: &Status) {
    if !context.is_the_machine() {
        return;
    }
    metrics::put(context, status);
    let platform = status.platform.as_deref().and_then(|id| Platform::by_id(PLATFORMS, id));
    let Some(report) = platform.and_then(|p| p.report) else { return };
    let (error, code) = (status.error_and_why(), status.code());
    if !context.policy.report_platform {
        return;
    }
    let done = status.state == Progress::Done && context.policy.delete_user_data;
    let spent = done && was_bootstrapped(context, status);
    let told = Report {
        state: status.state.name(),
        phase: status.phase(),
        code: code.as_deref(),
        error: error.as_deref(),
        whole: &whole(status),
        spent,
    };
    // The node is what it is, whether its platform hears of it or not.
    if let Err(error) = report(context.world(), &told) {
        let error = anyhow::Error::from(error);
        if spent {
            log::error!(
                MESSAGE_ID = message_id::NOT_TOLD;
                "report: the platform was not told all, and bootstrap data may be left there, where every process of this \
                 machine can read it: {error:#}; the next boot tries again"
            );
        } else {
            log::warn!(MESSAGE_ID = message_id::NOT_TOLD; "report: the platform was not told all: {error:#}");
        }
    }
}

/// The status in gzip and base64. Of too many problems the last ones are left out; the first error stays to the end.
fn whole(status: &Status) -> String {
    let mut status = status.clone();
    status.problems.sort_by_key(|problem| !problem.is_error());
    loop {
        let packed = pack(&status).unwrap_or_default();
        if packed.len() <= Report::MOST {
            return packed;
        }
        if status.problems.is_empty() {
            return String::new();
        }
        status.problems.truncate(status.problems.len() / 2);
    }
}

fn pack(status: &Status) -> anyhow::Result<String> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&serde_json::to_vec(status)?)?;
    Ok(STANDARD.encode(encoder.finish()?))
}

/// Whether the bootstrap of this instance succeeded; a member of a cluster is never bootstrapped again. Data without commands
/// is applied at each boot, and so is needed again.
fn was_bootstrapped(context: &Context, status: &Status) -> bool {
    let stamp = status.instance_id.as_ref().map(|id| state::read_stamp(&context.root, id));
    matches!(stamp, Some(Ok(Some(stamp))) if stamp.result == Progress::Done)
        || settle::is_member(&context.root).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::problem::Problem;

    #[test]
    fn every_kind_of_entry_is_explained() {
        let catalog = include_str!("../../units/footplate.catalog");
        let explained: Vec<&str> = catalog.lines().filter_map(|l| l.strip_prefix("-- ")).collect();
        assert_eq!(explained, [message_id::FAILED, message_id::SUCCEEDED, message_id::NOT_TOLD]);
    }

    #[test]
    fn the_whole_report_fits_and_keeps_the_errors() {
        let mut noise = 7u64;
        let mut word = || {
            noise = noise.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            format!("{noise:016x}")
        };
        let mut status = Status { platform: Some("vmware".to_owned()), ..Status::default() };
        status.problems.extend((0..20_000).map(|_| Problem::warning(word(), word())));
        status.fail(&Failure::new(Stage::Apply, Problem::error("write_files[0]", "is a directory")));
        let packed = whole(&status);
        assert!(packed.len() <= Report::MOST && packed.len() > Report::MOST / 4, "{}", packed.len());
        let mut text = String::new();
        let bytes = STANDARD.decode(packed).unwrap();
        std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&*bytes), &mut text).unwrap();
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read["error"], "apply: write_files[0]: is a directory");
        assert_eq!(read["problems"][0]["place"], "write_files[0]");
        // One problem that is longer than the report is left out; the rest is told.
        let long: String = (0..9000).map(|_| word()).collect();
        status.fail(&Failure::new(Stage::Apply, Problem::error("", long)));
        assert!(!whole(&status).is_empty());
    }
}

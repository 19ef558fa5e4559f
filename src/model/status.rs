// SPDX-License-Identifier: Apache-2.0
//! How a boot goes, as `status.json` and the stamp of an instance tell it.
//!
//! Both hold the problems whole. The older fields (`error`, `why`, `hint`, `also`, `warnings`) are written beside them from
//! the same problems, for programs that read those, and are read where an older version of footplate wrote the file.

use serde::{Deserialize, Serialize};

use super::problem::{Failure, Problem, Severity, Stage};

/// How the bootstrap stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Progress {
    /// It is under way, or footplate has not run yet.
    #[default]
    Running,
    /// It waits for something outside of this machine; the status says for what.
    Waiting,
    /// It succeeded.
    Done,
    /// The data asks for no bootstrap; the status says why.
    #[serde(rename = "nothing-to-do")]
    NothingToDo,
    /// It failed; the problems say why.
    Failed,
}

impl Progress {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Running, Self::Waiting, Self::Done, Self::NothingToDo, Self::Failed];

    /// Whether the run has not ended.
    pub fn is_under_way(self) -> bool {
        matches!(self, Self::Running | Self::Waiting)
    }

    /// `running`, `waiting`, `done`, `nothing-to-do` or `failed`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Done => "done",
            Self::NothingToDo => "nothing-to-do",
            Self::Failed => "failed",
        }
    }
}

/// How this boot goes, for people and for monitoring. No field holds a value of user-data.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "WrittenStatus", into = "WrittenStatus")]
pub struct Status {
    /// How it stands.
    pub state: Progress,
    /// What is waited for; or why there was nothing to do: `no-user-data`, `no-bootstrap` where the data has no commands, or
    /// `condition`.
    pub reason: Option<String>,
    /// The platform's id.
    pub platform: Option<String>,
    /// The evidence for that platform.
    pub because: Option<String>,
    /// The instance's id.
    pub instance_id: Option<String>,
    /// The machine's name.
    pub hostname: Option<String>,
    /// The stages so far, in their order.
    pub stages: Vec<StageStatus>,
    /// kubeadm's own exit status, once it ended.
    pub kubeadm_exit_status: Option<i32>,
    /// The runs of kubeadm that failed.
    pub attempts: Vec<Attempt>,
    /// The stage that failed.
    pub failed: Option<Stage>,
    /// What went wrong there, and what else is worth knowing.
    pub problems: Vec<Problem>,
}

impl Status {
    /// Keeps a failure in place of an earlier one.
    pub fn fail(&mut self, failure: &Failure) {
        self.succeed();
        self.state = Progress::Failed;
        self.failed = Some(failure.stage);
        self.problems.splice(0..0, failure.problems.iter().cloned());
    }

    /// Forgets an earlier failure. Warnings stay.
    pub fn succeed(&mut self) {
        self.state = Progress::Done;
        (self.reason, self.failed) = (None, None);
        self.problems.retain(|p| !p.is_error());
    }

    /// The failure that ended the run.
    pub fn failure(&self) -> Option<Failure> {
        let stage = self.failed.unwrap_or(Stage::Start);
        (self.state == Progress::Failed).then(|| Failure::of(stage, &self.problems))
    }

    /// The failure in one line, such as `apply: /etc/a: is a directory`; kubeadm's is told without its stage.
    pub fn error(&self) -> Option<String> {
        let first = self.problems.iter().find(|p| p.is_error())?;
        Some(match self.failed {
            Some(stage) if !stage.is_bootstrap() => format!("{stage}: {first}"),
            _ => first.to_string(),
        })
    }

    /// The same with the first reasons behind it, for who is told one line alone; what kubeadm failed for is in its line itself.
    pub fn error_and_why(&self) -> Option<String> {
        let first = self.problems.iter().find(|p| p.is_error())?;
        let why = if self.failed.is_some_and(Stage::is_bootstrap) { &[][..] } else { &first.why };
        let parts: Vec<String> = self.error().into_iter().chain(why.iter().take(2).cloned()).collect();
        Some(parts.join(": "))
    }

    /// The stage that failed, else the last one that began.
    pub fn phase(&self) -> Option<&str> {
        self.failed.map(Stage::name).or_else(|| self.stages.last().map(|stage| stage.name.as_str()))
    }

    /// The stable name of the failure: the problem's own code, or `STAGE/failed` where it has none.
    pub fn code(&self) -> Option<String> {
        let first = self.problems.iter().find(|p| p.is_error())?;
        Some(match (first.code.as_ref(), self.phase()) {
            ("", Some(phase)) => format!("{phase}/failed"),
            (code, _) => code.to_owned(),
        })
    }
}

/// A stage.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageStatus {
    /// The name of a [`Stage`]; another version of footplate may have more of them.
    pub name: String,
    /// How it stands.
    pub state: Progress,
    /// When it began, in milliseconds since the kernel started.
    pub started_ms: u64,
    /// How long it took, in milliseconds.
    pub ms: u64,
    /// What it did, in a line.
    #[serde(default)]
    pub summary: String,
    /// The exit status, where it is a command that has ended by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_status: Option<i32>,
    /// What it consists of, such as the data's commands and kubeadm's phases.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<StageStatus>,
}

/// A `kubeadm init` or `join` that failed, and what followed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// When it began, in milliseconds since the kernel started.
    pub started_ms: u64,
    /// How long it took, in milliseconds.
    pub ms: u64,
    /// kubeadm's exit status.
    pub exit_status: i32,
    /// What followed, in words: that it was tried again, or why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub then: Option<String>,
}

impl Attempt {
    /// In words for a person.
    pub fn told(&self) -> String {
        let then = self.then.iter().map(|then| format!(", {then}")).collect::<String>();
        format!("exit status {} after {} s{then}", self.exit_status, self.ms.div_ceil(1000))
    }
}

/// Says that an instance was bootstrapped, or that its bootstrap failed: it is not tried again either way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "WrittenStamp", into = "WrittenStamp")]
pub struct Stamp {
    /// The instance's id.
    pub instance_id: String,
    /// How it ended.
    pub result: Progress,
    /// The stage that failed.
    pub failed: Option<Stage>,
    /// What went wrong.
    pub problems: Vec<Problem>,
    /// kubeadm's own exit status.
    pub kubeadm_exit_status: Option<i32>,
    /// The boot in which it ended, by its id in the journal (32 digits of hexadecimal).
    pub boot_id: Option<String>,
}

impl Stamp {
    /// The end that a status tells of this instance, in the boot of that id.
    pub fn of(instance_id: &str, status: &Status, boot_id: Option<String>) -> Self {
        Self {
            boot_id,
            instance_id: instance_id.to_owned(),
            result: status.state,
            failed: status.failed,
            problems: status.problems.iter().filter(|p| p.is_error()).cloned().collect(),
            kubeadm_exit_status: status.kubeadm_exit_status,
        }
    }
}

/// The version of both forms that is written. A reader takes what it knows of a newer one.
pub const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct WrittenStatus {
    version: u32,
    state: Progress,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    platform: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    because: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    instance_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hostname: Option<String>,
    #[serde(default)]
    stages: Vec<StageStatus>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kubeadm_exit_status: Option<i32>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    attempts: Vec<Attempt>,
    #[serde(flatten)]
    told: Told,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct WrittenStamp {
    version: u32,
    instance_id: String,
    result: Progress,
    #[serde(flatten)]
    told: Told,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kubeadm_exit_status: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    boot_id: Option<String>,
}

/// A failure as it is written: whole, and in the words of the older fields.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Told {
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    why: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    also: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failed: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    problems: Vec<Problem>,
}

impl Told {
    fn of(error: Option<String>, failed: Option<Stage>, problems: Vec<Problem>) -> Self {
        let mut errors = problems.iter().filter(|p| p.is_error());
        let first = errors.next();
        Self {
            error,
            why: first.map(|p| p.why.clone()).unwrap_or_default(),
            hint: first.and_then(|p| p.cure.clone()),
            also: errors.map(Problem::on_a_line).collect(),
            failed: failed.map(|stage| stage.name().to_owned()),
            problems,
        }
    }

    /// The stage and the problems; those of a version that wrote lines only are made of these.
    fn read(self, warnings: Vec<String>) -> (Option<Stage>, Vec<Problem>) {
        let Self { error, why, hint, also, failed, problems } = self;
        let mut failed = failed.as_deref().and_then(Stage::by_name);
        if !problems.is_empty() {
            return (failed, problems);
        }
        let mut read: Vec<Problem> = Vec::new();
        if let Some(error) = error {
            let split = error.split_once(": ").and_then(|(name, what)| Some((Stage::by_name(name)?, what)));
            let what = split.map_or(error.as_str(), |(_, what)| what);
            failed = split.map(|(stage, _)| stage);
            read.push(Problem { why, cure: hint, ..Problem::error("", what) });
        }
        read.extend(also.into_iter().map(|line| Problem::error("", line)));
        read.extend(warnings.into_iter().map(|line| Problem::warning("", line)));
        (failed, read)
    }
}

impl From<Status> for WrittenStatus {
    fn from(status: Status) -> Self {
        let error = status.error();
        let Status {
            state,
            reason,
            platform,
            because,
            instance_id,
            hostname,
            stages,
            kubeadm_exit_status,
            attempts,
            failed,
            problems,
        } = status;
        let warnings = problems.iter().filter(|p| p.severity < Severity::Error).map(Problem::in_the_log);
        Self {
            version: VERSION,
            state,
            reason,
            platform,
            because,
            instance_id,
            hostname,
            stages,
            kubeadm_exit_status,
            attempts,
            warnings: warnings.collect(),
            told: Told::of(error, failed, problems),
        }
    }
}

impl From<WrittenStatus> for Status {
    fn from(written: WrittenStatus) -> Self {
        let WrittenStatus {
            version: _,
            state,
            reason,
            platform,
            because,
            instance_id,
            hostname,
            stages,
            kubeadm_exit_status,
            attempts,
            told,
            warnings,
        } = written;
        let (failed, problems) = told.read(warnings);
        Self {
            state,
            reason,
            platform,
            because,
            instance_id,
            hostname,
            stages,
            kubeadm_exit_status,
            attempts,
            failed,
            problems,
        }
    }
}

impl From<Stamp> for WrittenStamp {
    fn from(stamp: Stamp) -> Self {
        let Stamp { instance_id, result, failed, problems, kubeadm_exit_status, boot_id } = stamp;
        let status = Status { failed, problems, ..Status::default() };
        let told = Told::of(status.error(), failed, status.problems);
        Self { version: VERSION, instance_id, result, told, kubeadm_exit_status, boot_id }
    }
}

impl From<WrittenStamp> for Stamp {
    fn from(written: WrittenStamp) -> Self {
        let WrittenStamp { version: _, instance_id, result, told, kubeadm_exit_status, boot_id } = written;
        let (failed, problems) = told.read(Vec::new());
        Self { instance_id, result, failed, problems, kubeadm_exit_status, boot_id }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed() -> Status {
        let mut status = Status { platform: Some("vmware".to_owned()), ..Status::default() };
        status.problems.push(Problem::warning("a", "has no effect").cure("remove it"));
        let problems = vec![
            Problem::error("write_files[0]", "is a directory").cure("choose another path"),
            Problem::error("users[1]", "is missing").cure("add it"),
        ];
        status.fail(&Failure { stage: Stage::Apply, problems });
        status
    }

    #[test]
    fn what_is_written_is_read_again_and_has_the_older_fields() {
        let status = failed();
        let json = serde_json::to_value(&status).unwrap();
        assert_eq!(serde_json::from_value::<Status>(json.clone()).unwrap(), status);
        assert_eq!(json["error"], "apply: write_files[0]: is a directory");
        assert_eq!(json["hint"], "choose another path");
        assert_eq!(json["also"][0], "users[1]: is missing; hint: add it");
        assert_eq!(json["warnings"][0], "a: has no effect; remove it");
        let stamp = Stamp::of("i-1", &status, Some("5e1f".to_owned()));
        let json = serde_json::to_value(&stamp).unwrap();
        assert_eq!(json["error"], "apply: write_files[0]: is a directory");
        assert_eq!(serde_json::from_value::<Stamp>(json).unwrap(), stamp);
    }

    #[test]
    fn who_hears_one_line_hears_the_reasons_too() {
        let why = || ["a".to_owned(), "b".to_owned(), "c".to_owned()].to_vec();
        let mut status = Status::default();
        assert_eq!(status.error_and_why(), None);
        for (stage, want) in [(Stage::Fetch, "fetch: no answer: a: b"), (Stage::Kubeadm, "no answer")] {
            let problem = Problem { why: why(), ..Problem::error("", "no answer") };
            status.fail(&Failure::new(stage, problem));
            assert_eq!(status.error_and_why().as_deref(), Some(want));
        }
    }

    #[test]
    fn other_versions_are_read() {
        let older = r#"{"version": 1, "state": "failed", "error": "fetch: no answer", "hint": "wait", "warnings": ["w"]}"#;
        let status: Status = serde_json::from_str(older).unwrap();
        assert_eq!(status.failed, Some(Stage::Fetch));
        assert_eq!(status.problems[0], Problem::error("", "no answer").cure("wait"));
        assert_eq!(status.error().as_deref(), Some("fetch: no answer"));
        assert_eq!(status.problems[1], Problem::warning("", "w"));
        let newer = r#"{"version": 9, "state": "failed", "failed": "teleport", "error": "x", "more": [],
            "problems": [{"level": "error", "place": "", "what": "x", "code": "a/b", "else": 1}]}"#;
        let status: Status = serde_json::from_str(newer).unwrap();
        assert_eq!((status.failed, status.problems[0].code.as_ref()), (None, "a/b"));
    }

    #[test]
    fn a_success_forgets_the_failure_and_keeps_warnings() {
        let mut status = failed();
        status.succeed();
        assert_eq!((status.state, status.failure().is_none()), (Progress::Done, true));
        assert_eq!(status.problems, [Problem::warning("a", "has no effect").cure("remove it")]);
    }
}

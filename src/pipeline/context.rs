// SPDX-License-Identifier: Apache-2.0
//! What a run works on: where the machine's answers come from, and where the node is made.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use crate::decode::policy;
use crate::io::World;
use crate::io::live::Live;
use crate::io::replay::{self, Replay};
use crate::io::root::Root;
use crate::model::policy::Policy;
use crate::model::problem::{Failure, In as _, Problem, Stage, WithCure as _};
use crate::platform::Wanted;

/// Where metadata and bootstrap data come from, and how long they are waited for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// Where they come from.
    pub place: Place,
    /// How long the machine's platform may take, whatever the policy says.
    pub patience: Option<Duration>,
}

/// Where metadata and bootstrap data come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Place {
    /// The machine itself, on whichever platform it is.
    #[default]
    Machine,
    /// The machine itself, on the platform of this name.
    Platform(String),
    /// A NoCloud directory.
    Seed(PathBuf),
    /// A directory with a machine's recorded answers, and what was asked for when they were recorded or is asked for now.
    Replay {
        /// The directory.
        dir: PathBuf,
        /// The platform's name.
        platform: Option<String>,
        /// The NoCloud directory.
        seed: Option<String>,
    },
}

impl Place {
    /// A directory of recorded answers. Without `platform` the one is taken that the capture was told.
    pub fn replay(dir: &Path, platform: Option<&str>) -> Self {
        let (named, seed) = if platform.is_some() { (None, None) } else { replay::asked_for(dir) };
        Self::Replay { dir: dir.to_owned(), platform: platform.map(str::to_owned).or(named), seed }
    }
}

impl Source {
    /// What it says of the platform.
    pub fn wanted(&self) -> Wanted<'_> {
        match &self.place {
            Place::Platform(name) => Wanted { platform: Some(name), seed: None },
            Place::Seed(dir) => Wanted { platform: None, seed: dir.to_str() },
            Place::Replay { platform, seed, .. } => {
                Wanted { platform: platform.as_deref(), seed: seed.as_deref() }
            }
            Place::Machine => Wanted::default(),
        }
    }

    /// The answers. The machine itself is asked as the policy says.
    ///
    /// # Errors
    /// A recorded machine's directory can't be read.
    pub fn world(&self, policy: &Policy) -> Result<Rc<dyn World>, Failure> {
        match &self.place {
            Place::Replay { dir, .. } => Ok(Rc::new(Replay::open(dir).stage(Stage::Usage)?)),
            Place::Machine | Place::Platform(_) | Place::Seed(_) => {
                let metadata_wait = self.patience.unwrap_or(policy.metadata_wait);
                Ok(Rc::new(Live::with_policy(Policy { metadata_wait, ..policy.clone() })))
            }
        }
    }
}

/// One run: a source, its answers and a root.
pub struct Context {
    /// Where the answers come from.
    pub source: Source,
    /// The answers.
    pub world: Rc<dyn World>,
    /// Where the node is made.
    pub root: Root,
    /// What its image decides.
    pub policy: Policy,
    /// What is wrong in the files of the policy.
    pub policy_problems: Vec<Problem>,
}

impl Context {
    /// The source's answers, and the root directory at `root`; the running machine's own without one.
    ///
    /// # Errors
    /// The directory of either can't be opened.
    pub fn open(source: Source, root: Option<&Path>) -> Result<Self, Failure> {
        let root = open_root(root)?;
        let (policy, policy_problems) = policy(&root);
        Ok(Self { world: source.world(&policy)?, root, source, policy, policy_problems })
    }

    /// The answers of a world that is given, and a node that no policy is for.
    pub fn of(source: Source, world: Rc<dyn World>, root: Root) -> Self {
        Self { source, world, root, policy: Policy::default(), policy_problems: Vec::new() }
    }

    /// Whether the policy's files are right.
    ///
    /// # Errors
    /// All that is wrong in them.
    pub fn check_policy(&self) -> Result<(), Failure> {
        match self.policy_problems.as_slice() {
            [] => Ok(()),
            problems => Err(Failure::of(Stage::Usage, problems)),
        }
    }

    /// The answers.
    pub fn world(&self) -> &dyn World {
        self.world.as_ref()
    }

    /// Whether the root is the machine that answers: its links are then those that the network's files are for.
    pub fn is_the_machine(&self) -> bool {
        self.root.live() || matches!(self.source.place, Place::Replay { .. })
    }
}

/// The policy of the image below a root, and what is wrong in its files.
pub fn policy(root: &Root) -> (Policy, Vec<Problem>) {
    let (mut policy, mut problems) = (Policy::default(), Vec::new());
    for file in policy::FILES {
        let found = match root.read(file, policy::MAX_FILE) {
            Ok(None) => continue,
            Ok(Some(bytes)) => policy::read(&String::from_utf8_lossy(&bytes), &mut policy),
            Err(error) => vec![Problem::error("", format!("{error:#}")).cure("make it a file of text")],
        };
        let placed = |p: Problem| Problem {
            place: format!("{file}: {}", p.place).trim_end_matches(": ").to_owned(),
            ..p
        };
        problems.extend(found.into_iter().map(placed));
    }
    (policy, problems)
}

/// The root directory at `path`; the running machine's own without one.
///
/// # Errors
/// It can't be opened.
pub fn open_root(path: Option<&Path>) -> Result<Root, Failure> {
    let live = path.is_none();
    Root::open(path.unwrap_or(Path::new("/")), live)
        .cure("--root takes a directory that exists")
        .stage(if live { Stage::Apply } else { Stage::Usage })
}

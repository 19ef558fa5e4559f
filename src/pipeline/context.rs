// SPDX-License-Identifier: Apache-2.0
//! What a run works on: where the machine's answers come from, and where the node is made.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::io::World;
use crate::io::live::Live;
use crate::io::replay::Replay;
use crate::io::root::Root;
use crate::model::problem::{Failure, In as _, Stage, WithCure as _};
use crate::platform::Wanted;

/// Where metadata and bootstrap data come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// The machine itself, on whichever platform it is.
    #[default]
    Machine,
    /// The machine itself, on the platform of this name.
    Platform(String),
    /// A NoCloud directory.
    Seed(PathBuf),
    /// A directory with a machine's recorded answers.
    Replay(PathBuf),
}

impl Source {
    /// What it says of the platform.
    pub fn wanted(&self) -> Wanted<'_> {
        match self {
            Self::Platform(name) => Wanted { platform: Some(name), seed: None },
            Self::Seed(dir) => Wanted { platform: None, seed: dir.to_str() },
            Self::Machine | Self::Replay(_) => Wanted::default(),
        }
    }

    /// The answers.
    ///
    /// # Errors
    /// A recorded machine's directory can't be read.
    pub fn world(&self) -> Result<Rc<dyn World>, Failure> {
        match self {
            Self::Replay(dir) => Ok(Rc::new(Replay::open(dir).stage(Stage::Usage)?)),
            Self::Machine | Self::Platform(_) | Self::Seed(_) => Ok(Rc::new(Live::default())),
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
}

impl Context {
    /// The source's answers, and the root directory at `root`; the running machine's own without one.
    ///
    /// # Errors
    /// The directory of either can't be opened.
    pub fn open(source: Source, root: Option<&Path>) -> Result<Self, Failure> {
        Ok(Self { world: source.world()?, root: open_root(root)?, source })
    }

    /// The answers.
    pub fn world(&self) -> &dyn World {
        self.world.as_ref()
    }

    /// Whether the root is the machine that answers: its links are then those that the network's files are for.
    pub fn is_the_machine(&self) -> bool {
        self.root.live() || matches!(self.source, Source::Replay(_))
    }
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

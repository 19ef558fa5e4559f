// SPDX-License-Identifier: Apache-2.0
//! What a test cannot do without: root, programs, packages, a network.
//!
//! As root, what is missing is installed, and a test whose need is not met fails. Without root, such a test is left out:
//! it counts as passed, and the last lines of the run name it and its need.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::{Mutex, Once, PoisonError};

use super::scratch::Ran;

/// What a need brings, or why it is not met.
pub type Need<T = ()> = Result<T, String>;

/// Gives what a need brings. Leaves the test out, or makes it fail, where the need is not met. It stands in the test
/// itself, for it returns from there: `needs!(root("files have owners"))`.
macro_rules! needs {
    ($need:expr) => {{
        #[allow(unused_imports, reason = "a need names some of them")]
        use $crate::common::needs::{program, programs, root};
        match $crate::common::needs::met($need) {
            Some(met) => met,
            None => return,
        }
    }};
}

/// Root's rights; `why` says what for.
pub fn root(why: &str) -> Need {
    if is_root() { Ok(()) } else { Err(format!("root: {why}")) }
}

/// A program, and Debian's package that brings it.
pub fn program(program: &str, package: &str) -> Need {
    programs(&[&format!("{program}:{package}")])
}

/// Several of them, each as `PROGRAM:PACKAGE`.
pub fn programs(needs: &[&str]) -> Need {
    said(Command::new("timeout").args(["1500", "tests/apt", "need"]).args(needs))
}

/// A command that must succeed; the need is what it says on standard error.
pub fn said(command: &mut Command) -> Need {
    let ran = Ran::of(command);
    if ran.code == 0 { Ok(()) } else { Err(ran.err.trim().to_owned()) }
}

/// See [`needs`].
#[track_caller]
pub fn met<T>(need: Need<T>) -> Option<T> {
    match need {
        Ok(met) => Some(met),
        Err(missing) if is_root() => panic!("this test needs {missing}"),
        Err(missing) => {
            leave_out(missing);
            None
        }
    }
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// The tests that are left out, by what is missing.
static LEFT_OUT: Mutex<BTreeMap<String, BTreeSet<String>>> = Mutex::new(BTreeMap::new());

/// Notes that the calling thread's test is left out.
fn leave_out(missing: String) {
    static AT_EXIT: Once = Once::new();
    // libtest names each test's thread after the test.
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let mut left_out = LEFT_OUT.lock().unwrap_or_else(PoisonError::into_inner);
    left_out.entry(missing).or_default().insert(test);
    // SAFETY: the handler is a function of this program, and lives as long as the program.
    AT_EXIT.call_once(|| assert_eq!(unsafe { libc::atexit(tell) }, 0));
}

/// Prints what was left out, after all that libtest prints.
extern "C" fn tell() {
    let left_out = LEFT_OUT.lock().unwrap_or_else(PoisonError::into_inner);
    let count: usize = left_out.values().map(BTreeSet::len).sum();
    eprintln!(
        "left out: {count} tests, because of what is missing here (tests/run as root leaves out none):"
    );
    for (missing, tests) in left_out.iter() {
        eprintln!("  {missing}");
        tests.iter().for_each(|test| eprintln!("    {test}"));
    }
}

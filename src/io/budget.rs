// SPDX-License-Identifier: Apache-2.0
//! What a run may take while it reads data from outside: memory and CPU time, each in one sum for the whole run.
//!
//! The decoders have bounds of their own, which name the place. This one holds whatever the data is: a run that takes more ends
//! at once, by an error that is told.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use nix::libc;
use nix::time::{ClockId, ClockNanosleepFlags, clock_nanosleep};

use crate::model::problem::{Failure, Problem, Stage};

/// Bytes that may be allocated at a time. With the program itself, its stacks and what the allocator wastes it is less than 64 MiB.
const MEMORY: usize = 52 << 20;

/// Seconds of CPU time.
const CPU: Duration = Duration::from_secs(10);

/// Bytes from which an allocation is given back to the system as soon as it is freed.
const LARGE: libc::c_int = 256 << 10;

/// Stack of the thread that tells of spent time.
const STACK: usize = 1 << 20;

static USED: AtomicUsize = AtomicUsize::new(0);
static LIMIT: AtomicUsize = AtomicUsize::new(usize::MAX);
static TOLD: AtomicBool = AtomicBool::new(false);

type Tell = Box<dyn Fn(&Failure) + Send + Sync>;
static TELL: OnceLock<Tell> = OnceLock::new();

/// The system's allocator, which counts.
struct Counted;

#[global_allocator]
static ALLOCATOR: Counted = Counted;

/// What an allocation takes of memory: glibc has a word for itself, and its units are 16 bytes.
fn cost(size: usize) -> usize {
    (size.saturating_add(8).next_multiple_of(16)).max(32)
}

fn take(size: usize) {
    let cost = cost(size);
    if USED.fetch_add(cost, Ordering::Relaxed).saturating_add(cost) > LIMIT.load(Ordering::Relaxed) {
        spent(|| format!("it takes more than {} MiB of memory to read this data", MEMORY >> 20));
    }
}

fn give(size: usize) {
    USED.fetch_sub(cost(size), Ordering::Relaxed);
}

// SAFETY: each call is handed on to the system's allocator as it came. What is done beside counts, or ends the process.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        take(layout.size());
        // SAFETY: the caller keeps to the rules of this function, which are the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        take(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        give(layout.size());
        take(size);
        // SAFETY: as above.
        unsafe { System.realloc(old, layout, size) }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        give(layout.size());
        // SAFETY: as above.
        unsafe { System.dealloc(old, layout) }
    }
}

/// Begins to hold this run to its budget. Where it takes more, `tell` is called once, on any thread and in the middle of
/// whatever was done, and then the process ends with the exit code of data that can't be used.
pub fn begin(tell: impl Fn(&Failure) + Send + Sync + 'static) {
    // What is freed must be the system's again: otherwise the sum of what is in use says little.
    for (setting, value) in [(libc::M_MMAP_THRESHOLD, LARGE), (libc::M_ARENA_MAX, 1)] {
        // SAFETY: the call takes two numbers. One that it does not know changes nothing.
        unsafe { libc::mallopt(setting, value) };
    }
    if TELL.set(Box::new(tell)).is_err() {
        return;
    }
    LIMIT.store(MEMORY, Ordering::Relaxed);
    let watch = || {
        let clock = ClockId::CLOCK_PROCESS_CPUTIME_ID;
        let ended = clock_nanosleep(clock, ClockNanosleepFlags::TIMER_ABSTIME, &CPU.into());
        if ended.is_ok() && LIMIT.load(Ordering::Relaxed) != usize::MAX {
            spent(|| format!("it takes more than {} seconds of CPU time to read this data", CPU.as_secs()));
        }
    };
    // Without the thread the bounds of the decoders are left.
    let _ = thread::Builder::new().stack_size(STACK).spawn(watch);
}

/// The data has been read: what follows is not counted.
pub fn end() {
    LIMIT.store(usize::MAX, Ordering::Relaxed);
}

#[cold]
fn spent(what: fn() -> String) -> ! {
    // What is allocated from here on tells of the end.
    end();
    if TOLD.swap(true, Ordering::SeqCst) {
        // Another thread tells, and ends the process.
        loop {
            thread::park();
        }
    }
    let problem = Problem::error("", what())
        .cure("make the data smaller: fewer and smaller files, no long chains of aliases, simpler templates");
    if let Some(tell) = TELL.get() {
        tell(&Failure::new(Stage::Decode, problem));
    }
    std::process::exit(Stage::Decode.exit_code().into())
}

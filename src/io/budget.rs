// SPDX-License-Identifier: Apache-2.0
//! What a run may take while it reads data from outside: memory and CPU time, each in one sum for the whole run.
//!
//! The decoders have bounds of their own, which name the place. This one holds whatever the data is: a run that takes more ends
//! at once, by an error that is told.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, Thread};
use std::time::Duration;

use nix::libc;
use nix::time::{ClockId, ClockNanosleepFlags, clock_nanosleep};

use crate::model::problem::{Failure, Problem, Stage};

/// Bytes that the allocator may have of the system: the heap, which is what is small and the holes between that, and what is large. With the
/// program itself and its stacks it is less than 64 MiB.
const MEMORY: usize = 58 << 20;

/// Seconds of CPU time.
const CPU: Duration = Duration::from_secs(10);

/// Bytes from which an allocation has pages of its own: they are the system's again as soon as it is freed, it grows without being
/// copied, and leaves no hole when it shrinks. In smaller ones the unused end of the last page would be a large part.
const LARGE: usize = 64 << 10;

/// How long it may take to tell. After that the process ends with its exit code and a line on standard error alone; systemd then
/// starts `report --provision`, which writes the status.
const PATIENCE: Duration = Duration::from_secs(5);

/// Stack of the threads that watch and tell.
const STACK: usize = 1 << 20;

/// Bytes of what is large.
static USED: AtomicUsize = AtomicUsize::new(0);
static LIMIT: AtomicUsize = AtomicUsize::new(usize::MAX);
/// Where the heap ended when the run began.
static HEAP: AtomicUsize = AtomicUsize::new(0);
/// What ended the run.
static SPENT: OnceLock<Failure> = OnceLock::new();

/// The thread that tells. It is there from the begin on: the one that reads the data has no right to start it.
static TELLER: OnceLock<Thread> = OnceLock::new();

/// The system's allocator, which counts.
struct Counted;

#[global_allocator]
static ALLOCATOR: Counted = Counted;

/// What is taken counts as long as it is there if it is large, and else as a part of the heap.
fn take(size: usize) {
    let size = if size < LARGE { 0 } else { size };
    let used = USED.fetch_add(size, Ordering::Relaxed).saturating_add(size);
    let heap = end_of_heap().saturating_sub(HEAP.load(Ordering::Relaxed));
    let limit = LIMIT.load(Ordering::Relaxed);
    if used.saturating_add(heap) > limit {
        spent(|| format!("it takes more than {} MiB of memory to read this data", limit >> 20));
    }
}

fn give(size: usize) {
    if size >= LARGE {
        USED.fetch_sub(size, Ordering::Relaxed);
    }
}

fn end_of_heap() -> usize {
    // SAFETY: by nothing the heap is neither moved nor changed.
    unsafe { libc::sbrk(0) }.addr()
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
        if size < LARGE && layout.size() >= LARGE {
            // The system's allocator would leave it its pages, and nobody would count them.
            // SAFETY: the size is within what the old layout allows, the bytes of both are there and apart, and the old ones are the caller's
            // to give up.
            return unsafe {
                let new = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
                if !new.is_null() {
                    new.copy_from_nonoverlapping(old, size);
                    self.dealloc(old, layout);
                }
                new
            };
        }
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

/// Begins to hold this run to its budget. Where it takes more, `tell` is called once, on a thread of its own and in the middle of
/// whatever was done, and then the process ends with the exit code of data that can't be used. No thread may be there before this: its
/// heap would be another one.
pub fn begin(tell: impl Fn(&Failure) + Send + 'static) {
    hold(MEMORY, CPU, tell);
}

fn hold(memory: usize, cpu: Duration, tell: impl Fn(&Failure) + Send + 'static) {
    // What is freed must be the system's again: otherwise the sum of what is in use says little. glibc keeps what is small in lists of
    // its own, where it does not join its neighbours (M_MXFAST): the heap was twice as large as what was in it.
    for (setting, value) in
        [(libc::M_MMAP_THRESHOLD, LARGE as libc::c_int), (libc::M_ARENA_MAX, 1), (libc::M_MXFAST, 0)]
    {
        // SAFETY: the call takes two numbers. One that it does not know changes nothing.
        unsafe { libc::mallopt(setting, value) };
    }
    let teller = move || {
        loop {
            if let Some(failure) = SPENT.get() {
                tell(failure);
                exit();
            }
            thread::park();
        }
    };
    // Without the thread the process ends with its exit code and a line on standard error.
    if let Ok(teller) = thread::Builder::new().stack_size(STACK).spawn(teller) {
        let _ = TELLER.set(teller.thread().clone());
    }
    HEAP.store(end_of_heap(), Ordering::Relaxed);
    LIMIT.store(memory, Ordering::Relaxed);
    let watch = move || {
        let clock = ClockId::CLOCK_PROCESS_CPUTIME_ID;
        let ended = clock_nanosleep(clock, ClockNanosleepFlags::TIMER_ABSTIME, &cpu.into());
        if ended.is_ok() && LIMIT.load(Ordering::Relaxed) != usize::MAX {
            spent(|| format!("it takes more than {} seconds of CPU time to read this data", cpu.as_secs()));
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
fn spent(what: impl Fn() -> String) -> ! {
    // What is allocated from here on tells of the end.
    end();
    let text = what();
    let problem = Problem::error("", text.as_str())
        .cure("make the data smaller: fewer and smaller files, no long chains of aliases, simpler templates");
    let failure = Failure::new(Stage::Decode, problem);
    if SPENT.set(failure).is_err() {
        // It is being told already, and the process ends.
        loop {
            thread::park();
        }
    }
    // This thread stopped within an allocation, and may hold a lock that is needed to tell.
    if let Some(teller) = TELLER.get() {
        teller.unpark();
        thread::sleep(PATIENCE);
    }
    let line = format!("error: {}: {text}\n", Stage::Decode.name());
    // Standard error may be closed.
    let _ = nix::unistd::write(std::io::stderr(), line.as_bytes());
    exit()
}

fn exit() -> ! {
    // SAFETY: it ends the process without handlers, which may need a lock that another thread holds.
    unsafe { libc::_exit(Stage::Decode.exit_code().into()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};
    use std::sync::Mutex;
    use std::time::Instant;

    const CASE: &str = "FOOTPLATE_BUDGET_TEST";
    static LOCK: Mutex<()> = Mutex::new(());

    fn waste() {
        let mut kept = Vec::new();
        while kept.len() < 4_000 {
            kept.push(vec![1_u8; 4096]);
        }
    }

    /// What the test does in a process of its own, since the budget is one for the process and ends it.
    fn child(case: &str) {
        let told = |failure: &Failure| {
            drop(LOCK.lock());
            eprintln!("told: {failure}");
        };
        match case {
            "memory" => {
                hold(8 << 20, CPU, told);
                waste();
            }
            "a lock of the same thread" => {
                hold(8 << 20, CPU, told);
                let _held = LOCK.lock();
                waste();
            }
            "time" => {
                hold(MEMORY, Duration::from_secs(1), told);
                let start = Instant::now();
                while start.elapsed() < Duration::from_secs(60) {}
            }
            _ => {
                hold(8 << 20, Duration::from_secs(1), told);
                end();
                waste();
                let start = Instant::now();
                while start.elapsed() < Duration::from_secs(2) {}
            }
        }
    }

    #[test]
    fn a_run_that_takes_too_much_is_told_and_ends() {
        if let Ok(case) = std::env::var(CASE) {
            return child(&case);
        }
        for (case, code, says) in [
            ("memory", 65, "told: error: decode: it takes more than 8 MiB of memory to read this data"),
            ("a lock of the same thread", 65, "error: decode: it takes more than 8 MiB of memory"),
            ("time", 65, "told: error: decode: it takes more than 1 seconds of CPU time to read this data"),
            ("the end", 0, ""),
        ] {
            let name = "io::budget::tests::a_run_that_takes_too_much_is_told_and_ends";
            let mut command = Command::new(std::env::current_exe().unwrap());
            command.args(["--exact", name, "--nocapture"]).env(CASE, case).stdin(Stdio::null());
            // The threads of tests begin before this, and would have heaps of their own.
            command.env("GLIBC_TUNABLES", "glibc.malloc.arena_max=1");
            let start = Instant::now();
            let output = command.output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(code), "{case}: {said}");
            assert!(said.contains(says), "{case}: {said}");
            assert_eq!(said.matches("it takes more than").count(), usize::from(code != 0), "{case}: {said}");
            assert!(start.elapsed() < Duration::from_secs(30), "{case}: {:?}", start.elapsed());
        }
    }
}

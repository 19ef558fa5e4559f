// SPDX-License-Identifier: Apache-2.0
//! A thread that reads what comes from outside, metadata and data, and has no right to do anything else: it opens no file and no socket
//! and starts nothing. What it needs of the machine, and what the data names elsewhere, it asks of the thread that called it, which
//! also tells what it logs.
//!
//! This holds against a decoder, or a library below one, that is led to reach out for something. It does not hold against one whose
//! memory is corrupted, since threads share it: against that stands that no decoder has `unsafe` code.

use std::cell::RefCell;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Once, PoisonError};
use std::thread;

use anyhow::{Context as _, Result};
use log::{Level, Record};
use nix::errno::Errno;
use nix::libc;

use super::guestinfo;

/// Stack of the thread: as much as the main thread has, for what stands within one another in the data.
const STACK: usize = 8 << 20;

/// The architecture that a filter sees, `AUDIT_ARCH_…` of linux/audit.h.
#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xc000_00b7;

/// The calls that a thread needs which takes memory, waits for another thread, and ends.
const CALLS: &[libc::c_long] = &[
    libc::SYS_brk,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_futex,
    libc::SYS_getpid,
    libc::SYS_getrandom,
    libc::SYS_gettid,
    libc::SYS_madvise,
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rseq,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_yield,
    libc::SYS_set_robust_list,
    libc::SYS_sigaltstack,
    libc::SYS_tgkill,
];

/// A line for the log: its level, its target and its text.
type Line = (Level, String, String);

/// Lines that are not logged yet.
type Lines = Arc<Mutex<Vec<Line>>>;

thread_local! {
    /// Where a thread without rights puts what it logs.
    static LINES: RefCell<Option<Lines>> = const { RefCell::new(None) };
}

/// Hands what is logged to the thread that can write it, where this one can't. Gives whether it did.
pub fn hand_over(record: &Record<'_>) -> bool {
    LINES.with_borrow(|lines| {
        let line = (record.level(), record.target().to_owned(), record.args().to_string());
        lines.as_ref().map(|lines| lock(lines).push(line)).is_some()
    })
}

/// Logs what was handed over.
fn log(lines: &Lines) {
    for (level, target, text) in std::mem::take(&mut *lock(lines)) {
        log::log!(target: &target, level, "{text}");
    }
}

/// What it guards is whole between any two of its changes.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What two threads hand each other, one at a time.
struct Talk<Q, A> {
    said: Mutex<Said<Q, A>>,
    changed: Condvar,
}

enum Said<Q, A> {
    Nothing,
    Asked(Q),
    Answered(A),
    /// One of them is gone.
    Ended,
}

impl<Q, A> Talk<Q, A> {
    fn say(&self, said: Said<Q, A>) {
        *lock(&self.said) = said;
        self.changed.notify_all();
    }

    /// Waits for a question or for an answer. The end stays.
    fn hear(&self, question: bool) -> Said<Q, A> {
        let mut said = lock(&self.said);
        loop {
            match &*said {
                Said::Ended => return Said::Ended,
                Said::Asked(_) if question => break,
                Said::Answered(_) if !question => break,
                _ => said = self.changed.wait(said).unwrap_or_else(PoisonError::into_inner),
            }
        }
        std::mem::replace(&mut said, Said::Nothing)
    }
}

/// Tells the other thread, however this one ends.
struct Part<'a, Q, A>(&'a Talk<Q, A>);

impl<Q, A> Drop for Part<'_, Q, A> {
    fn drop(&mut self) {
        self.0.say(Said::Ended);
    }
}

/// Does `work` in a thread without rights. What it asks for by its argument, `serve` answers on the thread of the caller.
///
/// # Errors
/// The machine has no room for another thread.
pub fn run<T: Send, Q: Send, A: Send>(
    work: impl FnOnce(&mut dyn FnMut(Q) -> Option<A>) -> T + Send,
    mut serve: impl FnMut(Q) -> A,
) -> Result<T> {
    let talk = Talk { said: Mutex::new(Said::Nothing), changed: Condvar::new() };
    let lines = Lines::default();
    thread::scope(|scope| {
        let (here, there, handed) = (Part(&talk), Part(&talk), lines.clone());
        let confined = move || {
            // The whole of it, which ends with this thread; what is used below alone is the reference in it.
            let there = there;
            LINES.set(Some(handed));
            if let Err(error) = confine() {
                static TOLD: Once = Once::new();
                // Such as an emulated machine, or a kernel without seccomp.
                TOLD.call_once(|| {
                    log::warn!(
                        "the data is read without a sandbox, for this kernel lacks seccomp filters: {error}"
                    );
                });
            }
            work(&mut |question| {
                there.0.say(Said::Asked(question));
                if let Said::Answered(answer) = there.0.hear(false) { Some(answer) } else { None }
            })
        };
        let thread = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, confined);
        let thread = thread.context("a thread to read the data")?;
        while let Said::Asked(question) = here.0.hear(true) {
            log(&lines);
            here.0.say(Said::Answered(serve(question)));
        }
        let done = thread.join();
        log(&lines);
        Ok(done.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

/// Takes this thread's rights away for good
/// ([seccomp](https://www.kernel.org/doc/html/latest/userspace-api/seccomp_filter.html)). What it may not do fails with `EPERM`.
fn confine() -> nix::Result<()> {
    guestinfo::give_up_ports();
    let mut filter = filter();
    let program = libc::sock_fprog {
        len: u16::try_from(filter.len()).unwrap_or_default(),
        filter: filter.as_mut_ptr(),
    };
    nix::sys::prctl::set_no_new_privs()?;
    let mode = libc::SECCOMP_MODE_FILTER;
    // SAFETY: the program points to a whole filter of its length; both live for the call, and the kernel copies them.
    Errno::result(unsafe { libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const program) }).map(drop)
}

/// What is allowed, as a program of the kernel's packet filter over `struct seccomp_data`, where the number of the call is at byte 0, the
/// architecture at 4, the first argument at 16: [`CALLS`], messages on standard error, and threads, which have no more rights. The
/// library asks for those by `clone3`, whose arguments a filter does not see, and where that is missing by `clone`.
fn filter() -> Vec<libc::sock_filter> {
    const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    const EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    const HAS: u32 = libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K;
    let step =
        |code: u32, k: u32, yes: u8, no: u8| libc::sock_filter { code: code as u16, jt: yes, jf: no, k };
    let end = |k: u32| step(libc::BPF_RET | libc::BPF_K, k, 0, 0);
    let (allowed, refused) =
        (end(libc::SECCOMP_RET_ALLOW), end(libc::SECCOMP_RET_ERRNO | libc::EPERM as u32));
    let missing = end(libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32);
    let mut filter = vec![step(LOAD, 4, 0, 0), step(EQUAL, ARCHITECTURE, 1, 0), refused, step(LOAD, 0, 0, 0)];
    let mut answer = |call: libc::c_long, end| filter.extend([step(EQUAL, call as u32, 0, 1), end]);
    CALLS.iter().for_each(|call| answer(*call, allowed));
    answer(libc::SYS_clone3, missing);
    for (call, test, value) in [
        (libc::SYS_write, EQUAL, libc::STDERR_FILENO as u32),
        (libc::SYS_clone, HAS, libc::CLONE_THREAD as u32),
    ] {
        filter.extend([step(EQUAL, call as u32, 0, 4), step(LOAD, 16, 0, 0), step(test, value, 0, 1)]);
        filter.extend([allowed, refused]);
    }
    filter.push(refused);
    filter
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};
    use std::net::{TcpListener, UdpSocket};
    use std::os::unix::net::UnixDatagram;
    use std::process::Command;

    #[test]
    fn the_thread_may_think_and_ask_and_nothing_else() {
        let there = std::env::temp_dir();
        let path = there.join(format!("footplate-confined-{}", std::process::id()));
        let tried = || -> Vec<(&str, std::io::Result<()>)> {
            vec![
                ("read", File::open("/etc/passwd").map(drop)),
                ("write", File::create(&path).map(drop)),
                ("make", fs::create_dir(&path)),
                ("remove", fs::remove_file(&there)),
                ("list", fs::read_dir("/").map(drop)),
                ("look", fs::metadata("/etc").map(drop)),
                ("listen", TcpListener::bind("127.0.0.1:0").map(drop)),
                ("bind", UdpSocket::bind("127.0.0.1:0").map(drop)),
                ("bus", UnixDatagram::unbound().map(drop)),
                ("start", Command::new("/bin/true").status().map(drop)),
                ("print", nix::unistd::write(std::io::stdout(), b"x").map(drop).map_err(Into::into)),
            ]
        };
        let work = |ask: &mut dyn FnMut(u32) -> Option<u32>| {
            let heap: Vec<u8> = (0..3_000_000_u32).map(|n| n as u8).collect();
            let deeper = std::thread::spawn(|| File::open("/etc/passwd").is_err());
            assert!(deeper.join().unwrap(), "a thread of this one has more rights");
            (tried(), ask(20).unwrap() + ask(1).unwrap(), heap.len())
        };
        let (tried, sum, heap) = run(work, |n| n * 2).unwrap();
        for (what, result) in tried {
            let error = result.err().unwrap_or_else(|| panic!("{what} was allowed"));
            assert_eq!(error.raw_os_error(), Some(libc::EPERM), "{what}: {error}");
        }
        assert_eq!((sum, heap), (42, 3_000_000));
        // The thread that called it has all that it had.
        assert!(File::open("/etc/passwd").is_ok() && UnixDatagram::unbound().is_ok());
    }
}

// SPDX-License-Identifier: Apache-2.0
//! A thread that reads data from outside, and has no right to do anything else: it opens no file and no socket and starts nothing. What
//! the data names elsewhere it asks of the thread that called it.
//!
//! This holds against a decoder, or a library below one, that is led to reach out for something. It does not hold against one whose
//! memory is corrupted, since threads share it: against that stands that no decoder has `unsafe` code.

use std::sync::mpsc;
use std::thread;

use anyhow::{Context as _, Result};
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

/// Does `work` in a thread without rights. What it asks for by its argument, `serve` answers on the thread of the caller.
///
/// # Errors
/// The machine has no room for another thread.
pub fn run<T: Send, Q: Send, A: Send>(
    work: impl FnOnce(&mut dyn FnMut(Q) -> Option<A>) -> T + Send,
    mut serve: impl FnMut(Q) -> A,
) -> Result<T> {
    thread::scope(|scope| {
        let (question, questions) = mpsc::channel();
        let (answer, answers) = mpsc::channel();
        let confined = move || {
            if let Err(error) = confine() {
                // Such as an emulated machine, or a kernel without seccomp.
                log::warn!(
                    "the data is read without a sandbox, for this kernel lacks seccomp filters: {error}"
                );
            }
            // The other end is there until this one is gone.
            work(&mut |q| question.send(q).ok().and_then(|()| answers.recv().ok()))
        };
        let thread = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, confined);
        let thread = thread.context("a thread to read the data")?;
        for asked in questions {
            if answer.send(serve(asked)).is_err() {
                break;
            }
        }
        Ok(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
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

// SPDX-License-Identifier: Apache-2.0
//! Starts the program so that it and all its children are traced, and stop when they ask for I/O privilege.

use std::ffi::CString;
use std::{io, ptr};

use crate::tracee::Tracee;

/// `AUDIT_ARCH_X86_64` of `linux/audit.h`: what a seccomp filter sees for a 64-bit caller. The numbers of the
/// system calls below have other meanings for a 32-bit one.
const AUDIT_ARCH_X86_64: u32 = 0xc000_003e;

/// The offsets of `nr` and `arch` in `struct seccomp_data`.
const SECCOMP_DATA_NR: u32 = 0;
const SECCOMP_DATA_ARCH: u32 = 4;

/// The system calls that give a process the right to touch I/O ports. The real ones must not run: the host may refuse
/// them, and where it does not, the I/O instructions would reach the host's ports instead of us.
const PRIVILEGE_CALLS: [u32; 2] = [libc::SYS_iopl as u32, libc::SYS_ioperm as u32];

/// Starts `command`, found through PATH, traced by this thread.
pub fn start(command: &[String]) -> io::Result<Tracee> {
    let arguments = command.iter().map(|word| CString::new(word.as_str())).collect::<Result<Vec<_>, _>>()?;
    let mut pointers: Vec<_> = arguments.iter().map(|argument| argument.as_ptr()).collect();
    pointers.push(ptr::null());
    // SAFETY: this process has a single thread, so the child may do anything; it ends in `execute`.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        // SAFETY: `pointers` is ended by a null and points into `arguments`, which outlives it.
        0 => unsafe { execute(&pointers) },
        child => Tracee::seize(child),
    }
}

/// In the child: waits to be seized, asks the kernel to stop at the calls for privilege, becomes the program.
///
/// # Safety
/// `arguments` must hold pointers to C strings and end with a null.
unsafe fn execute(arguments: &[*const libc::c_char]) -> ! {
    // SAFETY: `raise` takes a signal, `execvp` what the caller vouches for, `perror` a C string.
    unsafe {
        libc::raise(libc::SIGSTOP);
        if stop_at_privilege_calls().is_ok() {
            libc::execvp(arguments[0], arguments.as_ptr());
        }
        libc::perror(c"vmware-host: cannot start the command".as_ptr());
        libc::_exit(127)
    }
}

/// A seccomp filter: `iopl` and `ioperm` stop for the tracer, which answers them; all else runs at full speed.
fn stop_at_privilege_calls() -> io::Result<()> {
    let [iopl, ioperm] = PRIVILEGE_CALLS;
    // The jumps count the instructions to skip when the comparison holds, and when it does not.
    let instruction = |code, k, jt, jf| libc::sock_filter { code: code as u16, jt, jf, k };
    let load = |offset| instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset, 0, 0);
    let equals = |k, jt, jf| instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, k, jt, jf);
    let answer = |k| instruction(libc::BPF_RET | libc::BPF_K, k, 0, 0);
    let mut filter = [
        load(SECCOMP_DATA_ARCH),
        equals(AUDIT_ARCH_X86_64, 0, 3),
        load(SECCOMP_DATA_NR),
        equals(iopl, 2, 0),
        equals(ioperm, 1, 0),
        answer(libc::SECCOMP_RET_ALLOW),
        answer(libc::SECCOMP_RET_TRACE),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: `program` points to `filter`, and both live through the calls, which only read them.
    unsafe {
        let install = || libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program);
        // Without privilege the kernel wants PR_SET_NO_NEW_PRIVS first. With it that is left alone, since it would
        // change what the program's setuid children can do.
        if install() != 0 && (libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || install() != 0) {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

// SPDX-License-Identifier: Apache-2.0
//! ptrace and wait, made safe to call. See ptrace(2).

use std::fs::{File, OpenOptions};
use std::{io, mem, ptr};

/// The registers of a stopped thread.
pub type Registers = libc::user_regs_struct;

/// A thread that we trace. Calls fail with ESRCH when it was killed meanwhile.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tracee(pub libc::pid_t);

/// Why a thread stopped.
pub enum Event {
    /// It is gone; the exit status, or 128 + the signal that ended it.
    Ended(u8),
    /// Job control stopped it.
    Stopped,
    /// It was just born, or started another, or goes on after a stop.
    Resumed,
    /// It has become another program, which has not run yet.
    Executed,
    /// It has called `iopl` or `ioperm`, which have not run yet.
    PrivilegeCall,
    /// It is about to receive this signal.
    Signal(i32),
}

/// Waits for the next event of any tracee. `None` when there are none left.
pub fn wait() -> io::Result<Option<(Tracee, Event)>> {
    let mut status = 0;
    // SAFETY: `status` is ours to write to.
    let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::__WALL) };
    if pid < 0 {
        let error = io::Error::last_os_error();
        return if error.raw_os_error() == Some(libc::ECHILD) { Ok(None) } else { Err(error) };
    }
    let event = if libc::WIFEXITED(status) {
        Event::Ended(libc::WEXITSTATUS(status) as u8)
    } else if libc::WIFSIGNALED(status) {
        Event::Ended(128 + libc::WTERMSIG(status) as u8)
    } else {
        match (status >> 16, libc::WSTOPSIG(status)) {
            (0, signal) => Event::Signal(signal),
            (libc::PTRACE_EVENT_SECCOMP, _) => Event::PrivilegeCall,
            (libc::PTRACE_EVENT_EXEC, _) => Event::Executed,
            (libc::PTRACE_EVENT_STOP, libc::SIGSTOP | libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU) => {
                Event::Stopped
            }
            _ => Event::Resumed,
        }
    };
    Ok(Some((Tracee(pid), event)))
}

impl Tracee {
    /// Takes over a child that has stopped itself or is about to, and lets it go on.
    pub fn seize(child: libc::pid_t) -> io::Result<Self> {
        let options = libc::PTRACE_O_TRACECLONE
            | libc::PTRACE_O_TRACEFORK
            | libc::PTRACE_O_TRACEVFORK
            | libc::PTRACE_O_TRACEEXEC
            | libc::PTRACE_O_TRACESECCOMP
            | libc::PTRACE_O_EXITKILL;
        let mut status = 0;
        let tracee = Self(child);
        // SAFETY: `status` is ours to write to; `kill` only takes numbers.
        if unsafe { libc::waitpid(child, &raw mut status, libc::WUNTRACED) } < 0 {
            return Err(io::Error::last_os_error());
        }
        tracee.request(libc::PTRACE_SEIZE, ptr::null_mut(), options as usize as *mut _)?;
        // SAFETY: as above.
        unsafe { libc::kill(child, libc::SIGCONT) };
        Ok(tracee)
    }

    /// Lets it run, delivering a signal unless that is 0.
    pub fn resume(self, signal: i32) -> io::Result<()> {
        self.request(libc::PTRACE_CONT, ptr::null_mut(), signal as usize as *mut _)
    }

    /// Leaves it stopped until SIGCONT.
    pub fn listen(self) -> io::Result<()> {
        self.request(libc::PTRACE_LISTEN, ptr::null_mut(), ptr::null_mut())
    }

    pub fn registers(self) -> io::Result<Registers> {
        // SAFETY: all of its fields are integers.
        let mut registers: Registers = unsafe { mem::zeroed() };
        self.request(libc::PTRACE_GETREGS, ptr::null_mut(), (&raw mut registers).cast())?;
        Ok(registers)
    }

    pub fn set_registers(self, mut registers: Registers) -> io::Result<()> {
        self.request(libc::PTRACE_SETREGS, ptr::null_mut(), (&raw mut registers).cast())
    }

    /// Its memory, as a file whose offsets are addresses. A tracer may write where the program itself may not.
    pub fn memory(self) -> io::Result<File> {
        // The name of a process that is gone is not found: to our callers that is what ESRCH says.
        OpenOptions::new().read(true).write(true).open(format!("/proc/{}/mem", self.0)).map_err(|error| {
            match error.kind() {
                io::ErrorKind::NotFound => io::Error::from_raw_os_error(libc::ESRCH),
                _ => error,
            }
        })
    }

    /// `data` is a number or points to what the request reads or writes: the callers above see to that.
    fn request(
        self,
        request: libc::c_uint,
        address: *mut libc::c_void,
        data: *mut libc::c_void,
    ) -> io::Result<()> {
        // SAFETY: the callers pass the kind of data that their request wants, and it lives through the call.
        match unsafe { libc::ptrace(request, self.0, address, data) } {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    }
}

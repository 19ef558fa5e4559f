// SPDX-License-Identifier: Apache-2.0
//! Runs an unmodified x86-64 program under ptrace and plays VMware's hypervisor for it.
//!
//! A guest talks to VMware by I/O instructions on two magic ports. Outside of VMware they fault in user mode, the
//! kernel makes that fault a SIGSEGV, and a tracer sees the signal before the program does: the registers hold the
//! request, so the answer is written into them and the program goes on after the instruction, none the wiser.
//!
//! | Module    | What it knows                                                                    |
//! |-----------|----------------------------------------------------------------------------------|
//! | `options` | the command line                                                                 |
//! | `launch`  | starting the program: ptrace, and the filter that stops it at `iopl` and `ioperm` |
//! | `tracee`  | ptrace and wait, made safe to call                                               |
//! | `port`    | the I/O instructions and the message layer on them                               |
//! | `rpc`     | the commands inside the messages, the folder of keys, the log                    |
//! | `cpuid`   | the CPUID instruction                                                            |

mod cpuid;
mod launch;
mod options;
mod port;
mod rpc;
mod tracee;

use std::io;
use std::process::ExitCode;

use options::{Command, Options};
use port::{Hypervisor, Taken};
use tracee::{Event, Tracee};

/// What `env`, `timeout` and other programs that run programs answer when they fail themselves.
const EXIT_OWN_FAILURE: u8 = 125;

fn main() -> ExitCode {
    let options = match options::parse(std::env::args().skip(1)) {
        Ok(Command::Run(options)) => options,
        Ok(Command::Help) => {
            print!("{}", options::HELP);
            return ExitCode::SUCCESS;
        }
        Err(why) => {
            eprintln!("vmware-host: {why}\nTry 'vmware-host --help'.");
            return ExitCode::from(EXIT_OWN_FAILURE);
        }
    };
    match run(options) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("vmware-host: {error}");
            ExitCode::from(EXIT_OWN_FAILURE)
        }
    }
}

/// Runs the program and whatever it starts to the last one's end; returns the program's own exit status.
fn run(options: Options) -> io::Result<u8> {
    let program = launch::start(&options.command)?;
    let patch_cpuid = options.cpuid;
    let mut hypervisor = Hypervisor::new(options)?;
    let mut status = EXIT_OWN_FAILURE;
    while let Some((tracee, event)) = tracee::wait()? {
        match event {
            Event::Ended(ended) => {
                hypervisor.forget(tracee);
                if tracee == program {
                    status = ended;
                }
                continue;
            }
            Event::Stopped => tracee.listen(),
            Event::Resumed => tracee.resume(0),
            Event::Executed if patch_cpuid => patch(tracee, &mut hypervisor),
            Event::Executed => tracee.resume(0),
            Event::PrivilegeCall => hypervisor.privilege_call(tracee).and_then(|()| tracee.resume(0)),
            Event::Signal(signal) => deliver(tracee, signal, &mut hypervisor, patch_cpuid),
        }
        // A tracee may be killed between any two of our calls; its end is then the next event.
        .or_else(|error| if error.raw_os_error() == Some(libc::ESRCH) { Ok(()) } else { Err(error) })?;
    }
    hypervisor.log.line(&format!("exit {status}"))?;
    Ok(status)
}

/// Makes the CPUID instructions of a program that was just loaded stop.
fn patch(tracee: Tracee, hypervisor: &mut Hypervisor) -> io::Result<()> {
    let (program, sites) = cpuid::patch(tracee)?;
    hypervisor.log.line(&format!("cpuid {sites} sites in {}", program.display()))?;
    tracee.resume(0)
}

/// Answers a signal that is ours, passes on any other.
fn deliver(tracee: Tracee, signal: i32, hypervisor: &mut Hypervisor, patch_cpuid: bool) -> io::Result<()> {
    let taken = match signal {
        libc::SIGSEGV => hypervisor.fault(tracee)?,
        libc::SIGILL if patch_cpuid => cpuid::answer(tracee)?,
        _ => Taken::No,
    };
    tracee.resume(if taken == Taken::Yes { 0 } else { signal })
}

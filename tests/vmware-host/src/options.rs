// SPDX-License-Identifier: Apache-2.0
//! The command line.

use std::path::PathBuf;

/// What `--help` prints.
pub const HELP: &str = "\
Runs a program under ptrace and plays VMware's hypervisor for it.

Usage: vmware-host [OPTIONS] DIR -- COMMAND [ARGS]...

  DIR   holds one file for each guestinfo key, named as the key (guestinfo.userdata);
        `info-set` writes there

The program and all it starts are followed. vmware-host ends when the last of them has, with the
program's exit status, 128 + N when signal N ended it, 127 when it could not be started and 125
when vmware-host itself failed.

Options:
  --log FILE                append a line for each RPC, grant of privilege and patched program
  --cpuid                   CPUID names VMware too (in executables, not in shared libraries)

What plays the hypervisor:
  --hypervisor vmware       VMware (the default)
  --hypervisor restricted   VMware with monitor_control.restrict_backdoor: privileged callers only
  --hypervisor vmport       QEMU's vmport device: tells a version, knows no RPC; privileged callers only
  --hypervisor none         nobody: SIGSEGV, or all bits one for a privileged caller
  --no-iopl                 iopl and ioperm are refused, as by the kernel's lockdown
  --no-high-bandwidth       the high-bandwidth port is neither offered nor answered
  --broken-high-bandwidth   the high-bandwidth port is offered but refuses
  --faulting-high-bandwidth the high-bandwidth port is offered but not there: SIGSEGV

What goes wrong (each may be given again):
  --deny open               no RPC channel can be opened
  --deny rpc                each RPC is answered \"0 Permission denied\"
  --announce BYTES          announce this length for each reply, whatever the reply's length
  --checkpoint STEP         one such step fails as when the machine is snapshotted or moved in the
                            middle: send-size, send, receive-size, receive, status; or always
  --flap KEY                reads of KEY alternate between the files KEY and KEY.2
  --help                    print this
";

/// What the command line asks for.
pub enum Command {
    Help,
    Run(Options),
}

/// Which hypervisor answers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Vmware,
    Restricted,
    Vmport,
    None,
}

/// How the high-bandwidth port behaves.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum HighBandwidth {
    Works,
    Broken,
    Faulting,
    Absent,
}

/// The options of a run.
pub struct Options {
    pub dir: PathBuf,
    pub command: Vec<String>,
    pub log: Option<PathBuf>,
    pub cpuid: bool,
    pub kind: Kind,
    pub privilege: bool,
    pub high_bandwidth: HighBandwidth,
    pub deny_open: bool,
    pub deny_rpc: bool,
    pub announce: Option<u32>,
    /// The numbers of the message layer's steps that fail once each, in no order.
    pub checkpoints: Vec<u16>,
    pub checkpoint_always: bool,
    pub flap: Vec<String>,
}

/// Reads the command line, without the program's own name.
pub fn parse(arguments: impl Iterator<Item = String>) -> Result<Command, String> {
    let mut arguments = arguments.peekable();
    let mut options = Options {
        dir: PathBuf::new(),
        command: Vec::new(),
        log: None,
        cpuid: false,
        kind: Kind::Vmware,
        privilege: true,
        high_bandwidth: HighBandwidth::Works,
        deny_open: false,
        deny_rpc: false,
        announce: None,
        checkpoints: Vec::new(),
        checkpoint_always: false,
        flap: Vec::new(),
    };
    while let Some(name) = arguments.next_if(|argument| argument.starts_with("--") && argument != "--") {
        let mut value = || arguments.next().ok_or(format!("{name} needs a value"));
        match name.as_str() {
            "--help" => return Ok(Command::Help),
            "--log" => options.log = Some(value()?.into()),
            "--cpuid" => options.cpuid = true,
            "--no-iopl" => options.privilege = false,
            "--no-high-bandwidth" => options.high_bandwidth = HighBandwidth::Absent,
            "--faulting-high-bandwidth" => options.high_bandwidth = HighBandwidth::Faulting,
            "--broken-high-bandwidth" => options.high_bandwidth = HighBandwidth::Broken,
            "--flap" => options.flap.push(value()?),
            "--hypervisor" => {
                options.kind = match value()?.as_str() {
                    "vmware" => Kind::Vmware,
                    "restricted" => Kind::Restricted,
                    "vmport" => Kind::Vmport,
                    "none" => Kind::None,
                    other => return Err(format!("unknown hypervisor '{other}'")),
                }
            }
            "--deny" => match value()?.as_str() {
                "open" => options.deny_open = true,
                "rpc" => options.deny_rpc = true,
                other => return Err(format!("unknown thing to deny '{other}'")),
            },
            "--announce" => {
                let bytes = value()?;
                options.announce = Some(bytes.parse().map_err(|_| format!("'{bytes}' is no 32-bit length"))?);
            }
            "--checkpoint" => match value()?.as_str() {
                "send-size" => options.checkpoints.push(crate::port::SEND_SIZE),
                "send" => options.checkpoints.push(crate::port::SEND),
                "receive-size" => options.checkpoints.push(crate::port::RECEIVE_SIZE),
                "receive" => options.checkpoints.push(crate::port::RECEIVE),
                "status" => options.checkpoints.push(crate::port::RECEIVE_STATUS),
                "always" => options.checkpoint_always = true,
                other => return Err(format!("unknown step '{other}'")),
            },
            other => return Err(format!("unknown option '{other}'")),
        }
    }
    options.dir = arguments.next().filter(|argument| argument != "--").ok_or("DIR is missing")?.into();
    if arguments.next().as_deref() != Some("--") {
        return Err("DIR must be followed by -- and the command".into());
    }
    options.command = arguments.collect();
    if options.command.is_empty() {
        return Err("COMMAND is missing".into());
    }
    Ok(Command::Run(options))
}

// SPDX-License-Identifier: Apache-2.0
//! vSphere's guestinfo: a machine's keys and values, read and written by asking the hypervisor.
//!
//! VMware listens on two I/O ports of x86. A request is the state of the registers at an I/O instruction, and so is the
//! answer; no device or driver is involved. On these calls lies a message layer (open a channel, send a message, receive
//! the reply, close it), and a message is one line of text: `info-get KEY` or `info-set KEY VALUE`. The reply is
//! `1 VALUE`, or `0 REASON`.
//!
//! The protocol is as open-vm-tools speaks it: `lib/include/backdoor_def.h`, `lib/include/guest_msg_def.h` and
//! `lib/message/message.c` in <https://github.com/vmware/open-vm-tools>.

#[cfg_attr(not(target_arch = "x86_64"), path = "no_port.rs")]
mod port;

use std::marker::PhantomData;
use std::thread::sleep;
use std::time::Duration;
use std::{error, fmt};

use anyhow::{Context, Result, anyhow, bail, ensure};

use crate::model::problem::WithCure as _;

/// "VMXh" in EAX: this call is meant for VMware.
const MAGIC: u32 = 0x564d_5868;
pub use port::give_up as give_up_ports;

/// Commands of the low-bandwidth port.
const GET_VERSION: u16 = 0x0a;
const MESSAGE: u16 = 0x1e;
/// The command of the high-bandwidth port.
const HIGH_MESSAGE: u16 = 0;

/// The protocol of a channel that carries text commands ("RPCI"), and the flag that asks for cookies with it.
const RPCI: u32 = 0x4943_5052;
const WITH_COOKIES: u32 = 0x8000_0000;

/// Bits of a step's status.
const SUCCESS: u16 = 0x01;
const HAS_REPLY: u16 = 0x02;
const CHECKPOINT: u16 = 0x10;
const HAS_HIGH_BANDWIDTH: u16 = 0x80;

/// The longest message that VMware takes from a guest (`GUESTMSG_MAX_IN_SIZE`).
const MAX_REQUEST: usize = 64 * 1024;
/// The longest reply that is believed. vSphere limits values to 64 KiB, an administrator may raise that to 1 MiB for a
/// machine: twice that is a mistake, and must not become an allocation.
const MAX_REPLY: usize = 2 * 1024 * 1024;
/// A machine that is snapshotted or moved in the middle of an exchange loses it, and at most eight channels are open at
/// once in the whole machine: neither lasts, so an exchange that was refused is tried again, for a quarter of a second.
const ATTEMPTS: u32 = 6;
const PAUSE: Duration = Duration::from_millis(50);
/// How much of a reason that the hypervisor gives is shown.
const MAX_REASON: usize = 200;

/// The name that the hypervisor gives itself in CPUID, such as `VMwareVMware` or `KVMKVMKVM`. `None` without a
/// hypervisor, and on processors other than x86-64.
///
/// Intel's manual reserves bit 31 of ECX in leaf 1 for hypervisors, and leaf 0x4000_0000 for what they say of themselves.
#[cfg(target_arch = "x86_64")]
pub fn hypervisor_signature() -> Option<String> {
    use std::arch::x86_64::__cpuid;
    if __cpuid(1).ecx & 1 << 31 == 0 {
        return None;
    }
    let leaf = __cpuid(0x4000_0000);
    let name = [leaf.ebx, leaf.ecx, leaf.edx].map(u32::to_le_bytes).concat();
    Some(String::from_utf8_lossy(&name).trim_end_matches('\0').to_owned())
}

/// The name that the hypervisor gives itself in CPUID, which this processor does not have.
#[cfg(not(target_arch = "x86_64"))]
pub fn hypervisor_signature() -> Option<String> {
    None
}

/// A way to the hypervisor. The right to use the ports belongs to the thread that opened it, so it stays there.
#[derive(Debug)]
pub struct Guestinfo {
    _privilege: port::Privilege,
    _of_this_thread: PhantomData<*const ()>,
}

/// The error of a machine that is not VMware's, or that keeps this process from the port.
fn no_answer<T>() -> Result<T> {
    Err(anyhow!("the hypervisor does not answer on VMware's port")).cure(
        "`footplate platforms` tells which platform this machine is: name it with --platform or flatcar.oem.id; on VMware, run this as root",
    )
}

impl Guestinfo {
    /// Finds out whether VMware answers.
    ///
    /// Where the hypervisor is something else this is an error, and harmless; still, only call it once CPUID or DMI has
    /// named VMware, because another device may use these ports.
    ///
    /// Privilege is asked for, since a machine with `monitor_control.restrict_backdoor` answers privileged callers only.
    /// It is not needed elsewhere: when it is refused, as by the kernel's lockdown, the ports are tried without.
    pub fn open() -> Result<Self> {
        let guestinfo = Self { _privilege: port::Privilege::take(), _of_this_thread: PhantomData };
        // EBX holds anything but the magic, so that it is the hypervisor who puts it there.
        let answer = port::low(Registers {
            rax: MAGIC.into(),
            rbx: (!MAGIC).into(),
            rcx: GET_VERSION.into(),
            rdx: port::LOW.into(),
            ..Registers::default()
        })?;
        if answer.rbx as u32 == MAGIC { Ok(guestinfo) } else { no_answer() }
    }

    /// Reads a key, once. `None` when the machine does not have it; an empty value is a value.
    ///
    /// The key must begin with `guestinfo.` and be of visible ASCII characters.
    pub fn get(&self, key: &str) -> Result<Option<Vec<u8>>> {
        check_key(key)?;
        self.command(format!("info-get {key}").as_bytes())
            .with_context(|| format!("cannot read {key} from the hypervisor"))
    }

    /// Writes a key, which is made when the machine does not have it. It can be emptied but not removed.
    ///
    /// A value is text, at most 64 KiB with its key; NUL bytes are refused, since the hypervisor would cut it there.
    pub fn set(&self, key: &str, value: &[u8]) -> Result<()> {
        let request = set_request(key, value)?;
        let done = self.command(&request).with_context(|| format!("cannot write {key} to the hypervisor"))?;
        ensure!(done.is_some(), "cannot write {key}: the hypervisor has no such key");
        Ok(())
    }

    /// Sends a command; returns what the reply says, or `None` when it says that there is no such key.
    fn command(&self, request: &[u8]) -> Result<Option<Vec<u8>>> {
        let mut reply = self.exchange(request)?;
        match reply.as_slice() {
            [b'1', b' ', ..] => Ok(Some(reply.split_off(2))),
            [b'0', b' ', reason @ ..] if reason.eq_ignore_ascii_case(b"No value found") => Ok(None),
            [b'0', b' ', reason @ ..] => {
                bail!("it refuses: {}", reason[..reason.len().min(MAX_REASON)].escape_ascii())
            }
            _ => bail!("its reply of {} bytes says neither success nor failure", reply.len()),
        }
    }

    /// Sends a message and receives the reply. When that is refused it is done again from the beginning, which harms
    /// neither `info-get` nor `info-set`.
    fn exchange(&self, request: &[u8]) -> Result<Vec<u8>> {
        let mut high_bandwidth = true;
        let mut attempts = 0;
        loop {
            attempts += 1;
            let error = match Channel::exchange(request, high_bandwidth) {
                Ok(reply) => return Ok(reply),
                Err(error) => error,
            };
            match error.downcast_ref::<Refused>() {
                Some(_) if attempts == ATTEMPTS => return Err(error),
                // The port is offered but does not work: there is the other one.
                Some(refused) if refused.high_bandwidth && refused.status & CHECKPOINT == 0 => {
                    high_bandwidth = false
                }
                Some(_) => sleep(PAUSE),
                None => return Err(error),
            }
        }
    }
}

/// Keys go into a line of text between spaces.
fn check_key(key: &str) -> Result<()> {
    let name = key.strip_prefix("guestinfo.");
    ensure!(
        name.is_some_and(|name| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic())),
        "{key:?} is not a guestinfo key: it must be 'guestinfo.' and a name of visible ASCII characters"
    );
    Ok(())
}

/// The command that writes a key.
fn set_request(key: &str, value: &[u8]) -> Result<Vec<u8>> {
    check_key(key)?;
    ensure!(!value.contains(&0), "cannot write {key}: the value has a NUL byte");
    let request = [b"info-set ", key.as_bytes(), b" ", value].concat();
    let length = request.len();
    ensure!(
        length <= MAX_REQUEST,
        "cannot write {key}: {length} bytes are more than the hypervisor takes in one message ({MAX_REQUEST})"
    );
    Ok(request)
}

/// The steps of the message layer, with their numbers.
#[derive(Clone, Copy, Debug)]
enum Step {
    Open = 0,
    SendSize = 1,
    Send = 2,
    ReceiveSize = 3,
    Receive = 4,
    ReceiveStatus = 5,
    Close = 6,
}

/// The hypervisor did not take a step.
#[derive(Debug)]
struct Refused {
    step: Step,
    status: u16,
    high_bandwidth: bool,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { step, status, .. } = self;
        match step {
            // QEMU's vmport device answers GET_VERSION as VMware does, but nothing else.
            Step::Open => write!(
                f,
                "the hypervisor does not open an RPC channel (status {status:#06x}): it is not VMware, \
                 or all of the machine's channels are in use"
            ),
            _ => write!(f, "the hypervisor refused step {step:?} of an RPC (status {status:#06x})"),
        }
    }
}

impl error::Error for Refused {}

/// A channel to the hypervisor, which tells channels apart by a number and two cookies.
#[derive(Clone, Copy, Default)]
struct Channel {
    number: u16,
    cookie_high: u32,
    cookie_low: u32,
}

impl Channel {
    /// Sends a request and receives its reply on a channel of its own.
    fn exchange(request: &[u8], high_bandwidth: bool) -> Result<Vec<u8>> {
        let (_, answer) = Self::default().step(Step::Open, RPCI | WITH_COOKIES)?;
        let channel =
            Self { number: high(answer.rdx), cookie_high: answer.rsi as u32, cookie_low: answer.rdi as u32 };
        let reply = channel.send(request, high_bandwidth).and_then(|()| channel.receive(high_bandwidth));
        // A channel that does not close can't be helped, and the reply is valid.
        let _ = channel.step(Step::Close, 0);
        reply
    }

    fn send(self, request: &[u8], high_bandwidth: bool) -> Result<()> {
        let (status, _) = self.step(Step::SendSize, request.len() as u32)?;
        if high_bandwidth && status & HAS_HIGH_BANDWIDTH != 0 {
            let registers = Registers {
                rbp: self.cookie_high.into(),
                rdi: self.cookie_low.into(),
                ..self.high_registers()
            };
            return check_high(Step::Send, port::high_send(registers, request)?);
        }
        for chunk in request.chunks(4) {
            let mut bytes = [0; 4];
            bytes[..chunk.len()].copy_from_slice(chunk);
            self.step(Step::Send, u32::from_le_bytes(bytes))?;
        }
        Ok(())
    }

    fn receive(self, high_bandwidth: bool) -> Result<Vec<u8>> {
        let (status, answer) = self.step(Step::ReceiveSize, 0)?;
        ensure!(status & HAS_REPLY != 0, "the hypervisor has no reply");
        expect(Step::SendSize, answer)?;
        let length = answer.rbx as u32 as usize;
        ensure!(
            length <= MAX_REPLY,
            "it announces a reply of {length} bytes, and {MAX_REPLY} are the most that are read"
        );
        let mut reply = vec![0; length];
        if high_bandwidth && status & HAS_HIGH_BANDWIDTH != 0 {
            let registers = Registers {
                rsi: self.cookie_high.into(),
                rbp: self.cookie_low.into(),
                ..self.high_registers()
            };
            check_high(Step::Receive, port::high_receive(registers, &mut reply)?)?;
        } else {
            for chunk in reply.chunks_mut(4) {
                let (_, answer) = self.step(Step::Receive, SUCCESS.into())?;
                expect(Step::Send, answer)?;
                chunk.copy_from_slice(&(answer.rbx as u32).to_le_bytes()[..chunk.len()]);
            }
        }
        self.step(Step::ReceiveStatus, SUCCESS.into())?;
        Ok(reply)
    }

    /// One step on the low-bandwidth port. Returns the status and the registers.
    fn step(self, step: Step, argument: u32) -> Result<(u16, Registers)> {
        let answer = port::low(Registers {
            rax: MAGIC.into(),
            rbx: argument.into(),
            rcx: join(step as u16, MESSAGE),
            rdx: join(self.number, port::LOW),
            rsi: self.cookie_high.into(),
            rdi: self.cookie_low.into(),
            ..Registers::default()
        })?;
        let status = high(answer.rcx);
        ensure!(status & SUCCESS != 0, Refused { step, status, high_bandwidth: false });
        Ok((status, answer))
    }

    /// What the high-bandwidth port wants in both directions.
    fn high_registers(self) -> Registers {
        Registers {
            rax: MAGIC.into(),
            rbx: join(SUCCESS, HIGH_MESSAGE),
            rdx: join(self.number, port::HIGH),
            ..Registers::default()
        }
    }
}

/// The high-bandwidth port has its status in another register.
fn check_high(step: Step, answer: Registers) -> Result<()> {
    let status = high(answer.rbx);
    ensure!(status & SUCCESS != 0, Refused { step, status, high_bandwidth: true });
    Ok(())
}

/// What comes from the hypervisor is named by the step by which the hypervisor sent it.
fn expect(step: Step, answer: Registers) -> Result<()> {
    ensure!(high(answer.rdx) == step as u16, "the hypervisor's answer does not fit the request");
    Ok(())
}

/// A 32-bit register made of two halves.
fn join(high: u16, low: u16) -> u64 {
    u64::from(high) << 16 | u64::from(low)
}

/// The upper half of a 32-bit register.
fn high(register: u64) -> u16 {
    (register >> 16) as u16
}

/// The registers that VMware reads and writes. The assembly in `port` knows their order.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Registers {
    rax: u64,
    rbx: u64,
    rcx: u64,
    rdx: u64,
    rsi: u64,
    rdi: u64,
    rbp: u64,
}

#[cfg(test)]
mod tests {
    use super::set_request;

    #[test]
    fn values_are_text() {
        assert_eq!(set_request("guestinfo.a", b" b\n").unwrap(), b"info-set guestinfo.a  b\n");
        let error = set_request("guestinfo.a", b"b\0secret").unwrap_err().to_string();
        assert_eq!(error, "cannot write guestinfo.a: the value has a NUL byte");
    }
}

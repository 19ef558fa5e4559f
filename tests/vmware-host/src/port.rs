// SPDX-License-Identifier: Apache-2.0
//! VMware's two I/O ports and the message layer on them.
//!
//! A request is the state of the registers at an I/O instruction, and so is the answer. EAX holds a magic number, the
//! low half of EDX the port. On the low-bandwidth port (`in eax, dx`; `out dx, eax` does the same) the low half of ECX
//! is a command, of which two matter here: what version are you, and the message layer.
//!
//! A message goes to the hypervisor and one comes back, in steps. The high half of ECX names the step and holds its
//! status afterwards; the high half of EDX is the number of the channel, EBX the argument, and ESI and EDI are the
//! channel's two cookies, which the hypervisor gave out when it was opened:
//!
//! | Step           | EBX in               | Out                                                          |
//! |----------------|----------------------|--------------------------------------------------------------|
//! | open           | protocol and flags   | EDX: channel, ESI and EDI: cookies                           |
//! | send size      | length               | status says if the high-bandwidth port may be used           |
//! | send           | 4 bytes, little end  | again until all are sent                                     |
//! | receive size   |                      | EBX: length; EDX: the hypervisor's own step, "send size"     |
//! | receive        | status so far        | EBX: 4 bytes; EDX: the hypervisor's own step, "send"         |
//! | receive status | status               | the reply is done with                                       |
//! | close          |                      |                                                              |
//!
//! The high-bandwidth port does "send" by one `rep outsb` and "receive" by one `rep insb` for the whole message. There
//! EBX holds a command in its low half and the status in its high half, ECX and ESI or EDI are those of the
//! instruction, and the cookies are where there is room: EBP and EDI when sending, ESI and EBP when receiving.
//!
//! After open-vm-tools: `lib/include/backdoor_def.h`, `lib/include/guest_msg_def.h`, `lib/message/message.c`.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::os::unix::fs::FileExt;

use crate::options::{HighBandwidth, Kind, Options};
use crate::rpc::{Log, Rpc};
use crate::tracee::{Registers, Tracee};

/// "VMXh".
const MAGIC: u32 = 0x564d_5868;
const LOW_PORT: u16 = 0x5658;
const HIGH_PORT: u16 = 0x5659;

/// Commands of the low-bandwidth port.
const GET_VERSION: u16 = 0x0a;
const MESSAGE: u16 = 0x1e;
/// The command of the high-bandwidth port.
const HIGH_MESSAGE: u16 = 0;

/// What GET_VERSION answers: the protocol's version, and the kind of product (ESX).
const VERSION: u32 = 6;
const PRODUCT_ESX: u32 = 2;

/// Steps of the message layer.
const OPEN: u16 = 0;
pub const SEND_SIZE: u16 = 1;
pub const SEND: u16 = 2;
pub const RECEIVE_SIZE: u16 = 3;
pub const RECEIVE: u16 = 4;
pub const RECEIVE_STATUS: u16 = 5;
const CLOSE: u16 = 6;

/// The status of a step is made of bits; none of them is a plain refusal.
const REFUSED: u16 = 0;
const SUCCESS: u16 = 0x01;
const HAS_REPLY: u16 = 0x02;
const CHECKPOINT: u16 = 0x10;
const HAS_HIGH_BANDWIDTH: u16 = 0x80;

/// The protocol whose messages are text commands ("RPCI"), and the flag that asks for cookies.
const RPCI: u32 = 0x4943_5052;
const WITH_COOKIES: u32 = 0x8000_0000;

/// VMware's limits: channels that are open at once, and the length of a message from the guest.
const MAX_CHANNELS: u16 = 8;
const MAX_REQUEST: usize = 64 * 1024;

/// Whether a signal was ours, and is dealt with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    Yes,
    No,
}

/// An open channel.
struct Channel {
    /// ESI and EDI of the low-bandwidth port.
    cookies: (u32, u32),
    expected: usize,
    request: Vec<u8>,
    reply: Option<Vec<u8>>,
    /// How much of the reply was received.
    received: usize,
}

/// The hypervisor, as all the traced programs see it.
pub struct Hypervisor {
    pub log: Log,
    options: Options,
    rpc: Rpc,
    channels: BTreeMap<u16, Channel>,
    /// How many channels were opened so far; makes their cookies differ.
    opened: u32,
    /// The threads that `iopl` or `ioperm` gave privilege. What children inherit is not followed.
    privileged: HashSet<Tracee>,
}

impl Hypervisor {
    pub fn new(options: Options) -> io::Result<Self> {
        Ok(Self {
            log: Log::open(options.log.as_deref())?,
            rpc: Rpc::new(&options),
            options,
            channels: BTreeMap::new(),
            opened: 0,
            privileged: HashSet::new(),
        })
    }

    /// A thread has ended.
    pub fn forget(&mut self, tracee: Tracee) {
        self.privileged.remove(&tracee);
    }

    /// Answers `iopl(level)` and `ioperm(from, count, on)` instead of the kernel.
    pub fn privilege_call(&mut self, tracee: Tracee) -> io::Result<()> {
        let mut registers = tracee.registers()?;
        let (name, wanted) = match registers.orig_rax as i64 {
            libc::SYS_iopl => ("iopl", registers.rdi == 3),
            _ => ("ioperm", registers.rdx != 0),
        };
        let answer = if !wanted {
            self.privileged.remove(&tracee);
            "returned"
        } else if self.options.privilege {
            self.privileged.insert(tracee);
            "granted"
        } else {
            "refused"
        };
        registers.rax = if answer == "refused" { -i64::from(libc::EPERM) as u64 } else { 0 };
        // No system call has this number: the kernel does nothing, and leaves RAX alone.
        registers.orig_rax = u64::MAX;
        tracee.set_registers(registers)?;
        self.log.line(&format!("{name} {answer}"))
    }

    /// Answers SIGSEGV when it comes from an I/O instruction on our ports.
    pub fn fault(&mut self, tracee: Tracee) -> io::Result<Taken> {
        let privileged = self.privileged.contains(&tracee);
        let mut registers = tracee.registers()?;
        let port = registers.rdx as u16;
        let answers = match port {
            LOW_PORT => true,
            HIGH_PORT => self.options.high_bandwidth != HighBandwidth::Faulting,
            _ => false,
        };
        let allowed = privileged || self.options.kind == Kind::Vmware;
        if !answers || !allowed || registers.rax as u32 != MAGIC {
            return Ok(Taken::No);
        }
        // The second byte may lie on a page that is not there, when the first is an instruction of its own.
        let memory = tracee.memory()?;
        let mut code = [0; 2];
        let _ = memory.read_at(&mut code, registers.rip);
        let length = match (code, port) {
            ([0xed | 0xef, _], LOW_PORT) => {
                self.low(&mut registers)?;
                1
            }
            ([0xf3, 0x6e], HIGH_PORT) => {
                let mut data = vec![0; (registers.rcx as usize).min(MAX_REQUEST)];
                if memory.read_exact_at(&mut data, registers.rsi).is_err() {
                    return Ok(Taken::No);
                }
                let status = self.high_send(&registers, &data)?;
                registers.rsi += registers.rcx;
                finish_repeat(&mut registers, status);
                2
            }
            ([0xf3, 0x6c], HIGH_PORT) => {
                let (status, data) = self.high_receive(&registers);
                if memory.write_all_at(&data, registers.rdi).is_err() {
                    return Ok(Taken::No);
                }
                registers.rdi += registers.rcx;
                finish_repeat(&mut registers, status);
                2
            }
            _ => return Ok(Taken::No),
        };
        registers.rip += length;
        tracee.set_registers(registers)?;
        Ok(Taken::Yes)
    }

    /// A call of the low-bandwidth port.
    fn low(&mut self, registers: &mut Registers) -> io::Result<()> {
        let (kind, command) = (self.options.kind, registers.rcx as u16);
        match (kind, command) {
            // Nobody drives the bus.
            (Kind::None, _) => registers.rax = u32::MAX.into(),
            (_, GET_VERSION) => {
                registers.rax = VERSION.into();
                registers.rbx = MAGIC.into();
                registers.rcx = PRODUCT_ESX.into();
            }
            // QEMU leaves the registers alone when it does not know a command.
            (Kind::Vmport, _) => {}
            (_, MESSAGE) => {
                let status = self.step((registers.rcx >> 16) as u16, registers)?;
                registers.rcx = join(status, MESSAGE);
            }
            _ => registers.rax = u32::MAX.into(),
        }
        Ok(())
    }

    /// A step of the message layer on the low-bandwidth port. Returns its status.
    fn step(&mut self, step: u16, registers: &mut Registers) -> io::Result<u16> {
        let argument = registers.rbx as u32;
        if step == OPEN {
            return Ok(self.open(argument, registers));
        }
        let number = (registers.rdx >> 16) as u16;
        let cookies = (registers.rsi as u32, registers.rdi as u32);
        if step != CLOSE && self.checkpoint(step) {
            return Ok(CHECKPOINT);
        }
        let high = match self.options.high_bandwidth {
            HighBandwidth::Absent => 0,
            HighBandwidth::Works | HighBandwidth::Broken | HighBandwidth::Faulting => HAS_HIGH_BANDWIDTH,
        };
        let Some(channel) = self.channels.get_mut(&number).filter(|channel| channel.cookies == cookies)
        else {
            return Ok(REFUSED);
        };
        Ok(match step {
            SEND_SIZE if argument as usize <= MAX_REQUEST => {
                (channel.expected, channel.reply) = (argument as usize, None);
                channel.request.clear();
                SUCCESS | high
            }
            SEND => {
                let missing = channel.expected - channel.request.len();
                let data = argument.to_le_bytes();
                return self.send(number, &data[..missing.min(data.len())], "low");
            }
            RECEIVE_SIZE => match &channel.reply {
                None => SUCCESS | high,
                Some(reply) => {
                    channel.received = 0;
                    registers.rbx = self.options.announce.unwrap_or(reply.len() as u32).into();
                    registers.rdx = join(SEND_SIZE, LOW_PORT);
                    SUCCESS | HAS_REPLY | high
                }
            },
            RECEIVE => match channel.receive(4) {
                None => REFUSED,
                Some(data) => {
                    let byte = |at: usize| data.get(at).copied().unwrap_or(0);
                    registers.rbx = u32::from_le_bytes([byte(0), byte(1), byte(2), byte(3)]).into();
                    registers.rdx = join(SEND, LOW_PORT);
                    SUCCESS
                }
            },
            // What was announced shorter than it is cannot have been received.
            RECEIVE_STATUS if channel.reply.take().is_some_and(|reply| reply.len() == channel.received) => {
                SUCCESS
            }
            CLOSE => {
                self.channels.remove(&number);
                SUCCESS
            }
            _ => REFUSED,
        })
    }

    /// Opens a channel.
    fn open(&mut self, argument: u32, registers: &mut Registers) -> u16 {
        let free = (0..MAX_CHANNELS).find(|number| !self.channels.contains_key(number));
        let Some(number) = free.filter(|_| argument == RPCI | WITH_COOKIES && !self.options.deny_open) else {
            return REFUSED;
        };
        self.opened += 1;
        // Numbers that no client guesses or shares between channels by mistake; there is no adversary here.
        let cookies = (self.opened.wrapping_mul(0x9e37_79b9), self.opened.wrapping_mul(0x85eb_ca6b));
        self.channels
            .insert(number, Channel { cookies, expected: 0, request: Vec::new(), reply: None, received: 0 });
        registers.rdx = join(number, LOW_PORT);
        (registers.rsi, registers.rdi) = (cookies.0.into(), cookies.1.into());
        SUCCESS
    }

    /// Sends by the high-bandwidth port. Returns the status.
    fn high_send(&mut self, registers: &Registers, data: &[u8]) -> io::Result<u16> {
        let cookies = (registers.rbp as u32, registers.rdi as u32);
        match self.high_channel(registers, cookies) {
            Some(_) if self.checkpoint(SEND) => Ok(CHECKPOINT),
            Some(number) if data.len() as u64 == registers.rcx => self.send(number, data, "high"),
            _ => Ok(REFUSED),
        }
    }

    /// Receives by the high-bandwidth port. Returns the status and what to write.
    fn high_receive(&mut self, registers: &Registers) -> (u16, Vec<u8>) {
        let cookies = (registers.rsi as u32, registers.rbp as u32);
        let number = self.high_channel(registers, cookies);
        if number.is_some() && self.checkpoint(RECEIVE) {
            return (CHECKPOINT, Vec::new());
        }
        let wanted = registers.rcx as usize;
        let channel = number.and_then(|number| self.channels.get_mut(&number));
        match channel.and_then(|channel| channel.receive(wanted)).filter(|data| data.len() == wanted) {
            Some(data) => (SUCCESS, data),
            None => (REFUSED, Vec::new()),
        }
    }

    /// The channel that a call of the high-bandwidth port names, when the call is right.
    fn high_channel(&self, registers: &Registers, cookies: (u32, u32)) -> Option<u16> {
        let number = (registers.rdx >> 16) as u16;
        let right = self.options.high_bandwidth == HighBandwidth::Works
            && registers.rbx as u32 == join(SUCCESS, HIGH_MESSAGE) as u32
            && self.channels.get(&number)?.cookies == cookies;
        right.then_some(number)
    }

    /// Takes a part of the request, and runs it when that was the last part.
    fn send(&mut self, number: u16, data: &[u8], bandwidth: &str) -> io::Result<u16> {
        let Some(channel) = self.channels.get_mut(&number) else { return Ok(REFUSED) };
        if data.is_empty() || channel.request.len() + data.len() > channel.expected {
            return Ok(REFUSED);
        }
        channel.request.extend_from_slice(data);
        if channel.request.len() == channel.expected {
            let reply = self.rpc.run(&channel.request);
            self.log.rpc(bandwidth, &channel.request, &reply)?;
            channel.reply = Some(reply);
        }
        Ok(SUCCESS)
    }

    /// Whether a checkpoint happens in this step.
    fn checkpoint(&mut self, step: u16) -> bool {
        let checkpoints = &mut self.options.checkpoints;
        let once =
            checkpoints.iter().position(|planned| *planned == step).map(|at| checkpoints.swap_remove(at));
        once.is_some() || self.options.checkpoint_always
    }
}

impl Channel {
    /// The next part of the reply, of at most this length. `None` after its end.
    fn receive(&mut self, length: usize) -> Option<Vec<u8>> {
        let rest = self.reply.as_ref()?.get(self.received..).filter(|rest| !rest.is_empty())?;
        let part = rest[..rest.len().min(length)].to_vec();
        self.received += part.len();
        Some(part)
    }
}

/// The state of the registers after a repeated instruction of the high-bandwidth port.
fn finish_repeat(registers: &mut Registers, status: u16) {
    registers.rcx = 0;
    registers.rbx = join(status, HIGH_MESSAGE);
}

/// A register made of two halves. Like all writes of 32 bits it clears the upper 32.
fn join(high: u16, low: u16) -> u64 {
    u64::from(high) << 16 | u64::from(low)
}

// SPDX-License-Identifier: Apache-2.0
//! The ports, and the only code that touches them.

use std::arch::naked_asm;
use std::ffi::c_int;
use std::sync::{Mutex, PoisonError};

use anyhow::Result;
use nix::libc::{self, c_void, siginfo_t, ucontext_t};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use super::Registers;

/// The low-bandwidth port, and the high-bandwidth port beside it.
pub const LOW: u16 = 0x5658;
pub const HIGH: u16 = 0x5659;

/// The right to use the ports, if the kernel granted it. It is given back when dropped, since programs that this one
/// starts would inherit it.
#[derive(Debug)]
pub struct Privilege {
    granted: bool,
}

impl Privilege {
    /// Asks for the two ports and no others, which is all that `iopl` would add. An access to the lower one is four
    /// bytes wide, and the processor wants the right to each.
    pub fn take() -> Self {
        // SAFETY: the call only takes numbers, and changes nothing but what the I/O instructions below may do.
        Self { granted: unsafe { libc::ioperm(LOW.into(), 4, 1) } == 0 }
    }
}

impl Drop for Privilege {
    fn drop(&mut self) {
        if self.granted {
            // SAFETY: as in `take`.
            unsafe { libc::ioperm(LOW.into(), 4, 0) };
        }
    }
}

/// Gives up the ports for this thread alone, which has the right to them from the one that made it.
pub fn give_up() {
    // SAFETY: as in `take`.
    unsafe { libc::ioperm(LOW.into(), 4, 0) };
}

/// A call of the low-bandwidth port.
pub fn low(registers: Registers) -> Result<Registers> {
    // SAFETY: `in` writes to registers only.
    unsafe { call(footplate_port_in, registers) }
}

/// A call of the high-bandwidth port that sends bytes.
pub fn high_send(registers: Registers, data: &[u8]) -> Result<Registers> {
    let registers = Registers { rsi: data.as_ptr() as u64, rcx: data.len() as u64, ..registers };
    // SAFETY: `rep outsb` reads RCX bytes from RSI, which are those of `data`.
    unsafe { call(footplate_port_outs, registers) }
}

/// A call of the high-bandwidth port that fills a buffer.
pub fn high_receive(registers: Registers, buffer: &mut [u8]) -> Result<Registers> {
    let registers = Registers { rdi: buffer.as_mut_ptr() as u64, rcx: buffer.len() as u64, ..registers };
    // SAFETY: `rep insb` writes RCX bytes to RDI, which are those of `buffer`.
    unsafe { call(footplate_port_ins, registers) }
}

/// Makes a call in which the I/O instruction may fault.
///
/// # Safety
/// The registers must be such that the function's instruction only touches memory that it may.
unsafe fn call(
    function: unsafe extern "sysv64" fn(&mut Registers) -> u64,
    mut registers: Registers,
) -> Result<Registers> {
    // The handler is the process's, so two threads must not install and restore it across each other.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let action = SigAction::new(SigHandler::SigAction(skip_fault), SaFlags::SA_SIGINFO, SigSet::empty());
    // SAFETY: the handler only changes the interrupted context and its own disposition.
    let previous = unsafe { sigaction(Signal::SIGSEGV, &action) }?;
    // SAFETY: the caller vouches for the registers.
    let faulted = unsafe { function(&mut registers) };
    // SAFETY: this is what was there before.
    unsafe { sigaction(Signal::SIGSEGV, &previous) }?;
    if faulted == 0 { Ok(registers) } else { super::no_answer() }
}

/// Defines a function that loads the registers, executes one I/O instruction, whose address has a name, and stores the
/// registers. It returns 0, or 1 when the instruction faulted: R8, which VMware leaves alone, is cleared by the
/// function and set by the handler. RBX and RBP are the caller's, and are saved.
macro_rules! port_function {
    ($function:ident, $site:ident, $instruction:literal) => {
        #[unsafe(naked)]
        unsafe extern "sysv64" fn $function(registers: &mut Registers) -> u64 {
            naked_asm!(
                "push rbx",
                "push rbp",
                "push rdi",
                "xor r8d, r8d",
                "mov rax, [rdi]",
                "mov rbx, [rdi + 8]",
                "mov rcx, [rdi + 16]",
                "mov rdx, [rdi + 24]",
                "mov rsi, [rdi + 32]",
                "mov rbp, [rdi + 48]",
                "mov rdi, [rdi + 40]",
                concat!(".globl ", stringify!($site)),
                concat!(".hidden ", stringify!($site)),
                concat!(stringify!($site), ":"),
                $instruction,
                "xchg rdi, [rsp]",
                "mov [rdi], rax",
                "mov [rdi + 8], rbx",
                "mov [rdi + 16], rcx",
                "mov [rdi + 24], rdx",
                "mov [rdi + 32], rsi",
                "mov [rdi + 48], rbp",
                "pop qword ptr [rdi + 40]",
                "pop rbp",
                "pop rbx",
                "mov rax, r8",
                "ret",
            )
        }
    };
}
port_function!(footplate_port_in, footplate_port_in_site, "in eax, dx");
port_function!(footplate_port_outs, footplate_port_outs_site, "rep outsb");
port_function!(footplate_port_ins, footplate_port_ins_site, "rep insb");

unsafe extern "C" {
    static footplate_port_in_site: u8;
    static footplate_port_outs_site: u8;
    static footplate_port_ins_site: u8;
}

/// Skips an I/O instruction of ours that faulted, and notes it. Any other fault is not ours to judge: the default is
/// put back, and the instruction, which is executed again, ends the process by it.
extern "C" fn skip_fault(_: c_int, _: *mut siginfo_t, context: *mut c_void) {
    // The I/O instructions and their lengths.
    let sites = [
        (&raw const footplate_port_in_site, 1),
        (&raw const footplate_port_outs_site, 2),
        (&raw const footplate_port_ins_site, 2),
    ];
    // SAFETY: with SA_SIGINFO the kernel passes the interrupted context, which is the handler's until it returns.
    let registers = unsafe { &mut (*context.cast::<ucontext_t>()).uc_mcontext.gregs };
    let at = registers[libc::REG_RIP as usize];
    match sites.iter().find(|(site, _)| site.addr() as i64 == at) {
        Some((_, length)) => {
            registers[libc::REG_RIP as usize] += length;
            registers[libc::REG_R8 as usize] = 1;
        }
        // SAFETY: setting a disposition is allowed in a handler.
        None => unsafe {
            libc::signal(libc::SIGSEGV, libc::SIG_DFL);
        },
    }
}

// SPDX-License-Identifier: Apache-2.0
//! CPUID is no privileged instruction, so it is made one that stops: in the executable's code each CPUID becomes UD2,
//! an instruction of the same length that raises SIGILL, and is answered here.
//!
//! The same two bytes occur within other instructions too, so the code before a find is disassembled to see whether an
//! instruction begins there. The log tells how many sites a program has.

use std::arch::x86_64::__cpuid_count;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use iced_x86::{Decoder, DecoderOptions, Mnemonic};

use crate::port::Taken;
use crate::tracee::Tracee;

const CPUID: [u8; 2] = [0x0f, 0xa2];
const UD2: [u8; 2] = [0x0f, 0x0b];

/// How far before a find the disassembler starts. It may start in the middle of an instruction; x86 code brings it back
/// into step within a few dozen bytes.
const LEAD: usize = 512;

/// What VMware's CPUID leaf 0x4000_0000 names itself.
const SIGNATURE: &[u8; 12] = b"VMwareVMware";
/// The leaf with the hypervisor's name; VMware's last is the 16th after it.
const HYPERVISOR_LEAF: u32 = 0x4000_0000;
const LAST_HYPERVISOR_LEAF: u32 = 0x4000_0010;
/// In ECX of leaf 1: a hypervisor is present.
const HYPERVISOR_BIT: u32 = 1 << 31;

/// A piece of a file that is mapped executable.
struct Code {
    start: u64,
    end: u64,
    offset: u64,
}

/// The program of a process, and where its code is mapped.
fn code(tracee: Tracee) -> io::Result<(PathBuf, Vec<Code>)> {
    let program = fs::read_link(format!("/proc/{}/exe", tracee.0))?;
    let maps = fs::read_to_string(format!("/proc/{}/maps", tracee.0))?;
    // address-address permissions offset device inode path
    let code = maps.lines().filter_map(|line| {
        let mut fields = line.splitn(6, ' ');
        let (start, end) = fields.next()?.split_once('-')?;
        let executable = fields.next()?.contains('x');
        let offset = fields.next()?;
        let path = fields.nth(2)?.trim_start();
        let number = |digits| u64::from_str_radix(digits, 16).ok();
        (executable && program.as_os_str() == path).then_some(Code {
            start: number(start)?,
            end: number(end)?,
            offset: number(offset)?,
        })
    });
    Ok((program.clone(), code.collect()))
}

/// Replaces each CPUID by UD2 in a program that has just been loaded. Returns the program and the number of sites.
pub fn patch(tracee: Tracee) -> io::Result<(PathBuf, usize)> {
    let (program, code) = code(tracee)?;
    let memory = tracee.memory()?;
    let mut sites = 0;
    for Code { start, end, .. } in code {
        let mut bytes = vec![0; (end - start) as usize];
        memory.read_exact_at(&mut bytes, start)?;
        let found: Vec<usize> = (0..bytes.len()).filter(|at| is_cpuid(&bytes, *at)).collect();
        for at in found {
            memory.write_all_at(&UD2, start + at as u64)?;
            sites += 1;
        }
    }
    Ok((program, sites))
}

/// Whether a CPUID instruction begins there.
fn is_cpuid(code: &[u8], at: usize) -> bool {
    if !code[at..].starts_with(&CPUID) {
        return false;
    }
    let start = at.saturating_sub(LEAD);
    let mut decoder = Decoder::with_ip(64, &code[start..], start as u64, DecoderOptions::NONE);
    decoder
        .iter()
        .find(|i| i.ip() >= at as u64)
        .is_some_and(|i| i.ip() == at as u64 && i.mnemonic() == Mnemonic::Cpuid)
}

/// Answers SIGILL when it comes from an instruction that is CPUID in the program's file.
pub fn answer(tracee: Tracee) -> io::Result<Taken> {
    let mut registers = tracee.registers()?;
    let (program, code) = code(tracee)?;
    let Some(piece) = code.iter().find(|piece| (piece.start..piece.end).contains(&registers.rip)) else {
        return Ok(Taken::No);
    };
    let mut bytes = [0; 2];
    File::open(program)?.read_exact_at(&mut bytes, piece.offset + registers.rip - piece.start)?;
    if bytes != CPUID {
        return Ok(Taken::No);
    }
    let (leaf, subleaf) = (registers.rax as u32, registers.rcx as u32);
    let mut result = __cpuid_count(leaf, subleaf);
    match leaf {
        1 => result.ecx |= HYPERVISOR_BIT,
        HYPERVISOR_LEAF => {
            let [ebx, ecx, edx] = [0, 4, 8].map(|at| {
                u32::from_le_bytes([SIGNATURE[at], SIGNATURE[at + 1], SIGNATURE[at + 2], SIGNATURE[at + 3]])
            });
            (result.eax, result.ebx, result.ecx, result.edx) = (LAST_HYPERVISOR_LEAF, ebx, ecx, edx);
        }
        _ => {}
    }
    registers.rax = result.eax.into();
    registers.rbx = result.ebx.into();
    registers.rcx = result.ecx.into();
    registers.rdx = result.edx.into();
    registers.rip += CPUID.len() as u64;
    tracee.set_registers(registers)?;
    Ok(Taken::Yes)
}

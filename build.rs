// SPDX-License-Identifier: Apache-2.0
//! How the released program is linked: without unwind tables, and with its relocations packed (`DT_RELR`, glibc 2.36); and the
//! version that it tells. `dist/build` names the commit in the environment; without it the version is the crate's alone, so that
//! a commit does not make everything be compiled again.
//!
//! The program aborts at a panic (`panic = "abort"`), so nothing unwinds, and the tables of the prebuilt standard library and
//! of glibc are more than a tenth of its size. Backtraces read them too: `io::process::no_backtraces` turns these off.
//! Other profiles keep the tables, for tests unwind.

use std::path::PathBuf;

/// For the linker: sections that do not go into the program; the last hold what the tables before them point to. `INSERT` keeps the linker's own layout.
const SCRIPT: &str = "SECTIONS { /DISCARD/ : { *(.eh_frame .eh_frame_hdr .gcc_except_table .gcc_except_table.*) } } INSERT AFTER .rodata;\n";

fn main() -> std::io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=FOOTPLATE_COMMIT");
    let variable = |name: &str| std::env::var_os(name).unwrap_or_default();
    let commit = variable("FOOTPLATE_COMMIT");
    let commit = if commit.is_empty() { String::new() } else { format!(" ({})", commit.display()) };
    println!("cargo::rustc-env=FOOTPLATE_VERSION={}{commit}", variable("CARGO_PKG_VERSION").display());
    if variable("PROFILE") == "release" {
        let script = PathBuf::from(variable("OUT_DIR")).join("no-unwind-tables.ld");
        std::fs::write(&script, SCRIPT)?;
        let script = script.display();
        println!("cargo::rustc-link-arg-bins=-Wl,--no-eh-frame-hdr,-z,pack-relative-relocs,-T,{script}");
        // Functions with the same code are one: rustc links with LLD here, which can do that.
        if variable("CARGO_CFG_TARGET_ARCH") == "x86_64" {
            println!("cargo::rustc-link-arg-bins=-Wl,--icf=all");
        }
    }
    Ok(())
}

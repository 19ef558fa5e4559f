// SPDX-License-Identifier: Apache-2.0
//! The target that this program is named after.

#![no_main]

#[path = "../targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let name = env!("CARGO_BIN_NAME");
    let target = targets::TARGETS.iter().find(|(of, _)| *of == name);
    target.unwrap_or_else(|| panic!("{name} is in no row of TARGETS")).1(data);
});

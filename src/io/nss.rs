// SPDX-License-Identifier: Apache-2.0
//! Questions to the machine's name services that are never asked: libraries have the code for them, and nothing here calls it.
//! glibc's own answers would load the node's modules (NSS) into this static program, which are of another glibc, and crash. With
//! these in their place, the linker leaves glibc's out, and with them its resolver and its readers of `/etc/nsswitch.conf`.

use std::ffi::{c_char, c_int};
use std::ptr;

use nix::libc::{EAI_FAIL, addrinfo, passwd, uid_t};

/// Addresses of a name: `io::dns` asks for them.
#[unsafe(no_mangle)]
extern "C" fn getaddrinfo(
    _node: *const c_char,
    _service: *const c_char,
    _hints: *const addrinfo,
    _found: *mut *mut addrinfo,
) -> c_int {
    EAI_FAIL
}

/// There is nothing to free.
#[unsafe(no_mangle)]
extern "C" fn freeaddrinfo(_list: *mut addrinfo) {}

/// The account of a number: there is none. The standard library asks for the home directory where `$HOME` is not set.
///
/// # Safety
/// `found` is a place for a pointer, as getpwuid_r(3) wants it.
#[unsafe(no_mangle)]
unsafe extern "C" fn getpwuid_r(
    _uid: uid_t,
    _entry: *mut passwd,
    _buffer: *mut c_char,
    _size: usize,
    found: *mut *mut passwd,
) -> c_int {
    // SAFETY: the caller gives the place.
    unsafe { found.write(ptr::null_mut()) };
    0
}

// SPDX-License-Identifier: Apache-2.0
//! Small functions in the place of large ones of glibc. A static program has of glibc what its own parts ask for, and these three ask
//! for a tenth of a megabyte more than they need: translations of messages, which this program does not have, and readers and
//! writers of every kind of number. Where another version of glibc does not ask for one of these, it is not used.

use std::ffi::{CStr, c_char, c_int, c_uint};
use std::io::Write as _;

/// Messages as they are: this program's language is English, and it never sets a locale.
#[unsafe(no_mangle)]
extern "C" fn __dcgettext(_domain: *const c_char, message: *const c_char, _kind: c_int) -> *const c_char {
    message
}

/// The other name of [`__dcgettext`].
#[unsafe(no_mangle)]
extern "C" fn dcgettext(domain: *const c_char, message: *const c_char, kind: c_int) -> *const c_char {
    __dcgettext(domain, message, kind)
}

/// Reads a line of `/proc/self/maps`, for `pthread_getattr_np`, which is how the standard library knows where a stack ends. glibc asks
/// for nothing else here; any other question has no answer. In C it takes any number of places, which come in the same registers.
///
/// # Safety
/// Both texts end with NUL, and where the format is that of two addresses, `from` and `to` are places for them.
#[unsafe(no_mangle)]
unsafe extern "C" fn __isoc99_sscanf(
    line: *const c_char,
    format: *const c_char,
    from: *mut usize,
    to: *mut usize,
) -> c_int {
    const EOF: c_int = -1;
    // SAFETY: the caller says so.
    let (line, format) = unsafe { (CStr::from_ptr(line), CStr::from_ptr(format)) };
    let address = |text: &str| usize::from_str_radix(text, 16).ok();
    let range = line.to_str().ok().and_then(|line| line.split(' ').next()?.split_once('-'));
    match range.and_then(|(from, to)| Some((address(from)?, address(to)?))) {
        Some((begin, end)) if format.to_bytes() == b"%lx-%lx" => {
            // SAFETY: the caller gives the places with this format.
            unsafe {
                from.write(begin);
                to.write(end);
            }
            2
        }
        _ => EOF,
    }
}

/// Ends the process where glibc finds its own state broken, and says what it found.
///
/// # Safety
/// The texts end with NUL; `function` may be null.
#[unsafe(no_mangle)]
unsafe extern "C" fn __assert_fail(
    assertion: *const c_char,
    file: *const c_char,
    line: c_uint,
    function: *const c_char,
) -> ! {
    let text = |text: *const c_char| match text.is_null() {
        true => "?".into(),
        // SAFETY: the caller says so.
        false => unsafe { CStr::from_ptr(text) }.to_string_lossy(),
    };
    let said =
        format!("{}:{line}: {}: Assertion `{}' failed.\n", text(file), text(function), text(assertion));
    let _ = std::io::stderr().write_all(said.as_bytes());
    std::process::abort()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_memory_map_is_two_addresses() {
        let (mut from, mut to) = (0, 0);
        let mut read = |line: &CStr, format: &CStr| {
            // SAFETY: both are places for an address, and live through the call.
            unsafe { __isoc99_sscanf(line.as_ptr(), format.as_ptr(), &raw mut from, &raw mut to) }
        };
        assert_eq!(read(c"7ffd0a1c0000-7ffd0a1e1000 rw-p 00000000 00:00 0 [stack]\n", c"%lx-%lx"), 2);
        assert_eq!(read(c"7ffd0a1c0000 rw-p", c"%lx-%lx"), -1);
        assert_eq!(read(c"1-2", c"%d-%d"), -1);
        assert_eq!((from, to), (0x7ffd_0a1c_0000, 0x7ffd_0a1e_1000));
    }
}

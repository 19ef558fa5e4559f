// SPDX-License-Identifier: Apache-2.0
//! Small functions in the place of large ones of glibc. A static program has of glibc what its own parts name, and these name, for
//! what they never do, nearly half a megabyte: C's files and `printf`, translations and characters of other locales, a loader of
//! libraries, and readers of the resolver's settings. This program prints by Rust, in English, loads nothing and asks name servers
//! itself (`io::dns`).
//!
//! They stand in the released program alone (build.rs), and come before glibc's own there, should it have these too. Where another version
//! of glibc does not name one of them, it is not used.

#![allow(non_snake_case, non_upper_case_globals, reason = "the names are glibc's")]
#![cfg_attr(not(released), allow(dead_code, reason = "glibc's own are there"))]

use std::ffi::{CStr, c_char, c_int, c_long, c_uint, c_ulong, c_void};
use std::ptr;

use nix::libc::{
    ENOSYS, PR_SET_NAME, RLIM_INFINITY, RLIMIT_STACK, getrlimit, prctl, pthread_attr_init,
    pthread_attr_setstack, pthread_attr_t, pthread_t, rlimit,
};

/// Messages as they are: this program never sets a locale.
#[cfg_attr(released, unsafe(no_mangle))]
extern "C" fn __dcgettext(_domain: *const c_char, message: *const c_char, _kind: c_int) -> *const c_char {
    message
}

/// The other name of [`__dcgettext`].
#[cfg_attr(released, unsafe(no_mangle))]
extern "C" fn dcgettext(domain: *const c_char, message: *const c_char, kind: c_int) -> *const c_char {
    __dcgettext(domain, message, kind)
}

/// No thread has tables of characters: what would read them, C's own readers of text, is not there.
#[cfg_attr(released, unsafe(no_mangle))]
extern "C" fn __ctype_init() {}

/// No function of a library is found: none is ever loaded. The standard library asks for what its system may not have.
#[cfg_attr(released, unsafe(no_mangle))]
extern "C" fn dlsym(_library: *mut c_void, _name: *const c_char) -> *mut c_void {
    ptr::null_mut()
}

/// The resolver's settings are not read: nothing asks glibc's resolver.
#[cfg_attr(released, unsafe(no_mangle))]
extern "C" fn __res_vinit(_state: *mut c_void, _again: c_int) -> c_int {
    -1
}

/// Nothing of the resolver's is open.
#[cfg_attr(released, unsafe(no_mangle))]
extern "C" fn __res_iclose(_state: *mut c_void, _free: c_int) {}

/// C's files, of which none is ever open: `malloc` can print what it has, and a new thread and a new process would lock them.
#[cfg_attr(released, unsafe(no_mangle))]
static stderr: usize = 0;

#[cfg_attr(released, unsafe(no_mangle))]
extern "C" fn fprintf(_file: *mut c_void, _format: *const c_char) -> c_int {
    0
}

#[cfg_attr(released, unsafe(no_mangle))]
extern "C" fn _IO_enable_locks() {}

#[cfg_attr(released, unsafe(no_mangle))]
extern "C" fn _IO_list_lock() {}

#[cfg_attr(released, unsafe(no_mangle))]
extern "C" fn _IO_list_unlock() {}

#[cfg_attr(released, unsafe(no_mangle))]
extern "C" fn _IO_list_resetlock() {}

#[cfg_attr(released, unsafe(no_mangle))]
extern "C" fn _IO_iter_begin() -> *mut c_void {
    ptr::null_mut()
}

#[cfg_attr(released, unsafe(no_mangle))]
extern "C" fn _IO_iter_end() -> *mut c_void {
    ptr::null_mut()
}

#[cfg_attr(released, unsafe(no_mangle))]
extern "C" fn _IO_iter_next(_file: *mut c_void) -> *mut c_void {
    ptr::null_mut()
}

#[cfg_attr(released, unsafe(no_mangle))]
extern "C" fn _IO_iter_file(_file: *mut c_void) -> *mut c_void {
    ptr::null_mut()
}

/// Writes the message for a number of an error that has none, which is a text and the number, and the pattern itself for what else glibc
/// says before it ends the process. In C it takes any number of arguments, which come in the same registers.
///
/// # Safety
/// The texts end with NUL, and `buffer` has `size` bytes.
#[cfg_attr(released, unsafe(no_mangle))]
unsafe extern "C" fn __snprintf(
    buffer: *mut c_char,
    size: usize,
    format: *const c_char,
    text: *const c_char,
    number: c_int,
) -> c_int {
    // SAFETY: the caller says so.
    let format = unsafe { CStr::from_ptr(format) };
    let text = match format.to_bytes() {
        // SAFETY: the caller gives a text with this pattern.
        b"%s%d" => format!("{}{number}", unsafe { CStr::from_ptr(text) }.to_string_lossy()),
        other => String::from_utf8_lossy(other).into_owned(),
    };
    let length = text.len().min(size.saturating_sub(1));
    if size > 0 {
        // SAFETY: the text's part and the NUL behind it are within the buffer.
        unsafe {
            ptr::copy_nonoverlapping(text.as_ptr().cast(), buffer, length);
            buffer.add(length).write(0);
        }
    }
    c_int::try_from(text.len()).unwrap_or(c_int::MAX)
}

/// The decimal number that a text begins with, and where it ends: of the numbers of processors, and of a setting in `/proc/sys`.
///
/// # Safety
/// The text ends with NUL; `end` is null or a place for a pointer.
#[cfg_attr(released, unsafe(no_mangle))]
unsafe extern "C" fn strtoul(text: *const c_char, end: *mut *const c_char, _base: c_int) -> c_ulong {
    let (mut at, mut value) = (text, 0 as c_ulong);
    // SAFETY: no byte behind the NUL is read, which is no digit; the caller gives the place.
    unsafe {
        while (*at as u8).is_ascii_digit() {
            value = value.saturating_mul(10).saturating_add(c_ulong::from(*at as u8 - b'0'));
            at = at.add(1);
        }
        if !end.is_null() {
            end.write(at);
        }
    }
    value
}

/// As [`strtoul`]: none of these numbers has a sign.
///
/// # Safety
/// As [`strtoul`].
#[cfg_attr(released, unsafe(no_mangle))]
unsafe extern "C" fn strtol(text: *const c_char, end: *mut *const c_char, base: c_int) -> c_long {
    // SAFETY: the caller says so.
    c_long::try_from(unsafe { strtoul(text, end, base) }).unwrap_or(c_long::MAX)
}

/// Compares texts. glibc has eight of each of these, for texts that are long or compared often.
///
/// # Safety
/// Both end with NUL.
#[cfg_attr(released, unsafe(no_mangle))]
unsafe extern "C" fn strcmp(a: *const c_char, b: *const c_char) -> c_int {
    // SAFETY: the caller says so.
    unsafe { strncmp(a, b, usize::MAX) }
}

/// Compares the first bytes of texts.
///
/// # Safety
/// Both have so many bytes or end with NUL.
#[cfg_attr(released, unsafe(no_mangle))]
unsafe extern "C" fn strncmp(a: *const c_char, b: *const c_char, most: usize) -> c_int {
    for at in 0..most {
        // SAFETY: the bytes before are no NUL.
        let (a, b) = unsafe { (*a.add(at) as u8, *b.add(at) as u8) };
        if a != b || a == 0 {
            return c_int::from(a) - c_int::from(b);
        }
    }
    0
}

/// Copies a text and fills the rest of its place with NUL.
///
/// # Safety
/// `from` ends with NUL or has `size` bytes, and `to` has them.
#[cfg_attr(released, unsafe(no_mangle))]
unsafe extern "C" fn strncpy(to: *mut c_char, from: *const c_char, size: usize) -> *mut c_char {
    let mut ended = false;
    for at in 0..size {
        // SAFETY: the bytes of `from` before are no NUL, and both have this one.
        unsafe {
            let byte = if ended { 0 } else { *from.add(at) };
            ended = byte == 0;
            to.add(at).write(byte);
        }
    }
    to
}

/// Names this thread: the standard library names no other.
///
/// # Safety
/// The name ends with NUL.
#[cfg_attr(released, unsafe(no_mangle))]
unsafe extern "C" fn pthread_setname_np(_thread: pthread_t, name: *const c_char) -> c_int {
    // SAFETY: the kernel reads 16 bytes at most, up to the NUL.
    unsafe { prctl(PR_SET_NAME, name) }
}

/// Tells where this thread's stack is, which is how the standard library knows one that has overflowed; it asks of no other thread. The
/// main one's grows down to the limit, another's is as large as its memory.
///
/// # Safety
/// `attributes` is a place for a thread's attributes.
#[cfg_attr(released, unsafe(no_mangle))]
unsafe extern "C" fn pthread_getattr_np(_thread: pthread_t, attributes: *mut pthread_attr_t) -> c_int {
    let here = &raw const attributes as usize;
    let address = |text: &str| usize::from_str_radix(text, 16).ok();
    let map = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let stack = map.lines().find_map(|line| {
        let (from, to) = line.split(' ').next()?.split_once('-')?;
        let (from, to) = (address(from)?, address(to)?);
        (from..to).contains(&here).then_some((from, to, line.ends_with("[stack]")))
    });
    let Some((mut from, to, grows)) = stack else { return ENOSYS };
    let mut limit = rlimit { rlim_cur: RLIM_INFINITY, rlim_max: RLIM_INFINITY };
    // SAFETY: the place is ours.
    if grows && unsafe { getrlimit(RLIMIT_STACK, &raw mut limit) } == 0 && limit.rlim_cur != RLIM_INFINITY {
        from = to.saturating_sub(usize::try_from(limit.rlim_cur).unwrap_or(usize::MAX));
    }
    // SAFETY: the caller gives the place.
    unsafe {
        pthread_attr_init(attributes);
        pthread_attr_setstack(attributes, from as *mut c_void, to - from)
    }
}

/// Ends the process where glibc finds its own state broken, and says what it found.
///
/// # Safety
/// The texts end with NUL; `function` may be null.
#[cfg_attr(released, unsafe(no_mangle))]
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
    eprintln!("{}:{line}: {}: Assertion `{}' failed.", text(file), text(function), text(assertion));
    std::process::abort()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_knows_its_stack_and_its_name() {
        let look = || {
            let local = 0_u8;
            // SAFETY: the attributes are ours, and set before they are read; the name ends with NUL.
            unsafe {
                let mut attributes: pthread_attr_t = std::mem::zeroed();
                assert_eq!(pthread_getattr_np(0, &raw mut attributes), 0);
                let (mut from, mut size) = (ptr::null_mut(), 0);
                nix::libc::pthread_attr_getstack(&raw const attributes, &raw mut from, &raw mut size);
                let here = &raw const local as usize;
                assert!((from as usize..from as usize + size).contains(&here));
                assert_eq!(pthread_setname_np(0, c"of-test".as_ptr()), 0);
            }
            assert_eq!(std::fs::read_to_string("/proc/thread-self/comm").unwrap(), "of-test\n");
        };
        std::thread::Builder::new().stack_size(256 << 10).spawn(look).unwrap().join().unwrap();
    }

    #[test]
    fn texts_and_numbers_are_as_in_c() {
        // SAFETY: all texts end with NUL, and the places are large enough.
        unsafe {
            for (a, b, most, want) in [
                (c"abc", c"abd", 3, -1),
                (c"abc", c"abd", 2, 0),
                (c"", c"a", 9, -1),
                (c"\xff", c"a", 9, 1),
                (c"ab", c"a", 9, 1),
                (c"ab", c"ab", 9, 0),
            ] {
                assert_eq!(strncmp(a.as_ptr(), b.as_ptr(), most).signum(), want, "{a:?} {b:?}");
            }
            assert!(strcmp(c"a".as_ptr(), c"b".as_ptr()) < 0);
            let mut place = [b'x' as c_char; 6];
            strncpy(place.as_mut_ptr(), c"abc".as_ptr(), 5);
            assert_eq!(place.map(|b| b as u8), *b"abc\0\0x");
            let mut end = ptr::null();
            let text = c"17-31";
            assert_eq!(strtoul(text.as_ptr(), &raw mut end, 10), 17);
            assert_eq!(end, text.as_ptr().add(2));
            assert_eq!(strtol(c"99999999999999999999".as_ptr(), ptr::null_mut(), 10), c_long::MAX);
        }
    }

    #[test]
    fn an_error_without_a_message_has_its_number() {
        let said = |size, format: &CStr| {
            let mut place = [b'x' as c_char; 24];
            let text = c"Unknown error ".as_ptr();
            // SAFETY: the texts end with NUL, and the place has more than the size.
            let length = unsafe { __snprintf(place.as_mut_ptr(), size, format.as_ptr(), text, 4095) };
            (length, place.map(|b| b as u8))
        };
        assert_eq!(said(24, c"%s%d"), (18, *b"Unknown error 4095\0xxxxx"));
        assert_eq!(said(4, c"abcdef"), (6, *b"abc\0xxxxxxxxxxxxxxxxxxxx"));
        assert_eq!(said(0, c"abcdef"), (6, [b'x'; 24]));
    }
}

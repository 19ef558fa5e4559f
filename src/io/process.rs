// SPDX-License-Identifier: Apache-2.0
//! What this process keeps of what it was started with, and what it leaves behind.

/// Turns backtraces off, whatever the environment says (`RUST_BACKTRACE`, `RUST_LIB_BACKTRACE`). The released program has no
/// unwind tables (`build.rs`), and without them the C library ends a program that asks for a backtrace. Called before
/// anything else, while there is one thread.
pub fn no_backtraces() {
    for name in ["RUST_BACKTRACE", "RUST_LIB_BACKTRACE"] {
        // SAFETY: the program has one thread yet, so nothing reads the environment beside.
        unsafe { std::env::remove_var(name) };
    }
}

/// Sees to it that a crash leaves no image of this process, which holds the bootstrap data: no core dump, and as root no
/// process of another user reads its memory
/// ([`PR_SET_DUMPABLE`](https://man7.org/linux/man-pages/man2/PR_SET_DUMPABLE.2const.html)). Programs that it starts have no
/// core dumps either.
pub fn no_core_dumps() {
    let none = nix::libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the call reads the struct and keeps no pointer to it. Lowering a limit is always allowed.
    unsafe { nix::libc::setrlimit(nix::libc::RLIMIT_CORE, &none) };
    if is_root() {
        // The kernel refuses no value that it knows.
        let _ = nix::sys::prctl::set_dumpable(false);
    }
}

/// Gives new files and directories the modes that they are made with: networkd could not read its directory where the caller's
/// umask is 077.
pub fn own_umask() {
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
}

/// Whether this process has the rights of root.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

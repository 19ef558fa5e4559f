// SPDX-License-Identifier: Apache-2.0
//! What this process keeps of what it was started with.

/// Turns backtraces off, whatever the environment says (`RUST_BACKTRACE`, `RUST_LIB_BACKTRACE`). The released program has no
/// unwind tables (`build.rs`), and without them the C library ends a program that asks for a backtrace. Called before
/// anything else, while there is one thread.
pub fn no_backtraces() {
    for name in ["RUST_BACKTRACE", "RUST_LIB_BACKTRACE"] {
        // SAFETY: the program has one thread yet, so nothing reads the environment beside.
        unsafe { std::env::remove_var(name) };
    }
}

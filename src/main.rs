// SPDX-License-Identifier: Apache-2.0
//! The program. All of it is in the library, so that tests reach its parts.

use std::process::ExitCode;

fn main() -> ExitCode {
    footplate::run()
}

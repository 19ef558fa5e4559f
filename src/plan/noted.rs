// SPDX-License-Identifier: Apache-2.0
//! How the shell notes when each command of a script of the data began, and how it ended.

use crate::model::secret::Secret;

/// Where the shell that runs the bootstrap's script notes its commands, in the form of [`noting`].
pub const RAN: &str = "/run/footplate/commands";

/// The same of `bootcmd`.
pub const BOOTCMD_RAN: &str = "/run/footplate/bootcmd.commands";

/// The script of `bootcmd`.
pub const BOOTCMD: &str = "/var/lib/footplate/bootcmd";

/// What the line begins with that has the number of lines of each command of a script. The first command follows it.
pub const LINES: &str = "# lines of each command:";

/// Has bash note when it comes to a line of the script for the first time: seconds since the kernel started, the line, and the
/// exit status of what ran before. The commands stand in the script as they are: bash runs the trap before each and gives back `$?` and
/// `$_`. Flatcar's `/bin/sh` is bash; a shell that is not notes nothing.
pub(super) fn noting(to: &str, lines: &[Secret]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let counts: String = lines
        .iter()
        .map(|l| format!(" {}", 1 + l.expose().iter().filter(|b| **b == b'\n').count()))
        .collect();
    format!(
        "footplate_at() {{\n    \
             [ \"$2\" -gt \"${{footplate_line:-0}}\" ] || return 0\n    \
             footplate_line=$2\n    \
             read -r footplate_up < /proc/uptime\n    \
             echo \"${{footplate_up%% *}} $2 $1\" >> {to} || :\n\
         }}\n\
         [ -z \"${{BASH_VERSION-}}\" ] || trap '{{ footplate_at \"$?\" \"$LINENO\" \"$_\"; }} 2> /dev/null' DEBUG\n\
         {LINES}{counts}\n"
    )
}

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# libazureinit 0.1.1, of Azure's own provisioning agent: whether a machine is provisioned with a password is read from
# `disablePasswordAuthentication` of the metadata service as it stands there, not turned round: a machine that was made with SSH keys alone
# has a password, and one with a password has none.
. "${BASH_SOURCE%/*}/fetch"
crates libazureinit@=0.1.1 <<'RUST'
fn main() {
    for disable in ["true", "false"] {
        let body = format!(r#"{{"compute": {{"osProfile": {{"disablePasswordAuthentication": "{disable}"}}}}}}"#);
        println!("disabled {disable}: with a password {}", libazureinit::imds::get_provision_with_password(&body).unwrap());
    }
}
RUST
grep -A 1 '^name = "libazureinit"' probe/Cargo.lock
same 'what the service says, and what is made of it' 'disabled true: with a password true
disabled false: with a password false' "$(probe/target/debug/probe)"

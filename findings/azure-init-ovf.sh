#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# libazureinit 0.1.1, of Azure's own provisioning agent: an ovf-env.xml without a password is an error, though its type has a default for
# that. A machine that was made with SSH keys alone has none.
. "${BASH_SOURCE%/*}/fetch"
crates libazureinit@=0.1.1 <<'RUST'
fn main() {
    for password in ["<UserPassword>secret</UserPassword>", ""] {
        let document = format!(
            r#"<Environment xmlns="http://schemas.dmtf.org/ovf/environment/1" xmlns:wa="http://schemas.microsoft.com/windowsazure">
            <wa:ProvisioningSection><wa:Version>1.0</wa:Version>
            <LinuxProvisioningConfigurationSet xmlns="http://schemas.microsoft.com/windowsazure">
            <UserName>core</UserName>{password}<HostName>node-1</HostName></LinuxProvisioningConfigurationSet></wa:ProvisioningSection>
            <wa:PlatformSettingsSection><wa:Version>1.0</wa:Version><PlatformSettings xmlns="http://schemas.microsoft.com/windowsazure">
            <PreprovisionedVm>false</PreprovisionedVm></PlatformSettings></wa:PlatformSettingsSection></Environment>"#
        );
        match libazureinit::media::parse_ovf_env(&document) {
            Ok(found) => println!("{}", found.provisioning_section.linux_prov_conf_set.hostname),
            Err(error) => println!("error: {error}"),
        }
    }
}
RUST
grep -A 1 '^name = "libazureinit"' probe/Cargo.lock
same 'with a password, and without' 'node-1
error: Password is empty' "$(probe/target/debug/probe)"

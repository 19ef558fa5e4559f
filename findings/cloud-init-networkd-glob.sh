#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cloud-init 22.4.2, renderer for systemd-networkd: `match: {name: "en*"}` of version 2 is lost. The file matches a NIC whose name is
# the key of the entry, so no NIC is configured. The documentation of version 2 says that globs are supported, by networkd only, and
# that the key is an opaque name where there is a match.
. "${BASH_SOURCE%/*}/fetch"
cloud_init

/usr/bin/python3 -m cloudinit.cmd.main --version | tail -1
same 'for "en*"' '# all
[Match]
Name=all
[Network]
DHCP=ipv4' "$(echo '{version: 2, ethernets: {all: {match: {name: "en*"}, dhcp4: true}}}' | networkd_of)"

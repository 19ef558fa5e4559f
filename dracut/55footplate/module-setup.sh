#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The network of vSphere's guestinfo from the initramfs on, so that Ignition fetches over it. Optional: the real root does the
# same without it. Metadata on a drive is read in the real root only: here a drive appears after the NICs have their names.
#
# The program is the static binary of /opt/bin, without shell, tools or libraries.

check() {
    require_binaries /opt/bin/footplate || return 1
    # Only for an image that asks for it.
    return 255
}

depends() {
    echo systemd systemd-networkd
}

install() {
    local unit
    inst_binary /opt/bin/footplate /usr/bin/footplate
    for unit in footplate-initrd-network.service footplate-initrd-persist.service; do
        inst_simple "$moddir/$unit" "$systemdsystemunitdir/$unit"
        $SYSTEMCTL -q --root "$initdir" enable "$unit"
    done
}

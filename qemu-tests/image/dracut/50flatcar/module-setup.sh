#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What Flatcar's initramfs does to the network before a node's own root has a say: on a first boot networkd runs with the
# defaults (DHCP on every link), and before the switch to the real root the links are emptied and set down.

check() {
    return 0
}

depends() {
    echo systemd-networkd
}

installkernel() {
    instmods ext4 squashfs virtio_blk virtio_console virtio_net virtio_pci vmxnet3
}

install() {
    inst_multiple ip
    inst_simple "$systemdnetwork/zz-default.network"
    inst_simple "$moddir/network-cleanup.service" "$systemdsystemunitdir/network-cleanup.service"
    inst_script "$moddir/network-cleanup" /usr/bin/network-cleanup
    inst_simple "$moddir/10-first-boot.conf" "$systemdsystemunitdir/systemd-networkd.service.d/10-first-boot.conf"

    # The systemd-networkd module enables it; on Flatcar only what needs a network pulls it in, which is Ignition's first boot.
    $SYSTEMCTL -q --root "$initdir" disable systemd-networkd.service systemd-networkd.socket
    $SYSTEMCTL -q --root "$initdir" add-wants initrd.target systemd-networkd.service network-cleanup.service
}

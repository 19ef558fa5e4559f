#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What Flatcar's initramfs does before a node's own root has a say: Ignition on a first boot, with what the OEM partition has
# for it; networkd with the defaults (DHCP on every link), and before the switch to the real root the links are emptied and
# set down; /etc as an overlay, and where this systemd can do it, extensions merged.

check() {
    return 0
}

depends() {
    echo systemd-networkd ignition
}

installkernel() {
    instmods btrfs ext4 squashfs loop overlay vfat nls_ascii nls_cp437 virtio_blk virtio_console virtio_net virtio_pci vmxnet3
}

install() {
    local name
    inst_multiple ip mount umount rm cp mkdir
    inst_simple "$systemdnetwork/zz-default.network"
    for name in ignition-setup ignition-quench initrd-setup-root network-cleanup; do
        inst_script "$moddir/$name" "/usr/bin/$name"
        inst_simple "$moddir/$name.service" "$systemdsystemunitdir/$name.service"
    done
    inst_simple "$moddir/10-first-boot.conf" "$systemdsystemunitdir/systemd-networkd.service.d/10-first-boot.conf"
    for name in fetch-offline fetch kargs disks mount files; do
        inst_simple "$moddir/10-usr.conf" "$systemdsystemunitdir/ignition-$name.service.d/10-usr.conf"
    done
    inst_simple "$moddir/10-network.conf" "$systemdsystemunitdir/ignition-mount.service.d/10-network.conf"
    if [ -e "${dracutsysrootdir-}/usr/bin/systemd-confext" ]; then
        inst_multiple systemd-confext systemd-sysext
        inst_simple "$moddir/initrd-merge-extensions.service" "$systemdsystemunitdir/initrd-merge-extensions.service"
        $SYSTEMCTL -q --root "$initdir" add-requires initrd.target initrd-merge-extensions.service
    fi
    mkdir -p "$initdir/usr/lib/ignition"
    ln -s /run/ignition-config/base.d /run/ignition-config/user.ign "$initdir/usr/lib/ignition/"
    # In place of the one that is there.
    cp "$moddir/ignition-generator" "$initdir$systemdutildir/system-generators/ignition-generator"

    # The systemd-networkd module enables it; on Flatcar only what needs a network pulls it in, which is Ignition's first boot.
    $SYSTEMCTL -q --root "$initdir" disable systemd-networkd.service systemd-networkd.socket
    $SYSTEMCTL -q --root "$initdir" add-wants initrd.target systemd-networkd.service network-cleanup.service
    $SYSTEMCTL -q --root "$initdir" add-requires ignition-complete.target ignition-setup.service
    $SYSTEMCTL -q --root "$initdir" add-requires initrd.target initrd-setup-root.service
}

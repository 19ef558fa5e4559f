// SPDX-License-Identifier: Apache-2.0
//! Names of files, programs and units of other distributions, and what Flatcar has instead.

use super::packages::NONE as PACKAGES;

const NETWORK: &str =
    "give the network in the platform's metadata, or write systemd-networkd's files to /etc/systemd/network";
const TIME: &str = "use the key `ntp`, or write to /etc/systemd/timesyncd.conf.d";
const FIREWALL: &str = "use nft or iptables-restore, in a systemd unit that runs at each boot";
const TIMER: &str =
    "write a service and a .timer to /etc/systemd/system, by the key `coreos.units` for instance";
const KERNEL: &str = "kernel arguments are in /oem/grub.cfg, and the initramfs is a part of the image";
pub(super) const CLOUD_INIT: &str =
    "footplate applies this data itself, and before the commands run: leave it out";
const SERVICES: &str = "use systemctl, with a unit in /etc/systemd/system";
/// Of programs that Flatcar has and a node does without.
pub(super) const SELINUX: &str = "leave it out";

const MODULES: &str = "write the modules' names to /etc/modules-load.d/NAME.conf";
const LOCALE: &str = "use the key `locale`";
const LOGS: &str = "logs are in the journal: systemd-journal-upload or an agent in a pod forwards them";
const UPDATES: &str = "update-engine and locksmithd update Flatcar: leave it out";

/// Paths, directories with a slash at their end, and what to do instead.
pub(super) const FILES: &[(&str, &str)] = &[
    ("/etc/netplan/", NETWORK),
    ("/etc/network/interfaces", NETWORK),
    ("/etc/network/interfaces.d/", NETWORK),
    ("/etc/sysconfig/network", NETWORK),
    ("/etc/sysconfig/network-scripts/", NETWORK),
    ("/etc/NetworkManager/", NETWORK),
    ("/etc/dhcp/", NETWORK),
    ("/etc/resolvconf/", NETWORK),
    ("/etc/apt/", PACKAGES),
    ("/etc/yum.conf", PACKAGES),
    ("/etc/yum.repos.d/", PACKAGES),
    ("/etc/yum/", PACKAGES),
    ("/etc/dnf/", PACKAGES),
    ("/etc/zypp/", PACKAGES),
    ("/etc/tdnf/", PACKAGES),
    ("/etc/apk/", PACKAGES),
    ("/etc/pip.conf", PACKAGES),
    ("/etc/chrony/", TIME),
    ("/etc/chrony.conf", TIME),
    ("/etc/chrony.d/", TIME),
    ("/etc/ntpsec/", TIME),
    ("/etc/cloud/", CLOUD_INIT),
    ("/etc/ufw/", FIREWALL),
    ("/etc/firewalld/", FIREWALL),
    ("/etc/default/ufw", FIREWALL),
    ("/etc/iptables/", FIREWALL),
    ("/etc/sysconfig/iptables", FIREWALL),
    ("/etc/sysconfig/ip6tables", FIREWALL),
    ("/etc/modules", MODULES),
    ("/etc/sysconfig/modules/", MODULES),
    ("/etc/default/locale", LOCALE),
    ("/etc/sysconfig/i18n", LOCALE),
    ("/etc/locale.gen", LOCALE),
    ("/etc/timezone", "use the key `timezone`"),
    ("/etc/crontab", TIMER),
    ("/etc/cron.d/", TIMER),
    ("/etc/cron.hourly/", TIMER),
    ("/etc/cron.daily/", TIMER),
    ("/etc/cron.weekly/", TIMER),
    ("/etc/cron.monthly/", TIMER),
    ("/var/spool/cron/", TIMER),
    ("/etc/default/grub", KERNEL),
    ("/etc/default/grub.d/", KERNEL),
    ("/etc/grub.d/", KERNEL),
    ("/boot/grub/", KERNEL),
    ("/boot/grub2/", KERNEL),
    ("/etc/initramfs-tools/", KERNEL),
    ("/etc/dracut.conf.d/", KERNEL),
    ("/etc/init.d/", SERVICES),
    ("/etc/init/", SERVICES),
    ("/etc/rc.local", SERVICES),
    ("/etc/rc.d/", SERVICES),
    ("/etc/needrestart/", UPDATES),
    ("/etc/kernel/", KERNEL),
    ("/etc/apparmor.d/", "Flatcar has no AppArmor: leave it out"),
    ("/etc/rsyslog.conf", LOGS),
    ("/etc/rsyslog.d/", LOGS),
];

/// Commands by their names, and what to do instead.
pub(super) const COMMANDS: &[(&[&str], &str)] = &[
    (
        &[
            "aptitude",
            "dpkg-reconfigure",
            "debconf-set-selections",
            "microdnf",
            "rpm",
            "apk",
            "pacman",
            "snap",
            "pip",
            "pip3",
            "subscription-manager",
            "SUSEConnect",
            "amazon-linux-extras",
            "needrestart",
            "unattended-upgrade",
        ],
        PACKAGES,
    ),
    (&["netplan", "nmcli", "nmtui", "ifup", "ifdown", "dhclient", "resolvconf"], NETWORK),
    (&["chronyc", "chronyd"], TIME),
    (&["ufw", "firewall-cmd", "netfilter-persistent"], FIREWALL),
    (&["setenforce", "setsebool", "semanage", "restorecon"], SELINUX),
    (
        &["apparmor_parser", "aa-disable", "aa-teardown", "aa-complain"],
        "Flatcar has no AppArmor: leave it out",
    ),
    (&["service", "chkconfig", "update-rc.d", "initctl", "invoke-rc.d", "rc-service", "rc-update"], SERVICES),
    (&["crontab", "at"], TIMER),
    (&["ssh-import-id"], "list the public keys themselves as `ssh_authorized_keys`"),
    (
        &[
            "update-grub",
            "grub-mkconfig",
            "grub2-mkconfig",
            "grubby",
            "update-initramfs",
            "mkinitcpio",
            "dracut",
        ],
        KERNEL,
    ),
    (&["growpart"], "Flatcar grows its root file system itself: leave it out"),
    (
        &["adduser", "addgroup", "deluser", "delgroup"],
        "use the keys `users` and `groups`, or useradd and groupadd",
    ),
    (&["locale-gen", "update-locale"], LOCALE),
    (&["python", "python3"], "write it in shell, or run it in a container"),
    (&["update-alternatives", "alternatives"], "write a link below /opt/bin"),
    (&["trust"], "write the certificate to /etc/ssl/certs/NAME.pem, and call update-ca-certificates"),
];

/// Units that Flatcar does not have, by the names that `systemctl` is given.
pub(super) const UNITS: &[(&[&str], &str)] = &[
    (&["chrony", "chronyd", "ntp", "ntpsec"], TIME),
    (&["networking", "NetworkManager", "network", "network-manager", "resolvconf"], NETWORK),
    (&["ufw", "firewalld", "netfilter-persistent"], FIREWALL),
    (&["cloud-init", "cloud-config", "cloud-final", "cloud-init-local"], CLOUD_INIT),
    (
        &["apt-daily.timer", "apt-daily-upgrade.timer", "unattended-upgrades", "snapd", "snapd.socket"],
        UPDATES,
    ),
    (&["ssh"], "the unit is sshd.socket, and sshd reads its settings for each connection: leave it out"),
    (&["cron", "crond"], TIMER),
    (&["rsyslog", "syslog"], LOGS),
    (&["open-iscsi"], "the unit is iscsid"),
    (&["apparmor"], "Flatcar has no AppArmor: leave it out"),
];

// SPDX-License-Identifier: Apache-2.0
//! The top-level keys of a cloud-config: what reads each, or what to do on Flatcar instead.

use super::Reader;
use crate::decode::syntax::words;
use crate::decode::syntax::yaml::Node;

/// What is known of a top-level key.
pub(super) enum Key {
    /// This function reads it.
    Read(fn(&mut Reader<'_>, &Node)),
    /// It is read together with another key.
    Beside,
    /// Flatcar does by itself what the key asks for; the text says how.
    Done(&'static str),
    /// The key has no effect on Flatcar: why, and what to do instead.
    NoEffect(&'static str, &'static str),
}

const NO_PACKAGES: &str = "Flatcar has no package manager: the key has no effect";
const PACKAGES: Key =
    Key::NoEffect(NO_PACKAGES, "bake what the packages hold into the image, or ship it as a sysext");
const UPDATES: Key = Key::NoEffect(NO_PACKAGES, "Flatcar updates itself as a whole: see update_engine");

const NO_AGENT: &str = "Flatcar does not have this program: the key has no effect";
const AGENT: Key = Key::NoEffect(NO_AGENT, "run the program as a container, or ship it as a sysext");

const NOT_CLOUD_INIT: &str = "footplate is not cloud-init: the key has no effect";
const MODULES: Key =
    Key::NoEffect(NOT_CLOUD_INIT, "remove it: footplate reads all keys, in an order of its own");

const PLATFORM: Key = Key::NoEffect(
    NOT_CLOUD_INIT,
    "`footplate platforms` shows which platform is used, `--platform` chooses one",
);

const NO_KEYS_FROM_ELSEWHERE: Key = Key::NoEffect(
    "keys are not fetched from Launchpad or GitHub: the key has no effect",
    "list the public keys themselves as `ssh_authorized_keys`",
);

const HOST_KEYS: Key = Key::NoEffect(
    "sshd-keygen.service makes this node's host keys at its first boot: the key has no effect",
    "give host keys of your own as `ssh_keys`",
);

const NO_FINGERPRINTS: Key = Key::NoEffect(
    "footplate prints no fingerprints and no host keys: the key has no effect",
    "`ssh-keyscan` from the network, or the console of the machine, shows them",
);

const AUTOINSTALL: Key = Key::NoEffect("this is for Ubuntu's installer: the key has no effect", "remove it");

const DISABLE_EC2_METADATA: Key = Key::NoEffect(
    "the route to the metadata service is left as it is: the key has no effect",
    "block 169.254.169.254 with a rule of the firewall or a NetworkPolicy",
);

const DISABLE_ROOT_OPTS: Key =
    Key::NoEffect("`disable_root` gives root no key at all: the key has no effect", "remove it");

const KEYBOARD: Key =
    Key::NoEffect("the key has no effect", "write /etc/vconsole.conf with write_files: KEYMAP=…");

const LAUNCH_INDEX: Key = Key::NoEffect(
    "every machine takes all of its data: the key has no effect",
    "give each machine data of its own, or ask for a name with `{% if … %}` in a template",
);

const LOCALE_CONFIGFILE: Key =
    Key::NoEffect("the locale is always written to /etc/locale.conf: the key has no effect", "remove it");

const NETWORK: Key = Key::NoEffect(
    "the network is not configured by user-data: the key has no effect",
    "give it in the platform's network data, or write networkd's files to /etc/systemd/network",
);

const RANDOM_SEED: Key = Key::NoEffect(
    "systemd-random-seed keeps the kernel's entropy: the key has no effect",
    "give the machine a virtio-rng device",
);

const REPORTING: Key = Key::NoEffect(
    "events are not sent to a collector: the key has no effect",
    "use `phone_home` for the end of the bootstrap, or ship the journal",
);

const RSYSLOG: Key = Key::NoEffect(
    "the log is systemd's journal: the key has no effect",
    "configure systemd-journal-upload with write_files, or run a log shipper as a DaemonSet",
);

const SSH_PUBLISH_HOSTKEYS: Key = Key::NoEffect(
    "host keys are not told to the platform: the key has no effect",
    "`phone_home` can send them: post: [pub_key_ed25519]",
);

const SYSTEM_INFO: Key =
    Key::NoEffect(NOT_CLOUD_INIT, "name the default user with `user`; it is `core` without that");

const HOTPLUG: Key = Key::NoEffect(
    "the network is configured again at each boot: the key has no effect",
    "remove it: a boot applies what changed in the platform's network data",
);

const CREATE_HOSTNAME_FILE: Key =
    Key::NoEffect("the name is always written to /etc/hostname: the key has no effect", "remove it");

const RASPBERRY: Key = Key::NoEffect("this is for Raspberry Pi OS: the key has no effect", "remove it");

const VENDOR_DATA_2: Key = Key::NoEffect(
    "both kinds of vendor-data are one here: the key has no effect",
    "use `vendor_data`, which holds for both",
);

const WIREGUARD: Key = Key::NoEffect(
    "the key has no effect",
    "write networkd's .netdev file to /etc/systemd/network with write_files",
);

/// The top-level keys, sorted. They are those of cloud-init's schema, of its documentation, and Flatcar's `coreos`.
pub(super) const KEYS: &[(&str, Key)] = &[
    ("allow_public_ssh_keys", Key::Read(|r, n| r.platform_keys(n))),
    ("ansible", PACKAGES),
    ("apk_repos", PACKAGES),
    ("apt", PACKAGES),
    ("apt_mirror", PACKAGES),
    ("apt_pipelining", PACKAGES),
    ("apt_proxy", PACKAGES),
    ("apt_reboot_if_required", UPDATES),
    ("apt_sources", PACKAGES),
    ("apt_update", UPDATES),
    ("apt_upgrade", UPDATES),
    ("authkey_hash", NO_FINGERPRINTS),
    ("autoinstall", AUTOINSTALL),
    ("bootcmd", Key::Read(|r, n| r.config.bootcmd = r.commands("bootcmd", n))),
    ("byobu_by_default", AGENT),
    ("ca-certs", Key::Read(|r, n| r.ca_certs(n))),
    ("ca_certs", Key::Read(|r, n| r.ca_certs(n))),
    ("chef", PACKAGES),
    ("chpasswd", Key::Beside),
    ("cloud_config_modules", MODULES),
    ("cloud_final_modules", MODULES),
    ("cloud_init_modules", MODULES),
    ("coreos", Key::Read(|r, n| r.coreos(n))),
    ("create_hostname_file", CREATE_HOSTNAME_FILE),
    ("datasource", PLATFORM),
    ("datasource_list", PLATFORM),
    ("debconf_selections", PACKAGES),
    ("debug", MODULES),
    ("def_log_file", RSYSLOG),
    ("device_aliases", Key::Beside),
    ("disable_ec2_metadata", DISABLE_EC2_METADATA),
    ("disable_root", Key::Beside),
    ("disable_root_opts", DISABLE_ROOT_OPTS),
    ("disk_setup", Key::Beside),
    ("drivers", PACKAGES),
    ("fan", PACKAGES),
    ("final_message", Key::Read(|r, n| r.final_message(n))),
    ("fqdn", Key::Beside),
    ("fs_setup", Key::Beside),
    ("groups", Key::Beside),
    ("growpart", Key::Read(|r, n| r.growpart(n))),
    ("grub-dpkg", UPDATES),
    ("grub_dpkg", UPDATES),
    ("hostname", Key::Beside),
    ("keyboard", KEYBOARD),
    ("landscape", AGENT),
    ("launch-index", LAUNCH_INDEX),
    ("locale", Key::Read(|r, n| r.locale(n))),
    ("locale_configfile", LOCALE_CONFIGFILE),
    ("log_cfgs", RSYSLOG),
    ("lxd", PACKAGES),
    ("manage_etc_hosts", Key::Read(|r, n| r.manage_etc_hosts(n))),
    ("manage_resolv_conf", Key::Beside),
    ("manual_cache_clean", MODULES),
    ("mcollective", PACKAGES),
    ("merge_how", Key::Beside),
    ("merge_type", Key::Beside),
    ("migrate", MODULES),
    ("mount_default_fields", Key::Beside),
    ("mounts", Key::Beside),
    ("network", NETWORK),
    ("no_ssh_fingerprints", NO_FINGERPRINTS),
    ("ntp", Key::Read(|r, n| r.ntp(n))),
    ("output", Key::Read(|r, n| r.output(n))),
    ("package_reboot_if_required", UPDATES),
    ("package_update", UPDATES),
    ("package_upgrade", UPDATES),
    ("packages", PACKAGES),
    ("password", Key::Beside),
    ("phone_home", Key::Read(|r, n| r.phone_home(n))),
    ("power_state", Key::Read(|r, n| r.power_state(n))),
    ("prefer_fqdn_over_hostname", Key::Beside),
    ("preserve_hostname", Key::Beside),
    ("puppet", PACKAGES),
    ("random_seed", RANDOM_SEED),
    ("reporting", REPORTING),
    ("resize_rootfs", Key::Done("Flatcar grows its root filesystem itself")),
    ("resolv_conf", Key::Beside),
    ("rh_subscription", PACKAGES),
    ("rpi", RASPBERRY),
    ("rsyslog", RSYSLOG),
    ("runcmd", Key::Read(|r, n| r.config.runcmd = r.commands("runcmd", n))),
    ("salt_minion", PACKAGES),
    ("snap", PACKAGES),
    ("snappy", PACKAGES),
    ("spacewalk", PACKAGES),
    ("ssh", Key::Read(|r, n| r.ssh(n))),
    ("ssh_authorized_keys", Key::Beside),
    ("ssh_deletekeys", HOST_KEYS),
    ("ssh_fp_console_blacklist", NO_FINGERPRINTS),
    ("ssh_genkeytypes", HOST_KEYS),
    ("ssh_import_id", NO_KEYS_FROM_ELSEWHERE),
    ("ssh_key_console_blacklist", NO_FINGERPRINTS),
    ("ssh_keys", Key::Read(|r, n| r.host_keys(n))),
    ("ssh_publish_hostkeys", SSH_PUBLISH_HOSTKEYS),
    ("ssh_pwauth", Key::Read(|r, n| r.ssh_pwauth(n))),
    ("ssh_quiet_keygen", NO_FINGERPRINTS),
    ("swap", Key::Read(|r, n| r.swap(n))),
    ("syslog_fix_perms", RSYSLOG),
    ("system_info", SYSTEM_INFO),
    ("timezone", Key::Read(|r, n| r.timezone(n))),
    ("ubuntu_advantage", PACKAGES),
    ("ubuntu_drivers", PACKAGES),
    ("ubuntu_pro", PACKAGES),
    ("updates", HOTPLUG),
    ("user", Key::Beside),
    ("users", Key::Beside),
    ("vendor_data", Key::Beside),
    ("vendor_data2", VENDOR_DATA_2),
    ("wireguard", WIREGUARD),
    ("write_files", Key::Read(|r, n| r.files(n))),
    ("yum_repo_dir", PACKAGES),
    ("yum_repos", PACKAGES),
    ("zypper", PACKAGES),
];

/// The keys of a mapping, by the keys that it is below; of a list it is an item.
const KEYS_BELOW: &[(&str, &str)] = &[
    ("ca_certs", "remove_defaults trusted"),
    ("chpasswd", "expire list users"),
    ("chpasswd.users", "name password type"),
    ("coreos", "units"),
    ("coreos.units", "command content drop-ins enable mask name runtime"),
    ("coreos.units.drop-ins", "content name"),
    ("disk_setup", "layout overwrite table_type"),
    ("fs_setup", "cmd device extra_opts filesystem label overwrite partition replace_fs"),
    ("growpart", "devices ignore_growroot_disabled mode"),
    ("ntp", "allow config enabled ntp_client peers pools servers"),
    ("phone_home", "post tries url"),
    ("power_state", "condition delay message mode timeout"),
    ("resolv_conf", "domain nameservers options searchdomains sortlist"),
    ("ssh", "emit_keys_to_console"),
    (
        "ssh_keys",
        "ecdsa_certificate ecdsa_private ecdsa_public ed25519_certificate ed25519_private ed25519_public rsa_certificate rsa_private \
         rsa_public",
    ),
    ("swap", "filename maxsize size"),
    (
        "users",
        "create_groups expiredate gecos groups hashed_passwd homedir inactive lock_passwd name no_create_home no_user_group passwd \
         primary_group shell ssh_authorized_keys sudo system uid",
    ),
    ("write_files", "append content defer encoding owner path permissions source"),
    ("write_files.source", "headers uri"),
];

/// Keys of Cluster API's KubeadmConfig that are no keys of cloud-config, and the key that Cluster API makes of them.
const KUBEADM_CONFIG: &[(&str, &str)] = &[
    ("bootCommands", "bootcmd"),
    ("files", "write_files"),
    ("postKubeadmCommands", "runcmd"),
    ("preKubeadmCommands", "runcmd"),
];

/// The key that the author of an unknown one meant, by its place: one of the document, or of what stands below one of its keys.
pub(super) fn meant(place: &str) -> Option<&'static str> {
    let Some((above, key)) = place.rsplit_once('.') else {
        let has_effect = |key: &Key| matches!(key, Key::Read(_) | Key::Beside);
        let known = KEYS.iter().filter(|(_, key)| has_effect(key)).map(|(name, _)| *name);
        let of_cluster_api = KUBEADM_CONFIG.iter().find(|(name, _)| *name == place).map(|(_, key)| *key);
        return of_cluster_api.or_else(|| words::meant(place, known));
    };
    // Items have numbers or names, and fields of users stand below `user` and below a user's name too.
    let above: String =
        above.split('[').map(|part| part.split_once(']').map_or(part, |(_, rest)| rest)).collect();
    let above = above.replace("drop_ins", "drop-ins");
    let above = if above == "user" || above.starts_with("users.") { "users" } else { &above };
    let (_, known) = KEYS_BELOW.iter().find(|(name, _)| *name == above)?;
    words::meant(key, known.split_whitespace())
}

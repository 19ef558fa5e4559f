// SPDX-License-Identifier: Apache-2.0
//! A machine's answers for replay and for support, with what is secret taken out.

mod context;
mod document;
mod ignition;
mod log;
mod urls;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value as Json, json};

use crate::decode::document::envelope;
use crate::decode::ovf;
use crate::model::config::{
    EtcHosts, GroupSpec, NodeConfig, Ntp, PhoneHome, PowerMode, PowerState, Resolver, Swap, SwapSize, System,
    UnitSpec, UserSpec,
};
use crate::model::instance::Instance;
use crate::model::paths::UNIT_DIR;
use crate::model::secret::{Secret, name_has, names_bootstrap_data, names_secret};
use crate::model::storage::{
    DiskSpec, Existing, File, FilesystemSpec, Layout, MountSpec, Partition, PartitionSpec, TableKind,
    WHOLE_DISK,
};
use crate::platform;
use context::context;
use document::document;
pub use log::Log;
use urls::{arguments, without_logins};

/// What is known of the machine whose answers these are.
pub struct Known<'a> {
    /// What its bootstrap data describes.
    pub config: &'a NodeConfig,
    /// What its platform says; `None` where that can't be read.
    pub instance: Option<&'a Instance>,
    /// The names of what its user-data includes, where no answer holds the user-data itself: the first gets the picture.
    pub included: Vec<String>,
}

impl Known<'_> {
    /// Whether vendor-data has the picture: where there is user-data, that has it, and the vendor-data is part of it.
    fn is_vendors(&self) -> bool {
        self.instance.is_some_and(|instance| instance.user_data.is_none())
    }
}

/// What stands in the place of data that another answer's picture shows.
const NOTHING: &str = "#cloud-config\n{}\n";

/// Hyper-V's pairs, with user-data in some of them.
const KEY_VALUE_PAIRS: &str = "/.kvp_pool_0";

/// Whether an answer is bootstrap data as a whole, by its name.
pub fn is_bootstrap_data(name: &str) -> bool {
    // An answer that has others below its path is the directory's index.
    let mut parts = name.strip_suffix("/index").unwrap_or(name).rsplit('/');
    // A service may have its kinds of user-data below one path.
    parts.next().is_some_and(names_bootstrap_data)
        || name.starts_with("http/") && parts.next().is_some_and(names_bootstrap_data)
        || name.ends_with("/context.sh")
        || name.ends_with(KEY_VALUE_PAIRS)
}

/// The answers without secrets: bootstrap data becomes a picture of itself, metadata loses the values of keys that are
/// named like secrets, an answer that is named like one is left out.
pub fn redact(kept: Vec<(String, Vec<u8>)>, known: &Known<'_>) -> Vec<(String, Vec<u8>)> {
    let config = known.config;
    let mut redacted: Vec<(String, Vec<u8>)> = Vec::new();
    for (name, bytes) in kept {
        // An answer that has others below its path is the directory's index.
        let last = name.strip_suffix("/index").unwrap_or(&name).rsplit('/').next().unwrap_or_default();
        let encoding = last.ends_with(".encoding");
        // A service may have its kinds of user-data below one path.
        let above =
            name.rsplit('/').nth(1).filter(|above| name.starts_with("http/") && names_bootstrap_data(above));
        let bootstrap_data = above.or(Some(last).filter(|last| names_bootstrap_data(last)));
        let bytes = if bootstrap_data.is_some() || name.starts_with("file/sys/firmware/qemu_fw_cfg/") {
            let vendors = bootstrap_data.is_some_and(|name| name_has(name, &["vendordata"]));
            if encoding || vendors && !known.is_vendors() {
                continue;
            }
            like(&bytes, picture(config)).into_bytes()
        } else if let Some(number) = known.included.iter().position(|included| *included == name) {
            if number == 0 { picture(config) } else { NOTHING.to_owned() }.into_bytes()
        } else if name.ends_with(KEY_VALUE_PAIRS) {
            platform::pairs_of(picture(config).as_bytes())
        } else if last == "context.sh" {
            let text = String::from_utf8_lossy(&bytes);
            let Some(text) = context(&text, |data| like(data.as_bytes(), picture(config))) else { continue };
            without_logins(text.into_bytes())
        } else if name_has(last, &["metadata", "networkconfig"]) {
            // Written plain, whatever it was: its encoding goes.
            if encoding {
                continue;
            }
            let generated = if name.starts_with("drive/") { known.instance } else { None };
            document(&bytes, known, generated).unwrap_or_else(|| b"{}\n".to_vec())
        } else if name_has(last, &["ovfenv"]) {
            // Properties have the names of answers.
            let Ok(properties) = ovf::properties(&String::from_utf8_lossy(&bytes)) else { continue };
            let kept = properties.into_iter().map(|(key, value)| (key, value.into_bytes())).collect();
            ovf::environment(&redact(kept, known)).into_bytes()
        } else if names_secret(last) {
            continue;
        } else if name.starts_with("http/") {
            document(&bytes, known, None).unwrap_or_else(|| without_logins(bytes))
        } else if name == "file/proc/cmdline" {
            arguments(&String::from_utf8_lossy(&bytes)).into_bytes()
        } else {
            without_logins(bytes)
        };
        // Asked twice, the last answer counts.
        redacted.retain(|(n, _)| *n != name);
        redacted.push((name, bytes));
    }
    redacted
}

/// A picture as the data came: some services have it in base64 alone.
fn like(data: &[u8], picture: String) -> String {
    if envelope::base64(data).is_ok() { STANDARD.encode(picture) } else { picture }
}

/// User-data that makes the same plan, with nothing in it but names, paths and sizes: a cloud-config, and in an archive
/// with it the scripts and an Ignition config, where there are any.
fn picture(config: &NodeConfig) -> String {
    let document = format!("#cloud-config\n{:#}\n", cloud_config(config));
    let mut parts = vec![json!({ "type": "text/cloud-config", "content": document })];
    if let Some(config) = ignition::config(config) {
        parts.push(json!({ "type": "application/vnd.coreos.ignition+json", "content": config.to_string() }));
    }
    let kinds = [
        ("text/cloud-boothook", &config.boothooks),
        ("text/cloud-boothook", &config.included_hooks),
        ("text/x-shellscript-per-boot", &config.boot_scripts),
        ("text/x-shellscript", &config.scripts),
    ];
    for (kind, scripts) in kinds {
        parts.extend(scripts.iter().map(|script| {
            let content = format!("#!/bin/sh\n{}", removed(script.content.len()));
            json!({ "type": kind, "filename": script.name, "content": content })
        }));
    }
    if parts.len() == 1 { document } else { format!("#cloud-config-archive\n{:#}\n", Json::from(parts)) }
}

fn removed(bytes: usize) -> String {
    format!("# {bytes} bytes removed\n")
}

/// The config without its scripts. All structs are taken apart whole: a new field must be pictured or left out on purpose.
fn cloud_config(config: &NodeConfig) -> Json {
    let NodeConfig {
        hostname,
        files,
        users,
        bootcmd,
        runcmd,
        ntp,
        system,
        disks,
        filesystems,
        mounts,
        groups,
        units,
        // Parts of their own.
        boothooks: _,
        included_hooks: _,
        boot_scripts: _,
        scripts: _,
        directories: _,
        links: _,
    } = config;
    let units = units.iter().filter(|unit| ignition::beside_commands(unit, config)).flat_map(unit);
    // Keys and passwords for accounts that are there already are not told of.
    let users = users.iter().filter(|u| !u.existing && !u.absent);
    let lines = |lines: &[Secret]| -> Vec<String> {
        lines.iter().map(|l| format!("true {}", removed(l.len()).trim_end())).collect()
    };
    let mut document = json!({
        "write_files": files.iter().filter(|file| file.existing == Existing::Written).map(file).chain(units).collect::<Vec<_>>(),
        "users": users.map(user).collect::<Vec<_>>(),
        "bootcmd": lines(bootcmd),
        "runcmd": lines(runcmd),
        "groups": groups.iter().filter(|group| !group.absent).map(group).collect::<Vec<_>>(),
        "hostname": hostname,
        "ntp": ntp.as_ref().map(|Ntp { servers }| json!({ "servers": servers })),
        "fs_setup": filesystems.iter().map(filesystem).collect::<Vec<_>>(),
        "mounts": mounts.iter().map(mount).collect::<Vec<_>>(),
        "disk_setup": disks.iter().filter_map(disk).collect::<Map<_, _>>(),
    });
    if let (Some(document), Json::Object(system)) = (document.as_object_mut(), self::system(system)) {
        document.extend(system);
        // What the data does not say is not said here.
        document.retain(|_, value| match value {
            Json::Null => false,
            Json::Array(items) => !items.is_empty(),
            Json::Object(map) => !map.is_empty(),
            _ => true,
        });
    }
    document
}

fn file(file: &File) -> Json {
    let File { place: _, path, content, owner, mode, append, existing: _, restart: _ } = file;
    // cloud-config's word for an owner that is left alone.
    let name = |name: &Option<String>| name.clone().unwrap_or("none".to_owned());
    json!({
        "path": path, "owner": format!("{}:{}", name(&owner.user), name(&owner.group)), "permissions": format!("{mode:04o}"),
        "append": append, "content": removed(content.len()),
    })
}

/// A unit as the files that it consists of.
fn unit(unit: &UnitSpec) -> Vec<Json> {
    let UnitSpec { place: _, name, contents, dropins, enabled: _, mask: _ } = unit;
    let path = format!("{UNIT_DIR}/{name}");
    let main = contents.iter().map(|c| (path.clone(), c.len()));
    let dropins = dropins.iter().map(|(name, c)| (format!("{path}.d/{name}"), c.len()));
    main.chain(dropins).map(|(path, len)| json!({ "path": path, "content": removed(len) })).collect()
}

fn user(user: &UserSpec) -> Json {
    let UserSpec {
        name,
        groups,
        primary_group,
        home,
        shell,
        uid,
        system,
        create_home,
        sudo,
        // Secrets, and a person's name.
        password_hash: _,
        ssh_keys: _,
        gecos: _,
        // These change nothing in the list of what is made.
        place: _,
        lock_password: _,
        inactive: _,
        expires: _,
        no_user_group: _,
        modify: _,
        absent: _,
        existing: _,
        password_expired: _,
    } = user;
    json!({
        "name": name, "groups": groups, "primary_group": primary_group, "homedir": home, "shell": shell,
        "uid": uid, "system": system, "no_create_home": !create_home, "sudo": sudo,
    })
}

fn group(group: &GroupSpec) -> &str {
    let GroupSpec { place: _, name, gid: _, password_hash: _, members: _, system: _, absent: _ } = group;
    name
}

/// A disk, where cloud-config has words for it.
fn disk(disk: &DiskSpec) -> Option<(String, Json)> {
    let DiskSpec { place: _, device, table, layout, overwrite } = disk;
    let layout = match layout {
        Layout::Remove => Json::from("remove"),
        Layout::Partitions(parts) if parts.is_empty() => Json::from(true),
        Layout::Partitions(parts) => {
            let percent = |share: &u32| f64::from(*share) / f64::from(WHOLE_DISK / 100);
            parts.iter().map(|PartitionSpec { share, kind }| json!([percent(share), kind])).collect()
        }
        // In the Ignition config.
        Layout::Entries(_) => return None,
    };
    let table = if *table == TableKind::Gpt { "gpt" } else { "mbr" };
    Some((device.clone(), json!({ "table_type": table, "layout": layout, "overwrite": overwrite })))
}

fn filesystem(spec: &FilesystemSpec) -> Json {
    let FilesystemSpec { place: _, device, partition, kind, label, overwrite, replace, options, uuid: _ } =
        spec;
    let partition = match partition {
        Partition::None => Json::from("none"),
        Partition::Number(number) => Json::from(*number),
        Partition::Auto => Json::from("auto"),
        Partition::Any => Json::from("any"),
    };
    json!({
        "device": device, "filesystem": kind, "label": label, "partition": partition,
        "overwrite": overwrite, "replace_fs": replace, "extra_opts": options,
    })
}

/// A mount; network filesystems take passwords as options.
fn mount(mount: &MountSpec) -> Json {
    let MountSpec { place: _, what, path, kind, options, fsck, optional: _, disk: _ } = mount;
    let options: Vec<&str> =
        options.split(',').filter(|o| !names_secret(o.split('=').next().unwrap_or_default())).collect();
    let path = path.as_deref().unwrap_or("none");
    json!([what, path, kind, options.join(","), "0", if *fsck { "2" } else { "0" }])
}

fn system(system: &System) -> Json {
    let System {
        default_user,
        without_platform_keys,
        keep_hostname,
        whole_hostname,
        fqdn,
        etc_hosts,
        timezone,
        locale,
        certificates,
        swap,
        resolver,
        password_login,
        phone_home,
        power_state,
        final_message,
    } = system;
    json!({
        "user": default_user,
        "allow_public_ssh_keys": without_platform_keys.then_some(false),
        "fqdn": fqdn,
        "preserve_hostname": keep_hostname.then_some(true),
        "prefer_fqdn_over_hostname": whole_hostname.then_some(true),
        "manage_etc_hosts": etc_hosts.map(|h| if h == EtcHosts::Whole { "true" } else { "localhost" }),
        "timezone": timezone,
        "locale": locale,
        "ssh_pwauth": password_login,
        "ca_certs": (!certificates.is_empty()).then(|| json!({ "trusted": certificates })),
        "swap": swap.as_ref().map(|Swap { path, size }| match size {
            SwapSize::Bytes(bytes) => json!({ "filename": path, "size": bytes }),
            SwapSize::Auto { max } => json!({ "filename": path, "size": "auto", "maxsize": max }),
        }),
        "manage_resolv_conf": resolver.as_ref().map(|_| true),
        "resolv_conf": resolver.as_ref().map(|Resolver { servers, domains }| {
            json!({ "nameservers": servers, "searchdomains": domains })
        }),
        "phone_home": phone_home.as_ref().map(|PhoneHome { url: _, posts, tries }| {
            json!({ "url": "https://removed.invalid/", "post": posts, "tries": tries })
        }),
        "power_state": power_state.as_ref().map(|PowerState { mode, delay, message: _, condition: _ }| {
            let mode = match mode {
                PowerMode::Reboot => "reboot",
                PowerMode::PowerOff => "poweroff",
                PowerMode::Halt => "halt",
            };
            json!({ "mode": mode, "delay": delay })
        }),
        "final_message": final_message.as_ref().map(|m| removed(m.len())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::document::jinja::Variables;
    use crate::decode::{Decoded, document};

    fn user_data(data: &[u8]) -> Decoded {
        crate::decode::user_data(Some(data), None, &Variables::assumed(), &mut document::no_fetch)
    }

    #[test]
    fn nothing_secret_is_left_and_the_plan_is_the_same() {
        let data = b"#cloud-config\nwrite_files: [{path: /a, content: canary-1, permissions: '0600'}]\n\
            runcmd: [echo canary-2]\nusers: [{name: u, passwd: canary-3}]\n";
        let config = user_data(data).config;
        let properties = [("user-data", data.as_slice()), ("hostname", b"a<b"), ("password", b"canary-7")];
        let properties = properties.map(|(key, value)| (key.to_owned(), value.to_vec()));
        let kept = vec![
            ("guestinfo/guestinfo.userdata".to_owned(), data.to_vec()),
            ("guestinfo/guestinfo.userdata.encoding".to_owned(), b"base64".to_vec()),
            ("guestinfo/guestinfo.ignition.config.data".to_owned(), b"{\"canary-6\": 1}".to_vec()),
            (
                "guestinfo/guestinfo.metadata".to_owned(),
                b"{a: {private-key: canary-4}, public-keys: [k]}".to_vec(),
            ),
            ("http/169.254.169.254/latest/api/token".to_owned(), b"canary-5".to_vec()),
            ("drive/OVF ENV/ovf-env.xml".to_owned(), ovf::environment(&properties).into_bytes()),
            ("guestinfo/guestinfo.ovfEnv".to_owned(), b"<canary-9>".to_vec()),
            (
                "file/proc/cmdline".to_owned(),
                b"quiet flatcar.config.url=https://u:canary-a@h.example/p?sig=canary-b&v=canary-c rd.token=canary-d \
                  ds=nocloud;s=http://canary-e@h.example/;h=n tinkerbell.key=canary-f console=ttyS0\n"
                    .to_vec(),
            ),
            (
                "file/sys/class/dmi/id/product_serial".to_owned(),
                b"ds=nocloud-net;s=https://u:canary-g@h.example/".to_vec(),
            ),
            ("drive/cidata/meta-data".to_owned(), b"{seedfrom: 'https://u:canary-h@h.example/a/'}".to_vec()),
            ("guestinfo/guestinfo.coreos.config.url".to_owned(), b"https://u:canary-i@h.example/c?k=canary-j".to_vec()),
        ];
        let known = Known { config: &config, instance: None, included: Vec::new() };
        let redacted = redact(kept, &known);
        let all: String =
            redacted.iter().map(|(n, b)| format!("{n} {}\n", String::from_utf8_lossy(b))).collect();
        assert!(!all.contains("canary"), "{all}");
        assert_eq!(redacted.len(), 8, "{all}");
        assert!(
            all.contains("quiet flatcar.config.url=https://h.example/p?sig=removed&v=removed rd.token=removed ds=nocloud;s=http://h.example/;h=n \
                tinkerbell.key=removed console=ttyS0\n"),
            "{all}"
        );
        let xml = String::from_utf8(redacted[3].1.clone()).unwrap();
        let properties = ovf::properties(&xml).unwrap();
        assert_eq!(properties[0].1.as_bytes(), redacted[0].1, "an appliance's user-data is pictured, too");
        assert_eq!(properties[1..], [("hostname".to_owned(), "a<b".to_owned())]);
        let again = user_data(&redacted[0].1);
        assert!(!again.failed(), "{:?}", again.problems);
        assert_eq!(again.config.files[0].path, "/a");
        assert_eq!((again.config.users.len(), again.config.runcmd.len()), (1, 1));
    }
}

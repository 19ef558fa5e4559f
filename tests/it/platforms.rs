// SPDX-License-Identifier: Apache-2.0
//! Platforms as replayed machines show them: which one a machine is on, whose drives are read, and what is said of those
//! that are not. And the places where platforms are listed beside the code.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use footplate::facade::io::live::Live;
use footplate::facade::io::replay::Replay;
use footplate::facade::model::policy::Policy;
use footplate::facade::platform::{self, PLATFORMS, Platform};

use crate::common::scratch::{Ran, Scratch, footplate, fresh};
use crate::common::server::{Reply, Server};
use crate::faults::folder;

/// A machine's answers: their names and texts.
type Answers<'a> = &'a [(&'a str, &'a str)];

/// What a machine has, its answers, its platform, what made its file, its name, and what is said.
type Case<'a> = (&'a str, &'a [Answers<'a>], &'a str, &'a str, &'a str, &'a str);

const VMWARE: Answers<'_> = &[
    ("/file/sys/class/dmi/id/sys_vendor", "VMware, Inc."),
    ("/file/sys/class/dmi/id/product_name", "VMware20,1"),
    ("/file/sys/class/dmi/id/product_uuid", "4211AAAA-0000-1111-2222-333344445555"),
];
const EC2: Answers<'_> = &[
    ("/file/sys/class/dmi/id/sys_vendor", "Amazon EC2"),
    ("/file/sys/class/dmi/id/bios_vendor", "Amazon EC2"),
    ("/http/169.254.169.254/2021-07-15/meta-data/instance-id", "i-0fedcba9876543210"),
    ("/http/169.254.169.254/2021-07-15/meta-data/local-hostname", "ip-10-1-2-3.example.internal"),
];
const DRIVE: Answers<'_> = &[
    ("/labels", "CIDATA\tiso9660\t/dev/sr0\t2026-03-04-05-06-07-00\n"),
    ("/drive/cidata/meta-data", "instance-id: from-drive\nlocal-hostname: drive-name\nrack: r7\n"),
    ("/drive/cidata/user-data", "#cloud-config\nwrite_files: [{path: /etc/made-by, content: drive}]\n"),
];
const GUESTINFO: Answers<'_> = &[(
    "/guestinfo/guestinfo.userdata",
    "#cloud-config\nwrite_files: [{path: /etc/made-by, content: key}]\n",
)];

/// A directory of its own for each call: these tests run beside each other.
fn own(name: &str) -> Scratch {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    Scratch { dir: fresh(&format!("{name}-{}", NUMBER.fetch_add(1, Ordering::Relaxed))) }
}

fn machine(answers: &[Answers<'_>]) -> Scratch {
    let replay = own("replay");
    for (name, text) in answers.iter().copied().flatten() {
        replay.put(name, text);
    }
    replay
}

fn provision(answers: &[Answers<'_>]) -> (Ran, Scratch) {
    let (replay, root) = (machine(answers), own("root"));
    (footplate(&["provision", "--replay", replay.arg(), "--root", root.arg()]), root)
}

fn text(root: &Scratch, path: &str) -> String {
    fs::read_to_string(root.path(path)).unwrap_or_default()
}

#[test]
fn a_drive_belongs_to_the_platform_that_owns_it() {
    let metadata: Answers<'_> =
        &[("/guestinfo/guestinfo.metadata", "instance-id: m1\nlocal-hostname: meta-name\n")];
    let name: Answers<'_> = &[("/guestinfo/guestinfo.hostname", "flat-name")];
    let network: Answers<'_> = &[
        ("/guestinfo/guestinfo.interface.0.mac", "00:50:56:00:00:07"),
        ("/guestinfo/guestinfo.interface.0.ip.0.address", "192.0.2.77/24"),
    ];
    let vendor: Answers<'_> = &[("/guestinfo/guestinfo.vendordata", "#cloud-config\ntimezone: Etc/UTC\n")];
    let kargs: Answers<'_> = &[("/guestinfo/guestinfo.afterburn.initrd.network-kargs", "ip=dhcp")];
    let left_out = "the drive labelled CIDATA is left out: there is user-data elsewhere, or there was";
    // As footplate and Ignition leave the key behind once its value was used.
    let used: Answers<'_> =
        &[("/guestinfo/guestinfo.userdata", "---"), ("/guestinfo/guestinfo.hostname", "flat-name")];
    let ignited: Answers<'_> = &[("/guestinfo/guestinfo.ignition.config.data", "e30K")];
    let foreign = "a drive labelled CIDATA is not looked at: Amazon EC2 has no such drive";
    let completed = "what the platform says is completed by the drive labelled CIDATA";
    let cases: [Case<'_>; 11] = [
        ("nothing else", &[DRIVE], "nocloud", "drive", "drive-name", ""),
        ("vSphere, no guestinfo", &[VMWARE, DRIVE], "vmware", "drive", "drive-name", ""),
        ("metadata", &[VMWARE, DRIVE, metadata], "vmware", "drive", "meta-name", completed),
        ("name", &[VMWARE, DRIVE, name], "vmware", "drive", "flat-name", completed),
        ("network", &[VMWARE, DRIVE, network], "vmware", "drive", "drive-name", completed),
        ("vendor-data", &[VMWARE, DRIVE, vendor], "vmware", "drive", "drive-name", completed),
        ("kernel arguments", &[VMWARE, DRIVE, kargs], "vmware", "drive", "drive-name", completed),
        ("user-data", &[VMWARE, DRIVE, GUESTINFO], "vmware", "key", "", left_out),
        ("used", &[VMWARE, DRIVE, used], "vmware", "", "flat-name", left_out),
        ("used by Ignition", &[VMWARE, DRIVE, ignited], "vmware", "", "", left_out),
        ("EC2", &[EC2, DRIVE], "aws", "", "ip-10-1-2-3", foreign),
    ];
    for (what, answers, platform, made_by, hostname, said) in cases {
        let (ran, root) = provision(answers);
        ran.ended(0, &[&format!("fetch: platform={platform} "), said]);
        assert_eq!(text(&root, "/etc/made-by"), made_by, "{what}: {}", ran.err);
        assert_eq!(text(&root, "/etc/hostname").trim(), hostname, "{what}: {}", ran.err);
        let replay = machine(answers);
        let listed = footplate(&["platforms", "--replay", replay.arg()]);
        assert!(
            listed.out.contains(&format!("\nthis machine: {platform}, because ")),
            "{what}: {}",
            listed.out
        );
        let by_drive =
            if platform == "nocloud" { "CIDATA\n" } else { "a drive labelled CIDATA is not enough\n" };
        assert!(listed.out.contains(by_drive), "{what}: {}", listed.out);
        let root = own("root");
        let ran = footplate(&["network", "--replay", replay.arg(), "--root", root.arg()]);
        ran.ended(0, &[]);
        // EC2's name comes over the network.
        let local = if platform == "aws" { "" } else { hostname };
        assert_eq!(text(&root, "/etc/hostname").trim(), local, "{what}: {}", ran.err);
    }
}

/// A kernel argument that names another platform than DMI ends the run, and no drive is read, unless the image says that it decides.
#[test]
fn an_argument_that_dmi_contradicts_is_an_error() {
    const AZURE: Answers<'_> =
        &[("/file/sys/class/dmi/id/chassis_asset_tag", "7783-7084-3265-9085-8269-3286-77\n")];
    const GOOGLE: Answers<'_> = &[("/file/sys/class/dmi/id/product_name", "Google Compute Engine\n")];
    let clouds =
        [("Amazon EC2", EC2), ("VMware vSphere", VMWARE), ("Azure", AZURE), ("Google Cloud", GOOGLE)];
    let arguments = [
        ("flatcar.oem.id=nocloud", "NoCloud"),
        ("coreos.oem.id=openstack", "OpenStack"),
        ("ignition.platform.id=hetzner", "Hetzner Cloud"),
        ("quiet ds=nocloud;s=/seed/", "NoCloud"),
        ("flatcar.oem.id=qemu", "QEMU"),
        ("flatcar.oem.id=azurestack", "azurestack"),
    ];
    for (cloud, answers) in clouds {
        for (line, named) in arguments {
            let (what, argument) = (format!("{line} on {cloud}"), &[("/file/proc/cmdline", line)][..]);
            let answers = &[answers, DRIVE, argument];
            let (ran, root) = provision(answers);
            ran.ended(69, &["the kernel argument and DMI name two platforms", cloud, named]);
            let replay = machine(answers);
            footplate(&["network", "--replay", replay.arg(), "--root", root.arg()]).ended(0, &[]);
            let made: Vec<String> = root.paths().into_iter().filter(|p| p.starts_with("/etc")).collect();
            assert!(made.is_empty(), "{what}: {made:?}");
            let listed = footplate(&["platforms", "--replay", replay.arg()]);
            assert!(listed.out.contains("not known: the kernel argument and DMI"), "{what}: {}", listed.out);
            // The operator's own word decides, and so does the image's.
            if named == "NoCloud" {
                let option =
                    ["provision", "--platform", "nocloud", "--replay", replay.arg(), "--root", root.arg()];
                footplate(&option).ended(0, &["fetch: platform=nocloud "]);
                root.put("/etc/footplate.yaml", "platform: argument\n");
                footplate(&["provision", "--replay", replay.arg(), "--root", root.arg()])
                    .ended(0, &["fetch: platform=nocloud "]);
            }
        }
    }
    // What does not contradict: the platform's other name, a URL, another hypervisor.
    for (answers, line, platform) in [
        (EC2, "flatcar.oem.id=ec2", "aws"),
        (GOOGLE, "ignition.platform.id=gce", "gcp"),
        (VMWARE, "flatcar.config.url=file:///seed/none", "metal"),
        (&[("/hypervisor", "VMwareVMware")], "flatcar.oem.id=nocloud", "nocloud"),
    ] {
        let (ran, _) = provision(&[answers, DRIVE, &[("/file/proc/cmdline", line)]]);
        assert!(!ran.err.contains("name two platforms"), "{line}: {}", ran.err);
        assert!(ran.err.contains(&format!("detect: platform={platform}")), "{line}: {}", ran.err);
    }
}

/// A URL in a kernel argument is the user-data of a machine that its platform gives none, as it is for Ignition.
#[test]
fn a_url_in_a_kernel_argument_serves_each_platform() {
    let served =
        ("/http/192.0.2.9/node.yml", "#cloud-config\nwrite_files: [{path: /etc/made-by, content: url}]\n");
    let page = ("/http/192.0.2.9/node.yml", "<!DOCTYPE html>\n<html><body>Log in</body></html>\n");
    let data = (
        "/http/169.254.169.254/2021-07-15/user-data",
        "#cloud-config\nwrite_files: [{path: /etc/made-by, content: service}]\n",
    );
    let id = ("/file/sys/class/dmi/id/product_uuid", "ec2ddddd-0000-4000-8000-00000000000b");
    let left_out =
        "warning: coreos.config.url: left out: the platform has user-data for this machine, or had";
    let metal = "flatcar.config.url=http://192.0.2.9/node.yml";
    let aws = "flatcar.oem.id=ec2 coreos.config.url=http://192.0.2.9/node.yml";
    let cases: [(&[Answers<'_>], &str, i32, &str, &str); 8] = [
        (&[&[served, id]], metal, 0, "url", "fetch: platform=metal "),
        (&[EC2, &[served]], aws, 0, "url", "hostname=ip-10-1-2-3.example.internal"),
        (&[EC2, &[served, data]], aws, 0, "service", left_out),
        (
            &[&[served, id]],
            "flatcar.oem.id=qemu cloud-config-url=http://192.0.2.9/node.yml",
            0,
            "url",
            "fetch: platform=qemu ",
        ),
        (
            &[DRIVE, &[served]],
            "flatcar.oem.id=qemu cloud-config-url=x",
            0,
            "drive",
            "cloud-config-url: left out",
        ),
        (&[&[page, id]], metal, 65, "", "this is a page of HTML"),
        (
            &[&[id]],
            "ignition.config.url=tftp://192.0.2.9/x",
            65,
            "",
            "ignition.config.url: only these are fetched",
        ),
        (&[&[id]], "flatcar.config.url=\"http://192.0.2.9/a b\"", 65, "", "flatcar.config.url: is not a URL"),
    ];
    for (answers, line, code, made_by, said) in cases {
        let mut all: Vec<Answers<'_>> = answers.to_vec();
        let line = [("/file/proc/cmdline", line)];
        all.push(&line);
        let (ran, root) = provision(&all);
        ran.ended(code, &[said]);
        assert_eq!(text(&root, "/etc/made-by"), made_by, "{line:?}: {}", ran.err);
    }
}

/// A machine of QEMU is on many platforms: what is said of the platform goes before, and a file of fw_cfg before a drive.
#[test]
fn qemu_gives_way_to_what_is_surer() {
    const FILE: Answers<'_> = &[(
        "/file/sys/firmware/qemu_fw_cfg/by_name/opt/com.coreos/config/raw",
        "#cloud-config\nwrite_files: [{path: /etc/made-by, content: file}]\n",
    )];
    let kargs = |line| ("/file/proc/cmdline", line);
    let seed = "ds=nocloud;s=/seed/;h=of-seed flatcar.oem.id=qemu";
    let seeded: Answers<'_> = &[
        kargs(seed),
        ("/file/seed/user-data", "#cloud-config\nwrite_files: [{path: /etc/made-by, content: seed}]\n"),
        ("/file/seed/meta-data", "instance-id: s1\n"),
    ];
    let id: Answers<'_> = &[("/file/sys/class/dmi/id/product_uuid", "5d1c0d2e-0000-4000-8000-00000000000a")];
    let serial = |words| ("/file/sys/class/dmi/id/product_serial", words);
    let named: Answers<'_> = &[serial("ds=nocloud;h=of-serial;i=i1\n")];
    let on_disk: Answers<'_> = &[serial("ds=nocloud;s=/seed/\n"), seeded[1], seeded[2]];
    let cases: [(&str, &[Answers<'_>], &str, &str); 9] = [
        ("a file", &[FILE, id], "qemu", "file"),
        ("a file and a name in the serial number", &[FILE, named], "qemu", "file"),
        ("a file and a seed in the serial number", &[FILE, on_disk], "nocloud", "seed"),
        ("a file and a drive", &[FILE, id, DRIVE], "qemu", "file"),
        ("a drive", &[DRIVE], "nocloud", "drive"),
        ("a drive and the argument", &[DRIVE, &[kargs("flatcar.oem.id=qemu")]], "qemu", "drive"),
        ("nothing but the argument", &[id, &[kargs("flatcar.oem.id=qemu")]], "qemu", ""),
        ("a seed and the argument", &[seeded], "nocloud", "seed"),
        ("a file on EC2", &[FILE, EC2], "aws", ""),
    ];
    for (what, answers, platform, made_by) in cases {
        let (ran, root) = provision(answers);
        ran.ended(0, &[&format!("fetch: platform={platform} ")]);
        assert_eq!(text(&root, "/etc/made-by"), made_by, "{what}: {}", ran.err);
        let listed = footplate(&["platforms", "--replay", machine(answers).arg()]);
        assert!(listed.out.contains(&format!("\nthis machine: {platform}, ")), "{what}: {}", listed.out);
    }
}

/// A name in a kernel argument or in the serial number is a name for a machine, as one of metadata is.
#[test]
fn a_name_of_nocloud_is_looked_at() {
    let seed =
        ("/file/seed/user-data", "#cloud-config\nwrite_files: [{path: /etc/made-by, content: seed}]\n");
    let file = ("/file/sys/firmware/qemu_fw_cfg/by_name/opt/com.coreos/config/raw", "#cloud-config\n{}\n");
    for (given, code, name) in [
        ("node-1.lab.example.", 0, "node-1\n"),
        ("198.51.100.7", 0, "ip-198-51-100-7\n"),
        ("node_1", 65, ""),
        ("../node", 65, ""),
        ("a..b", 65, ""),
    ] {
        let (line, serial) =
            (format!("ds=nocloud;s=/seed/;i=i1;h={given}"), format!("ds=nocloud;h={given};i=i1\n"));
        let of_argument: Answers<'_> = &[seed, ("/file/seed/meta-data", ""), ("/file/proc/cmdline", &line)];
        let of_serial: Answers<'_> = &[file, ("/file/sys/class/dmi/id/product_serial", &serial)];
        for answers in [of_argument, of_serial] {
            let (ran, root) = provision(&[answers]);
            ran.ended(
                code,
                &[if code == 0 { "instance-id=i1 " } else { "ds=nocloud: h: not a name for a machine" }],
            );
            assert_eq!(text(&root, "/etc/hostname"), name, "{given}: {}", ran.err);
        }
    }
}

/// A platform that shows one line shows why, and not only who was asked.
#[test]
fn a_platform_hears_the_reason_of_a_failure() {
    let pair = |key: &str, value: &str| format!("{key:\0<512}{value:\0<2048}");
    let pairs = pair("ignition.config.1", "x");
    let answers: Answers<'_> =
        &[("/file/proc/cmdline", "flatcar.oem.id=hyperv"), ("/file/var/lib/hyperv/.kvp_pool_0", &pairs)];
    provision(&[answers]).0.ended(
        65,
        &["reason=decode: Hyper-V (key-value pairs) (kernel argument flatcar.oem.id=hyperv): /var/lib/hyperv/.kvp_pool_0: the part \
           ignition.config.0 is missing"],
    );
}

/// What answers at the address of a metadata service may be another machine's.
#[test]
fn metadata_of_another_machine_is_refused() {
    let vendor = |name| ("/file/sys/class/dmi/id/sys_vendor", name);
    let serial = |id| ("/file/sys/class/dmi/id/product_serial", id);
    let hetzner = "/http/169.254.169.254/hetzner/v1/metadata";
    let droplet = (
        "/http/169.254.169.254/metadata/v1.json",
        r##"{"droplet_id": 5501, "hostname": "d", "user_data": "#cloud-config\n{}"}"##,
    );
    let upcloud = (
        "/http/169.254.169.254/metadata/v1.json",
        r##"{"instance_id": "00c0ffee-1111-4222-8333-444455556666", "user_data": "#cloud-config\n{}"}"##,
    );
    let uuid = |id| ("/file/sys/class/dmi/id/product_uuid", id);
    let board = |id| ("/file/sys/class/dmi/id/board_asset_tag", id);
    let server = (hetzner, "instance-id: 8812\nhostname: h\n");
    let cases: [(&[Answers<'_>], i32); 10] = [
        (&[&[vendor("Hetzner"), serial("8812"), server]], 0),
        (&[&[vendor("Hetzner"), serial("8813"), server]], 65),
        (&[&[vendor("Hetzner"), server]], 0),
        (&[&[vendor("DigitalOcean"), serial("5501\n"), droplet]], 0),
        (&[&[vendor("DigitalOcean"), serial("5510"), droplet]], 65),
        (&[&[vendor("UpCloud"), uuid("00C0FFEE-1111-4222-8333-444455556666"), upcloud]], 0),
        (&[&[vendor("UpCloud"), uuid("00c0ffee-1111-4222-8333-444455556667"), upcloud]], 65),
        (&[EC2, &[board("i-0fedcba9876543210")]], 0),
        (&[EC2, &[board("i-0fedcba9876543211")]], 65),
        // Xen and bare metal have something else there.
        (&[EC2, &[board("Not Specified")]], 0),
    ];
    for (answers, code) in cases {
        let (ran, root) = provision(answers);
        let said = if code == 0 { "" } else { "instance-id: the metadata is of" };
        ran.ended(code, &[said]);
        assert!(code == 0 || !root.path("/etc").exists(), "{}", ran.err);
    }
}

#[test]
fn the_drive_completes_and_does_not_replace() {
    let metadata = ("/guestinfo/guestinfo.metadata", "local-hostname: meta-name\nrack: r1\nzone: z\n");
    let data = "## template: jinja\n#cloud-config\nwrite_files:\n- path: /etc/made-by\n  \
                content: '{{ v1.instance_id }} {{ ds.meta_data.local_hostname }} {{ ds.meta_data.rack }} {{ ds.meta_data.zone }}'\n";
    let (ran, root) = provision(&[VMWARE, DRIVE, &[metadata, ("/drive/cidata/user-data", data)]]);
    ran.ended(0, &[]);
    assert_eq!(text(&root, "/etc/made-by"), "from-drive meta-name r1 z");
}

#[test]
fn user_data_may_stand_behind_a_url() {
    let served =
        ("/http/192.0.2.9/node.yml", "#cloud-config\nwrite_files: [{path: /etc/made-by, content: url}]\n");
    let coreos = ("/guestinfo/guestinfo.coreos.config.url", "http://192.0.2.9/node.yml\n");
    let ignition = ("/guestinfo/guestinfo.ignition.config.url", "http://192.0.2.9/node.yml");
    let other = ("/guestinfo/guestinfo.coreos.config.url", "http://192.0.2.9/none.yml");
    let property = (
        "/guestinfo/guestinfo.ovfEnv",
        "<Environment xmlns='http://schemas.dmtf.org/ovf/environment/1' \
         xmlns:oe='http://schemas.dmtf.org/ovf/environment/1'><PropertySection>\
         <Property oe:key='guestinfo.coreos.config.url' oe:value='http://192.0.2.9/node.yml'/>\
         </PropertySection></Environment>",
    );
    let left_out = "guestinfo.coreos.config.url: left out: there is other user-data in guestinfo";
    let cases: [(Answers<'_>, i32, &str, &str); 7] = [
        (&[served, coreos], 0, "url", ""),
        (&[served, ignition], 0, "url", ""),
        (&[served, property], 0, "url", ""),
        (&[served, ignition, other], 0, "url", left_out),
        (&[other], 65, "", "include http://192.0.2.9/…: HTTP status 404"),
        (
            &[("/guestinfo/guestinfo.coreos.config.url", "tftp://192.0.2.9/x")],
            65,
            "",
            "only these are fetched",
        ),
        (
            &[("/guestinfo/guestinfo.coreos.config.url", "http://a b")],
            65,
            "",
            "guestinfo.coreos.config.url: not a URL",
        ),
    ];
    for (answers, code, made_by, said) in cases {
        let (ran, root) = provision(&[VMWARE, answers]);
        ran.ended(code, &[said]);
        assert_eq!(text(&root, "/etc/made-by"), made_by, "{}", ran.err);
    }
    let (ran, root) = provision(&[VMWARE, GUESTINFO, &[served, coreos]]);
    ran.ended(0, &[left_out]);
    assert_eq!(text(&root, "/etc/made-by"), "key");
}

/// Roles of NICs say which addresses coreos-cloudinit's words stand for.
#[test]
fn roles_of_nics_give_the_words_their_addresses() {
    let data = "#cloud-config\ncoreos: {}\nwrite_files:\n- {path: /etc/words, content: '$private_ipv4 $public_ipv4 $public_ipv6'}\n";
    let nics: Answers<'_> = &[
        ("/guestinfo/guestinfo.userdata", data),
        ("/guestinfo/guestinfo.interface.0.name", "ens161"),
        ("/guestinfo/guestinfo.interface.0.role", "public"),
        ("/guestinfo/guestinfo.interface.0.ip.0.address", "198.51.100.7/24"),
        ("/guestinfo/guestinfo.interface.0.ip.1.address", "2001:db8:7::7/64"),
        ("/guestinfo/guestinfo.interface.1.name", "ens162"),
        ("/guestinfo/guestinfo.interface.1.role", "private"),
        ("/guestinfo/guestinfo.interface.1.ip.0.address", "10.7.0.7/16"),
        ("/guestinfo/guestinfo.interface.2.name", "ens163"),
        ("/guestinfo/guestinfo.interface.2.role", "storage"),
        ("/guestinfo/guestinfo.interface.2.dhcp", "yes"),
    ];
    let (ran, root) = provision(&[VMWARE, nics]);
    ran.ended(0, &["warning: interface.2.role: no effect: this role is not known"]);
    assert_eq!(text(&root, "/etc/words"), "10.7.0.7 198.51.100.7 2001:db8:7::7");
    let metadata = text(&root, "/run/metadata/footplate");
    assert!(metadata.contains("FOOTPLATE_PUBLIC_IPV4=198.51.100.7\n"), "{metadata}");
}

/// The properties that an appliance has where nobody set any: they ask for nothing.
#[test]
fn properties_that_ask_for_nothing_change_nothing() {
    for (dhcp, more, said) in [
        ("no", "", ""),
        ("false", "", ""),
        ("yes", "", "interface.0: names no NIC"),
        ("no", "<Property oe:key='guestinfo.dns.server.0' oe:value='192.0.2.53'/>", "dns: is not used"),
    ] {
        let xml = format!(
            "<Environment xmlns='http://schemas.dmtf.org/ovf/environment/1' \
             xmlns:oe='http://schemas.dmtf.org/ovf/environment/1'><PropertySection>\
             <Property oe:key='guestinfo.interface.0.name' oe:value=''/>\
             <Property oe:key='guestinfo.interface.0.mac' oe:value=''/>\
             <Property oe:key='guestinfo.interface.0.dhcp' oe:value='{dhcp}'/>\
             <Property oe:key='guestinfo.interface.0.role' oe:value='private'/>\
             <Property oe:key='guestinfo.interface.0.ip.0.address' oe:value=''/>{more}</PropertySection></Environment>"
        );
        let (ran, root) = provision(&[VMWARE, GUESTINFO, &[("/guestinfo/guestinfo.ovfEnv", &xml)]]);
        ran.ended(0, &["network=no", said]);
        assert_eq!(text(&root, "/etc/made-by"), "key", "{}", ran.err);
    }
}

#[test]
fn names_and_keys_are_read_in_all_their_shapes() {
    let keys = [
        ("ssh-ed25519 AAAA one", "['ssh-ed25519 AAAA one']"),
        ("[ssh-ed25519 AAAA one, ssh-ed25519 BBBB two]", "['ssh-ed25519 AAAA one', 'ssh-ed25519 BBBB two']"),
        ("{0: ssh-ed25519 AAAA one}", "['ssh-ed25519 AAAA one']"),
        (
            "{0: [ssh-ed25519 AAAA one], 1: ssh-ed25519 BBBB two}",
            "['ssh-ed25519 AAAA one', 'ssh-ed25519 BBBB two']",
        ),
        ("{0: {openssh-key: ssh-ed25519 AAAA one}}", "['ssh-ed25519 AAAA one']"),
    ];
    let names = [
        ("198.51.100.20", "ip-198-51-100-20"),
        ("a-node.example.org.", "a-node"),
        ("a-node.", "a-node"),
        ("a-node.example.org", "a-node"),
        ("a-node", "a-node"),
    ];
    let data = "## template: jinja\n#cloud-config\nwrite_files:\n- path: /etc/made-by\n  content: \"{{ v1.public_ssh_keys }}\"\n";
    for ((key, want), (name, hostname)) in keys.iter().zip(names) {
        let metadata = format!("instance-id: i\nlocal-hostname: {name}\npublic-keys: {key}\n");
        let drive: Answers<'_> = &[
            ("/labels", "cidata\n"),
            ("/drive/cidata/meta-data", &metadata),
            ("/drive/cidata/user-data", data),
        ];
        let guestinfo: Answers<'_> =
            &[("/guestinfo/guestinfo.metadata", &metadata), ("/guestinfo/guestinfo.userdata", data)];
        for answers in [&[drive][..], &[VMWARE, guestinfo]] {
            let (ran, root) = provision(answers);
            ran.ended(0, &[]);
            assert_eq!(text(&root, "/etc/made-by"), *want, "{key}");
            assert_eq!(text(&root, "/etc/hostname").trim(), hostname, "{name}");
        }
    }
}

#[test]
fn region_and_zone_are_read_in_all_their_shapes() {
    let data = "## template: jinja\n#cloud-config\nwrite_files:\n- path: /etc/made-by\n  \
                content: '{{ v1.region }} {{ v1.availability_zone }}'\n";
    for place in [
        "region: r2\navailability-zone: r2b\n",
        "region: r2\navailability_zone: r2b\n",
        "region: r2\nplacement: {availability-zone: r2b}\n",
        "placement: {region: r2, availability-zone: r2b}\n",
    ] {
        let metadata = format!("instance-id: i\n{place}");
        let drive: Answers<'_> = &[
            ("/labels", "cidata\n"),
            ("/drive/cidata/meta-data", &metadata),
            ("/drive/cidata/user-data", data),
        ];
        let guestinfo: Answers<'_> =
            &[("/guestinfo/guestinfo.metadata", &metadata), ("/guestinfo/guestinfo.userdata", data)];
        for answers in [&[drive][..], &[VMWARE, guestinfo]] {
            let (ran, root) = provision(answers);
            ran.ended(0, &[]);
            assert_eq!(text(&root, "/etc/made-by"), "r2 r2b", "{place}");
        }
    }
}

#[test]
fn a_network_of_the_authors_own_is_left_to_templates() {
    let data = "## template: jinja\n#cloud-config\nwrite_files: [{path: /etc/made-by, content: '{{ ds.meta_data.network.zone }}'}]\n";
    let drive = |metadata| -> Vec<(&str, &str)> {
        vec![
            ("/labels", "cidata\n"),
            ("/drive/cidata/meta-data", metadata),
            ("/drive/cidata/user-data", data),
        ]
    };
    let (ran, root) = provision(&[&drive("instance-id: i\nnetwork: {zone: green}\n")]);
    ran.ended(0, &["network=no", "meta-data: network: not a network config"]);
    assert_eq!(text(&root, "/etc/made-by"), "green");
}

// The lists beside the code

fn repository(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

#[test]
fn the_page_has_the_platforms_as_the_code_has_them() {
    let rows = PLATFORMS.iter().map(|p| {
        let size = p.limit.as_ref().map_or("what fits".to_owned(), |l| {
            format!("{} bytes{}", l.bytes, if l.base64 { " in base64" } else { "" })
        });
        format!("| `{}` | {} | {size} | ", p.id, p.name)
    });
    let page = repository("docs/platforms.md");
    let table = page.lines().skip_while(|l| !l.starts_with("| platform | is |")).skip(2);
    let is: Vec<&str> = table.take_while(|l| l.starts_with('|')).collect();
    let shall: Vec<String> = rows.collect();
    assert_eq!(is.len(), shall.len(), "{is:#?}");
    for (is, shall) in is.iter().zip(&shall) {
        assert!(is.starts_with(shall.as_str()), "{is}\nbegins not with\n{shall}");
    }
}

/// Platforms that are tried with a replayed machine alone (`tests/platforms`), and do not boot in a scenario.
const REPLAYED: &[&str] = &[
    "akamai",
    "aliyun",
    "cloudstack",
    "exoscale",
    "hyperv",
    "ibmcloud",
    "ibmcloud-classic",
    "ionoscloud",
    "kubevirt",
    "lxd",
    "metal",
    "nutanix",
    "opennebula",
    "oraclecloud",
    "outscale",
    "packet",
    "powervs",
    "scaleway",
    "upcloud",
    "vultr",
];

/// Packet's service answers 406 to who does not take any type.
#[test]
fn packets_service_hears_that_any_type_will_do() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/platforms/packet/machine/http");
    let answers = fs::read_dir(cases).unwrap().next().unwrap().unwrap().path();
    let service = Server::start("127.0.0.1:0", move |seen| match seen.header("accept") {
        Some("*/*") => folder(&answers, seen),
        _ => Reply::status(406, "", ""),
    });
    let machine = Scratch { dir: fresh("packet-accept") };
    machine.put("/file/proc/cmdline", format!("footplate.packet={}\n", service.url("")));
    let facts = platform::facts(&Replay::open(&machine.dir).unwrap()).unwrap();
    let ask = Platform::by_id(PLATFORMS, "packet").unwrap().network.unwrap();
    let policy = Policy { metadata_wait: Duration::from_secs(2), ..Policy::default() };
    let instance = ask(&Live::with_policy(policy), &facts, None).unwrap().unwrap();
    assert!(!instance.instance_id.is_empty() && instance.user_data.is_some());
    let mut paths = service.paths();
    paths.sort();
    assert_eq!(paths, ["GET /metadata", "GET /userdata"]);
}

/// The boots of a platform, by the names of the scenarios.
fn boots(platform: &Platform) -> Vec<String> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("qemu-tests/scenarios");
    let names = fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned());
    let words = platform.name.split_whitespace().map(str::to_lowercase);
    let called: Vec<String> = words.chain([platform.id.to_owned()]).collect();
    let mut boots: Vec<String> = names
        .filter(|n| n.split_once('-').is_some_and(|(first, _)| called.iter().any(|c| c == first)))
        .collect();
    boots.sort();
    boots
}

#[test]
fn each_platform_boots_in_a_scenario() {
    for platform in PLATFORMS.iter().filter(|p| !REPLAYED.contains(&p.id)) {
        assert!(!boots(platform).is_empty(), "no scenario is named after {}", platform.id);
    }
}

/// The README's table of platforms, with what shows each. `BLESS=1` writes it.
#[test]
fn the_readme_says_what_shows_each_platform() {
    let mut table = String::from("| platform | is | shown by |\n| --- | --- | --- |\n");
    for platform in PLATFORMS {
        let boots = boots(platform);
        let shown = match (REPLAYED.contains(&platform.id), &boots[..]) {
            (true, _) => "replay".to_owned(),
            (false, [one]) => format!("the boot `{one}`"),
            (false, [first, ..]) => format!("{} boots, such as `{first}`", boots.len()),
            (false, []) => unreachable!("{}", platform.id),
        };
        table += &format!("| `{}` | {} | {shown} |\n", platform.id, platform.name);
    }
    let readme = repository("README.md");
    let mark = "<!-- platforms -->\n\n";
    let (head, rest) = readme.split_once(mark).unwrap();
    let tail = rest.find("Not known yet").unwrap();
    let now = format!("{head}{mark}{table}\n{}", &rest[tail..]);
    if std::env::var_os("BLESS").is_some() {
        fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md"), &now).unwrap();
    }
    assert!(
        std::env::var_os("BLESS").is_some() || readme == now,
        "BLESS=1 cargo test --test it the_readme_says"
    );
}

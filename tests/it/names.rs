// SPDX-License-Identifier: Apache-2.0
//! Whose name a machine gets, at its first boot and at later ones: a member of a cluster keeps its own; the bootstrap data's
//! goes before the metadata's, and that before the kernel's.

use crate::common::scratch;

use std::fs;

use scratch::{Ran, Scratch, footplate, plan, provision, seed};

/// A machine with this metadata and user-data, provisioned as its first boot does it and booted once more.
struct Machine {
    seed: std::path::PathBuf,
    root: Scratch,
}

impl Machine {
    fn new(name: &str, meta_data: &str, user_data: &str) -> Self {
        let seed = seed(name, user_data);
        fs::write(seed.join("meta-data"), meta_data).unwrap();
        Self { seed, root: Scratch::new(name) }
    }

    fn network(&self) -> Ran {
        footplate(&["network", "--seed", self.seed.to_str().unwrap(), "--root", self.root.arg()])
    }

    fn name(&self) -> Option<String> {
        let path = self.root.path("/etc/hostname");
        path.exists().then(|| fs::read_to_string(path).unwrap().trim_end().to_owned())
    }

    /// The name before the data is read, after it, and at a later boot where the data is gone.
    #[track_caller]
    fn is_called(&self, want: Option<&str>) {
        let called = |at: &str| assert_eq!(self.name().as_deref(), want, "{at}");
        self.network().ended(0, &[]);
        called("before the network");
        provision(&self.seed, &self.root).ended(0, &[]);
        called("provisioned");
        plan(&self.seed, &self.root).ended(0, &[]);
        fs::remove_dir_all(self.root.path("/run")).unwrap();
        fs::write(self.seed.join("user-data"), "#cloud-config\n{}\n").unwrap();
        let before = self.root.identities();
        self.network().ended(0, &[]);
        called("at the next boot");
        assert_eq!(self.root.identities(), before, "a later boot writes nothing");
    }
}

const META: &str = "instance-id: i-names-1\nlocal-hostname: vm-31.dc.example\n";

#[test]
fn the_data_goes_before_the_metadata() {
    let ignition = r#"{"ignition": {"version": "3.3.0"}, "storage": {"files": [
        {"path": "/etc/hostname", "mode": 420, "contents": {"source": "data:,cp-3.lab.example%0A"}}]}}"#;
    let file = "#cloud-config\nwrite_files:\n- path: /etc/hostname\n  permissions: '0644'\n  content: |\n    # the node\n    cp-3.lab.example\n";
    let template = "## template: jinja\n#cloud-config\nwrite_files:\n- path: /etc/hostname\n  content: '{{ ds.meta_data.local_hostname }}'\n";
    // Longer than the kernel takes, as clouds make them of zones and projects: only the first part is the machine's name.
    let domain = "a-zone-of-a-region.c.a-project-whose-name-says-all.internal.example";
    let (long_key, long_fqdn) = (
        format!("#cloud-config\nhostname: cp-3.{domain}\n"),
        format!("#cloud-config\nfqdn: cp-3.{domain}\n"),
    );
    let linked = |target: &str| {
        format!(
            r#"{{"ignition": {{"version": "3.3.0"}}, "storage": {{"files": [
                {{"path": "/etc/of-mine", "contents": {{"source": "data:,cp-3%0A"}}}}],
                "links": [{{"path": "/etc/hostname", "target": "{target}"}}]}}}}"#
        )
    };
    for (name, data, want) in [
        ("long-key", long_key.as_str(), "cp-3"),
        ("long-fqdn", &long_fqdn, "cp-3"),
        ("key", "#cloud-config\nhostname: cp-3\nfqdn: cp-3.lab.example\n", "cp-3"),
        ("dot", "#cloud-config\nfqdn: cp-3.lab.example.\n", "cp-3"),
        (
            "whole",
            "#cloud-config\nfqdn: cp-3.lab.example\nprefer_fqdn_over_hostname: true\n",
            "cp-3.lab.example",
        ),
        ("whole-of-the-metadata", "#cloud-config\nprefer_fqdn_over_hostname: true\n", "vm-31.dc.example"),
        ("whole-beside-a-name", "#cloud-config\nhostname: cp-3\nprefer_fqdn_over_hostname: true\n", "cp-3"),
        ("file", file, "cp-3.lab.example"),
        ("template", template, "vm-31.dc.example"),
        ("ignition", ignition, "cp-3.lab.example"),
        ("metadata", "#cloud-config\nruncmd: [echo hello]\n", "vm-31"),
        ("empty", "#cloud-config\nwrite_files: [{path: /etc/hostname}]\n", "vm-31"),
        ("comment", "#cloud-config\nwrite_files: [{path: /etc/hostname, content: '# none'}]\n", "vm-31"),
        ("link", &linked("/etc/of-mine"), "cp-3"),
        ("link-beside", &linked("of-mine"), "cp-3"),
        ("link-to-nothing", &linked("/dev/null"), "vm-31"),
    ] {
        Machine::new(&format!("names-{name}"), META, data).is_called(Some(want));
    }
}

/// As cloud-init writes it: the longest name that is known, and the machine's.
#[test]
fn hosts_have_the_domain_that_the_data_or_the_metadata_knows() {
    for (n, (keys, want)) in [
        ("", "vm-31.dc.example vm-31"),
        ("hostname: cp-3", "vm-31.dc.example cp-3"),
        ("hostname: cp-3.lab.example", "cp-3.lab.example cp-3"),
        ("hostname: cp-3\nfqdn: cp-3.lab.example", "cp-3.lab.example cp-3"),
    ]
    .iter()
    .enumerate()
    {
        let data = format!("#cloud-config\nmanage_etc_hosts: true\n{keys}\n");
        let machine = Machine::new(&format!("names-hosts-{n}"), META, &data);
        provision(&machine.seed, &machine.root).ended(0, &[]);
        let hosts = fs::read_to_string(machine.root.path("/etc/hosts")).unwrap();
        assert!(hosts.contains(&format!("127.0.1.1 {want}\n")), "{keys}: {hosts}");
    }
}

#[test]
fn a_kept_name_stays() {
    let data = "#cloud-config\npreserve_hostname: true\nruncmd: [echo hello]\n";
    let machine = Machine::new("names-kept", META, data);
    machine.root.put("/etc/hostname", "builder-7\n");
    machine.is_called(Some("builder-7"));
    // The image had none: nothing gives it one.
    Machine::new("names-kept-none", META, data).is_called(None);
}

#[test]
fn another_instance_of_the_same_disk_gets_its_own_name() {
    let machine = Machine::new("names-clone", META, "#cloud-config\nhostname: first\n");
    machine.is_called(Some("first"));
    fs::write(machine.seed.join("meta-data"), "instance-id: i-names-2\nlocal-hostname: vm-32\n").unwrap();
    machine.network().ended(0, &[]);
    assert_eq!(machine.name().as_deref(), Some("vm-32"));
}

#[test]
fn two_names_of_the_data_are_told() {
    let data = "#cloud-config\nhostname: by-key\nwrite_files:\n- path: /etc/hostname\n  content: by-file\n";
    let machine = Machine::new("names-two", META, data);
    let says = "write_files[0]: /etc/hostname is left out: the key `hostname` or `fqdn` names the machine";
    provision(&machine.seed, &machine.root).ended(0, &[says]);
    machine.is_called(Some("by-key"));
    let data = "#cloud-config\nwrite_files: [{path: /etc/hostname}]\n";
    let machine = Machine::new("names-none", META, data);
    let says = "write_files[0]: /etc/hostname is left out: the data gives it no name";
    provision(&machine.seed, &machine.root).ended(0, &[says]);
}

/// systemd would make another name of these at the next boot.
#[test]
fn a_name_that_would_not_survive_is_refused() {
    let long = "x".repeat(65);
    for name in ["node_1", "a b", &long, "-a", "a..b", "n\u{f6}de"] {
        for (kind, meta, data) in [
            ("key", META.to_owned(), format!("#cloud-config\nhostname: '{name}'\n")),
            (
                "file",
                META.to_owned(),
                format!("#cloud-config\nwrite_files:\n- path: /etc/hostname\n  content: '{name}'\n"),
            ),
            (
                "metadata",
                format!("instance-id: i-1\nlocal-hostname: '{name}'\n"),
                "#cloud-config\n{}\n".to_owned(),
            ),
        ] {
            let machine = Machine::new(&format!("names-bad-{kind}"), &meta, &data);
            machine.network();
            // The metadata names the machine until provision refuses the data.
            let before = (kind != "metadata").then_some("vm-31");
            assert_eq!(machine.name().as_deref(), before, "{kind}: {name}");
            provision(&machine.seed, &machine.root).ended(65, &["not a name for a machine"]);
            assert_eq!(machine.name().as_deref(), before, "{kind}: {name}");
        }
    }
}

/// The fifth field of the kernel's `ip=`, where nothing else names the machine.
#[test]
fn the_kernels_argument_names_a_machine_without_a_name() {
    let kargs = "ip=192.0.2.71::192.0.2.1:255.255.255.0:node-4.lab.example:ens192:none";
    for (name, meta, cmdline, guestinfo, want) in [
        ("cmdline", "", kargs, "", "node-4"),
        ("guestinfo", "", "quiet", kargs, "node-4"),
        ("metadata", "local-hostname: vm-9\n", kargs, kargs, "vm-9"),
    ] {
        let (machine, root) =
            (Scratch::new(&format!("names-{name}.machine")), Scratch::new(&format!("names-ip-{name}")));
        machine.put("/file/sys/class/dmi/id/sys_vendor", "VMware, Inc.\n");
        machine.put("/file/proc/cmdline", cmdline);
        machine.put("/guestinfo/guestinfo.metadata", format!("instance-id: i-1\n{meta}"));
        machine.put("/guestinfo/guestinfo.userdata", "#cloud-config\nruncmd: [echo hello]\n");
        if !guestinfo.is_empty() {
            machine.put("/guestinfo/guestinfo.afterburn.initrd.network-kargs", guestinfo);
        }
        for command in ["network", "provision"] {
            footplate(&[command, "--replay", machine.arg(), "--root", root.arg()]).ended(0, &[]);
            assert_eq!(root.text("/etc/hostname"), format!("{want}\n"), "{name}: {command}");
        }
    }
}

/// systemd takes UTC where a zone is not there, and says nothing.
#[test]
fn a_time_zone_that_the_image_does_not_have_stops_the_node() {
    for (name, zone, status, said) in [
        ("zone-there", "Europe/Berlin", 0, &[] as &[&str]),
        (
            "zone-missing",
            "Europe/Berlni",
            74,
            &["timezone: there is no time zone of this name", "/usr/share/zoneinfo"],
        ),
    ] {
        let seed = seed(name, format!("#cloud-config\ntimezone: {zone}\nruncmd: ['true']\n"));
        let root = Scratch::new(name);
        root.put("/usr/share/zoneinfo/Europe/Berlin", "TZif2");
        provision(&seed, &root).ended(status, said);
        assert_eq!(root.path("/etc/localtime").is_symlink(), status == 0, "{zone}");
        assert_eq!(root.path("/run/footplate/bootstrap").exists(), status == 0, "{zone}");
    }
}

// SPDX-License-Identifier: Apache-2.0
//! The network as the program itself reads and tells it: every input of a platform, who wins where several speak, and what
//! a person is shown. Machines are replayed: their answers are files.

use crate::common::{scratch, vmware};

use std::io::Write as _;
use std::process::{Command, Stdio};

use scratch::{CANARY, FOOTPLATE, Ran, Scratch, fresh};
use vmware::environment;

/// What `links` says of two NICs.
const LINKS: &str = r#"[
    {"name":"ens192","mac":"00:50:56:aa:bb:70","permanent_mac":"00:50:56:aa:bb:70","driver":"vmxnet3"},
    {"name":"ens224","mac":"00:50:56:aa:bb:08","permanent_mac":"00:50:56:aa:bb:08","driver":"vmxnet3"}
]"#;

const NETWORK: &str = "/etc/systemd/network/15-footplate-";

/// A vSphere machine with these answers, and the root that it is to have.
fn machine(name: &str, answers: &[(&str, &str)]) -> (Scratch, Scratch) {
    let (replay, root) = (Scratch { dir: fresh(&format!("{name}-replay")) }, Scratch::new(name));
    replay.put("/hypervisor", "VMwareVMware").put("/links", LINKS).put("/file/proc/cmdline", "quiet\n");
    replay.put("/file/sys/class/dmi/id/product_uuid", "421F8A6C-0000-0000-0000-000000000001\n");
    for (answer, value) in answers {
        replay.put(&format!("/{answer}"), value);
    }
    (replay, root)
}

fn run((replay, root): &(Scratch, Scratch), command: &str) -> Ran {
    let words = command.split(' ');
    Ran::of(Command::new(FOOTPLATE).args(words).args(["--replay", replay.arg(), "--root", root.arg()]))
}

/// The names of the files that footplate wrote for networkd.
fn files(root: &Scratch) -> Vec<String> {
    root.paths().into_iter().filter_map(|p| p.strip_prefix(NETWORK).map(str::to_owned)).collect()
}

/// `render network` of a text.
fn render(text: &str, format: &str) -> Ran {
    let mut render = Command::new(FOOTPLATE);
    render.args(["render", "network", "-", "--format", format]);
    let mut render =
        render.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // The program may have seen enough before the end.
    let _ = render.stdin.take().unwrap().write_all(text.as_bytes());
    render.wait_with_output().unwrap().into()
}

#[test]
fn properties_of_an_appliance_are_inputs_by_their_plain_names() {
    let config = "network:\n  version: 2\n  ethernets:\n    nic: {match: {macaddress: \"00:50:56:aa:bb:70\"}, addresses: [192.0.2.7/24]}\n";
    let packed = "bmV0d29yazoKICB2ZXJzaW9uOiAyCiAgZXRoZXJuZXRzOgogICAgbmljOiB7bWF0Y2g6IHttYWNhZGRyZXNzOiAiMDA6NTA6NTY6YWE6YmI6NzAifSwgYWRkcmVzc2VzOiBbMTkyLjAuMi43LzI0XX0K";
    // In guestinfo, or on the drive under any of the names that a file has on one, whose label's letters are of either case.
    let forms = [
        ("plain", config, "guestinfo/guestinfo.ovfEnv"),
        ("base64", packed, "guestinfo/guestinfo.ovfEnv"),
        ("drive", config, "drive/OVF ENV/ovf-env.xml"),
        ("drive-lower", packed, "drive/OVF ENV/ovf_env.xml"),
        ("drive-upper", packed, "drive/OVF ENV/OVF_ENV.XML"),
        ("drive-dash", packed, "drive/OVF ENV/OVF-ENV.XML"),
    ];
    for (name, config, place) in forms {
        let xml = environment(&[
            ("instance-id", "appliance-1"),
            ("hostname", "appliance.example.invalid"),
            ("public-keys", "ssh-ed25519 AAAA one\nssh-ed25519 BBBB two"),
            ("user-data", "I2Nsb3VkLWNvbmZpZwpydW5jbWQ6IFtbdHJ1ZV1dCg=="),
            ("network-config", config),
            ("seedfrom", "http://192.0.2.1/"),
        ]);
        let label = if name == "drive-lower" { "data\novf env\n" } else { "OVF ENV\n" };
        let machine = machine(&format!("properties-{name}"), &[(place, &xml), ("labels", label)]);
        let ran = run(&machine, "network");
        ran.ended(0, &["nic: ens192: 00:50:56:aa:bb:70 is its permanent address"]);
        assert!(machine.1.text(&format!("{NETWORK}nic.network")).contains("Address=192.0.2.7/24\n"));
        assert_eq!(machine.1.text("/etc/hostname"), "appliance\n");
        let plan = run(&machine, "plan --format json");
        plan.ended(2, &[]);
        let plan: serde_json::Value = serde_json::from_str(&plan.out).unwrap();
        assert_eq!(
            (&plan["instance_id"], &plan["start"]),
            (&"appliance-1".into(), &"kubeadm.service".into())
        );
        let warnings = plan["warnings"].to_string();
        assert!(warnings.contains("ovfEnv: seedfrom: this property has no effect here"), "{warnings}");
    }
}

#[test]
fn guestinfo_goes_before_the_properties_of_an_appliance() {
    let xml = environment(&[
        ("guestinfo.interface.0.mac", "00:50:56:aa:bb:08"),
        ("interface.0.ip.0.address", "192.0.2.8/24"),
        ("interface.0.route.0.gateway", "192.0.2.1"),
        ("dns.server.0", "192.0.2.53"),
        ("dns.domain.0", "example.invalid"),
        ("guestinfo.hostname", "from-property"),
    ]);
    let answers =
        [("guestinfo/guestinfo.ovfEnv", xml.as_str()), ("guestinfo/guestinfo.hostname", "from-guestinfo")];
    let machine = machine("flat", &answers);
    run(&machine, "network").ended(0, &["interface0: ens224"]);
    let file = machine.1.text(&format!("{NETWORK}interface0.network"));
    for line in
        ["Address=192.0.2.8/24\n", "Gateway=192.0.2.1\n", "DNS=192.0.2.53\n", "Domains=example.invalid\n"]
    {
        assert!(file.contains(line), "{file}");
    }
    assert_eq!(machine.1.text("/etc/hostname"), "from-guestinfo\n");
}

#[test]
fn the_drive_of_an_appliance_comes_last() {
    let named = |name: &str| environment(&[("hostname", name)]);
    let hostname = |name: &str, answers: &[(&str, &str)]| {
        let machine = machine(name, answers);
        let ran = run(&machine, "network");
        (ran, machine.1.path("/etc/hostname").exists().then(|| machine.1.text("/etc/hostname")))
    };
    let (drive, guestinfo) = (named("from-drive"), named("from-ovf-env"));
    let mut answers = vec![("drive/OVF ENV/ovf-env.xml", drive.as_str()), ("labels", "OVF ENV")];
    for (number, (more, want)) in [
        (("file/etc/os-release", ""), "from-drive"),
        (("guestinfo/guestinfo.ovfEnv", guestinfo.as_str()), "from-ovf-env"),
        (("guestinfo/guestinfo.hostname", "from-key"), "from-key"),
        (("guestinfo/guestinfo.metadata", "{local-hostname: from-metadata}"), "from-metadata"),
    ]
    .into_iter()
    .enumerate()
    {
        answers.push(more);
        assert_eq!(hostname(&format!("order-{number}"), &answers).1, Some(format!("{want}\n")));
    }
    // Another drive is not asked for it, and one that can't be read is no machine without data.
    let (ran, name) = hostname("other-drive", &[answers[0], ("labels", "OVF ENV 2")]);
    ran.ended(0, &["no metadata and no user-data for this machine"]);
    assert_eq!(name, None);
    let broken = [("labels", "OVF ENV"), ("drive/OVF ENV/ovf-env.xml.error", "mounting /dev/sr0: EIO")];
    hostname("broken-drive", &broken).0.ended(75, &["VMware vSphere", "mounting /dev/sr0: EIO"]);
    let cut = drive.replace("</PropertySection>", CANARY);
    let (ran, _) = hostname("cut-xml", &[("labels", "OVF ENV"), ("drive/OVF ENV/ovf-env.xml", &cut)]);
    ran.ended(65, &["ovfEnv: not well-formed XML (line 1, column "]);
    assert!(!ran.err.contains(CANARY), "{}", ran.err);
    let large = environment(&[("hostname", &"a".repeat(4 << 20))]);
    let (ran, _) = hostname("large-xml", &[("labels", "OVF ENV"), ("drive/OVF ENV/ovf-env.xml", &large)]);
    ran.ended(65, &["drive/OVF ENV/ovf-env.xml: larger than 4 MiB"]);
}

/// Kernel arguments by way of guestinfo, as Afterburn reads them in the initramfs; metadata with a network goes before them.
#[test]
fn afterburns_arguments_are_an_input() {
    let arguments = "ip=192.0.2.9::192.0.2.1:24:node:ens224:none:192.0.2.53 vlan=ens224.7:ens224";
    let key = "guestinfo/guestinfo.afterburn.initrd.network-kargs";
    let machine = machine("afterburn", &[(key, arguments)]);
    run(&machine, "network").ended(0, &["ens224: ens224: matched by the name ens224"]);
    assert_eq!(files(&machine.1), ["ens224.7.netdev", "ens224.7.network", "ens224.network"]);
    let file = machine.1.text(&format!("{NETWORK}ens224.network"));
    assert!(file.contains("Address=192.0.2.9/24\n") && file.contains("VLAN=ens224.7\n"), "{file}");
    machine.0.put("/guestinfo/guestinfo.metadata", TWO);
    run(&machine, "network").ended(0, &[]);
    assert_eq!(files(&machine.1), ["a.5.netdev", "a.5.network", "a.network", "b.network"]);
}

const TWO: &str = "instance-id: two\nnetwork:\n  version: 2\n  ethernets:\n    \
    a: {match: {macaddress: \"00:50:56:aa:bb:70\"}, addresses: [192.0.2.7/24]}\n    \
    b: {match: {macaddress: \"00:50:56:aa:bb:08\"}, dhcp4: true}\n  \
    vlans:\n    a.5: {id: 5, link: a, addresses: [198.51.100.7/24]}\n";

#[test]
fn the_kernels_arguments_win() {
    let cmdline = "quiet ip=192.0.2.9::192.0.2.1:24::ens192:none nameserver=192.0.2.53 bond=bond0:ens224:mode=1 vlan=bond0.7:bond0";
    let answers = [("guestinfo/guestinfo.metadata", TWO), ("file/proc/cmdline", cmdline)];
    let machine = machine("kernel", &answers);
    run(&machine, "network").ended(0, &["the kernel's command line sets up the network"]);
    assert_eq!(
        files(&machine.1),
        [
            "bond0.7.netdev",
            "bond0.7.network",
            "bond0.netdev",
            "bond0.network",
            "ens192.network",
            "ens224.network"
        ]
    );
    assert!(machine.1.text(&format!("{NETWORK}ens192.network")).contains("Address=192.0.2.9/24\n"));
    // A name server alone goes with the metadata's network; an argument that can't be used is told.
    machine.0.put("/file/proc/cmdline", "quiet nameserver=192.0.2.99 ip=192.0.2.9:ens192\n");
    run(&machine, "network").ended(65, &["ip= (argument 3)"]);
    assert!(machine.1.text(&format!("{NETWORK}b.network")).contains("DNS=192.0.2.99\n"));
    // They are gone from the next boot's: so are the files that came of them.
    machine.0.put("/file/proc/cmdline", "quiet\n");
    run(&machine, "network").ended(0, &[]);
    assert_eq!(files(&machine.1), ["a.5.netdev", "a.5.network", "a.network", "b.network"]);
}

#[test]
fn a_file_of_somebody_else_keeps_its_nic() {
    let machine = machine("theirs", &[("guestinfo/guestinfo.metadata", TWO)]);
    let root = &machine.1;
    run(&machine, "network").ended(0, &[]);
    // As Ignition writes one; what the initramfs left of ours must not rule in its stead.
    root.put(
        "/etc/systemd/network/20-static.network",
        "[Match]\nName=ens192\n[Network]\nAddress=192.0.2.99/24\n",
    );
    root.put(
        "/run/systemd/network/15-footplate-a.network",
        "[Match]\nPermanentMACAddress=00:50:56:aa:bb:70\n",
    );
    std::os::unix::fs::symlink("/dev/null", root.path("/etc/systemd/network/zz-default.network")).unwrap();
    let says = ["network a: /etc/systemd/network/20-static.network takes this NIC"];
    run(&machine, "network").ended(0, &says);
    assert_eq!(files(root), ["a.5.netdev", "a.5.network", "b.network"]);
    assert!(!root.path("/run/systemd/network/15-footplate-a.network").exists());

    // All NICs are theirs, and part of the metadata is broken: the node is as its owner wants it, and goes on.
    root.put("/etc/systemd/network/05-all.network", "[Match]\nType=ether\n[Network]\nDHCP=yes\n");
    let broken = TWO.replace("  vlans:", "    c: {match: {macaddress: 7}, dhcp4: true}\n  vlans:");
    machine.0.put("/guestinfo/guestinfo.metadata", broken);
    run(&machine, "provision").ended(0, &["network.ethernets.c.match.macaddress", "takes this NIC"]);
}

/// The file that keeps wait-online from running is there exactly where no link of the machine is required.
#[test]
fn nothing_required_is_told_to_the_units() {
    let nics = "    a: {match: {macaddress: '00:50:56:aa:bb:70'}, dhcp4: true, optional: true}\n";
    let both =
        format!("{nics}    b: {{match: {{macaddress: '00:50:56:aa:bb:08'}}, dhcp4: true, optional: true}}\n");
    let cases = [
        ("both", both.clone(), "", true),
        // The image's default configures the other NIC, and waits for it.
        ("one", nics.to_owned(), "", false),
        ("required", both.replacen("optional: true", "optional: false", 1), "", false),
        ("off", both.replacen("optional: true", "activation-mode: 'off'", 1), "", true),
        (
            "bond",
            format!("{both}  bonds: {{c: {{interfaces: [b], addresses: [192.0.2.1/24]}}}}\n"),
            "",
            false,
        ),
        // Whether a file of somebody else is waited for is not known.
        ("theirs", both.clone(), "[Match]\nName=ens192\n", false),
    ];
    for (name, ethernets, theirs, want) in cases {
        let metadata = format!("instance-id: i\nnetwork:\n  version: 2\n  ethernets:\n{ethernets}");
        let machine = machine(&format!("required-{name}"), &[("guestinfo/guestinfo.metadata", &metadata)]);
        if !theirs.is_empty() {
            machine.1.put("/etc/systemd/network/20-theirs.network", theirs);
        }
        run(&machine, "network").ended(0, &[]);
        let is = machine.1.path("/run/footplate/no-link-required").exists();
        assert_eq!(is, want, "{name}");
    }
}

/// What the bootstrap data brings for a NIC counts in the same run as a file that was there before.
#[test]
fn a_file_of_the_bootstrap_data_keeps_its_nic() {
    let ignition = r#"{"ignition": {"version": "3.3.0"}, "storage": {"files": [{"path":
        "/etc/systemd/network/00-mine.network", "contents": {"source": "data:,%5BMatch%5D%0AName%3Dens224%0A"}}]}}"#;
    let cases = [
        (
            "units",
            "#cloud-config\ncoreos:\n  units:\n  - name: 20-mine.network\n    content: |\n      [Match]\n      Name=ens192\n      [Network]\n      DHCP=yes\n",
            "a",
            "20-mine",
        ),
        (
            "write",
            "#cloud-config\nwrite_files:\n- {path: /etc/systemd/network/20-mine.network, content: \"[Match]\\nName=ens224\\n\"}\n",
            "b",
            "20-mine",
        ),
        ("ignition", ignition, "b", "00-mine"),
    ];
    for (name, data, interface, file) in cases {
        let metadata = [("guestinfo/guestinfo.metadata", TWO), ("guestinfo/guestinfo.userdata", data)];
        let machine = machine(&format!("mine-{name}"), &metadata);
        let root = &machine.1;
        run(&machine, "network").ended(0, &[]);
        assert!(files(root).contains(&format!("{interface}.network")));
        let says = format!("network {interface}: /etc/systemd/network/{file}.network takes this NIC");
        let ran = run(&machine, "provision");
        ran.ended(0, &[&says]);
        assert!(!files(root).contains(&format!("{interface}.network")), "{:?}", files(root));
        let again = run(&machine, "network");
        again.ended(0, &[&says]);
        assert_eq!(again.err.matches("takes this NIC").count(), 1, "{}", again.err);
    }
}

#[test]
fn render_tells_why_a_nic_matches() {
    needs!(root("a network of its own"));
    let text = "version: 2\nethernets: {id0: {match: {macaddress: \"02:00:00:00:00:77\"}, dhcp4: true}, id1: {match: {macaddress: \"02:00:00:00:00:78\"}}}\n";
    // In a network of its own. A veth pair is what a container has for a NIC.
    let script = format!(
        "ip link add nic0 address 02:00:00:00:00:78 type veth peer name peer0; mount -t sysfs none /sys; \
         exec {FOOTPLATE} render network - \"$@\""
    );
    let run = |format: &str| {
        let mut child = Command::new("unshare")
            .args(["--net", "--mount", "sh", "-c", &script, "sh", "--format", format])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        Ran::from(child.wait_with_output().unwrap())
    };
    let shown = run("text");
    shown.ended(0, &[]);
    let told = "# on this machine, id0: no NIC: the configuration names 02:00:00:00:00:77; this machine has no NIC\n\
        # on this machine, id1: nic0: 02:00:00:00:00:78 is its address; it has no permanent one\n";
    assert!(shown.out.starts_with(told), "{}", shown.out);
    let json = run("json");
    json.ended(0, &[]);
    let object: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    let paths: Vec<&String> = object["files"].as_object().unwrap().keys().collect();
    assert_eq!(paths, [&format!("{NETWORK}id0.network"), &format!("{NETWORK}id1.network")]);
}

#[test]
fn render_reads_every_language() {
    let cases = [
        ("version: 2\nethernets: {eth0: {dhcp4: true}}\n", "eth0"),
        ("network: {version: 1, config: [{type: physical, name: eth0, subnets: [{type: dhcp}]}]}\n", "eth0"),
        (
            "instance-id: n1\nlocal-hostname: n1\nnetwork: {version: 2, ethernets: {eth0: {dhcp4: true}}}\n",
            "eth0",
        ),
        (
            r#"{"links": [{"id": "tap0", "type": "vif", "ethernet_mac_address": "fa:16:3e:00:00:01"}], "networks": [{"id": "n", "link": "tap0", "type": "ipv4_dhcp"}]}"#,
            "tap0",
        ),
    ];
    for (text, id) in cases {
        let ran = render(text, "json");
        ran.ended(0, &[]);
        let object: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
        let file = object["files"][format!("{NETWORK}{id}.network")].as_str().unwrap_or_default();
        assert!(file.contains("DHCP=ipv4\n"), "{text}: {}", ran.out);
    }
}

/// A config of 10 MiB is refused for its size wherever it comes from, and the image's default stays.
#[test]
fn ten_mebibytes_are_too_many() {
    let long = format!("{}{TWO}", "# a comment\n".repeat(10 << 17).split_at(10 << 20).0);
    assert!(long.len() > 10 << 20);
    render(&long, "text").ended(65, &["standard input: larger than 4 MiB"]);

    let machine = machine("long", &[("guestinfo/guestinfo.metadata", &long)]);
    let too_long = ["guestinfo/guestinfo.metadata: larger than 4 MiB"];
    run(&machine, "network").ended(65, &too_long);
    assert_eq!(files(&machine.1), [""; 0]);

    let seed = fresh("long-seed");
    std::fs::write(seed.join("user-data"), "#cloud-config\n").unwrap();
    std::fs::write(seed.join("meta-data"), "instance-id: long\n").unwrap();
    std::fs::write(seed.join("network-config"), &long).unwrap();
    let root = Scratch::new("long-nocloud");
    let ran =
        Ran::of(Command::new(FOOTPLATE).arg("network").arg("--seed").arg(&seed).args(["--root", root.arg()]));
    ran.ended(65, &["network-config: larger than 4 MiB"]);
    assert_eq!(files(&root), [""; 0]);
}

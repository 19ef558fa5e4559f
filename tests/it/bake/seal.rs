// SPDX-License-Identifier: Apache-2.0
//! `seal` leaves nothing of the machine that built the image, and nothing else out.

use std::fs;
use std::os::unix::fs::symlink;

use super::image::Image;
use crate::common::scratch::{Ran, footplate, fresh};

fn seal(image: &Image) -> Ran {
    footplate(&["seal", "--root", image.root.to_str().unwrap()])
}

/// What a machine that built an image leaves in it.
const LEFT: &[&str] = &[
    "/etc/machine-id",
    "/var/lib/dbus/machine-id",
    "/etc/hostname",
    "/etc/ssh/ssh_host_ed25519_key",
    "/etc/ssh/ssh_host_ed25519_key.pub",
    "/etc/systemd/network/15-footplate-eth0.network",
    "/etc/kubeadm.yml",
    "/etc/.ignition-result.json",
    "/var/lib/kubelet/config.yaml",
    "/var/lib/kubelet/pki/kubelet.key",
    "/var/lib/kubelet/cpu_manager_state",
    "/var/lib/kubelet/memory_manager_state",
    "/etc/iscsi/initiatorname.iscsi",
    "/etc/nvme/hostid",
    "/etc/nvme/hostnqn",
    "/var/lib/footplate/instances/i-1.json",
    "/run/footplate/status.json",
    "/run/metadata/footplate",
    "/var/lib/systemd/random-seed",
    "/var/lib/systemd/credential.secret",
    "/var/log/journal/0123456789abcdef0123456789abcdef/system.journal",
    "/var/log/wtmp",
    "/var/log/containers/a.log",
    "/root/.ssh/authorized_keys",
    "/root/.bash_history",
    "/home/core/.ssh/authorized_keys",
    "/home/core/.ssh/authorized_keys2",
    "/home/core/.ssh/authorized_keys.d/ignition",
];

/// What an image keeps.
const KEPT: &[&str] = &[
    "/etc/ssh/sshd_config",
    "/etc/systemd/network/20-mine.network",
    "/home/core/.ssh/config",
    "/etc/systemd/system/kubelet.service",
    "/opt/footplate/lock.json",
    "/opt/bin/kubeadm",
];

fn used(name: &str) -> Image {
    let image = Image::new(name);
    image.publish_node("v1.34.1");
    image.bake(&[]).ended(0, &[]);
    for path in LEFT {
        image.put(path, "x");
    }
    for path in &KEPT[..3] {
        image.put(path, "x");
    }
    let seed = fresh(&format!("{name}.seed"));
    fs::write(seed.join("meta-data"), "instance-id: builder\n").unwrap();
    let data = "#cloud-config\nruncmd: [kubeadm init]\nwrite_files: [{path: /opt/bin/tool, content: x}]\n";
    fs::write(seed.join("user-data"), data).unwrap();
    let (seed, root) = (seed.to_str().unwrap(), image.root.to_str().unwrap());
    footplate(&["provision", "--seed", seed, "--root", root]).ended(0, &[]);
    assert!(image.path("/etc/systemd/system/multi-user.target.wants/kubeadm.service").is_symlink());
    image
}

#[test]
fn a_sealed_image_has_not_booted() {
    needs!(root("files have owners"));
    let image = used("sealed");
    image.put("/oem/grub.cfg", "set linux_append=\"flatcar.autologin\"\n");
    // image-builder's clean-up deletes it.
    fs::remove_file(image.path("/oem/config.ign")).unwrap();
    image.put(
        "/etc/hosts",
        "127.0.0.1 localhost\n::1 localhost\nff02::1 all\n# 192.0.2.1 none\n192.0.2.50 builder\n",
    );
    let said = seal(&image).ended(0, &[]).out.clone();
    let enabled = "/etc/systemd/system/multi-user.target.wants/kubeadm.service";
    for path in LEFT.iter().chain(&["/etc/systemd/system/kubeadm.service", enabled, "/opt/bin/tool"]) {
        assert!(fs::symlink_metadata(image.path(path)).is_err(), "{path} is left");
    }
    for path in KEPT.iter().chain(&["/boot/flatcar/first_boot", "/oem/config.ign", "/var/log/containers"]) {
        assert!(image.path(path).exists(), "{path} is gone");
    }
    assert!(
        said.contains("removed: /etc/machine-id\n")
            && said.ends_with("sealed: the next boot is a first one\n")
    );
    assert!(said.contains("note: /oem/grub.cfg has flatcar.autologin"), "{said}");
    assert!(said.contains("note: /boot is not a mount point here"), "{said}");
    assert!(said.contains("note: left as it is: /etc/hosts, addresses of other machines (1)\n"), "{said}");
    image.verify().ended(0, &[]);
    let before = image.tree();
    let again = seal(&image).ended(0, &[]).out.clone();
    assert!(!again.contains("removed: ") && !again.contains("written: "), "{again}");
    assert_eq!(image.tree(), before);
}

#[test]
fn accounts_with_a_password_are_refused() {
    needs!(root("files have owners"));
    let passwd = |shell: &str, password: &str| {
        format!("root:x:0:0:root:/root:/bin/bash\nbuilder:{password}:1000:1000::/home/builder:{shell}\n")
    };
    let cases: &[(&str, &str, &str, bool)] = &[
        ("/bin/bash", "x", "builder:$6$salt$hash:1:0:99999:7:::\n", true),
        ("/bin/bash", "x", "builder::1:0:99999:7:::\n", true),
        ("", "x", "builder:$y$j9T$salt$hash:1:0:99999:7:::\n", true),
        ("/bin/bash", "$1$salt$hash", "", true),
        ("/bin/bash", "", "", true),
        ("/bin/bash", "x", "builder:!$6$salt$hash:1:0:99999:7:::\n", false),
        ("/bin/bash", "x", "builder:*:1:0:99999:7:::\n", false),
        ("/bin/bash", "x", "builder2:$6$salt$hash:1:0:99999:7:::\n", false),
        ("/usr/sbin/nologin", "x", "builder:$6$salt$hash:1:0:99999:7:::\n", false),
    ];
    for (number, (shell, password, shadow, refused)) in cases.iter().enumerate() {
        let image = used(&format!("password-{number}"));
        image.put("/etc/passwd", passwd(shell, password));
        image.put("/etc/shadow", format!("root:*:1:0:99999:7:::\n{shadow}"));
        if *refused {
            let before = image.tree();
            let ran = seal(&image);
            ran.ended(65, &["builder: can log in with a password", "passwd --lock"]);
            assert!(!ran.err.contains("hash"), "{}", ran.err);
            assert_eq!(image.tree(), before, "case {number}: something was removed");
        } else {
            let ran = seal(&image);
            assert_eq!(ran.code, 0, "case {number}: {}", ran.err);
        }
    }
}

#[test]
fn a_member_of_a_cluster_is_refused() {
    needs!(root("files have owners"));
    let image = used("member");
    for path in [
        "/etc/kubernetes/kubelet.conf",
        "/etc/kubernetes/admin.conf",
        "/etc/kubernetes/pki/ca.key",
        "/var/lib/etcd/member",
    ] {
        image.put(path, "x");
        seal(&image).ended(65, &[path, "member of a cluster", "never joined"]);
        fs::remove_file(image.path(path)).unwrap();
    }
    assert!(image.path("/etc/machine-id").exists());
}

#[test]
fn a_link_does_not_lead_a_seal_out_of_its_root() {
    needs!(root("files have owners"));
    let image = used("links");
    let outside = image.root.parent().unwrap().join("outside");
    fs::create_dir_all(outside.join("deeper")).unwrap();
    fs::write(outside.join("deeper/file"), "x").unwrap();
    for path in ["/var/log/journal/evil", "/var/lib/footplate/evil", "/root/.ssh/authorized_keys.d"] {
        symlink(&outside, image.path(path)).unwrap();
    }
    fs::remove_dir_all(image.path("/var/lib/systemd")).unwrap();
    symlink(&outside, image.path("/var/lib/systemd")).unwrap();
    fs::write(outside.join("random-seed"), "x").unwrap();
    seal(&image).ended(0, &[]);
    assert!(outside.join("deeper/file").exists() && outside.join("random-seed").exists());
    assert!(fs::symlink_metadata(image.path("/root/.ssh/authorized_keys.d")).is_err());
}

#[test]
fn the_builders_network_goes_and_the_images_stays() {
    needs!(root("files have owners"));
    let image = Image::new("network");
    let dir = "/etc/systemd/network";
    let gone = [
        ("10-ens3.network", "[Match]\nName=ens3\n[Network]\nAddress=198.51.100.7/24\nGateway=198.51.100.1\n"),
        ("11-lan.network", "[Match]\nPermanentMACAddress=02:00:00:00:00:07\n[Network]\nDHCP=yes\n"),
        ("12-lan0.link", "[Match]\nMACAddress = 02:00:00:00:00:07\n[Link]\nName=lan0\n"),
        ("13-wg0.netdev", "[NetDev]\nName=wg0\nKind=wireguard\n[WireGuard]\nPrivateKey=abc=\n"),
        ("zz-default.network.d/builder.conf", "[Network]\nAddress=2001:db8::7/64\n"),
        ("15-footplate-ens3.network", "[Match]\nName=ens3\n"),
        ("14-token.network", "[Match]\nName=*\n[IPv6AcceptRA]\nToken=static:::7\n"),
        (
            "../../udev/rules.d/70-persistent-net.rules",
            "SUBSYSTEM==\"net\", ATTR{address}==\"02:00:00:00:00:07\", NAME=\"lan0\"\n",
        ),
    ];
    let kept = [
        ("zz-default.network", "[Match]\nName=*\n[Network]\nDHCP=yes\n"),
        (
            "zz-default.network.d/mtu.conf",
            "# Address=192.0.2.1/24\n[Network]\nAddress=\n[Link]\nMTUBytes=9000\n",
        ),
        ("20-br0.netdev", "[NetDev]\nName=br0\nKind=bridge\n"),
        ("21-port.network", "[Match]\nName=ens4\n[Network]\nBridge=br0\n"),
        ("22-lease.network", "[Match]\nName=ens3\n[Network]\nDHCP=yes\n"),
        ("../../udev/rules.d/60-io.rules", "SUBSYSTEM==\"block\", ATTR{queue/scheduler}=\"none\"\n"),
        ("README", "Address=192.0.2.1/24\n"),
    ];
    for (name, text) in gone.iter().chain(&kept) {
        image.put(&format!("{dir}/{name}"), text);
    }
    symlink("/dev/null", image.path(&format!("{dir}/99-default.link"))).unwrap();
    let root = image.root.to_str().unwrap();
    let said = footplate(&["seal", "--force", "--root", root]).ended(0, &[]).out.clone();
    for (name, _) in gone {
        let path = format!("{dir}/{name}").replace("systemd/network/../../", "");
        assert!(said.contains(&format!("removed: {path}\n")), "{name}: {said}");
        assert!(!image.path(&path).exists(), "{name} is left");
    }
    for name in kept.iter().map(|(name, _)| *name).chain(["99-default.link"]) {
        assert!(image.path(&format!("{dir}/{name}")).symlink_metadata().is_ok(), "{name} is gone");
        // What configures a NIC of each machine is told.
        let told = said.contains(&format!("note: left as it is: {dir}/{name}: it has no address"));
        assert_eq!(told, name != "README" && !name.contains("udev"), "{name}: {said}");
    }
}

/// What is no image is not sealed, and what is not Flatcar's is not baked, unless a person insists.
#[test]
fn other_systems_are_refused() {
    needs!(root("files have owners"));
    let image = Image::new("other-system");
    image.publish_node("v1.34.1");
    for path in LEFT {
        image.put(path, "x");
    }
    let before = image.tree();
    let root = image.root.to_str().unwrap();
    seal(&image).ended(65, &["/opt/footplate: nothing was baked in this root", "--dry-run", "--force"]);
    let dry = footplate(&["seal", "--dry-run", "--root", root]).ended(0, &[]).out.clone();
    let end = "note: `seal` refuses this root without --force: /opt/footplate: nothing was baked in this root, \
        so it is not an image\ndry run: nothing was removed or written\n";
    assert!(dry.ends_with(end), "{dry}");
    for (release, says) in [
        ("ID=debian\nID_LIKE=\n", "`debian`, not Flatcar"),
        ("ID=\"fedora\"\n", "`fedora`, not Flatcar"),
        ("NAME=x\n", "the root is not Flatcar: /usr/lib/os-release"),
    ] {
        image.put("/usr/lib/os-release", release);
        image.bake(&[]).ended(74, &[says, "--force"]);
        image.bake(&["--dry-run"]).ended(74, &[says, "--force"]);
        seal(&image).ended(65, &[says, "--force"]);
        let dry = footplate(&["seal", "--dry-run", "--root", root]).ended(0, &[]).out.clone();
        assert!(
            dry.contains("note: `seal` refuses this root without --force: ") && dry.contains(says),
            "{dry}"
        );
    }
    image.put("/usr/lib/os-release", "NAME=x\nID=flatcar\nVERSION_ID=4593.2.0\n");
    assert_eq!(image.tree(), before, "a refusal changes nothing");
    image.put("/usr/lib/os-release", "ID=debian\n");
    image.bake(&["--force"]).ended(0, &[]);
    // Whoever insisted once does so each time.
    image.bake(&[]).ended(74, &["`debian`, not Flatcar"]);
    seal(&image).ended(65, &["`debian`, not Flatcar"]);
    footplate(&["seal", "--force", "--root", root]).ended(0, &[]);
}

/// A dry run says what the real one does, and does nothing.
#[test]
fn a_dry_run_is_true_and_changes_nothing() {
    needs!(root("files have owners"));
    let image = Image::new("dry-run");
    image.publish_node("v1.34.1");
    let list = |text: &str, word: &str| -> Vec<String> {
        let mut list: Vec<_> = text.lines().filter_map(|l| l.strip_prefix(word)).map(str::to_owned).collect();
        list.sort();
        list
    };
    let before = image.tree();
    let dry = image.bake(&["--dry-run"]).ended(0, &[]).out.clone();
    assert!(dry.contains("dry run, nothing was written: 5 artifacts, 5 of them new"), "{dry}");
    assert_eq!(image.tree(), before);
    image.bake(&[]).ended(0, &[]);
    let dry = image.bake(&["--dry-run"]).ended(0, &[]).out.clone();
    assert!(dry.contains("5 artifacts, 0 of them new; 0 paths would change"), "{dry}");

    let image = used("dry-seal");
    image.put("/home/core/notes", "x");
    let before = image.tree();
    let root = image.root.to_str().unwrap();
    let dry = footplate(&["seal", "--dry-run", "--root", root]).ended(0, &[]).out.clone();
    assert_eq!(image.tree(), before);
    assert!(
        dry.contains("note: left as it is: /home, homes, but for their keys and histories (1)\n"),
        "{dry}"
    );
    assert!(dry.ends_with("dry run: nothing was removed or written\n"), "{dry}");
    let real = seal(&image).ended(0, &[]).out.clone();
    for (would, does) in
        [("would remove: ", "removed: "), ("would write: ", "written: "), ("note: ", "note: ")]
    {
        assert_eq!(list(&dry, would), list(&real, does), "{dry}\n{real}");
        assert!(!list(&real, does).is_empty(), "{does}");
    }
}

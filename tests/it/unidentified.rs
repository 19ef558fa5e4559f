// SPDX-License-Identifier: Apache-2.0
//! Machines whose firmware has no SMBIOS, as arm64 machines may be: a device tree may tell the platform, and without any
//! identification nothing on the network is asked ([CVE-2024-6174](https://www.cve.org/CVERecord?id=CVE-2024-6174)).

use std::fs;
use std::process::Command;
use std::thread;
use std::time::Duration;

use nix::mount::{MntFlags, umount2};

use crate::common::imds::{V4, V6};
use crate::common::sandbox::Sandbox;
use crate::common::scratch::{FOOTPLATE, Ran, Scratch, footplate, fresh};
use crate::common::server::{Reply, Server};

const DEVICE_TREE: &str = "file/proc/device-tree/hypervisor/compatible";

/// Whoever answers at the address of metadata services would own the node.
#[test]
fn without_identification_nothing_is_asked() {
    needs!(root("a network of its own"));
    let test = || {
        let sandbox = Sandbox::enter("unidentified", &["169.254.169.254/32", "fd00:ec2::254/128"]);
        let service = Server::start_at(&[V4, V6], Duration::ZERO, |_| {
            Reply::ok("#cloud-config\nhostname: taken-over\n")
        });
        let (root, _) = sandbox.node("node", FOOTPLATE);
        // What this machine says of itself is covered.
        for place in ["proc", "sys"] {
            umount2(&root.join(place), MntFlags::MNT_DETACH).unwrap();
        }
        fs::write(root.join("proc/cmdline"), "root=LABEL=ROOT\n").unwrap();
        for (command, code) in [("network", 0), ("provision", 69)] {
            let mut node = Command::new("unshare");
            node.args(["--uts", "chroot"]).arg(&root).args(["/program", command]);
            Ran::of(&mut node).ended(code, &["nothing says which platform this is (DMI vendor none"]);
        }
        assert!(!root.join("etc/hostname").exists());
        // Cluster API's users look here, and find no sentinel.
        let told = fs::read_to_string(root.join("run/cluster-api/bootstrap-error.log")).unwrap();
        for says in ["detect failed", "nothing says which platform this is", "to do:", "detect/"] {
            assert!(told.contains(says), "{says} is not in\n{told}");
        }
        assert!(!root.join("run/cluster-api/bootstrap-success.complete").exists());
        assert_eq!(service.paths(), [""; 0], "something was asked");
    };
    if let Err(panic) = thread::spawn(test).join() {
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn a_device_tree_tells_of_vmware_and_no_other_platform() {
    let (replay, root) = (Scratch { dir: fresh("device-tree") }, Scratch::new("device-tree-root"));
    let network = |compatible: &str| {
        replay.put(DEVICE_TREE, compatible);
        footplate(&["network", "--replay", replay.arg(), "--root", root.arg()])
    };
    replay.put("guestinfo/guestinfo.metadata", "local-hostname: by-device-tree\ninstance-id: i-1\n");
    for compatible in ["linux,kvm", "xen"] {
        let seen = format!("product none; hypervisor \"{compatible}\"; drive labels none");
        network(&format!("{compatible}\0")).ended(0, &["nothing says which platform this is", &seen]);
    }
    assert!(!root.path("/etc/hostname").exists());
    network("vmware\0").ended(0, &[]);
    assert_eq!(root.text("/etc/hostname"), "by-device-tree\n");
}

/// The kernel argument is surer than the hypervisor's signature, and the service that it means can't be asked yet.
#[test]
fn before_the_network_is_up_nobody_speaks_for_a_service_that_is_surer() {
    let (replay, root) = (Scratch { dir: fresh("surer") }, Scratch::new("surer-root"));
    replay.put("hypervisor", "VMwareVMware");
    replay.put("guestinfo/guestinfo.metadata", "local-hostname: by-guestinfo\ninstance-id: i-1\n");
    for (argument, named) in [("hetzner", false), ("digitalocean", false), ("vmware", true)] {
        replay.put("file/proc/cmdline", format!("flatcar.oem.id={argument}\n"));
        footplate(&["network", "--replay", replay.arg(), "--root", root.arg()]).ended(0, &[]);
        assert_eq!(root.path("/etc/hostname").exists(), named, "{argument}");
    }
}

// SPDX-License-Identifier: Apache-2.0
//! What `docs/images.md` tells to do does what it says: the commands in a shell, the build by Packer itself, the roles by Ansible
//! itself.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use serde_json::Value;

use super::image::Image;
use crate::common::debian;
use crate::common::needs::{Need, said};
use crate::common::scratch::{FOOTPLATE, Ran, fresh, put_program};

/// Ansible and a reader of HCL in an environment of their own, pinned.
static PYTHON: LazyLock<Need<PathBuf>> = LazyLock::new(|| {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("ansible");
    let done = dir.join("2.19.14");
    if !done.exists() {
        let _ = fs::remove_dir_all(&dir);
        said(Command::new("python3").args(["-m", "venv"]).arg(&dir))?;
        said(Command::new(dir.join("bin/pip")).args([
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "ansible-core==2.19.14",
            "python-hcl2==8.1.4",
        ]))?;
        fs::write(done, "").unwrap();
    }
    Ok(dir)
});

/// Its directory.
pub fn python() -> Need<&'static Path> {
    PYTHON.as_deref().map_err(Clone::clone)
}

/// The page.
fn page() -> String {
    fs::read_to_string(format!("{}/docs/images.md", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// The text of the page's blocks in this language.
fn blocks(language: &str) -> Vec<String> {
    let text = page();
    let parts = text.split("```").skip(1).step_by(2);
    parts.filter_map(|b| Some(b.strip_prefix(language)?.strip_prefix('\n')?.to_owned())).collect()
}

/// A Flatcar-like machine that an image is built on: a root with a node's `/opt` and `/etc`, this machine's `/usr` read-only and without
/// its Kubernetes, and at `/run/kit` what the documents call by a name of one's own.
struct Machine {
    image: Image,
    kit: PathBuf,
}

impl Machine {
    fn new(name: &str) -> Self {
        let image = Image::new(name);
        image.publish_node("v1.34.1");
        let kit = fresh(&format!("{name}-kit"));
        fs::create_dir(kit.join("bin")).unwrap();
        let mut lock = image.read_lock();
        for artifact in lock["artifacts"].as_array_mut().unwrap() {
            let file = artifact["url"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
            artifact["url"] = format!("file:///run/kit/from/{file}").into();
        }
        fs::write(kit.join("lock.json"), lock.to_string()).unwrap();
        Ran::of(Command::new("cp").arg("-r").arg(&image.from).arg(kit.join("from"))).ended(0, &[]);
        // Not every machine that runs this has it; whoever runs this is root.
        put_program(&kit.join("bin/sudo"), "#!/bin/sh\nexec \"$@\"\n");
        for path in ["footplate", "bin/footplate"] {
            put_program(&kit.join(path), fs::read(FOOTPLATE).unwrap());
        }
        Self { image, kit }
    }

    /// Runs a script in it.
    fn run(&self, script: &str) -> Ran {
        fs::write(self.kit.join("script"), script).unwrap();
        let enter = "set -e; cd \"$1\"; mount --make-rprivate /
            mkdir -p usr proc dev tmp run
            for link in bin sbin lib lib64; do ln -sfn usr/$link $link; done
            mount -t tmpfs tmpfs proc; mkdir proc/upper proc/work
            mount -t overlay -o lowerdir=/usr,upperdir=proc/upper,workdir=proc/work overlay usr
            rm -f usr/bin/kube* usr/lib/systemd/system/kube*; echo ID=flatcar > usr/lib/os-release; ln -sf /run/kit/bin/sudo usr/bin/sudo; mount -o remount,ro usr
            mount -t proc proc proc; mount --rbind /dev dev; mount -t tmpfs tmpfs tmp
            mkdir -p run/kit/ansible; mount --bind \"$2\" run/kit; mkdir -p run/kit/ansible; mount --bind \"$3\" run/kit/ansible
            case $4 in /usr | /usr/*) ;; *) mkdir -p \".$4\"; mount --bind \"$4\" \".$4\" ;; esac
            PATH=/run/kit/bin:/usr/sbin:/usr/bin HOME=/tmp exec timeout 120 chroot . sh -eu /run/kit/script";
        // Python may stand outside /usr.
        let prefix = ["-c", "import sys; print(sys.base_prefix, end='')"];
        let python = python().unwrap();
        let prefix = Ran::of(Command::new(python.join("bin/python")).args(prefix)).out;
        let mut unshare = Command::new("unshare");
        unshare.args(["--mount", "sh", "-c", enter, "sh"]);
        Ran::of(unshare.arg(&self.image.root).arg(&self.kit).arg(python).arg(prefix))
    }

    /// It is an image: what is baked verifies, and its next boot is a first one.
    #[track_caller]
    fn is_sealed(&self) {
        assert_eq!(self.image.faults(), Vec::<String>::new());
        for path in ["/oem/config.ign", "/boot/flatcar/first_boot", "/opt/bin/kubeadm"] {
            assert!(self.image.path(path).exists(), "{path} is not there");
        }
        assert!(!self.image.path("/etc/machine-id").exists());
    }
}

#[test]
fn the_three_steps_make_an_image() {
    needs!(root("files have owners"));
    let text = page();
    let steps: Vec<&str> = text.lines().filter_map(|l| l.strip_prefix("    footplate ")).collect();
    let steps: Vec<&&str> = steps.iter().filter(|s| s.contains("--root /")).collect();
    assert_eq!(steps.len(), 3, "{steps:?}");
    let machine = Machine::new("docs-steps");
    machine.image.put("/etc/machine-id", "0123\n");
    let script: String = steps.iter().map(|s| format!("footplate {s}\n")).collect();
    machine.run(&format!("cp /run/kit/lock.json /tmp/\n{script}")).ended(0, &[]);
    machine.is_sealed();
}

#[test]
fn packers_sources_have_their_rows() {
    let python = needs!(python());
    // As HCL is read, each string in its quotes.
    let file = fresh("docs-hcl").join("build.pkr.hcl");
    fs::write(&file, &blocks("hcl")[0]).unwrap();
    let script = "import hcl2, json, sys; print(json.dumps(hcl2.load(open(sys.argv[1]))))";
    let build =
        Ran::of(Command::new(python.join("bin/python")).args(["-c", script]).arg(file)).ended(0, &[]).json();
    let sources = build["build"][0]["sources"].as_array().unwrap().iter();
    let sources: Vec<&str> = sources.map(|s| s.as_str().unwrap().trim_matches('"')).collect();
    for source in ["vsphere-clone", "amazon-ebs", "azure-arm", "googlecompute", "digitalocean", "qemu"] {
        assert!(sources.contains(&format!("source.{source}.flatcar").as_str()), "{source}: {sources:?}");
    }
    // Each has its row, and no row is of another one: what it begins with and how it gets its config.
    let rows: Vec<Vec<String>> = page()
        .lines()
        .skip_while(|l| !l.starts_with("| image | source |"))
        .skip(2)
        .take_while(|l| l.starts_with('|'))
        .map(|l| l.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect())
        .collect();
    let named: Vec<String> =
        rows.iter().map(|row| format!("source.{}.flatcar", row[1].split('`').nth(1).unwrap())).collect();
    assert_eq!(named, sources);
    assert!(rows.iter().all(|row| row.len() == 4 && row.iter().all(|cell| !cell.is_empty())), "{rows:?}");
}

#[test]
fn packers_build_makes_an_image() {
    needs!(root("files have owners"));
    let [build, shutdown] = &blocks("hcl")[..] else { panic!("two blocks of HCL") };
    let machine = Machine::new("docs-packer");
    machine.image.put("/etc/machine-id", "0123\n");
    // The page's build, of a machine that runs already: Packer's own part begins where it logs in.
    let (before, rest) = build.split_once("  sources = [").unwrap();
    let (_, after) = rest.split_once(']').unwrap();
    let build = format!(
        "source \"null\" \"flatcar\" {{
           communicator         = \"ssh\"
           ssh_host             = \"127.0.0.1\"
           ssh_username         = \"root\"
           ssh_private_key_file = \"/run/kit/key\"
         }}
         {before}  sources = [\"source.null.flatcar\"]{after}"
    );
    fs::write(machine.kit.join("build.pkr.hcl"), build).unwrap();
    let programs = debian::unpacked(&["packer", "dropbear-bin", "libtomcrypt1", "libtommath1"]).unwrap();
    let script = "cp -r usr/bin/packer usr/bin/dropbearkey usr/sbin/dropbear \"$1\"/bin
        mkdir \"$1\"/lib; cp usr/lib/*/libtom*.so.* \"$1\"/lib
        ssh-keygen -q -t ecdsa -m PEM -N '' -f \"$1\"/key";
    let mut shell = Command::new("sh");
    Ran::of(shell.args(["-ec", script, "sh"]).arg(&machine.kit).current_dir(programs)).ended(0, &[]);
    machine.image.put("/root/.ssh/authorized_keys", fs::read_to_string(machine.kit.join("key.pub")).unwrap());
    machine.image.put("/etc/shells", "/bin/sh\n/bin/bash\n");
    let ran = machine.run(
        "exec unshare --net --pid --fork --kill-child sh -eu -c '
            ip link set lo up
            chmod 0700 /root /root/.ssh; chmod 0600 /root/.ssh/authorized_keys
            export LD_LIBRARY_PATH=/run/kit/lib
            dropbearkey -t ecdsa -f /tmp/host-key >/tmp/dropbear 2>&1
            dropbear -F -E -s -r /tmp/host-key -p 127.0.0.1:22 -P /tmp/dropbear.pid >/tmp/dropbear 2>&1 &
            cd /run/kit
            CHECKPOINT_DISABLE=1 PACKER_CACHE_DIR=/tmp/cache packer build build.pkr.hcl </dev/null || { cat /tmp/dropbear; exit 1; }'",
    );
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("Uploading lock.json => /tmp/") && ran.out.contains("sealed: "), "{}", ran.out);
    machine.is_sealed();
    // The key by which Packer logged in is gone, and nobody logs in with it again.
    assert!(!machine.image.path("/root/.ssh/authorized_keys").exists());

    // Sealing at the shutdown instead, and a machine that was used in between.
    let command = shutdown.split_once("= \"").unwrap().1.trim_end().trim_end_matches('"');
    let command = command.replace("sudo shutdown -P now", "true");
    machine.image.put("/etc/machine-id", "4567\n");
    machine.run(&format!("cp /run/kit/footplate /tmp/footplate\n{command}\n")).ended(0, &[]);
    machine.is_sealed();
}

#[test]
fn image_builders_hooks_make_an_image() {
    needs!(root("files have owners"));
    let machine = Machine::new("docs-ansible");
    // As image-builder's own roles leave a machine.
    machine.image.put("/etc/machine-id", "0123\n");
    machine.image.put_program("/opt/bin/kubeadm", "its own");
    machine.image.put("/etc/systemd/system/kubelet.service", "[Service]\nExecStart=/opt/bin/kubelet\n");
    symlink("/dev/null", machine.image.path("/etc/systemd/system/locksmithd.service")).unwrap();
    // The hooks' variables name the roles; the roles stand in one block, each under its path.
    let hooks: Value = serde_json::from_str(&blocks("json")[0]).unwrap();
    let yaml = blocks("yaml").into_iter().find(|b| b.starts_with("# roles/")).unwrap();
    for role in yaml.split("# roles/").skip(1) {
        let (path, tasks) = role.split_once('\n').unwrap();
        let path = machine.kit.join("roles").join(path.trim());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, tasks).unwrap();
    }
    let files = machine.kit.join("roles/footplate_bake/files");
    fs::create_dir(&files).unwrap();
    for file in ["footplate", "lock.json"] {
        fs::copy(machine.kit.join(file), files.join(file)).unwrap();
    }
    // `ansible/node.yml` includes them so, with its clean-up between the two.
    let playbook = format!(
        "- hosts: all\n  gather_facts: false\n  tasks:\n  - ansible.builtin.include_role: {{name: {}}}\n  \
         - ansible.builtin.file: {{path: /oem/config.ign, state: absent}}\n  - ansible.builtin.include_role: {{name: {}}}\n",
        hooks["node_custom_roles_post"], hooks["node_custom_roles_post_sysprep"]
    );
    fs::write(machine.kit.join("node.yml"), playbook).unwrap();
    let ran = machine.run(
        "cd /run/kit
        export LC_ALL=C.UTF-8 ANSIBLE_LOCAL_TEMP=/tmp/ansible ANSIBLE_REMOTE_TMP=/tmp/ansible
        ansible/bin/python -m ansible playbook -i localhost, -c local node.yml",
    );
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("failed=0"), "{}", ran.out);
    machine.is_sealed();
}

#[test]
fn the_ovas_properties_are_the_keys_that_are_read() {
    let xml = blocks("xml").concat();
    for key in ["metadata", "metadata.encoding", "userdata", "userdata.encoding"] {
        let property =
            format!("ovf:key=\"guestinfo.{key}\" ovf:type=\"string\" ovf:userConfigurable=\"true\"");
        assert!(xml.contains(&property), "{property}");
    }
    assert!(xml.contains("ovf:transport=\"iso com.vmware.guestInfo\""), "{xml}");
    assert_eq!(xml.matches("<Property ").count(), 4);
}

// SPDX-License-Identifier: Apache-2.0
//! Cluster API's Ignition bootstrap from its data to kubeadm's configuration: with the workarounds that today's Flatcar
//! templates carry, without them, and where Ignition made the node itself.

use crate::common::scratch;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use scratch::{FOOTPLATE, Ran, Scratch, provision, seed};

/// One of Cluster API's configs among the golden folders.
fn config(name: &str) -> String {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ignition/golden");
    fs::read_to_string(golden.join(name).join("in.ign")).unwrap()
}

const META: &str =
    "instance-id: i-1\nlocal-hostname: node-1.example\nprovider-id: test://zone/i-1\nlocal-ipv4: 192.0.2.5\n";

/// Data of that name with metadata beside it.
fn seeded(name: &str, data: &str) -> PathBuf {
    let dir = seed(name, data);
    fs::write(dir.join("meta-data"), META).unwrap();
    dir
}

fn prepare(root: &Scratch, environment: &[(&str, &str)]) -> Ran {
    let mut command = Command::new(FOOTPLATE);
    command.env_clear().env("INVOCATION_ID", "1").envs(environment.iter().copied());
    Ran::of(command.args(["kubeadm-prepare", "/etc/kubeadm.yml", "--root", root.arg()]))
}

/// The value of a line of kubeadm's configuration, `name: …`.
fn line(root: &Scratch, key: &str) -> Vec<String> {
    let text = root.text("/etc/kubeadm.yml");
    let values =
        text.lines().filter_map(|l| l.trim().trim_start_matches("- ").strip_prefix(key).map(str::to_owned));
    values.map(|v| v.trim().trim_matches('\'').to_owned()).collect()
}

#[test]
fn scripts_of_etc_may_run_where_its_mount_forbids_it() {
    needs!(root("files have owners"));
    let root = Scratch::new("noexec");
    root.put("/etc/kubeadm.yml", "kind: JoinConfiguration\n");
    root.put("/etc/kubeadm.sh", "#!/bin/sh\necho ran\n");
    let script = format!(
        "chmod 0755 etc/kubeadm.sh
        mount --bind etc etc
        mount -o remount,bind,noexec,nosuid,nodev etc
        etc/kubeadm.sh && exit 3
        {FOOTPLATE} kubeadm-prepare /etc/kubeadm.yml --root . || exit 4
        etc/kubeadm.sh
        findmnt --noheadings --output VFS-OPTIONS --mountpoint $PWD/etc
        {FOOTPLATE} kubeadm-prepare /etc/kubeadm.yml --root ."
    );
    let ran = Ran::of(Command::new("unshare").args(["--mount", "sh", "-uc", &script]).current_dir(&root.dir));
    assert_eq!(ran.code, 0, "{}", ran.err);
    let lines: Vec<&str> = ran.out.lines().collect();
    assert_eq!(lines[0], "ran", "{}", ran.err);
    // Nothing else about the mount changed.
    assert!(
        lines[1].contains("nosuid") && lines[1].contains("nodev") && !lines[1].contains("noexec"),
        "{lines:?}"
    );
    assert_eq!(ran.err.matches("programs may run from /etc").count(), 1, "once is enough: {}", ran.err);
}

#[test]
fn commands_may_append_to_the_environment_where_it_is_a_link_into_usr() {
    needs!(root("files have owners"));
    let root = Scratch::new("environment");
    root.put("/etc/kubeadm.yml", "kind: JoinConfiguration\n");
    root.put("/usr/lib/pam/environment", "# ours\n");
    let script = format!(
        "chmod 0640 usr/lib/pam/environment
        ln -s ../usr/lib/pam/environment etc/environment
        {FOOTPLATE} kubeadm-prepare /etc/kubeadm.yml --root . || exit 3
        test -L etc/environment || exit 4
        mount --bind usr usr; mount -o remount,bind,ro usr
        for turn in 1 2; do
            {FOOTPLATE} kubeadm-prepare /etc/kubeadm.yml --root . || exit 5
            echo A=$turn >> etc/environment || exit 6
        done
        stat --format '%a %F' etc/environment"
    );
    let ran = Ran::of(Command::new("unshare").args(["--mount", "sh", "-uc", &script]).current_dir(&root.dir));
    assert_eq!((ran.code, ran.out.as_str()), (0, "640 regular file\n"), "{}", ran.err);
    assert_eq!(root.text("/etc/environment"), "# ours\nA=1\nA=2\n");
    assert_eq!(root.text("/usr/lib/pam/environment"), "# ours\n");
    // What it changes is listed for `seal`.
    let manifest: serde_json::Value =
        serde_json::from_str(&root.text("/opt/footplate/manifest.json")).unwrap();
    assert_eq!(manifest["paths"]["/etc/environment"], "changed", "{manifest}");
    assert_eq!(
        ran.err.matches("/etc/environment is a file of its own").count(),
        1,
        "once is enough: {}",
        ran.err
    );
}

#[test]
fn cluster_apis_ignition_data_ends_in_a_configuration_of_this_node() {
    needs!(root("files have owners"));
    // CAPA's name is Afterburn's on that platform: it wins over footplate's own.
    let afterburn = "COREOS_EC2_HOSTNAME=ip-192-0-2-5.ec2.internal\n";
    let cases = [
        ("capv-with-workarounds", "", "node-1.example"),
        ("capv-without-workarounds", "", "node-1.example"),
        ("capa-with-workarounds", afterburn, "ip-192-0-2-5.ec2.internal"),
        ("capa-without-workarounds", afterburn, "node-1.example"),
    ];
    for (name, metadata, node) in cases {
        let root = Scratch::new(name);
        root.put("/usr/lib/systemd/system/coreos-metadata.service", "[Service]\nExecStart=/bin/true\n");
        if !metadata.is_empty() {
            root.put("/run/metadata/flatcar", metadata);
        }
        provision(&seeded(name, &config(name)), &root).ended(0, &[]);
        let before = root.text("/etc/kubeadm.yml");
        prepare(&root, &[]).ended(0, &[]);
        assert!(line(&root, "name:").contains(&node.to_owned()), "{name}: {}", root.text("/etc/kubeadm.yml"));
        assert!(line(&root, "value:").contains(&"test://zone/i-1".to_owned()), "{name}");
        assert_eq!(root.owned("/etc/kubeadm.yml"), (0o600, 0, 0), "{name}");
        // What was not the node's stays as it was written.
        for line in before.lines().filter(|l| !l.contains("${")) {
            assert!(root.text("/etc/kubeadm.yml").contains(line), "{name}: {line}");
        }
        let ready = root.text("/etc/kubeadm.yml");
        prepare(&root, &[]).ended(0, &[]);
        assert_eq!(root.text("/etc/kubeadm.yml"), ready, "{name}: twice");
        // Afterburn's names keep their values, and templates find theirs.
        let flatcar = root.text("/run/metadata/flatcar");
        assert!(flatcar.starts_with(metadata) && flatcar.contains("COREOS_CUSTOM_HOSTNAME=node-1.example\n"));
        assert_eq!(root.text("/run/metadata/coreos"), flatcar);
        assert!(root.text("/run/metadata/footplate").contains("FOOTPLATE_HOSTNAME=node-1.example\n"));
        assert_eq!(root.owned("/run/footplate/metadata.json").0, 0o600);
    }
}

#[test]
fn a_name_that_the_commands_cut_themselves_is_theirs() {
    needs!(root("files have owners"));
    let root = Scratch::new("cut");
    root.put("/run/metadata/flatcar", "COREOS_GCE_HOSTNAME=wren-1.zone-b.c.blue.internal\n");
    root.put(
        "/etc/kubeadm.yml",
        "kind: JoinConfiguration\nnodeRegistration:\n  name: ${COREOS_GCE_HOSTNAME}\n  taints: []\n",
    );
    let commands = format!(
        "#!/bin/bash\n. {flatcar}\nexport COREOS_GCE_HOSTNAME=${{COREOS_GCE_HOSTNAME%%.*}}\n\
         envsubst < {yml} > {yml}.tmp\nmv {yml}.tmp {yml}\n",
        flatcar = root.path("/run/metadata/flatcar").display(),
        yml = root.path("/etc/kubeadm.yml").display(),
    );
    root.put("/etc/kubeadm.sh", &commands);
    prepare(&root, &[]).ended(0, &[]);
    assert_eq!(line(&root, "name:"), ["${COREOS_GCE_HOSTNAME}"]);
    assert_eq!(root.text("/etc/kubeadm.sh"), commands, "the shell's own names stay");
    let bin = Scratch::new("cut-bin");
    // gettext's, which Flatcar has.
    bin.put_program(
        "/envsubst",
        "#!/bin/sh\nexec sed \"s/\\${COREOS_GCE_HOSTNAME}/$COREOS_GCE_HOSTNAME/\"\n",
    );
    let path = format!("{}:/usr/bin:/bin", bin.path("/").display());
    let script = root.path("/etc/kubeadm.sh");
    assert_eq!(Ran::of(Command::new("bash").arg(script).env("PATH", path)).code, 0);
    assert_eq!(line(&root, "name:"), ["wren-1"]);
}

#[test]
fn templates_names_are_filled_in_in_the_configuration_and_in_the_commands() {
    needs!(root("files have owners"));
    let root = Scratch::new("names");
    let config = |name: &str| {
        root.put(
            "/etc/kubeadm.yml",
            format!("kind: JoinConfiguration\nnodeRegistration:\n  name: '{name}'\n"),
        );
    };
    config("{{ v1.local_hostname }}");
    root.put(
        "/etc/kubeadm.sh",
        "hostname \"{{ v1.local_hostname }}\"\nkubectl get -o go-template='{{ .x }}'\n",
    );
    root.put(
        "/run/metadata/footplate",
        "FOOTPLATE_HOSTNAME=pine-2.example\nFOOTPLATE_PLATFORM=oraclecloud\n",
    );
    root.put("/run/footplate/metadata.json", "{\"id\": \"ocid1.instance\"}\n");
    let mode = fs::Permissions::from_mode(0o700);
    fs::set_permissions(root.path("/etc/kubeadm.sh"), mode).unwrap();
    prepare(&root, &[]).ended(0, &[]);
    assert_eq!(line(&root, "name:"), ["pine-2"]);
    let commands = root.text("/etc/kubeadm.sh");
    assert_eq!(commands, "hostname \"pine-2\"\nkubectl get -o go-template='{{ .x }}'\n");
    assert_eq!(root.owned("/etc/kubeadm.sh").0, 0o700);
    config("{{ ds[\"id\"] }}");
    prepare(&root, &[]).ended(0, &[]);
    assert_eq!(line(&root, "name:"), ["ocid1.instance"]);
    root.put("/etc/kubeadm.sh", "id\nhostname {{ ds.meta_data.none }}\n");
    prepare(&root, &[])
        .ended(65, &["/etc/kubeadm.sh: {{ ds.meta_data.none }} has no value (line 2, column 10)"]);
}

#[test]
fn a_name_without_a_value_is_an_error_that_names_it() {
    needs!(root("files have owners"));
    let root = Scratch::new("unresolved");
    root.put(
        "/etc/kubeadm.yml",
        "kind: JoinConfiguration\nnodeRegistration:\n  name: ${COREOS_CUSTOM_NAME}\n",
    );
    let ran = prepare(&root, &[]);
    ran.ended(65, &["/etc/kubeadm.yml: ${COREOS_CUSTOM_NAME} has no value (line 3, column 9)"]);
    assert!(root.text("/etc/kubeadm.yml").contains("${COREOS_CUSTOM_NAME}"), "the file is left as it is");
    let status = root.text("/run/footplate/status.json");
    assert!(status.contains("\"failed\"") && status.contains("${COREOS_CUSTOM_NAME}"), "{status}");
    // The unit's own environment: what drop-ins of a template set.
    prepare(&root, &[("COREOS_CUSTOM_NAME", "set-by-a-drop-in"), ("OTHER", "x")]).ended(0, &[]);
    assert_eq!(line(&root, "name:"), ["set-by-a-drop-in"]);
    fs::remove_file(root.path("/etc/kubeadm.yml")).unwrap();
    prepare(&root, &[]).ended(64, &["/etc/kubeadm.yml: the file does not exist"]);
}

#[test]
fn a_bootstrap_of_footplates_own_is_left_alone() {
    needs!(root("files have owners"));
    let root = Scratch::new("own");
    let leftover = "kind: JoinConfiguration\nnodeRegistration:\n  name: ${COREOS_CUSTOM_NAME}\n";
    // Image builds leave a configuration there that nobody's bootstrap is about.
    root.put("/etc/kubeadm.yml", leftover);
    provision(&seeded("own", "#cloud-config\nruncmd: [kubeadm join]\n"), &root).ended(0, &[]);
    prepare(&root, &[]).ended(0, &[]);
    assert_eq!(root.text("/etc/kubeadm.yml"), leftover);
    assert!(!root.path("/run/footplate/kubeadm.prepared").exists());
}

#[test]
fn what_ignition_applied_is_not_applied_again() {
    needs!(root("files have owners"));
    let root = Scratch::new("applied");
    root.put("/etc/.ignition-result.json", "{\"userConfigProvided\": true}\n");
    root.put("/etc/kubeadm.yml", "kind: JoinConfiguration\nnodeRegistration:\n  criSocket: mine\n");
    root.put("/etc/systemd/system/kubeadm.service", "[Service]\nExecStart=/bin/true\n");
    let ran = provision(&seeded("applied", &config("capv-without-workarounds")), &root);
    ran.ended(0, &[]);
    assert!(!root.path("/etc/kubeadm.sh").exists(), "a file of the config was written");
    assert_eq!(root.text("/etc/hostname"), "node-1\n");
    assert!(ran.err.contains("kubeadm.service is enabled and not started"), "{}", ran.err);
    prepare(&root, &[]).ended(0, &[]);
    assert_eq!(line(&root, "name:"), ["provider-id", "node-1.example"]);
}

/// An image for cloud-config has a config on its OEM partition: Ignition ran on it, and not on the machine's user-data.
#[test]
fn what_ignition_never_saw_is_applied() {
    needs!(root("files have owners"));
    let root = Scratch::new("unseen");
    root.put("/etc/.ignition-result.json", "{\"userConfigProvided\": true}\n");
    root.put("/oem/config.ign", "{\"ignition\": {\"version\": \"3.0.0\"}}\n");
    provision(&seeded("unseen", &config("capv-without-workarounds")), &root).ended(0, &[]);
    assert!(root.path("/etc/kubeadm.sh").exists());
    assert!(root.path("/etc/systemd/system/kubeadm.service").exists());
}

/// Both units of the name, with the drop-in that images have and the one that templates bring.
#[test]
fn verify_has_nothing_to_say_of_cluster_apis_unit() {
    needs!(root("files have owners"));
    for name in ["capv-with-workarounds", "capa-with-workarounds", "capv-without-workarounds"] {
        let root = Scratch::new(&format!("verify-{name}"));
        for dir in ["/usr/lib/systemd", "/opt/bin", "/bin", "/usr/bin"] {
            fs::create_dir_all(root.path(dir)).unwrap();
        }
        let copy = |from: &Path, to: &str| {
            Ran::of(Command::new("cp").arg("-a").arg(from).arg(root.path(to))).ended(0, &[]);
        };
        copy(Path::new("/usr/lib/systemd/system"), "/usr/lib/systemd/system");
        copy(Path::new(FOOTPLATE), "/opt/bin/footplate");
        for program in ["mkdir", "bash"] {
            copy(&fs::canonicalize(format!("/bin/{program}")).unwrap(), &format!("/usr/bin/{program}"));
            copy(&fs::canonicalize(format!("/bin/{program}")).unwrap(), &format!("/bin/{program}"));
        }
        root.put(
            "/usr/lib/systemd/system/coreos-metadata.service",
            "[Service]\nType=oneshot\nExecStart=/bin/mkdir\n",
        );
        let containerd = "[Service]\nExecStart=/bin/mkdir\n";
        root.put("/usr/lib/systemd/system/containerd.service", containerd);
        provision(&seeded(&format!("verify-{name}"), &config(name)), &root).ended(0, &[]);
        let units = Path::new(env!("CARGO_MANIFEST_DIR")).join("units");
        copy(&units.join("footplate.service"), "/etc/systemd/system/");
        copy(&units.join("footplate-network.service"), "/etc/systemd/system/");
        let mut verify = Command::new("systemd-analyze");
        verify.args(["verify", "--man=no", "--root", root.arg(), "kubeadm.service"]);
        let ran = Ran::of(&mut verify);
        ran.ended(0, &[]);
        assert_eq!((ran.out.as_str(), ran.err.as_str()), ("", ""), "{name}");
    }
}

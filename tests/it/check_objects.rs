// SPDX-License-Identifier: Apache-2.0
//! `check` of what authors have: objects of Cluster API in a stream, with the place of each finding in the author's own text.

use crate::common::scratch;

use std::fs;

use scratch::{Ran, footplate, fresh};
use serde_json::{Value, json};

fn checked(text: &str, options: &[&str]) -> Ran {
    let file = fresh(&format!("objects-{:?}", std::thread::current().id())).join("cluster.yaml");
    fs::write(&file, text).unwrap();
    footplate(&[&["check"][..], options, &[file.to_str().unwrap()]].concat())
}

/// The findings of a file as `level place line:column`.
fn findings(text: &str) -> (Ran, Vec<String>) {
    let ran = checked(text, &["--format", "json"]);
    let said: Value = serde_json::from_str(&ran.out).unwrap();
    let told = |f: &Value| {
        let place = f["place"].as_str().unwrap();
        format!("{} {place} {}:{}", f["level"].as_str().unwrap(), f["line"], f["column"])
    };
    let found = said["findings"].as_array().unwrap().iter().map(told).collect();
    (ran, found)
}

const HEAD: &str = "# ours\napiVersion: cluster.x-k8s.io/v1beta1\nkind: Cluster\nspec: {pods: [${POD_CIDR:=10.0.0.0/8}]}\n---\n";

/// An object with these lines as its KubeadmConfigSpec; the first of them is line 7 of the file, or 8, or 9.
fn object(kind: &str, spec: &str) -> String {
    let group = if kind.contains("ControlPlane") { "controlplane" } else { "bootstrap" };
    let below: &[&str] = match kind {
        "KubeadmConfig" => &["spec:"],
        "KubeadmConfigTemplate" => &["spec:", "template:", "spec:"],
        "KubeadmControlPlane" => &["spec:", "kubeadmConfigSpec:"],
        _ => &["spec:", "template:", "spec:", "kubeadmConfigSpec:"],
    };
    let mut text =
        format!("{HEAD}apiVersion: {group}.cluster.x-k8s.io/v1beta1\nkind: {kind}\nmetadata: {{name: a}}\n");
    for (depth, key) in below.iter().enumerate() {
        text += &format!("{:1$}{key}\n", "", 2 * depth);
    }
    for line in spec.lines() {
        text += &format!("{:1$}{line}\n", "", 2 * below.len());
    }
    text
}

#[test]
fn each_kind_is_rendered_for_the_nodes_that_it_is_for() {
    let spec = "preKubeadmCommands: [id]\nntp: {servers: [a.example.com]}\n";
    for (kind, spec, roles) in [
        ("KubeadmConfig", "joinConfiguration: {}\n", &["worker"][..]),
        ("KubeadmConfig", "joinConfiguration: {controlPlane: {}}\n", &["join"]),
        ("KubeadmConfig", "clusterConfiguration: {}\n", &["init"]),
        ("KubeadmConfigTemplate", spec, &["worker"]),
        ("KubeadmControlPlane", spec, &["init", "join"]),
        ("KubeadmControlPlaneTemplate", spec, &["init", "join"]),
    ] {
        for format in ["", "format: cloud-config\n", "format: ignition\n"] {
            let (ran, found) = findings(&object(kind, &format!("{format}{spec}")));
            assert!(
                ran.code == 0 && found.is_empty() && ran.err.is_empty(),
                "{kind} {format}: {}{}",
                ran.out,
                ran.err
            );
            let said: Value = serde_json::from_str(&ran.out).unwrap();
            let of: Vec<&str> =
                said["nodes"].as_array().unwrap().iter().map(|n| n["role"].as_str().unwrap()).collect();
            assert_eq!(of, roles, "{kind} {format}");
            for node in said["nodes"].as_array().unwrap() {
                assert_eq!(
                    (&node["start"], &node["object"]),
                    (&json!("kubeadm.service"), &json!(format!("{kind} a")))
                );
            }
        }
    }
}

/// Each fault at its key path, its line and its column in the author's text.
#[test]
fn findings_have_their_place_in_the_authors_text() {
    let config = "KubeadmConfigTemplate";
    let mut wrong = String::new();
    for (kind, spec, want) in [
        (
            config,
            "files:\n- path: /usr/bin/a\n  content: x\n",
            "error spec.template.spec.files[0].path 13:15",
        ),
        (
            config,
            "files:\n- path: /a\n  permissions: 'rw'\n",
            "error spec.template.spec.files[0].permissions 14:22",
        ),
        (
            config,
            "files:\n- path: /a\n  permissions: 0644\n",
            "error spec.template.spec.files[0].permissions 14:22",
        ),
        (config, "files:\n- path: /a\n  contents: x\n", "error spec.template.spec.files[0].contents 14:9"),
        // A mistyped key hides nothing of what stands below it.
        (
            config,
            "files:\n- path: /etc/kubernetes/manifests/a.yaml\n  contnet: |\n    kind: Pod\n     x: y\n",
            "error spec.template.spec.files[0].contnet 14:9\nerror spec.template.spec.files[0].contnet 16:13",
        ),
        (
            config,
            "format: ignition\nfiles:\n- path: /etc/kubernetes/manifests/a.yaml\n  contents: |\n    kind: Pod\n     x: y\n",
            "error spec.template.spec.files[0].contents 15:9\nerror spec.template.spec.files[0].contents 17:13",
        ),
        (config, "files:\n- path: /a\n  owner: nix:root\n", "error spec.template.spec.files[0].owner 14:16"),
        (
            config,
            "files:\n- path: /a\n  content: |\n    a\n    b {{ c }}\n",
            "error spec.template.spec.files[0].content 16:16",
        ),
        (
            config,
            "files:\n- path: /a\n  encoding: base64\n  content: a*b\n",
            "error spec.template.spec.files[0].content 15:18",
        ),
        (
            config,
            "format: cloudconfig\nfiles:\n- path: /usr/bin/a\n",
            "error spec.template.spec.format 12:15\nerror spec.template.spec.files[0].path 14:15",
        ),
        (
            config,
            "format: ignition\npreKubeadmCommands:\n- id\n- yum install a\n- if b\n",
            "error spec.template.spec.preKubeadmCommands[1] 15:9\n\
             error spec.template.spec.preKubeadmCommands[2] 16:9",
        ),
        (
            config,
            "preKubeadmCommands:\n- |\n  set -e\n    apt-get install -y nginx\npostKubeadmCommands:\n- |\n  id\n  if true; then sudo netplan apply; fi\n\
             files:\n- path: /a\n  content: |\n    #!/bin/sh\n     ufw x\n",
            "error spec.template.spec.preKubeadmCommands[0] 15:11\n\
             warning spec.template.spec.postKubeadmCommands[0] 19:28\n\
             warning spec.template.spec.files[0].content 24:12",
        ),
        (
            config,
            "format: ignition\npreKubeadmCommands:\n- |\n  set -e\n    apt-get install -y nginx\n",
            "error spec.template.spec.preKubeadmCommands[0] 16:11",
        ),
        (
            config,
            "format: ignition\npreKubeadmCommands:\n- id\n- if true; then sudo apt-get update; fi\n- true || { yum install a; }\n",
            "error spec.template.spec.preKubeadmCommands[1] 15:28\n\
             error spec.template.spec.preKubeadmCommands[2] 16:19",
        ),
        (config, "write_files: []\n", "error spec.template.spec.write_files 12:7"),
        (
            config,
            "preKubeadmCommands:\n- a {{ b }}\n",
            "error spec.template.spec.preKubeadmCommands[0] 13:14",
        ),
        (
            config,
            "preKubeadmCommands:\n- echo \"a\" \\b \"{{ c }}\" \"d\"\n",
            "error spec.template.spec.preKubeadmCommands[0] 13:25",
        ),
        (
            config,
            "files:\n- path: /a.sh\n  content: |\n    #!/bin/sh\n    set -e\n    yum install b\n",
            "error spec.template.spec.files[0].content 17:11",
        ),
        (
            config,
            "files:\n- path: /etc/kubernetes/a.yaml\n  content: |\n    a: [1\n- path: /b\n",
            "error spec.template.spec.files[0].content 15:15",
        ),
        (
            config,
            "postKubeadmCommands: [a, 'a {{ b }}']\n",
            "error spec.template.spec.postKubeadmCommands[1] 12:38",
        ),
        (config, "preKubeadmCommands: [{a: b}]\n", "error spec.template.spec.preKubeadmCommands[0] 12:28"),
        (config, "users:\n- {name: a, shell: 'x:y'}\n", "error spec.template.spec.users[0].shell 13:27"),
        (
            config,
            "users:\n- {name: a, homeDir: 'x y:z'}\n",
            "error spec.template.spec.users[0].homeDir 13:29",
        ),
        (config, "ntp: {servers: [{a: b}]}\n", "error spec.template.spec.ntp.servers[0] 12:23"),
        (config, "mounts:\n- [LABEL=a, b/../c]\n", "error spec.template.spec.mounts[0][1] 13:19"),
        (
            config,
            "diskSetup:\n  partitions:\n  - {device: /dev/sdb, layout: true, tableType: apm}\n",
            "error spec.template.spec.diskSetup.partitions[0].tableType 14:55",
        ),
        (
            config,
            "joinConfiguration:\n  nodeRegistration:\n    name: '{{ nme }}'\n",
            "error spec.template.spec.joinConfiguration.nodeRegistration.name 14:21",
        ),
        ("KubeadmControlPlane", "format: bottlerocket\n", "error spec.kubeadmConfigSpec.format 11:13"),
        ("KubeadmConfig", "format: ignition\nbootCommands: [id]\n", "error spec.bootCommands 11:17"),
        (
            "KubeadmConfig",
            "format: ignition\nfiles:\n- path: /usr/a\n  content: x\n",
            "error spec.files[0].path 12:11",
        ),
        (
            "KubeadmConfig",
            "format: ignition\nignition:\n  containerLinuxConfig:\n    additionalConfig: |\n      storage:\n        links:\n        - path: /bin/a\n          target: /b\n",
            "error spec.ignition.containerLinuxConfig.additionalConfig: storage.links[0].path 16:19",
        ),
    ] {
        let (ran, found) = findings(&object(kind, spec));
        if ran.code != 65 || !want.lines().all(|want| found.contains(&want.to_owned())) {
            wrong += &format!(
                "{spec}want {want}
have {found:?}
"
            );
        }
    }
    assert_eq!(wrong, "");
}

/// A config that says nothing of its nodes is one that its provider fills in; one whose keys stand elsewhere is none.
#[test]
fn an_empty_config_is_good() {
    for kind in ["KubeadmConfig", "KubeadmConfigTemplate", "RKE2ConfigTemplate", "KThreesConfigTemplate"] {
        let head =
            format!("apiVersion: bootstrap.cluster.x-k8s.io/v1beta1\nkind: {kind}\nmetadata: {{name: a}}\n");
        let template =
            if kind.ends_with("Template") { "spec:\n  template:\n    spec:\n" } else { "spec: {}\n" };
        for spec in ["", "spec:\n", template] {
            let (ran, found) = findings(&format!("{head}{spec}"));
            assert_eq!((ran.code, found), (0, Vec::<String>::new()), "{head}{spec}\n{}", ran.out);
        }
    }
    let head =
        "apiVersion: bootstrap.cluster.x-k8s.io/v1beta1\nkind: KubeadmConfigTemplate\nmetadata: {name: a}\n";
    for spec in ["spec: {files: []}\n", "spec: {template: {files: []}}\n", "spec: {template: {spec: 1}}\n"] {
        let (ran, found) = findings(&format!("{head}{spec}"));
        assert_eq!((ran.code, found.len()), (65, 1), "{head}{spec}\n{}", ran.out);
    }
}

/// What nodes are made of, at another place of the object than its own, is told with the place where it belongs; the rest is checked.
#[test]
fn what_is_nested_wrongly_is_told_with_its_place() {
    for (kind, keys, own) in [
        ("KubeadmConfig", "kubeadmConfig", "spec"),
        ("KubeadmConfig", "template.spec", "spec"),
        ("KubeadmConfig", "kubeadmConfigSpec", "spec"),
        ("KubeadmConfigTemplate", "template.spec.kubeadmConfigSpec", "spec.template.spec"),
        ("KubeadmConfigTemplate", "kubeadmConfigSpec", "spec.template.spec"),
        ("KubeadmControlPlane", "template.spec", "spec.kubeadmConfigSpec"),
        ("KubeadmControlPlane", "template.spec.kubeadmConfigSpec", "spec.kubeadmConfigSpec"),
        ("KubeadmControlPlane", "kubeadmConfig", "spec.kubeadmConfigSpec"),
        ("KubeadmControlPlaneTemplate", "kubeadmConfigSpec", "spec.template.spec.kubeadmConfigSpec"),
    ] {
        let group = if kind.contains("ControlPlane") { "controlplane" } else { "bootstrap" };
        let mut text = format!(
            "apiVersion: {group}.cluster.x-k8s.io/v1beta1\nkind: {kind}\nmetadata: {{name: a}}\nspec:\n"
        );
        let mut pad = "  ".to_owned();
        for key in keys.split('.') {
            text += &format!("{pad}{key}:\n");
            pad += "  ";
        }
        text += &format!("{pad}preKubeadmCommands: [id]\n{pad}postKubeadmCommand: [id]\n");
        let (ran, found) = findings(&text);
        assert_eq!(ran.code, 65, "{text}");
        let at = 5 + keys.matches('.').count();
        assert!(
            found.iter().any(|f| f.starts_with(&format!("error spec.{keys} {}:", at + 1))),
            "{text}{found:?}"
        );
        let typo = format!("error spec.{keys}.postKubeadmCommand {}:", at + 2);
        assert!(found.iter().any(|f| f.starts_with(&typo)), "{text}{found:?}");
        assert!(found.iter().all(|f| f.starts_with("error ")), "{found:?}");
        assert!(ran.out.contains(&format!("did you mean `{own}`?")), "{text}{}", ran.out);
    }
    // Keys above their place are told one by one.
    let head =
        "apiVersion: bootstrap.cluster.x-k8s.io/v1beta1\nkind: KubeadmConfigTemplate\nmetadata: {name: a}\n";
    for (spec, want) in [
        ("spec: {files: [], users: []}\n", &["error spec.files 4:8", "error spec.users 4:19"][..]),
        ("files: []\nspec: {template: {spec: {}}}\n", &["error files 4:1"]),
    ] {
        let (ran, found) = findings(&format!("{head}{spec}"));
        assert_eq!(
            (ran.code, found),
            (65, want.iter().map(|w| (*w).to_owned()).collect()),
            "{spec}\n{}",
            ran.out
        );
        assert!(ran.out.contains("it belongs below `spec.template.spec`"), "{}", ran.out);
    }
}

/// What is mistyped in a Container Linux Config or in a unit, and would have no effect on the node, is an error that says what was meant.
#[test]
fn mistyped_keys_of_configs_within_an_object_are_told() {
    let good = "format: ignition\nignition:\n  containerLinuxConfig:\n    additionalConfig: |\n      systemd:\n        units:\n        \
                - name: a.service\n          enabled: true\n          contents: |\n            [Unit]\n            After=b.service\n            \
                X-Ours=1\n            [Service]\n            ExecStart=/bin/true\n            [Install]\n            \
                WantedBy=multi-user.target\n        - name: kubeadm.service\n          dropins:\n          - name: 10.conf\n            \
                contents: |\n              [Service]\n              EnvironmentFile=/run/metadata/*\n      storage:\n        files:\n        \
                - path: /etc/a\n          mode: 0644\n          contents:\n            inline: b\n        - path: /etc/b\n          \
                contents:\n            remote:\n              url: https://a.example/b\n";
    let told = |text: &str| findings(&object("KubeadmConfig", text));
    let (ran, found) = told(good);
    assert!(ran.code == 0 && found.iter().all(|f| f.starts_with("note ")), "{found:?}");
    for (word, typo, meant) in [
        ("systemd:", "sysemd:", "systemd.units"),
        ("        units:", "        unts:", "systemd.units"),
        ("storage:", "stoage:", "storage.files"),
        ("inline:", "inlne:", "inline"),
        ("remote:", "remte:", "remote"),
        ("url:", "ulr:", "url"),
        ("After=", "Afer=", "After="),
        ("ExecStart=", "ExecStrt=", "ExecStart="),
        ("WantedBy=", "WantdBy=", "WantedBy="),
        ("EnvironmentFile=", "EnvironmentFiles=", "EnvironmentFile="),
    ] {
        let text = good.replacen(word, typo, 1);
        let (ran, found) = told(&text);
        // A part is named at the list that it has.
        let part = typo.ends_with("emd:") || typo == "stoage:";
        let line = 10 + usize::from(part) + text[..text.find(typo).unwrap()].matches('\n').count();
        let told = found.iter().any(|f| f.starts_with("error ") && f.contains(&format!(" {line}:")));
        assert!(ran.code == 65 && told, "{typo} at {line}: {found:?}\n{}", ran.out);
        assert!(ran.out.contains(&format!("did you mean `{meant}`?")), "{typo}: {}", ran.out);
    }
}

/// What a provider's ordinary template has and what its cloud deals with is no warning: data that CAPA hides, and Azure's own disk.
#[test]
fn what_a_provider_deals_with_is_a_note() {
    let large = format!("format: ignition\nfiles:\n- path: /etc/a\n  content: '{}'\n", "x".repeat(20_000));
    let disk = "diskSetup:\n  filesystems:\n  - {device: ephemeral0.1, filesystem: ext4, label: e, replaceFS: ntfs}\n";
    let mounted = format!("{disk}mounts:\n- [ephemeral0, /mnt]\n");
    for (platform, spec, level) in
        [("aws", large.as_str(), "note: "), ("azure", disk, "note: "), ("azure", &mounted, "warning: ")]
    {
        let ran = checked(&object("KubeadmConfig", spec), &["--platform", platform]);
        let told = |level: &str| ran.out.lines().any(|line| line.starts_with(level));
        assert_eq!((ran.code, told("warning: ")), (0, level == "warning: "), "{spec}\n{}", ran.out);
        assert!(told(level), "{}", ran.out);
    }
}

/// A platform's own names, which its provider's templates use, are not told as names that it may lack, and another's are.
#[test]
fn a_platform_has_its_own_names() {
    let named = |name: &str| {
        object(
            "KubeadmConfig",
            &format!("joinConfiguration: {{nodeRegistration: {{name: '{{{{ {name} }}}}'}}}}\n"),
        )
    };
    let docs = include_str!("../../docs/templates.md");
    for (platform, section, names) in [
        (
            "akamai",
            "Akamai",
            "meta_data.host_uuid meta_data.id meta_data.label meta_data.region meta_data.type",
        ),
        (
            "aws",
            "Amazon EC2",
            "meta_data.ami_id meta_data.instance_type meta_data.placement.availability_zone meta_data.placement.region",
        ),
        (
            "azure",
            "Microsoft Azure",
            "meta_data.imds.compute.name meta_data.imds.compute.resourceId meta_data.imds.compute.vmId",
        ),
        ("digitalocean", "DigitalOcean", "meta_data.droplet_id"),
        ("gcp", "Google Cloud", "meta_data.instance.id meta_data.instance.name meta_data.project.projectId"),
        ("nutanix", "Nutanix AHV", "meta_data.uuid"),
        ("openstack", "OpenStack", "meta_data.name meta_data.uuid"),
        ("oraclecloud", "Oracle Cloud", "id displayName meta_data.id meta_data.compartmentId shape"),
        ("outscale", "Outscale", "meta_data.placement.availability_zone meta_data.instance_type"),
        ("packet", "Packet", "meta_data.facility meta_data.id meta_data.plan"),
        ("scaleway", "Scaleway", "meta_data.id meta_data.name meta_data.zone"),
        ("vultr", "Vultr", "meta_data.instance_v2_id"),
    ] {
        let recorded = docs.split(&format!("\n### {section}\n\n")).nth(1).unwrap().lines().next().unwrap();
        for name in names.split(' ').map(|name| format!("ds.{name}")) {
            assert!(recorded.contains(&format!("`{name}`")), "{section} has no {name}");
            let ran = checked(&named(&name), &["--platform", platform, "--strict"]);
            assert!(ran.code == 0 && !ran.out.contains("may lack it"), "{platform} {name}: {}", ran.out);
        }
        let ran = checked(&named("ds.meta_data.tags.zone"), &["--platform", platform, "--strict"]);
        assert!(ran.code == 65 && ran.out.contains(&format!("{section} may lack it")), "{}", ran.out);
    }
}

/// The content that another object holds is not known: nothing is said of what it lacks, and what is wrong with the file itself is told.
#[test]
fn a_content_from_a_secret_is_not_judged() {
    let from = "contentFrom: {secret: {name: s, key: k}}";
    for format in ["cloud-config", "ignition"] {
        let mut spec = format!("format: {format}\njoinConfiguration: {{}}\nfiles:\n");
        for path in
            ["containerd/config.toml", "containerd/conf.d/a.toml", "hostname", "kubernetes/manifests/a.yaml"]
        {
            spec += &format!("- {{path: /etc/{path}, {from}}}\n");
        }
        let (ran, found) = findings(&object("KubeadmConfig", &spec));
        assert!(
            ran.code == 0 && found.len() == 1 && found[0].starts_with("note spec.files[0] "),
            "{found:?}"
        );
        // An author's own content of that kind is judged.
        let own = spec.replacen(from, "content: 'version = 2'", 1);
        let (_, found) = findings(&object("KubeadmConfig", &own));
        assert!(found.iter().any(|f| f.starts_with("warning spec.files[0] ")), "{found:?}");
        let (ran, found) = findings(&object("KubeadmConfig", &spec.replace("/etc/hostname", "/usr/bin/a")));
        assert!(ran.code == 65 && found.iter().any(|f| f.starts_with("error spec.files[2]")), "{found:?}");
    }
}

/// Machines of Windows beside those of Flatcar: their configs are passed over, and that is said.
#[test]
fn what_is_for_windows_is_passed_over() {
    for (spec, place) in [
        (
            "joinConfiguration:\n  nodeRegistration: {criSocket: 'npipe:////./pipe/cri'}\n",
            "joinConfiguration.nodeRegistration.criSocket",
        ),
        (
            "preKubeadmCommands: [powershell C:/a.ps1]\nfiles:\n- {path: 'C:/a.ps1', content: x}\n",
            "files[0].path",
        ),
    ] {
        let ran = checked(&object("KubeadmConfigTemplate", spec), &["--strict"]);
        let told = format!("note: spec.template.spec.{place}: this is for a machine of Windows");
        let told = ran.out.replace("\n ", " ").contains(&told) && !ran.out.contains("good: ");
        assert!(ran.code == 0 && told, "{spec}\n{}", ran.out);
    }
    let (ran, found) =
        findings(&object("KubeadmConfigTemplate", "joinConfigration: {}\nfiles: [{path: 'C:/a'}]\n"));
    assert!(ran.code == 65 && found.len() == 2, "{found:?}");
}

/// The kubelet refuses labels of Kubernetes' own domains on its command line, but for some.
#[test]
fn labels_that_the_kubelet_may_not_give_itself_are_told() {
    let config = |version: &str, args: &str| {
        format!(
            "apiVersion: bootstrap.cluster.x-k8s.io/{version}\nkind: KubeadmConfig\nspec:\n  joinConfiguration:\n    nodeRegistration:\n      \
             kubeletExtraArgs: {args}\n"
        )
    };
    for (labels, good) in [
        ("a=b,example.com/a=", true),
        ("node.kubernetes.io/pool=a,x.kubelet.kubernetes.io/a=b", true),
        ("kubernetes.io/os=linux,topology.kubernetes.io/zone=a,beta.kubernetes.io/arch=amd64", true),
        ("node.cluster.x-k8s.io/a=b,metal3.io/uuid={{ v1.instance_id }}", true),
        ("${LABELS}", true),
        ("a=b,node-role.kubernetes.io/worker=", false),
        ("kubernetes.io/role=worker", false),
        ("x.k8s.io/a=b", false),
    ] {
        for text in [
            config("v1beta1", &format!("{{node-labels: '{labels}'}}")),
            config(
                "v1beta2",
                &format!("[{{name: v, value: '2'}}, {{name: node-labels, value: '{labels}'}}]"),
            ),
        ] {
            let ran = checked(&text, &[]);
            assert_eq!(
                (ran.code == 0, ran.out.contains("may not give itself the label")),
                (good, !good),
                "{text}{}",
                ran.out
            );
        }
    }
}

/// A Butane config beside RKE2's Ignition is none of cloud-config's.
#[test]
fn butane_beside_ignition_is_not_read_as_a_cloud_config() {
    let config = |format: &str| {
        let user_data =
            "additionalUserData: {config: \"variant: flatcar\\nversion: 1.1.0\\nsystemd: {units: []}\\n\"}";
        format!(
            "apiVersion: bootstrap.cluster.x-k8s.io/v1beta1\nkind: RKE2Config\nspec:\n  agentConfig: {{{user_data}, format: {format}}}\n"
        )
    };
    assert_eq!(findings(&config("ignition")).1, ["note spec.agentConfig.format 4:115"]);
    assert_eq!(findings(&config("cloud-config")).1.len(), 3);
}

/// Cluster API writes some texts in quotes, before the template is rendered: what jinja then stumbles over is told with that as the cause.
#[test]
fn quotes_of_cluster_api_are_told_where_a_template_has_them_too() {
    let named = |quote: &str, text: &str| {
        let name = format!("{quote}{{{{ ds.meta_data.hostname.split({text}.{text})[0] }}}}{quote}");
        checked(
            &object("KubeadmConfig", &format!("joinConfiguration: {{nodeRegistration: {{name: {name}}}}}\n")),
            &[],
        )
    };
    named("'", "\"").ended(0, &[]);
    let ran = named("\"", "'");
    assert!(ran.code == 65 && ran.out.contains("Cluster API doubles ' in this value"), "{}", ran.out);
    // A text that stands without quotes keeps those within it, and a command has others.
    let id = |text: &str| {
        format!(
            "joinConfiguration: {{nodeRegistration: {{kubeletExtraArgs: {{provider-id: \"{text}\"}}}}}}\n"
        )
    };
    for (text, code) in [
        ("a://{{ ds.meta_data['instance_id'] }}", 0),
        ("a '{{ ds.meta_data['instance_id'] }}'", 0),
        ("a: {{ ds.meta_data['instance_id'] }}", 65),
        ("a #{{ ds.meta_data['instance_id'] }}", 65),
    ] {
        assert_eq!(checked(&object("KubeadmConfig", &id(text)), &[]).code, code, "{text}");
    }
    let command =
        |text: &str| checked(&object("KubeadmConfig", &format!("preKubeadmCommands:\n- echo {text}\n")), &[]);
    command("{{ ds.meta_data['instance_id'] }}").ended(0, &[]);
    let ran = command("{{ ds.meta_data[\"instance_id\"] }}");
    assert!(ran.code == 65 && ran.out.contains("before each \" of a command"), "{}", ran.out);
}

/// Templates of other objects lie in the same directory as those of Cluster API: Helm has not filled them in, and they are passed over.
#[test]
fn templates_of_other_objects_are_passed_over_in_a_directory() {
    let dir = fresh("objects-helm");
    let other = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Values.name }}\n{{- if .Values.on }}\ndata: {}\n{{- end }}\n";
    fs::write(dir.join("other.yaml"), other).unwrap();
    fs::write(dir.join("node.yaml"), object("KubeadmConfig", "joinConfiguration: {}\n")).unwrap();
    let dir = dir.to_str().unwrap();
    footplate(&["check", dir]).ended(0, &[]);
    let ours = other.replace("ConfigMap", "KubeadmConfig");
    fs::write(format!("{dir}/other.yaml"), ours).unwrap();
    let ran = footplate(&["check", dir]);
    assert!(ran.code == 65 && ran.out.contains("code: template/go"), "{}", ran.out);
}

/// The patches of a class are not applied: it says so once for each class, by the names of the patches.
#[test]
fn patches_of_a_class_are_named() {
    let class = |name: &str, patches: &str| {
        format!(
            "---\napiVersion: cluster.x-k8s.io/v1beta1\nkind: ClusterClass\nmetadata: {{name: {name}}}\nspec:\n  variables: []\n{patches}"
        )
    };
    let patch = |name: &str, kind: &str| {
        format!(
            "  - name: {name}\n    definitions:\n    - selector: {{apiVersion: a/v1beta1, kind: {kind}, matchResources: {{}}}}\n      jsonPatches:\n      - {{op: add, path: /spec/template/spec/files, valueFrom: {{template: '{{{{ .hunter2 }}}}'}}}}\n"
        )
    };
    let patches: String = ["b1", "b2", "b3", "b4", "b5", "b6"]
        .iter()
        .map(|n| patch(n, "KubeadmControlPlaneTemplate"))
        .collect();
    let external = "  - name: ext\n    external: {generatePatchesExtension: x}\n";
    let text = [
        object("KubeadmConfigTemplate", "preKubeadmCommands: [id]\n"),
        class("one", &format!("  patches:\n{}{external}", patch("registry", "KubeadmConfigTemplate"))),
        class("none", ""),
        class("empty", "  patches: []\n"),
        class("many", &format!("  patches:\n{patches}")),
    ]
    .concat();
    let (ran, found) = findings(&text);
    assert_eq!(ran.code, 0, "{}", ran.out);
    assert_eq!(found, ["note spec.patches 19:3", "note spec.patches 46:3"], "{}", ran.out);
    let plain = checked(&text, &[]);
    for told in [
        "ClusterClass one\n",
        "are checked without them: registry (of KubeadmConfigTemplate), ext (line ",
        "ClusterClass many\n",
        "b5 (of KubeadmControlPlaneTemplate), and 1 more (line ",
        "good: KubeadmConfigTemplate",
    ] {
        assert!(plain.out.replace("\n ", " ").contains(told), "{told}\n{}", plain.out);
    }
    assert!(!plain.out.contains("hunter2"), "{}", plain.out);
    // A class by itself has nothing that is checked, and that is said too.
    let (ran, found) = findings(&class("one", &format!("  patches:\n{external}")));
    assert_eq!((ran.code, found.len()), (0, 1), "{}", ran.out);
}

/// A variable that clusterctl has not filled yet stops nothing: what it will be is not known.
#[test]
fn variables_of_clusterctl_may_stand() {
    let spec = "files:\n- path: ${DIR}/a\n  permissions: ${MODE}\n  owner: ${OWNER}\n- path: /b\n  encoding: base64\n  content: ${B64}\n\
                - path: /c.sh\n  content: |\n    #!/bin/sh\n    echo ${HOME:-x}\nverbosity: ${V}\nusers: [{name: a, lockPassword: ${LOCK}}]\n";
    let (ran, found) = findings(&object("KubeadmConfigTemplate", spec));
    assert_eq!(ran.code, 0, "{found:?}\n{}", ran.out);
    // With a value of its own in place of the variable each of them is an error.
    let (ran, _) =
        findings(&object("KubeadmConfigTemplate", &spec.replace("${B64}", "a*b").replace("${MODE}", "rw")));
    assert_eq!(ran.code, 65, "{}", ran.out);
}

/// What clusterctl puts in the place of a variable that is not set is the value that counts.
#[test]
fn a_default_of_clusterctl_is_the_value() {
    let spec = "format: ${F:=ignition}\nverbosity: ${V:=5}\nntp: {enabled: ${NTP:-true}, servers: [a]}\n\
                users: [{name: a, lockPassword: ${LOCK=true}, shell: \"${SHELL:=/bin/bash}\"}]\nfiles:\n- path: /a\n  content: |\n    ${X:=true}\n\
                ignition:\n  containerLinuxConfig:\n    additionalConfig: |\n      systemd: {units: [{name: a.service, mask: ${M:=true}}]}\n";
    let (ran, found) = findings(&object("KubeadmConfigTemplate", spec));
    assert_eq!((ran.code, found.len()), (0, 0), "{found:?}\n{}", ran.out);
    // Quotes of a default are YAML's, and an empty one is no value yet.
    let quoted = spec
        .replace("\"${SHELL:=/bin/bash}\"", "${SHELL:=\"/bin/bash\"}")
        .replace("- path: /a", "- path: ${P=\"\"}");
    let (_, found) = findings(&object("KubeadmConfigTemplate", &quoted));
    assert_eq!(found, ["note spec.template.spec.files[0].path 17:15"]);
    for (from, to, want) in [
        ("${V:=5}", "${V:=five}", "error spec.template.spec.verbosity 13:18"),
        ("${V:=5}", "\"${V:=5}\"", "error spec.template.spec.verbosity 13:18"),
        ("${LOCK=true}", "${LOCK=maybe}", "error spec.template.spec.users[0].lockPassword 15:39"),
        ("${LOCK=true}", "${LOCK-true}", "warning spec.template.spec.users[0].lockPassword 15:39"),
        ("/bin/bash", "/bin/zsh", "error spec.template.spec.users[0].shell 15:60"),
        (
            "${M:=true}",
            "${M:=yup}",
            "error spec.template.spec.ignition.containerLinuxConfig.additionalConfig: systemd.units[0].mask 23:55",
        ),
        ("ignition}", "ignitio}", "error spec.template.spec.format 12:15"),
    ] {
        let (_, found) = findings(&object("KubeadmConfigTemplate", &spec.replace(from, to)));
        assert_eq!(found.first().map(String::as_str), Some(want), "{to}: {found:?}");
    }
}

#[test]
fn a_directory_and_several_files_are_read() {
    let dir = fresh("objects-directory");
    fs::create_dir_all(dir.join("below/.hidden")).unwrap();
    let worker = object("KubeadmConfigTemplate", "preKubeadmCommands: [id]\n");
    fs::write(dir.join("below/good.yaml"), &worker).unwrap();
    fs::write(dir.join("below/.hidden/bad.yaml"), "kind: [").unwrap();
    fs::write(dir.join("kustomization.yaml"), "resources: [below]\n").unwrap();
    fs::write(dir.join("notes.txt"), "nothing").unwrap();
    fs::write(dir.join("user.yaml"), "#cloud-config\nwrite_files: [{path: /usr/a}]\n").unwrap();
    let ran = footplate(&["check", dir.to_str().unwrap()]);
    assert_eq!(ran.code, 65, "{}{}", ran.out, ran.err);
    let (good, bad) = (dir.join("below/good.yaml"), dir.join("user.yaml"));
    for told in [
        format!("good: {}: KubeadmConfigTemplate a (worker): ", good.display()),
        format!("{}\nerror: write_files[0].path", bad.display()),
        format!("not good: {}: the node would stop", bad.display()),
    ] {
        assert!(ran.out.contains(&told), "{told}\n{}", ran.out);
    }
    fs::remove_file(&bad).unwrap();
    assert_eq!(footplate(&["check", dir.to_str().unwrap()]).code, 0);
    assert_eq!(footplate(&["check", good.to_str().unwrap(), good.to_str().unwrap()]).code, 0);
}

/// A secret may stand anywhere in an object but in a path or a name: nothing repeats it.
#[test]
fn no_value_of_an_object_is_repeated() {
    for spec in [
        "files: [{path: /a, content: @, owner: @, permissions: @, encoding: @}]",
        "files: [{path: /a, content: {b: @}}, {path: @/../b}]",
        "files: [@]",
        "files: @",
        "users: [{name: a, passwd: @, shell: @, groups: @, sshAuthorizedKeys: [@]}]",
        "users: [{name: a, sudo: [@], lockPassword: @}]",
        "preKubeadmCommands: ['echo \"@', '{{ @', {a: @}, 'if @']",
        "ntp: {servers: @}",
        "format: @",
        "mounts: [[@, /a, @]]",
        "diskSetup: {partitions: [{device: @, tableType: @}], filesystems: [{device: @, filesystem: @, partition: @}]}",
        "joinConfiguration: {nodeRegistration: {name: '{{ \"@\" + 1 }}', x: @}}",
        "joinConfiguration: @",
        "verbosity: @",
        "format: ignition\nfiles: [{path: /a, content: @, owner: @, permissions: @}]\nusers: [{name: a, shell: @, passwd: @}]",
        "format: ignition\nignition: {containerLinuxConfig: {additionalConfig: '@: ['}}",
        "format: ignition\nignition: {containerLinuxConfig: {additionalConfig: 'systemd: {units: [{name: @, contents: @}]}'}}",
        "a: [@",
        "a: '@\nb: c",
    ] {
        for kind in ["KubeadmConfigTemplate", "KubeadmControlPlane"] {
            let file = fresh("objects-secret").join("a.yaml");
            fs::write(&file, object(kind, &spec.replace('@', scratch::CANARY))).unwrap();
            for format in ["text", "json", "sarif", "github"] {
                let ran = footplate(&["check", "--format", format, file.to_str().unwrap()]);
                let said = format!("{}{}", ran.out, ran.err);
                assert!(!said.contains("c4n4ry") && [0, 65].contains(&ran.code), "{spec}\n{said}");
            }
        }
    }
}

/// A file of a megabyte is read in seconds, whatever it holds.
#[test]
fn a_large_object_takes_no_long_time() {
    let labels: String = (0..20_000).map(|i| format!("    label-{i}: 'value of {i}'\n")).collect();
    let began = std::time::Instant::now();
    let (ran, found) = findings(&object(
        "KubeadmControlPlane",
        &format!(
            "joinConfiguration:\n  nodeRegistration:\n    kubeletExtraArgs:\n{}",
            labels.replace("    ", "      ")
        ),
    ));
    assert_eq!((ran.code, found.len()), (0, 0), "{}", ran.err);
    let (ran, found) = findings(&object(
        "KubeadmControlPlane",
        &format!("joinConfiguration:\n  nodeRegistration:\n{labels}"),
    ));
    assert!(ran.code == 65 && found.len() < 200, "{}", ran.err);
    assert!(began.elapsed().as_secs() < 60, "{:?}", began.elapsed());
}

/// Objects as tools print them: a fault is found at the author's own line and column, and nothing where there is none.
#[test]
fn streams_of_other_tools_are_read() {
    let config = |mode: &str| {
        let file = json!({ "path": "/etc/a", "permissions": mode, "content": "a" });
        let spec = json!({ "files": [file], "joinConfiguration": {} });
        json!({ "apiVersion": "bootstrap.cluster.x-k8s.io/v1beta1", "kind": "KubeadmConfig", "spec": spec })
    };
    let lines = |indent: &str, mode: &str| {
        let text = "apiVersion: bootstrap.cluster.x-k8s.io/v1beta1\nkind: KubeadmConfig\nspec:\n  joinConfiguration: {}\n  files:\n  \
                    - {path: /etc/a, content: a, permissions: 'MODE'}\n";
        text.replace("MODE", mode).lines().map(|l| format!("{indent}{l}\n")).collect::<String>()
    };
    let list = |mode: &str| {
        let item = lines("  ", mode).replacen("  a", "- a", 1);
        format!("apiVersion: bootstrap.cluster.x-k8s.io/v1beta1\nkind: KubeadmConfigList\nitems:\n{item}")
    };
    type Stream<'s> = (&'s str, &'s dyn Fn(&str) -> String);
    let streams: [Stream<'_>; 8] = [
        ("objects of JSON, a line each", &|m| format!("{}\n{}\n", config("0644"), config(m))),
        ("objects of JSON, indented", &|m| format!("{:#}\n{:#}\n", config("0644"), config(m))),
        ("an object of JSON whose lines have no indentation", &|m| {
            format!("{:#}\n", config(m)).lines().map(|l| format!("{}\n", l.trim_start())).collect()
        }),
        ("a list of the API server's", &list),
        ("a directive", &|m| format!("%YAML 1.1\n# of a tool\n---\n{}", lines("", m))),
        ("directives", &|m| {
            format!("%YAML 1.1\n---\n{}...\n%YAML 1.1\n---\n{}...\n", lines("", "0644"), lines("", m))
        }),
        ("helm's comments and empty documents", &|m| {
            format!("---\n# Source: a/b.yaml\n---\n---\n# Source: a/c.yaml\n{}---\n", lines("", m))
        }),
        ("line ends of Windows", &|m| {
            format!("---\n{}---\n{}", lines("", "0644"), lines("", m)).replace('\n', "\r\n")
        }),
    ];
    for (what, stream) in streams {
        let (ran, found) = findings(&stream("0644"));
        assert!(ran.code == 0 && found.is_empty(), "{what}: {}{}", ran.out, ran.err);
        let text = stream("rw-r");
        let at = text.lines().enumerate().find_map(|(n, line)| {
            let key =
                line.find("rw-r").map(|_| line.find("\"rw-r").or_else(|| line.find("'rw-r")).unwrap())?;
            Some(format!("{}:{}", n + 1, line[..key].chars().count() + 1))
        });
        let (ran, found) = findings(&text);
        let want = format!("error spec.files[0].permissions {}", at.unwrap());
        assert_eq!((ran.code, found), (65, vec![want]), "{what}: {}", ran.out);
    }
}

/// Cluster API makes a script of the commands; its lines are not the author's.
#[test]
fn a_broken_command_has_no_line_but_the_authors() {
    for format in ["cloud-config", "ignition"] {
        let ran = checked(
            &object("KubeadmConfig", &format!("format: {format}\npreKubeadmCommands:\n- id\n- if b\n")),
            &[],
        );
        assert_eq!(ran.code, 65, "{}", ran.out);
        let lines: Vec<&str> = ran.out.lines().filter(|line| line.contains("bash finds")).collect();
        let [line] = lines.as_slice() else { panic!("{}", ran.out) };
        assert!(line.ends_with("(line 13, column 5)") && !line.contains("the script"), "{line}");
    }
}

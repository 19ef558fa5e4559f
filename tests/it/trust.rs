// SPDX-License-Identifier: Apache-2.0
//! Certificate authorities that a template for another distribution brings along: the commands of a bootstrap are run below
//! a root of their own, beside a program that makes the bundle as Flatcar's does, of `/etc/ssl/certs/*.pem` alone.

use std::fs;
use std::process::Command;

use crate::common::scratch::{Ran, Scratch, provision, seed};

fn pem(name: &str) -> String {
    format!("-----BEGIN CERTIFICATE-----\n{name}\n-----END CERTIFICATE-----\n")
}

/// A text of the root, with the paths that it names below the root's directory on this machine.
fn moved(root: &Scratch, text: &str) -> String {
    let root = root.path("/").to_str().unwrap().trim_end_matches('/').to_owned();
    let paths =
        ["/usr/local/share", "/usr/local/*", "/etc/", "/usr/sbin/update", "/var/lib", "/opt/bin/prepare"];
    paths.iter().fold(text.to_owned(), |text, path| text.replace(path, &format!("{root}{path}")))
}

/// Runs the script of the bootstrap's commands, and gives the bundle that comes of it.
fn run(root: &Scratch) -> (Ran, String) {
    root.put(
        "/usr/sbin/update-ca-certificates",
        moved(root, "#!/bin/sh\ncat /etc/ssl/certs/*.pem > /etc/bundle\n"),
    );
    let programs = ["update-ca-certificates", "update-ca-trust", "rehash_ca_certificates.sh"];
    let tools = programs.map(|name| format!("/var/lib/footplate/trust/{name}"));
    for program in
        tools.iter().map(String::as_str).chain(["/opt/bin/prepare", "/usr/sbin/update-ca-certificates"])
    {
        if root.path(program).exists() {
            // Once only: the program just written has its paths already.
            let text = root.text(program);
            root.put_program(program, if program.starts_with("/usr") { text } else { moved(root, &text) });
        }
    }
    let script = moved(root, &root.text("/run/footplate/bootstrap"));
    let path = format!("{}:/usr/bin:/bin", root.path("/usr/sbin").display());
    // As Flatcar's /bin/sh, which is bash, reads it.
    let ran = Ran::of(Command::new("bash").args(["--posix", "-c", &script]).env("PATH", path));
    (ran, fs::read_to_string(root.path("/etc/bundle")).unwrap_or_default())
}

#[test]
fn what_commands_move_to_other_distributions_directories_is_trusted() {
    let own = pem("AAAA");
    let written = |path: &str| {
        format!("  - path: {path}\n    content: |\n      {}\n", own.trim().replace('\n', "\n      "))
    };
    let cases = [
        // The tool's own directory, not there before.
        (
            "moved",
            "/etc/ssl/certs/site.pem",
            "mv /etc/ssl/certs/site.pem /usr/local/share/ca-certificates/site.crt && update-ca-certificates",
        ),
        (
            "fedora",
            "/etc/ssl/certs/site.pem",
            "mkdir -p /etc/pki/ca-trust/source/anchors && mv /etc/ssl/certs/site.pem /etc/pki/ca-trust/source/anchors/ && update-ca-trust extract",
        ),
        (
            "by-path",
            "/etc/ssl/certs/site.pem",
            "mv /etc/ssl/certs/site.pem /usr/local/share/ca-certificates/site.crt && /usr/sbin/update-ca-certificates",
        ),
        (
            "photon",
            "/etc/ssl/certs/site.pem",
            "! which rehash_ca_certificates.sh || rehash_ca_certificates.sh",
        ),
        ("written", "/usr/local/share/ca-certificates/deep/site.crt", "update-ca-certificates --fresh"),
        (
            "twice",
            "/usr/local/share/ca-certificates/site.crt",
            "update-ca-certificates; update-ca-certificates",
        ),
    ];
    for (name, path, command) in cases {
        let data = format!("#cloud-config\nwrite_files:\n{}runcmd:\n  - '{command}'\n", written(path));
        let root = Scratch::new(&format!("trust-{name}"));
        provision(&seed(&format!("trust-{name}"), data), &root).ended(0, &[]);
        let (ran, bundle) = run(&root);
        ran.ended(0, &[]);
        assert_eq!(bundle, own, "{name}: {}", ran.err);
    }
}

#[test]
fn a_certificate_that_goes_is_trusted_no_more_and_other_files_never() {
    let data = "#cloud-config\nwrite_files:\n  - {path: /usr/local/share/ca-certificates/a.txt, content: none}\n\
                \x20 - {path: /usr/local/share/ca-certificates/der.crt, content: none}\nruncmd: [update-ca-certificates]\n";
    let root = Scratch::new("trust-gone");
    provision(&seed("trust-gone", data), &root).ended(0, &["not a certificate in PEM"]);
    root.put("/etc/ssl/certs/image.pem", pem("IMAGE"));
    root.put("/usr/local/share/ca-certificates/b.crt", pem("BBBB"));
    let (ran, bundle) = run(&root);
    ran.ended(0, &["der.crt is not a certificate in PEM"]);
    assert_eq!(bundle, pem("BBBB") + &pem("IMAGE"));
    fs::remove_file(root.path("/usr/local/share/ca-certificates/b.crt")).unwrap();
    let tool = root.path("/var/lib/footplate/trust/update-ca-certificates");
    Ran::of(&mut Command::new(tool)).ended(0, &[]);
    assert_eq!(fs::read_to_string(root.path("/etc/bundle")).unwrap(), pem("IMAGE"));
}

#[test]
fn what_is_written_there_is_in_the_store_before_any_command() {
    let data = "#cloud-config\nwrite_files:\n  - path: /etc/pki/trust/anchors/site.pem\n    content: |\n      \
                -----BEGIN CERTIFICATE-----\n      AAAA\n      -----END CERTIFICATE-----\n";
    let (seed, root) = (seed("trust-first", data), Scratch::new("trust-first"));
    provision(&seed, &root).ended(0, &[]);
    let link =
        fs::read_link(root.path("/etc/ssl/certs/footplate-from-etc-pki-trust-anchors-site.pem.pem")).unwrap();
    assert_eq!(link.to_str(), Some("/etc/pki/trust/anchors/site.pem"));
    let unit = root.text("/etc/systemd/system/footplate-certificates.service");
    assert!(
        unit.contains("Before=containerd.service docker.service kubelet.service kubeadm.service"),
        "{unit}"
    );
    assert!(!root.path("/var/lib/footplate/trust").exists(), "no command needs a stand-in");
    let before = root.identities();
    provision(&seed, &root).ended(0, &[]);
    let after = root.identities();
    let certs = |all: &[(String, u64, i64, i64)]| {
        all.iter()
            .filter(|(path, ..)| path.contains("certs") || path.contains("anchors"))
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(certs(&before), certs(&after));
}

// SPDX-License-Identifier: Apache-2.0
//! Signed data, signed by the real minisign: what an image that asks for signatures uses, and what it does not.

use crate::common::node::Node;
use crate::common::{scratch, server};

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use scratch::{Ran, Scratch, fresh, plan, provision};
use server::{Reply, Server};
use sha2::{Digest as _, Sha256};

const ENFORCE: &str = "signature: enforce\n";
const DATA: &str = "#cloud-config\nwrite_files:\n- path: /etc/made\n  content: |\n    by signed data\nruncmd: [echo begun]\n";
const METADATA: &str = "instance-id: i-7\nlocal-hostname: node-7.example.com\n";
const USE: &str = "machine=node-7 not-after=2099-01-01T00:00:00Z";

/// A person with a key.
struct Signer {
    dir: PathBuf,
}

impl Signer {
    fn new(name: &str) -> Self {
        let dir = fresh(name);
        let made = Ran::of(
            Command::new("minisign").args(["-G", "-W", "-p", "key.pub", "-s", "key"]).current_dir(&dir),
        );
        assert_eq!(made.code, 0, "{}", made.err);
        Self { dir }
    }

    /// The public key's file.
    fn public(&self) -> String {
        fs::read_to_string(self.dir.join("key.pub")).unwrap()
    }

    /// The text with its signature, as docs/security.md says to sign.
    fn sign(&self, text: &str, comment: &str) -> String {
        self.sign_by(&[], text, comment)
    }

    fn sign_by(&self, options: &[&str], text: &str, comment: &str) -> String {
        fs::write(self.dir.join("data"), text).unwrap();
        let mut command = Command::new("minisign");
        command.args(["-S", "-W", "-s", "key", "-m", "data", "-t", comment]).args(options);
        let signed = Ran::of(command.current_dir(&self.dir));
        assert_eq!(signed.code, 0, "{}", signed.err);
        let signature = fs::read_to_string(self.dir.join("data.minisig")).unwrap();
        signature.lines().fold(text.to_owned(), |text, line| format!("{text}# {line}\n"))
    }
}

/// A seed of these files.
fn seed(name: &str, files: &[(&str, &[u8])]) -> PathBuf {
    let dir = fresh(&format!("{name}.seed"));
    files.iter().for_each(|(file, text)| fs::write(dir.join(file), text).unwrap());
    dir
}

/// An image that asks for this, with these keys.
fn image(name: &str, policy: &str, keys: &[(&str, &str)]) -> Scratch {
    let root = Scratch::new(name);
    root.put("/etc/footplate.yaml", policy);
    for (path, text) in keys {
        root.put(path, text);
    }
    root
}

/// Provisions it, and says what came of it; nothing of data that is refused is on the disk.
#[track_caller]
fn provisioned(seed: &Path, root: &Scratch) -> Ran {
    let ran = provision(seed, root);
    let made = root.path("/etc/made").exists();
    let begun = root.path("/run/footplate/bootstrap").exists();
    assert_eq!((made, begun), (ran.code == 0, ran.code == 0), "{}{}", ran.out, ran.err);
    ran
}

/// What somebody who has no key can make of signed data, and what is said of it. Data, its signature's four lines, the same of an
/// older version of it, and of another signer.
fn tampered(good: &str, older: &str, others: &str) -> Vec<(String, Vec<u8>, &'static str)> {
    let parts = |text: &str| {
        let at = text.find("# untrusted comment:").unwrap();
        (text[..at].to_owned(), text[at..].lines().map(str::to_owned).collect::<Vec<_>>())
    };
    let ((data, signature), (older_data, older_signature)) = (parts(good), parts(older));
    let block = |lines: &[String]| lines.iter().fold(String::new(), |text, line| text + line + "\n");
    let mut cases: Vec<(String, Vec<u8>, &'static str)> = Vec::new();
    let mut case = |name: &str, text: String, says| cases.push((name.to_owned(), text.into_bytes(), says));
    case("without a signature", data.clone(), "user-data: has no signature");
    case("the signature of an older version", data.clone() + &block(&older_signature), "was changed after");
    case("older data below this signature", older_data.clone() + &block(&signature), "was changed after");
    case(
        "signed by a key of another's",
        others.to_owned(),
        "is signed by a key that this image does not have",
    );
    case("a line behind it", format!("{good}runcmd: [echo more]\n"), "has no signature");
    case("a comment behind it", format!("{good}# more\n"), "has no signature");
    case("a second signature behind it", good.to_owned() + &block(&signature), "was changed after");
    case("a second document behind it", format!("{good}---\n{data}"), "has no signature");
    case("a line before it", format!("#cloud-config\n{good}"), "was changed after");
    case("a blank before it", format!(" {good}"), "was changed after");
    case("a blank line before the signature", format!("{data}\n{}", block(&signature)), "was changed after");
    case("line ends of CR LF", good.replace('\n', "\r\n"), "was changed after");
    case("another case of a letter", good.replacen("by signed", "By signed", 1), "was changed after");
    case("a line taken out", good.replacen("runcmd: [echo begun]\n", "", 1), "was changed after");
    case("cut in the middle", good[..good.len() / 2].to_owned(), "");
    for n in 0..signature.len() {
        let mut lines = signature.clone();
        lines.remove(n);
        case(
            &format!("line {n} of the signature taken out"),
            data.clone() + &block(&lines),
            "has no signature",
        );
        let mut lines = signature.clone();
        lines[n].insert(2, 'A');
        case(&format!("a letter more in line {n} of the signature"), data.clone() + &block(&lines), "has ");
        let mut lines = signature.clone();
        lines[n].remove(0);
        case(
            &format!("line {n} of the signature is no comment"),
            data.clone() + &block(&lines),
            "has no signature",
        );
    }
    for (n, says) in [(1, ""), (3, "was changed after")] {
        // A letter of the key's number, of the signature, and of its end.
        for at in [10, 30, 60] {
            let mut lines = signature.clone();
            let other = if lines[n].as_bytes()[at] == b'B' { "C" } else { "B" };
            lines[n].replace_range(at..=at, other);
            case(&format!("letter {at} of line {n} of the signature"), data.clone() + &block(&lines), says);
        }
        let mut lines = signature.clone();
        lines[n].clone_from(&older_signature[n]);
        case(&format!("line {n} of an older signature"), data.clone() + &block(&lines), "was changed after");
    }
    let comment = |from: &str, to: &str| good.replacen(from, to, 1);
    case("another machine in the comment", comment("machine=node-7", "machine=node-8"), "was changed after");
    case("a later end in the comment", comment("not-after=2099", "not-after=2100"), "was changed after");
    case("no end in the comment", comment(" not-after=2099-01-01T00:00:00Z", ""), "was changed after");
    let wrapped = format!(
        "Content-Type: multipart/mixed; boundary=b\nMIME-Version: 1.0\n\n--b\nContent-Type: text/cloud-config\n\n{good}"
    );
    case("in a message of several parts", format!("{wrapped}--b--\n"), "has no signature");
    case("in a message that does not end", wrapped, "was changed after");
    case(
        "named by an include list",
        "#include\nfile:///etc/hostname\n".to_owned() + &block(&signature),
        "was changed",
    );
    let bytes = good.as_bytes();
    for bit in [8, 8 * 20 + 1, 8 * (data.len() - 3) + 2] {
        let mut flipped = bytes.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        cases.push((format!("bit {bit}"), flipped, "was changed after"));
    }
    cases
}

#[test]
fn data_that_is_not_signed_as_it_stands_starts_nothing() {
    needs!(program("minisign", "minisign"));
    let (signer, other) = (Signer::new("signed-signer"), Signer::new("signed-other"));
    let good = signer.sign(DATA, USE);
    let older = signer.sign(&DATA.replace("echo begun", "echo before"), USE);
    let metadata = signer.sign(METADATA, "machine=i-7");
    let cases = tampered(&good, &older, &other.sign(DATA, USE));
    assert!(cases.len() >= 40, "{}", cases.len());
    for (n, (name, text, says)) in cases.into_iter().enumerate() {
        let name_of = format!("signed-tampered-{n}");
        let seed = seed(&name_of, &[("user-data", &text), ("meta-data", metadata.as_bytes())]);
        let root = image(&name_of, ENFORCE, &[("/etc/footplate.pub", &signer.public())]);
        let ran = provisioned(&seed, &root);
        assert_eq!(ran.code, 65, "{name}: {}{}", ran.out, ran.err);
        assert!(ran.err.contains(says), "{name}: {says:?} is not in\n{}", ran.err);
        assert!(
            !root.path("/etc/made").exists() && !root.path("/run/footplate/bootstrap").exists(),
            "{name}"
        );
    }
}

#[test]
fn signed_data_is_used() {
    needs!(program("minisign", "minisign"));
    let (signer, other) = (Signer::new("signed-good"), Signer::new("signed-good-other"));
    let good = signer.sign(DATA, USE);
    let metadata = signer.sign(METADATA, "no words");
    let jinja = signer.sign(&DATA.replacen("#cloud-config", "## template: jinja\n#cloud-config", 1), USE);
    let both = format!("{}\n{}", other.public(), signer.public());
    let encoded = STANDARD.encode(&good);
    let (mine, oem) = (("/etc/footplate.pub", signer.public()), ("/oem/footplate.pub", both));
    for (name, text, (path, keys)) in [
        ("plain", good.as_str(), &mine),
        ("encoded", encoded.as_str(), &mine),
        ("jinja", jinja.as_str(), &mine),
        ("oem", good.as_str(), &oem),
        (
            "several",
            &signer.sign(DATA, "machine=a machine=i-7 machine=b not-after=2099-01-01T00:00:00+01:00"),
            &mine,
        ),
        ("full-name", &signer.sign(DATA, "machine=node-7.example.com not-after=2099-01-01T00:00:00Z"), &mine),
        ("no-machine", &signer.sign(DATA, "not-after=2099-01-01T00:00:00Z"), &mine),
    ] {
        let name = format!("signed-good-{name}");
        let seed = seed(&name, &[("user-data", text.as_bytes()), ("meta-data", metadata.as_bytes())]);
        let root = image(&name, ENFORCE, &[(path, keys)]);
        provisioned(&seed, &root).ended(0, &[]);
        assert_eq!(root.text("/etc/made"), "by signed data\n", "{name}");
        assert_eq!(plan(&seed, &root).code, 0, "{name}: a second run has nothing to do");
    }
}

#[test]
fn a_signature_says_for_whom_and_until_when() {
    needs!(program("minisign", "minisign"));
    let signer = Signer::new("signed-claims");
    let metadata = signer.sign(METADATA, "machine=node-7");
    for (n, (comment, options, says)) in [
        ("machine=node-8 not-after=2099-01-01T00:00:00Z", &[][..], "is signed for another machine"),
        ("machine=node-7", &[], "does not say until when it holds"),
        ("machine=node-7 not-after=2020-01-01T00:00:00Z", &[], "has passed by this machine's clock"),
        (
            "not-after=2020-01-01T00:00:00Z not-after=2099-01-01T00:00:00Z",
            &[],
            "has passed by this machine's clock",
        ),
        ("not-after=tomorrow", &[], "is not a time such as"),
        (USE, &["-l"], "is signed by a method that is not taken"),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("signed-claims-{n}");
        let text = signer.sign_by(options, DATA, comment);
        let seed = seed(&name, &[("user-data", text.as_bytes()), ("meta-data", metadata.as_bytes())]);
        let root = image(&name, ENFORCE, &[("/etc/footplate.pub", &signer.public())]);
        provisioned(&seed, &root).ended(65, &[says]);
    }
}

#[test]
fn metadata_that_the_owner_writes_is_signed_too() {
    needs!(program("minisign", "minisign"));
    let signer = Signer::new("signed-metadata");
    let good = signer.sign(DATA, USE);
    let network = "version: 2\nethernets:\n  eth0: {dhcp4: true, optional: true}\n";
    let signed = |text: &str| signer.sign(text, "machine=i-7");
    let vendor = "#cloud-config\nwrite_files: [{path: /etc/vendor, content: x}]\n";
    let file = "/etc/systemd/network/15-footplate-eth0.network";
    for (name, files, code, says) in [
        ("none", vec![("meta-data", METADATA.to_owned())], 65, "meta-data: has no signature"),
        (
            "changed",
            vec![("meta-data", signed(METADATA).replacen("node-7", "node-8", 1))],
            65,
            "meta-data: was changed",
        ),
        (
            "network",
            vec![("meta-data", signed(METADATA)), ("network-config", network.to_owned())],
            65,
            "network-config: has no signature",
        ),
        (
            "other",
            vec![("meta-data", signer.sign(METADATA, "machine=i-8"))],
            65,
            "meta-data: is signed for another",
        ),
        ("good", vec![("meta-data", signed(METADATA)), ("network-config", signed(network))], 0, ""),
        (
            "vendor",
            vec![("meta-data", signed(METADATA)), ("vendor-data", vendor.to_owned())],
            0,
            "vendor-data: has no signature; it is left out",
        ),
    ] {
        let name = format!("signed-metadata-{name}");
        let mut all: Vec<(&str, &[u8])> = files.iter().map(|(file, text)| (*file, text.as_bytes())).collect();
        all.push(("user-data", good.as_bytes()));
        let seed = seed(&name, &all);
        let root = image(&name, ENFORCE, &[("/etc/footplate.pub", &signer.public())]);
        let network =
            scratch::footplate(&["network", "--seed", seed.to_str().unwrap(), "--root", root.arg()]);
        assert_eq!(network.code, code, "{name}: {}", network.err);
        assert_eq!(root.path(file).exists(), name.ends_with("good"), "{name}");
        provisioned(&seed, &root).ended(code, &[says]);
        assert!(!root.path("/etc/vendor").exists(), "{name}");
    }
}

/// On a running machine the network is set up before the data is looked at, and so the signatures come before the network.
#[test]
fn a_network_that_is_not_signed_is_not_written_on_a_running_machine() {
    needs!(root("containers"));
    needs!(program("minisign", "minisign"));
    let signer = Signer::new("signed-running-key");
    let network = "version: 2\nethernets:\n  eth0: {dhcp4: true, optional: true}\n";
    for (name, config, exit, state) in [
        ("signed-running", network.to_owned(), 1, "failed"),
        ("signed-running-good", signer.sign(network, "machine=i-7"), 0, "nothing-to-do"),
    ] {
        let node = Node::new(name, "", "#!/bin/sh\n");
        node.root
            .put("/etc/footplate.yaml", ENFORCE)
            .put("/etc/footplate.pub", signer.public())
            .put("/seed/meta-data", signer.sign(METADATA, "machine=i-7"))
            .put("/seed/network-config", config)
            .put("/seed/user-data", signer.sign("#cloud-config\n{}\n", USE));
        node.boot();
        let status = node.stands(exit, state);
        let written = node.root.path("/etc/systemd/network/15-footplate-eth0.network").exists();
        assert_eq!(written, exit == 0, "{status:#}{}", node.out("journal"));
    }
}

#[test]
fn guestinfo_is_signed_inside_its_encoding() {
    needs!(program("minisign", "minisign"));
    let signer = Signer::new("signed-guestinfo");
    for (name, data, metadata, code, says) in [
        ("good", signer.sign(DATA, USE), signer.sign(METADATA, "machine=node-7"), 0, ""),
        ("plain", signer.sign(DATA, USE), METADATA.to_owned(), 65, "guestinfo.metadata: has no signature"),
        ("data", DATA.to_owned(), signer.sign(METADATA, "machine=node-7"), 65, "user-data: has no signature"),
    ] {
        let name = format!("signed-guestinfo-{name}");
        let root = image(&name, ENFORCE, &[]);
        root.put("/usr/share/footplate/footplate.pub", signer.public());
        scratch::provision_vsphere(&name, &metadata, &data, &root).ended(code, &[says]);
        assert_eq!(root.path("/etc/made").exists(), code == 0, "{name}");
    }
}

#[test]
fn what_signed_data_names_is_signed_or_named_by_its_digest() {
    needs!(program("minisign", "minisign"));
    let signer = Signer::new("signed-includes");
    let metadata = signer.sign(METADATA, "machine=i-7");
    let (plain, good) = (DATA.to_owned(), signer.sign(DATA, "not-after=2099-01-01T00:00:00Z"));
    let (mine, other) = (signer.sign(DATA, USE), signer.sign(DATA, &USE.replace("node-7", "node-8")));
    let server = Server::start("127.0.0.1:0", move |seen| match seen.path.as_str() {
        "/plain" => Reply::ok(&plain),
        "/mine" => Reply::ok(&mine),
        "/other" => Reply::ok(&other),
        _ => Reply::ok(&good),
    });
    let digest: String = Sha256::digest(DATA).iter().map(|byte| format!("{byte:02x}")).collect();
    let files = |path: &str, verification: &str| {
        let url = server.url(path);
        let file = format!(r#"{{"path":"/etc/made","contents":{{"source":"{url}"{verification}}}}}"#);
        format!(
            r#"{{"ignition":{{"version":"3.3.0"}},"storage":{{"files":[{file}]}},"systemd":{{"units":[{{"name":"kubeadm.service","enabled":true,"contents":"[Service]\nType=oneshot\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n"}}]}}}}"#
        )
    };
    let hashed = format!(r#","verification":{{"hash":"sha256-{digest}"}}"#);
    for (name, text, code, says) in [
        (
            "plain",
            format!("#include\n{}\n", server.url("/plain")),
            65,
            "has no signature; sign it, or write its digest",
        ),
        ("good", format!("#include\n{}\n", server.url("/good")), 0, ""),
        ("file", files("/plain", "") + "\n", 65, "has no signature; sign it, or write its digest"),
        ("hashed", files("/plain", &hashed) + "\n", 0, ""),
        ("mine", format!("#include\n{}\n", server.url("/mine")), 0, ""),
        ("other", format!("#include\n{}\n", server.url("/other")), 65, "is signed for another machine"),
    ] {
        let name = format!("signed-includes-{name}");
        let text = signer.sign(&text, USE);
        let seed = seed(&name, &[("user-data", text.as_bytes()), ("meta-data", metadata.as_bytes())]);
        let root = image(&name, ENFORCE, &[("/etc/footplate.pub", &signer.public())]);
        let ran = provision(&seed, &root);
        ran.ended(code, &[says]);
        assert_eq!(root.path("/etc/made").exists(), code == 0, "{name}: {}", ran.err);
    }
}

#[test]
fn an_image_that_only_warns_uses_what_is_not_signed() {
    needs!(program("minisign", "minisign"));
    let signer = Signer::new("signed-warn-key");
    let seed =
        self::seed("signed-warn", &[("user-data", DATA.as_bytes()), ("meta-data", METADATA.as_bytes())]);
    let root = image("signed-warn", "signature: warn\n", &[("/etc/footplate.pub", &signer.public())]);
    provisioned(&seed, &root).ended(0, &["user-data: has no signature", "docs/security.md"]);
    let server = Server::start("127.0.0.1:0", |_| Reply::ok(DATA));
    let include = format!("#include\n{}\n", server.url("/included"));
    let files: [(&str, &[u8]); 2] = [("user-data", include.as_bytes()), ("meta-data", METADATA.as_bytes())];
    let root =
        image("signed-warn-included", "signature: warn\n", &[("/etc/footplate.pub", &signer.public())]);
    provisioned(&self::seed("signed-warn-included", &files), &root)
        .ended(0, &["http://127.0.0.1", ": has no signature"]);
    // Without a key nothing can be signed, and the node says so before it asks the platform.
    for (name, policy, keys, says) in [
        ("none", ENFORCE, vec![], "signature: asks for signed data, and the image has no key"),
        (
            "broken",
            "signature: warn\n",
            vec![("/etc/footplate.pub", "a key\n")],
            "line 1 is not a public key of minisign",
        ),
    ] {
        let root = image(&format!("signed-warn-{name}"), policy, &keys);
        provisioned(&seed, &root).ended(64, &[says]);
    }
    let root = image("signed-off", "signature: off\n", &[]);
    let ran = provisioned(&seed, &root);
    assert!(!ran.ended(0, &[]).err.contains("signature"), "{}", ran.err);
}

// SPDX-License-Identifier: Apache-2.0
//! Signatures by cosign: what verifies here, and what the real cosign says of the same files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use footplate::bake::cosign::{Authority, Signer, verify};
use footplate::bake::published::{self, Trust};
use footplate::io::fetch::Location;

use crate::debian;
use crate::image::sha256;
use crate::scratch::{Ran, footplate, fresh, needs};

const SIGNER: Signer = Signer {
    identity: "krel-staging@k8s-releng-prod.iam.gserviceaccount.com",
    issuer: "https://accounts.google.com",
};

const PROGRAM: &[u8] = b"#!/bin/sh\necho a program\n";

/// Fulcio's extensions for an issuer: the one that is text in DER, and the older one that is bare text.
fn issuers(newer: Option<&str>, older: Option<&str>) -> String {
    let hex = |text: &str| text.bytes().map(|b| format!("{b:02x}")).collect::<String>();
    let newer = newer.map(|text| format!("1.3.6.1.4.1.57264.1.8=ASN1:UTF8String:{text}\n"));
    let older = older.map(|text| format!("1.3.6.1.4.1.57264.1.1=DER:{}\n", hex(text)));
    newer.unwrap_or_default() + &older.unwrap_or_default()
}

/// A certificate to be made.
struct Wish {
    names: String,
    issuers: String,
    usage: &'static str,
    curve: &'static str,
}

impl Default for Wish {
    fn default() -> Self {
        Self {
            names: format!("email:{}", SIGNER.identity),
            issuers: issuers(Some(SIGNER.issuer), Some(SIGNER.issuer)),
            usage: "codeSigning",
            curve: "P-256",
        }
    }
}

/// A Fulcio of one's own: a root, an intermediate by it, and certificates by that.
struct Sigstore(PathBuf);

impl Sigstore {
    /// With an intermediate that ends at this time.
    fn new(dir: PathBuf, ends: &str) -> Self {
        fs::create_dir_all(&dir).unwrap();
        let config = "[ca]\ndefault_ca=a\n[a]\ndatabase=index\nnew_certs_dir=.\nrand_serial=yes\ndefault_md=sha384\npolicy=p\n\
                      unique_subject=no\n[p]\ncommonName=optional\n";
        fs::write(dir.join("config"), config).unwrap();
        fs::write(dir.join("index"), "").unwrap();
        fs::write(dir.join("root.ext"), "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n")
            .unwrap();
        let intermediate = "basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign\n\
                            extendedKeyUsage=codeSigning\n";
        fs::write(dir.join("intermediate.ext"), intermediate).unwrap();
        let sigstore = Self(dir);
        sigstore.openssl(&format!(
            "openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-384 -nodes -subj /CN=root -keyout root.key -out root.csr
             openssl ca -batch -config config -selfsign -in root.csr -keyfile root.key -notext -out root.pem \
             -extfile root.ext -startdate 20220101000000Z -enddate 20490101000000Z
             openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-384 -nodes -subj /CN=intermediate \
             -keyout intermediate.key -out intermediate.csr
             openssl ca -batch -config config -in intermediate.csr -cert root.pem -keyfile root.key -notext \
             -out intermediate.pem -extfile intermediate.ext -startdate 20220101000000Z -enddate {ends}"
        ));
        sigstore
    }

    fn authority(&self) -> Authority<'static> {
        let read = |name: &str| fs::read(self.0.join(name)).unwrap();
        Authority::of_pem(&read("root.pem"), &read("intermediate.pem")).unwrap()
    }

    /// A certificate and a signature of these bytes by its key, as upstream publishes them: `name.cert`, `name.sig`.
    fn sign(&self, name: &str, wish: &Wish, bytes: &[u8]) {
        let Wish { names, issuers, usage, curve } = wish;
        let usage = if usage.is_empty() { String::new() } else { format!("extendedKeyUsage={usage}\n") };
        let extensions =
            format!("keyUsage=critical,digitalSignature\n{usage}subjectAltName=critical,{names}\n{issuers}");
        fs::write(self.0.join("leaf.ext"), extensions).unwrap();
        fs::write(self.0.join(name), bytes).unwrap();
        // cosign wants one that holds now where it may not ask the log.
        self.openssl(&format!(
            "openssl req -newkey ec -pkeyopt ec_paramgen_curve:{curve} -nodes -subj /CN=leaf -keyout leaf.key -out leaf.csr
             openssl ca -batch -config config -in leaf.csr -cert intermediate.pem -keyfile intermediate.key -notext \
             -out leaf.pem -extfile leaf.ext -startdate $(date -u +%Y%m%d000000Z) -enddate 20480101000000Z
             base64 -w0 leaf.pem > {name}.cert
             openssl dgst -sha256 -sign leaf.key {name} | base64 -w0 > {name}.sig"
        ));
    }

    fn openssl(&self, script: &str) {
        let ran = Ran::of(Command::new("sh").args(["-ec", script]).current_dir(&self.0));
        assert_eq!(ran.code, 0, "openssl is needed\n{}", ran.err);
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        fs::write(self.0.join(name), bytes).unwrap();
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.0.join(name)).unwrap()
    }
}

/// Whether cosign verifies a directory's `tool`, `tool.sig` and `tool.cert`.
fn cosign(program: &Path, dir: &Path) -> Ran {
    let mut command = Command::new(program);
    command
        .args([
            "verify-blob",
            "--signature",
            "tool.sig",
            "--certificate",
            "tool.cert",
            "--certificate-identity",
        ])
        .args([SIGNER.identity, "--certificate-oidc-issuer", SIGNER.issuer])
        .args(["--ca-roots", "root.pem", "--ca-intermediates", "intermediate.pem"])
        .args(["--insecure-ignore-tlog", "--insecure-ignore-sct", "tool"]);
    Ran::of(command.current_dir(dir).env("HOME", dir))
}

#[test]
fn what_verifies_is_what_cosign_verifies() {
    let program = debian::unpacked_of_trixie(&["cosign"]).join("usr/bin/cosign");
    let dir = fresh("signed");
    let sigstore = Sigstore::new(dir.join("right"), "20480101000000Z");
    let other = Sigstore::new(dir.join("other"), "20480101000000Z");
    let ended = Sigstore::new(dir.join("ended"), "20240101000000Z");
    type Change = fn(&Sigstore);
    let leave: Change = |_| {};
    let wish = Wish::default;
    let names = |names: &str| Wish { names: names.to_owned(), ..Wish::default() };
    let by = |newer, older| Wish { issuers: issuers(newer, older), ..Wish::default() };
    let (google, github) = (Some(SIGNER.issuer), Some("https://github.com/login/oauth"));
    let someone = "email:someone@example.com";
    // What is asked for, what is done to it then, and what is said.
    let cases: &[(&str, &Sigstore, Wish, Change, Option<&str>)] = &[
        ("right", &sigstore, wish(), leave, None),
        ("the older extension alone", &sigstore, by(None, google), leave, None),
        ("a certificate in plain PEM", &sigstore, wish(), |s| s.put("tool.cert", &s.read("leaf.pem")), None),
        ("another identity", &sigstore, names(someone), leave, Some("someone@example.com")),
        (
            "another kind of name",
            &sigstore,
            names(&format!("DNS:{}", "krel.example.com")),
            leave,
            Some("not tell one"),
        ),
        ("another issuer", &sigstore, by(github, github), leave, Some("https://github.com/login/oauth")),
        ("two issuers", &sigstore, by(google, github), leave, Some("not tell one signer")),
        ("no issuer", &sigstore, by(None, None), leave, Some("not tell one signer")),
        (
            "another use",
            &sigstore,
            Wish { usage: "clientAuth", ..wish() },
            leave,
            Some("not one of the authority's"),
        ),
        ("other bytes", &sigstore, wish(), |s| s.put("tool", b"#!/bin/sh\n"), Some("of other bytes")),
        (
            "a certificate of another key",
            &sigstore,
            wish(),
            |s| {
                let signature = s.read("tool.sig");
                s.sign("tool", &Wish::default(), PROGRAM);
                s.put("tool.sig", &signature);
            },
            Some("by another key"),
        ),
        (
            "another authority",
            &other,
            wish(),
            |s| {
                fs::copy(s.0.with_file_name("right").join("root.pem"), s.0.join("root.pem")).unwrap();
            },
            Some("not one of the authority's"),
        ),
        ("an intermediate that had ended", &ended, wish(), leave, Some("not one of the authority's")),
        (
            "a truncated signature",
            &sigstore,
            wish(),
            |s| s.put("tool.sig", &s.read("tool.sig")[..40]),
            Some("no ECDSA"),
        ),
        (
            "a broken signature",
            &sigstore,
            wish(),
            |s| s.put("tool.sig", &s.read("tool.sig")[..41]),
            Some("no base64"),
        ),
        ("a page for a signature", &sigstore, wish(), |s| s.put("tool.sig", b"<html>"), Some("no base64")),
        ("an empty signature", &sigstore, wish(), |s| s.put("tool.sig", b""), Some("no ECDSA")),
        (
            "a truncated certificate",
            &sigstore,
            wish(),
            |s| s.put("tool.cert", &s.read("tool.cert")[..400]),
            Some("holds none"),
        ),
        (
            "a page for a certificate",
            &sigstore,
            wish(),
            |s| s.put("tool.cert", b"<html>"),
            Some("holds none"),
        ),
        ("an empty certificate", &sigstore, wish(), |s| s.put("tool.cert", b""), Some("holds none")),
        (
            "a certificate with a bit flipped",
            &sigstore,
            wish(),
            |s| {
                let mut pem = s.read("leaf.pem");
                // In the base64 of the last whole line: the authority's signature.
                let at = pem.len() - 100;
                pem[at] = if pem[at] == b'A' { b'B' } else { b'A' };
                s.put("tool.cert", &pem);
            },
            Some("not one of the authority's"),
        ),
    ];
    // Where the two differ: what cosign lets pass and Fulcio never makes, and the extension that this cosign does not read.
    let differing: &[(&str, &Sigstore, Wish, Change, Option<&str>)] = &[
        ("the newer extension alone", &sigstore, by(google, None), leave, None),
        ("no use", &sigstore, Wish { usage: "", ..wish() }, leave, Some("not one of the authority's")),
        (
            "two names",
            &sigstore,
            names(&format!("email:{},{someone}", SIGNER.identity)),
            leave,
            Some("not tell one"),
        ),
        ("two issuers, the older one right", &sigstore, by(github, google), leave, Some("not tell one")),
        ("another curve", &sigstore, Wish { curve: "P-384", ..wish() }, leave, Some("not on P-256")),
    ];
    let mut wrong = Vec::new();
    for (at, (what, sigstore, wish, change, want)) in cases.iter().chain(differing).enumerate() {
        sigstore.sign("tool", wish, PROGRAM);
        change(sigstore);
        let found = verify(
            &sha256(&sigstore.read("tool")),
            &sigstore.read("tool.sig"),
            &sigstore.read("tool.cert"),
            SIGNER,
            &sigstore.authority(),
        );
        let said = found.as_ref().err().map(|e| format!("{e:#}"));
        let as_wanted = match (want, &said) {
            (None, None) => true,
            (Some(want), Some(said)) => said.contains(want),
            _ => false,
        };
        let theirs = cosign(&program, &sigstore.0);
        let agreed = ((theirs.code == 0) == found.is_ok()) == (at < cases.len());
        if !as_wanted || !agreed {
            wrong.push(format!("{what}: {said:?}; cosign: {} {}", theirs.code, theirs.err.trim()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Publishes three programs of this name with checksums, and signatures if there is a Sigstore to sign them.
fn publish(dir: &Path, sigstore: Option<&Sigstore>) {
    for name in ["kubeadm", "kubelet", "kubectl"] {
        let program = [PROGRAM, name.as_bytes()].concat();
        fs::write(dir.join(format!("{name}.sha256")), sha256(&program)).unwrap();
        let Some(sigstore) = sigstore else { continue };
        sigstore.sign(name, &Wish::default(), &program);
        for ending in ["sig", "cert"] {
            let file = format!("{name}.{ending}");
            fs::copy(sigstore.0.join(&file), dir.join(&file)).unwrap();
        }
    }
}

const KUBERNETES: &[(&str, &str)] = &[("kubeadm", "v1.34.1"), ("kubelet", "v1.34.1"), ("kubectl", "v1.34.1")];

#[test]
fn a_signed_release_is_told_by_its_signer() {
    let dir = fresh("signed-release");
    let sigstore = Sigstore::new(dir.join("sigstore"), "20480101000000Z");
    publish(&dir, Some(&sigstore));
    let write = || {
        let from = Location::of(dir.to_str().unwrap());
        let trust = Trust { authority: sigstore.authority(), runc_keyring: None };
        published::lock(KUBERNETES, "amd64", Some(&from), &trust)
    };
    let written = write().unwrap();
    assert_eq!(
        written.notes,
        [format!(
            "kubeadm, kubelet, kubectl: verified: signed by {}; Sigstore's transparency log was not asked",
            SIGNER.identity
        )]
    );
    assert_eq!(written.lock.artifacts[1].sha256, Some(sha256(&[PROGRAM, b"kubelet"].concat())));
    // One whose checksum is another's is not taken.
    fs::write(dir.join("kubelet.sha256"), sha256(PROGRAM)).unwrap();
    let refused = write().err().unwrap();
    assert_eq!(refused.stage.exit_code(), 65);
    assert!(refused.error.contains("kubelet") && refused.why[0].contains("other bytes"), "{refused}");
}

#[test]
fn half_a_signature_and_a_wrong_one_write_no_lock() {
    let dir = fresh("signed-badly");
    let output = dir.join("lock.json");
    publish(&dir, None);
    let write = || {
        let (from, output) = (dir.to_str().unwrap(), output.to_str().unwrap());
        footplate(&["bake", "lock", "--kubernetes", "v1.34.1", "--from", from, "--output", output])
    };
    write().ended(0, &["kubeadm, kubelet, kubectl: not verified: no signature is there"]);
    fs::remove_file(&output).unwrap();
    let sigstore = Sigstore::new(dir.join("sigstore"), "20480101000000Z");
    publish(&dir, Some(&sigstore));
    // A certificate of anybody's but Fulcio's is none.
    write().ended(65, &["kubeadm.sig does not verify", "not one of the authority's", "hint: use no file"]);
    let (signature, certificate) = (dir.join("kubeadm.sig"), dir.join("kubeadm.cert"));
    fs::write(&certificate, vec![b'A'; 64 << 10]).unwrap();
    write().ended(65, &["kubeadm.cert has more than 32768 bytes"]);
    fs::remove_file(&certificate).unwrap();
    write().ended(75, &["kubeadm.cert is not there", "hint: "]);
    fs::rename(&signature, &certificate).unwrap();
    write().ended(75, &["kubeadm.sig is not there"]);
    assert!(!output.exists());
}

/// A service account's certificate of April 2023, published in an issue of cosign's: it was really made by Fulcio.
const CERTIFICATE: &[u8] = include_bytes!("fulcio-certificate.pem");

#[test]
fn a_real_certificate_is_fulcios() {
    let signer = Signer {
        identity: "cosign@cosign-test-kaniko-1-384813.iam.gserviceaccount.com",
        issuer: "https://accounts.google.com",
    };
    let said = |certificate: &[u8], signer, authority: &Authority<'_>| {
        // A signature of the right form, of something else.
        let signature = b"MAYCAQECAQE=";
        let error = verify(&"0".repeat(64), signature, certificate, signer, authority).unwrap_err();
        format!("{error:#}")
    };
    let fulcio = Authority::fulcio().unwrap();
    // Only the last step fails.
    assert_eq!(said(CERTIFICATE, signer, &fulcio), "it was made of other bytes, or by another key");
    assert!(said(CERTIFICATE, SIGNER, &fulcio).contains("signed by \"cosign@cosign-test-kaniko"));
    let sigstore = Sigstore::new(fresh("not-fulcio"), "20480101000000Z");
    assert!(said(CERTIFICATE, signer, &sigstore.authority()).contains("not one of the authority's"));
}

#[test]
fn runcs_list_is_taken_as_far_as_it_is_signed() {
    needs("gpg", "gpg");
    needs("gpg-agent", "gpg-agent");
    needs("gpgv", "gpgv");
    let dir = fresh("signed-runc");
    // gpg's agent wants a short path for its socket.
    let home = std::env::temp_dir().join(format!("footplate-{}", std::process::id()));
    let run = |script: &str| {
        let mut command = Command::new("sh");
        command.args(["-ec", script]).current_dir(&dir).env("GNUPGHOME", &home);
        assert_eq!(Ran::of(&mut command).code, 0, "{script}");
    };
    publish(&dir, None);
    let right = sha256(b"right");
    let list = format!("{}  runc.arm64\n{right} *runc.amd64\n", sha256(b"arm"));
    fs::write(dir.join("list"), list).unwrap();
    // Two keys, each with its keyring; the list signed by the first.
    run("mkdir -m700 \"$GNUPGHOME\"
        for who in first second; do
            gpg -q --batch --passphrase '' --quick-gen-key $who@example.com ed25519 sign never
            gpg -q --export --armor $who@example.com > $who.asc
            gpg -q --no-default-keyring --keyring \"$PWD/$who.keyring\" --import $who.asc
        done
        gpg -q --batch -u first@example.com --clear-sign --output signed list
        # The agent takes its sockets away itself, now or soon.
        gpgconf --kill gpg-agent; rm -rf \"$GNUPGHOME\"");
    let signed = fs::read_to_string(dir.join("signed")).unwrap();
    let write = |text: &str, keyring: Option<&str>| {
        fs::write(dir.join("runc.sha256sum"), text).unwrap();
        let from = dir.to_str().unwrap();
        let mut args = vec![
            "bake",
            "lock",
            "--kubernetes",
            "v1.34.1",
            "--runc",
            "v1.3.0",
            "--arch",
            "amd64",
            "--from",
            from,
        ];
        let keyring = keyring.map(|k| dir.join(k).to_str().unwrap().to_owned());
        args.extend(keyring.iter().flat_map(|k| ["--runc-keyring", k.as_str()]));
        footplate(&args)
    };
    let of_runc = |ran: &Ran| ran.json()["artifacts"][3]["sha256"].as_str().unwrap().to_owned();
    let verified = write(&signed, Some("first.keyring"));
    assert_eq!(of_runc(verified.ended(0, &["runc: verified: signed by a key of", "first.keyring"])), right);
    assert_eq!(
        of_runc(write(&signed, None).ended(0, &["runc: not verified: upstream signs by OpenPGP"])),
        right
    );
    // What stands around the signed part is not taken, though it is found first.
    let around = format!("{}  runc.amd64\n{signed}{0}  runc.amd64\n", sha256(b"wrong"));
    assert_eq!(of_runc(write(&around, Some("first.keyring")).ended(0, &[])), right);
    let refused = |text: &str, keyring, why: &str| {
        write(text, Some(keyring))
            .ended(65, &["runc.sha256sum is not signed as it shall be", why, "hint: is "]);
    };
    refused(&signed, "second.keyring", "No public key");
    refused(&signed, "none.keyring", "No such file");
    refused(&signed.replace(&right, &sha256(b"wrong")), "first.keyring", "BAD signature");
    refused(&format!("{right}  runc.amd64\n"), "first.keyring", "gpgv: ");
    refused("", "first.keyring", "gpgv: ");
    refused(&format!("{signed}{signed}"), "first.keyring", "gpgv: ");
    write(&signed.repeat(100), Some("first.keyring")).ended(65, &["has more than 32768 bytes"]);
}

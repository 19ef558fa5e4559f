// SPDX-License-Identifier: Apache-2.0
//! Signatures by cosign and attestations of GitHub's: what verifies here, and what the real cosign says of the same files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use footplate::facade::bake::attestation;
use footplate::facade::bake::cosign::{Authority, Signer, key, signed};
use footplate::facade::bake::location::{Location, Origin};
use footplate::facade::bake::progress::Progress;
use footplate::facade::bake::published::{self, Trust};
use footplate::facade::io::Console;
use serde_json::{Value, json};

use super::docs::python;
use super::image::sha256;
use crate::common::debian;
use crate::common::needs::said;
use crate::common::scratch::{Ran, footplate, fresh};

const SIGNER: Signer<'_> = Signer {
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

    /// A certificate, `leaf.pem`, and its key, `leaf.key`.
    fn certify(&self, wish: &Wish) {
        let Wish { names, issuers, usage, curve } = wish;
        let usage = if usage.is_empty() { String::new() } else { format!("extendedKeyUsage={usage}\n") };
        let extensions =
            format!("keyUsage=critical,digitalSignature\n{usage}subjectAltName=critical,{names}\n{issuers}");
        fs::write(self.0.join("leaf.ext"), extensions).unwrap();
        // cosign wants one that holds now where it may not ask the log.
        self.openssl(&format!(
            "openssl req -newkey ec -pkeyopt ec_paramgen_curve:{curve} -nodes -subj /CN=leaf -keyout leaf.key -out leaf.csr
             openssl ca -batch -config config -in leaf.csr -cert intermediate.pem -keyfile intermediate.key -notext \
             -out leaf.pem -extfile leaf.ext -startdate $(date -u +%Y%m%d000000Z) -enddate 20480101000000Z"
        ));
    }

    /// A certificate and a signature of these bytes by its key, as upstream publishes them: `name.cert`, `name.sig`.
    fn sign(&self, name: &str, wish: &Wish, bytes: &[u8]) {
        self.certify(wish);
        fs::write(self.0.join(name), bytes).unwrap();
        self.openssl(&format!(
            "base64 -w0 leaf.pem > {name}.cert
             openssl dgst -sha256 -sign leaf.key {name} | base64 -w0 > {name}.sig"
        ));
    }

    /// A bundle with a new certificate and this statement, as a release carries it.
    fn attest(&self, wish: &Wish, kind: &str, statement: &[u8]) -> Value {
        self.certify(wish);
        let signed = format!("DSSEv1 {} {kind} {} ", kind.len(), statement.len());
        self.put("signed", &[signed.as_bytes(), statement].concat());
        self.openssl(
            "openssl x509 -in leaf.pem -outform der -out leaf.der; openssl dgst -sha256 -sign leaf.key -out signature signed",
        );
        let base64 = |bytes: &[u8]| STANDARD.encode(bytes);
        json!({
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {
                "certificate": {"rawBytes": base64(&self.read("leaf.der"))},
                "tlogEntries": [], "timestampVerificationData": {},
            },
            "dsseEnvelope": {
                "payload": base64(statement), "payloadType": kind,
                "signatures": [{"sig": base64(&self.read("signature"))}],
            },
        })
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

/// Whether a program's two files verify here.
fn verify(
    content: &[u8],
    signature: &[u8],
    certificate: &[u8],
    signer: Signer<'_>,
    authority: &Authority<'_>,
) -> anyhow::Result<()> {
    signed(content, signature, &key(certificate, signer, authority)?)
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
    let program = needs!(debian::unpacked_of("trixie", &["cosign"])).join("usr/bin/cosign");
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
            Some("names no signer, or more"),
        ),
        ("another issuer", &sigstore, by(github, github), leave, Some("https://github.com/login/oauth")),
        ("two issuers", &sigstore, by(google, github), leave, Some("names no signer, or more")),
        ("no issuer", &sigstore, by(None, None), leave, Some("names no signer, or more")),
        (
            "another use",
            &sigstore,
            Wish { usage: "clientAuth", ..wish() },
            leave,
            Some("not one of the authority's"),
        ),
        ("other bytes", &sigstore, wish(), |s| s.put("tool", b"#!/bin/sh\n"), Some("for other content")),
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
            Some("not an ECDSA"),
        ),
        (
            "a broken signature",
            &sigstore,
            wish(),
            |s| s.put("tool.sig", &s.read("tool.sig")[..41]),
            Some("not valid base64"),
        ),
        (
            "a page for a signature",
            &sigstore,
            wish(),
            |s| s.put("tool.sig", b"<html>"),
            Some("not valid base64"),
        ),
        ("an empty signature", &sigstore, wish(), |s| s.put("tool.sig", b""), Some("not an ECDSA")),
        (
            "a truncated certificate",
            &sigstore,
            wish(),
            |s| s.put("tool.cert", &s.read("tool.cert")[..400]),
            Some("holds no certificate"),
        ),
        (
            "a page for a certificate",
            &sigstore,
            wish(),
            |s| s.put("tool.cert", b"<html>"),
            Some("holds no certificate"),
        ),
        (
            "an empty certificate",
            &sigstore,
            wish(),
            |s| s.put("tool.cert", b""),
            Some("holds no certificate"),
        ),
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
            Some("names no signer, or more"),
        ),
        (
            "two issuers, the older one right",
            &sigstore,
            by(github, google),
            leave,
            Some("names no signer, or more"),
        ),
        ("another curve", &sigstore, Wish { curve: "P-384", ..wish() }, leave, Some("not on P-256")),
    ];
    let mut wrong = Vec::new();
    for (at, (what, sigstore, wish, change, want)) in cases.iter().chain(differing).enumerate() {
        sigstore.sign("tool", wish, PROGRAM);
        change(sigstore);
        let found = verify(
            &sigstore.read("tool"),
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
        fs::write(dir.join(name), &program).unwrap();
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
        let origin = Origin { from: Some(Location::of(dir.to_str().unwrap())), ..Origin::default() };
        let trust = Trust { authority: sigstore.authority(), runc_keyring: None };
        published::lock(KUBERNETES, "amd64", &origin, &trust, &Progress::new(Console::stderr()))
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
    // One whose checksum is another's is not taken, nor one that is another with its checksum, nor one that is not there.
    let refused = |why: &str, code: u8| {
        let refused = write().err().unwrap();
        assert_eq!(refused.stage.exit_code(), code);
        assert!(refused.to_string().contains("kubelet") && refused.to_string().contains(why), "{refused}");
    };
    fs::write(dir.join("kubelet.sha256"), sha256(PROGRAM)).unwrap();
    refused("not the file that its checksum is of", 65);
    fs::write(dir.join("kubelet"), PROGRAM).unwrap();
    refused("it is for other content", 65);
    fs::remove_file(dir.join("kubelet")).unwrap();
    refused("the file does not exist", 75);
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
    write().ended(0, &["kubeadm, kubelet, kubectl: not verified: the signature is missing"]);
    fs::remove_file(&output).unwrap();
    let sigstore = Sigstore::new(dir.join("sigstore"), "20480101000000Z");
    publish(&dir, Some(&sigstore));
    // A certificate of anybody's but Fulcio's is none.
    write().ended(65, &["kubeadm.cert does not verify", "not one of the authority's", "hint: use no file"]);
    let (signature, certificate) = (dir.join("kubeadm.sig"), dir.join("kubeadm.cert"));
    fs::write(&certificate, vec![b'A'; 64 << 10]).unwrap();
    write().ended(65, &["kubeadm.cert has more than 32768 bytes"]);
    fs::remove_file(&certificate).unwrap();
    write().ended(75, &["kubeadm.cert: the file does not exist", "hint: "]);
    fs::rename(&signature, &certificate).unwrap();
    write().ended(75, &["kubeadm.sig: the file does not exist"]);
    assert!(!output.exists());
}

/// A service account's certificate of April 2023, published in an issue of cosign's: it was really made by Fulcio.
const CERTIFICATE: &[u8] = include_bytes!("../../bake/fulcio-certificate.pem");

#[test]
fn a_real_certificate_is_fulcios() {
    let signer = Signer {
        identity: "cosign@cosign-test-kaniko-1-384813.iam.gserviceaccount.com",
        issuer: "https://accounts.google.com",
    };
    let said = |certificate: &[u8], signer, authority: &Authority<'_>| {
        // A signature of the right form, of something else.
        let signature = b"MAYCAQECAQE=";
        let error = verify(b"", signature, certificate, signer, authority).unwrap_err();
        format!("{error:#}")
    };
    let fulcio = Authority::fulcio().unwrap();
    // Only the last step fails.
    assert_eq!(said(CERTIFICATE, signer, &fulcio), "it is for other content, or made by another key");
    assert!(said(CERTIFICATE, SIGNER, &fulcio).contains("signed by \"cosign@cosign-test-kaniko"));
    let sigstore = Sigstore::new(fresh("not-fulcio"), "20480101000000Z");
    assert!(said(CERTIFICATE, signer, &sigstore.authority()).contains("not one of the authority's"));
}

#[test]
fn runcs_list_is_taken_as_far_as_it_is_signed() {
    needs!(program("gpg", "gpg"));
    needs!(program("gpg-agent", "gpg-agent"));
    needs!(program("gpgv", "gpgv"));
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
        of_runc(write(&signed, None).ended(0, &["runc: not verified: upstream signs with OpenPGP"])),
        right
    );
    // What stands around the signed part is not taken, though it is found first.
    let around = format!("{}  runc.amd64\n{signed}{0}  runc.amd64\n", sha256(b"wrong"));
    assert_eq!(of_runc(write(&around, Some("first.keyring")).ended(0, &[])), right);
    let refused = |text: &str, keyring, why: &str| {
        write(text, Some(keyring)).ended(65, &["runc.sha256sum has no valid signature", why, "hint: is "]);
    };
    refused(&signed, "second.keyring", "No public key");
    refused(&signed, "none.keyring", "No such file");
    refused(&signed.replace(&right, &sha256(b"wrong")), "first.keyring", "BAD signature");
    refused(&format!("{right}  runc.amd64\n"), "first.keyring", "gpgv: ");
    refused("", "first.keyring", "gpgv: ");
    refused(&format!("{signed}{signed}"), "first.keyring", "gpgv: ");
    write(&signed.repeat(100), Some("first.keyring")).ended(65, &["has more than 32768 bytes"]);
}

const GITHUB: &str = "https://token.actions.githubusercontent.com";

/// The workflow that builds containerd's releases.
const WORKFLOW: Signer<'_> = Signer {
    identity: "https://github.com/containerd/containerd/.github/workflows/release.yml@refs/tags/v2.1.4",
    issuer: GITHUB,
};

/// A workflow's certificate.
fn workflow(identity: &str) -> Wish {
    Wish { names: format!("URI:{identity}"), issuers: issuers(Some(GITHUB), Some(GITHUB)), ..Wish::default() }
}

const IN_TOTO: &str = "application/vnd.in-toto+json";

/// What is stated of files of these digests.
fn statement(digests: &[String]) -> Value {
    let subject: Vec<Value> =
        digests.iter().map(|sha256| json!({"name": "a file", "digest": {"sha256": sha256}})).collect();
    json!({
        "_type": "https://in-toto.io/Statement/v1", "subject": subject,
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {"buildDefinition": {}, "runDetails": {}},
    })
}

/// Whether cosign verifies that a bundle is of a directory's `tool`.
fn cosign_attested(program: &Path, dir: &Path, bundle: &Value) -> Ran {
    // It knows the envelope and the certificate alone; in a bundle it asks for the log's entry.
    fs::write(dir.join("envelope"), bundle["dsseEnvelope"].to_string()).unwrap();
    let certificate = bundle.pointer("/verificationMaterial/certificate/rawBytes").and_then(Value::as_str);
    let pem = certificate.map(|c| format!("-----BEGIN CERTIFICATE-----\n{c}\n-----END CERTIFICATE-----\n"));
    fs::write(dir.join("tool.pem"), pem.unwrap_or_default()).unwrap();
    let mut command = Command::new(program);
    command
        .args(["verify-blob-attestation", "--signature", "envelope", "--certificate", "tool.pem"])
        .args(["--certificate-identity", WORKFLOW.identity, "--certificate-oidc-issuer", WORKFLOW.issuer])
        .args([
            "--ca-roots",
            "root.pem",
            "--ca-intermediates",
            "intermediate.pem",
            "--type",
            "slsaprovenance1",
        ])
        .args(["--insecure-ignore-tlog", "--insecure-ignore-sct", "tool"]);
    Ran::of(command.current_dir(dir).env("HOME", dir))
}

#[test]
fn what_is_attested_is_what_cosign_says_is_attested() {
    let program = needs!(debian::unpacked_of("trixie", &["cosign"])).join("usr/bin/cosign");
    let dir = fresh("attested");
    let sigstore = Sigstore::new(dir.join("right"), "20480101000000Z");
    sigstore.put("tool", PROGRAM);
    let sha = sha256(PROGRAM);
    let right = statement(std::slice::from_ref(&sha));
    let with = |path: &str, value: Value| {
        let mut changed = right.clone();
        *changed.pointer_mut(path).unwrap() = value;
        changed
    };
    let many: Vec<String> = (0..40_u8).map(|n| sha256(&[n])).chain([sha.clone()]).collect();
    let of = |statement: &Value| {
        sigstore.attest(&workflow(WORKFLOW.identity), IN_TOTO, statement.to_string().as_bytes())
    };
    let by = |wish: &Wish| sigstore.attest(wish, IN_TOTO, right.to_string().as_bytes());
    let good = of(&right);
    // The same bundle with something put in place of what was there.
    let but = |path: &str, value: Value| {
        let mut changed = good.clone();
        *changed.pointer_mut(path).unwrap() = value;
        changed
    };
    let base64 = |text: &str| Value::from(STANDARD.encode(text));
    let other = of(&statement(&[sha256(b"other")]));
    let elsewhere = Sigstore::new(dir.join("elsewhere"), "20480101000000Z");
    let cases: &[(&str, Value, Option<&str>)] = &[
        ("right", good.clone(), None),
        ("one of many files", of(&statement(&many)), None),
        ("the older form", of(&with("/_type", "https://in-toto.io/Statement/v0.1".into())), None),
        ("other files", other.clone(), Some("for other files")),
        ("no files", of(&statement(&[])), Some("for other files")),
        (
            "another digest of the same length",
            of(&with("/subject/0/digest", json!({"sha512": sha}))),
            Some("for other files"),
        ),
        (
            "another statement",
            of(&with("/predicateType", "https://spdx.dev/Document".into())),
            Some("how something was built"),
        ),
        (
            "another tag",
            by(&workflow(&WORKFLOW.identity.replace("v2.1.4", "v2.1.3"))),
            Some("not by https://github.com/containerd"),
        ),
        (
            "another workflow",
            by(&workflow(&WORKFLOW.identity.replace("release.yml", "ci.yml"))),
            Some("ci.yml"),
        ),
        (
            "another repository",
            by(&workflow(&WORKFLOW.identity.replace("containerd/containerd", "someone/containerd"))),
            Some("someone"),
        ),
        (
            "another issuer",
            by(&Wish {
                issuers: issuers(Some(SIGNER.issuer), Some(SIGNER.issuer)),
                ..workflow(WORKFLOW.identity)
            }),
            Some("accounts.google.com"),
        ),
        (
            "another authority",
            elsewhere.attest(&workflow(WORKFLOW.identity), IN_TOTO, right.to_string().as_bytes()),
            Some("not one of the authority's"),
        ),
        (
            "a statement that was put in",
            but("/dsseEnvelope/payload", base64(&with("/subject/0/name", "b".into()).to_string())),
            Some("for other content"),
        ),
        (
            "another's signature",
            but("/dsseEnvelope/signatures", other["dsseEnvelope"]["signatures"].clone()),
            Some("by another key"),
        ),
        ("no signature", but("/dsseEnvelope/signatures", json!([])), Some("exactly one signature")),
        (
            "another kind of text",
            sigstore.attest(&workflow(WORKFLOW.identity), "text/plain", right.to_string().as_bytes()),
            Some("holds no statement"),
        ),
        (
            "another kind than was signed",
            but("/dsseEnvelope/payloadType", "application/vnd.in-toto".into()),
            Some("holds no statement"),
        ),
        ("no certificate", but("/verificationMaterial", json!({})), Some("has no certificate")),
        (
            "text for a statement",
            sigstore.attest(&workflow(WORKFLOW.identity), IN_TOTO, b"right"),
            Some("not valid JSON"),
        ),
    ];
    // Where the two differ: cosign does not look at the form, and takes one good signature of several.
    let differing: &[(&str, Value, Option<&str>)] = &[
        (
            "an unknown form",
            of(&with("/_type", "https://in-toto.io/Statement/v9".into())),
            Some("a form that is not known here"),
        ),
        (
            "two signatures",
            but(
                "/dsseEnvelope/signatures",
                json!([good["dsseEnvelope"]["signatures"][0], good["dsseEnvelope"]["signatures"][0]]),
            ),
            Some("exactly one signature"),
        ),
    ];
    let mut wrong = Vec::new();
    for (at, (what, bundle, want)) in cases.iter().chain(differing).enumerate() {
        let found = attestation::verify(&sha, bundle.to_string().as_bytes(), WORKFLOW, &sigstore.authority());
        let said = found.as_ref().err().map(|e| format!("{e:#}"));
        let as_wanted = match (want, &said) {
            (None, None) => true,
            (Some(want), Some(said)) => said.contains(want),
            _ => false,
        };
        let theirs = cosign_attested(&program, &sigstore.0, bundle);
        let agreed = ((theirs.code == 0) == found.is_ok()) == (at < cases.len());
        if !as_wanted || !agreed {
            wrong.push(format!("{what}: {said:?}; cosign: {} {}", theirs.code, theirs.err.trim()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));

    // A file of several: one that verifies is enough, and what is said of none that does is said of each.
    let file = |bundles: &[&str]| bundles.join("\n");
    let verify = |text: &str| {
        attestation::verify(&sha, text.as_bytes(), WORKFLOW, &sigstore.authority())
            .map_err(|e| format!("{e:#}"))
    };
    let (good, other) = (good.to_string(), other.to_string());
    verify(&file(&[&other, "", &good, ""])).unwrap();
    let said = verify(&file(&[&other, "<html>"])).unwrap_err();
    assert_eq!(said, "attestation 1: it is for other files; attestation 2: invalid JSON at column 1");
    assert_eq!(verify("").unwrap_err(), "it holds no attestation");
    assert!(verify(&file(&[&vec![other.as_str(); 16].join("\n"), &good])).is_err(), "looked at too many");
    let deep = "[".repeat(100_000);
    assert!(verify(&deep).unwrap_err().contains("invalid JSON"));
    // Bundles of before 0.3 have the authority's certificates behind the signer's.
    let mut older: Value = serde_json::from_str(&good).unwrap();
    let certificate = older["verificationMaterial"]["certificate"].take();
    older["verificationMaterial"] =
        json!({"x509CertificateChain": {"certificates": [certificate, {"rawBytes": ""}]}});
    verify(&older.to_string()).unwrap();
}

#[test]
fn a_real_workflows_attestation_verifies() {
    let python = needs!(python());
    // A package of PyPI's that has attestations of real releases among its own tests' files.
    let dir = fresh("attested-really");
    let version = "0.0.30";
    let script = format!(
        "\"$0\" download --quiet --disable-pip-version-check --no-deps --no-binary :all: pypi-attestations=={version}
         tar --strip-components=3 -xf pypi_attestations-{version}.tar.gz pypi_attestations-{version}/test/assets"
    );
    let mut shell = Command::new("timeout");
    shell.args(["300", "sh", "-ec", &script]).arg(python.join("bin/pip")).current_dir(&dir);
    needs!(said(&mut shell));
    let read = |name: &str| -> Value { serde_json::from_slice(&fs::read(dir.join(name)).unwrap()).unwrap() };
    // Two that workflows of GitHub's made, in PyPI's form, of the same file.
    let name = "pypi_attestations-0.0.19.tar.gz";
    let bundle = |kind: &str| {
        let theirs = read(&format!("{name}.{kind}.attestation"));
        json!({
            "verificationMaterial": {"certificate": {"rawBytes": theirs["verification_material"]["certificate"]}},
            "dsseEnvelope": {
                "payload": theirs["envelope"]["statement"], "payloadType": IN_TOTO,
                "signatures": [{"sig": theirs["envelope"]["signature"]}],
            },
        })
    };
    let sha = sha256(&fs::read(dir.join(name)).unwrap());
    let identity =
        "https://github.com/trailofbits/pypi-attestations/.github/workflows/release.yml@refs/tags/v0.0.19";
    let signer = Signer { identity, issuer: GITHUB };
    let fulcio = Authority::fulcio().unwrap();
    let verify = |sha: &str, bundle: &Value, signer: Signer<'_>| {
        attestation::verify(sha, bundle.to_string().as_bytes(), signer, &fulcio).map_err(|e| format!("{e:#}"))
    };
    let provenance = bundle("slsa");
    verify(&sha, &provenance, signer).unwrap();
    assert!(verify(&sha256(b"other"), &provenance, signer).unwrap_err().ends_with("for other files"));
    assert!(
        verify(&sha, &provenance, WORKFLOW)
            .unwrap_err()
            .contains("it is signed by \"https://github.com/trailofbits")
    );
    assert!(verify(&sha, &bundle("publish"), signer).unwrap_err().ends_with("how something was built"));
}

#[test]
fn an_attested_release_is_told_by_its_workflow() {
    let dir = fresh("attested-release");
    let sigstore = Sigstore::new(dir.join("sigstore"), "20480101000000Z");
    let archive = sha256(b"an archive");
    let list = format!("{archive}  containerd-2.1.4-linux-amd64.tar.gz\n");
    fs::write(dir.join("containerd-2.1.4-linux-amd64.tar.gz.sha256sum"), list).unwrap();
    let write = || {
        let origin = Origin { from: Some(Location::of(dir.to_str().unwrap())), ..Origin::default() };
        let trust = Trust { authority: sigstore.authority(), runc_keyring: None };
        let progress = Progress::new(Console::stderr());
        published::lock(&[("containerd", "v2.1.4")], "amd64", &origin, &trust, &progress)
    };
    assert_eq!(write().unwrap().notes, ["containerd: not verified: the attestation is missing"]);
    let attest = |digest: &str| {
        let text = statement(&[sha256(b"another file"), digest.to_owned()]).to_string();
        let bundle = sigstore.attest(&workflow(WORKFLOW.identity), IN_TOTO, text.as_bytes());
        fs::write(dir.join("containerd-2.1.4-attestation.intoto.jsonl"), format!("{bundle}\n")).unwrap();
    };
    attest(&archive);
    let written = write().unwrap();
    assert_eq!(
        written.notes,
        [format!(
            "containerd: verified: signed by {}; Sigstore's transparency log was not asked",
            WORKFLOW.identity
        )]
    );
    assert_eq!(written.lock.artifacts[0].sha256, Some(archive));
    attest(&sha256(b"something else"));
    let refused = write().err().unwrap();
    assert_eq!(refused.stage.exit_code(), 65);
    assert!(
        refused.problems[0].what.starts_with("containerd: ")
            && refused.problems[0].why[0].contains("for other files"),
        "{refused}"
    );
    assert!(refused.problems[0].cure.is_some());
    fs::write(dir.join("containerd-2.1.4-attestation.intoto.jsonl"), vec![b' '; 2 << 20]).unwrap();
    assert!(write().err().unwrap().problems[0].what.contains("has more than 1048576 bytes"));
}

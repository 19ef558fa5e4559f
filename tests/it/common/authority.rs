// SPDX-License-Identifier: Apache-2.0
//! Certificates for servers of tests, good and bad, by an authority of the test's own; made by openssl.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

/// An authority in a directory.
pub struct Authority(PathBuf);

impl Authority {
    pub fn new(dir: &Path) -> Self {
        std::fs::create_dir_all(dir).unwrap();
        let authority = Self(dir.to_owned());
        authority.openssl(
            "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout ca.key -out ca.pem",
        );
        authority
    }

    /// The bundle that trusts it.
    pub fn bundle(&self) -> PathBuf {
        self.0.join("ca.pem")
    }

    /// The digest of its key, as kubeadm's `caCertHashes` have it.
    pub fn pin(&self) -> String {
        self.openssl("openssl x509 -in ca.pem -pubkey -noout | openssl pkey -pubin -outform der | sha256sum | cut -d' ' -f1 > pin");
        format!("sha256:{}", std::fs::read_to_string(self.0.join("pin")).unwrap().trim())
    }

    /// A certificate for a client that asked for one, both in PEM.
    pub fn client(&self, request: &[u8]) -> Vec<u8> {
        std::fs::write(self.0.join("client.csr"), request).unwrap();
        self.openssl(
            "printf 'extendedKeyUsage=clientAuth\\n' > client
             openssl x509 -req -days 1 -in client.csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile client -out client.pem",
        );
        std::fs::read(self.0.join("client.pem")).unwrap()
    }

    /// A server of these names, whose certificate holds from one day to another: `20200101`.
    pub fn server(&self, names: &[&str], from: &str, until: &str) -> Arc<ServerConfig> {
        let kind = |n: &str| if n.parse::<std::net::IpAddr>().is_ok() { "IP" } else { "DNS" };
        let names: Vec<String> = names.iter().map(|n| format!("{}:{n}", kind(n))).collect();
        // `x509` can't make one that has ended; `ca` can, and wants to keep books.
        let config = format!(
            "[ca]\ndefault_ca=a\n[a]\ndatabase=index\nnew_certs_dir=.\nrand_serial=yes\ndefault_md=sha256\npolicy=p\n\
             unique_subject=no\nx509_extensions=e\n[p]\ncommonName=supplied\n[e]\nsubjectAltName={}\n\
             basicConstraints=CA:FALSE\n",
            names.join(",")
        );
        std::fs::write(self.0.join("config"), config).unwrap();
        std::fs::write(self.0.join("index"), "").unwrap();
        self.openssl(&format!(
            "openssl req -newkey rsa:2048 -nodes -subj /CN=server -keyout server.key -out server.csr
             openssl ca -batch -config config -in server.csr -cert ca.pem -keyfile ca.key -notext -out server.pem \
             -startdate {from}000000Z -enddate {until}000000Z"
        ));
        served(&self.0.join("server.pem"), &self.0.join("server.key"))
    }

    /// The same, for clients alone whose certificate is by this authority.
    pub fn mutual(&self, names: &[&str], from: &str, until: &str) -> Arc<ServerConfig> {
        self.server(names, from, until);
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.bundle()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let clients =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build();
        let (chain, key) = read(&self.0.join("server.pem"), &self.0.join("server.key"));
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(clients.unwrap())
            .with_single_cert(chain, key)
            .unwrap();
        Arc::new(config)
    }

    /// A server whose certificate is signed by its own key, with these extensions in openssl's words, and that certificate in
    /// PEM. Each call makes another certificate, all with one key and one name of their issuer.
    pub fn self_signed(&self, from: &str, until: &str, extensions: &str) -> (Arc<ServerConfig>, String) {
        let config = format!(
            "[ca]\ndefault_ca=a\n[a]\ndatabase=index\nnew_certs_dir=.\nrand_serial=yes\ndefault_md=sha256\npolicy=p\n\
             unique_subject=no\nx509_extensions=e\n[p]\ncommonName=supplied\n[e]\n{extensions}\n"
        );
        std::fs::write(self.0.join("config"), config).unwrap();
        std::fs::write(self.0.join("index"), "").unwrap();
        self.openssl(&format!(
            "[ -f own.key ] || openssl req -newkey rsa:2048 -nodes -subj /CN=own -keyout own.key -out own.csr
             openssl ca -batch -selfsign -config config -in own.csr -keyfile own.key -notext -out own.pem \
             -startdate {from}000000Z -enddate {until}000000Z"
        ));
        let pem = self.0.join("own.pem");
        (served(&pem, &self.0.join("own.key")), std::fs::read_to_string(pem).unwrap())
    }

    /// A server of `localhost` behind an intermediate with these extensions in openssl's words, and that intermediate in PEM.
    pub fn behind(&self, intermediate: &str) -> (Arc<ServerConfig>, String) {
        std::fs::write(self.0.join("between"), intermediate).unwrap();
        std::fs::write(self.0.join("leaf"), "subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n")
            .unwrap();
        self.openssl(
            "[ -f leaf.key ] || openssl req -newkey rsa:2048 -nodes -subj /CN=between -keyout between.key -out between.csr
             [ -f leaf.key ] || openssl req -newkey rsa:2048 -nodes -subj /CN=leaf -keyout leaf.key -out leaf.csr
             openssl x509 -req -days 2 -in between.csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile between -out between.pem
             openssl x509 -req -days 2 -in leaf.csr -CA between.pem -CAkey between.key -CAcreateserial -extfile leaf -out leaf.pem
             cat leaf.pem between.pem > chain.pem",
        );
        let pem = std::fs::read_to_string(self.0.join("between.pem")).unwrap();
        (served(&self.0.join("chain.pem"), &self.0.join("leaf.key")), pem)
    }

    fn openssl(&self, script: &str) {
        let made = Command::new("sh").args(["-ec", script]).current_dir(&self.0).output().unwrap();
        assert!(made.status.success(), "openssl is needed\n{}", String::from_utf8_lossy(&made.stderr));
    }
}

fn read(chain: &Path, key: &Path) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let chain = CertificateDer::pem_file_iter(chain).unwrap().map(Result::unwrap).collect();
    (chain, PrivateKeyDer::from_pem_file(key).unwrap())
}

fn served(chain: &Path, key: &Path) -> Arc<ServerConfig> {
    let (chain, key) = read(chain, key);
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    Arc::new(config)
}

// SPDX-License-Identifier: Apache-2.0
//! What a command line of kubeadm and its configuration ask for: `init`, or `join` and the API server that it joins by.
//! The configuration is read in the versions v1beta1 to v1beta4, which have the same names here.

use crate::decode::capi::documents;
use crate::decode::syntax::yaml::{self, Node};
use crate::model::secret::Secret;

/// What kubeadm is asked for.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// Whether it is `join`; else it is `init`.
    pub join: bool,
    /// Whether the node becomes a control plane.
    pub control_plane: bool,
    /// The configuration's version, such as `v1beta3`; empty without a configuration.
    pub version: String,
    /// The API server that a `join` asks first.
    pub endpoint: Option<Endpoint>,
    /// The bootstrap token.
    pub token: Option<Secret>,
    /// The digests of authorities that are trusted, `sha256:` and hexadecimal digits.
    pub pins: Vec<String>,
    /// The kubeconfig in a file that a `join` discovers the cluster by.
    pub file: Option<String>,
    /// The socket of the container runtime, where one is named.
    pub socket: Option<String>,
    /// Whether the kubelet runs with swap.
    pub swap: bool,
    /// The port of an API server on this machine.
    pub port: Option<u16>,
    /// The checks whose errors kubeadm takes for warnings, in lower case; `all` stands for each.
    pub ignored: Vec<String>,
}

impl Asked {
    /// Whether kubeadm takes an error of this check of its own for a warning; the name is in lower case.
    pub fn ignores(&self, check: &str) -> bool {
        self.ignored.iter().any(|ignored| ignored == check || ignored == "all")
    }
}

/// Host and port of an API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// A name or an address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// The port of an API server that is not named.
pub const API_PORT: u16 = 6443;

impl Endpoint {
    /// `host:port`, `[2001:db8::1]:6443`, a host alone, or a URL.
    pub fn parse(text: &str) -> Option<Self> {
        let https = text.strip_prefix("https://");
        let text = https.unwrap_or(text).split('/').next()?;
        let alone = text.matches(':').count() > 1 && !text.starts_with('[');
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !alone && !text.ends_with(']') => (host, port.parse().ok()?),
            _ => (text, if https.is_some() { 443 } else { API_PORT }),
        };
        let host = host.trim_matches(['[', ']']);
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._:%".contains(c);
        let fits = !host.is_empty() && host.len() <= 253 && host.chars().all(plain);
        fits.then(|| Self { host: host.to_owned(), port })
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

/// The path behind `--config` of a command line.
pub fn config_path(words: &[String]) -> Option<&str> {
    option(words, "--config").next()
}

/// The values of an option, behind it or behind `=`.
fn option<'a>(words: &'a [String], name: &'a str) -> impl Iterator<Item = &'a str> {
    words.iter().enumerate().filter_map(move |(at, word)| match word.strip_prefix(name)? {
        "" => words.get(at + 1).map(String::as_str),
        rest => rest.strip_prefix('='),
    })
}

/// What the words behind `kubeadm` ask for, and the text of the configuration that they name. A part that can't be read is
/// left out: kubeadm itself says what is wrong with it.
pub fn asked(words: &[String], config: &str) -> Asked {
    let one = |name| option(words, name).next().map(str::to_owned);
    let mut asked = Asked {
        join: words.iter().any(|word| word == "join"),
        control_plane: words.iter().any(|word| word == "--control-plane"),
        token: one("--discovery-token").or_else(|| one("--token")).map(Secret::new),
        pins: option(words, "--discovery-token-ca-cert-hash")
            .flat_map(|v| v.split(','))
            .map(str::to_owned)
            .collect(),
        file: one("--discovery-file"),
        socket: one("--cri-socket"),
        ignored: names(option(words, "--ignore-preflight-errors").flat_map(|v| v.split(','))),
        ..Asked::default()
    };
    // The first word behind `join` that looks like an endpoint: options' values that do stand before it are rare.
    let behind = words.iter().skip_while(|word| *word != "join").skip(1);
    let argument = behind.take_while(|word| !word.starts_with('-')).next();
    asked.endpoint = argument.and_then(|word| Endpoint::parse(word));
    for (_, document) in documents(config, false) {
        if let Ok(node) = yaml::parse(document) {
            document_of(&node, &mut asked);
        }
    }
    if !asked.join {
        asked.control_plane = true;
    }
    asked
}

/// Names of checks, as kubeadm compares them.
fn names<'a>(of: impl Iterator<Item = &'a str>) -> Vec<String> {
    of.map(|name| name.trim().to_ascii_lowercase()).collect()
}

fn document_of(node: &Node, asked: &mut Asked) {
    let at = |path: &[&str]| path.iter().try_fold(node, |node, key| node.get(key));
    let text = |path: &[&str]| at(path).and_then(Node::text).map(str::to_owned);
    let wanted = if asked.join { "JoinConfiguration" } else { "InitConfiguration" };
    match text(&["kind"]).as_deref() {
        Some("KubeletConfiguration") => asked.swap |= text(&["failSwapOn"]).as_deref() == Some("false"),
        Some(kind) if kind == wanted => {
            let version = text(&["apiVersion"]).unwrap_or_default();
            asked.version = version.trim_start_matches("kubeadm.k8s.io/").to_owned();
            asked.socket = text(&["nodeRegistration", "criSocket"]).or(asked.socket.take());
            asked.control_plane |= at(&["controlPlane"]).is_some_and(|node| node.kind_name() == "a mapping");
            let token = ["discovery", "bootstrapToken"];
            let of_token = |key: &'static str| text(&[token[0], token[1], key]);
            asked.endpoint =
                of_token("apiServerEndpoint").and_then(|e| Endpoint::parse(&e)).or(asked.endpoint.take());
            asked.token = of_token("token")
                .or_else(|| text(&["discovery", "tlsBootstrapToken"]))
                .map(Secret::new)
                .or(asked.token.take());
            let pins =
                at(&["discovery", "bootstrapToken", "caCertHashes"]).and_then(Node::list).unwrap_or_default();
            asked.pins.extend(pins.iter().filter_map(Node::text).map(str::to_owned));
            let ignored = at(&["nodeRegistration", "ignorePreflightErrors"]).and_then(Node::list);
            asked.ignored.extend(names(ignored.unwrap_or_default().iter().filter_map(Node::text)));
            asked.file = text(&["discovery", "file", "kubeConfigPath"]).or(asked.file.take());
            let port = at(&["localAPIEndpoint", "bindPort"])
                .or_else(|| at(&["controlPlane", "localAPIEndpoint", "bindPort"]));
            asked.port = port.and_then(Node::int).and_then(|port| port.try_into().ok()).or(asked.port);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn endpoints_are_hosts_and_ports() {
        for (text, want) in [
            ("192.0.2.1:6443", Some("192.0.2.1:6443")),
            ("api.example", Some("api.example:6443")),
            ("[2001:db8::1]:7443", Some("[2001:db8::1]:7443")),
            ("[2001:db8::1]", Some("[2001:db8::1]:6443")),
            ("2001:db8::1", Some("[2001:db8::1]:6443")),
            ("https://api.example:8443/x", Some("api.example:8443")),
            ("https://api.example", Some("api.example:443")),
            ("api.example:70000", None),
            ("a b:1", None),
            (":1", None),
            ("", None),
        ] {
            assert_eq!(Endpoint::parse(text).map(|e| e.to_string()).as_deref(), want, "{text}");
        }
    }

    #[test]
    fn checks_that_are_ignored_stand_in_the_words_and_in_the_configuration() {
        for version in 2..=4 {
            let config = format!(
                "apiVersion: kubeadm.k8s.io/v1beta{version}\nkind: InitConfiguration\nnodeRegistration:\n  \
                 ignorePreflightErrors: [Port-10250, CRI]\n"
            );
            let line = words("init --config /i --ignore-preflight-errors=NumCPU,kubeletVersion");
            let read = asked(&line, &config);
            for check in ["port-10250", "cri", "numcpu", "kubeletversion"] {
                assert!(read.ignores(check), "{check}");
            }
            assert!(!read.ignores("port-6443"));
        }
        assert!(asked(&words("join a:1 --ignore-preflight-errors all"), "").ignores("cri"));
    }

    #[test]
    fn each_version_and_the_command_line_say_the_same() {
        let line = words(
            "join 192.0.2.1:6443 --token abcdef.0123456789abcdef --discovery-token-ca-cert-hash=sha256:aa --cri-socket /s",
        );
        let told = |asked: &Asked| {
            let token = asked.token.as_ref().map(|t| String::from_utf8(t.expose().to_vec()).unwrap());
            let endpoint = asked.endpoint.as_ref().map(Endpoint::to_string);
            (asked.join, endpoint, token, asked.pins.clone(), asked.socket.clone())
        };
        let want = told(&asked(&line, ""));
        assert_eq!(want.1.as_deref(), Some("192.0.2.1:6443"));
        for version in 1..=4 {
            let config = format!(
                "---\napiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nfailSwapOn: false\n---\n\
                 apiVersion: kubeadm.k8s.io/v1beta{version}\nkind: JoinConfiguration\ncontrolPlane: {{localAPIEndpoint: {{bindPort: 7443}}}}\n\
                 nodeRegistration: {{criSocket: /s}}\ndiscovery:\n  bootstrapToken:\n    apiServerEndpoint: 192.0.2.1:6443\n    \
                 token: abcdef.0123456789abcdef\n    caCertHashes: ['sha256:aa']\n"
            );
            let line = words("--v 5 join --config=/run/kubeadm/join.yaml");
            assert_eq!(config_path(&line), Some("/run/kubeadm/join.yaml"));
            let read = asked(&line, &config);
            assert_eq!(told(&read), want, "v1beta{version}");
            assert_eq!((read.version, read.port, read.swap), (format!("v1beta{version}"), Some(7443), true));
            assert!(read.control_plane);
        }
        let file = "apiVersion: kubeadm.k8s.io/v1beta3\nkind: JoinConfiguration\ndiscovery:\n  file: {kubeConfigPath: /k}\n  tlsBootstrapToken: a.b\n";
        let read = asked(&words("join --config /j"), file);
        assert_eq!(
            (read.file.as_deref(), read.token.is_some(), read.control_plane),
            (Some("/k"), true, false)
        );
        let read =
            asked(&words("init --config /i"), "kind: InitConfiguration\nlocalAPIEndpoint: {bindPort: 1}\n");
        assert_eq!((read.join, read.control_plane, read.port), (false, true, Some(1)));
        assert!(asked(&words("join --config /j"), "broken: [\n").endpoint.is_none());
    }
}

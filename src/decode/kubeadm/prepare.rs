// SPDX-License-Identifier: Apache-2.0
//! kubeadm's configuration made ready for this machine: placeholders become values, and the node's name and provider ID
//! are filled in where the user left them empty.
//!
//! The text is edited and not written anew: what is not touched stays byte for byte what the user wrote.

use std::collections::{BTreeMap, BTreeSet};

use super::placeholders::expand;
use crate::decode::capi::documents;
use crate::decode::document::jinja::Variables;
use crate::decode::syntax::yaml::{self, Node, Value};
use crate::model::config::NodeConfig;
use crate::model::problem::Problem;
use crate::model::storage::File;

/// How names of placeholders begin: anything else in `${}` is not ours to expand, a manifest may hold it.
const PREFIXES: &[&str] = &["AFTERBURN_", "COREOS_", "FOOTPLATE_"];

/// Where Cluster API's cloud-config has kubeadm's configuration.
const CONFIGURATIONS: &[&str] = &["/run/kubeadm/kubeadm-join-config.yaml", "/run/kubeadm/kubeadm.yaml"];

/// What placeholders stand for.
#[derive(Clone, Debug, Default)]
pub struct Values {
    /// The names of `${NAME}`.
    pub names: BTreeMap<String, String>,
    /// A template's names, where the machine's are known.
    pub variables: Option<Variables>,
    /// Names of `${NAME}` that the data's own script gives a value and puts in.
    pub left: BTreeSet<String>,
}

impl Values {
    /// Adds the names of a file of `NAME=value` lines; a name that is there already keeps its value.
    pub fn add_file(&mut self, text: &str) {
        for line in text.lines() {
            let Some((name, value)) = line.split_once('=') else { continue };
            let value = value.trim().trim_matches(['"', '\'']);
            self.add(name.trim(), value);
        }
    }

    /// Adds a name, if it is one that placeholders may have.
    pub fn add(&mut self, name: &str, value: &str) {
        if is_name(name) && !value.is_empty() {
            self.names.entry(name.to_owned()).or_insert_with(|| value.to_owned());
        }
    }

    /// Leaves to the script what it gives a value itself before it has `envsubst` put names in: a host name without its domain, for one.
    /// One whose value it takes of the same name is left only where that has one.
    pub fn leave_to(&mut self, script: &str) {
        if !script.contains("envsubst") {
            return;
        }
        for word in script.split(|c: char| c.is_whitespace() || ";&".contains(c)) {
            let Some((name, value)) = word.split_once('=').filter(|(name, _)| is_name(name)) else {
                continue;
            };
            if self.names.contains_key(name) || !value.contains(name) {
                self.left.insert(name.to_owned());
            }
        }
    }
}

/// Whether placeholders of that name are expanded.
pub(super) fn is_name(name: &str) -> bool {
    PREFIXES.iter().any(|p| name.starts_with(p) && name.len() > p.len())
        && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

/// Makes a configuration ready: its text, and what was done in words.
///
/// # Errors
/// Placeholders without a value, each by its name and place; or the text is not YAML.
pub fn prepare(text: &str, values: &Values) -> Result<(String, Vec<String>), Vec<Problem>> {
    let (mut text, count) = expand(text, values, false)?;
    let mut done = Vec::new();
    if count > 0 {
        done.push(format!("{count} placeholders expanded"));
    }
    let value = |name: &str| values.names.get(name).map(String::as_str);
    let name = value("FOOTPLATE_NODE_NAME").or_else(|| value("FOOTPLATE_HOSTNAME"));
    let filled = register(&mut text, name, value("FOOTPLATE_PROVIDER_ID")).map_err(|f| vec![f])?;
    done.extend(filled.into_iter().map(|what| format!("{what} filled in")));
    Ok((text, done))
}

/// Makes the script of the commands ready: a template's names have their values.
///
/// # Errors
/// Those that have none, each by its name and place.
pub fn script(text: &str, values: &Values) -> Result<(String, usize), Vec<Problem>> {
    expand(text, values, true)
}

/// Fills in the node's name and provider ID that the platform tells, where cloud-config's files for kubeadm leave them
/// empty. What can't be read is kubeadm's to refuse.
pub fn fill_in(config: &mut NodeConfig, name: Option<&str>, id: Option<&str>) -> Vec<Problem> {
    let mut notes: Vec<Problem> = config.files.iter().filter_map(partly_read).collect();
    for file in config.files.iter_mut().filter(|f| CONFIGURATIONS.contains(&f.path.as_str()) && !f.append) {
        let Ok(text) = std::str::from_utf8(file.content.expose()) else { continue };
        let mut text = text.to_owned();
        let Ok(filled) = register(&mut text, name, id) else { continue };
        if !filled.is_empty() {
            let what = format!("nodeRegistration is left empty: {} filled in", filled.join(" and "));
            notes.push(Problem::note(format!("{} ({})", file.place, file.path), what));
            file.content = text.as_str().into();
        }
    }
    notes
}

/// The error of a configuration of which kubeadm reads a part only. To its reader a line begins a document where `---` stands alone
/// on it; behind a `--- # comment`, which YAML takes for the same, everything is lost without a word.
fn partly_read(file: &File) -> Option<Problem> {
    let text =
        std::str::from_utf8(file.content.expose()).ok().filter(|text| text.contains("kubeadm.k8s.io/"))?;
    let mut begun = false;
    let lost = text.lines().position(|line| {
        let behind = line.strip_prefix("---");
        let lost = begun && behind.is_some_and(|b| b.starts_with([' ', '\t']) && !b.trim().is_empty());
        begun = match behind {
            Some(behind) => begun && !behind.trim().is_empty(),
            None => begun || !line.trim().is_empty() && !line.starts_with('#'),
        };
        lost
    })?;
    let what = format!(
        "kubeadm does not read what stands behind line {}: it wants `---` alone on the line",
        lost + 1
    );
    let problem = Problem::error(format!("{} ({})", file.place, file.path), what);
    Some(problem.cure("put the rest of that line on a line of its own"))
}

/// Fills in what is known and was left empty; what it was.
fn register(text: &mut String, name: Option<&str>, id: Option<&str>) -> Result<Vec<&'static str>, Problem> {
    let mut done = Vec::new();
    // Clouds that are made of OpenStack have controllers of their own, which give other ids than OpenStack's; that of a node can't be changed.
    let controller = text.contains("cloud-provider") && text.contains("external");
    let id = id.filter(|id| !(controller && id.starts_with("openstack:")));
    for (what, value) in [("name", name), ("provider-id", id)] {
        if let Some(filled) = value.map(|value| fill(text, what, value)).transpose()?.flatten() {
            *text = filled;
            done.push(what);
        }
    }
    Ok(done)
}

/// The text with a value of `nodeRegistration` filled in, `None` where the user gave one or there is nothing to fill.
fn fill(text: &str, what: &str, value: &str) -> Result<Option<String>, Problem> {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for (first, document) in documents(text, false) {
        let root = yaml::parse(document).map_err(|mut problem| {
            problem.pos.iter_mut().for_each(|pos| pos.line += first);
            problem
        })?;
        let kind = root.get("kind").and_then(Node::text).unwrap_or_default();
        if !["InitConfiguration", "JoinConfiguration"].contains(&kind) {
            continue;
        }
        // v1beta3 has a mapping of arguments, later versions a list.
        let version = root.get("apiVersion").and_then(Node::text).unwrap_or_default();
        let mapping = ["v1beta1", "v1beta2", "v1beta3"].iter().any(|v| version.ends_with(v));
        let registration = root.entries().find(|(k, _)| k.text() == Some("nodeRegistration"));
        let edit = match registration {
            None if what == "name" => {
                // Nothing is said of the node: a section of its own goes to the document's end.
                Some(Edit::Insert(
                    document.lines().count(),
                    vec!["nodeRegistration:".to_owned(), format!("  name: '{value}'")],
                ))
            }
            None => None,
            Some((key, node)) => match what {
                "name" => name(key, node, value),
                _ => argument(key, node, what, value, mapping),
            },
        };
        match edit {
            None => {}
            Some(Edit::Replace(line, with)) => {
                if let Some(have) = lines.get_mut(first + line - 1) {
                    *have = with;
                    return Ok(Some(lines.join("\n") + "\n"));
                }
            }
            Some(Edit::Insert(line, with)) => {
                let at = (first + line).min(lines.len());
                lines.splice(at..at, with);
                return Ok(Some(lines.join("\n") + "\n"));
            }
        }
    }
    Ok(None)
}

/// A change of lines, counted from 1 within their document.
enum Edit {
    /// That line becomes another.
    Replace(usize, String),
    /// Lines go behind that one.
    Insert(usize, Vec<String>),
}

/// Whether a value was left out or left empty.
fn is_unset(node: &Node) -> bool {
    node.is_null() || node.text() == Some("")
}

fn indent(columns: usize) -> String {
    " ".repeat(columns.saturating_sub(1))
}

/// The indentation of what stands in a mapping of block style; `None` for one in braces.
fn inside(key: &Node, node: &Node) -> Option<String> {
    match &node.value {
        Value::Map(entries) if !entries.is_empty() => {
            let (first, _) = &entries[0];
            (first.pos.line > key.pos.line).then(|| indent(first.pos.column))
        }
        // `{}` and nothing at all.
        _ => Some(indent(key.pos.column) + "  "),
    }
}

fn name(key: &Node, node: &Node, value: &str) -> Option<Edit> {
    let pad = inside(key, node)?;
    let head = format!("{}nodeRegistration:", indent(key.pos.column));
    match node.entries().find(|(k, _)| k.text() == Some("name")) {
        Some((_, have)) if !is_unset(have) => None,
        Some((k, _)) => Some(Edit::Replace(k.pos.line, format!("{pad}name: '{value}'"))),
        None if node.is_map() && node.entries().count() > 0 => {
            Some(Edit::Insert(key.pos.line, vec![format!("{pad}name: '{value}'")]))
        }
        None => Some(Edit::Replace(key.pos.line, format!("{head}\n{pad}name: '{value}'"))),
    }
}

fn argument(key: &Node, node: &Node, what: &str, value: &str, mapping: bool) -> Option<Edit> {
    let pad = inside(key, node)?;
    let item = |pad: &str| match mapping {
        true => vec![format!("{pad}{what}: '{value}'")],
        false => vec![format!("{pad}- name: {what}"), format!("{pad}  value: '{value}'")],
    };
    let Some((args_key, args)) = node.entries().find(|(k, _)| k.text() == Some("kubeletExtraArgs")) else {
        let mut lines = vec![format!("{pad}kubeletExtraArgs:")];
        lines.extend(item(&format!("{pad}  ")));
        return (node.entries().count() > 0).then_some(Edit::Insert(key.pos.line, lines));
    };
    match &args.value {
        Value::Map(entries) if !entries.is_empty() => {
            if let Some((k, have)) = entries.iter().find(|(k, _)| k.text() == Some(what)) {
                let pad = indent(k.pos.column);
                return is_unset(have).then(|| Edit::Replace(k.pos.line, format!("{pad}{what}: '{value}'")));
            }
            let first = &entries[0].0;
            let block = first.pos.line > args_key.pos.line;
            block.then(|| Edit::Insert(args_key.pos.line, item(&indent(first.pos.column))))
        }
        Value::List(items) if !items.is_empty() => {
            let of = |i: &&Node| i.get("name").and_then(Node::text) == Some(what);
            if let Some(have) = items.iter().find(of) {
                let (k, v) = have.entries().find(|(k, _)| k.text() == Some("value"))?;
                let pad = indent(k.pos.column);
                return is_unset(v).then(|| Edit::Replace(k.pos.line, format!("{pad}value: '{value}'")));
            }
            // An item's place is that of its first key, two columns behind the dash.
            let first = &items[0];
            let block = first.pos.line > args_key.pos.line && first.pos.column > 2;
            block.then(|| Edit::Insert(args_key.pos.line, item(&indent(first.pos.column - 2))))
        }
        _ => {
            let lines = [vec![format!("{pad}kubeletExtraArgs:")], item(&format!("{pad}  "))].concat();
            Some(Edit::Replace(args_key.pos.line, lines.join("\n")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::placeholders::tests::values;
    use super::*;

    #[test]
    fn a_document_that_kubeadm_would_not_see_is_an_error() {
        let (init, cluster) =
            ("apiVersion: kubeadm.k8s.io/v1beta4\nkind: InitConfiguration\n", "kind: ClusterConfiguration\n");
        for (line, want) in [
            ("--- # of the cluster\n", Some("behind line 3")),
            ("---\t# of the cluster\n", Some("behind line 3")),
            ("# the end\n--- {}\n", Some("behind line 4")),
            ("---\n", None),
            ("---  \n", None),
            ("# --- of the cluster\n---\n# next\n--- # once more\n", None),
        ] {
            let content = format!("{init}{line}{cluster}");
            let file = File::ours("/run/a.yaml", content);
            let problem = partly_read(&file).map(|p| p.what);
            assert_eq!(problem.is_some(), want.is_some(), "{line}");
            assert!(problem.unwrap_or_default().contains(want.unwrap_or_default()), "{line}");
        }
        assert_eq!(
            partly_read(&File::ours("/run/a.yaml", format!("--- # first\n{init}---\n{cluster}"))),
            None
        );
    }

    #[test]
    fn cloud_configs_files_get_what_the_platform_tells() {
        let file = |path: &str, content: &str| crate::model::storage::File {
            place: "write_files[0]".to_owned(),
            path: path.to_owned(),
            content: content.into(),
            owner: crate::model::storage::Owner::root(),
            mode: 0o640,
            append: false,
            existing: Default::default(),
            restart: None,
        };
        let empty = "apiVersion: kubeadm.k8s.io/v1beta4\nkind: JoinConfiguration\nnodeRegistration:\n  criSocket: s\n";
        let files = vec![
            file("/run/kubeadm/kubeadm-join-config.yaml", empty),
            file("/run/kubeadm/kubeadm.yaml", "kind: [\n"),
            file("/etc/other.yaml", empty),
        ];
        let mut config = NodeConfig { files: files.clone(), ..NodeConfig::default() };
        assert_eq!(
            fill_in(&mut config, Some("i-1"), Some("aws:///z/i-1"))
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>(),
            ["write_files[0] (/run/kubeadm/kubeadm-join-config.yaml): nodeRegistration is left empty: \
              name and provider-id filled in"]
        );
        let text = String::from_utf8(config.files[0].content.expose().to_vec()).unwrap();
        assert!(text.contains("  name: 'i-1'\n") && text.contains("    value: 'aws:///z/i-1'\n"), "{text}");
        assert_eq!(config.files[1..], files[1..]);
        // Where the platform tells neither, kubeadm takes the machine's own name.
        let mut config = NodeConfig { files: files.clone(), ..NodeConfig::default() };
        assert!(fill_in(&mut config, None, None).is_empty());
        assert_eq!(config.files, files);
    }

    #[test]
    fn a_controller_of_a_cloud_made_of_openstack_gives_the_provider_id() {
        let join = |args: &str| format!("kind: JoinConfiguration\nnodeRegistration:\n  name: a\n{args}");
        let external = "  kubeletExtraArgs:\n  - name: cloud-provider\n    value: external\n";
        for (args, id, want) in [
            ("", "openstack:///u-1", true),
            (external, "openstack:///u-1", false),
            ("  kubeletExtraArgs: {cloud-provider: external}\n", "openstack:///u-1", false),
            (external, "aws:///z/i-1", true),
        ] {
            let mut text = join(args);
            register(&mut text, None, Some(id)).unwrap();
            assert_eq!(text.contains(id), want, "{args}{id}");
        }
    }

    #[test]
    fn what_was_left_empty_is_filled_in_and_nothing_else() {
        let cluster = "kind: ClusterConfiguration\nclusterName: c\n";
        let join = "apiVersion: kubeadm.k8s.io/v1beta4\nkind: JoinConfiguration\n";
        let cases = [
            (
                format!("---\n{cluster}---\n{join}nodeRegistration:\n  criSocket: s\n  kubeletExtraArgs:\n  - name: a\n    value: b\n"),
                format!("---\n{cluster}---\n{join}nodeRegistration:\n  name: 'node-1.example'\n  criSocket: s\n  kubeletExtraArgs:\n  - name: provider-id\n    value: 'aws:///z/i-1'\n  - name: a\n    value: b\n"),
            ),
            (
                format!("{join}nodeRegistration:\n  name: mine\n  kubeletExtraArgs:\n  - name: provider-id\n    value: mine\n"),
                format!("{join}nodeRegistration:\n  name: mine\n  kubeletExtraArgs:\n  - name: provider-id\n    value: mine\n"),
            ),
            (
                format!("{join}nodeRegistration:\n  name: \"\"\n  kubeletExtraArgs:\n    - name: provider-id\n      value:\n"),
                format!("{join}nodeRegistration:\n  name: 'node-1.example'\n  kubeletExtraArgs:\n    - name: provider-id\n      value: 'aws:///z/i-1'\n"),
            ),
            (
                "apiVersion: kubeadm.k8s.io/v1beta3\nkind: InitConfiguration\nnodeRegistration:\n  kubeletExtraArgs:\n    cloud-provider: external\n".to_owned(),
                "apiVersion: kubeadm.k8s.io/v1beta3\nkind: InitConfiguration\nnodeRegistration:\n  name: 'node-1.example'\n  kubeletExtraArgs:\n    provider-id: 'aws:///z/i-1'\n    cloud-provider: external\n".to_owned(),
            ),
            (
                format!("{join}nodeRegistration: {{}}\n"),
                format!("{join}nodeRegistration:\n  kubeletExtraArgs:\n    - name: provider-id\n      value: 'aws:///z/i-1'\n  name: 'node-1.example'\n"),
            ),
            (join.to_owned(), format!("{join}nodeRegistration:\n  kubeletExtraArgs:\n    - name: provider-id\n      value: 'aws:///z/i-1'\n  name: 'node-1.example'\n")),
            (cluster.to_owned(), cluster.to_owned()),
        ];
        for (text, want) in cases {
            let (got, _) = prepare(&text, &values()).unwrap();
            assert_eq!(got, want, "{text}");
            let (again, done) = prepare(&got, &values()).unwrap();
            assert_eq!((again, done), (got, Vec::new()), "{text}");
        }
        assert!(
            prepare("kind: JoinConfiguration\na: [", &values()).unwrap_err()[0].what.contains("not YAML")
        );
        let unchanged = "kind: JoinConfiguration\nnodeRegistration: {name: x}\n";
        assert_eq!(prepare(unchanged, &Values::default()).unwrap().0, unchanged);
    }
}

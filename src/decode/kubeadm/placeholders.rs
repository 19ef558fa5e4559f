// SPDX-License-Identifier: Apache-2.0
//! Placeholders of Cluster API's Ignition data: `${NAME}` in kubeadm's configuration, and a template's `{{ ds.meta_data.NAME }}` there and in
//! the script of the commands.

use super::prepare::{Values, is_name};
use crate::decode::document::jinja;
use crate::model::problem::{Pos, Problem};

/// Names of a template's that stand alone too; all others begin with `ds` or `v1`.
const ALONE: &[&str] = &["availability_zone", "cloud_name", "instance_id", "local_hostname"];

/// Placeholders without a value that are told one by one.
const MAX_PROBLEMS: usize = 50;

/// Bytes in which a placeholder ends.
const MAX_PLACEHOLDER: usize = 256;

/// The text with the values of its placeholders, and how many there were. In a `script` `${NAME}` is the shell's.
///
/// # Errors
/// Those that have no value, each by its name and place, the first of many.
pub fn expand(text: &str, values: &Values, script: bool) -> Result<(String, usize), Vec<Problem>> {
    // What would end a quoted string of YAML can't be put into one, nor what a shell would run.
    let ends = |c: char| c.is_control() || "'\"\\".contains(c) || script && "$`".contains(c);
    let (mut out, mut count, mut problems) = (String::with_capacity(text.len()), 0, Vec::new());
    let mut at = 0;
    while let Some(found) = text[at..].find(['$', '{']) {
        let start = at + found;
        out.push_str(&text[at..start]);
        let found =
            if script && text[start..].starts_with('$') { None } else { placeholder(text, start, values) };
        let Some((name, end, value)) = found else {
            out.push_str(&text[start..=start]);
            at = start + 1;
            continue;
        };
        if problems.len() >= MAX_PROBLEMS {
            break;
        }
        let problem = |what: String| Problem::error("", what).at(pos_of(text, start));
        match value {
            Some(v) if v.contains(ends) => {
                problems.push(problem(format!("{name}: its value holds a quote or a control character")));
            }
            Some(value) => out.push_str(&value),
            None => problems.push(
                problem(format!("{name} has no value"))
                    .cure("`cat /run/metadata/*` shows the names that this platform has"),
            ),
        }
        (at, count) = (end, count + 1);
    }
    out.push_str(&text[at..]);
    if problems.is_empty() { Ok((out, count)) } else { Err(problems) }
}

/// The placeholder that begins at `start`: how it is written, where it ends, and its value.
fn placeholder<'t>(text: &'t str, start: usize, values: &Values) -> Option<(&'t str, usize, Option<String>)> {
    let mut end = text.len().min(start + MAX_PLACEHOLDER);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let rest = &text[start..end];
    if let Some(body) = rest.strip_prefix("${") {
        let length = body.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(body.len());
        let name = &body[..length];
        if !is_name(name) || values.left.contains(name) {
            return None;
        }
        // `${NAME%.*}` is a shell's: it has no value here, and the error says so by its name.
        let end = body[length..].find('}').map_or(length, |i| length + i + 1);
        let value = values.names.get(name).filter(|_| body[length..].starts_with('}')).cloned();
        return Some((&rest[..2 + end], start + 2 + end, value));
    }
    let inner = rest.strip_prefix("{{")?;
    let close = inner.find("}}")?;
    let (tag, expression) = (&rest[..close + 4], inner[..close].trim_start_matches(['-', '+']).trim_start());
    let name = |text: &str| text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    let (first, behind) = expression.split_at(name(expression));
    let value = match first {
        first if ALONE.contains(&first) => rendered(tag, values),
        "v1" | "ds" if behind.starts_with(['.', '[']) => rendered(tag, values),
        _ => return None,
    };
    // Other programs' templates may have a `ds` of their own.
    let next = behind.trim_start_matches(['.', '[', '"', '\'']);
    let ours = first != "ds" || &next[..name(next)] == "meta_data";
    (ours || value.is_some()).then_some((tag, start + tag.len(), value))
}

/// What a template makes of one tag; `None` where a name of it has no value.
fn rendered(tag: &str, values: &Values) -> Option<String> {
    let text = format!("{}\n{tag}", jinja::HEADER);
    jinja::render(text.as_str(), values.variables.as_ref()?).ok().map(|rendered| rendered.text.to_string())
}

fn pos_of(text: &str, offset: usize) -> Pos {
    let before = &text[..offset];
    let column = before.rsplit('\n').next().map_or(0, |l| l.chars().count()) + 1;
    Pos { line: before.matches('\n').count() + 1, column }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::decode::document::jinja::Variables;
    use crate::model::facts::Os;
    use crate::model::instance::Instance;

    pub(in crate::decode::kubeadm) fn values() -> Values {
        let mut values = Values::default();
        values.add_file("FOOTPLATE_HOSTNAME=node-1.example\nFOOTPLATE_PROVIDER_ID=aws:///z/i-1\nCOREOS_CUSTOM_HOSTNAME=node-1\nPATH=/x\n");
        let metadata =
            serde_json::json!({ "local-hostname": "node-1.example", "meta": { "n": 5 }, "q": "a$b" });
        let instance = Instance {
            metadata: metadata.as_object().cloned().unwrap(),
            metadata_is_ds: true,
            hostname: Some("node-1.example".to_owned()),
            ..Instance::default()
        };
        values.variables = Some(Variables::of(&instance, &Os::default()));
        values
    }

    #[test]
    fn placeholders_of_the_allowed_names_expand_and_no_others() {
        let cases = [
            ("a: '${COREOS_CUSTOM_HOSTNAME}'", "a: 'node-1'"),
            ("a: {{ ds.meta_data.local_hostname }}-{{ds.meta_data.meta.n}}", "a: node-1.example-5"),
            ("a: {{ v1.local_hostname }} {{local_hostname}} {{- ds['meta']['n'] -}}", "a: node-1 node-1 5"),
            ("a: {{ ds.meta_data.local_hostname.split(\".\")[0] | upper }}", "a: NODE-1"),
            (
                "a: {{ ds.meta_data.nope | default('x') }} {{ v1 }} {{ dsx.y }} {{ ds.y }}",
                "a: x {{ v1 }} {{ dsx.y }} {{ ds.y }}",
            ),
            (
                "a: ${PATH} $COREOS_CUSTOM_HOSTNAME $${X} {{.State}} {{ x }} ${}",
                "a: ${PATH} $COREOS_CUSTOM_HOSTNAME $${X} {{.State}} {{ x }} ${}",
            ),
            ("a: ü{ü${COREOS_CUSTOM_HOSTNAME}ü", "a: ü{ünode-1ü"),
        ];
        for (text, want) in cases {
            assert_eq!(expand(text, &values(), false).unwrap().0, want, "{text}");
        }
        let bad = [
            ("\n a: ${COREOS_CUSTOM_HOSTNME}", "${COREOS_CUSTOM_HOSTNME} has no value", 2, 5),
            ("a: ${COREOS_CUSTOM_HOSTNAME%.*}", "${COREOS_CUSTOM_HOSTNAME%.*} has no value", 1, 4),
            ("a: {{ ds.meta_data.nope }}", "{{ ds.meta_data.nope }} has no value", 1, 4),
            ("a: {{ ds.meta_data.meta }}", "its value holds a quote", 1, 4),
        ];
        for (text, what, line, column) in bad {
            let problems = expand(text, &values(), false).unwrap_err();
            assert!(problems[0].what.contains(what), "{text}: {}", problems[0]);
            assert_eq!(problems[0].pos, Some(Pos { line, column }), "{text}");
        }
    }

    #[test]
    fn in_the_script_of_the_commands_a_templates_names_alone_expand() {
        let text = "hostname \"{{ v1.local_hostname }}\"; echo ${COREOS_CUSTOM_HOSTNAME} {{.Id}}";
        let want = text.replace("{{ v1.local_hostname }}", "node-1");
        assert_eq!(expand(text, &values(), true).unwrap(), (want, 1));
        let problems = expand("echo {{ ds.meta_data.q }}", &values(), true).unwrap_err();
        assert!(problems[0].what.contains("its value holds"), "{}", problems[0]);
    }

    #[test]
    fn what_the_script_puts_in_itself_is_left_to_it() {
        let config = "name: ${COREOS_CUSTOM_HOSTNAME}\nid: ${COREOS_CUSTOM_ID}\n";
        let cut = "export COREOS_CUSTOM_HOSTNAME=${COREOS_CUSTOM_HOSTNAME%%.*}\nCOREOS_CUSTOM_ID=$(id)\n";
        let puts = "envsubst < /etc/kubeadm.yml > /etc/kubeadm.yml.tmp\n";
        let expanded = |script: &str| {
            let mut values = values();
            values.leave_to(script);
            expand(config, &values, false).map(|(text, _)| text).map_err(|problems| problems[0].what.clone())
        };
        assert_eq!(expanded(&format!("{cut}{puts}")), Ok(config.to_owned()));
        // Nothing puts them in, or there is nothing to put in.
        assert_eq!(expanded(cut), Err("${COREOS_CUSTOM_ID} has no value".to_owned()));
        let of_itself = format!("export COREOS_CUSTOM_ID=${{COREOS_CUSTOM_ID}}\n{puts}");
        assert_eq!(expanded(&of_itself), Err("${COREOS_CUSTOM_ID} has no value".to_owned()));
    }
}

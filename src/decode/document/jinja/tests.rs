// SPDX-License-Identifier: Apache-2.0
//! Templates, their errors, and what is assumed away from the machine.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use serde_json::Value as Json;

use super::*;
use crate::model::facts::Os;
use crate::model::instance::Instance;

fn variables() -> Variables {
    let metadata = serde_json::json!({
        "instance-id": "i-1", "local-hostname": "node-1.example.com", "hostname": "node-1.example.com",
        "meta": {"a.b": [1, {"c-d": true}]},
    });
    let Json::Object(metadata) = metadata else { unreachable!() };
    let instance = Instance {
        platform: "vmware",
        instance_id: "i-1".to_owned(),
        hostname: Some("node-1.example.com".to_owned()),
        metadata,
        ..Instance::default()
    };
    Variables::of(&instance, &Os { id: "flatcar".to_owned(), ..Os::default() })
}

fn rendered(body: &str) -> Result<String, Problem> {
    render(&format!("## template: jinja\n{body}"), &variables()).map(|r| r.text)
}

#[test]
fn names_are_cloud_inits() {
    let cases = [
        ("{{ ds.meta_data.hostname }}", "node-1.example.com"),
        ("{{ ds.meta_data.local_hostname }}", "node-1.example.com"),
        ("{{ ds.meta_data['local-hostname'] }}", "node-1.example.com"),
        ("{{ local_hostname }} {{ v1.local_hostname }}", "node-1 node-1"),
        ("{{ v1.instance_id }}{{ instance_id }}{{ ds.meta_data.instance_id }}", "i-1i-1i-1"),
        ("{{ ds.meta_data.meta.a_b[1].c_d }}", "True"),
        ("{{ v1.region }}", "None"),
        ("{{ nope | default('x') }}", "x"),
        ("{% if nope is defined %}a{% else %}b{% endif %}", "b"),
        ("{{ local_hostname.split('-')[1] }}{{ 'a'.upper() }}", "1A"),
        ("a\n{% raw %}\n{{.State}}\n{% endraw %}\nb\n", "a\n\n{{.State}}\nb\n"),
        ("{%raw%}\n{% raw %}\n{%endraw%}{% raw %}b{% endraw %}", "\n{% raw %}\nb"),
        ("{% if ds.meta_data.nope %}a{% endif %}b\n{% if true %}\nc\n{% endif %}\n", "b\nc\n\n"),
    ];
    for (template, want) in cases {
        assert_eq!(rendered(template).unwrap(), want, "{template}");
    }
}

#[test]
fn errors_name_line_name_and_cure() {
    let cases = [
        (
            "a: 1\nb: {{ ds.meta_data.hostnme }}\n",
            3,
            "`ds.meta_data.hostnme` has no value",
            "ds.meta_data.hostname",
        ),
        ("b: {{ local_ipv4 }}\n", 2, "`local_ipv4` has no value", "default("),
        ("x\nb: {{.State}}\n", 3, "jinja syntax", "{% raw %}"),
        ("x: ${#a[@]}\n", 2, "jinja syntax", "{% raw %}"),
        (
            "{% for i in range(100000) %}{% for j in range(100000) %}x{% endfor %}{% endfor %}",
            2,
            "too long",
            "",
        ),
    ];
    for (template, line, what, cure) in cases {
        let problem = rendered(template).unwrap_err();
        assert!(problem.what.contains(what), "{template}: {problem:?}");
        assert_eq!(problem.pos.unwrap().line, line, "{template}: {problem:?}");
        assert!(problem.cure.unwrap_or_default().contains(cure), "{template}");
    }
}

#[test]
fn a_name_without_a_value_is_named_whole_with_a_cure_that_is_jinja() {
    let cases = [
        ("{{ ds.meta_data.zone[:3] }}", "ds.meta_data.zone", "{{ ds.meta_data.zone | default('…') }}"),
        ("{{ v1.region[:-1] }}", "`none` has no parts", ""),
        ("{% for x in nope[:2] %}{% endfor %}", "nope", "{{ nope | default('…') }}"),
        ("{{ ds.meta_data.zone | upper }}", "ds.meta_data.zone", "{{ ds.meta_data.zone |"),
        ("{{ ds.meta_data.zones | join(',') }}", "ds.meta_data.zones", "{{ ds.meta_data.zones |"),
        ("{{ ds.meta_data.zones | list }}", "ds.meta_data.zones", ""),
        ("{{ ds.meta_data.zones | sort | first }}", "ds.meta_data.zones", ""),
        ("{{ ds.meta_data.index | int + 1 }}", "ds.meta_data.index", ""),
        ("{{ ds.meta_data.index + 1 }}", "ds.meta_data.index", ""),
        ("{{ 'a-%s' % ds.meta_data.zone }}", "ds.meta_data.zone", ""),
        ("{{ ds.meta_data.zone.split('-')[0] }}", "ds.meta_data.zone", ""),
        (
            "{{ ds.meta_data.zone.name }}",
            "ds.meta_data.zone.name",
            "{{ (ds.meta_data.zone | default({})).name |",
        ),
        (
            "{{ ds.meta_data['no-zone']['a b'][0] }}",
            "ds.meta_data.no-zone['a b'][0]",
            "{{ ((ds.meta_data['no-zone'] | default({}))['a b'] | default({}))[0] |",
        ),
        ("{{ [ds.meta_data.zone] }}", "ds.meta_data.zone", ""),
        ("{{ ds.meta_data.meta.a_b[7] }}", "ds.meta_data.meta.a_b[7]", ""),
        ("{{ 'x' if ds.meta_data.zone | lower else 'y' }}", "ds.meta_data.zone", ""),
    ];
    for (template, name, cure) in cases {
        let problem = rendered(template).unwrap_err();
        let name = name.replace(".no-zone", "['no-zone']");
        assert!(problem.what.contains(&name), "{template}: {problem:?}");
        let said = problem.cure.unwrap_or_default();
        assert!(said.contains(cure), "{template}: {said}");
        // The cure is a template that renders.
        let fix = said.split('`').find(|part| part.starts_with("{{")).unwrap_or_default();
        assert_eq!(rendered(fix).unwrap(), if fix.is_empty() { "" } else { "…" }, "{template}: {said}");
    }
}

#[test]
fn every_filter_names_a_name_without_a_value() {
    for filter in [
        "abs",
        "attr('a')",
        "batch(2)",
        "capitalize",
        "center",
        "count",
        "dictsort",
        "e",
        "escape",
        "filesizeformat",
        "first",
        "float",
        "forceescape",
        "format",
        "groupby('a')",
        "indent",
        "int",
        "items",
        "join",
        "last",
        "length",
        "list",
        "lower",
        "map('upper')",
        "max",
        "min",
        "pprint",
        "reject",
        "rejectattr('a')",
        "replace('a', 'b')",
        "reverse",
        "round",
        "safe",
        "select",
        "selectattr('a')",
        "slice(2)",
        "sort",
        "string",
        "striptags",
        "sum",
        "title",
        "tojson",
        "trim",
        "truncate",
        "unique",
        "upper",
        "urlencode",
        "wordcount",
        "wordwrap",
    ] {
        let problem = rendered(&format!("{{{{ ds.meta_data.zone | {filter} }}}}"));
        let problem = problem.expect_err(filter);
        assert!(problem.what.contains("`ds.meta_data.zone`"), "{filter}: {problem:?}");
    }
}

#[test]
fn values_within_each_other_are_bounded() {
    let nested = |inner: &str| {
        format!(
            "{{% set n = namespace(l=[]) %}}{{% for i in range(100000) %}}{inner}{{% endfor %}}{{{{ n.l }}}}"
        )
    };
    for inner in [
        "{% set n.l = [n.l] %}",
        "{% set n.l = (n.l,) %}",
        "{% set n.l = {0: n.l} %}",
        "{% set n.l = dict(a=n.l) %}",
        "{% set n.l = n.l | batch(1) %}",
        "{% set m = [] %}{% do m.append(n.l) %}{% set n.l = m %}",
        "{% set m = [n.l] %}{% set n.l = m %}{% do m.append(1) %}",
    ] {
        assert!(rendered(&nested(inner)).unwrap_err().what.contains("too long"), "{inner}");
    }
    let once = "{% set n = namespace(l=[]) %}{% for i in range(9000) %}{% set n.l = [n.l] %}{% endfor %}";
    assert_eq!(rendered(once).unwrap(), "");
}

#[test]
fn strings_lists_and_mappings_have_pythons_methods() {
    let cases = [
        ("{{ ds.meta_data.hostname.partition('.')[0] }}", "node-1"),
        (
            "{{ '%s-x' % ds.meta_data.hostname }} {{ 7 % 4 }} {{ '%d/%02x' % (7, 10) }}",
            "node-1.example.com-x 3 7/0a",
        ),
        (
            "{% set l = [] %}{% do l.append('a') %}{% do l.extend(['b', 'c']) %}{{ l | join }}{{ l.pop() }}",
            "abcc",
        ),
        ("{% set d = {} %}{% do d.update({'a': 1}, b=2) %}{{ d }}", "{'a': 1, 'b': 2}"),
        ("{{ (7 % 4) * 2 % 5 }}{{ ('a' ~ 'b')[1:] }}{{ 'abc'[::-1][:2] }}", "1bcb"),
        ("{{ ds.meta_data.hostname | truncate(9, true) | center(11) }}|", " node-1... |"),
    ];
    for (template, want) in cases {
        assert_eq!(rendered(template).unwrap(), want, "{template}");
    }
    for (template, what) in [
        ("{{ 'a'.nope() }}", "a string has no method `nope`"),
        ("{{ [].nope() }}", "a list has no method `nope`"),
        ("{% set l = [] %}{% do l.append(l) %}{{ l }}", "a list can't contain itself"),
        ("{% set a = [] %}{% set b = [a] %}{% do a.append(b) %}{{ a }}", "a list can't contain itself"),
        ("{{ 'a'.ljust(99999999999) }}", "more than 32 MiB"),
        ("{{ 'a' | nope }}", "nope"),
    ] {
        let problem = rendered(template).unwrap_err();
        assert!(problem.what.contains(what), "{template}: {problem:?}");
    }
}

#[test]
fn away_from_the_machine_a_name_is_taken_to_be_what_the_template_makes_of_it() {
    let variables = Variables::assumed();
    let cases = [
        ("{{ ds.meta_data.placement.availability_zone }}", &["ds.meta_data.placement.availability_zone"][..]),
        ("{{ ds.meta_data['local-ipv4'] }}", &["ds.meta_data['local-ipv4']"]),
        ("{{ ds.meta_data.tags.instance.Name | lower }}", &["ds.meta_data.tags.instance.Name"]),
        ("{{ ds.meta_data.public_keys[0] }}", &["ds.meta_data.public_keys[0]"]),
        ("{% for d in ds.meta_data.disks %}{{ d.size % 2 }}{% endfor %}", &["ds.meta_data.disks"]),
        (
            "{% for k, v in ds.meta_data.labels.items() %}{{ k }}={{ v }}{% endfor %}",
            &["ds.meta_data.labels"],
        ),
        ("{{ ds.meta_data.index | int + 1 }}", &["ds.meta_data.index"]),
        ("{{ ds.meta_data.index + 1 }}", &["ds.meta_data.index"]),
        ("{{ ds.meta_data.zone[:-1] }}{{ ds.meta_data.zone.split('-')[0] }}", &["ds.meta_data.zone"]),
        ("{{ 'a' + ds.meta_data.name }}", &["ds.meta_data.name"]),
        ("{{ range(ds.meta_data.count) | list }}", &["ds.meta_data.count"]),
        ("{{ v1.nope.x }} {{ vendordata.cloud }}", &["v1.nope.x", "vendordata.cloud"]),
        ("{% set m = ds.meta_data %}{{ m.zone }}", &["m.zone"]),
        ("{{ ds.meta_data.x | default('y') }}{% if ds.meta_data.z is defined %}{% endif %}", &[]),
    ];
    for (template, names) in cases {
        let rendered = render(&format!("## template: jinja\n{template}"), &variables);
        let rendered = rendered.unwrap_or_else(|problem| panic!("{template}: {problem:?}"));
        let said: Vec<&str> = rendered.problems.iter().filter_map(|p| p.what.split('`').nth(1)).collect();
        assert_eq!(said, names, "{template}");
    }
    for template in
        ["{{ nope }}", "{{ ds.nope }}", "{{ ds.meta_data.x.nope() }}", "{{ ds.meta_data.hostname.x }}"]
    {
        assert!(render(&format!("## template: jinja\n{template}"), &variables).is_err(), "{template}");
    }
}

#[test]
fn places_lead_back_to_the_template() {
    let text =
        "## template: jinja\n{% if true %}\nfirst: 1\n{% endif %}\nname: {{ local_hostname }} end\nlast: 2\n";
    let variables = variables();
    let rendered = render(text, &variables).unwrap();
    assert_eq!(rendered.text, "first: 1\nname: node-1 end\nlast: 2\n");
    assert_eq!(rendered.origin(Pos { line: 1, column: 1 }), Pos { line: 3, column: 1 });
    assert_eq!(rendered.origin(Pos { line: 2, column: 8 }).line, 5);
    assert_eq!(rendered.origin(Pos { line: 3, column: 7 }), Pos { line: 6, column: 7 });
    let text = "## template: jinja\na: |\n  {% raw %}\n  {{ b }}\n  {% endraw %}\nlast: 2\n";
    let rendered = render(text, &variables).unwrap();
    assert_eq!(rendered.text, "a: |\n  \n  {{ b }}\n  last: 2\n");
    assert_eq!(rendered.origin(Pos { line: 3, column: 6 }), Pos { line: 4, column: 6 });
    assert_eq!(rendered.origin(Pos { line: 4, column: 9 }), Pos { line: 6, column: 7 });
}

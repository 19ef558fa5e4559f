// SPDX-License-Identifier: Apache-2.0
//! Templates and their errors.

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
    render(&*format!("## template: jinja\n{body}"), &variables()).map(|r| r.text.to_string())
}

#[test]
fn a_machine_without_a_name_has_no_text_for_it() {
    let instance = Instance { instance_id: "i-1".to_owned(), ..Instance::default() };
    let variables = Variables::of(&instance, &Os::default());
    for name in ["local_hostname", "v1.local_hostname", "v1['local-hostname']", "ds.meta_data.local_hostname"]
    {
        let text = format!("## template: jinja\n{{{{ {name} }}}}");
        let problem = render(&*text, &variables).err().unwrap();
        assert!(problem.what.ends_with("has no value"), "{problem:?}");
        let text = format!("## template: jinja\n{{{{ {name} | default(v1.instance_id) }}}}");
        assert_eq!(render(&*text, &variables).unwrap().text.to_string(), "i-1");
    }
    let problem = render("## template: jinja\n{{ ds.nope }}", &variables).err().unwrap();
    assert!(problem.cure.unwrap().contains("such as v1.instance_id"));
}

#[test]
fn names_are_cloud_inits() {
    let cases = [
        ("{{ ds.meta_data.hostname }}", "node-1.example.com"),
        ("{{ ds.meta_data.local_hostname }}", "node-1.example.com"),
        ("{{ ds.meta_data['local-hostname'] }}", "node-1.example.com"),
        ("{{ local_hostname }} {{ v1.local_hostname }}", "node-1 node-1"),
        ("{{ v1.instance_id }}{{ instance_id }}{{ ds.meta_data.instance_id }}", "i-1i-1i-1"),
        ("{{ ds.meta_data.meta.a_b[1]['c-d'] }}", "True"),
        ("{{ ds.meta_data.meta }}", "{'a.b': [1, {'c-d': True}], 'a_b': [1, {'c-d': True}]}"),
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

/// What is rendered in pieces is what would have been rendered at once, and an error's place is that in the whole text.
#[test]
fn a_large_template_means_what_each_line_of_it_means() {
    let lines = [
        "a {{ instance_id }} }} b\n",
        "{{ instance_id -}}  \n c\n",
        "ä {\"d\":{}}\n\n",
        "{{ nope|default('x') }}\n",
    ];
    let times = |line: &str| 200_000 / line.len();
    let text: String = lines.iter().map(|line| line.repeat(times(line))).collect();
    let want: String = lines.iter().map(|line| rendered(line).unwrap().repeat(times(line))).collect();
    assert!(rendered(&text).unwrap() == want);
    let error = rendered(&format!("{text}  {{{{ v1.nope }}}}\n")).unwrap_err();
    let pos = Pos { line: text.lines().count() + 2, column: 6 };
    assert_eq!(error.pos, Some(pos), "{error}");
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
        ("x\nb: {{.State}}\n", 3, "a Go template", "{% raw %}"),
        ("x: ${#a[@]}\n", 2, "jinja syntax", "{% raw %}"),
        ("x: {{ local_ipv4 | }}\n", 2, "a part of the expression is missing before `}}`", ""),
        ("x: {{ [1] | map('nosuch') | list }}\n", 2, "no such name in `map(", "such as the filters"),
        ("x: {{ a b }}\n", 2, "`}}` is missing before a name", ""),
        ("x: {{ a( }}\n", 2, "", ""),
        ("x: {{ a 'b' }}\n", 2, "`}}` is missing before a text", ""),
        ("x: {{ `a` }}\n", 2, "a Go template", ""),
        ("x: {{ a ? }}\n", 2, "a sign that has no meaning", ""),
        ("x: {% block a %}b{% endblock %}\n", 2, "this statement is unknown", "leave its two tags out"),
        ("x: {% include 'b' %}\n", 2, "this statement is unknown", "a template here is one file"),
        ("x: {% nosuch %}\n", 2, "this statement is unknown", "{% raw %}"),
        ("x: {{ a\ny: b\nz: {{ instance_id }}\n", 2, "`{{` has no `}}`", "write `}}`"),
        ("x: {{ a\ny: b\n", 2, "`{{` has no `}}`", "write `}}`"),
        ("x: {{ 'a }}\ny: b\n", 2, "`{{` has no `}}`", "quote"),
        ("x: {{ 'a }}\ny: 'b'\n", 2, "`{{` has no `}}`", "quote"),
        ("x: {% if a\ny: b {% endif %}\n", 2, "`{%` has no `%}`", "write `%}`"),
        ("x: {{ local_ipv4 |\n  default(a 'b') }}\n", 3, "`,` is missing before a text", ""),
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
        (
            "{{ v1.region[:-1] }}",
            "`none` has no parts: `v1.region` is null here",
            "{{ v1.region | default('…', true) }}",
        ),
        ("{{ v1.region.upper() }}", "`v1.region` is null", "{{ v1.region | default('…', true) }}"),
        ("{{ region.split('-')[0] }}", "`region` is null", "{{ region |"),
        (
            "{{ v1.region | replace('a', ds.meta_data.hostname) }}{{ v1.region | first }}",
            "`v1.region` is null",
            "",
        ),
        ("{{ v1['region'] + 'x' }}", "`v1.region` is null", ""),
        ("{{ 'x' in v1.region }}", "`v1.region` is null", ""),
        ("{{ -v1.region }}", "`v1.region` is null", ""),
        ("{{ v1.region | length }}", "`v1.region` is null", ""),
        ("{% set r = v1.region %}{{ r.upper() }}", "`r` is null", ""),
        ("{% set r = v1.region %}{{ r[1:] }}", "`r` is null", ""),
        ("{% for x in nope[:2] %}{% endfor %}", "nope", "{{ nope | default('…') }}"),
        (
            "{% set n = namespace(c=0) %}{% for x in [1, 2][5] %}{% endfor %}",
            "a name has no value in `",
            "of its own",
        ),
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
    let nested = |inner: &str, times: usize| {
        format!(
            "{{% set n = namespace(l=[]) %}}{{% for i in range({times}) %}}{inner}{{% endfor %}}{{{{ n.l | length }}}}"
        )
    };
    for inner in [
        "{% set n.l = [n.l] %}",
        "{% set n.l = (n.l,) -%}",
        "{% set n.l = ((n.l), ) %}",
        "{% set n.l = {0: n.l} %}",
        "{%- set n.l = dict(a=n.l) -%}",
        "{% set n.l = n.l | batch(1) if n.l else [[1]] %}",
        "{% set m = [] %}{% do m.append(n.l) %}{% set n.l = m %}",
        "{% set m = [n.l] %}{% set n.l = m %}{% do m.append(1) %}",
    ] {
        assert!(rendered(&nested(inner, 60)).is_ok(), "{inner}: {:?}", rendered(&nested(inner, 60)));
        let problem = rendered(&nested(inner, 80)).unwrap_err();
        assert!(problem.what.contains("nested more than 64 deep"), "{inner}: {problem}");
    }
    let held = |items: usize| format!("{{% set l = ('a' * {items}) | list %}}{{{{ l | length }}}}");
    assert_eq!(rendered(&held(90_000)).unwrap(), "90000");
    assert!(rendered(&held(100_001)).unwrap_err().what.contains("more than 100000 values"));
}

#[test]
fn a_namespace_never_holds_itself() {
    for template in [
        "{% set n = namespace(a=1) %}{% set n.a = n %}",
        "{% set n = namespace(a=1) %}{% set n.a = [{'b': n}] %}",
        "{% set n = namespace(a=1) %}{% set m = namespace(n=n) %}{% set n.a = m %}",
        "{% set n = namespace(a=1) %}{% set l = [n] %}{% set n.a = l %}",
        "{% set n = namespace(a=1) %}{% set l = [] %}{% set n.a = l %}{% do l.append(n) %}",
    ] {
        let problem = rendered(template).unwrap_err();
        let said = ["a namespace can hold", "can't contain itself"];
        assert!(said.iter().any(|what| problem.what.contains(what)), "{template}: {problem}");
    }
    let fine = "{% set n = namespace(a={'b': 1}, c=[1]) %}{% set n.a = dict(n.a, d=(1, 2)) %}{{ n.a.d[1] }}{{ n.a.b }}";
    assert_eq!(rendered(fine).unwrap(), "21");
}

#[test]
fn what_stands_within_one_another_is_bounded() {
    let cases: &[(&str, &str, &str, usize, &str)] = &[
        ("{{ 1", "+1", " }}", 499, "more than 1000 words and signs"),
        ("{{ 'a'", "~'b'", " }}", 499, "more than 1000 words and signs"),
        ("{{ 1", "|string", " }}", 499, "more than 1000 words and signs"),
        ("{{ (1 == 1)", " == true", " }}", 499, "more than 1000 words and signs"),
        ("{% if 1 == 2 %}", "{% elif (1 == 2) %}", "{% else %}1{% endif %}", 200, "more than 200 branches"),
        (
            "{% if 1 == 2 %}",
            "{% elif (1 == 2) %}{% if true %}{% endif %}",
            "{% else %}1{% endif %}",
            200,
            "more than 200 branches",
        ),
    ];
    for (begin, more, end, times, what) in cases {
        let template = |times: usize| format!("{begin}{}{end}", more.repeat(times));
        let near = rendered(&template(30));
        assert!(near.is_ok(), "{begin}{more}: {near:?}");
        let problem = rendered(&template(times + 2)).unwrap_err();
        assert!(problem.what.contains(what), "{begin}{more}: {problem}");
    }
    // What stands side by side does not.
    for (begin, more, end) in [
        ("{{ [", "1, 2, ", "3] | length }}"),
        ("", "{{ ds.meta_data.hostname }}", ""),
        ("{% set a = {", "'a': 1, ", "'b': 2} %}"),
    ] {
        let wide = rendered(&format!("{begin}{}{end}", more.repeat(2000)));
        assert!(wide.is_ok(), "{begin}{more}: {wide:?}");
    }
}

#[test]
fn widths_and_fuel_are_bounded() {
    for template in [
        "{{ '%100000d' | format(1) }}",
        "{{ '%100000d' % 1 }}",
        "{{ '{:100000}'.format(1) }}",
        "{{ '%*d' % (100000, 1) }}",
        "{{ '{:{}}'.format(1, 100000) }}",
    ] {
        let problem = rendered(template).unwrap_err();
        assert!(
            problem.what.contains("a width or precision of a format is more than 9999"),
            "{template}: {problem}"
        );
    }
    assert_eq!(
        rendered(
            "{{ '%03d' | format(1) }}{{ '%s' % 123456 }}{{ 1234567 | format }}{{ '{:2}1234567'.format(1) }}"
        )
        .unwrap(),
        "0011234561234567 11234567"
    );
    // A document that is large for its own text has the fuel that it needs.
    let large = "{{ ds.meta_data.hostname }}\n".repeat(60_000);
    assert_eq!(rendered(&large).unwrap().lines().count(), 60_000);
    let endless = "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}";
    assert!(rendered(endless).unwrap_err().what.contains("runs too long"));
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
        // Where Jinja2 prints `dict_keys(['a'])` and `<Namespace {'x': 1}>`.
        (
            "{% set n = namespace(x=1) %}{% set d = {'a': 1} %}{{ d.keys() }}{{ d.items() }}{{ d.values() }}{{ n }}",
            "['a'][('a', 1)][1]{'x': 1}",
        ),
        ("{{ (7 % 4) * 2 % 5 }}{{ ('a' ~ 'b')[1:] }}{{ 'abc'[::-1][:2] }}", "1bcb"),
        ("{{ ds.meta_data.hostname | truncate(9, true) | center(11) }}|", " node-1... |"),
        (
            "{{ 1e16 }} {{ 1e15 }} {{ 1.5e-7 }} {{ 0.0001 }} {{ 1e100 | string }} {{ -2.5e20 }} {{ 0.0 }}",
            "1e+16 1000000000000000.0 1.5e-07 0.0001 1e+100 -2.5e+20 0.0",
        ),
        ("{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}", "aba"),
        (
            "{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.current }}{{ c.pos }}{{ c.reset() or c.next() }}",
            "ab1a",
        ),
        (
            "{{ ' a  b '.split(none, 1) }}{{ ' a  b '.rsplit(none, 1) }}{{ ' a  b '.split(none, 0) }}{{ ' a b '.split(none, 5) }}",
            "['a', 'b '][' a', 'b']['a  b ']['a', 'b']",
        ),
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
fn places_lead_back_to_the_template() {
    let text =
        "## template: jinja\n{% if true %}\nfirst: 1\n{% endif %}\nname: {{ local_hostname }} end\nlast: 2\n";
    let variables = variables();
    let rendered = render(text, &variables).unwrap();
    assert_eq!(*rendered.text, "first: 1\nname: node-1 end\nlast: 2\n");
    assert_eq!(rendered.origin(Pos { line: 1, column: 1 }), Pos { line: 3, column: 1 });
    assert_eq!(rendered.origin(Pos { line: 2, column: 8 }).line, 5);
    assert_eq!(rendered.origin(Pos { line: 3, column: 7 }), Pos { line: 6, column: 7 });
    let text = "## template: jinja\na: |\n  {% raw %}\n  {{ b }}\n  {% endraw %}\nlast: 2\n";
    let rendered = render(text, &variables).unwrap();
    assert_eq!(*rendered.text, "a: |\n  \n  {{ b }}\n  last: 2\n");
    assert_eq!(rendered.origin(Pos { line: 3, column: 6 }), Pos { line: 4, column: 6 });
    assert_eq!(rendered.origin(Pos { line: 4, column: 9 }), Pos { line: 6, column: 7 });
}

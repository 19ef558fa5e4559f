// SPDX-License-Identifier: Apache-2.0
//! Rendering away from the machine, where its values are not known. A name that a node may have is taken to exist, and where an
//! expression can't be worked out since it depends on such values, one that is not known comes in its place.

use std::collections::HashSet;
use std::sync::atomic::Ordering;

use minijinja::machinery::Token;
use minijinja::{Error, ErrorKind};

use super::error::{self, Chain, Context, Missing, Segment};
use super::filters::refused;
use super::rewrite::Rewritten;
use super::tag::{Tagged, Unknown, end, part, start, tag};
use super::{Outcome, Variables, attempt, body, doubt, environment, pos_of, syntax};
use crate::model::problem::{Pos, Problem, Severity};

/// Names that one document may have taken to exist.
const MAX_ASSUMED: usize = 100;

/// Parts of one document that may be taken for unknown.
const MAX_UNKNOWN: usize = 200;

/// The name of a value that is not known.
const UNKNOWN: &str = "_unknown";

/// Keys of a document that is `ds` as a whole: Oracle Cloud's.
const AT_DS: &[&str] = &[
    "availabilityDomain",
    "canonicalRegionName",
    "compartmentId",
    "definedTags",
    "displayName",
    "faultDomain",
    "freeformTags",
    "hostname",
    "id",
    "metadata",
    "ociAdName",
    "region",
    "regionInfo",
    "shape",
    "tenantId",
];

/// Names of cloud-init's that are null where the platform has no such thing.
pub(super) const NULL: &[&str] = &["availability_zone", "region"];

/// Whether this is a name of a region or a zone, which machines have where their platform has such a thing.
pub fn is_null_without(name: &str) -> bool {
    let prefix = ["v1.", "ds.meta_data."].into_iter().find_map(|prefix| name.strip_prefix(prefix));
    NULL.contains(&prefix.unwrap_or(name))
}

/// Whether any platform may have this name.
pub fn may_exist(name: &str) -> bool {
    let of_a_list = name.ends_with(']') && !name.ends_with("']");
    let parts = ["ds.meta_data", "ds.vendordata", "ds.vendor_data", "v1", "vendordata", "vendor_data"];
    let at_ds = name.strip_prefix("ds.").and_then(|rest| rest.split(['.', '[']).next());
    of_a_list
        || at_ds.is_some_and(|key| AT_DS.contains(&key))
        || parts.iter().any(|above| {
            let below = name.strip_prefix(above);
            below.is_some_and(|rest| {
                rest.starts_with(['.', '[']) || (rest.is_empty() && above.ends_with("data"))
            })
        })
}

/// Renders; each name that is missing and that a node may have is given a value, and told.
pub fn render(
    text: &str,
    rewritten: &mut Rewritten,
    variables: &Variables,
) -> Result<(Outcome, Vec<Problem>), Problem> {
    let template = body(text).1;
    let (mut exist, mut unknown, mut notes) = (HashSet::new(), Vec::<Unknown>::new(), Vec::new());
    loop {
        let outcome = attempt(template, rewritten, variables, &exist);
        let Err(error) = &outcome.result else {
            notes.extend(null_elsewhere(text, rewritten));
            return Ok((outcome, notes));
        };
        let context = Context { text, rewritten, names: &outcome.names, variables };
        let problem = error::describe(error, &context);
        let Some(failure) = Failure::of(error, &context) else { return Err(problem) };
        if let Some((name, whole)) = failure.lacks(&exist) {
            if exist.len() >= MAX_ASSUMED {
                // Each name more is one rendering more. Without a place it ends the check of this template.
                let what = format!("jinja: more than {MAX_ASSUMED} names that not every platform has");
                let cure = "`--metadata FILE` with a machine's own values lets the template be checked";
                return Err(Problem::error("", what).cure(cure));
            }
            notes.push(
                Problem { severity: Severity::Note, what: assumed(&whole), cure: None, ..problem }
                    .code(ASSUMED),
            );
            exist.insert(name);
            continue;
        }
        let Some(told) = failure.is_in_doubt() else { return Err(problem) };
        if let Some(unknown) = failure.unknown() {
            return Err(Problem { pos: problem.pos, ..unknown });
        }
        let what = format!("jinja: {}", doubt::WHAT);
        let note = Problem { severity: Severity::Note, what, cure: Some(doubt::CURE.to_owned()), ..problem };
        let note = note.code("template/unknown");
        let again = |part: &Unknown| unknown.iter().any(|other| other.part == part.part);
        match part(&failure.tag, failure.at).filter(|part| !again(part) && unknown.len() < MAX_UNKNOWN) {
            Some(part) => unknown.push(part),
            None => return Err(note),
        }
        if !told {
            notes.push(note);
        }
        exist.insert(UNKNOWN.to_owned());
        *rewritten = Rewritten::of(template, &syntax(), &unknown);
    }
}

/// The code of a note on a name that is taken to exist.
const ASSUMED: &str = "template/assumed";

fn assumed(name: &str) -> String {
    format!("jinja: `{name}` is taken to exist: not every platform has it")
}

/// Notes on names of which each machine has the key, some of them with null. Where the template asks for the value, it knows that.
fn null_elsewhere(text: &str, rewritten: &Rewritten) -> Vec<Problem> {
    let (header, template) = body(text);
    let seen = rewritten.seen(template, &syntax());
    let mut told = HashSet::new();
    let note = |chain: &Chain| {
        let name = error::name_of(&chain.path);
        let own = seen.own.iter().any(|own| own.name == name && own.range.contains(&chain.start));
        if own || told.contains(&name) {
            return None;
        }
        let tag = tag(template, chain.start)?;
        let asks = |(token, _): &Tagged<'_>| {
            matches!(token, Token::Ident("if" | "default" | "d" | "or") | Token::BlockStart)
        };
        if tag.iter().any(asks) {
            return None;
        }
        let pos = pos_of(template, chain.start);
        let pos = Pos { line: pos.line + header.matches('\n').count(), ..pos };
        let note =
            Problem { severity: Severity::Note, ..Problem::error("", assumed(&name)).at(pos) }.code(ASSUMED);
        told.insert(name);
        Some(note)
    };
    let of_null = |chain: &&Chain| {
        let name = error::name_of(&chain.path);
        NULL.contains(&name.strip_prefix("v1.").unwrap_or(&name))
    };
    // Each is looked for in the whole template.
    seen.chains.iter().filter(of_null).take(MAX_ASSUMED).filter_map(note).collect()
}

/// An error of an expression, with the tag in which it stands.
struct Failure<'a> {
    error: &'a Error,
    context: &'a Context<'a>,
    at: usize,
    tag: Vec<Tagged<'a>>,
    /// The names in the tag.
    names: Vec<&'a [Segment]>,
}

impl<'a> Failure<'a> {
    fn of(error: &'a Error, context: &'a Context<'_>) -> Option<Self> {
        let template = body(context.text).1;
        let at = error::offset(error, context)?;
        let tag = tag(template, at)?;
        let within = start(tag.first()?)..end(tag.last()?);
        let chains = context.rewritten.seen(template, &syntax()).chains.iter();
        let names = chains.filter(|chain| within.contains(&chain.start)).map(|chain| &*chain.path).collect();
        Some(Self { error, context, at, tag, names })
    }

    /// The name that it comes of, if a node may have it: the part that is missing, and all of it.
    fn lacks(&self, exist: &HashSet<String>) -> Option<(String, String)> {
        let names = self.context.names.last_missing();
        let mut names = names.into_iter().filter(|name| may_exist(name) && !exist.contains(name));
        if !error::is_missing(self.error) {
            let name = names.find(|name| self.names.iter().any(|path| error::name_of(path) == *name))?;
            return self.is_in_doubt().map(|_| (name.clone(), name));
        }
        if error::path(self.error).is_some_and(|path| !(self.is_own(&path) || self.is_data(&path))) {
            return None;
        }
        let names: Vec<String> = names.collect();
        let missing = error::missing(self.error, self.context);
        let of_it = |name: &&String| missing.as_ref().is_some_and(|missing| missing.part == **name);
        let name = names.iter().find(of_it).or(names.first())?.clone();
        let whole = missing.map_or_else(|| name.clone(), |missing| missing.whole);
        Some((name, whole))
    }

    /// Whether the expression may be worked out with other values; and whether a name in it was told.
    fn is_in_doubt(&self) -> Option<bool> {
        let of_the_template = [
            ErrorKind::SyntaxError,
            ErrorKind::UnknownFilter,
            ErrorKind::UnknownTest,
            ErrorKind::UnknownFunction,
            ErrorKind::TooManyArguments,
            ErrorKind::MissingArgument,
            ErrorKind::OutOfFuel,
            ErrorKind::WriteFailure,
        ];
        if of_the_template.contains(&self.error.kind()) || error::no_such_method(self.error) {
            return None;
        }
        let depends = self.names.iter().any(|path| self.is_own(path) || self.is_data(path));
        if error::is_missing(self.error) {
            // A part of a name is as well known as the name, but for how many items a list has.
            let may_be = |path: Vec<Segment>| {
                self.is_own(&path) || matches!(path.last(), Some(Segment::Index(_))) && self.is_data(&path)
            };
            return (depends && error::path(self.error).is_none_or(may_be)).then_some(false);
        }
        let names = self.context.names;
        let used = names.used.load(Ordering::Relaxed);
        let unknown =
            |path: &&[Segment]| self.is_own(path) || self.is_data(path) && !self.is_everywhere(path);
        if (used || !names.last_missing().is_empty()) && self.names.iter().any(unknown) {
            return Some(used);
        }
        // Of a value that every machine has, the kind is known, but not what is in it.
        (depends && self.error.kind() == ErrorKind::CannotUnpack).then_some(false)
    }

    /// A filter, a test or a name of the tag that there is not, whatever the machine has.
    fn unknown(&self) -> Option<Problem> {
        let environment = environment("");
        let state = environment.empty_state();
        let word = |at: usize| match self.tag.get(at) {
            Some((Token::Ident(word), _)) => Some(*word),
            _ => None,
        };
        for (at, (token, _)) in self.tag.iter().enumerate() {
            let behind = if word(at + 1) == Some("not") { at + 2 } else { at + 1 };
            match (token, word(behind)) {
                (Token::Pipe, Some(name)) if let Some(what) = refused(&state, name) => {
                    return Some(error::unknown(&what));
                }
                (Token::Ident("is"), Some(name)) if !minijinja::tests::is_test(&state, name) => {
                    return Some(error::unknown(&format!("test {name} is unknown")));
                }
                _ => {}
            }
        }
        let guards = ["default", "d", "defined", "undefined"];
        if (0..self.tag.len()).filter_map(word).any(|word| guards.contains(&word)) {
            return None;
        }
        let of_the_engine = |path: &[Segment]| {
            let special = ["loop", "caller", "varargs", "kwargs", "self"];
            let Some(Segment::Name(first)) = path.first() else { return false };
            special.contains(&&**first) || environment.globals().any(|(name, _)| name == first)
        };
        let known = |path: &[Segment]| self.is_data(path) || self.is_own(path) || of_the_engine(path);
        let whole = error::name_of(self.names.iter().find(|path| !known(path))?);
        let missing = Missing { part: whole.clone(), whole, start: None };
        Some(error::without_value(missing, self.context.variables))
    }

    /// Whether a name is one of the instance's data.
    fn is_data(&self, path: &[Segment]) -> bool {
        let Some(Segment::Name(first)) = path.first() else { return false };
        self.context.variables.values.contains_key(first) || may_exist(first)
    }

    /// Whether a name is that of a variable which the template may have set.
    fn is_own(&self, path: &[Segment]) -> bool {
        let seen = self.context.rewritten.seen(body(self.context.text).1, &syntax());
        let Some(Segment::Name(first)) = path.first() else { return false };
        seen.own.iter().any(|own| own.name == *first && own.range.contains(&self.at))
    }

    /// Whether every machine has this name.
    fn is_everywhere(&self, path: &[Segment]) -> bool {
        self.context.variables.get(path).is_some()
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]
mod tests {
    use std::sync::Arc;

    use super::super::{render, render_on};
    use super::*;
    use crate::decode::document::place::Text;
    use crate::model::problem::Pos;

    #[test]
    fn away_from_the_machine_a_name_is_taken_to_be_what_the_template_makes_of_it() {
        let variables = Variables::assumed();
        let cases = [
            (
                "{{ ds.meta_data.placement.availability_zone }}",
                &["ds.meta_data.placement.availability_zone"][..],
            ),
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
            // A text on one platform, a mapping on another.
            ("{{ ds.meta_data.region.regioncode }}", &["ds.meta_data.region.regioncode"]),
            ("{{ ds.meta_data.region | upper }}", &["ds.meta_data.region"]),
            (
                "{{ v1.region.upper() }}-{{ v1.region[:-1] }}{{ availability_zone }}",
                &["v1.region", "availability_zone"],
            ),
            (
                "{% if v1.region %}x{% endif %}{{ region or 'x' }}{{ v1.availability_zone | default('x', true) }}",
                &[],
            ),
            ("{{ ds.meta_data.x | default('y') }}{% if ds.meta_data.z is defined %}{% endif %}", &[]),
        ];
        for (template, names) in cases {
            let text = format!("## template: jinja\n{template}");
            let rendered = render(&*text, &variables);
            let rendered = rendered.unwrap_or_else(|problem| panic!("{template}: {problem:?}"));
            let said: Vec<&str> = rendered.problems.iter().filter_map(|p| p.what.split('`').nth(1)).collect();
            assert_eq!(said, names, "{template}");
        }
        for template in
            ["{{ nope }}", "{{ ds.nope }}", "{{ ds.meta_data.x.nope() }}", "{{ ds.meta_data.hostname.x }}"]
        {
            assert!(render(&*format!("## template: jinja\n{template}"), &variables).is_err(), "{template}");
        }
    }

    /// Each renders on some machine.
    #[test]
    fn away_from_the_machine_what_depends_on_its_values_is_no_error() {
        for template in [
            "{{ ds.meta_data.tags | dictsort }}{{ ds.meta_data.tags | items | list }}",
            "{{ ds.meta_data.disks[::-1] }}{{ ds.meta_data.disks | tojson }}{{ ds.meta_data | pprint }}",
            "{% for mtu, nics in ds.meta_data.nics | groupby('mtu') %}{{ mtu + 1 }}{{ nics | length }}{% endfor %}",
            "{{ 'x' in ds.meta_data.disks }}{{ ds.meta_data.size in 'abc' }}",
            "{{ 'a' * ds.meta_data.size }}{{ ds.meta_data.size * 'a' }}{{ 'a'.split(ds.meta_data.size) }}",
            "{{ {'small': 1}[ds.meta_data.size] }}{{ {'a': {'b': 1}}[ds.meta_data.a][ds.meta_data.b] }}",
            "{{ [1, 2][ds.meta_data.index] }}{{ public_ssh_keys[1] }}{{ ds.meta_data.hostname[40] }}",
            "{{ local_hostname.split('-')[4] }}{{ local_hostname.index('x') }}{{ '%s%s' % (region.split('-') + []) }}",
            "{{ 7 // (ds.meta_data.n | int) }}{{ range(ds.meta_data.n, 9) | list }}{{ -ds.meta_data.n }}",
            "{{ 'a' | center(ds.meta_data.n) }}{{ [1] | batch(ds.meta_data.n) | list }}{{ 1 | round(ds.meta_data.n) }}",
            "{% set a, b, c, d = ds.meta_data.ip.split('.') %}{{ a + d }}{% set e, f, g = region.split('-') %}{{ e }}",
            "{% for a, b, c in ds.meta_data.routes if a > 1 %}{{ a ~ b + c }}{% endfor %}",
            "{% for d in ds.meta_data.tree recursive %}{{ d.n }}{{ loop(d.sub) if d.sub }}{% endfor %}",
            "{% if ds.meta_data.s == 'a' %}{% set n = 1 %}{% elif ds.meta_data.s == 'b' %}{% set n = 2 %}{% endif %}{{ n }}",
            "{% set n = namespace(t=0) %}{% for d in ds.meta_data.disks %}{% set n.t = n.t + d.size %}{% endfor %}{{ n.t * 2 }}",
            "{% set l = [] %}{% for d in ds.meta_data.disks %}{% do l.append(d.n + 1) %}{% endfor %}{{ l | sort | join }}",
            "{% macro m(x, y='a' * ds.meta_data.n) %}{{ x + 1 }}{{ y }}{% endmacro %}{{ m(ds.meta_data.i) }}",
            "{% macro m(x) %}{{ caller() }}{% endmacro %}{% call m('a' * ds.meta_data.n) %}{% endcall %}",
            "{% with a = 1, b = [1][ds.meta_data.n], c = 2 %}{{ a + c }}{{ b }}{% endwith %}",
            "{% filter indent(ds.meta_data.n) %}a{% endfilter %}{% do ds.meta_data.disks.append(1 + ds.meta_data.n) %}",
            "{{ 'a' * ds.meta_data.size ~ (nope | default('x')) }}{% set _ = 1 %}{{ _ }}",
            "{% set x %}{{ [1][ds.meta_data.n] }}{% endset %}{{ x ~ 1 }}",
        ] {
            let text = Text::Made(Arc::new(format!("## template: jinja\n{template}")));
            let (rendered, problems) = render_on(text, &Variables::assumed());
            assert_eq!(problems, [], "{template}");
            let notes = rendered.expect(template).problems;
            assert!(
                !notes.is_empty() && notes.iter().all(|n| n.severity == Severity::Note),
                "{template}: {notes:?}"
            );
        }
        let note = |template: &str| {
            let text = format!("## template: jinja\n{template}");
            render(&*text, &Variables::assumed()).unwrap().problems.remove(0)
        };
        let unknown = note("a\nb {{ local_hostname.split('-')[4] }} {{ local_hostname }}");
        assert_eq!((unknown.pos, &*unknown.code), (Some(Pos { line: 3, column: 6 }), "template/unknown"));
        assert!(unknown.cure.unwrap().contains("--metadata FILE"));
    }

    /// What fails with the values of every machine.
    #[test]
    fn away_from_the_machine_what_no_machine_has_is_an_error() {
        for (template, what) in [
            ("{{ local_hostname + 1 }}", "a value does not fit"),
            ("{{ 'a' * ds.meta_data.size | nope }}", "filter nope is unknown"),
            ("{{ ('a' * ds.meta_data.size) | random }}", "`random` is not offered"),
            ("{{ ds.meta_data.x | random }}", "`random` is not offered"),
            ("{% if ('a' * ds.meta_data.size) is not nope %}{% endif %}", "test nope is unknown"),
            ("{{ 'a' * ds.meta_data.size ~ nope.x }}", "`nope.x` has no value"),
            ("{{ [1][ds.meta_data.x] ~ nope(1) }}", "nope"),
            ("{{ ds.meta_data.x + nope }}", "`nope` has no value"),
            ("{{ ds.meta_data.x.nope() }}", "can't be called"),
            ("{{ ds.meta_data.nope() }}", "no method `nope`"),
            ("{% if ds.meta_data.z is defined %}{% endif %}{{ nope }}", "`nope` has no value"),
            (
                "{% for d in ds.meta_data.disks %}{% set last = d %}{% endfor %}{{ last }}",
                "`last` has no value",
            ),
            ("{{ ds.meta_data.x }}{{ 1 + 'a' }}", "a value does not fit"),
            ("{{ ds.meta_data.x + }}", "jinja syntax"),
        ] {
            let text = Text::Made(Arc::new(format!("## template: jinja\n{template}")));
            let (_, problems) = render_on(text, &Variables::assumed());
            assert!(
                problems.iter().any(|p| p.is_error() && p.what.contains(what)),
                "{template}: {problems:?}"
            );
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//! User-data taken apart: envelopes, MIME, archives, includes and templates opened until only documents are left
//! ([formats](https://docs.cloud-init.io/en/latest/explanation/format.html)).

mod archive;
pub mod coreos;
pub mod envelope;
mod include;
pub mod jinja;
mod keys;
pub(crate) mod merge;
mod message;
mod mime;
mod other;
pub(crate) mod patch;
mod place;
mod transfer;

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;

use self::envelope::MAX_DECODED;
pub(super) use self::include::display_url;
use self::jinja::Variables;
use self::mime::is_message;
use self::place::{Place, Stop, Text};
pub use self::place::{Step, prefixed, step_to_scalar, unlabelled};
use crate::decode::syntax::placeholder;
use crate::model::fetch::{Request, Unfetched};
use crate::model::problem::{Pos, Problem};

/// Parts within parts that are opened. What people nest is MIME, an include in it and a template in that.
const MAX_DEPTH: usize = 10;

/// Documents that one user-data may have.
const MAX_DOCUMENTS: usize = 200;

/// What a document is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `#cloud-config`.
    CloudConfig,
    /// `#cloud-config-jsonp`: a JSON patch of the cloud-config so far.
    JsonPatch,
    /// `#!`: a program of the bootstrap, once per instance.
    Script,
    /// `#cloud-boothook`: a program for every boot, before anything else.
    Boothook,
    /// A program for every boot, when all else is done.
    BootScript,
    /// Ignition's JSON.
    Ignition,
    /// `#include` and `#include-once`: a list of files to read instead.
    Include,
    /// `#cloud-config-archive`: a list of documents.
    Archive,
    /// `## template: jinja`: another document once rendered.
    Template,
    /// A MIME message.
    Message,
    /// A format that is known by name and not read, and what to do instead.
    Refused(&'static str, &'static str),
}

const PART_HANDLER: Kind =
    Kind::Refused("a Python part-handler can't run: Flatcar has no Python", "do its work in a #! script");

const HEADED_IGNITION: Kind = Kind::Refused(
    "this is an Ignition config below the first line of a cloud-config",
    "take away what stands before its `{`",
);

/// How documents begin, longest first among those that share a beginning. cloud-init matches prefixes in any case.
const HEADERS: &[(&str, Kind)] = &[
    (jinja::HEADER, Kind::Template),
    ("#cloud-config-archive", Kind::Archive),
    ("#cloud-config-jsonp", Kind::JsonPatch),
    ("#cloud-config", Kind::CloudConfig),
    ("#cloud-boothook", Kind::Boothook),
    ("#include", Kind::Include),
    ("#part-handler", PART_HANDLER),
    ("#!", Kind::Script),
];

/// The media types that say what a part is. Once per instance and once per machine are one here: a machine of Cluster
/// API is one instance all its life.
pub const MEDIA_TYPES: &[(&str, Kind)] = &[
    ("application/node.eks.aws", Kind::Refused(other::NODEADM.0, other::NODEADM.1)),
    ("application/vnd.coreos.ignition+json", Kind::Ignition),
    ("text/cloud-boothook", Kind::Boothook),
    ("text/cloud-config", Kind::CloudConfig),
    ("text/cloud-config-archive", Kind::Archive),
    ("text/cloud-config-jsonp", Kind::JsonPatch),
    ("text/jinja2", Kind::Template),
    ("text/part-handler", PART_HANDLER),
    ("text/x-include-once-url", Kind::Include),
    ("text/x-include-url", Kind::Include),
    ("text/x-shellscript", Kind::Script),
    ("text/x-shellscript-per-boot", Kind::BootScript),
    ("text/x-shellscript-per-instance", Kind::Script),
    ("text/x-shellscript-per-once", Kind::Script),
];

/// Media types that say nothing of what a part is; gzip's many names are among them, since gzip is told by its bytes.
const VAGUE_TYPES: &[&str] = &[
    "application/gzip",
    "application/gzip-compressed",
    "application/gzipped",
    "application/octet-stream",
    "application/x-compress",
    "application/x-compressed",
    "application/x-gunzip",
    "application/x-gzip",
    "application/x-gzip-compressed",
    "text/plain",
    "text/x-not-multipart",
];

/// What bytes are by how they begin, or `None` where nothing says so.
pub fn sniff(data: &[u8]) -> Option<Kind> {
    let whole = data.strip_prefix(b"\xef\xbb\xbf").unwrap_or(data);
    let data = whole.trim_ascii_start();
    let indent = whole[..whole.len() - data.len()].rsplit(|b| *b == b'\n').next().unwrap_or_default();
    let begins =
        |header: &str| data.get(..header.len()).is_some_and(|t| t.eq_ignore_ascii_case(header.as_bytes()));
    if data.starts_with(b"{") {
        if std::str::from_utf8(data).is_ok_and(keys::is_ignition) {
            return Some(Kind::Ignition);
        }
        // What is broken is an Ignition config that has the word early.
        let named = || data.windows(10).take(4096).any(|w| w == b"\"ignition\"").then_some(Kind::Ignition);
        return other::recognise(data, indent).or_else(named);
    }
    // Headers are short; a text that is not a message is not searched to its end.
    let head = String::from_utf8_lossy(&data[..data.len().min(16 << 10)]);
    match HEADERS.iter().find(|(header, _)| begins(header)).map(|(_, kind)| *kind) {
        // What another system reads may begin as a cloud-config does, or as a program.
        Some(Kind::CloudConfig) if is_headed_ignition(data) => Some(HEADED_IGNITION),
        Some(Kind::CloudConfig) => other::recognise(data, indent).or(Some(Kind::CloudConfig)),
        Some(Kind::Script) if begins("#!ipxe") => other::recognise(data, indent),
        None if is_message(&head) => Some(Kind::Message),
        None => other::recognise(data, indent),
        by_header => by_header,
    }
}

/// Whether what stands below a cloud-config's header is an Ignition config.
fn is_headed_ignition(data: &[u8]) -> bool {
    let text = std::str::from_utf8(data).unwrap_or_default();
    let body = keys::without_head(text);
    body.starts_with('{') && keys::is_ignition(body)
}

/// How places in the vendor's data begin.
pub(super) const VENDOR: &str = "vendor-data";

/// Whose data it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The user's.
    User,
    /// The vendor's, which gives way to the user's.
    Vendor,
}

/// One part of the data, opened: what it is, its text, and where that stood.
pub struct Document<'d> {
    /// What it is: never one that is opened further.
    pub kind: Kind,
    /// Its text with its header, lines ended by LF.
    pub text: Text<'d>,
    /// What messages call it, `part 2 (text/cloud-config)`; empty for data that is this one document.
    pub label: String,
    /// Its file name, where the data gives one; `part-001` and so on without.
    pub name: String,
    /// How it is merged with the cloud-configs before it, where a header says so.
    pub merge_type: Option<String>,
    /// Whether an include list brought it.
    pub included: bool,
    /// The way back to the text that its author wrote.
    origin: Vec<Step<'d>>,
}

impl Document<'_> {
    /// A problem in its text as one in the text that its author wrote.
    pub fn locate(&self, mut problem: Problem) -> Problem {
        for step in self.origin.iter().rev() {
            if let Step::Rendered(rendered) = step {
                problem = rendered.weigh(problem);
            }
            problem.pos = problem.pos.map(|pos| step.back(pos));
        }
        problem.place = prefixed(&self.label, &problem.place);
        problem
    }
}

/// Brings what data names: the bytes, `None` where that is not done here.
pub type Fetch<'a> = dyn FnMut(&Request) -> Result<Option<Vec<u8>>, Unfetched> + 'a;

/// A [`Fetch`] that brings nothing, for where the machine is not at hand.
///
/// # Errors
/// Never.
pub fn no_fetch(_: &Request) -> Result<Option<Vec<u8>>, Unfetched> {
    Ok(None)
}

/// The documents of one piece of data, in its order.
#[derive(Default)]
pub struct Documents<'d> {
    /// The documents.
    pub list: Vec<Document<'d>>,
    /// What was found while they were taken apart.
    pub problems: Vec<Problem>,
    /// What coreos-cloudinit's words stand for on this machine.
    pub words: coreos::Words,
}

/// Takes data apart. What can't be opened is a problem, and the rest is opened all the same.
pub fn read<'d>(
    source: Source,
    data: &'d [u8],
    variables: &Variables,
    fetch: &mut Fetch<'_>,
) -> Documents<'d> {
    let label = if source == Source::Vendor { VENDOR } else { "" };
    let mut reader =
        Reader { variables, fetch, documents: Documents::default(), parts: 0, includes: 0, bytes: 0 };
    let place = Place { label: label.to_owned(), ..Place::default() };
    if let Err(problem) = reader.bytes(Cow::Borrowed(data), &place) {
        reader.documents.problems.push(*problem);
    }
    let mut documents = reader.documents;
    documents.words = variables.words();
    if source == Source::User && documents.list.is_empty() && documents.problems.is_empty() {
        documents.problems.push(
            Problem::error("", "the user-data is empty")
                .cure("give it a cloud-config, a script or an Ignition config"),
        );
    }
    documents
}

/// What to do about gzip data that is not whole.
const PACK_AGAIN: &str = "pack it again, and compare its size with what the platform gives: `gzip -t FILE` tells whether it is whole";

struct Reader<'d, 'a, 'f> {
    variables: &'a Variables,
    fetch: &'a mut Fetch<'f>,
    documents: Documents<'d>,
    /// Parts so far, those included that no document came of: a part without a name is named by its number.
    parts: usize,
    includes: usize,
    bytes: usize,
}

impl<'d> Reader<'d, '_, '_> {
    /// Opens envelopes, then what is in them.
    fn bytes(&mut self, data: Cow<'d, [u8]>, place: &Place<'d>) -> Result<(), Stop> {
        if place.depth > MAX_DEPTH {
            let what = format!("parts within parts more than {MAX_DEPTH} deep");
            return Err(place.stop(Problem::error("", what)));
        }
        let (opened, packed) = opened(data).map_err(|what| {
            let packed = what.contains("gzip");
            let problem = Problem::error("", what);
            place.stop(if packed { problem.cure(PACK_AGAIN) } else { problem })
        })?;
        self.bytes += opened.len();
        if self.bytes > MAX_DECODED {
            let what = format!("the data unpacks to more than {} MiB", MAX_DECODED >> 20);
            return Err(place.stop(Problem::error("", what)));
        }
        let place = if packed { place.clone().decoded() } else { place.clone() };
        match text_of(opened) {
            Ok(text) => self.text(text, place),
            Err(pos) => {
                let problem = Problem::error("", "not UTF-8 text").at(pos);
                Err(place.stop(problem.cure("save it as UTF-8; what is binary travels in base64")))
            }
        }
    }

    fn text(&mut self, text: Text<'d>, place: Place<'d>) -> Result<(), Stop> {
        let declared = place.media_type.as_deref();
        let vague = declared.is_none_or(|t| VAGUE_TYPES.contains(&t));
        let sniffed = sniff(text.as_bytes());
        let by_type = MEDIA_TYPES.iter().find(|(name, _)| Some(*name) == declared).map(|(_, kind)| *kind);
        let kind = match (by_type, sniffed) {
            // What the header declares is cloud-config, a script or a hook may all be a template. Scripts are declared
            // by programs that send anything as one.
            (_, Some(Kind::Template)) => Some(Kind::Template),
            (Some(Kind::Script), Some(kind)) => Some(kind),
            (Some(Kind::CloudConfig), Some(kind @ Kind::Refused(..))) => Some(kind),
            (Some(kind), _) => Some(kind),
            // A part for another program is not read.
            (None, Some(Kind::Refused(..))) if !vague => None,
            (None, kind) => kind,
        };
        match kind {
            Some(Kind::Message) if vague => self.message(&text, &place),
            Some(Kind::Template) if place.rendered => {
                Err(place.stop(Problem::error("", "a template within a template")))
            }
            Some(Kind::Template) => self.template(text, place),
            Some(Kind::Include) => self.include(&text, &place),
            Some(Kind::Archive) => self.archive(&text, &place),
            Some(Kind::Refused(what, instead)) => Err(place.stop(Problem::error("", what).cure(instead))),
            Some(kind) if by_type.is_some() || vague => self.document(kind, text, place),
            _ if text.trim().is_empty() => {
                self.parts += 1;
                Ok(())
            }
            _ if !vague => {
                self.parts += 1;
                let what = "a part of this media type has no effect";
                self.documents.problems.push(place.problem(Problem::warning("", what)));
                Ok(())
            }
            _ if let Some(problem) = placeholder(&text, Pos { line: 1, column: 1 }) => Err(place.stop(problem)),
            _ => Err(place.stop(
                Problem::error("", "the format of this data is not known").at(Pos { line: 1, column: 1 }).cure(
                    "the first line must be `#cloud-config`, or `## template: jinja` with `#cloud-config` below it",
                ),
            )),
        }
    }

    fn document(&mut self, kind: Kind, text: Text<'d>, place: Place<'d>) -> Result<(), Stop> {
        self.parts += 1;
        if self.documents.list.len() >= MAX_DOCUMENTS {
            return Err(place.stop(Problem::error("", format!("more than {MAX_DOCUMENTS} documents"))));
        }
        let name = place.name.unwrap_or_else(|| format!("part-{:03}", self.parts));
        let Place { label, origin, merge_type, included, .. } = place;
        self.documents.list.push(Document { kind, text, label, name, merge_type, included, origin });
        Ok(())
    }

    /// Reads a piece and goes on where it is broken: all that is wrong is told at once.
    fn piece(&mut self, data: Vec<u8>, place: &Place<'d>) -> Result<(), Stop> {
        if self.documents.problems.len() > MAX_DOCUMENTS {
            return Err(place.stop(Problem::error("", "too many parts are broken, the rest was not read")));
        }
        if let Err(problem) = self.bytes(Cow::Owned(data), place) {
            self.documents.problems.push(*problem);
        }
        Ok(())
    }

    fn template(&mut self, text: Text<'d>, mut place: Place<'d>) -> Result<(), Stop> {
        let (rendered, errors) = jinja::render_on(text, self.variables);
        self.documents.problems.extend(errors.into_iter().map(|error| place.problem(error)));
        let Some(rendered) = rendered else { return Ok(()) };
        self.documents.problems.extend(rendered.problems.iter().map(|f| place.problem(f.clone())));
        let rendered = Rc::new(rendered);
        place.origin.push(Step::Rendered(Rc::clone(&rendered)));
        place.rendered = true;
        // What it is, its own header says: the type that was declared may be the template's.
        place.media_type = place.media_type.filter(|t| t != "text/jinja2");
        self.bytes += rendered.text.len();
        self.text(Text::Made(Arc::clone(&rendered.text)), place)
    }
}

/// What stands in the envelopes, and whether there were any.
fn opened(data: Cow<'_, [u8]>) -> Result<(Cow<'_, [u8]>, bool), String> {
    match data {
        Cow::Borrowed(data) => {
            let opened = envelope::open(data)?;
            let packed = matches!(opened, Cow::Owned(_));
            Ok((opened, packed))
        }
        Cow::Owned(data) => match envelope::open(&data)? {
            Cow::Owned(opened) => Ok((Cow::Owned(opened), true)),
            Cow::Borrowed(_) => Ok((Cow::Owned(data), false)),
        },
    }
}

/// Bytes as text with line ends of LF alone, which jinja, YAML and shells want; or where it stops to be text.
fn text_of(bytes: Cow<'_, [u8]>) -> Result<Text<'_>, Pos> {
    let text = match bytes {
        Cow::Borrowed(bytes) => std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|e| (e, bytes.into())),
        Cow::Owned(bytes) => {
            String::from_utf8(bytes).map(Cow::Owned).map_err(|e| (e.utf8_error(), Cow::Owned(e.into_bytes())))
        }
    };
    let text = text.map_err(|(e, bytes)| last_pos(&bytes[..e.valid_up_to()]))?;
    let plain = text.strip_prefix('\u{feff}').unwrap_or(&text);
    Ok(match plain.contains("\r\n") {
        true => Text::Made(Arc::new(plain.replace("\r\n", "\n"))),
        false if plain.len() < text.len() => Text::Made(Arc::new(plain.to_owned())),
        false => text.into(),
    })
}

/// A file name as cloud-init cleans it: its order among the others' is that of the programs.
fn file_name(name: &str) -> Option<String> {
    let plain = |c: &char| c.is_ascii_alphanumeric() || "-_.()".contains(*c);
    let clean: String = name.replace('/', "_").chars().filter(plain).take(100).collect();
    (!clean.trim_matches('.').is_empty()).then_some(clean)
}

/// The place behind the last of these bytes.
fn last_pos(before: &[u8]) -> Pos {
    let text = String::from_utf8_lossy(before);
    let column = text.rsplit('\n').next().map_or(0, |l| l.chars().count());
    Pos { line: text.matches('\n').count() + 1, column: column + 1 }
}

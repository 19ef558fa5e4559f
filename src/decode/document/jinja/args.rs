// SPDX-License-Identifier: Apache-2.0
//! Arguments of methods and filters: by place or by name, as Python takes them.

use std::fmt;

use minijinja::value::Kwargs;
use minijinja::{Error, ErrorKind, Value};

/// What was wrong, in words that hold no value: they may be shown.
#[derive(Debug)]
pub struct Said(pub String);

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Said {}

/// An error whose words may be shown.
pub fn failed(what: impl Into<String>) -> Error {
    Error::from(ErrorKind::InvalidOperation).with_source(Said(what.into()))
}

/// An error of a value that has less in it than is asked of it: another value of its kind may have it.
pub fn lacks(what: impl Into<String>) -> Error {
    Error::from(ErrorKind::CannotUnpack).with_source(Said(what.into()))
}

/// No such method.
pub fn unknown(of: &str, method: &str) -> Error {
    Error::from(ErrorKind::UnknownMethod).with_source(Said(format!("{of} has no method `{method}`")))
}

/// Arguments of a call.
pub struct Args<'a> {
    places: &'a [Value],
    names: Option<Kwargs>,
}

impl<'a> Args<'a> {
    /// Takes the named ones, which stand last, from the others.
    pub fn of(args: &'a [Value]) -> Result<Self, Error> {
        match args.split_last() {
            Some((last, places)) if last.is_kwargs() => {
                Ok(Self { places, names: Some(Kwargs::try_from(last.clone())?) })
            }
            _ => Ok(Self { places: args, names: None }),
        }
    }

    /// The argument at that place, or of that name.
    pub fn get(&self, place: usize, name: &str) -> Option<Value> {
        let named = || self.names.as_ref().filter(|n| n.has(name)).and_then(|n| n.get(name).ok());
        self.places.get(place).cloned().or_else(named)
    }

    /// An argument that must be there.
    pub fn needed(&self, place: usize, name: &str) -> Result<Value, Error> {
        self.get(place, name).ok_or_else(|| failed("an argument is missing"))
    }

    /// A number, `None` where it is left out or none.
    pub fn int(&self, place: usize, name: &str) -> Result<Option<i64>, Error> {
        match self.get(place, name).filter(|v| !v.is_none()) {
            None => Ok(None),
            Some(value) if value.is_integer() || bool::try_from(value.clone()).is_ok() => {
                i64::try_from(value).map(Some).map_err(|_| failed("a number is too large"))
            }
            Some(_) => Err(failed("an argument must be a whole number")),
        }
    }

    /// A text, `None` where it is left out or none.
    pub fn text(&self, place: usize, name: &str) -> Result<Option<String>, Error> {
        match self.get(place, name).filter(|v| !v.is_none()) {
            None => Ok(None),
            Some(value) => {
                let text = value.as_str().map(str::to_owned);
                text.map(Some).ok_or_else(|| failed("an argument must be a text"))
            }
        }
    }

    /// The named arguments.
    pub fn named(&self) -> Vec<(Value, Value)> {
        let Some(names) = &self.names else { return Vec::new() };
        names.args().filter_map(|name| Some((Value::from(name), names.get(name).ok()?))).collect()
    }

    /// The arguments by place.
    pub fn places(&self) -> &'a [Value] {
        self.places
    }
}

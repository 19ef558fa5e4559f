// SPDX-License-Identifier: Apache-2.0
//! Methods of lists and mappings, as [Python has them](https://docs.python.org/3/library/stdtypes.html).

use std::collections::HashSet;

use minijinja::value::{Tuple, ValueKind};
use minijinja::{Error, State, Value};

use super::args::{Args, failed, lacks, unknown};
use super::values::{Dict, List};

/// Methods of a list.
pub const LIST: &[&str] =
    &["append", "clear", "copy", "count", "extend", "index", "insert", "pop", "remove", "reverse", "sort"];

/// Methods of a mapping.
pub const DICT: &[&str] = &[
    "clear",
    "copy",
    "fromkeys",
    "get",
    "items",
    "keys",
    "pop",
    "popitem",
    "setdefault",
    "update",
    "values",
];

/// Entries that a list or a mapping of a template may have.
const MAX_ENTRIES: usize = 10_000;

/// Fuel that it takes to put a list or a mapping into another one.
const NESTING: u64 = 1000;

/// Values that are looked through for one that would contain itself.
const MAX_SEARCHED: usize = 100_000;

fn items(value: &Value) -> Result<Vec<Value>, Error> {
    value.try_iter()?.checked().collect()
}

/// A value that is put into a list or a mapping: it must not contain that, or nothing could walk through it.
fn acyclic(state: &State<'_, '_>, whole: usize, added: &Value) -> Result<(), Error> {
    if added.as_object().is_none() {
        return Ok(());
    }
    // Values within each other are let go one within the other: the price keeps them from being too deep for that.
    state.consume_fuel(NESTING)?;
    let (mut open, mut seen, mut looked) = (vec![added.clone()], HashSet::new(), 0);
    while let Some(value) = open.pop() {
        looked += 1;
        if looked > MAX_SEARCHED {
            return Err(failed("too many values within each other"));
        }
        let inner = if let Some(list) = value.downcast_object_ref::<List>() {
            let at = std::ptr::from_ref(list) as usize;
            if at == whole {
                return Err(failed("a list can't contain itself"));
            }
            if !seen.insert(at) {
                continue;
            }
            list.items()
        } else if let Some(dict) = value.downcast_object_ref::<Dict>() {
            let at = std::ptr::from_ref(dict) as usize;
            if at == whole {
                return Err(failed("a mapping can't contain itself"));
            }
            if !seen.insert(at) {
                continue;
            }
            dict.entries().into_iter().map(|(_, v)| v).collect()
        } else if value.kind() == ValueKind::Seq || value.kind() == ValueKind::Map {
            contents(&value)
        } else {
            continue;
        };
        open.extend(inner);
    }
    Ok(())
}

/// What is directly in a list or a mapping that is not ours.
fn contents(value: &Value) -> Vec<Value> {
    let Some(object) = value.as_object() else { return Vec::new() };
    match object.try_iter_pairs() {
        Some(pairs) => pairs.map(|(_, v)| v).collect(),
        None => Vec::new(),
    }
}

fn bounded(entries: usize) -> Result<(), Error> {
    if entries > MAX_ENTRIES { Err(failed(format!("more than {MAX_ENTRIES} entries"))) } else { Ok(()) }
}

/// An index as Python takes it: from the end where it is negative.
fn index(at: i64, length: usize) -> Option<usize> {
    let at = if at < 0 { at + length as i64 } else { at };
    usize::try_from(at).ok().filter(|at| *at < length)
}

/// Methods of a list that can be changed.
pub fn change_list(list: &List, state: &State<'_, '_>, method: &str, args: &[Value]) -> Result<Value, Error> {
    let (mut have, args) = (list.items(), Args::of(args)?);
    state.consume_fuel(1 + have.len() as u64 / 16)?;
    let whole = std::ptr::from_ref(list) as usize;
    let none = Value::from(());
    let result = match method {
        "append" => {
            let new = args.needed(0, "object")?;
            acyclic(state, whole, &new)?;
            have.push(new);
            none
        }
        "clear" => {
            have.clear();
            none
        }
        "extend" => {
            let new = args.needed(0, "iterable")?;
            if new.downcast_object_ref::<List>().is_none_or(|new| !std::ptr::eq(new, list)) {
                acyclic(state, whole, &new)?;
            }
            have.extend(items(&new)?);
            none
        }
        "insert" => {
            let (at, new) = (args.int(0, "index")?.unwrap_or(0), args.needed(1, "object")?);
            acyclic(state, whole, &new)?;
            let length = have.len() as i64;
            let at = if at < 0 { (at + length).max(0) } else { at.min(length) };
            have.insert(at as usize, new);
            none
        }
        "pop" => {
            let at = args.int(0, "index")?.unwrap_or(-1);
            let at = index(at, have.len()).ok_or_else(|| lacks("the list has no such item"))?;
            have.remove(at)
        }
        "remove" => {
            let what = args.needed(0, "value")?;
            let at = have.iter().position(|v| *v == what);
            have.remove(at.ok_or_else(|| lacks("the list has no such item"))?);
            none
        }
        "reverse" => {
            have.reverse();
            none
        }
        "sort" => {
            let backwards = args.get(usize::MAX, "reverse").is_some_and(|v| v.is_true());
            have.sort();
            if backwards {
                have.reverse();
            }
            none
        }
        _ => return list_method(method, &have, &args),
    };
    bounded(have.len())?;
    list.set(have);
    Ok(result)
}

/// Methods of any list or tuple, which change nothing.
fn list_method(method: &str, have: &[Value], args: &Args) -> Result<Value, Error> {
    match method {
        "copy" => Ok(List::of(have.to_vec())),
        "count" => {
            let what = args.needed(0, "value")?;
            Ok(Value::from(have.iter().filter(|v| **v == what).count()))
        }
        "index" => {
            let what = args.needed(0, "value")?;
            let (from, to) = super::strings::range(have.len(), args.int(1, "start")?, args.int(2, "stop")?);
            let found = have.get(from..to).and_then(|have| have.iter().position(|v| *v == what));
            found.map(|i| Value::from(from + i)).ok_or_else(|| lacks("the list has no such item"))
        }
        _ if LIST.contains(&method) => {
            Err(failed(format!("`{method}` changes a list, and this one is fixed")))
        }
        _ => Err(unknown("a list", method)),
    }
}

/// Methods of a list that is not ours: a literal where nothing is changed, a tuple, what a filter made.
pub fn list(value: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    if value.is_tuple() && !["count", "index"].contains(&method) {
        return Err(unknown("a tuple", method));
    }
    list_method(method, &items(value)?, &Args::of(args)?)
}

fn pair(key: Value, value: Value) -> Value {
    Value::from(Tuple::from([key, value]))
}

/// Methods of a mapping that can be changed.
pub fn change_dict(dict: &Dict, state: &State<'_, '_>, method: &str, args: &[Value]) -> Result<Value, Error> {
    let mut have = dict.entries();
    state.consume_fuel(1 + have.len() as u64 / 16)?;
    let whole = std::ptr::from_ref(dict) as usize;
    let parsed = Args::of(args)?;
    let result = match method {
        "clear" => {
            have.clear();
            Value::from(())
        }
        "pop" => {
            let key = parsed.needed(0, "key")?;
            match (have.iter().position(|(k, _)| *k == key), parsed.get(1, "default")) {
                (Some(at), _) => have.remove(at).1,
                (None, Some(default)) => default,
                (None, None) => return Err(lacks("the mapping has no such key")),
            }
        }
        "popitem" => {
            let (key, value) = have.pop().ok_or_else(|| lacks("the mapping is empty"))?;
            pair(key, value)
        }
        "setdefault" => {
            let key = parsed.needed(0, "key")?;
            match have.iter().find(|(k, _)| *k == key) {
                Some((_, value)) => value.clone(),
                None => {
                    let value = parsed.get(1, "default").unwrap_or(Value::from(()));
                    acyclic(state, whole, &value)?;
                    have.push((key, value.clone()));
                    value
                }
            }
        }
        "update" => {
            let mut new = parsed.get(0, "").map(|v| pairs(&v)).transpose()?.unwrap_or_default();
            new.extend(parsed.named());
            for (key, value) in new {
                acyclic(state, whole, &value)?;
                match have.iter_mut().find(|(k, _)| *k == key) {
                    Some((_, old)) => *old = value,
                    None => have.push((key, value)),
                }
            }
            Value::from(())
        }
        _ => return dict_method(method, &have, &parsed),
    };
    bounded(have.len())?;
    dict.set(have);
    Ok(result)
}

/// The entries of a mapping, or of a list of pairs.
pub fn pairs(value: &Value) -> Result<Vec<(Value, Value)>, Error> {
    if value.kind() == ValueKind::Map {
        let pairs = value.as_object().and_then(|object| object.try_iter_pairs());
        return Ok(pairs.map(|pairs| pairs.collect()).unwrap_or_default());
    }
    let two = |item: Value| {
        let mut parts = items(&item)?.into_iter();
        match (parts.next(), parts.next(), parts.next()) {
            (Some(key), Some(value), None) => Ok((key, value)),
            _ => Err(failed("takes pairs of a key and a value")),
        }
    };
    items(value)?.into_iter().map(two).collect()
}

fn dict_method(method: &str, have: &[(Value, Value)], args: &Args) -> Result<Value, Error> {
    let keys = || have.iter().map(|(k, _)| k.clone());
    match method {
        "copy" => Ok(Dict::of(have.to_vec())),
        "fromkeys" => {
            let value = args.get(1, "value").unwrap_or(Value::from(()));
            let keys = items(&args.needed(0, "iterable")?)?;
            let mut entries: Vec<(Value, Value)> = Vec::new();
            for key in keys {
                if !entries.iter().any(|(k, _)| *k == key) {
                    entries.push((key, value.clone()));
                }
            }
            bounded(entries.len())?;
            Ok(Dict::of(entries))
        }
        "get" => {
            let key = args.needed(0, "key")?;
            let found = have.iter().find(|(k, _)| *k == key).map(|(_, v)| v.clone());
            Ok(found.or_else(|| args.get(1, "default")).unwrap_or(Value::from(())))
        }
        "items" => Ok(List::of(have.iter().map(|(k, v)| pair(k.clone(), v.clone())).collect())),
        "keys" => Ok(List::of(keys().collect())),
        "values" => Ok(List::of(have.iter().map(|(_, v)| v.clone()).collect())),
        _ if DICT.contains(&method) => {
            Err(failed(format!("`{method}` changes a mapping, and this one is fixed")))
        }
        _ => Err(unknown("a mapping", method)),
    }
}

/// Methods of a mapping that is not ours.
pub fn dict(value: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    dict_method(method, &pairs(value)?, &Args::of(args)?)
}

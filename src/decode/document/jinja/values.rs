// SPDX-License-Identifier: Apache-2.0
//! The values of a template: lists and mappings that can be changed as Python's can, and that remember which name of
//! the instance's data had no value.

use std::collections::HashSet;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use minijinja::value::{Enumerator, Object, ObjectRepr, Serde, Tuple, ValueKind};
use minijinja::{Error, ErrorKind, State, Value};
use serde_json::Value as Json;

use super::args::Said;
use super::containers;
use super::error::{Segment, spelled};

/// What is known of the names, and what was seen of them during one rendering.
#[derive(Debug, Default)]
pub struct Names {
    /// Names that are taken to exist.
    pub exist: HashSet<String>,
    /// Names that had no value, in the order in which they were asked for.
    pub missing: Mutex<Vec<String>>,
    /// Whether a name that was taken to exist was asked for.
    pub used: AtomicBool,
}

/// Names that are remembered of one rendering: a loop may ask for the same one again and again.
const MAX_REMEMBERED: usize = 1000;

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn remember(names: &Mutex<Vec<String>>, name: String) {
    let mut names = locked(names);
    if names.len() >= MAX_REMEMBERED {
        names.remove(0);
    }
    names.push(name);
}

impl Names {
    /// Names that had no value, the last one first.
    pub fn last_missing(&self) -> Vec<String> {
        locked(&self.missing).iter().rev().cloned().collect()
    }

    /// The value of a name that the data does not have.
    fn other(self: &Arc<Self>, name: String) -> Option<Value> {
        if self.exist.contains(&name) {
            self.used.store(true, Ordering::Relaxed);
            return Some(Value::from_object(Any { name, names: Arc::clone(self), walked: 0 }));
        }
        remember(&self.missing, name);
        None
    }
}

/// The name of a part of a value.
fn part(name: &str, key: &Value) -> String {
    let segment = match (key.as_str(), key.as_i64()) {
        (Some(key), _) => Segment::Name(key.to_owned()),
        (None, Some(index)) => Segment::Index(index),
        _ => Segment::Name(String::new()),
    };
    let mut text = name.to_owned();
    spelled(&mut text, &segment);
    text
}

/// The instance's data as a template's value.
pub fn from_json(json: &Json, name: &str, names: &Arc<Names>) -> Value {
    let inner = |key: Value, json: &Json| from_json(json, &part(name, &key), names);
    let place = || Some((name.to_owned(), Arc::clone(names)));
    match json {
        Json::Array(items) => {
            let items = items.iter().enumerate().map(|(i, item)| inner(Value::from(i), item)).collect();
            Value::from_object(List { items: Mutex::new(items), place: place() })
        }
        Json::Object(map) => {
            // cloud-init's file of instance data is sorted.
            let mut entries: Vec<(Value, Value)> = map
                .iter()
                .map(|(key, json)| (Value::from(key.as_str()), inner(Value::from(key.as_str()), json)))
                .collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            Value::from_object(Dict { entries: Mutex::new(entries), place: place() })
        }
        scalar => Value::from(Serde(scalar)),
    }
}

type Place = Option<(String, Arc<Names>)>;

fn missing(place: &Place, key: &Value) -> Option<Value> {
    let (name, names) = place.as_ref()?;
    names.other(part(name, key))
}

/// A list as Python's: it can be changed.
pub struct List {
    items: Mutex<Vec<Value>>,
    /// Its name in the instance's data.
    place: Place,
}

/// A mapping as Python's: it can be changed and keeps its order.
pub struct Dict {
    entries: Mutex<Vec<(Value, Value)>>,
    place: Place,
}

impl List {
    /// A list of these items.
    pub fn of(items: Vec<Value>) -> Value {
        Value::from_object(Self { items: Mutex::new(items), place: None })
    }

    /// The items as they are now.
    pub fn items(&self) -> Vec<Value> {
        locked(&self.items).clone()
    }

    /// Puts other items in the place of these.
    pub fn set(&self, items: Vec<Value>) {
        *locked(&self.items) = items;
    }
}

impl Dict {
    /// A mapping of these entries.
    pub fn of(entries: Vec<(Value, Value)>) -> Value {
        Value::from_object(Self { entries: Mutex::new(entries), place: None })
    }

    /// The entries as they are now.
    pub fn entries(&self) -> Vec<(Value, Value)> {
        locked(&self.entries).clone()
    }

    /// Puts other entries in the place of these.
    pub fn set(&self, entries: Vec<(Value, Value)>) {
        *locked(&self.entries) = entries;
    }
}

impl fmt::Debug for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.items()).finish()
    }
}

impl fmt::Debug for Dict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.entries()).finish()
    }
}

impl Object for List {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let items = locked(&self.items);
        let index = key.as_i64().map(|i| if i < 0 { i + items.len() as i64 } else { i });
        let found = index.and_then(|i| usize::try_from(i).ok()).and_then(|i| items.get(i).cloned());
        drop(items);
        found.or_else(|| missing(&self.place, key))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(locked(&self.items).len())
    }

    fn call_method(
        self: &Arc<Self>,
        state: &mut State<'_, '_>,
        method: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        containers::change_list(self, state, method, args)
    }
}

impl Object for Dict {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let found = locked(&self.entries).iter().find(|(k, _)| k == key).map(|(_, v)| v.clone());
        found.or_else(|| missing(&self.place, key))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.entries().into_iter().map(|(k, _)| k).collect())
    }

    fn call_method(
        self: &Arc<Self>,
        state: &mut State<'_, '_>,
        method: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        containers::change_dict(self, state, method, args)
    }
}

/// Values of a list or a mapping that are looked at before it is printed.
const MAX_LOOKED_AT: usize = 10_000;

/// Stops where a list or a mapping that is printed holds a name without a value.
pub fn complete(value: &Value) -> Result<(), Error> {
    // A name by itself is the engine's to stop at: a condition without `else` has no value and prints nothing.
    let mut open = if value.is_undefined() { Vec::new() } else { vec![value.clone()] };
    for _ in 0..MAX_LOOKED_AT {
        let Some(value) = open.pop() else { break };
        match value.kind() {
            ValueKind::Undefined => {
                // The engine's own error says which name it was.
                return value.get_attr("_").map(drop);
            }
            ValueKind::Map => open.extend(containers::pairs(&value)?.into_iter().map(|(_, v)| v)),
            ValueKind::Seq => open.extend(value.try_iter()?),
            _ => {}
        }
    }
    Ok(())
}

/// Items within one another that a value has that is not known: what walks through it comes to an end.
const MAX_WALKED: usize = 4;

/// A value that is not known here: it has every key, and every part of it is one like it.
struct Any {
    name: String,
    names: Arc<Names>,
    /// How many stand around it as an item of one another.
    walked: usize,
}

impl Any {
    fn part(&self, key: &Value, walked: usize) -> Value {
        Value::from_object(Self { name: part(&self.name, key), names: Arc::clone(&self.names), walked })
    }

    fn item(&self) -> Value {
        self.part(&Value::from(0), self.walked + 1)
    }
}

impl fmt::Debug for Any {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("assumed")
    }
}

impl Object for Any {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Iterable
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        Some(self.part(key, self.walked))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        if self.walked >= MAX_WALKED {
            return Enumerator::Empty;
        }
        // Two, since a loop may take a pair apart; alike, since what fits one of them fits the other.
        let item = self.item();
        Enumerator::Values(vec![item.clone(), item])
    }

    fn call_method(
        self: &Arc<Self>,
        _: &mut State<'_, '_>,
        method: &str,
        _: &[Value],
    ) -> Result<Value, Error> {
        match method {
            "items" => {
                let pair = Tuple::from([Value::from("assumed"), self.item()]);
                Ok(List::of(vec![Value::from(pair)]))
            }
            "keys" => Ok(List::of(vec![Value::from("assumed")])),
            _ if super::methods().any(|known| known == method) => {
                Ok(Value::from_dyn_object(Arc::clone(self)))
            }
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }

    fn call(self: &Arc<Self>, _: &mut State<'_, '_>, _: &[Value]) -> Result<Value, Error> {
        let what = Said("a value of the machine can't be called".to_owned());
        Err(Error::from(ErrorKind::UnknownFunction).with_source(what))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("assumed")
    }
}

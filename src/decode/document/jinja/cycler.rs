// SPDX-License-Identifier: Apache-2.0
//! [`cycler`](https://jinja.palletsprojects.com/en/3.1.x/templates/#jinja-globals.cycler): one value after the other, and from
//! the first again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use minijinja::value::{Object, ObjectRepr, Rest};
use minijinja::{Error, State, Value};

use super::args::{failed, unknown};

/// The values, and how often one was taken.
#[derive(Debug)]
struct Cycler(Vec<Value>, AtomicUsize);

/// Makes one.
pub fn cycler(items: Rest<Value>) -> Result<Value, Error> {
    match items.is_empty() {
        true => Err(failed("`cycler` takes at least one value")),
        false => Ok(Value::from_object(Cycler(items.0, AtomicUsize::new(0)))),
    }
}

impl Cycler {
    fn current(&self) -> Option<Value> {
        self.0.get(self.1.load(Ordering::Relaxed) % self.0.len()).cloned()
    }
}

impl Object for Cycler {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match key.as_str()? {
            "current" => self.current(),
            "items" => Some(Value::from(self.0.clone())),
            "pos" => Some(Value::from(self.1.load(Ordering::Relaxed) % self.0.len())),
            _ => None,
        }
    }

    fn call_method(
        self: &Arc<Self>,
        _: &mut State<'_, '_>,
        method: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        match method {
            "next" | "reset" if !args.is_empty() => Err(failed(format!("`{method}` takes no argument"))),
            "next" => {
                let now = self.current().unwrap_or_default();
                self.1.fetch_add(1, Ordering::Relaxed);
                Ok(now)
            }
            "reset" => {
                self.1.store(0, Ordering::Relaxed);
                Ok(Value::from(()))
            }
            _ => Err(unknown("a cycler", method)),
        }
    }
}

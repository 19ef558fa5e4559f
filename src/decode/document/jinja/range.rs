// SPDX-License-Identifier: Apache-2.0
//! [`range`](https://docs.python.org/3/library/stdtypes.html#ranges) as Python has it: numbers up and down, printed as the call that
//! makes them.

use std::fmt;
use std::sync::Arc;

use minijinja::value::{Enumerator, Object, ObjectRepr};
use minijinja::{Error, Value};

use super::args::failed;

/// Numbers that a range may have.
const MAX: u64 = 100_000;

struct Range {
    start: i64,
    stop: i64,
    step: i64,
    length: usize,
}

/// Makes one.
pub fn range(first: i64, stop: Option<i64>, step: Option<i64>) -> Result<Value, Error> {
    let (start, stop) = stop.map_or((0, first), |stop| (first, stop));
    let step = step.unwrap_or(1);
    if step == 0 {
        return Err(failed("`range` takes no step of 0"));
    }
    let there = if step > 0 { start < stop } else { start > stop };
    let length = if there { start.abs_diff(stop).div_ceil(step.unsigned_abs()) } else { 0 };
    match usize::try_from(length).ok().filter(|_| length <= MAX) {
        Some(length) => Ok(Value::from_object(Range { start, stop, step, length })),
        None => Err(failed(format!("a range of more than {MAX} numbers"))),
    }
}

impl fmt::Debug for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "range({}, {}", self.start, self.stop)?;
        if self.step != 1 {
            write!(f, ", {}", self.step)?;
        }
        f.write_str(")")
    }
}

impl Object for Range {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let at = key.as_i64()?;
        let at = if at < 0 { at + self.length as i64 } else { at };
        (0..self.length as i64).contains(&at).then(|| Value::from(self.start + at * self.step))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(self.length)
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

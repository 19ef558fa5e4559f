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
        // The number lies between the two ends, though what it is counted by may be larger than any number.
        let number = || self.start.wrapping_add(at.wrapping_mul(self.step));
        (0..self.length as i64).contains(&at).then(|| Value::from(number()))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(self.length)
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_goes_from_the_least_number_to_the_greatest() {
        let step = 1 << 50;
        let all = range(i64::MIN, Some(i64::MAX), Some(step)).unwrap();
        let last = i128::from(i64::MIN) + i128::from(step) * 16_383;
        assert_eq!(all.get_item(&Value::from(-1)).unwrap().as_i64().map(i128::from), Some(last));
    }
}

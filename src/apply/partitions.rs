// SPDX-License-Identifier: Apache-2.0
//! Partitions by their numbers, on a table of which the others stay: where each goes, and what there is to do for it. As
//! Ignition does it ([specification](https://coreos.github.io/ignition/configuration-v3_4/), `storage.disks`).

use anyhow::{Result, anyhow, bail};

use crate::io::disk::{Entry, Table};
use crate::model::problem::WithCure as _;
use crate::model::storage::EntrySpec;

/// Where partitions begin without a word on it: what all tables of the last decade keep to.
const ALIGNMENT: u64 = 1 << 20;

/// Numbers that a table has by default.
const MAX_NUMBER: u32 = 128;

/// What a partition has without a word on it: Linux' data, as sgdisk's and sfdisk's default is.
const LINUX: &str = "0FC63DAF-8483-4772-8E79-3D69D8477DE4";

/// What there is to do to a table.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Todo {
    /// Partitions that go.
    pub delete: Vec<u32>,
    /// Partitions that are made.
    pub create: Vec<Entry>,
    /// Partitions that get another size, and keep all else.
    pub resize: Vec<Entry>,
}

impl Todo {
    pub(super) fn nothing(&self) -> bool {
        *self == Self::default()
    }

    /// All partitions of the table then.
    pub(super) fn result(&self, table: &Table) -> Vec<Entry> {
        let changed = || self.create.iter().chain(&self.resize);
        let stays = |e: &&Entry| !self.delete.contains(&e.number) && !changed().any(|c| c.number == e.number);
        table.entries.iter().filter(stays).chain(changed()).cloned().collect()
    }
}

/// What there is to do for the wanted partitions.
///
/// # Errors
/// A partition is in the way and may not give way, or there is no room.
pub(super) fn todo(wanted: &[EntrySpec], table: &Table) -> Result<Todo> {
    let numbered = numbers(wanted, table)?;
    // As if those that are spoken of were not there: where they are to go is reckoned anew.
    let mut used: Vec<Entry> = table.entries.clone();
    used.retain(|e| !numbered.iter().any(|(_, number)| *number == e.number));
    let mut todo = Todo::default();
    for (spec, number) in numbered {
        let found = table.entries.iter().find(|e| e.number == number);
        let Some(placed) = spec.exists.then(|| place(spec, number, found, &used, table)).transpose()? else {
            match found {
                Some(_) if !spec.replace => {
                    return Err(anyhow!(
                        "{}: partition {number} exists, and the data says that it must not",
                        spec.place
                    ))
                    .cure("set wipePartitionEntry if what is on it may be lost");
                }
                Some(_) => todo.delete.push(number),
                None => {}
            }
            continue;
        };
        used.push(placed.clone());
        let Some(found) = found else {
            todo.create.push(placed);
            continue;
        };
        let differs = differences(spec, found, &placed, table);
        match differs.as_slice() {
            [] => {}
            _ if spec.replace => {
                todo.delete.push(number);
                todo.create.push(placed);
            }
            ["size"] if spec.resize => {
                todo.resize.push(Entry { start: found.start, size: placed.size, ..found.clone() });
            }
            _ => {
                let what = format!(
                    "{}: partition {number} is there with another {}",
                    spec.place,
                    differs.join(" and another ")
                );
                return Err(anyhow!(what)).cure("set wipePartitionEntry if what is on it may be lost");
            }
        }
    }
    Ok(todo)
}

/// The wanted partitions with their numbers; those without one come last, and are known again by their label, or else in
/// their order.
fn numbers<'a>(wanted: &'a [EntrySpec], table: &Table) -> Result<Vec<(&'a EntrySpec, u32)>> {
    let mut numbered: Vec<(&EntrySpec, u32)> =
        wanted.iter().filter(|s| s.number > 0).map(|s| (s, s.number)).collect();
    for spec in wanted.iter().filter(|s| s.number == 0) {
        let free = |number: u32| !numbered.iter().any(|(_, n)| *n == number);
        let mut there = table.entries.iter().filter(|e| free(e.number));
        let known = there.find(|e| spec.label.as_ref().is_none_or(|label| e.name == *label));
        let next = || (1..=MAX_NUMBER).find(|n| free(*n) && !table.entries.iter().any(|e| e.number == *n));
        let Some(number) = known.map(|e| e.number).or_else(next) else {
            bail!("{}: the table has no number left", spec.place);
        };
        numbered.push((spec, number));
    }
    Ok(numbered)
}

/// What is free between partitions, first and last sector.
fn gaps(used: &[Entry], table: &Table) -> Vec<(u64, u64)> {
    let mut used: Vec<&Entry> = used.iter().collect();
    used.sort_by_key(|e| e.start);
    let (mut gaps, mut from) = (Vec::new(), table.first);
    for entry in used {
        if entry.start > from {
            gaps.push((from, entry.start - 1));
        }
        from = from.max(entry.start + entry.size);
    }
    if from <= table.last {
        gaps.push((from, table.last));
    }
    gaps
}

/// Where a partition goes: at the start of the largest gap and to the end of it, where it says nothing else. One that is
/// there and may not give way stays where it is.
fn place(
    spec: &EntrySpec,
    number: u32,
    found: Option<&Entry>,
    used: &[Entry],
    table: &Table,
) -> Result<Entry> {
    let grain = (ALIGNMENT / table.sector).max(1);
    let kept = found.filter(|_| !spec.replace);
    let start = spec.start.map(|b| b / table.sector).or(kept.map(|e| e.start)).unwrap_or(0);
    let size = spec.size.map(|b| b / table.sector).or(kept.map(|e| e.size)).unwrap_or(0);
    let gaps: Vec<(u64, u64)> = gaps(used, table)
        .into_iter()
        .map(|(first, last)| (if start > 0 { first } else { first.next_multiple_of(grain) }, last))
        .filter(|(first, last)| first <= last)
        .collect();
    let gap = match start {
        0 => gaps.iter().max_by_key(|(first, last)| (last - first, std::cmp::Reverse(*first))),
        start => gaps.iter().find(|(first, last)| (*first..=*last).contains(&start)),
    };
    let room = || anyhow!("{}: there is no room for partition {number}", spec.place);
    let (first, last) = *gap.ok_or_else(room)?;
    let start = if start > 0 { start } else { first };
    let room_left = last - start + 1;
    let size = if size > 0 { size } else { room_left };
    if size > room_left {
        return Err(room());
    }
    Ok(Entry {
        number,
        start,
        size,
        kind: spec.kind.clone().unwrap_or_else(|| LINUX.to_owned()),
        guid: spec.guid.clone().unwrap_or_default(),
        name: spec.label.clone().unwrap_or_default(),
        attributes: String::new(),
    })
}

/// The properties in which an existing partition differs from what the data says.
fn differences(spec: &EntrySpec, found: &Entry, placed: &Entry, table: &Table) -> Vec<&'static str> {
    let grain = ALIGNMENT / table.sector;
    // What takes all that there is may end at the last sector, or at the last whole mebibyte.
    let slack = if spec.size == Some(0) { grain } else { 1 };
    let other =
        |wanted: &Option<String>, is: &str| wanted.as_ref().is_some_and(|w| !w.eq_ignore_ascii_case(is));
    [
        ("label", spec.label.as_ref().is_some_and(|l| *l != found.name)),
        ("start", spec.start.is_some() && found.start != placed.start),
        ("size", spec.size.is_some() && found.size.abs_diff(placed.size) >= slack),
        ("typeGuid", other(&spec.kind, &found.kind)),
        ("guid", other(&spec.guid, &found.guid)),
    ]
    .into_iter()
    .filter_map(|(name, differs)| differs.then_some(name))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn table(entries: &[(u32, u64, u64, &str)]) -> Table {
        let entry = |(number, start, size, name): &(u32, u64, u64, &str)| Entry {
            number: *number,
            start: start * 2048,
            size: size * 2048,
            kind: LINUX.to_owned(),
            guid: String::new(),
            name: (*name).to_owned(),
            attributes: String::new(),
        };
        Table {
            kind: "gpt".to_owned(),
            head: String::new(),
            sector: 512,
            first: 2048,
            last: 100 * 2048 - 34,
            entries: entries.iter().map(entry).collect(),
        }
    }

    /// Number, start and size in MiB, label.
    fn spec(number: u32, start: Option<u64>, size: Option<u64>, label: &str) -> EntrySpec {
        EntrySpec {
            place: format!("p{number}"),
            number,
            start: start.map(|s| s * MIB),
            size: size.map(|s| s * MIB),
            label: (!label.is_empty()).then(|| label.to_owned()),
            kind: None,
            guid: None,
            exists: true,
            replace: false,
            resize: false,
        }
    }

    /// What is made: number, start and size in MiB, the size rounded up.
    fn made(wanted: &[EntrySpec], on: &Table) -> Vec<(u32, u64, u64)> {
        let todo = todo(wanted, on).unwrap();
        todo.create.iter().map(|e| (e.number, e.start / 2048, e.size.div_ceil(2048))).collect()
    }

    #[test]
    fn partitions_go_where_there_is_room() {
        let empty = table(&[]);
        assert_eq!(made(&[spec(1, None, None, "")], &empty), [(1, 1, 99)]);
        assert_eq!(made(&[spec(0, Some(0), Some(0), "a")], &empty), [(1, 1, 99)]);
        let two = [spec(1, None, Some(10), ""), spec(2, Some(0), Some(0), "")];
        assert_eq!(made(&two, &empty), [(1, 1, 10), (2, 11, 89)]);
        // The largest gap, and the rest stays.
        let some = table(&[(1, 1, 9, "a"), (3, 40, 10, "b")]);
        assert_eq!(made(&[spec(2, None, None, "")], &some), [(2, 50, 50)]);
        assert_eq!(made(&[spec(2, Some(20), None, "")], &some), [(2, 20, 20)]);
        assert_eq!(made(&[spec(0, None, Some(5), "c")], &some), [(2, 50, 5)]);
        for wanted in
            [spec(2, Some(45), Some(1), ""), spec(2, Some(35), Some(10), ""), spec(2, None, Some(60), "")]
        {
            let error = todo(&[wanted], &some).unwrap_err().to_string();
            assert_eq!(error, "p2: there is no room for partition 2");
        }
    }

    #[test]
    fn what_is_there_stays_unless_it_may_go() {
        let some = table(&[(1, 1, 9, "a"), (2, 20, 79, "b")]);
        let as_it_is =
            [spec(1, Some(1), Some(9), "a"), spec(2, None, Some(0), "b"), spec(0, None, None, "b")];
        assert!(todo(&as_it_is[..2], &some).unwrap().nothing());
        assert!(todo(&as_it_is[2..], &some).unwrap().nothing(), "known by its label");
        assert!(todo(&[spec(0, None, None, ""), spec(0, None, None, "")], &some).unwrap().nothing());
        for (wanted, says) in [
            (spec(1, Some(2), None, ""), "another start"),
            (spec(1, None, Some(8), "x"), "another label and another size"),
            (EntrySpec { kind: Some("x".to_owned()), ..spec(1, None, None, "") }, "another typeGuid"),
            (EntrySpec { guid: Some("x".to_owned()), ..spec(1, None, None, "") }, "another guid"),
            (
                EntrySpec { exists: false, ..spec(1, None, None, "") },
                "exists, and the data says that it must not",
            ),
        ] {
            let error = todo(std::slice::from_ref(&wanted), &some).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
            let may = EntrySpec { replace: true, ..wanted };
            let todo = todo(std::slice::from_ref(&may), &some).unwrap();
            assert_eq!(
                (todo.delete.as_slice(), todo.create.len()),
                ([1].as_slice(), usize::from(may.exists))
            );
        }
        let resized = EntrySpec { resize: true, ..spec(1, None, Some(5), "a") };
        let todo = todo(&[resized], &some).unwrap();
        assert_eq!((todo.resize[0].size, todo.resize[0].start, todo.create.len()), (5 * 2048, 2048, 0));
    }
}

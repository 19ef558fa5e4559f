// SPDX-License-Identifier: Apache-2.0
//! Mistyped words and the known ones that they are near to.

use std::cmp::Reverse;

/// Levenshtein's distance, in which two neighbours that have changed places are one mistake. Of texts whose lengths differ by more than
/// three, which nobody means for one another, it is that difference.
pub fn distance(a: &str, b: &str) -> usize {
    let apart = a.chars().count().abs_diff(b.chars().count());
    if apart > 3 {
        return apart;
    }
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut row: Vec<usize> = (0..=b.len()).collect();
    let (mut above, mut before) = (row.clone(), row.clone());
    for (i, ca) in a.iter().enumerate() {
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let replace = above[j] + usize::from(ca != cb);
            row[j + 1] = replace.min(row[j] + 1).min(above[j + 1] + 1);
            if i > 0 && j > 0 && *ca == b[j - 1] && a[i - 1] == *cb {
                row[j + 1] = row[j + 1].min(before[j - 1] + 1);
            }
        }
        before.clone_from(&above);
        above.clone_from(&row);
    }
    row[b.len()]
}

/// The known word that is nearest, and how far it is. Of several that are as near, the one that begins as the typed one does, and of these
/// the last: of versions that stand in their order, the newest.
pub fn nearest<T: AsRef<str>>(
    typed: &str,
    known: impl IntoIterator<Item = T>,
    far: impl Fn(&str) -> usize,
) -> Option<(usize, T)> {
    let common =
        |word: &str| typed.chars().zip(word.chars()).take_while(|(a, b)| a.eq_ignore_ascii_case(b)).count();
    let known = known.into_iter().map(|word| (far(word.as_ref()), word));
    known.max_by_key(|(far, word)| (Reverse(*far), common(word.as_ref())))
}

/// Longest key that is compared: a longer one is no mistyped key.
const LONGEST: usize = 40;

/// The known key that was meant: the same but for case and separators, or for one letter in four, two at most; or of four letters with one missing.
pub fn meant<'a>(key: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if key.len() > LONGEST {
        return None;
    }
    let plain = |key: &str| key.replace(['_', '-'], "").to_ascii_lowercase();
    let typed = plain(key);
    let most = (typed.len() / 4).min(2);
    let near = nearest(key, known, |known| distance(&typed, &plain(known)));
    // Of three letters a fourth may be missing.
    near.filter(|(far, k)| *far <= most || *far == 1 && typed.len() == 3 && k.len() == 4).map(|(_, k)| k)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_key_is_near_to_the_one_that_was_meant() {
        let known = ["content", "path", "permissions", "runcmd", "ssh_authorized_keys", "write_files"];
        for (key, want) in [
            ("run_cmd", Some("runcmd")),
            ("write_file", Some("write_files")),
            ("writeFiles", Some("write_files")),
            ("permision", Some("permissions")),
            ("contents", Some("content")),
            ("ssh-authorised-keys", Some("ssh_authorized_keys")),
            ("paths", Some("path")),
            ("pth", Some("path")),
            ("pah", Some("path")),
            ("pat", Some("path")),
            ("bat", None),
            ("pa", None),
            ("hash", None),
            ("my_own_key", None),
            ("", None),
        ] {
            assert_eq!(meant(key, known), want, "{key}");
        }
        assert_eq!(meant(&"x".repeat(1 << 20), known), None);
    }

    #[test]
    fn of_words_that_are_as_near_the_likely_one_is_meant() {
        for (typed, known, want) in [
            ("ext5", &["btrfs", "ext2", "ext3", "ext4", "xfs"][..], "ext4"),
            ("cgroup3", &["cgroup", "cgroup2"], "cgroup2"),
            // The same letters in front are more than a later place.
            ("nodeName", &["nodeNames", "ode_name"], "nodeNames"),
            ("mounts1", &["amounts", "mounts", "zmounts1"], "mounts"),
            ("part", &["cart", "parts"], "parts"),
            ("owners", &["owner", "owned"], "owner"),
        ] {
            assert_eq!(meant(typed, known.iter().copied()), Some(want), "{typed}");
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//! Values of the model as they go from one process of footplate to another: JSON, in which a secret is its number in a list beside it. So
//! bytes travel as they are, what shares them shares them there too, and no secret stands in any other JSON.

use std::cell::RefCell;
use std::collections::HashMap;

use anyhow::{Context as _, Result};
use serde::de::{DeserializeOwned, Error as _};
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::secret::Secret;

/// A value that is ready to be sent.
#[derive(Default)]
pub struct Packed {
    /// The value, without its secrets.
    pub json: Vec<u8>,
    /// The secrets, by their numbers.
    pub secrets: Vec<Secret>,
}

/// The secrets of the value that is packed or unpacked at the moment.
#[derive(Default)]
struct List {
    secrets: Vec<Secret>,
    /// Their numbers, by where their bytes are.
    numbers: HashMap<*const u8, usize>,
}

thread_local! {
    static LIST: RefCell<Option<List>> = const { RefCell::new(None) };
}

/// Does `work` with a list of secrets, and gives the list back.
fn with_list<T>(
    secrets: Vec<Secret>,
    work: impl FnOnce() -> serde_json::Result<T>,
) -> Result<(T, Vec<Secret>)> {
    let before = LIST.replace(Some(List { secrets, ..List::default() }));
    let done = work();
    let list = LIST.replace(before).unwrap_or_default();
    Ok((done.context("a message between two processes of footplate")?, list.secrets))
}

/// Makes a value ready to be sent.
///
/// # Errors
/// It is nothing that JSON can hold.
pub fn pack<T: Serialize + ?Sized>(value: &T) -> Result<Packed> {
    let (json, secrets) = with_list(Vec::new(), || serde_json::to_vec(value))?;
    Ok(Packed { json, secrets })
}

/// The value again.
///
/// # Errors
/// It is no such value, or names a secret that is not there.
pub fn unpack<T: DeserializeOwned>(packed: Packed) -> Result<T> {
    Ok(with_list(packed.secrets, || serde_json::from_slice(&packed.json))?.0)
}

impl Serialize for Secret {
    /// Its number in the list. Where there is none it is an error.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let number = LIST.with_borrow_mut(|list| {
            let List { secrets, numbers } = list.as_mut()?;
            // Empty ones have no bytes, and so no place.
            Some(*numbers.entry(self.expose().as_ptr()).or_insert_with(|| {
                secrets.push(self.clone());
                secrets.len() - 1
            }))
        });
        number.ok_or_else(|| S::Error::custom("a secret is not written"))?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Secret {
    /// The secret of that number.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = usize::deserialize(deserializer)?;
        let secret = LIST.with_borrow(|list| list.as_ref()?.secrets.get(number).cloned());
        secret.ok_or_else(|| D::Error::custom("no such secret"))
    }
}

/// A word of the program's own. By this name serde does not take it for a text that it may borrow.
pub type Word = &'static str;

/// Reads such a word. It stays for as long as the program runs.
///
/// # Errors
/// It is none.
pub fn word<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Word>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.map(|text| &*text.leak()))
}

/// The same, where there must be one.
///
/// # Errors
/// There is none.
pub fn one_word<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Word, D::Error> {
    word(deserializer)?.ok_or_else(|| D::Error::custom("no word"))
}

/// Reads a list of the program's own, which stays as a word does.
///
/// # Errors
/// It is no such list.
pub fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<&'static [T], D::Error> {
    Ok(Vec::deserialize(deserializer)?.leak())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_travel_beside_and_are_nowhere_else() {
        let one = Secret::from("a token");
        let value =
            (vec![one.clone(), Secret::default(), one.clone()], Secret::new(vec![0, 255]), 1_u64 << 60);
        let packed = pack(&value).unwrap();
        assert_eq!(String::from_utf8_lossy(&packed.json), "[[0,1,0],2,1152921504606846976]");
        assert_eq!(packed.secrets.len(), 3);
        let back: (Vec<Secret>, Secret, u64) = unpack(packed).unwrap();
        assert_eq!(back, value);
        assert_eq!(back.0[0].expose().as_ptr(), back.0[2].expose().as_ptr(), "its copies share the bytes");
        // Elsewhere none is written, and none is read that is not there.
        assert!(serde_json::to_string(&one).is_err() && serde_json::from_str::<Secret>("0").is_err());
        let of = |json: &str| Packed { json: json.into(), secrets: vec![one.clone()] };
        for json in ["1", "-1", "\"a token\"", "[0"] {
            assert!(unpack::<Secret>(of(json)).is_err(), "{json}");
        }
        assert!(serde_json::to_string(&one).is_err(), "a list stayed");
    }
}

// SPDX-License-Identifier: Apache-2.0
//! The library's types in messages between two processes of footplate.

/// A method, by its name.
pub(super) mod method {
    use reqwest::Method;
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(in crate::io::http) fn serialize<S: Serializer>(method: &Method, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(method.as_str())
    }

    pub(in crate::io::http) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Method, D::Error> {
        Method::from_bytes(String::deserialize(from)?.as_bytes()).map_err(D::Error::custom)
    }
}

/// Headers, each with its value, in their order. A value may be any bytes.
pub(super) mod headers {
    use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::model::secret::Secret;

    pub(in crate::io::http) fn serialize<S: Serializer>(
        headers: &HeaderMap,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_seq(headers.iter().map(|(name, value)| (name.as_str(), Secret::new(value.as_bytes()))))
    }

    pub(in crate::io::http) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<HeaderMap, D::Error> {
        let mut headers = HeaderMap::new();
        for (name, value) in Vec::<(String, Secret)>::deserialize(from)? {
            let value = HeaderValue::from_bytes(value.expose()).map_err(D::Error::custom)?;
            headers.append(HeaderName::try_from(name).map_err(D::Error::custom)?, value);
        }
        Ok(headers)
    }
}

//! Values that are written as one text and read into a type of their own.

use std::{fmt::Display, path::PathBuf, str::FromStr};

use serde::{Deserialize, Deserializer, Serializer, de};

/// A path, where the empty text means none.
pub(super) mod optional_path {
    use super::{Deserialize, Deserializer, PathBuf, Serializer};

    pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<PathBuf>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?.unwrap_or_default();
        Ok(if text.is_empty() { None } else { Some(text.into()) })
    }

    #[expect(clippy::ref_option, reason = "the signature is serde's")]
    pub(in crate::config) fn serialize<S: Serializer>(
        path: &Option<PathBuf>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&path.as_deref().unwrap_or("".as_ref()).display())
    }
}

/// A type that is read by [`FromStr`] and written by [`Display`].
pub(super) mod parsed {
    use super::{Deserialize, Deserializer, Display, FromStr, Serializer, de};

    pub(in crate::config) fn deserialize<'de, D, T>(deserializer: D) -> Result<T, D::Error>
    where
        D: Deserializer<'de>,
        T: FromStr<Err: Display>,
    {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }

    pub(in crate::config) fn serialize<S: Serializer, T: Display>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }
}

/// A name that must not be empty.
pub(super) mod name {
    use super::{Deserialize, Deserializer, Serializer, de};

    pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() { Err(de::Error::custom("must not be empty")) } else { Ok(text) }
    }

    pub(in crate::config) fn serialize<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(text)
    }
}

/// A path that must not be empty.
pub(super) mod path {
    use super::{Deserializer, PathBuf, Serializer, name};

    pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
        name::deserialize(deserializer).map(PathBuf::from)
    }

    #[expect(clippy::ptr_arg, reason = "the signature is serde's")]
    pub(in crate::config) fn serialize<S: Serializer>(path: &PathBuf, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&path.display())
    }
}

//! The descriptors of a key as their text. They are parsed when somebody asks: whoever only verifies a key does not, for
//! what they allow is known by the text.

use std::{fmt, ops::Deref, sync::OnceLock};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
use serde_json::{Map, Value, value::RawValue};

/// Name → descriptor.
#[derive(Clone)]
pub struct Descriptors {
    /// A JSON object.
    text: Box<str>,
    parsed: OnceLock<Map<String, Value>>,
}

impl Descriptors {
    /// The JSON object that is stored.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl Deref for Descriptors {
    type Target = Map<String, Value>;

    fn deref(&self) -> &Self::Target {
        // No descriptor at all would mean "as its owner", so what cannot be read allows nothing instead.
        let powerless = || Map::from_iter([(String::new(), Value::Object(Map::new()))]);
        self.parsed.get_or_init(|| serde_json::from_str(&self.text).unwrap_or_else(|_| powerless()))
    }
}

impl From<Map<String, Value>> for Descriptors {
    fn from(map: Map<String, Value>) -> Self {
        // Texts as keys, values that are JSON already: this cannot fail.
        Self { text: serde_json::to_string(&map).unwrap_or_default().into(), parsed: OnceLock::from(map) }
    }
}

impl Default for Descriptors {
    fn default() -> Self {
        Map::new().into()
    }
}

impl fmt::Debug for Descriptors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq for Descriptors {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text || **self == **other
    }
}

impl Serialize for Descriptors {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text: &RawValue = serde_json::from_str(&self.text).map_err(ser::Error::custom)?;
        text.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Descriptors {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <&RawValue>::deserialize(deserializer)?.get();
        if !text.starts_with('{') {
            return Err(de::Error::custom("not an object"));
        }
        Ok(Self { text: text.into(), parsed: OnceLock::new() })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(text: &str) -> serde_json::Result<Descriptors> {
        serde_json::from_str(text)
    }

    #[test]
    fn a_text_is_kept_as_it_is_and_read_when_asked() {
        let text = r#"{"b":{"cluster":["all"]},"a":{}}"#;
        let descriptors = of(text).unwrap();
        assert_eq!(descriptors.text(), text);
        assert_eq!(descriptors.keys().collect::<Vec<_>>(), ["b", "a"]);
        assert_eq!(serde_json::to_string(&descriptors).unwrap(), text);
    }

    #[test]
    fn equality_is_that_of_what_they_say() {
        let map = json!({"a": {"cluster": ["all"]}}).as_object().unwrap().clone();
        assert_eq!(Descriptors::from(map), of(r#"{ "a": {"cluster": ["all"]} }"#).unwrap());
        assert_ne!(Descriptors::default(), of(r#"{"a":{}}"#).unwrap());
    }

    #[test]
    fn what_is_no_object_is_refused_and_what_cannot_be_read_allows_nothing() {
        for text in ["[]", "null", "\"a\"", "{", ""] {
            assert!(of(text).is_err(), "{text}");
        }
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(500), "]".repeat(500));
        if let Ok(descriptors) = of(&deep) {
            assert!(!descriptors.is_empty());
            assert!(descriptors.values().all(|descriptor| descriptor.as_object().is_some_and(Map::is_empty)));
        }
    }
}

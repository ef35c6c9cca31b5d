//! Query parameters: each must be asked for, or it is an error.

use std::collections::{BTreeMap, BTreeSet};

use crate::{api::suggest, path, respond::Exception};

/// The parameters of a request.
#[derive(Debug)]
pub(super) struct Query {
    given: BTreeMap<String, String>,
    known: BTreeSet<&'static str>,
}

impl Query {
    /// Reads a raw query. Of a repeated parameter the last counts.
    ///
    /// # Errors
    ///
    /// A bad escape.
    pub(super) fn parse(raw: &str) -> Result<Self, Exception> {
        let mut given = BTreeMap::new();
        for pair in raw.split(['&', ';']).filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            given.insert(decode(key)?, decode(value)?);
        }
        Ok(Self { given, known: EVERYWHERE.into_iter().collect() })
    }

    /// The value of a parameter.
    pub(super) fn text(&mut self, name: &'static str) -> Option<&str> {
        self.known.insert(name);
        self.given.get(name).map(String::as_str)
    }

    /// The value of a parameter that counts as absent when it is empty.
    pub(super) fn filled(&mut self, name: &'static str) -> Option<Box<str>> {
        self.text(name).filter(|value| !value.is_empty()).map(Box::from)
    }

    /// A boolean, false when absent.
    ///
    /// # Errors
    ///
    /// Anything but `true`, `false` and nothing.
    pub(super) fn flag(&mut self, name: &'static str) -> Result<bool, Exception> {
        self.text(name).map_or(Ok(false), |value| boolean(if value.is_empty() { "true" } else { value }))
    }

    /// Checks `refresh`. What is written here is visible at once, so its value changes nothing.
    ///
    /// # Errors
    ///
    /// An unknown value.
    pub(super) fn refresh(&mut self) -> Result<(), Exception> {
        match self.text("refresh") {
            None | Some("" | "true" | "false" | "wait_for") => Ok(()),
            Some(other) => Err(Exception::argument(format!("Unknown value for refresh: [{other}]."))),
        }
    }

    /// Refuses parameters that nobody asked for.
    ///
    /// # Errors
    ///
    /// Names them, and what may have been meant.
    pub(super) fn finish(&self, path: &str) -> Result<(), Exception> {
        let unknown: Vec<String> = self
            .given
            .keys()
            .filter(|name| !self.known.contains(name.as_str()))
            .map(|name| match suggest::question(&suggest::near(name, self.known.iter().copied())) {
                Some(question) => format!("[{name}] -> {question}"),
                None => format!("[{name}]"),
            })
            .collect();
        let plural = match unknown.len() {
            0 => return Ok(()),
            1 => "",
            _ => "s",
        };
        Err(Exception::argument(format!(
            "request [{path}] contains unrecognized parameter{plural}: {}",
            unknown.join(", ")
        )))
    }
}

/// A boolean as text.
///
/// # Errors
///
/// Anything but `true` and `false`.
pub(super) fn boolean(value: &str) -> Result<bool, Exception> {
    match value {
        "true" => Ok(true),
        "false" => Ok(false),
        other => {
            Err(Exception::argument(format!("Failed to parse value [{other}] as only [true] or [false] are allowed.")))
        }
    }
}

fn decode(raw: &str) -> Result<String, Exception> {
    path::decode(&raw.replace('+', " ")).map_err(|error| {
        Exception::new("bad_parameter_exception", "a query parameter cannot be decoded")
            .because(Exception::argument(error.to_string()))
    })
}

const EVERYWHERE: [&str; 5] = ["error_trace", "filter_path", "format", "human", "pretty"];

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(exception: &Exception) -> String {
        exception.body(400)["error"]["reason"].as_str().unwrap().to_owned()
    }

    #[test]
    fn both_separators_plus_and_the_last_of_a_repetition_count() {
        let mut query = Query::parse("name=a;id=b+c&name=%71").unwrap();
        assert_eq!(query.text("name"), Some("q"));
        assert_eq!(query.text("id"), Some("b c"));
    }

    #[test]
    fn unknown_parameters_are_sorted_and_nearest_names_offered() {
        let mut query = Query::parse("ids=true&usernam=x&x=y").unwrap();
        for name in ["id", "name", "username", "realm_name", "owner"] {
            query.text(name);
        }
        assert_eq!(
            reason(&query.finish("/_security/api_key").unwrap_err()),
            "request [/_security/api_key] contains unrecognized parameters: [ids] -> did you mean [id]?, [usernam] -> did you mean [username]?, [x]"
        );
    }

    #[test]
    fn booleans_are_lower_case_and_empty_is_true() {
        let mut query = Query::parse("a=TRUE&b&c=false").unwrap();
        assert_eq!(
            reason(&query.flag("a").unwrap_err()),
            "Failed to parse value [TRUE] as only [true] or [false] are allowed."
        );
        assert!(query.flag("b").unwrap());
        assert!(!query.flag("c").unwrap() && !query.flag("d").unwrap());
    }
}

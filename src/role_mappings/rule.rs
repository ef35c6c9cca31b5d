//! Rules: what must be so of somebody.

use serde_json::{Value, json};

use crate::{
    privileges::{Pattern, is_valid_pattern},
    role_mappings::Facts,
};

/// What must be so.
#[derive(Debug)]
pub enum Rule {
    /// All of these.
    All(Vec<Rule>),
    /// One of these.
    Any(Vec<Rule>),
    /// Not this.
    Except(Box<Rule>),
    /// The field, or one of its values, is one of these.
    Field(Box<str>, Vec<Constant>),
}

/// What a field may be.
#[derive(Debug)]
pub enum Constant {
    /// That very value. Null also stands for a field that is not there.
    Exact(Value),
    /// A text that matches.
    Pattern(Pattern),
}

impl Rule {
    /// Reads the form that is stored; `None` when it is no rule.
    #[must_use]
    pub fn of(stored: &Value) -> Option<Self> {
        let members = stored.as_object().filter(|members| members.len() == 1)?;
        let (kind, value) = members.iter().next()?;
        let several = || value.as_array()?.iter().map(Self::of).collect::<Option<Vec<_>>>();
        Some(match kind.as_str() {
            "all" => Self::All(several()?),
            "any" => Self::Any(several()?),
            "except" => Self::Except(Box::new(Self::of(value)?)),
            "field" => {
                let (name, value) = value.as_object().filter(|members| members.len() == 1)?.iter().next()?;
                let constants = match value {
                    Value::Array(items) => items.iter().map(Constant::of).collect::<Option<_>>()?,
                    one => vec![Constant::of(one)?],
                };
                Self::Field(name.as_str().into(), constants)
            }
            _ => return None,
        })
    }

    /// Whether it is so.
    #[must_use]
    pub fn holds(&self, facts: &Facts<'_>) -> bool {
        match self {
            Self::All(rules) => rules.iter().all(|rule| rule.holds(facts)),
            Self::Any(rules) => rules.iter().any(|rule| rule.holds(facts)),
            Self::Except(rule) => !rule.holds(facts),
            Self::Field(name, constants) => {
                let values = values(facts, name);
                constants.iter().any(|constant| values.iter().any(|value| constant.is(value)))
            }
        }
    }
}

impl Constant {
    /// Reads a simple value; `None` for a list or an object, and for a regular expression that is none.
    #[must_use]
    pub fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Array(_) | Value::Object(_) => None,
            Value::String(text) if is_pattern(text) => {
                is_valid_pattern(text).then(|| Self::Pattern(Pattern::new(text)))
            }
            exact => Some(Self::Exact(exact.clone())),
        }
    }

    fn is(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Exact(Value::Number(one)), Value::Number(other)) => one.as_f64() == other.as_f64(),
            (Self::Exact(exact), value) => exact == value,
            (Self::Pattern(pattern), Value::String(text)) => pattern.matches(text),
            (Self::Pattern(_), _) => false,
        }
    }
}

/// The values of a field: those of a list one by one; null where there is nothing.
fn values(facts: &Facts<'_>, name: &str) -> Vec<Value> {
    let value = match name {
        "username" => json!(facts.username),
        "dn" => json!(facts.dn),
        "groups" => json!(facts.groups),
        "realm.name" => json!(facts.realm),
        _ => name.strip_prefix("metadata.").and_then(|key| facts.metadata.get(key)).cloned().unwrap_or_default(),
    };
    match value {
        Value::Array(values) if !values.is_empty() => values,
        Value::Array(_) => vec![Value::Null],
        one => vec![one],
    }
}

/// Whether a text is a wildcard, or a regular expression between slashes, rather than itself.
fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?']) || text.len() > 1 && text.starts_with('/') && text.ends_with('/')
}

//! From YAML text to a tree that knows line and column of everything.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Deserializer, de};
use serde_saphyr::{Location, Spanned};

use crate::config::{
    problem::{Place, Problem},
    tree::{Key, Node, Value},
};

/// Reads one YAML document named `file`.
pub(super) fn parse(text: &str, file: &Arc<str>) -> Result<Node, Problem> {
    let counted = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    let place = |location: Location| Place::File {
        file: Arc::clone(file),
        line: counted(location.line()),
        column: counted(location.column()),
    };
    let written: Written = serde_saphyr::from_str_with_options(text, serde_saphyr::options! { with_snippet: false })
        .map_err(|error| Problem {
            place: error.location().map_or(Place::File { file: Arc::clone(file), line: 1, column: 1 }, place),
            ..Problem::new(format!("no valid YAML: {}", reason(&error)))
        })?;
    Ok(written.into_node(text, &place))
}

/// Reads a YAML flow collection out of an environment variable.
pub(super) fn parse_variable(text: &str, name: &Arc<str>) -> Result<Node, Problem> {
    let place = Place::Variable(Arc::clone(name));
    let written: Written = serde_saphyr::from_str_with_options(text, serde_saphyr::options! { with_snippet: false })
        .map_err(|_| Problem {
            place: place.clone(),
            ..Problem::new("no valid YAML").hint("write a list as `a,b` or `[a, b]`, a mapping as `{key: value}`")
        })?;
    Ok(written.into_node(text, &|_| place.clone()))
}

/// What the parser says, without the place, which stands before it, and without advice about the parser's own options.
fn reason(error: &serde_saphyr::Error) -> String {
    let text = error.without_snippet().to_string();
    let end = [" at line ", ", set ", "; use "].iter().filter_map(|tail| text.find(tail)).min();
    text.get(..end.unwrap_or(text.len())).unwrap_or_default().to_owned()
}

/// A value as the parser gives it.
struct Written(Spanned<Form>);

enum Form {
    Map(Vec<(Spanned<String>, Written)>),
    Null,
    /// A bool or number: its text is in the source.
    Plain,
    Seq(Vec<Written>),
    Text(String),
}

impl Written {
    fn into_node(self, source: &str, place: &dyn Fn(Location) -> Place) -> Node {
        let location = self.0.defined;
        let scalar = |text: String| Value::Scalar { raw: text.clone(), text };
        let value = match self.0.value {
            Form::Map(entries) => Value::Map(
                entries
                    .into_iter()
                    .map(|(key, value)| {
                        let key = Key { place: place(key.defined), name: key.value };
                        (key, value.into_node(source, place))
                    })
                    .collect(),
            ),
            Form::Null => Value::Null,
            Form::Plain => {
                let span = location.span();
                let (offset, length) = (span.offset(), span.len());
                scalar(
                    source
                        .chars()
                        .skip(usize::try_from(offset).unwrap_or(usize::MAX))
                        .take(usize::try_from(length).unwrap_or(0))
                        .collect::<String>()
                        .trim()
                        .to_owned(),
                )
            }
            Form::Seq(items) => Value::Seq(items.into_iter().map(|item| item.into_node(source, place)).collect()),
            Form::Text(text) => scalar(text),
        };
        Node { place: place(location), value }
    }
}

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Spanned::deserialize(deserializer).map(Self)
    }
}

impl<'de> Deserialize<'de> for Form {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FormVisitor)
    }
}

struct FormVisitor;

impl<'de> de::Visitor<'de> for FormVisitor {
    type Value = Form;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Form, E> {
        Ok(Form::Plain)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Form, E> {
        Ok(Form::Plain)
    }

    fn visit_i128<E>(self, _: i128) -> Result<Form, E> {
        Ok(Form::Plain)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Form, E> {
        Ok(Form::Plain)
    }

    fn visit_u128<E>(self, _: u128) -> Result<Form, E> {
        Ok(Form::Plain)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Form, E> {
        Ok(Form::Plain)
    }

    fn visit_str<E>(self, text: &str) -> Result<Form, E> {
        Ok(Form::Text(text.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Form, E> {
        Ok(Form::Null)
    }

    fn visit_none<E>(self) -> Result<Form, E> {
        Ok(Form::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Form, D::Error> {
        Form::deserialize(deserializer)
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut items: A) -> Result<Form, A::Error> {
        let mut seq = Vec::new();
        while let Some(item) = items.next_element()? {
            seq.push(item);
        }
        Ok(Form::Seq(seq))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut entries: A) -> Result<Form, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Form::Map(map))
    }
}

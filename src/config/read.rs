//! From the tree to types: a serde deserializer that knows the place of every error.

use serde::{
    Deserializer,
    de::{self, DeserializeSeed, IntoDeserializer, Visitor, value::StrDeserializer},
    forward_to_deserialize_any,
};

use crate::config::{
    problem::{Place, Problem},
    tree::{Key, Node, Value},
};

/// Reads a value of a type out of a node.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    node: &'a Node,
    /// The key that chose an enum's variant and is none of its fields.
    tag: Option<&'static str>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(node: &'a Node) -> Self {
        Self { node, tag: None }
    }

    fn text(self, wanted: &str) -> Result<&'a str, Problem> {
        match &self.node.value {
            Value::Scalar { text, .. } => Ok(text),
            _ => Err(Problem::new(format!("expected {wanted}"))),
        }
    }

    /// Entries that count; an empty document or section is a map without any.
    fn entries(self) -> Result<Vec<&'a (Key, Node)>, Problem> {
        match &self.node.value {
            Value::Map(entries) => Ok(entries
                .iter()
                .filter(|(key, node)| !matches!(node.value, Value::Pruned) && Some(key.name.as_str()) != self.tag)
                .collect()),
            Value::Null | Value::Pruned => Ok(Vec::new()),
            // What was written here instead may be a secret in the wrong place: it is not shown.
            _ => Err(Problem { place: self.node.place.clone(), ..Problem::new("expected a mapping") }),
        }
    }

    fn fields(self, known: &[&str]) -> Result<Vec<&'a (Key, Node)>, Problem> {
        let entries = self.entries()?;
        match entries.iter().find(|(key, _)| !known.contains(&key.name.as_str())) {
            None => Ok(entries),
            Some((key, _)) => Err(Problem {
                place: key.place.clone(),
                path: vec![key.name.clone()],
                text: matches!(key.place, Place::File { .. }).then(|| key.name.clone()),
                ..Problem::new("unknown key").suggest(&key.name, known)
            }),
        }
    }
}

impl<'de> Deserializer<'de> for Reader<'_> {
    type Error = Problem;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_str(self.text("a text")?)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match self.text("`true` or `false`")? {
            "true" => visitor.visit_bool(true),
            "false" => visitor.visit_bool(false),
            _ => Err(Problem::new("expected `true` or `false`")),
        }
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.deserialize_u64(visitor)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        let wanted = "a whole number";
        let number = self.text(wanted)?.parse().map_err(|_| Problem::new(format!("expected {wanted}")))?;
        visitor.visit_u64(number)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match &self.node.value {
            Value::Null | Value::Pruned => visitor.visit_none(),
            // A variable has no other way to say it.
            Value::Scalar { text, .. } if matches!(self.node.place, Place::Variable(_)) && text == "null" => {
                visitor.visit_none()
            }
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &str, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match &self.node.value {
            Value::Seq(items) => visitor.visit_seq(Items(items.iter().enumerate())),
            Value::Scalar { text, .. } if matches!(self.node.place, Place::Variable(_)) => {
                let items: Vec<_> = text
                    .split(',')
                    .map(str::trim)
                    .filter(|item| !item.is_empty())
                    .map(|item| Node {
                        place: self.node.place.clone(),
                        value: Value::Scalar { raw: item.to_owned(), text: item.to_owned() },
                    })
                    .collect();
                visitor.visit_seq(Items(items.iter().enumerate()))
            }
            _ => Err(Problem::new("expected a list").hint("write `[a, b]`, or one `- item` a line")),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Problem> {
        visitor.visit_map(Fields { entries: self.fields(fields)?.into_iter(), value: None })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Problem> {
        let tag = TAGGED.iter().find(|(tagged, _)| *tagged == name).map(|(_, tag)| *tag);
        let chooser = match tag {
            None => self.node,
            Some(tag) => match self.entries()?.into_iter().find(|(key, _)| key.name == tag) {
                Some((_, node)) => node,
                None => return Err(Problem::new(format!("missing key `{tag}`")).suggest("", variants)),
            },
        };
        let located = |problem: Problem| match tag {
            None => problem,
            Some(tag) => located(problem, chooser).within(tag),
        };
        let variant = Reader::new(chooser).text("a name").map_err(located)?;
        if !variants.contains(&variant) {
            return Err(located(Problem::new("unknown name").suggest(variant, variants)));
        }
        visitor.visit_enum(Variant { name: variant, content: Self { tag, ..self } })
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u128 f32 f64 char str string bytes byte_buf
        unit unit_struct tuple tuple_struct map identifier ignored_any
    }
}

impl de::Error for Problem {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        // Errors of our own types put what to do on a second line.
        let message = message.to_string();
        match message.split_once('\n') {
            Some((message, hint)) => Self::new(message).hint(hint),
            None => Self::new(message),
        }
    }

    fn invalid_type(_: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::new(format!("expected {expected}"))
    }

    fn invalid_value(_: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::new(format!("out of range, expected {expected}"))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(format!("missing key `{field}`"))
    }
}

impl std::error::Error for Problem {}

struct Fields<'a> {
    entries: std::vec::IntoIter<&'a (Key, Node)>,
    value: Option<&'a (Key, Node)>,
}

impl<'de> de::MapAccess<'de> for Fields<'_> {
    type Error = Problem;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Problem> {
        self.value = self.entries.next();
        self.value.map(|(key, _)| seed.deserialize(name(&key.name))).transpose()
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Problem> {
        let (key, node) = self.value.take().ok_or_else(|| Problem::new("no value"))?;
        seed.deserialize(Reader::new(node)).map_err(|problem| located(problem, node).within(&key.name))
    }
}

struct Items<'a>(std::iter::Enumerate<std::slice::Iter<'a, Node>>);

impl<'de> de::SeqAccess<'de> for Items<'_> {
    type Error = Problem;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Problem> {
        self.0
            .by_ref()
            .find(|(_, node)| !matches!(node.value, Value::Pruned))
            .map(|(index, node)| {
                seed.deserialize(Reader::new(node)).map_err(|problem| located(problem, node).within(&index.to_string()))
            })
            .transpose()
    }
}

struct Variant<'a> {
    name: &'a str,
    content: Reader<'a>,
}

impl<'de, 'a> de::EnumAccess<'de> for Variant<'a> {
    type Error = Problem;
    type Variant = Reader<'a>;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Reader<'a>), Problem> {
        Ok((seed.deserialize(name(self.name))?, self.content))
    }
}

impl<'de> de::VariantAccess<'de> for Reader<'_> {
    type Error = Problem;

    fn unit_variant(self) -> Result<(), Problem> {
        if self.tag.is_some() {
            self.fields(&[])?;
        }
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Problem> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Problem> {
        Err(Problem::new("expected a mapping"))
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Problem> {
        self.deserialize_struct("", fields, visitor)
    }
}

/// Gives the problem the node's place, unless something inside the node gave it one.
fn located(problem: Problem, node: &Node) -> Problem {
    if problem.place == Place::Default && problem.path.is_empty() {
        Problem { place: node.place.clone(), text: node.shown(), ..problem }
    } else {
        problem
    }
}

fn name(text: &str) -> StrDeserializer<'_, Problem> {
    text.into_deserializer()
}

/// Enums that are written as a map, and the key that names the variant.
const TAGGED: &[(&str, &str)] =
    &[("Credential", "kind"), ("IdentityKind", "kind"), ("Realm", "type"), ("Service", "kind")];

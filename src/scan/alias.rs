//! Alias bodies: those of `_aliases`, and of `_alias`, where the body wins over the path (page 14.5).

use std::ops::Range;

use super::{
    Mention, Mentions, Name, ScanError,
    json::{Kind, Reader, Scratch},
};

/// What an action does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AliasVerb {
    /// `add`.
    Add,
    /// `remove`.
    Remove,
    /// `remove_index`, which deletes the index.
    RemoveIndex,
}

/// One action of `_aliases`.
#[derive(Debug, PartialEq, Eq)]
pub struct AliasAction<'a> {
    /// What it does.
    pub verb: AliasVerb,
    /// Its index expressions.
    pub indices: Vec<Name<'a>>,
    /// Where the whole member (key and value) with the indices stands: to narrow, put `"indices":[…]` in its place.
    pub indices_at: Range<usize>,
    /// Its alias names; expressions in [`AliasVerb::Remove`].
    pub aliases: Vec<Name<'a>>,
    /// Where the whole member with the aliases stands: to narrow, put `"aliases":[…]` in its place. Empty where there is none.
    pub aliases_at: Range<usize>,
    /// What its filter names.
    pub mentions: Vec<Mention>,
}

/// The body of `PUT /{index}/_alias/{name}`.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct AliasBody {
    /// Wins over the path's.
    pub index: Option<String>,
    /// Wins over the path's.
    pub alias: Option<String>,
    /// What its filter names.
    pub mentions: Vec<Mention>,
}

impl<'a> AliasAction<'a> {
    /// Reads the actions of `_aliases`.
    ///
    /// # Errors
    ///
    /// [`ScanError`] where they cannot be read exactly.
    pub fn read(body: &'a [u8]) -> Result<Vec<Self>, ScanError> {
        let mut scratch = Scratch::default();
        let mut reader = Reader::new(body, &mut scratch)?;
        let mut actions = Vec::new();
        reader.object()?;
        while let Some(key) = reader.key()? {
            if key != "actions" {
                return Err(ScanError::Malformed("an unknown parameter beside the actions"));
            }
            reader.array()?;
            while reader.item()? {
                reader.object()?;
                while let Some(verb) = reader.key()? {
                    let verb = match &*verb {
                        "add" => AliasVerb::Add,
                        "remove" => AliasVerb::Remove,
                        "remove_index" => AliasVerb::RemoveIndex,
                        _ => return Err(ScanError::Malformed("an alias action of an unknown kind")),
                    };
                    actions.push(Self::one(verb, &mut reader)?);
                }
            }
        }
        reader.end()?;
        Ok(actions)
    }

    fn one(verb: AliasVerb, reader: &mut Reader<'a, '_>) -> Result<Self, ScanError> {
        let mut action =
            Self { verb, indices: vec![], indices_at: 0..0, aliases: vec![], aliases_at: 0..0, mentions: vec![] };
        reader.object()?;
        while let Some(key) = reader.key()? {
            let from = reader.key_at();
            let (names, place) = match &*key {
                "alias" | "aliases" => (&mut action.aliases, &mut action.aliases_at),
                "index" | "indices" => (&mut action.indices, &mut action.indices_at),
                key => {
                    option(key, reader, &mut action.mentions)?;
                    continue;
                }
            };
            if place.start < place.end {
                return Err(ScanError::Malformed("an alias action names its indices or aliases twice"));
            }
            reader.names(names)?;
            *place = from..reader.at();
        }
        if action.indices.is_empty() {
            return Err(ScanError::Malformed("an alias action names no index"));
        }
        Ok(action)
    }
}

impl AliasBody {
    /// Reads a body, which may be empty.
    ///
    /// # Errors
    ///
    /// [`ScanError`] where it cannot be read exactly.
    pub fn read(body: &[u8]) -> Result<Self, ScanError> {
        let mut scratch = Scratch::default();
        let mut reader = Reader::new(body, &mut scratch)?;
        let mut alias = Self::default();
        if reader.peek().is_none() {
            return Ok(alias);
        }
        let text = |name: Option<Name<'_>>| name.map(|name| name.text.into_owned());
        reader.object()?;
        while let Some(key) = reader.key()? {
            match &*key {
                "index" => alias.index = text(reader.name()?),
                "alias" => alias.alias = text(reader.name()?),
                key => option(key, &mut reader, &mut alias.mentions)?,
            }
        }
        reader.end()?;
        Ok(alias)
    }
}

/// Reads the `aliases` object of a body that creates an index: the names, and what their filters mention.
pub(super) fn aliases(
    reader: &mut Reader<'_, '_>,
    names: &mut Vec<String>,
    mentions: &mut Vec<Mention>,
) -> Result<(), ScanError> {
    reader.object()?;
    while let Some(name) = reader.key()? {
        names.push(name.into_owned());
        if reader.kind()? != Kind::Object {
            return Err(ScanError::Malformed("an alias is not an object"));
        }
        reader.object()?;
        while let Some(key) = reader.key()? {
            option(&key, reader, mentions)?;
        }
    }
    Ok(())
}

fn option(key: &str, reader: &mut Reader<'_, '_>, mentions: &mut Vec<Mention>) -> Result<(), ScanError> {
    match key {
        "filter" => {
            let mut found = Mentions::default();
            found.value(key, reader, 0)?;
            mentions.append(&mut found.indices);
            Ok(())
        }
        "routing" | "indexRouting" | "indexrouting" | "index-routing" | "index_routing" | "searchRouting"
        | "searchrouting" | "search-routing" | "search_routing" | "is_write_index" | "isWriteIndex" | "is_hidden"
        | "isHidden" | "must_exist" | "mustExist" => reader.flat(),
        _ => Err(ScanError::Malformed("an alias has an unknown parameter")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::replace;

    fn names<'a>(names: &'a [Name<'_>]) -> Vec<&'a str> {
        names.iter().map(|name| &*name.text).collect()
    }

    #[test]
    fn each_action_tells_its_indices_and_aliases() {
        let body = br#"{"actions":[{"add":{"index":"a","alias":"x","is_write_index":true}},
            {"remove":{"aliases":["y","z*"],"indices":["b*","c"],"must_exist":false}},{"remove_index":{"index":"d"}}]}"#;
        let actions = AliasAction::read(body).unwrap();
        let seen: Vec<_> = actions.iter().map(|one| (one.verb, names(&one.indices), names(&one.aliases))).collect();
        assert_eq!(
            seen,
            [
                (AliasVerb::Add, vec!["a"], vec!["x"]),
                (AliasVerb::Remove, vec!["b*", "c"], vec!["y", "z*"]),
                (AliasVerb::RemoveIndex, vec!["d"], vec![]),
            ]
        );
    }

    #[test]
    fn an_action_can_be_narrowed() {
        let body = br#"{"actions":[{"remove":{"index" : "*", "alias":"*"}}]}"#;
        let [action] = AliasAction::read(body).unwrap().try_into().unwrap();
        let values = [
            (action.indices_at, r#""indices":["a"]"#.to_owned()),
            (action.aliases_at, r#""aliases":["x","y"]"#.to_owned()),
        ];
        let narrowed = replace(body, &values);
        assert_eq!(narrowed, br#"{"actions":[{"remove":{"indices":["a"], "aliases":["x","y"]}}]}"#);
    }

    #[test]
    fn the_filter_of_an_alias_is_read() {
        let filter = r#""filter":{"terms":{"f":{"index":"b","id":"1","path":"p"}}}"#;
        let body = format!(r#"{{"actions":[{{"add":{{"index":"a","alias":"x",{filter}}}}}]}}"#);
        assert_eq!(AliasAction::read(body.as_bytes()).unwrap().first().unwrap().mentions.first().unwrap().index, "b");
        let alias = AliasBody::read(format!("{{{filter}}}").as_bytes()).unwrap();
        assert_eq!(alias.mentions.first().unwrap().index, "b");
    }

    #[test]
    fn actions_that_name_something_twice_or_nothing_are_refused() {
        for action in [
            r#"{"add":{"index":"a","indices":["b"],"alias":"x"}}"#,
            r#"{"add":{"index":"a","index":"b","alias":"x"}}"#,
            r#"{"add":{"index":"a","alias":"x","aliases":["y"]}}"#,
            r#"{"add":{"alias":"x"}}"#,
            r#"{"add":{"index":"a","alias":"x","unknown":1}}"#,
            r#"{"rename":{"index":"a"}}"#,
        ] {
            assert!(AliasAction::read(format!(r#"{{"actions":[{action}]}}"#).as_bytes()).is_err(), "{action}");
        }
    }

    #[test]
    fn a_body_that_wins_over_the_path_is_told() {
        let alias = AliasBody::read(br#"{"index":"b","\u0061lias":"y","routing":"1"}"#).unwrap();
        assert_eq!((alias.index.as_deref(), alias.alias.as_deref()), (Some("b"), Some("y")));
        assert_eq!(AliasBody::read(b""), Ok(AliasBody::default()));
    }
}

//! From what is written to what it means, by a schema.

use std::ops::Bound;

use serde_json::Value;

use crate::{
    api::search::{
        Atom, Check, Field, Kind, Query, Schema,
        clause::{Clause, Range},
        date::{Format, Round},
        on_shard, plain,
        query::Text,
        simple, unfit,
    },
    respond::Exception,
};

/// What is known while a request is compiled.
pub(super) struct Compiler<'a> {
    pub(super) schema: &'a Schema,
    /// Milliseconds since the epoch.
    pub(super) now: i64,
    /// The first thing that a shard would notice: told when nothing is found that is told sooner.
    pub(super) failed: Option<Exception>,
}

impl Compiler<'_> {
    /// What a query means.
    ///
    /// # Errors
    ///
    /// A kind or a field that is not taken.
    pub(super) fn query(&mut self, clause: &Clause) -> Result<Query, Exception> {
        let not_here = |what: &str| Exception::argument(format!("{what} is not currently supported in this context"));
        Ok(match clause {
            Clause::All => Query::All,
            Clause::Unsupported(kind) => return Err(not_here(&format!("Query type [{kind}]"))),
            Clause::Lookup => return Err(not_here("terms query with terms lookup")),
            Clause::Bool { must, should, must_not, minimum } => {
                let least = usize::from(must.is_empty() && !should.is_empty());
                let mut all =
                    |clauses: &[Clause]| clauses.iter().map(|clause| self.query(clause)).collect::<Result<Vec<_>, _>>();
                Query::Bool {
                    must: all(must)?,
                    should: all(should)?,
                    must_not: all(must_not)?,
                    minimum: minimum.unwrap_or(least),
                }
            }
            Clause::Ids(ids) => Query::Ids(ids.clone()),
            Clause::Exists(field) => test(&self.schema.field(field)?, Check::Exists),
            Clause::Term { field, value, fold } => {
                let field = self.schema.field(field)?;
                if *fold && !is_number(field.kind) {
                    return Ok(test(&field, Check::Same(Text::new(plain(value), true))));
                }
                self.equal(&field, std::slice::from_ref(value))
            }
            Clause::Terms { field, values } => {
                let field = self.schema.field(field)?;
                self.equal(&field, values)
            }
            Clause::Match { field, value, and } => {
                let field = self.schema.field(field)?;
                if field.kind == Kind::Text {
                    let text = plain(value);
                    let words: Vec<Query> =
                        words(&text).map(|word| test(&field, Check::In(vec![Atom::Text(word.into())]))).collect();
                    return Ok(join(words, *and));
                }
                self.equal(&field, std::slice::from_ref(value))
            }
            Clause::Prefix { field, value, fold } => {
                let field = self.schema.field(field)?;
                self.pattern(&field, "prefix", Check::Prefix(Text::new(plain(value), *fold)))
            }
            Clause::Wildcard { field, value, fold } => {
                let field = self.schema.field(field)?;
                self.pattern(&field, "wildcard", Check::Wildcard(Text::new(plain(value), *fold)))
            }
            Clause::Range(range) => {
                if range.related {
                    return Err(not_here("range query with relation"));
                }
                let field = self.schema.field(&range.field)?;
                self.range(&field, range)
            }
            Clause::Simple { text, fields, and } => simple::query(text, &self.simple_fields(fields), *and, self.now),
        })
    }

    /// What a shard would say, when nothing else was wrong.
    pub(super) fn fail(&mut self, failure: Exception) -> Query {
        self.failed.get_or_insert(failure);
        Query::Nothing
    }

    fn equal(&mut self, field: &Field, values: &[Value]) -> Query {
        let atoms: Result<_, _> = values.iter().map(|value| atom(field, value, self.now)).collect();
        match atoms {
            Ok(atoms) => test(field, Check::In(atoms)),
            Err(cause) => {
                let text = format!("failed to create query: {}", cause.reason());
                self.fail(on_shard(&unfit(text).because(cause)))
            }
        }
    }

    fn pattern(&mut self, field: &Field, kind: &str, check: Check) -> Query {
        let of = match field.kind {
            Kind::Boolean => "boolean",
            Kind::Date => "date",
            Kind::Flattened | Kind::Keyword | Kind::Text => return test(field, check),
        };
        let text = format!(
            "Can only use {kind} queries on keyword, text and wildcard fields - not on [{}] which is of type [{of}]",
            field.stored
        );
        self.fail(on_shard(&unfit(text)))
    }

    fn range(&mut self, field: &Field, range: &Range) -> Query {
        let half_open = range.from.is_none() || range.to.is_none();
        if field.kind == Kind::Flattened && field.name.contains('.') && half_open {
            let text = "[range] queries on keyed [flattened] fields must include both an upper and a lower bound.";
            let failure = unfit(format!("failed to create query: {text}")).because(Exception::argument(text));
            return self.fail(on_shard(&failure));
        }
        let format = Format::new(range.format.as_deref());
        let bound = |bound: &Option<(Value, bool)>, round: [Round; 2]| {
            let Some((value, included)) = bound else { return Ok(Bound::Unbounded) };
            let [inside, outside] = round;
            let atom = match field.kind {
                Kind::Date => {
                    let round = if *included { inside } else { outside };
                    format.parse(&plain(value), round, self.now).map(Atom::Number)
                }
                _ => atom(field, value, self.now)
                    .map_err(|cause| unfit(format!("failed to create query: {}", cause.reason())).because(cause)),
            }?;
            Ok(if *included { Bound::Included(atom) } else { Bound::Excluded(atom) })
        };
        let from = bound(&range.from, [Round::Down, Round::Up]);
        let to = bound(&range.to, [Round::Up, Round::Down]);
        match (from, to) {
            (Ok(from), Ok(to)) => test(field, Check::Range(from, to)),
            (Err(failure), _) | (_, Err(failure)) => self.fail(on_shard(&failure)),
        }
    }

    /// Fields that a pattern names; what may not be asked about is left out without a word.
    fn simple_fields(&self, patterns: &[String]) -> Vec<Field> {
        let named = |field: &str| {
            patterns.iter().any(|pattern| {
                let pattern = pattern.split('^').next().unwrap_or_default();
                Query::Test { field: String::new(), check: Check::Wildcard(Text::new(pattern.to_owned(), false)) }
                    .matches(&Name(field))
            })
        };
        let declared = |name: &str| self.schema.field(name).ok();
        let mut fields: Vec<Field> = self
            .schema
            .fields
            .iter()
            .filter(|field| patterns.is_empty() || named(field.name))
            .filter_map(|field| declared(field.name))
            .collect();
        for pattern in patterns {
            let name = pattern.split('^').next().unwrap_or_default();
            if let Some(field) = declared(name)
                && !fields.contains(&field)
            {
                fields.push(field);
            }
        }
        fields
    }
}

/// The name of a field, as something to match a pattern with.
struct Name<'a>(&'a str);

impl super::Document for Name<'_> {
    fn id(&self) -> &str {
        self.0
    }

    fn values(&self, _: &str) -> Vec<Atom<'_>> {
        vec![Atom::text(self.0)]
    }
}

/// A value as a field holds it.
///
/// # Errors
///
/// A text that is no date or no boolean.
pub(super) fn atom(field: &Field, value: &Value, now: i64) -> Result<Atom<'static>, Exception> {
    let text = plain(value);
    match field.kind {
        Kind::Boolean => match text.as_str() {
            "true" => Ok(Atom::Number(1)),
            "false" | "" => Ok(Atom::Number(0)),
            _ => {
                let text = format!("Can't parse boolean value [{text}], expected [true] or [false]");
                Err(Exception::argument(text))
            }
        },
        Kind::Date => Format::default().parse(&text, Round::Down, now).map(Atom::Number),
        Kind::Flattened | Kind::Keyword | Kind::Text => Ok(Atom::Text(text.into())),
    }
}

/// A test of a field.
pub(super) fn test(field: &Field, check: Check) -> Query {
    Query::Test { field: field.name.clone(), check }
}

/// All of them, or any.
pub(super) fn join(queries: Vec<Query>, all: bool) -> Query {
    let (must, should) = if all { (queries, Vec::new()) } else { (Vec::new(), queries) };
    match (must.len(), should.len()) {
        (0, 0) => Query::Nothing,
        _ => Query::Bool { minimum: usize::from(!should.is_empty()), must, should, must_not: Vec::new() },
    }
}

/// The words of a text, as a field of kind [`Kind::Text`] holds them.
pub(in crate::api) fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|character: char| !character.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase)
}

fn is_number(kind: Kind) -> bool {
    matches!(kind, Kind::Boolean | Kind::Date)
}

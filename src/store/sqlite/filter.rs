//! [`KeyFilter`] as SQL.

use rusqlite::{
    ToSql,
    types::{ToSqlOutput, Value, ValueRef},
};

use crate::store::{KeyFilter, sqlite::row::millis};

/// A bound value; text may be the upper bound of a prefix, which is no valid UTF-8.
pub(super) enum Bound {
    Text(Vec<u8>),
    Value(Value),
}

impl ToSql for Bound {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Text(text) => ValueRef::Text(text),
            Self::Value(value) => value.into(),
        }))
    }
}

impl From<i64> for Bound {
    fn from(number: i64) -> Self {
        Self::Value(Value::Integer(number))
    }
}

/// A condition, and the values of its numbered parameters from `?1` on.
pub(super) fn condition(filter: &KeyFilter) -> (String, Vec<Bound>) {
    let mut clauses = Clauses { sql: "TRUE".to_owned(), values: Vec::new() };
    if let Some(ids) = &filter.ids {
        // One parameter however many there are. Should they not be JSON, the query fails.
        let ids = serde_json::to_vec(ids).unwrap_or_default();
        clauses.and("id IN (SELECT value FROM json_each(", Bound::Text(ids));
        clauses.sql.push_str("))");
    }
    if let Some(name) = &filter.name {
        match name.strip_suffix('*') {
            Some(prefix) => {
                // No byte of UTF-8 is 0xff, so this is above all that begins with the prefix and below all else.
                let above = [prefix.as_bytes(), b"\xff"].concat();
                clauses.and("name >=", Bound::Text(prefix.as_bytes().to_vec()));
                clauses.and("name <", Bound::Text(above));
            }
            None => clauses.and("name =", Bound::Text(name.as_bytes().to_vec())),
        }
    }
    if let Some(username) = &filter.username {
        clauses.and("username =", Bound::Text(username.as_bytes().to_vec()));
    }
    if let Some(realm) = &filter.realm {
        clauses.and("realm =", Bound::Text(realm.as_bytes().to_vec()));
    }
    if let Some(at) = filter.active_at {
        clauses.and("invalidation IS NULL AND ifnull(expiration, 9223372036854775807) >", millis(at).into());
    }
    (clauses.sql, clauses.values)
}

struct Clauses {
    sql: String,
    values: Vec<Bound>,
}

impl Clauses {
    fn and(&mut self, comparison: &str, value: Bound) {
        self.sql.push_str(" AND ");
        self.sql.push_str(comparison);
        self.values.push(value);
        self.sql.push_str(" ?");
        self.sql.push_str(&self.values.len().to_string());
    }
}

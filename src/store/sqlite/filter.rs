//! [`KeyFilter`] and [`Page`] as SQL.

use rusqlite::{
    ToSql,
    types::{ToSqlOutput, Value, ValueRef},
};

use crate::store::{KeyFilter, Page, sqlite::row::millis, text};

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
            Some("") => {}
            Some(prefix) => {
                // No byte of UTF-8 is 0xff, so this is above all that begins with the prefix and below all else. The
                // plus keeps off the index by name: many may match, which would then be sorted for one page of them.
                let above = [prefix.as_bytes(), b"\xff"].concat();
                clauses.and("+name >=", Bound::Text(prefix.as_bytes().to_vec()));
                clauses.and("+name <", Bound::Text(above));
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
    if let Some(kind) = filter.kind {
        clauses.and("kind =", Bound::Text(text::kind(kind).into()));
    }
    (clauses.sql, clauses.values)
}

/// The end of a query for a page of the keys that match `filter`, from `WHERE` on, and its values.
pub(super) fn page(filter: &KeyFilter, page: &Page) -> (String, Vec<Bound>) {
    let (sql, values) = condition(filter);
    let mut clauses = Clauses { sql: format!("WHERE {sql}"), values };
    let (above, order) = if page.newest_first { ("<", "DESC") } else { (">", "ASC") };
    if let Some((creation, id)) = &page.after {
        clauses.and(&format!("(creation, id) {above} ("), millis(*creation).into());
        clauses.put(",", Bound::Text(id.0.as_bytes().to_vec()));
        clauses.sql.push(')');
    }
    clauses.sql.extend([" ORDER BY creation ", order, ", id ", order]);
    let number = |number| i64::try_from(number).unwrap_or(i64::MAX).into();
    clauses.put(" LIMIT", number(page.limit));
    clauses.put(" OFFSET", number(page.skip));
    (clauses.sql, clauses.values)
}

struct Clauses {
    sql: String,
    values: Vec<Bound>,
}

impl Clauses {
    fn and(&mut self, comparison: &str, value: Bound) {
        self.sql.push_str(" AND ");
        self.put(comparison, value);
    }

    fn put(&mut self, sql: &str, value: Bound) {
        self.sql.push_str(sql);
        self.values.push(value);
        self.sql.push_str(" ?");
        self.sql.push_str(&self.values.len().to_string());
    }
}

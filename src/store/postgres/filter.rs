//! [`KeyFilter`] and [`Page`] as SQL.

use sqlx::{Postgres, QueryBuilder};

use crate::store::{KeyFilter, Page, postgres::row::millis, text};

/// Adds the condition that a key matches.
pub(super) fn condition(query: &mut QueryBuilder<Postgres>, filter: &KeyFilter) {
    query.push("TRUE");
    if let Some(ids) = &filter.ids {
        let ids: Vec<_> = ids.iter().map(|id| id.0.as_bytes().to_vec()).collect();
        query.push(" AND id = ANY(").push_bind(ids).push(")");
    }
    if let Some(name) = &filter.name {
        match name.strip_suffix('*') {
            Some("") => {}
            Some(prefix) => {
                // No byte of UTF-8 is 0xff, so this is above all that begins with the prefix and below all else.
                let above = [prefix.as_bytes(), b"\xff"].concat();
                query.push(" AND name >= ").push_bind(prefix.as_bytes().to_vec());
                query.push(" AND name < ").push_bind(above);
            }
            None => {
                query.push(" AND name = ").push_bind(name.as_bytes().to_vec());
            }
        }
    }
    for (column, value) in [(" AND username = ", &filter.username), (" AND realm = ", &filter.realm)] {
        if let Some(value) = value {
            query.push(column).push_bind(value.as_bytes().to_vec());
        }
    }
    if let Some(at) = filter.active_at {
        query
            .push(" AND invalidation IS NULL AND (expiration IS NULL OR expiration > ")
            .push_bind(millis(at))
            .push(")");
    }
    if let Some(kind) = filter.kind {
        query.push(" AND kind = ").push_bind(text::kind(kind));
    }
}

/// Adds what of those that match is asked for, after the condition.
pub(super) fn page(query: &mut QueryBuilder<Postgres>, page: &Page) {
    let (above, order) = if page.newest_first { ("<", "DESC") } else { (">", "ASC") };
    if let Some((creation, id)) = &page.after {
        query.push(format!(" AND (creation, id) {above} (")).push_bind(millis(*creation));
        query.push(", ").push_bind(id.0.as_bytes().to_vec()).push(")");
    }
    let number = |number| i64::try_from(number).unwrap_or(i64::MAX);
    query.push(format!(" ORDER BY creation {order}, id {order} LIMIT ")).push_bind(number(page.limit));
    query.push(" OFFSET ").push_bind(number(page.skip));
}

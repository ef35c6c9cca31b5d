//! Requests on one index by its name, and writes of one document, which may make their index (API page section 14.2).

use std::borrow::Cow;

use http::Method;

use super::{
    date_math,
    query::Query,
    refusal::{AuthorizeError, On},
    resolve::Catalog,
    routes::{Route, segments},
};
use crate::{
    model::{Principal, Timestamp},
    privileges::Privileges,
};

/// The name that a route for one index has, date math resolved.
///
/// # Errors
///
/// [`AuthorizeError::Illegal`]: it is a pattern.
pub(super) fn concrete<'a>(
    principal: &Principal,
    route: &Route,
    text: &'a str,
    now: Timestamp,
) -> Result<Cow<'a, str>, AuthorizeError> {
    let action = route.action();
    let illegal = |text: String| Err(AuthorizeError::Illegal(text.into()));
    if !principal.privileges.allows_index_action_somewhere(action) && !route.auto_create {
        return Err(AuthorizeError::index(principal, action, On::names([text])));
    }
    if matches!(text, "_all" | "") {
        return illegal(format!(
            "the action {action} does not support accessing all indices; the provided index expression [{text}] is not \
             allowed"
        ));
    }
    let name = date_math::resolve(text, now).map_err(|error| AuthorizeError::Illegal(error.to_string().into()))?;
    if name.contains('*') {
        return illegal(format!(
            "the action {action} does not support wildcards; the provided index expression(s) [{name}] are not allowed"
        ));
    }
    Ok(name)
}

/// Whether nothing needs to be known to allow it.
pub(super) fn covers(privileges: &Privileges, route: &Route, method: &Method, query: &Query<'_>, name: &str) -> bool {
    name != "_all"
        && !name.is_empty()
        && actions(route, method, query)
            .into_iter()
            .flatten()
            .all(|action| privileges.allows_index_action(action, name))
        && (!creates(route, query) || privileges.allows_index_action(AUTO_CREATE, name))
}

/// Whether it must be known if the index exists.
pub(super) fn needs_catalog(
    principal: &Principal,
    route: &Route,
    method: &Method,
    query: &Query<'_>,
    name: &str,
) -> bool {
    route.auto_create && !covers(&principal.privileges, route, method, query, name)
}

/// Judges a request on one index.
///
/// # Errors
///
/// [`AuthorizeError::Denied`], worded by how far the caller got.
pub(super) fn judge(
    principal: &Principal,
    route: &Route,
    method: &Method,
    query: &Query<'_>,
    name: &str,
    catalog: Option<&Catalog>,
) -> Result<(), AuthorizeError> {
    let privileges = &principal.privileges;
    let denied = |action| Err(AuthorizeError::index(principal, action, On::names([name])));
    let base = route.action();
    let missing = catalog.is_some_and(|catalog| catalog.get(name).is_none());
    let refused = |action: &&'static str| !privileges.allows_index_action(action, name);
    let Some(action) = actions(route, method, query).into_iter().flatten().find(refused) else {
        let makes = creates(route, query) && missing && !privileges.allows_index_action(AUTO_CREATE, name);
        return if makes { denied(AUTO_CREATE) } else { Ok(()) };
    };
    if !route.auto_create || base == UPDATE || action != base || !privileges.allows_index_action_somewhere(base) {
        return if action == BULK && !privileges.allows_index_action_somewhere(BULK) {
            Err(AuthorizeError::index(principal, BULK, On::default()))
        } else {
            denied(action)
        };
    }
    denied(if missing { AUTO_CREATE } else { BULK_SHARD })
}

/// Whether it makes its index where that is missing: what deletes does not, unless the version is the caller's own.
fn creates(route: &Route, query: &Query<'_>) -> bool {
    let external = query.version_type.as_deref().is_some_and(|kind| kind != "internal");
    route.auto_create && (route.action() != DELETE || external)
}

/// What a request does to its index, in the order in which the original asks.
fn actions(route: &Route, method: &Method, query: &Query<'_>) -> [Option<&'static str>; 4] {
    let base = route.action();
    let (bulk, shard) = (Some(BULK), Some(BULK_SHARD));
    match base {
        INDEX => {
            // An id is created or replaced; none, and `_create`, only create.
            let creates = query.op_type.as_deref().is_some_and(|kind| kind.eq_ignore_ascii_case("create"))
                || segments(route.shape).any(|word| word == "_create")
                || *method == Method::POST && segments(route.shape).count() == 2 && query.op_type.is_none();
            [Some(base), bulk, shard, Some(if creates { CREATE_OP } else { INDEX_OP })]
        }
        DELETE => [Some(base), bulk, shard, None],
        _ => [Some(base), None, None, None],
    }
}

pub(super) const INDEX: &str = "indices:data/write/index";
pub(super) const INDEX_OP: &str = "indices:data/write/index:op_type/index";
pub(super) const CREATE_OP: &str = "indices:data/write/index:op_type/create";
pub(super) const DELETE: &str = "indices:data/write/delete";
pub(super) const UPDATE: &str = "indices:data/write/update";
const BULK: &str = "indices:data/write/bulk";
pub(super) const BULK_SHARD: &str = "indices:data/write/bulk[s]";
pub(super) const AUTO_CREATE: &str = "indices:admin/auto_create";

//! What is left of an expression for a caller who may not use all of it (API page section 14.1).

use std::borrow::Cow;

use super::{
    names::{self, Expression, Item},
    query::Query,
    refusal::{AuthorizeError, On},
    resolve::{Catalog, Entry},
    routes::{Expand, Route},
};
use crate::{
    model::{Principal, Timestamp},
    privileges::Privileges,
};

/// How names that are missing or refused are dealt with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Options {
    /// Names that are refused or missing are left out.
    pub(super) ignore_unavailable: bool,
    /// Wildcards may mean nothing.
    pub(super) allow_no_indices: bool,
    /// What wildcards mean.
    pub(super) expand: Expand,
}

impl Options {
    /// Those of a request.
    ///
    /// # Errors
    ///
    /// [`AuthorizeError::Illegal`]: a value that is none.
    pub(super) fn of(route: &Route, query: &Query<'_>) -> Result<Self, AuthorizeError> {
        let flag = |name, value: &Option<Cow<'_, str>>, otherwise| match value.as_deref() {
            None => Ok(otherwise),
            Some("" | "true") => Ok(true),
            Some("false") => Ok(false),
            Some(_) => Err(AuthorizeError::Illegal(format!("Could not convert [{name}] to boolean").into())),
        };
        let expand = match query.expand_wildcards.as_deref() {
            None => route.expand,
            Some(states) => Expand::parse(states)
                .map_err(|state| AuthorizeError::Illegal(format!("No valid expand wildcard value [{state}]").into()))?,
        };
        Ok(Self {
            ignore_unavailable: flag("ignore_unavailable", &query.ignore_unavailable, route.lenient)? || route.lenient,
            allow_no_indices: flag("allow_no_indices", &query.allow_no_indices, true)? && !route.none_fails,
            expand,
        })
    }
}

/// Whether an expression may go on as it came: every name that it can mean, now and later, is granted. Cheap, and sure
/// only where the answer is yes.
pub(super) fn covers(privileges: &Privileges, actions: &[&'static str], expression: &str) -> bool {
    let every = |test: &dyn Fn(&str) -> bool| index_actions(actions).all(test);
    let mut wildcard_seen = false;
    expression.split(',').all(|item| {
        if wildcard_seen && item.starts_with('-') {
            return true; // takes away, whatever it means
        }
        if item.is_empty() || item == "_all" || item.starts_with(['-', '.', '<']) || item.contains(':') {
            return false;
        }
        match item.split_once('*') {
            Some((prefix, _)) => {
                wildcard_seen = true;
                every(&|action| privileges.allows_index_action_on_prefix(action, prefix))
            }
            None => every(&|action| privileges.allows_index_action(action, item)),
        }
    })
}

/// Those of several actions that are judged on indices.
pub(super) fn index_actions<'a>(actions: &'a [&'static str]) -> impl Iterator<Item = &'static str> + 'a {
    actions.iter().copied().filter(|action| action.starts_with("indices:"))
}

/// Whether an expression needs to be told what exists.
pub(super) fn needs_catalog(expression: &Expression<'_>) -> bool {
    match expression {
        Expression::All => true,
        Expression::Holed => false,
        Expression::List(items) => items.iter().any(|item| match item {
            Item::Wildcard { .. } => true,
            // It may back a data stream that is granted.
            Item::Name(name) => name.starts_with(".ds-") || name.starts_with(".fs-"),
            Item::Excluded(_) | Item::Remote { .. } => false,
        }),
    }
}

/// What a caller may use of what it named.
#[derive(Debug)]
pub(super) struct Narrowing<'a> {
    pub(super) principal: &'a Principal,
    /// All of these must be allowed.
    pub(super) actions: &'a [&'static str],
    pub(super) options: Options,
    /// What exists, where [`needs_catalog`].
    pub(super) catalog: Option<&'a Catalog>,
}

impl Narrowing<'_> {
    /// The names that are left; none is an empty answer.
    ///
    /// # Errors
    ///
    /// [`AuthorizeError`].
    pub(super) fn narrow(&self, expression: &Expression<'_>) -> Result<Vec<String>, AuthorizeError> {
        let action = index_actions(self.actions).next().unwrap_or(ANY_INDEX_ACTION);
        let items = match expression {
            Expression::All => &[Item::Wildcard { pattern: Cow::Borrowed("*"), selector: "" }][..],
            Expression::Holed => {
                let (kind, reason) = ("string_index_out_of_bounds_exception", "String index out of range: 0");
                return Err(AuthorizeError::because(self.principal, action, kind, reason.to_owned()));
            }
            Expression::List(items) => items,
        };
        let (mut left, mut refused): (Vec<String>, Vec<&str>) = (Vec::new(), Vec::new());
        for item in items {
            match item {
                Item::Excluded(pattern) => left.retain(|name| !names::matches(pattern, name)),
                Item::Name(name) if self.allows(name) => left.push(name.to_string()),
                Item::Name(name) => {
                    if !self.options.ignore_unavailable {
                        refused.push(name);
                    }
                }
                Item::Remote { cluster } if cluster.contains('*') => {}
                Item::Remote { cluster } => {
                    let reason = format!("no such remote cluster: [{cluster}]");
                    let kind = "no_such_remote_cluster_exception";
                    return Err(AuthorizeError::because(self.principal, action, kind, reason));
                }
                Item::Wildcard { pattern, .. } if self.options.expand.is_none() => refused.push(pattern),
                Item::Wildcard { pattern, selector } => {
                    let found = self.found(pattern, selector)?;
                    if found.is_empty() && !self.options.allow_no_indices {
                        return Err(AuthorizeError::NoSuchIndex(format!("{pattern}{selector}").into()));
                    }
                    left.extend(found);
                }
            }
        }
        if !refused.is_empty() {
            return Err(AuthorizeError::index(self.principal, action, On::names(refused)));
        }
        if left.is_empty() && !self.options.allow_no_indices {
            return Err(AuthorizeError::NoSuchIndex(format!("[{}]", listed(items)).into()));
        }
        let mut seen = std::collections::HashSet::new();
        left.retain(|name| seen.insert(name.clone()));
        Ok(left)
    }

    fn found(&self, pattern: &str, selector: &str) -> Result<Vec<String>, AuthorizeError> {
        let catalog = self.catalog.ok_or(AuthorizeError::Unresolved)?;
        let failures = selector == "::failures";
        let meant = catalog.matching(pattern, self.options.expand).into_iter();
        let meant = meant.filter(|name| !failures || matches!(catalog.get(name), Some(Entry::DataStream)));
        // What aliases are made of are indices.
        let of_aliases = self.actions.contains(&ALIASES);
        let meant = meant.filter(|name| !of_aliases || !matches!(catalog.get(name), Some(Entry::Alias { .. })));
        Ok(meant.map(|name| format!("{name}{selector}")).filter(|name| self.allows(name)).collect())
    }

    fn allows(&self, name: &str) -> bool {
        let granted = |name| {
            index_actions(self.actions).all(|action| self.principal.privileges.allows_index_action(action, name))
        };
        // In a list it stands for all indices to some clusters.
        name != "_all"
            && (granted(name)
                || matches!(self.catalog.and_then(|catalog| catalog.get(name)),
                    Some(Entry::Index { data_stream: Some(stream), .. }) if granted(stream)))
    }
}

fn listed(items: &[Item<'_>]) -> String {
    let texts = items.iter().map(|item| match item {
        Item::Excluded(name) => Cow::Owned(format!("-{name}")),
        Item::Name(name) => Cow::Borrowed(&**name),
        Item::Remote { cluster } => Cow::Owned(format!("{cluster}:")),
        Item::Wildcard { pattern, selector } => Cow::Owned(format!("{pattern}{selector}")),
    });
    texts.collect::<Vec<_>>().join(", ")
}

/// Reads an expression; date math that is none is the caller's fault.
pub(super) fn read(text: &str, now: Timestamp) -> Result<Expression<'_>, AuthorizeError> {
    Expression::parse(text, now).map_err(|error| AuthorizeError::Illegal(error.to_string().into()))
}

/// Changes aliases.
pub(super) const ALIASES: &str = "indices:admin/aliases";
const ANY_INDEX_ACTION: &str = "indices:searchgate/forward";

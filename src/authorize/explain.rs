//! Why a request is let through or refused: written down while it is judged, by the code that judges it.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use http::Uri;
use serde::Serialize;

use super::{
    Asked, AuthorizeError, named,
    query::Query,
    routes::{Kind, Route},
};
use crate::{
    model::Principal,
    privileges::{Ground, Privileges},
};

/// What a request was taken for, and what decided it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Explanation {
    /// Whether it may go to the cluster; items of its body may be left out still.
    pub allowed: bool,
    /// Elasticsearch's name of what it does. None where the table of routes does not know it.
    pub action: Option<&'static str>,
    /// The line of the table.
    pub route: Option<&'static str>,
    /// Names in path and query, as asked for.
    pub indices: Vec<Box<str>>,
    /// Names that the cluster is asked for in their place, where they are others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub narrowed_to: Option<Vec<Box<str>>>,
    /// Names in the body, each with what would be done there.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub body: BTreeSet<Mentioned>,
    /// Entries of role descriptors by which it is allowed, each once.
    pub granted_by: Vec<Ground>,
    /// Why it is refused.
    #[serde(skip)]
    pub refusal: Option<AuthorizeError>,
}

/// A name in a body.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Mentioned {
    /// As the body has it.
    pub index: Box<str>,
    /// What would be done there: the first action that is refused, or the last that is allowed.
    pub action: &'static str,
    /// Whether that is allowed.
    pub allowed: bool,
}

/// Where it is written down; nowhere, if nobody wants to know.
#[derive(Clone, Debug, Default)]
pub(super) struct Notes(Option<Arc<Mutex<Explanation>>>);

impl Notes {
    /// For an explanation that somebody asked for.
    pub(super) fn kept() -> Self {
        Self(Some(Arc::default()))
    }

    /// For the log, where it is listened to.
    pub(super) fn for_log() -> Self {
        if tracing::enabled!(tracing::Level::DEBUG) { Self::kept() } else { Self::default() }
    }

    pub(super) fn route(&self, route: &Route) {
        self.write(|explanation| {
            explanation.action = Some(route.action());
            explanation.route = Some(route.shape);
        });
    }

    /// Whoever may do everything is asked nothing; what it asks for may still be told.
    pub(super) fn total<'r>(&self, route: impl FnOnce() -> Option<&'r Route>, uri: &Uri) {
        if self.0.is_some()
            && let Some(route) = route()
        {
            self.route(route);
            let query = uri.query().map_or_else(Query::default, Query::parse);
            self.asked(&named(route, uri.path(), &query));
        }
    }

    pub(super) fn asked(&self, expression: &str) {
        self.write(|explanation| {
            explanation.indices =
                expression.split(',').filter(|name| !name.is_empty()).take(MOST).map(Into::into).collect();
        });
    }

    pub(super) fn left(&self, names: &[String]) {
        self.write(|explanation| {
            explanation.narrowed_to = Some(names.iter().take(MOST).map(|name| name.as_str().into()).collect());
        });
    }

    pub(super) fn mentioned(&self, action: &'static str, index: &str, allowed: bool) {
        self.write(|explanation| {
            if explanation.body.len() < MOST {
                explanation.body.insert(Mentioned { index: index.into(), action, allowed });
            }
        });
    }

    /// What was written down, and what came of it. None where nobody wants to know.
    pub(super) fn end<'r>(
        &self,
        asked: &Asked<'_>,
        route: impl FnOnce() -> Option<&'r Route>,
        refusal: Option<&AuthorizeError>,
    ) -> Option<Explanation> {
        let mut explanation = self.0.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner).clone();
        explanation.allowed = refusal.is_none();
        explanation.refusal = refusal.cloned();
        if refusal.is_none()
            && let Some(route) = route()
        {
            explanation.granted_by = grounds(&explanation, route, &asked.principal.privileges);
        }
        Some(explanation)
    }

    fn write(&self, change: impl FnOnce(&mut Explanation)) {
        if let Some(explanation) = &self.0 {
            change(&mut explanation.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }
}

/// The entries that allow it.
fn grounds(explanation: &Explanation, route: &Route, privileges: &Privileges) -> Vec<Ground> {
    let names = explanation.narrowed_to.as_ref().unwrap_or(&explanation.indices);
    let by_action = route.actions.iter().flat_map(|action| {
        if action.starts_with("indices:") && route.kind != Kind::Cluster {
            names.iter().flat_map(|name| privileges.grounds_of_index_action(action, name)).collect()
        } else {
            privileges.grounds_of_cluster_action(action)
        }
    });
    let mentioned = explanation.body.iter().filter(|mentioned| mentioned.allowed);
    let by_name =
        mentioned.flat_map(|mentioned| privileges.grounds_of_index_action(mentioned.action, &mentioned.index));
    let mut grounds = Vec::new();
    for ground in by_action.chain(by_name) {
        if !grounds.contains(&ground) {
            grounds.push(ground);
        }
    }
    grounds
}

impl Explanation {
    /// Tells operators, at debug level: names of indices and what is said of them, never a body.
    pub(super) fn log(&self, asked: &Asked<'_>) {
        let Principal { identity, .. } = &**asked.principal;
        tracing::debug!(
            target: "searchgate::authorize",
            user = &*identity.username,
            method = %asked.method,
            path = asked.uri.path(),
            allowed = self.allowed,
            action = self.action,
            route = self.route,
            indices = ?self.indices,
            narrowed_to = ?self.narrowed_to,
            body = ?self.body,
            granted_by = ?self.granted_by,
            refusal = self.refusal.as_ref().map(tracing::field::display),
            "judged"
        );
    }
}

/// Names that are kept of one request.
const MOST: usize = 1000;

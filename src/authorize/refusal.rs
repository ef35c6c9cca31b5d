//! Why a request is refused, in the original's words (API page sections 3 and 14).

use std::{
    fmt::{self, Write as _},
    sync::Arc,
};

use crate::{
    body::BodyError,
    model::Principal,
    privileges::{self, is_restricted},
};

/// A known caller's request is not let through.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AuthorizeError {
    /// What the body names cannot be judged, for it does not come whole. 408, 413.
    #[error(transparent)]
    Body(#[from] Arc<BodyError>),
    /// The caller may not do this. 403.
    #[error(transparent)]
    Denied(#[from] Box<Denied>),
    /// Not because of an action, but of what would follow from it. 403.
    #[error("{0}")]
    Forbidden(Box<str>),
    /// What it would go on with is not there, or not for this caller, which looks the same. 404.
    #[error(transparent)]
    Gone(Gone),
    /// Nobody may ask so. 400.
    #[error("{0}")]
    Illegal(Box<str>),
    /// Nothing is left of what was asked for. 404.
    #[error("no such index [{0}]")]
    NoSuchIndex(Box<str>),
    /// What exists could not be asked. 503.
    #[error("the cluster does not tell which indices exist")]
    Unresolved,
}

/// What is not there (API page section 14.3).
#[derive(Clone, Debug, thiserror::Error)]
pub enum Gone {
    /// An asynchronous search of this id.
    #[error("{0}")]
    Async(Box<str>),
    /// A point in time that was to be closed.
    #[error("the point in time is gone")]
    Pit,
    /// A scroll that was to go on.
    #[error("the scroll is gone")]
    Scroll,
    /// Scrolls that were to be ended.
    #[error("the scrolls are gone")]
    Scrolls,
}

/// The caller may not do this. Words and shape: API page section 3.1.
#[derive(Clone, Debug, thiserror::Error)]
#[error("action [{action}] is unauthorized for {subject}{on}, {reason}")]
pub struct Denied {
    /// Elasticsearch's name of the action.
    pub action: &'static str,
    /// Who, in the words of section 3.1, with roles.
    pub subject: Box<str>,
    /// On which indices, where some are named.
    pub on: On,
    /// The privileges that would grant it, from least to most powerful, in words, or why none would.
    pub reason: Box<str>,
    /// These privileges, comma-separated; empty where none would.
    pub granting: Box<str>,
    /// What caused it, where it is not the privileges: kind and reason.
    pub cause: Option<(&'static str, Box<str>)>,
}

/// Refused names, sorted; none where nothing is said of them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct On(Box<[Box<str>]>);

impl AuthorizeError {
    /// `principal` may not do a cluster action; where the action is on its `own` keys, less would have sufficed.
    #[must_use]
    pub fn cluster(principal: &Principal, action: &'static str, own: bool) -> Self {
        Self::denied(principal, action, On::default(), ("cluster", privileges::granting_cluster(action, own)), None)
    }

    /// `principal` may not do what only those may who may do everything.
    #[must_use]
    pub fn everything(principal: &Principal, action: &'static str) -> Self {
        Self::denied(principal, action, On::default(), ("cluster", "all".to_owned()), None)
    }

    /// `principal` may not do an index action, on these names or at all.
    #[must_use]
    pub fn index(principal: &Principal, action: &'static str, on: On) -> Self {
        Self::denied(principal, action, on, ("index", privileges::granting_index(action)), None)
    }

    /// As [`Self::index`], for another reason than privileges.
    #[must_use]
    pub fn because(principal: &Principal, action: &'static str, kind: &'static str, reason: String) -> Self {
        let granting = ("index", privileges::granting_index(action));
        Self::denied(principal, action, On::default(), granting, Some((kind, reason.into())))
    }

    /// A pipeline is not for callers who may not write to all indices.
    #[must_use]
    pub fn pipeline(name: &str) -> Self {
        Self::Forbidden(
            format!(
                "pipeline [{name}] may send documents to other indices, or does not exist: it is for callers who may write \
                 to all indices"
            )
            .into(),
        )
    }

    /// The caller is bound to a workflow, and this is none.
    #[must_use]
    pub fn workflow(principal: &Principal, action: &'static str) -> Self {
        let granting = if action.starts_with("indices:") {
            ("index", privileges::granting_index(action))
        } else {
            ("cluster", privileges::granting_cluster(action, false))
        };
        Self::denied(principal, action, On::default(), granting, None)
    }

    /// `caller` may do nothing as `target`, whatever either of them may do (API page section 3.3).
    #[must_use]
    pub fn run_as(caller: &Principal, target: &str, action: &'static str) -> Self {
        let reason = format!("because {} is unauthorized to run as [{target}]", who(caller)).into();
        let subject = subject(caller).into();
        Self::Denied(Box::new(Denied {
            action,
            subject,
            on: On::default(),
            reason,
            granting: Box::default(),
            cause: None,
        }))
    }

    fn denied(
        principal: &Principal,
        action: &'static str,
        on: On,
        (kind, privileges): (&str, String),
        cause: Option<(&'static str, Box<str>)>,
    ) -> Self {
        let mut reason = format!("this action is granted by the {kind} privileges [{privileges}]");
        if on.0.iter().any(|name| name.ends_with("::failures")) {
            let failures = privileges::granting_index_failures(action);
            // Writing to a string cannot fail.
            let _ = write!(reason, " for data access, or by [{failures}] for access with the [::failures] selector");
        }
        // Whatever else is wrong: a caller bound to a workflow may do nothing outside of it.
        let restriction = ("role_restriction_exception", "access restricted by workflow".into());
        let cause = if principal.privileges.is_workflow_restricted() { Some(restriction) } else { cause };
        let (subject, reason) = (subject(principal).into(), reason.into());
        Self::Denied(Box::new(Denied { action, subject, on, reason, granting: privileges.into(), cause }))
    }
}

impl On {
    /// These names.
    #[must_use]
    pub fn names(names: impl IntoIterator<Item = impl Into<Box<str>>>) -> Self {
        let mut names: Vec<Box<str>> = names.into_iter().map(Into::into).collect();
        names.sort_unstable();
        names.dedup();
        Self(names.into())
    }
}

impl fmt::Display for On {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (restricted, others): (Vec<&str>, Vec<&str>) =
            self.0.iter().map(|name| &**name).partition(|name| is_restricted(name));
        let mut word = " on";
        for (kind, names) in [("indices", others), ("restricted indices", restricted)] {
            if !names.is_empty() {
                write!(f, "{word} {kind} [{}]", names.join(","))?;
                word = " and";
            }
        }
        Ok(())
    }
}

/// A caller without its roles.
fn who(principal: &Principal) -> String {
    let user = &principal.identity.username;
    match (&principal.run_by, &principal.api_key) {
        (Some(by), _) => format!("{} run as [{user}]", who(by)),
        (None, Some(key)) => format!("API key id [{}] of user [{user}]", key.id),
        (None, None) if principal.service_token.is_some() => format!("service account [{user}]"),
        (None, None) => format!("user [{user}]"),
    }
}

fn subject(principal: &Principal) -> String {
    let mut subject = who(principal);
    if principal.api_key.is_some() || principal.service_token.is_some() {
        return subject;
    }
    let effective = principal.privileges.roles();
    // Writing to a string cannot fail.
    let _ = write!(subject, " with effective roles [{}]", effective.join(","));
    let mut lost: Vec<&str> =
        principal.identity.roles.iter().filter(|role| !effective.contains(role)).map(|role| &**role).collect();
    if !lost.is_empty() {
        lost.sort_unstable();
        let _ = write!(subject, " (assigned roles [{}] were not found)", lost.join(","));
    }
    subject
}

//! Contexts belong to who opened them (API page section 14.3): a scroll and an asynchronous search to their opener, a point
//! in time to whoever may read its indices.
//!
//! Nothing is kept of them. Callers hold the cluster's id in an envelope that says whose it is, sealed under the master
//! key; here it is made, opened and judged.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, Method, Uri, header};
use serde::{Deserialize, Serialize};

use super::{
    Asked,
    content::{self, Opened},
    names,
    query::Query,
    refusal::{AuthorizeError, Gone},
    resolve::{Catalog, Entry},
    routes::{Expand, Route, segments},
    somewhere, target,
};
use crate::{
    body::Body,
    model::Principal,
    scan::{ContextIds, IdKey, Seal},
    sealing::{MasterKeys, Purpose},
};

/// What somebody may open on the cluster, to use it again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Context {
    /// A search that goes on by itself, of whichever language.
    Async,
    /// A point in time.
    Pit,
    /// A scroll.
    Scroll,
}

/// Who opened a context: exactly that key, or a user by whichever credential, tokens and run-as included.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Owner {
    Key(Box<str>),
    User(Box<str>, Box<str>),
}

/// What a caller holds of a context.
#[derive(Deserialize, Serialize)]
pub(super) struct Envelope {
    owner: Owner,
    /// What whoever searches this point in time must be allowed to read: names and wildcards.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) indices: Vec<String>,
    /// The cluster's id.
    pub(super) id: String,
}

/// An id in a request.
enum Held {
    Sealed(Envelope),
    /// Sealed, but for something else, or under a key that is no longer known.
    Unknown,
    /// Not of our making: opened directly at the cluster, or before there were envelopes.
    Raw,
}

/// Makes envelopes of the ids in the answer to one request.
pub struct Sealer {
    keys: MasterKeys,
    owner: Owner,
    context: Context,
    /// Of the point in time that is opened or searched.
    indices: Vec<String>,
    /// The cluster's ids that the request held, and how its caller knows them.
    known: Vec<(String, String)>,
    /// Whoever may do everything gets points in time as the cluster has them.
    bares_pits: bool,
}

impl Context {
    /// As the table of routes has it.
    pub(super) fn parse(text: &str) -> Option<Self> {
        [Self::Async, Self::Pit, Self::Scroll].into_iter().find(|context| context.word() == text)
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Async => "async",
            Self::Pit => "pit",
            Self::Scroll => "scroll",
        }
    }

    fn seal(self, keys: &MasterKeys, envelope: &Envelope) -> Option<String> {
        let plain = serde_json::to_vec(envelope).ok()?;
        let sealed = keys.seal(Purpose::Context, self.word().as_bytes(), &plain);
        Some(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(sealed)))
    }

    fn open(self, keys: &MasterKeys, id: &str) -> Held {
        let Some(text) = id.strip_prefix(PREFIX) else { return Held::Raw };
        let plain = URL_SAFE_NO_PAD.decode(text).ok();
        let plain = plain.and_then(|sealed| keys.open(Purpose::Context, self.word().as_bytes(), &sealed));
        plain.and_then(|plain| serde_json::from_slice(&plain).ok()).map_or(Held::Unknown, Held::Sealed)
    }
}

impl Owner {
    fn of(principal: &Principal) -> Self {
        match &principal.api_key {
            Some(key) => Self::Key((&*key.id.0).into()),
            None => Self::User(principal.identity.username.clone(), (&*principal.own_realm().name).into()),
        }
    }
}

/// The point in time that `id` stands for; none if it is not of our making.
pub(super) fn point_in_time(keys: &MasterKeys, id: &str) -> Option<Envelope> {
    match Context::Pit.open(keys, id) {
        Held::Sealed(envelope) => Some(envelope),
        Held::Unknown | Held::Raw => None,
    }
}

/// Whether a target may concern a context. Cheap; most do not.
pub(super) fn may_concern(uri: &Uri) -> bool {
    uri.query().is_some_and(|query| query.contains("scroll") || query.contains('%'))
        || segments(uri.path()).any(|word| WORDS.contains(&word))
}

/// Judges a request that names contexts, which then goes on with the cluster's own ids.
///
/// # Errors
///
/// [`AuthorizeError`]: it is not theirs, or nobody's.
pub(super) async fn judge(
    keys: &MasterKeys,
    asked: &Asked<'_>,
    (route, context): (&Route, Context),
    body: &mut Body,
) -> Result<(Sealer, Option<http::uri::PathAndQuery>, bool), AuthorizeError> {
    let (principal, action) = (asked.principal, route.action());
    let limited = !principal.privileges.allows_everything();
    let query = asked.uri.query().map_or_else(Query::default, Query::parse);
    if limited {
        if principal.privileges.is_workflow_restricted() {
            return Err(AuthorizeError::workflow(principal, action));
        }
        if query.source {
            return Err(AuthorizeError::everything(principal, action));
        }
        if context == Context::Scroll && asked.method != Method::DELETE {
            somewhere(principal, route)?;
        }
    }
    let mut use_of = Use { asked, action, context, limited, sealer: Sealer::new(keys, principal, context) };
    let target = target::with_ids(asked.uri, route.id, |list| use_of.ids(list.split(',')))?;
    let mut read = false;
    if route.body.is_some() && !matches!(body, Body::Empty) {
        let whole = content::read(content::is_gzip(asked.headers)?, std::mem::take(body)).await?;
        let found = ContextIds::read(&whole).map_err(|error| AuthorizeError::Illegal(error.to_string().into()))?;
        let whole = if found.ids.is_empty() {
            whole.clone()
        } else {
            found.replaced(&use_of.ids(found.ids.iter().map(|id| &*id.text))?).into()
        };
        (*body, read) = (Body::from(whole), true);
    }
    answers_plainly(asked.headers, &query)?;
    Ok((use_of.sealer, target, read))
}

/// One caller's use of contexts.
struct Use<'a> {
    asked: &'a Asked<'a>,
    action: &'static str,
    context: Context,
    limited: bool,
    sealer: Sealer,
}

impl Use<'_> {
    /// The cluster's ids for those of a caller, who must be allowed to use them all; to end them, some.
    fn ids<'i>(&mut self, held: impl Iterator<Item = &'i str>) -> Result<Vec<String>, AuthorizeError> {
        let ends = self.asked.method == Method::DELETE;
        let mut left = Vec::new();
        for id in held.filter(|id| !id.is_empty()) {
            match self.context.open(&self.sealer.keys, id) {
                Held::Sealed(envelope) if envelope.owner == self.sealer.owner || self.may_use_others() => {
                    self.sealer.known.push((envelope.id.clone(), id.to_owned()));
                    left.push(envelope.id);
                }
                Held::Raw if !self.limited => {
                    self.sealer.known.push((id.to_owned(), id.to_owned()));
                    left.push(id.to_owned());
                }
                Held::Raw if self.context != Context::Async => return Err(self.unreadable(ends)),
                // As if it had been ended already.
                Held::Sealed(_) | Held::Unknown | Held::Raw if ends && self.context != Context::Async => {}
                Held::Sealed(_) | Held::Unknown | Held::Raw => return Err(self.gone(id)),
            }
        }
        if left.is_empty() { Err(self.gone("")) } else { Ok(left) }
    }

    /// Whoever may list or cancel tasks, may do that with these too.
    fn may_use_others(&self) -> bool {
        let privileges = &self.asked.principal.privileges;
        self.context == Context::Async
            && match *self.asked.method {
                Method::DELETE => privileges.allows_cluster_action(CANCEL),
                _ => self.action.starts_with("cluster:monitor/") && privileges.allows_cluster_action(self.action),
            }
    }

    fn gone(&self, id: &str) -> AuthorizeError {
        AuthorizeError::Gone(match self.context {
            Context::Async => Gone::Async(id.into()),
            Context::Pit => Gone::Pit,
            Context::Scroll if self.asked.method == Method::DELETE => Gone::Scrolls,
            Context::Scroll => Gone::Scroll,
        })
    }

    fn unreadable(&self, ends: bool) -> AuthorizeError {
        let text = match self.context {
            Context::Scroll => "Cannot parse scroll id",
            Context::Async | Context::Pit => "Cannot parse point in time id",
        };
        if ends {
            return AuthorizeError::Illegal(text.into());
        }
        AuthorizeError::because(self.asked.principal, self.action, "illegal_argument_exception", text.to_owned())
    }
}

/// What the answer to a request must be sealed by, where it may open something.
///
/// # Errors
///
/// [`AuthorizeError::Illegal`]: the answer is asked for in a form that is not read here.
pub(super) fn opening(
    keys: &MasterKeys,
    asked: &Asked<'_>,
    context: Context,
    indices: Vec<String>,
) -> Result<Option<Sealer>, AuthorizeError> {
    let query = asked.uri.query().map_or_else(Query::default, Query::parse);
    let mut sealer = Sealer::new(keys, asked.principal, context);
    if context == Context::Scroll && !query.scroll || context == Context::Pit && sealer.bares_pits {
        return Ok(None);
    }
    answers_plainly(asked.headers, &query)?;
    sealer.indices = indices;
    Ok(Some(sealer))
}

/// What whoever searches a point in time over `expression` must be allowed to read: an alias stands for its indices, and a
/// wildcard for itself too, for an index may have been made in the meantime.
pub(super) fn pit_indices(expression: &str, expand: Expand, catalog: &Catalog) -> Vec<String> {
    let (mut indices, mut wildcard_seen) = (Vec::new(), false);
    let add = |indices: &mut Vec<String>, name: &str| match catalog.get(name) {
        Some(Entry::Alias { indices: meant }) => indices.extend(meant.iter().map(ToString::to_string)),
        _ => indices.push(name.to_owned()),
    };
    for item in expression.split(',').filter(|item| !item.is_empty()) {
        if wildcard_seen && item.starts_with('-') {
            // Other exclusions take nothing from what aliases mean.
            if item == "-*" {
                indices.clear();
            }
            continue;
        }
        add(&mut indices, item);
        if item.contains('*') {
            wildcard_seen = true;
            catalog.matching(item, expand).into_iter().for_each(|name| add(&mut indices, name));
        }
    }
    // A wildcard answers for all names that it matches.
    let wildcards: Vec<String> = indices.iter().filter(|index| index.contains('*')).cloned().collect();
    indices.retain(|index| index.contains('*') || !wildcards.iter().any(|wildcard| names::matches(wildcard, index)));
    indices.sort_unstable();
    indices.dedup();
    indices
}

/// Ids are replaced in plain JSON only.
///
/// # Errors
///
/// [`AuthorizeError::Illegal`]: something else is asked for.
pub(super) fn answers_plainly(headers: &HeaderMap, query: &Query<'_>) -> Result<(), AuthorizeError> {
    let other = |text: &str| OTHER_FORMS.iter().any(|form| text.to_ascii_lowercase().contains(form));
    let asked = [header::ACCEPT, header::CONTENT_TYPE];
    let mut asked = asked.iter().flat_map(|name| headers.get_all(name)).map(|value| value.to_str().unwrap_or("cbor"));
    if query.format.as_deref().is_some_and(other) || asked.any(other) {
        return Err(AuthorizeError::Illegal(
            "the answer to this request holds an id that is given in JSON only: neither YAML, CBOR nor SMILE".into(),
        ));
    }
    Ok(())
}

impl Sealer {
    fn new(keys: &MasterKeys, principal: &Principal, context: Context) -> Self {
        Self {
            keys: keys.clone(),
            owner: Owner::of(principal),
            context,
            indices: Vec::new(),
            known: Vec::new(),
            bares_pits: principal.privileges.allows_everything(),
        }
    }

    /// For the answer to a search of points in time.
    pub(super) fn of_search(keys: &MasterKeys, principal: &Principal, opened: Vec<Opened>) -> Self {
        let mut sealer = Self::new(keys, principal, Context::Pit);
        for Opened { held, envelope } in opened {
            sealer.known.push((envelope.id, held));
            sealer.indices.extend(envelope.indices);
        }
        sealer
    }

    /// The cluster's ids that the request held, and how its caller knows them: an error may repeat them.
    #[must_use]
    pub fn known(&self) -> &[(String, String)] {
        &self.known
    }
}

/// Whoever reads the cluster's id may use it there.
impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").field("context", &self.context).finish_non_exhaustive()
    }
}

impl Seal for Sealer {
    fn seal(&self, key: IdKey, id: &str) -> Option<String> {
        if let Some((_, held)) = self.known.iter().find(|(known, _)| known == id) {
            return Some(held.clone());
        }
        let context = match key {
            IdKey::Id => self.context,
            IdKey::PitId if self.bares_pits => return Some(id.to_owned()),
            // Only of these it is known which indices they are over.
            IdKey::PitId if self.context == Context::Pit => Context::Pit,
            IdKey::PitId => return None,
            IdKey::ScrollId => Context::Scroll,
        };
        let indices = if context == Context::Pit { self.indices.clone() } else { Vec::new() };
        context.seal(&self.keys, &Envelope { owner: self.owner.clone(), indices, id: id.to_owned() })
    }
}

/// Tells an envelope from an id of the cluster's.
const PREFIX: &str = "sgate_";
/// Words of all paths that concern contexts, but for searches.
const WORDS: [&str; 7] = ["scroll", "_pit", "point_in_time", "_async_search", "_asynchronous_search", "_eql", "async"];
/// Forms of an answer in which ids are not found.
const OTHER_FORMS: [&str; 3] = ["yaml", "cbor", "smile"];
/// What `cancel_task` grants, and ends others' searches too.
const CANCEL: &str = "cluster:admin/tasks/cancel";

#[cfg(test)]
mod tests;

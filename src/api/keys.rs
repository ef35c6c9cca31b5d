//! `/_security/api_key`: list and invalidate (API page sections 4.5 and 4.8).

use std::{collections::HashSet, sync::Arc};

use http::{Response, StatusCode};
use serde_json::{Map, Value, json};

use crate::{
    api::{
        Api, Call, Reply,
        access::{self, Action},
        failure::{Failure, INVALID_REQUEST, Validation},
        form::Form,
        json::{Field, Tree},
        query as parameters,
    },
    body::Body,
    keys::KeysError,
    model::{KeyId, Principal},
    respond::{Exception, Rejection, es},
    store::{ApiKeyRecord, KeyFilter, KeyKind, Page},
};

mod create;
mod cross_cluster;
mod grant;
mod list;
mod query;
mod remote;
#[cfg(test)]
mod tests;
mod update;
mod wanted;

pub(super) use query::clear_cache;

impl From<KeysError> for Failure {
    fn from(error: KeysError) -> Self {
        match error {
            KeysError::Store(error) => error.into(),
            KeysError::LifeTooLong { .. } | KeysError::TooMany { .. } => Exception::argument(error.to_string()).into(),
        }
    }
}

/// Which keys a request names.
#[derive(Default)]
struct Selection {
    ids: Option<Vec<KeyId>>,
    name: Option<Box<str>>,
    username: Option<Box<str>>,
    realm: Option<Box<str>>,
    owner: bool,
}

impl Api {
    /// Lists keys, however many, a page at a time. 404 only where one id was asked for and there is none.
    pub(super) async fn keys(&self, call: &mut Call<'_>, kept: Option<&str>) -> Result<Response<Body>, Failure> {
        let query = &mut call.query;
        let selection = Selection {
            ids: query.filled("id").map(|id| vec![KeyId((*id).into())]),
            name: query.filled("name"),
            username: query.filled("username"),
            realm: query.filled("realm_name"),
            owner: query.flag("owner")?,
        };
        let (limited_by, active) = (query.flag("with_limited_by")?, query.flag("active_only")?);
        query.flag("with_profile_uid")?;
        call.query.finish(call.path())?;
        call.refuse_body()?;
        selection.validate(&GET_WORDS)?;

        let principal = call.principal;
        let itself = selection.names_only(principal) && !limited_by;
        let own = selection.is_own(principal);
        let action = if own { &GET_OWN } else { &GET };
        if !(itself || access::may(principal, action)) {
            return Err(call.deny(action));
        }
        let by_id = selection.ids.is_some();
        let mut filter = self.filter(selection, principal).await?;
        filter.active_at = active.then(|| self.clock.now());
        let keys = self.keys.find(&filter, &Page::first(list::LISTED)).await?;
        let status = if by_id && keys.is_empty() { StatusCode::NOT_FOUND } else { StatusCode::OK };
        let listing = list::Listing { filter, limited_by, kept: kept.map(Box::from), target: call.target() };
        let facts = super::facts(call.parts);
        Ok(es::streamed(status, listing.body(Arc::clone(&self.keys), keys), &facts))
    }

    /// Invalidates keys; returns once no cache takes them any more.
    pub(super) async fn invalidate_keys(&self, call: &mut Call<'_>) -> Result<Reply, Failure> {
        let form = Form::read("invalidate_api_key", call.required_body()?)?;
        let selection = Selection::read(&form)?;
        call.query.finish(call.path())?;
        selection.validate(&INVALIDATE_WORDS)?;

        let principal = call.principal;
        let own = selection.is_own(principal) || selection.names_only(principal);
        let action = if own { &INVALIDATE_OWN } else { &INVALIDATE };
        if !access::may(principal, action) {
            return Err(call.deny(action));
        }
        let owner = selection.owner;
        let mut filter = self.filter(selection, principal).await?;
        if !access::may(principal, &CROSS_CLUSTER) {
            filter.kind = Some(KeyKind::Rest);
        }
        let outcome = self.keys.invalidate(&filter).await?;
        let change = json!({ "apikeys": {
            "ids": outcome.invalidated,
            "owned_by_authenticated_user": owner,
        } });
        self.record(call, "invalidate_apikeys", change);
        let mut answer = Map::new();
        answer.insert("invalidated_api_keys".into(), json!(outcome.invalidated));
        answer.insert("previously_invalidated_api_keys".into(), json!(outcome.previously));
        answer.insert("error_count".into(), outcome.spared.len().into());
        if !outcome.spared.is_empty() {
            let error = |id: &KeyId| {
                let text = format!(
                    "Cannot invalidate cross-cluster API key [{id}]. This requires [manage_security] cluster privilege or higher"
                );
                Exception::new("security_exception", text).shown()
            };
            answer.insert("error_details".into(), outcome.spared.iter().map(error).collect());
        }
        Ok(Reply::ok(answer.into()))
    }

    /// What a selection means to the store. A key that asks for its owner's keys means those of its creator.
    async fn filter(&self, selection: Selection, principal: &Principal) -> Result<KeyFilter, Failure> {
        let Selection { ids, name, mut username, mut realm, owner } = selection;
        if owner {
            let realm_of = principal.lookup_realm.as_ref().unwrap_or(&principal.realm);
            let (mut owner_name, mut owner_realm) = (principal.identity.username.clone(), (*realm_of.name).into());
            if let Some(key) = access::key(principal) {
                let itself = KeyFilter { ids: Some(vec![key.id.clone()]), ..KeyFilter::default() };
                if let Some(record) = self.keys.find(&itself, &Page::first(1)).await?.into_iter().next() {
                    owner_name = record.creator.identity.username;
                    owner_realm = (*record.creator.realm.name).into();
                }
            }
            (username, realm) = (Some(owner_name), Some(owner_realm));
        }
        Ok(KeyFilter { ids, name, username, realm, active_at: None, kind: None })
    }
}

impl Selection {
    fn read(form: &Form) -> Result<Self, Exception> {
        let mut read = Self::default();
        let filled =
            |field| form.text(field).map(|text| Some(text).filter(|text| !text.trim().is_empty()).map(Box::from));
        for field in &form.fields {
            match field.name.as_str() {
                "ids" => read.ids = Some(ids(form, field)?),
                "name" => read.name = filled(field)?,
                "username" => read.username = filled(field)?,
                "realm_name" => read.realm = filled(field)?,
                "owner" => {
                    read.owner = match &field.node.tree {
                        Tree::Bool(owner) => *owner,
                        Tree::Text(text) => {
                            parameters::boolean(text).map_err(|cause| form.unread(field.node.at, "owner", cause))?
                        }
                        _ => return Err(form.mistyped(field)),
                    }
                }
                _ => return Err(form.unknown(field, &["ids", "name", "owner", "realm_name", "username"])),
            }
        }
        if let Some(ids) = &read.ids {
            check_ids(ids).map_err(|cause| form.unbuilt(cause))?;
        }
        Ok(read)
    }

    fn validate(&self, words: &Words) -> Result<(), Exception> {
        let (by_key, by_user) =
            (self.ids.is_some() || self.name.is_some(), self.username.is_some() || self.realm.is_some());
        let mut validation = Validation::default();
        if let Some(nothing) = words.nothing {
            validation.refuse(!by_key && !by_user && !self.owner, nothing);
        }
        validation.refuse(by_key && by_user, words.user);
        validation.refuse(self.owner && by_user, words.owner);
        validation.refuse(self.ids.is_some() && self.name.is_some(), words.name);
        validation.finish(INVALID_REQUEST)
    }

    /// Whether it cannot name keys of anybody but this user.
    fn is_own(&self, principal: &Principal) -> bool {
        let realm = principal.lookup_realm.as_ref().unwrap_or(&principal.realm);
        let by_name = self.username.as_deref() == Some(&*principal.identity.username)
            && self.realm.as_deref() == Some(&*realm.name);
        // A key owns no keys.
        access::key(principal).is_none() && (self.owner || by_name)
    }

    /// Whether it names the key that the caller is, and no other.
    fn names_only(&self, principal: &Principal) -> bool {
        let ids = self.ids.as_deref();
        access::key(principal).is_some_and(|key| ids == Some(std::slice::from_ref(&key.id)))
    }
}

fn ids(form: &Form, field: &Field) -> Result<Vec<KeyId>, Exception> {
    let id = |text: &str| KeyId(text.into());
    match &field.node.tree {
        Tree::Text(text) => Ok(vec![id(text)]),
        Tree::List(items) => {
            let (mut ids, mut seen) = (Vec::with_capacity(items.len()), HashSet::new());
            for item in items {
                let one = match &item.tree {
                    Tree::Text(text) => id(text),
                    Tree::Bool(_) | Tree::Number(_) => id(&item.value().to_string()),
                    _ => {
                        let cause = Exception::new(
                            "illegal_state_exception",
                            format!("expected value but got [{}]", item.token()),
                        );
                        return Err(form.unread(item.at, "ids", cause));
                    }
                };
                if seen.insert(one.clone()) {
                    ids.push(one);
                }
            }
            Ok(ids)
        }
        _ => Err(form.mistyped(field)),
    }
}

fn check_ids(ids: &[KeyId]) -> Result<(), Exception> {
    let blank: Vec<String> =
        ids.iter().enumerate().filter(|(_, id)| id.0.trim().is_empty()).map(|(at, _)| at.to_string()).collect();
    let mut validation = Validation::default();
    validation.refuse(ids.is_empty(), "Field [ids] cannot be an empty array");
    let (id, position) = if blank.len() > 1 { ("ids", "positions") } else { ("id", "position") };
    validation.refuse(
        !blank.is_empty(),
        format!(
            "Field [ids] must not contain blank id, but got blank {id} at index {position}: [{}]",
            blank.join(", ")
        ),
    );
    validation.finish(INVALID_REQUEST)
}

/// A key as answers show it.
fn show(key: &ApiKeyRecord, limited_by: bool) -> Map<String, Value> {
    let mut shown = Map::new();
    shown.insert("id".into(), json!(key.id));
    shown.insert("name".into(), json!(key.name));
    shown.insert("type".into(), json!(key.kind()));
    shown.insert("creation".into(), json!(key.creation));
    if let Some(expiration) = key.expiration {
        shown.insert("expiration".into(), json!(expiration));
    }
    shown.insert("invalidated".into(), json!(key.invalidation.is_some()));
    if let Some(invalidation) = key.invalidation {
        shown.insert("invalidation".into(), json!(invalidation));
    }
    shown.insert("username".into(), json!(key.creator.identity.username));
    shown.insert("realm".into(), json!(key.creator.realm.name));
    shown.insert("realm_type".into(), json!(key.creator.realm.kind));
    shown.insert("metadata".into(), json!(key.metadata));
    shown.insert("role_descriptors".into(), json!(key.role_descriptors));
    match &key.access {
        Some(access) => drop(shown.insert("access".into(), json!(access))),
        None if limited_by => drop(shown.insert("limited_by".into(), json!([key.limited_by]))),
        None => {}
    }
    if let Some(used) = key.last_used {
        shown.insert("last_used".into(), json!(used));
    }
    shown
}

/// Words for selections that make no sense.
struct Words {
    nothing: Option<&'static str>,
    user: &'static str,
    owner: &'static str,
    name: &'static str,
}

const GET_WORDS: Words = Words {
    nothing: None,
    user: "username or realm name must not be specified when the api key id or api key name is specified",
    owner: "neither username nor realm-name may be specified when retrieving owned API keys",
    name: "only one of [api key id, api key name] can be specified",
};

const INVALIDATE_WORDS: Words = Words {
    nothing: Some(
        "One of [api key id(s), api key name, username, realm name] must be specified if [owner] flag is false",
    ),
    user: "username or realm name must not be specified when the api key id(s) or api key name are specified",
    owner: "neither username nor realm-name may be specified when invalidating owned API keys",
    name: "only one of [api key id(s), api key name] can be specified",
};

/// What nobody may do who may not end keys of other clusters.
const CROSS_CLUSTER: Action = Action::named("cluster:admin/xpack/security/cross_cluster/api_key/create");

const GET: Action = Action::named("cluster:admin/xpack/security/api_key/get");

const GET_OWN: Action = GET.concerning_own_keys();

const INVALIDATE: Action = Action::named("cluster:admin/xpack/security/api_key/invalidate");

const INVALIDATE_OWN: Action = INVALIDATE.concerning_own_keys();

/// Shorthand for denials inside this folder.
impl Call<'_> {
    fn deny(&self, action: &Action) -> Failure {
        Rejection::from(access::denied(self.principal, action)).into()
    }
}

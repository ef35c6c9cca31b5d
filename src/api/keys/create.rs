//! `PUT|POST /_security/api_key`: create (API page section 4.2), and what all ways to make a key share.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};

use crate::{
    api::{
        Api, Call, Reply,
        access::{self, Action},
        descriptor,
        failure::{Failure, INVALID_REQUEST, Validation},
        form::Form,
        json::Position,
        keys::wanted::Wanted,
    },
    keys::{CreatedKey, NewKey},
    model::{Identity, Principal},
    respond::{Exception, Rejection},
    store::{Creator, StoreError},
};

impl Api {
    /// Makes a key for the caller. Its secret is in this answer and nowhere else.
    pub(in crate::api) async fn create_key(&self, call: &mut Call<'_>) -> Result<Reply, Failure> {
        let form = Form::read("api_key_request", call.required_body()?)?;
        let wanted = Wanted::read(&form, MEMBERS, Position::START).map_err(|fault| fault.cause)?;
        Wanted::require(&[("name", wanted.name.is_none())])?;
        call.query.refresh()?;
        call.query.finish(call.path())?;
        let mut validation = Validation::default();
        wanted.judge_name(&mut validation);
        wanted.judge(&mut validation);
        validation.finish(INVALID_REQUEST)?;
        access::require(call.principal, &CREATE).map_err(Rejection::from)?;
        check_derived(wanted.role_descriptors.as_ref(), call.principal)?;

        let new = self.new_key(wanted, call.principal).await?;
        self.make_key(call, new, Map::new()).await
    }

    /// What a key of `owner` is made of.
    pub(super) async fn new_key(&self, wanted: Wanted, owner: &Principal) -> Result<NewKey, Failure> {
        check_restrictions(wanted.role_descriptors.as_ref())?;
        Ok(NewKey {
            name: wanted.name.unwrap_or_default().into(),
            life: wanted.life,
            limited_by: self.limited_by(owner).await?,
            creator: creator(owner),
            role_descriptors: wanted.role_descriptors.unwrap_or_default(),
            metadata: wanted.metadata.unwrap_or_default(),
            access: None,
        })
    }

    /// Makes a key, tells the auditors, with `extra` beside the key, and shows it.
    pub(super) async fn make_key(
        &self,
        call: &Call<'_>,
        new: NewKey,
        extra: Map<String, Value>,
    ) -> Result<Reply, Failure> {
        let kind = if new.access.is_some() { "cross_cluster" } else { "rest" };
        let (name, descriptors) = (new.name.clone(), json!(new.role_descriptors));
        let created = self.keys.create(new).await?;
        let mut change = Map::new();
        change.insert(
            "apikey".into(),
            json!({
                "id": created.id, "name": name, "type": kind, "expiration": created.expiration,
                "role_descriptors": descriptors,
            }),
        );
        change.extend(extra);
        self.record(call, "create_apikey", change.into());
        Ok(Reply::ok(shown(&created, &name)))
    }

    /// The owner's descriptors now: what the key can never exceed. A key has none to give.
    pub(super) async fn limited_by(&self, owner: &Principal) -> Result<Map<String, Value>, StoreError> {
        if access::key(owner).is_some() {
            return Ok(Map::new());
        }
        let mut descriptors = self.descriptors(owner).await?;
        for descriptor in descriptors.values_mut().filter_map(Value::as_object_mut) {
            // A text for people, which no descriptor of a key may have.
            descriptor.shift_remove("description");
            // A role that is built in does not say so, its snapshot does.
            descriptor.insert("transient_metadata".into(), json!({ "enabled": true }));
        }
        Ok(descriptors)
    }
}

/// A key may only make keys that can do nothing, and must say so: no descriptor at all would mean "as its owner".
pub(super) fn check_derived(assigned: Option<&Map<String, Value>>, principal: &Principal) -> Result<(), Exception> {
    let powerless = assigned.is_some_and(|given| !given.is_empty() && given.values().all(descriptor::is_powerless));
    if access::key(principal).is_none() || powerless {
        return Ok(());
    }
    Err(Exception::argument(
        "creating derived api keys requires an explicit role descriptor that is empty (has no privileges)",
    ))
}

/// A restriction is for the key as a whole.
pub(super) fn check_restrictions(assigned: Option<&Map<String, Value>>) -> Result<(), Exception> {
    let Some(assigned) = assigned else { return Ok(()) };
    match assigned.values().filter(|descriptor| descriptor.get("restriction").is_some()).count() {
        0 => Ok(()),
        1 if assigned.len() == 1 => Ok(()),
        1 => Err(Exception::argument("combining role descriptors with and without restriction is not supported")),
        _ => Err(Exception::argument("more than one role descriptor with restriction is not supported")),
    }
}

fn shown(created: &CreatedKey, name: &str) -> Value {
    let secret = created.secret.expose();
    let mut body = Map::new();
    body.insert("id".into(), json!(created.id));
    body.insert("name".into(), name.into());
    if let Some(expiration) = created.expiration {
        body.insert("expiration".into(), json!(expiration));
    }
    body.insert("api_key".into(), secret.into());
    body.insert("encoded".into(), STANDARD.encode(format!("{}:{secret}", created.id)).into());
    body.into()
}

/// Who a key belongs to, without the roles: those stand in its snapshot.
pub(super) fn creator(principal: &Principal) -> Creator {
    let identity = Identity { roles: Vec::new(), ..principal.identity.clone() };
    Creator { identity, realm: principal.own_realm().clone() }
}

/// Members of a body that makes a key.
pub(super) const MEMBERS: &[&str] = &["expiration", "metadata", "name", "role_descriptors"];

pub(super) const CREATE: Action = Action::named("cluster:admin/xpack/security/api_key/create").concerning_own_keys();

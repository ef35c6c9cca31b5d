//! Updates of keys (API page section 4.7).

use serde_json::{Map, Value, json};

use crate::{
    api::{
        Api, Call, Reply,
        access::{self, Action},
        failure::{Failure, INVALID_REQUEST, Validation},
        form::Form,
        json::Position,
        keys::{
            create::{check_restrictions, creator},
            wanted::Wanted,
        },
    },
    keys::Update,
    model::{KeyId, Principal},
    respond::{Exception, Rejection},
    store::{KeyKind, KeyUpdate},
};

impl Api {
    /// Updates one key of the caller.
    pub(in crate::api) async fn update_key(&self, call: &mut Call<'_>) -> Result<Reply, Failure> {
        let wanted = if call.body.is_empty() {
            Wanted::default()
        } else {
            let form = Form::read("update_api_key_request_payload", &call.body)?;
            let members = &["expiration", "metadata", "role_descriptors"];
            Wanted::read(&form, members, Position::START).map_err(|fault| fault.cause)?
        };
        call.query.finish(call.path())?;
        let mut validation = Validation::default();
        wanted.judge(&mut validation);
        wanted.judge_life(&mut validation);
        validation.finish(INVALID_REQUEST)?;
        access::require(call.principal, &UPDATE).map_err(Rejection::from)?;
        let id = KeyId(call.name(0).into());
        self.update_one(call, id, wanted, KeyKind::Rest).await
    }

    /// Updates one key of the caller, in whichever words it was asked for.
    pub(super) async fn update_one(
        &self,
        call: &Call<'_>,
        id: KeyId,
        wanted: Wanted,
        kind: KeyKind,
    ) -> Result<Reply, Failure> {
        check_no_key(call.principal)?;
        let update = self.update(wanted, kind, call.principal).await?;
        let ids = [id];
        let [id] = &ids;
        let change = described(&update);
        let outcome = self.keys.update(&ids, update).await?.pop().unwrap_or(KeyUpdate::NotFound);
        match refusal(id, outcome, kind) {
            Some(Refused { missing: true, exception }) => {
                Err(Failure::Exception(http::StatusCode::NOT_FOUND, exception))
            }
            Some(Refused { exception, .. }) => Err(exception.into()),
            None => {
                let mut apikey = Map::from_iter([("id".to_owned(), json!(id))]);
                apikey.extend(change);
                self.record(call, "change_apikey", json!({ "apikey": apikey }));
                Ok(Reply::ok(json!({ "updated": outcome == KeyUpdate::Changed })))
            }
        }
    }

    /// Updates several keys of the caller alike; each for itself may fail.
    pub(in crate::api) async fn update_keys(&self, call: &mut Call<'_>) -> Result<Reply, Failure> {
        let form = Form::read("bulk_update_api_key_request", call.required_body()?)?;
        let members = &["expiration", "ids", "metadata", "role_descriptors"];
        let mut wanted = Wanted::read(&form, members, Position::START).map_err(|fault| fault.cause)?;
        Wanted::require(&[("ids", wanted.ids.is_none())])?;
        call.query.finish(call.path())?;
        let ids = wanted.ids.take().unwrap_or_default();
        let mut validation = Validation::default();
        wanted.judge(&mut validation);
        wanted.judge_life(&mut validation);
        validation.refuse(ids.is_empty(), "Field [ids] cannot be empty");
        validation.finish(INVALID_REQUEST)?;
        access::require(call.principal, &UPDATE_SEVERAL).map_err(Rejection::from)?;
        check_no_key(call.principal)?;
        if ids.iter().any(|id| id.0.is_empty()) {
            return Err(Exception::argument("Ids can't be empty").into());
        }

        let update = self.update(wanted, KeyKind::Rest, call.principal).await?;
        let change = described(&update);
        let outcomes = self.keys.update(&ids, update).await?;
        let (mut updated, mut noops, mut details) = (Vec::new(), Vec::new(), Map::new());
        for (id, outcome) in ids.iter().zip(outcomes) {
            match refusal(id, outcome, KeyKind::Rest) {
                Some(Refused { exception, .. }) => drop(details.insert(id.to_string(), exception.shown())),
                None if outcome == KeyUpdate::Changed => updated.push(id),
                None => noops.push(id),
            }
        }
        let mut apikeys = Map::from_iter([("ids".to_owned(), json!(ids))]);
        apikeys.extend(change);
        self.record(call, "change_apikeys", json!({ "apikeys": apikeys }));
        let mut answer = Map::new();
        answer.insert("updated".into(), json!(updated));
        answer.insert("noops".into(), json!(noops));
        if !details.is_empty() {
            answer.insert("errors".into(), json!({ "count": details.len(), "details": details }));
        }
        Ok(Reply::ok(answer.into()))
    }

    async fn update(&self, wanted: Wanted, kind: KeyKind, owner: &Principal) -> Result<Update, Failure> {
        check_restrictions(wanted.role_descriptors.as_ref())?;
        let (role_descriptors, access) = match wanted.access {
            Some(access) => (Some(access.descriptors()), Some(access.0)),
            None => (wanted.role_descriptors, None),
        };
        // The other cluster's users limit a cross-cluster key, not its maker.
        let limited_by = match kind {
            KeyKind::CrossCluster => Map::new(),
            KeyKind::Rest => self.limited_by(owner).await?,
        };
        let (creator, metadata, life) = (creator(owner), wanted.metadata, wanted.life);
        Ok(Update { kind, creator, limited_by, role_descriptors, metadata, access, life })
    }
}

/// Only its owner changes a key, and a key owns none.
fn check_no_key(principal: &Principal) -> Result<(), Exception> {
    if access::key(principal).is_none() {
        return Ok(());
    }
    Err(Exception::argument("authentication via API key not supported: only the owner user can update an API key"))
}

/// Why a key was not updated.
struct Refused {
    missing: bool,
    exception: Exception,
}

fn refusal(id: &KeyId, outcome: KeyUpdate, expected: KeyKind) -> Option<Refused> {
    let argument = |text| Some(Refused { missing: false, exception: Exception::argument(text) });
    match outcome {
        KeyUpdate::Changed | KeyUpdate::Unchanged => None,
        KeyUpdate::Expired => argument(format!("cannot update expired API key [{id}]")),
        KeyUpdate::Invalidated => argument(format!("cannot update invalidated API key [{id}]")),
        KeyUpdate::NotFound => {
            let text = format!("no API key owned by requesting user found for ID [{id}]");
            Some(Refused { missing: true, exception: Exception::new("resource_not_found_exception", text) })
        }
        KeyUpdate::WrongKind(kind) => {
            let (kind, expected) = (kind.as_str(), expected.as_str());
            argument(format!("cannot update API key of type [{kind}] while expected type is [{expected}]"))
        }
    }
}

/// What auditors read of an update.
fn described(update: &Update) -> Map<String, Value> {
    let mut described = Map::new();
    for (name, value) in [("role_descriptors", &update.role_descriptors), ("metadata", &update.metadata)] {
        if let Some(value) = value {
            described.insert(name.to_owned(), json!(value));
        }
    }
    described
}

const UPDATE: Action = Action::named("cluster:admin/xpack/security/api_key/update").concerning_own_keys();

const UPDATE_SEVERAL: Action = Action::named("cluster:admin/xpack/security/api_key/bulk_update").concerning_own_keys();

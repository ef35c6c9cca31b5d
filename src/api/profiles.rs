//! `/_security/profile` (API page section 10).

use std::collections::HashMap;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::{
    api::{
        Api, Call, Reply,
        access::{self, Action},
        failure::{Failure, INVALID_REQUEST, Validation},
        names::listed,
        rights::question,
        search,
    },
    identify::{Evidence, IdentifyError, presented::Presented},
    model::Principal,
    respond::{Exception, Rejection, es},
    secret,
    store::{DocumentKind, StoreError},
};

mod form;

impl Api {
    /// Makes or renews the profile of whoever the credentials in the body belong to.
    pub(super) async fn activate_profile(&self, call: &mut Call<'_>) -> Result<Reply, Failure> {
        let grant = form::Activation::read(call.required_body()?)?;
        call.query.finish(call.path())?;
        let presented = grant.presented()?;
        access::require(call.principal, &ACTIVATE).map_err(Rejection::from)?;
        let parts = call.parts;
        let evidence = Evidence {
            method: &parts.method,
            headers: &parts.headers,
            target: ACTIVATION,
            peer: call.peer,
            strangers_pass: false,
        };
        let proven = self.realms.prove(&presented, &evidence).await;
        let principal = proven.map_err(|error| refusal(error, &presented))?;
        let uid = uid(&principal.identity.username, &principal.own_realm().name);
        let before = self.documents.find(DocumentKind::Profile, &uid).await?;
        let profile = self.activated(&uid, &principal, before.as_ref());
        self.documents.put(DocumentKind::Profile, vec![(uid.into(), profile.clone())]).await?;
        Ok(Reply::ok(with_data(profile, None)))
    }

    /// Tells of profiles, by uid.
    pub(super) async fn profiles(&self, call: &mut Call<'_>) -> Result<Reply, Failure> {
        let data = call.query.filled("data");
        call.query.finish(call.path())?;
        call.refuse_body()?;
        let names = call.name(0).to_owned();
        let mut validation = Validation::default();
        validation.refuse(names.split(',').any(str::is_empty), "Profile UID cannot be empty");
        validation.finish(INVALID_REQUEST)?;
        access::require(call.principal, &GET).map_err(Rejection::from)?;
        let mut shown = Vec::new();
        let mut lost = Map::new();
        for uid in listed(&names) {
            match self.documents.find(DocumentKind::Profile, uid).await? {
                Some(profile) => shown.push(with_data(profile, data.as_deref())),
                None => drop(lost.insert(uid.to_owned(), self.missing().await?)),
            }
        }
        let mut body = json!({ "profiles": shown });
        if let (false, Some(body)) = (lost.is_empty(), body.as_object_mut()) {
            body.insert("errors".to_owned(), json!({ "count": lost.len(), "details": lost }));
        }
        Ok(Reply::ok(body))
    }

    /// Tells whose profiles hold all of what is named.
    pub(super) async fn profile_privileges(&self, call: &mut Call<'_>) -> Result<Reply, Failure> {
        let form::Privileged { uids, question } = form::Privileged::read(&search::body(call)?)?;
        call.query.finish(call.path())?;
        let mut validation = question::judge(&question);
        validation.refuse(uids.is_empty(), "profile uids list must not be empty");
        validation.finish(INVALID_REQUEST)?;
        access::require(call.principal, &HAS_PRIVILEGES).map_err(Rejection::from)?;
        let stored = self.stored_privileges().await?;
        let mut holders = Vec::new();
        for uid in uids {
            let Some(profile) = self.documents.find(DocumentKind::Profile, &uid).await? else { continue };
            let roles = profile.pointer("/user/roles").and_then(Value::as_array).into_iter().flatten();
            let roles: Vec<Box<str>> = roles.filter_map(Value::as_str).map(Box::from).collect();
            let privileges = self.roles.privileges(&roles).await?;
            if is_enabled(&profile) && privileges.answer(&question, &stored).has_all_requested {
                holders.push(uid);
            }
        }
        Ok(Reply::ok(json!({ "has_privilege_uids": holders })))
    }

    /// Finds profiles by what the names of their users begin with.
    pub(super) async fn suggest_profiles(&self, call: &mut Call<'_>) -> Result<Reply, Failure> {
        let mut wanted = form::Suggestion::read(&search::body(call)?)?;
        if let Some(data) = call.query.text("data").map(Box::from) {
            if wanted.data.is_some() {
                let text =
                    "The [data] parameter must be specified in either request body or as query parameter, but not both";
                return Err(Exception::argument(text).into());
            }
            wanted.data = Some(data);
        }
        call.query.finish(call.path())?;
        wanted.judge().finish(INVALID_REQUEST)?;
        access::require(call.principal, &SUGGEST).map_err(Rejection::from)?;
        let all = self.documents.all(DocumentKind::Profile).await?;
        let mut found: Vec<Value> = all
            .into_iter()
            .map(|(_, profile)| profile)
            .filter(|profile| is_enabled(profile) && wanted.fits(profile))
            .collect();
        found.sort_by_key(|profile| !wanted.hints_at(profile));
        let total = found.len();
        found.truncate(wanted.size);
        let shown: Vec<Value> = found.into_iter().map(|profile| with_data(profile, wanted.data.as_deref())).collect();
        Ok(Reply::ok(json!({ "took": 0, "total": { "value": total, "relation": "eq" }, "profiles": shown })))
    }

    /// Keeps what an application says of a user.
    pub(super) async fn put_profile_data(&self, call: &mut Call<'_>) -> Result<Reply, Failure> {
        let form::Data { labels, data } = form::Data::read(call.required_body()?)?;
        call.query.refresh()?;
        call.query.finish(call.path())?;
        let applications: Vec<&String> = labels.keys().chain(data.keys()).collect();
        form::judge(&applications).finish(INVALID_REQUEST)?;
        if !applications.iter().all(|name| call.principal.privileges.writes_profile_data(name)) {
            access::require(call.principal, &PUT_DATA).map_err(Rejection::from)?;
        }
        let given = json!({ "labels": labels, "data": data });
        self.change_profile(call.name(0), |profile| merge(profile, &given)).await
    }

    /// Shows a profile to those who search, or hides it.
    pub(super) async fn enable_profile(&self, call: &mut Call<'_>, enabled: bool) -> Result<Reply, Failure> {
        call.query.refresh()?;
        call.query.finish(call.path())?;
        call.refuse_body()?;
        access::require(call.principal, &ENABLE).map_err(Rejection::from)?;
        self.change_profile(call.name(0), |profile| merge(profile, &json!({ "enabled": enabled }))).await
    }

    /// Uids of the profiles, if they are wanted: user and kind of realm → uid.
    pub(super) async fn profile_uids(
        &self,
        wanted: bool,
    ) -> Result<HashMap<(Box<str>, Box<str>), Box<str>>, StoreError> {
        if !wanted {
            return Ok(HashMap::new());
        }
        let all = self.documents.all(DocumentKind::Profile).await?;
        let text = |profile: &Value, place| profile.pointer(place).and_then(Value::as_str).unwrap_or_default().into();
        let who = |profile: &Value| (text(profile, "/user/username"), text(profile, "/realm_type"));
        Ok(all.into_iter().map(|(uid, profile)| (who(&profile), uid)).collect())
    }

    async fn change_profile(&self, uid: &str, change: impl FnOnce(&mut Value)) -> Result<Reply, Failure> {
        let Some(mut profile) = self.documents.find(DocumentKind::Profile, uid).await? else {
            let exception = Exception::new("document_missing_exception", format!("[profile_{uid}]: document missing"));
            return Err(Failure::Exception(StatusCode::NOT_FOUND, exception));
        };
        change(&mut profile);
        advance(&mut profile);
        self.documents.put(DocumentKind::Profile, vec![(uid.into(), profile)]).await?;
        Ok(Reply::ok(json!({ "acknowledged": true })))
    }

    fn activated(&self, uid: &str, principal: &Principal, before: Option<&Value>) -> Value {
        let identity = &principal.identity;
        let realm = principal.own_realm();
        let mut user =
            json!({ "username": identity.username, "roles": principal.own_roles(), "realm_name": realm.name });
        for (key, value) in [("email", &identity.email), ("full_name", &identity.full_name)] {
            if let (Some(value), Some(user)) = (value, user.as_object_mut()) {
                user.insert(key.to_owned(), json!(value));
            }
        }
        let kept = |key| before.and_then(|before| before.get(key)).cloned();
        let mut profile = json!({
            "uid": uid, "enabled": true, "last_synchronized": self.clock.now().as_millis(), "user": user,
            "labels": kept("labels").unwrap_or_else(|| json!({})), "data": kept("data").unwrap_or_else(|| json!({})),
            "_doc": kept("_doc").unwrap_or_else(|| json!({ "_primary_term": 1, "_seq_no": 0 })),
            "realm_type": realm.kind,
        });
        if before.is_some() {
            advance(&mut profile);
        }
        profile
    }

    /// What is said of a profile that is not there.
    async fn missing(&self) -> Result<Value, StoreError> {
        let none = self.documents.all(DocumentKind::Profile).await?.is_empty();
        Ok(if none {
            json!({ "type": "exception", "reason": "profile index does not exist" })
        } else {
            json!({ "type": "resource_not_found_exception", "reason": "profile document not found" })
        })
    }
}

/// A refusal of the credentials in the body, in the words for this action rather than for the request.
fn refusal(error: IdentifyError, presented: &Presented) -> Failure {
    let name = match (&error, presented) {
        (IdentifyError::Password { .. } | IdentifyError::Refused(_), Presented::Basic { username, .. }) => username,
        (IdentifyError::Refused(_), _) => "_bearer_token",
        _ => return Rejection::from(error).into(),
    };
    let text = format!("unable to authenticate user [{name}] for action [{ACTIVATION}]");
    let exception = es::identified(Exception::new("security_exception", text), &error, ACTIVATION);
    Failure::Exception(StatusCode::UNAUTHORIZED, exception)
}

/// The same for one user for ever: nobody but its realm can claim its name.
fn uid(username: &str, realm: &str) -> String {
    let digest = secret::sha256(&[realm.as_bytes(), &[0], username.as_bytes()]);
    format!("u_{}_0", URL_SAFE_NO_PAD.encode(digest))
}

fn is_enabled(profile: &Value) -> bool {
    profile.get("enabled").and_then(Value::as_bool).unwrap_or_default()
}

/// A profile as it is told of, with the data that is asked for: `*`, or applications, or keys of their data.
fn with_data(mut profile: Value, wanted: Option<&str>) -> Value {
    if let Some(members) = profile.as_object_mut() {
        members.remove("realm_type");
        let data = members.remove("data").unwrap_or_default();
        let mut kept = Map::new();
        for (application, value) in data.as_object().into_iter().flatten() {
            for path in wanted.into_iter().flat_map(|wanted| wanted.split(',')) {
                let (name, key) = path.split_once('.').unwrap_or((path, "*"));
                if name != "*" && name != application {
                    continue;
                }
                if key == "*" {
                    kept.insert(application.clone(), value.clone());
                } else if let Some(part) = value.get(key) {
                    merge(kept.entry(application).or_insert_with(|| json!({})), &json!({ key: part }));
                }
            }
        }
        members.insert("data".to_owned(), kept.into());
    }
    profile
}

/// Writes `new` over `old`: objects member by member, everything else whole.
fn merge(old: &mut Value, new: &Value) {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            for (key, value) in new {
                merge(old.entry(key).or_insert(Value::Null), value);
            }
        }
        (old, new) => *old = new.clone(),
    }
}

/// Counts a change.
fn advance(profile: &mut Value) {
    if let Some(number) = profile.pointer_mut("/_doc/_seq_no") {
        *number = json!(number.as_u64().unwrap_or_default() + 1);
    }
}

const ACTIVATION: &str = "cluster:admin/xpack/security/profile/activate";
const ACTIVATE: Action = Action::named(ACTIVATION);
const ENABLE: Action = Action::named("cluster:admin/xpack/security/profile/set_enabled");
const GET: Action = Action::named("cluster:admin/xpack/security/profile/get");
const HAS_PRIVILEGES: Action = Action::named("cluster:admin/xpack/security/profile/has_privileges");
const PUT_DATA: Action = Action::named("cluster:admin/xpack/security/profile/put/data");
const SUGGEST: Action = Action::named("cluster:admin/xpack/security/profile/suggest");

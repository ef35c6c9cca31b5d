//! `/_security/privilege`: privileges of applications (API page section 9).

use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::{
    api::{
        Api, Call, Reply,
        access::{self, Action},
        failure::{Failure, INVALID_REQUEST},
        names::listed,
    },
    respond::Rejection,
    store::{DocumentKind, Put, StoreError},
};

pub(super) mod definition;

impl Api {
    /// Tells of privileges: of all, of an application (or a prefix of such names), or of those named. 404 where none of
    /// those named exists.
    pub(super) async fn privileges(&self, call: &mut Call<'_>) -> Result<Reply, Failure> {
        call.query.finish(call.path())?;
        call.refuse_body()?;
        let application = call.names.first().filter(|name| !matches!(name.as_str(), "" | "*" | "_all"));
        let privileges = &call.principal.privileges;
        let manages = match application {
            Some(application) => privileges.manages_application(application),
            None => privileges.manages_all_applications(),
        };
        if !manages {
            access::require(call.principal, &GET).map_err(Rejection::from)?;
        }
        let of = |name: &str| {
            application.is_none_or(|wanted| match wanted.strip_suffix('*') {
                Some(prefix) => name.starts_with(prefix),
                None => name == wanted,
            })
        };
        let names = call.names.get(1).map(|names| listed(names));
        let named = |name: &str| names.as_ref().is_none_or(|names| names.contains(&name));
        let mut shown = self.stored_privileges().await?;
        shown.retain(|application, privileges| {
            let Some(privileges) = privileges.as_object_mut().filter(|_| of(application)) else { return false };
            privileges.retain(|name, _| named(name));
            !privileges.is_empty()
        });
        let status = if names.is_some() && shown.is_empty() { StatusCode::NOT_FOUND } else { StatusCode::OK };
        Ok(Reply { status, body: shown.into() })
    }

    /// What applications have defined: application → name → definition.
    pub(super) async fn stored_privileges(&self) -> Result<Map<String, Value>, StoreError> {
        let mut stored = Map::new();
        for (key, definition) in self.documents.all(DocumentKind::ApplicationPrivilege).await? {
            // Neither part can hold a slash.
            let Some((application, name)) = key.split_once('/') else { continue };
            if let Some(of) = stored.entry(application).or_insert_with(|| json!({})).as_object_mut() {
                of.insert(name.to_owned(), definition);
            }
        }
        Ok(stored)
    }

    /// Defines privileges, of one application or several.
    pub(super) async fn put_privileges(&self, call: &mut Call<'_>) -> Result<Reply, Failure> {
        let wanted = definition::read(call.required_body()?)?;
        call.query.refresh()?;
        call.query.finish(call.path())?;
        definition::judge(&wanted).finish(INVALID_REQUEST)?;
        if !wanted.iter().all(|one| call.principal.privileges.manages_application(&one.application)) {
            access::require(call.principal, &PUT).map_err(Rejection::from)?;
        }
        let mut answer = Map::new();
        let names: Vec<_> = wanted.iter().map(|one| (one.application.clone(), one.name.clone())).collect();
        let change: Vec<Value> = wanted.iter().map(definition::Definition::shown).collect();
        let documents = wanted.iter().map(|one| (definition::key(&one.application, &one.name), one.shown())).collect();
        let written = self.documents.put(DocumentKind::ApplicationPrivilege, documents).await?;
        for ((application, name), put) in names.into_iter().zip(written) {
            let created = put == Put::Created;
            let of = answer.entry(application).or_insert_with(|| json!({}));
            if let Some(of) = of.as_object_mut() {
                of.insert(name, json!({ "created": created }));
            }
        }
        self.record(call, "put_privileges", json!({ "privileges": change }));
        Ok(Reply::ok(answer.into()))
    }

    /// Removes privileges of an application, by name. 404 when there was none of them.
    pub(super) async fn delete_privileges(&self, call: &mut Call<'_>) -> Result<Reply, Failure> {
        let application = call.name(0).to_owned();
        let names: Vec<String> = listed(call.name(1)).into_iter().map(str::to_owned).collect();
        call.query.refresh()?;
        call.query.finish(call.path())?;
        call.refuse_body()?;
        if !call.principal.privileges.manages_application(&application) {
            access::require(call.principal, &DELETE).map_err(Rejection::from)?;
        }
        let keys = names.iter().map(|name| definition::key(&application, name)).collect();
        let found = self.documents.remove(DocumentKind::ApplicationPrivilege, keys).await?;
        let any = found.contains(&true);
        if any {
            let change = json!({ "privileges": { "application": application, "privileges": names } });
            self.record(call, "delete_privileges", change);
        }
        let each: Map<String, Value> =
            names.into_iter().zip(found).map(|(name, found)| (name, json!({ "found": found }))).collect();
        let status = if any { StatusCode::OK } else { StatusCode::NOT_FOUND };
        Ok(Reply { status, body: json!({ application: each }) })
    }
}

const GET: Action = Action::named("cluster:admin/xpack/security/privilege/get");
const DELETE: Action = Action::named("cluster:admin/xpack/security/privilege/delete");
const PUT: Action = Action::named("cluster:admin/xpack/security/privilege/put");

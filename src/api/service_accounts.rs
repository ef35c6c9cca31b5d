//! `/_security/service` (API page section 10).

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::{
    api::{
        Api, Call, Reply,
        access::{self, Action},
        failure::{Failure, INVALID_REQUEST, Validation},
    },
    respond::{Exception, Rejection},
    secret,
    service_accounts::{self, ServiceAccountError},
};

impl From<ServiceAccountError> for Failure {
    fn from(error: ServiceAccountError) -> Self {
        let text = error.to_string();
        match error {
            ServiceAccountError::Exists(_) => {
                let exception = Exception::new("version_conflict_engine_exception", text)
                    .with("index_uuid", "searchgate-index-AAAAA")
                    .with("shard", "0")
                    .with("index", ".security-7");
                Self::Exception(StatusCode::CONFLICT, exception)
            }
            ServiceAccountError::Name(_) | ServiceAccountError::Unknown(_) => Exception::argument(text).into(),
            ServiceAccountError::Store(error) => error.into(),
        }
    }
}

/// Tells of the accounts: of all, of a namespace, or of one.
pub(super) fn list(call: &mut Call<'_>) -> Result<Reply, Failure> {
    call.query.finish(call.path())?;
    call.refuse_body()?;
    access::require(call.principal, &GET).map_err(Rejection::from)?;
    let wanted = |account: &str| account.split('/').zip(&call.names).all(|(part, name)| part == name);
    let shown: Map<String, Value> = service_accounts::all()
        .iter()
        .filter(|(account, _)| wanted(account))
        .map(|(account, descriptor)| (account.clone(), json!({ "role_descriptor": descriptor })))
        .collect();
    Ok(Reply::ok(shown.into()))
}

impl Api {
    /// Tells of the tokens of an account, by name.
    pub(super) async fn service_credentials(&self, call: &mut Call<'_>) -> Result<Reply, Failure> {
        call.query.finish(call.path())?;
        call.refuse_body()?;
        access::require(call.principal, &CREDENTIALS).map_err(Rejection::from)?;
        let account = account(call);
        let tokens = self.service_accounts.list(&account).await?;
        let shown: Map<String, Value> = tokens.iter().map(|name| (name.to_string(), json!({}))).collect();
        Ok(Reply::ok(json!({
            "service_account": account, "count": shown.len(), "tokens": shown,
            "nodes_credentials": { "_nodes": { "total": 1, "successful": 1, "failed": 0 }, "file_tokens": {} },
        })))
    }

    /// Makes a token, under the name given or a new one.
    pub(super) async fn create_service_token(&self, call: &mut Call<'_>) -> Result<Reply, Failure> {
        let fresh = || format!("token_{}", URL_SAFE_NO_PAD.encode(secret::random::<15>()));
        let name = call.names.get(2).cloned().unwrap_or_else(fresh);
        call.query.refresh()?;
        call.query.finish(call.path())?;
        call.refuse_body()?;
        check_name(&name)?;
        access::require(call.principal, &CREATE).map_err(Rejection::from)?;
        let value = self.service_accounts.create(&account(call), &name).await?;
        self.record(call, "create_service_token", json!({ "service_token": described(call, &name) }));
        Ok(Reply::ok(json!({ "created": true, "token": { "name": name, "value": value.expose() } })))
    }

    /// Removes a token; nothing takes it any more. 404 where there was none.
    pub(super) async fn delete_service_token(&self, call: &mut Call<'_>) -> Result<Reply, Failure> {
        let name = call.name(2).to_owned();
        call.query.refresh()?;
        call.query.finish(call.path())?;
        call.refuse_body()?;
        check_name(&name)?;
        access::require(call.principal, &DELETE).map_err(Rejection::from)?;
        let found = self.service_accounts.delete(&account(call), &name).await?;
        if found {
            self.record(call, "delete_service_token", json!({ "service_token": described(call, &name) }));
        }
        let status = if found { StatusCode::OK } else { StatusCode::NOT_FOUND };
        Ok(Reply { status, body: json!({ "found": found }) })
    }
}

fn account(call: &Call<'_>) -> String {
    format!("{}/{}", call.name(0), call.name(1))
}

fn check_name(name: &str) -> Result<(), Exception> {
    let mut validation = Validation::default();
    validation.refuse(!service_accounts::is_name(name), ServiceAccountError::Name(name.into()).to_string());
    validation.finish(INVALID_REQUEST)
}

fn described(call: &Call<'_>, name: &str) -> Value {
    json!({ "namespace": call.name(0), "service": call.name(1), "name": name })
}

const GET: Action = Action::named("cluster:admin/xpack/security/service_account/get");
const CREDENTIALS: Action = Action::named("cluster:admin/xpack/security/service_account/credential/get");
const CREATE: Action = Action::named("cluster:admin/xpack/security/service_account/token/create");
const DELETE: Action = Action::named("cluster:admin/xpack/security/service_account/token/delete");

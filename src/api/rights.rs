//! What a caller may do, told to it (API page sections 6.2, 6.3, 9).

use serde_json::{Value, json};

use crate::{
    api::{
        Api, Call, Reply,
        access::{self, Action},
        failure::{Failure, INVALID_REQUEST},
        search,
    },
    model::Principal,
    privileges,
    respond::{Exception, Rejection},
    store::StoreError,
};

pub(super) mod question;

impl Api {
    /// Tells whether the caller holds what it names. Nobody is told of others.
    pub(super) async fn has_privileges(&self, call: &mut Call<'_>) -> Result<Reply, Failure> {
        let own = &*call.principal.identity.username;
        let name = call.names.first().cloned().unwrap_or_else(|| own.to_owned());
        let body = search::body(call)?;
        if body.is_empty() {
            return Err(Exception::parse("request body or source parameter is required").into());
        }
        let question = question::read(&format!("{own}/has_privileges"), &body)?;
        call.query.finish(call.path())?;
        question::judge(&question).finish(INVALID_REQUEST)?;
        if name != own {
            access::require(call.principal, &OTHERS).map_err(Rejection::from)?;
            return Err(Exception::argument("users may only check the privileges of their own account").into());
        }
        question::known(&question)?;
        let answer = call.principal.privileges.answer(&question, &self.stored_privileges().await?);
        Ok(Reply::ok(json!({
            "username": own, "has_all_requested": answer.has_all_requested,
            "cluster": answer.cluster, "index": answer.index, "application": answer.application,
        })))
    }

    /// Lists what the caller may do.
    pub(super) async fn list_privileges(&self, call: &mut Call<'_>) -> Result<Reply, Failure> {
        call.query.finish(call.path())?;
        call.refuse_body()?;
        let descriptors = match access::key(call.principal) {
            None => self.descriptors(call.principal).await?,
            Some(key) => {
                let key = self.keys.live(&key.id).await?;
                let key = key.filter(|key| key.role_descriptors.is_empty()).ok_or_else(|| {
                    Exception::argument(ASSIGNED).because(Exception::new("unsupported_operation_exception", LIMITED))
                })?;
                key.limited_by
            }
        };
        Ok(Reply::ok(privileges::listing(&descriptors)))
    }

    /// Descriptors of the roles of a user, or of what else it acts by.
    pub(super) async fn descriptors(
        &self,
        principal: &Principal,
    ) -> Result<serde_json::Map<String, Value>, StoreError> {
        if principal.service_token.is_some() {
            let account = &*principal.identity.username;
            let descriptor = privileges::service_accounts().get(account).cloned();
            return Ok(descriptor.map(|descriptor| (account.to_owned(), descriptor)).into_iter().collect());
        }
        self.roles.resolve(&principal.identity.roles).await
    }
}

/// Names every privilege that there is.
pub(super) fn builtin(call: &mut Call<'_>) -> Result<Reply, Failure> {
    call.query.finish(call.path())?;
    call.refuse_body()?;
    access::require(call.principal, &BUILTIN).map_err(Rejection::from)?;
    Ok(Reply::ok(json!({
        "cluster": privileges::cluster_names(),
        "index": privileges::index_names(),
        "remote_cluster": privileges::REMOTE_CLUSTER,
    })))
}

const OTHERS: Action = Action::named("cluster:admin/xpack/security/user/has_privileges");
const BUILTIN: Action = Action::named("cluster:admin/xpack/security/privilege/builtin/get");
const LIMITED: &str = "cannot retrieve cluster permission on limited role";
const ASSIGNED: &str = "Cannot retrieve privileges for API keys with assigned role descriptors. \
    Please use the Get API key information API https://ela.st/es-api-get-api-key";

//! `/_security/role_mapping` (API page section 8.4).

use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::{
    api::{
        Api, Call, Reply,
        access::{self, Action},
        failure::{Failure, INVALID_REQUEST, Validation},
        names::listed,
    },
    respond::{Exception, Rejection},
    store::{DocumentKind, Put},
};

mod form;
mod rules;

use form::Wanted;

impl Api {
    /// Tells of mappings: of those named, separated by commas, or of all. 404 where none of those named exists.
    pub(super) async fn role_mappings(&self, call: &mut Call<'_>) -> Result<Reply, Failure> {
        call.query.finish(call.path())?;
        call.refuse_body()?;
        access::require(call.principal, &GET).map_err(Rejection::from)?;
        let names = call.names.first().map(|names| listed(names)).filter(|names| !names.is_empty());
        let wanted = |name: &str| names.as_ref().is_none_or(|names| names.contains(&name));
        let stored = self.documents.all(DocumentKind::RoleMapping).await?;
        let shown: Map<String, Value> =
            stored.into_iter().filter(|(name, _)| wanted(name)).map(|(name, mapping)| (name.into(), mapping)).collect();
        let status = if names.is_some() && shown.is_empty() { StatusCode::NOT_FOUND } else { StatusCode::OK };
        Ok(Reply { status, body: shown.into() })
    }

    /// Creates or replaces a mapping.
    pub(super) async fn put_role_mapping(&self, call: &mut Call<'_>) -> Result<Reply, Failure> {
        let name = &call.name(0).to_owned();
        let wanted = Wanted::read(name, call.required_body()?)?;
        call.query.refresh()?;
        call.query.finish(call.path())?;
        let Wanted { enabled, roles, templates, rules, metadata } = wanted;
        let mut validation = Validation::default();
        validation.refuse(roles.is_empty() && !templates, "role-mapping roles or role-templates are missing");
        validation.refuse(!roles.is_empty() && templates, "role-mapping cannot have both roles and role-templates");
        validation.refuse(metadata.keys().any(|key| key.starts_with('_')), "metadata keys may not start with [_]");
        validation.finish(INVALID_REQUEST)?;
        access::require(call.principal, &PUT).map_err(Rejection::from)?;
        if templates {
            // As the original says where it has no template engine.
            return Err(Exception::argument("script_lang not supported [mustache]").into());
        }
        let mapping = json!({ "enabled": enabled, "roles": roles, "rules": rules, "metadata": metadata });
        let change = json!({ "role_mapping": { "name": name, "roles": roles, "rules": rules, "enabled": enabled } });
        let put = self.documents.put(DocumentKind::RoleMapping, vec![(name.as_str().into(), mapping)]).await?;
        self.record(call, "put_role_mapping", change);
        Ok(Reply::ok(json!({ "role_mapping": { "created": put.first() == Some(&Put::Created) } })))
    }

    /// Removes a mapping.
    pub(super) async fn delete_role_mapping(&self, call: &mut Call<'_>) -> Result<Reply, Failure> {
        let name = &call.name(0).to_owned();
        call.query.refresh()?;
        call.query.finish(call.path())?;
        call.refuse_body()?;
        access::require(call.principal, &DELETE).map_err(Rejection::from)?;
        let found = self.documents.remove(DocumentKind::RoleMapping, vec![name.as_str().into()]).await? == [true];
        if found {
            self.record(call, "delete_role_mapping", json!({ "role_mapping": { "name": name } }));
        }
        let status = if found { StatusCode::OK } else { StatusCode::NOT_FOUND };
        Ok(Reply { status, body: json!({ "found": found }) })
    }
}

const GET: Action = Action::named("cluster:admin/xpack/security/role_mapping/get");
const DELETE: Action = Action::named("cluster:admin/xpack/security/role_mapping/delete");
const PUT: Action = Action::named("cluster:admin/xpack/security/role_mapping/put");

//! `/_security/role` (API page section 8).

use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::{
    api::{
        Api, Call, Reply,
        access::{self, Action},
        descriptor::{self, Kind},
        failure::{Failure, INVALID_REQUEST, Validation},
        json as document,
        names::{self, listed},
    },
    respond::{Exception, Rejection},
    roles::is_reserved,
    store::Put,
};

mod bulk;
mod query;

impl Api {
    /// Tells of roles: of those named, separated by commas, or of all. 404 where none of those named exists.
    pub(super) async fn roles(&self, call: &mut Call<'_>) -> Result<Reply, Failure> {
        call.query.finish(call.path())?;
        call.refuse_body()?;
        access::require(call.principal, &GET).map_err(Rejection::from)?;
        let names = call.names.first().map(|names| listed(names)).filter(|names| !names.is_empty());
        let shown = match &names {
            None => self.roles.all().await?,
            Some(names) => self.roles.resolve(&names.iter().map(|name| Box::from(*name)).collect::<Vec<_>>()).await?,
        };
        let status = if names.is_some() && shown.is_empty() { StatusCode::NOT_FOUND } else { StatusCode::OK };
        Ok(Reply { status, body: shown.into() })
    }

    /// Creates or replaces a role.
    pub(super) async fn put_role(&self, call: &mut Call<'_>) -> Result<Reply, Failure> {
        let name = &call.name(0).to_owned();
        if !names::is_valid(name) {
            let mut validation = Validation::default();
            // The original counts otherwise where it says so.
            validation.refuse(true, names::rule("Role").replace("507", "1024"));
            validation.finish("validation_exception")?;
        }
        let node = document::read(call.required_body()?)?;
        let node = node.ok_or_else(|| Exception::parse("request body is required"))?;
        let read = descriptor::read(Kind::Role, name, &node).map_err(|fault| fault.cause)?;
        call.query.refresh()?;
        call.query.finish(call.path())?;
        judge(name, &read, self.roles.are_told()).finish(INVALID_REQUEST)?;
        // A global privilege lets its holder put some roles and no others.
        if !call.principal.privileges.may_put_role(&read) {
            access::require(call.principal, &PUT).map_err(Rejection::from)?;
        }
        let outcome = self.roles.put(vec![(name.as_str().into(), read.clone().into())]).await?;
        self.record(call, "put_role", json!({ "role": { "name": name, "role_descriptor": read } }));
        Ok(Reply::ok(json!({ "role": { "created": outcome.first() == Some(&Put::Created) } })))
    }

    /// Removes a role. Its name stays with those who bear it, and means nothing.
    pub(super) async fn delete_role(&self, call: &mut Call<'_>) -> Result<Reply, Failure> {
        let name = &call.name(0).to_owned();
        call.query.refresh()?;
        call.query.finish(call.path())?;
        call.refuse_body()?;
        access::require(call.principal, &DELETE).map_err(Rejection::from)?;
        if is_reserved(name) {
            return Err(Exception::argument(undeletable(name)).into());
        }
        let found = self.roles.remove(vec![name.as_str().into()]).await? == [true];
        if found {
            self.record(call, "delete_role", json!({ "role": { "name": name } }));
        }
        let status = if found { StatusCode::OK } else { StatusCode::NOT_FOUND };
        Ok(Reply { status, body: json!({ "found": found }) })
    }
}

/// What is wrong with a role that was read.
fn judge(name: &str, descriptor: &Map<String, Value>, told: bool) -> Validation {
    let mut validation = Validation::default();
    validation.refuse(is_reserved(name), format!("Role [{name}] is reserved and may not be used."));
    descriptor::validate(name, descriptor, told, &mut validation);
    validation
}

fn undeletable(name: &str) -> String {
    format!("role [{name}] is reserved and cannot be deleted")
}

const GET: Action = Action::named("cluster:admin/xpack/security/role/get");
const DELETE: Action = Action::named("cluster:admin/xpack/security/role/delete");
const GET_QUERY: Action = Action::named("cluster:admin/xpack/security/role/query");
const PUT: Action = Action::named("cluster:admin/xpack/security/role/put");

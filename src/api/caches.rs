//! `_clear_cache` of privileges, realms, roles and service tokens: nothing to clear, for no cache here outlives a change
//! (API page section 4.9).

use serde_json::json;

use crate::{
    api::{
        Api, Call, Reply,
        access::{self, Action},
        failure::Failure,
        nodes::{self, NODE_ID},
    },
    respond::Rejection,
};

pub(super) fn clear_privileges(call: &mut Call<'_>) -> Result<Reply, Failure> {
    cleared(call, &CACHE)
}

pub(super) fn clear_realms(api: &Api, call: &mut Call<'_>) -> Result<Reply, Failure> {
    call.query.text("usernames");
    let cleared = cleared(call, &REALM)?;
    let realms = call.name(0);
    match realms.split(',').find(|realm| realms != "*" && !api.realms.has(realm)) {
        None => Ok(cleared),
        Some(unknown) => {
            let failure = json!({
                "type": "failed_node_exception",
                "reason": format!("Failed node [{NODE_ID}]"),
                "node_id": NODE_ID,
                "caused_by": {
                    "type": "illegal_argument_exception",
                    "reason": format!("could not find active realm [{unknown}]"),
                },
            });
            Ok(Reply::ok(nodes::failed(&failure)))
        }
    }
}

pub(super) fn clear_roles(call: &mut Call<'_>) -> Result<Reply, Failure> {
    cleared(call, &ROLES)
}

pub(super) fn clear_service_tokens(call: &mut Call<'_>) -> Result<Reply, Failure> {
    cleared(call, &CACHE)
}

fn cleared(call: &mut Call<'_>, action: &Action) -> Result<Reply, Failure> {
    call.query.finish(call.path())?;
    call.refuse_body()?;
    access::require(call.principal, action).map_err(Rejection::from)?;
    Ok(Reply::ok(nodes::done()))
}

const CACHE: Action = Action::named("cluster:admin/xpack/security/cache/clear");
const REALM: Action = Action::named("cluster:admin/xpack/security/realm/cache/clear");
const ROLES: Action = Action::named("cluster:admin/xpack/security/roles/cache/clear");

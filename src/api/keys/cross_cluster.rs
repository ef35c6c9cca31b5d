//! `/_security/cross_cluster/api_key` (API page section 4.10): kept and listed; nothing here authenticates with one.

use serde_json::Map;

use crate::{
    api::{
        Api, Call, Reply,
        access::{self, Action},
        failure::{Failure, INVALID_REQUEST, Validation},
        form::Form,
        json::Position,
        keys::{create::creator, wanted::Wanted},
    },
    keys::NewKey,
    model::KeyId,
    respond::{Exception, Rejection},
    store::KeyKind,
};

impl Api {
    /// Makes a cross-cluster key.
    pub(in crate::api) async fn create_cross_cluster_key(&self, call: &mut Call<'_>) -> Result<Reply, Failure> {
        let form = Form::read("cross_cluster_api_key_request", call.required_body()?)?;
        let members = &["access", "expiration", "metadata", "name"];
        let wanted = Wanted::read(&form, members, Position::START).map_err(|fault| fault.cause)?;
        Wanted::require(&[("name", wanted.name.is_none()), ("access", wanted.access.is_none())])?;
        if let Some(access) = &wanted.access {
            access.check().map_err(|cause| form.unbuilt(cause))?;
        }
        call.query.finish(call.path())?;
        let mut validation = Validation::default();
        wanted.judge_name(&mut validation);
        wanted.judge(&mut validation);
        validation.finish(INVALID_REQUEST)?;
        access::require(call.principal, &CREATE).map_err(Rejection::from)?;
        if access::key(call.principal).is_some() {
            return Err(Exception::argument(
                "authentication via API key not supported: An API key cannot be used to create a cross-cluster API key",
            )
            .into());
        }
        let new = NewKey {
            name: wanted.name.unwrap_or_default().into(),
            life: wanted.life,
            role_descriptors: wanted.access.as_ref().map(super::remote::Access::descriptors).unwrap_or_default(),
            limited_by: Map::new(),
            metadata: wanted.metadata.unwrap_or_default(),
            creator: creator(call.principal),
            access: wanted.access.map(|access| access.0),
        };
        self.make_key(call, new, Map::new()).await
    }

    /// Updates a cross-cluster key of the caller.
    pub(in crate::api) async fn update_cross_cluster_key(&self, call: &mut Call<'_>) -> Result<Reply, Failure> {
        let form = Form::read("update_cross_cluster_api_key_request_payload", call.required_body()?)?;
        let members = &["access", "expiration", "metadata"];
        let wanted = Wanted::read(&form, members, Position::START).map_err(|fault| fault.cause)?;
        if let Some(access) = &wanted.access {
            access.check()?;
        }
        call.query.finish(call.path())?;
        let mut validation = Validation::default();
        wanted.judge(&mut validation);
        wanted.judge_life(&mut validation);
        validation.refuse(
            wanted.access.is_none() && wanted.metadata.is_none(),
            "must update either [access] or [metadata] for cross-cluster API keys",
        );
        validation.finish(INVALID_REQUEST)?;
        access::require(call.principal, &UPDATE).map_err(Rejection::from)?;
        let id = KeyId(call.name(0).into());
        self.update_one(call, id, wanted, KeyKind::CrossCluster).await
    }
}

const CREATE: Action = Action::named("cluster:admin/xpack/security/cross_cluster/api_key/create");

const UPDATE: Action = Action::named("cluster:admin/xpack/security/cross_cluster/api_key/update");

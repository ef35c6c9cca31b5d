//! `_clear_cache` of privileges, realms, roles and service tokens: nothing to clear, for no cache here outlives a change (API page section 4.9).

use crate::api::{Api, Call, Reply, failure::Failure};

pub(super) fn clear_privileges(_call: &mut Call<'_>) -> Result<Reply, Failure> {
    todo!()
}

pub(super) fn clear_realms(_api: &Api, _call: &mut Call<'_>) -> Result<Reply, Failure> {
    todo!()
}

pub(super) fn clear_roles(_call: &mut Call<'_>) -> Result<Reply, Failure> {
    todo!()
}

pub(super) fn clear_service_tokens(_call: &mut Call<'_>) -> Result<Reply, Failure> {
    todo!()
}

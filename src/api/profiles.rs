//! `/_security/profile` (API page section 10).

use crate::api::{Api, Call, Reply, failure::Failure};

impl Api {
    pub(super) async fn profiles(&self, _call: &mut Call<'_>) -> Result<Reply, Failure> {
        todo!()
    }

    pub(super) async fn activate_profile(&self, _call: &mut Call<'_>) -> Result<Reply, Failure> {
        todo!()
    }

    pub(super) async fn profile_privileges(&self, _call: &mut Call<'_>) -> Result<Reply, Failure> {
        todo!()
    }

    pub(super) async fn suggest_profiles(&self, _call: &mut Call<'_>) -> Result<Reply, Failure> {
        todo!()
    }

    pub(super) async fn put_profile_data(&self, _call: &mut Call<'_>) -> Result<Reply, Failure> {
        todo!()
    }

    pub(super) async fn enable_profile(&self, _call: &mut Call<'_>, _enabled: bool) -> Result<Reply, Failure> {
        todo!()
    }
}

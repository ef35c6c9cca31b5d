//! `/_security/service` (API page section 10).

use crate::api::{Api, Call, Reply, failure::Failure};

impl Api {
    pub(super) fn service_accounts(&self, _call: &mut Call<'_>) -> Result<Reply, Failure> {
        todo!()
    }

    pub(super) async fn service_credentials(&self, _call: &mut Call<'_>) -> Result<Reply, Failure> {
        todo!()
    }

    pub(super) async fn create_service_token(&self, _call: &mut Call<'_>) -> Result<Reply, Failure> {
        todo!()
    }

    pub(super) async fn delete_service_token(&self, _call: &mut Call<'_>) -> Result<Reply, Failure> {
        todo!()
    }
}

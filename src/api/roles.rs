//! `/_security/role` (API page section 8).

use crate::api::{Api, Call, Reply, failure::Failure};

impl Api {
    pub(super) async fn roles(&self, _call: &mut Call<'_>) -> Result<Reply, Failure> {
        todo!()
    }

    pub(super) async fn put_role(&self, _call: &mut Call<'_>) -> Result<Reply, Failure> {
        todo!()
    }

    pub(super) async fn delete_role(&self, _call: &mut Call<'_>) -> Result<Reply, Failure> {
        todo!()
    }

    pub(super) async fn put_roles(&self, _call: &mut Call<'_>) -> Result<Reply, Failure> {
        todo!()
    }

    pub(super) async fn delete_roles(&self, _call: &mut Call<'_>) -> Result<Reply, Failure> {
        todo!()
    }

    pub(super) async fn query_roles(&self, _call: &mut Call<'_>) -> Result<Reply, Failure> {
        todo!()
    }
}

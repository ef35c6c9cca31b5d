//! `/_security/role_mapping` (API page section 8.4).

use crate::api::{Api, Call, Reply, failure::Failure};

impl Api {
    pub(super) async fn role_mappings(&self, _call: &mut Call<'_>) -> Result<Reply, Failure> {
        todo!()
    }

    pub(super) async fn put_role_mapping(&self, _call: &mut Call<'_>) -> Result<Reply, Failure> {
        todo!()
    }

    pub(super) async fn delete_role_mapping(&self, _call: &mut Call<'_>) -> Result<Reply, Failure> {
        todo!()
    }
}

//! `/_security/cross_cluster/api_key` (API page section 4.10).

use crate::api::{Api, Call, Reply, failure::Failure};

impl Api {
    pub(in crate::api) async fn create_cross_cluster_key(&self, _call: &mut Call<'_>) -> Result<Reply, Failure> {
        todo!()
    }

    pub(in crate::api) async fn update_cross_cluster_key(&self, _call: &mut Call<'_>) -> Result<Reply, Failure> {
        todo!()
    }
}

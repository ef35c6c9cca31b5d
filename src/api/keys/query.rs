//! `/_security/_query/api_key` (API page section 4.6).

use crate::api::{Api, Call, Reply, failure::Failure};

impl Api {
    pub(in crate::api) async fn query_keys(&self, _call: &mut Call<'_>) -> Result<Reply, Failure> {
        todo!()
    }

    pub(in crate::api) async fn clear_key_cache(&self, _call: &mut Call<'_>) -> Result<Reply, Failure> {
        todo!()
    }
}

//! Updates of keys (API page section 4.7).

use crate::api::{Api, Call, Reply, failure::Failure};

impl Api {
    pub(in crate::api) async fn update_key(&self, _call: &mut Call<'_>) -> Result<Reply, Failure> {
        todo!()
    }

    pub(in crate::api) async fn update_keys(&self, _call: &mut Call<'_>) -> Result<Reply, Failure> {
        todo!()
    }
}

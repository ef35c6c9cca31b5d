//! `/_security/api_key/grant`: keys on behalf of users (API page section 4.3).

use crate::api::{Api, Call, Reply, failure::Failure};

impl Api {
    pub(in crate::api) async fn grant_key(&self, _call: &mut Call<'_>) -> Result<Reply, Failure> {
        todo!()
    }

    pub(in crate::api) async fn clone_key(&self, _call: &mut Call<'_>) -> Result<Reply, Failure> {
        todo!()
    }
}

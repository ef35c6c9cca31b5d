//! `/_security/settings`, `/_security/enroll`, `/_security/delegate_pki` (API page section 10).

use crate::api::{Api, Call, Reply, failure::Failure};

impl Api {
    pub(super) async fn settings(&self, _call: &mut Call<'_>) -> Result<Reply, Failure> {
        todo!()
    }

    pub(super) async fn put_settings(&self, _call: &mut Call<'_>) -> Result<Reply, Failure> {
        todo!()
    }

    pub(super) async fn delegate_pki(&self, _call: &mut Call<'_>) -> Result<Reply, Failure> {
        todo!()
    }
}

pub(super) fn enroll(_call: &mut Call<'_>) -> Result<Reply, Failure> {
    todo!()
}

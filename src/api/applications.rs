//! `/_security/privilege`: privileges of applications (API page section 9).

use crate::api::{Api, Call, Reply, failure::Failure};

impl Api {
    pub(super) async fn privileges(&self, _call: &mut Call<'_>) -> Result<Reply, Failure> {
        todo!()
    }

    pub(super) async fn put_privileges(&self, _call: &mut Call<'_>) -> Result<Reply, Failure> {
        todo!()
    }

    pub(super) async fn delete_privileges(&self, _call: &mut Call<'_>) -> Result<Reply, Failure> {
        todo!()
    }
}

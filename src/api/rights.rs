//! What a caller may do, told to it (API page sections 6.2, 6.3, 9).

use crate::api::{Api, Call, Reply, failure::Failure};

impl Api {
    pub(super) async fn has_privileges(&self, _call: &mut Call<'_>) -> Result<Reply, Failure> {
        todo!()
    }
}

pub(super) fn builtin(_call: &mut Call<'_>) -> Result<Reply, Failure> {
    todo!()
}

pub(super) fn list(_call: &mut Call<'_>) -> Result<Reply, Failure> {
    todo!()
}

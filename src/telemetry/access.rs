//! The access event: one line a request, written off the data thread.

use crate::telemetry::AccessEvent;

/// Writes access events of one data thread.
#[derive(Debug)]
pub struct AccessLog {}

impl AccessLog {
    /// Records one finished request.
    pub fn record(&self, event: &AccessEvent<'_>) {
        let _ = event;
        todo!()
    }

    /// Hands over what has gathered; called now and then.
    pub fn tick(&self) {
        todo!()
    }
}

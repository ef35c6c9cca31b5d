//! Counters of sessions and of the renewal of credentials: seldom enough for any thread to write.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use parking_lot::Mutex;

use super::{
    core::{BOUNDS, Histogram},
    text::Page,
};

/// What is counted of sessions (`transparent-reauthentication.md` section 13). All labels are of closed sets.
#[derive(Debug, Default)]
pub struct SessionMetrics {
    refreshes: Mutex<Histogram>,
    waiters: AtomicU64,
    persist_lost: AtomicU64,
    /// By state.
    sessions: Mutex<BTreeMap<&'static str, u64>>,
    /// By reason.
    ended: Mutex<BTreeMap<&'static str, u64>>,
    /// By cause and result.
    revoked: Mutex<BTreeMap<(&'static str, &'static str), u64>>,
}

/// One request that waits for a renewal.
#[derive(Debug)]
pub struct Waiter<'a>(&'a AtomicU64);

impl SessionMetrics {
    /// The token endpoint was asked, and took so long.
    pub fn refreshed_in(&self, time: Duration) {
        self.refreshes.lock().record(time);
    }

    /// Counts a waiting request until it is dropped.
    #[must_use]
    pub fn waiter(&self) -> Waiter<'_> {
        self.waiters.fetch_add(1, Relaxed);
        Waiter(&self.waiters)
    }

    /// A renewed pair lives in this process alone.
    pub fn persist_lost(&self) {
        self.persist_lost.fetch_add(1, Relaxed);
    }

    /// So many sessions are in that state.
    pub fn sessions(&self, state: &'static str, count: u64) {
        self.sessions.lock().insert(state, count);
    }

    /// So many sessions ended for that reason.
    pub fn ended(&self, reason: &'static str, count: u64) {
        *self.ended.lock().entry(reason).or_default() += count;
    }

    /// A token was invalidated at the cluster, or was not.
    pub fn revoked(&self, cause: &'static str, result: &'static str) {
        *self.revoked.lock().entry((cause, result)).or_default() += 1;
    }

    pub(super) fn render(&self, page: &mut Page) {
        self.render_refreshes(page);
        let help = "Requests that wait for a credential to be renewed.";
        page.single("searchgate_reauth_waiters", "gauge", help, self.waiters.load(Relaxed));
        page.single(
            "searchgate_session_persist_lost_total",
            "counter",
            "Renewed sessions that the store did not take: alert on it.",
            self.persist_lost.load(Relaxed),
        );
        page.family("searchgate_sessions", "gauge", "Sessions in the store.");
        for (state, count) in &*self.sessions.lock() {
            page.sample("searchgate_sessions", &[("state", state)], count);
        }
        page.family("searchgate_sessions_ended_total", "counter", "Sessions that this process ended.");
        for (reason, count) in &*self.ended.lock() {
            page.sample("searchgate_sessions_ended_total", &[("reason", reason)], count);
        }
        page.family("searchgate_tokens_revoked_total", "counter", "Tokens of sessions invalidated at the cluster.");
        for ((cause, result), count) in &*self.revoked.lock() {
            page.sample("searchgate_tokens_revoked_total", &[("cause", cause), ("result", result)], count);
        }
    }

    fn render_refreshes(&self, page: &mut Page) {
        let name = "searchgate_reauth_refresh_seconds";
        page.family(name, "histogram", "Calls to the token endpoint.");
        let (refreshes, mut total) = (self.refreshes.lock(), 0_u64);
        for (place, bound) in BOUNDS.iter().map(|(_, text)| *text).chain(["+Inf"]).enumerate() {
            total += refreshes.bucket(place);
            page.sample("searchgate_reauth_refresh_seconds_bucket", &[("le", bound)], total);
        }
        let nanos = refreshes.nanos();
        let sum = format_args!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000);
        page.sample("searchgate_reauth_refresh_seconds_sum", &[], sum);
        page.sample("searchgate_reauth_refresh_seconds_count", &[], total);
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

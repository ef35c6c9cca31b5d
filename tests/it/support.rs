//! The harness: client, gateway and cluster in one thread over in-memory pipes, so that tests own time.

pub(crate) mod client;
pub(crate) mod gateway;
pub(crate) mod issuer;
pub(crate) mod postgres;
pub(crate) mod process;
pub(crate) mod server;
pub(crate) mod stand_in;
pub(crate) mod tls;
pub(crate) mod upstream;

/// Lets everything happen that needs no time. Time must be paused: it moves on only when nobody has anything to do.
pub(crate) async fn settle() {
    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
}

/// Runs a test on one thread, as connections run in a data thread.
pub(crate) async fn on_one_thread<F: Future>(test: F) -> F::Output {
    tokio::task::LocalSet::new().run_until(test).await
}

//! `searchgate serve`.

use std::path::PathBuf;

use anyhow::Context as _;
use rustix::process::{Resource, getrlimit, setrlimit};

use crate::{
    config::{Config, Environment, ListenAddress, Problems},
    gateway::{drain::Drained, run},
    telemetry::Telemetry,
};

/// Serves what `files`, the environment and the defaults amount to, until it is told to end.
///
/// # Errors
///
/// A bad configuration ([`Problems`]), or what keeps the gateway from starting.
pub fn serve(files: &[PathBuf]) -> anyhow::Result<Drained> {
    let environment = Environment::of_process();
    let config = Config::load(files, &environment)?;
    let files = files.to_vec();
    serve_config(config, Box::new(move || Config::load(&files, &environment)), |_| ())
}

/// Serves a configuration that is at hand; `ready` is told the bound addresses.
///
/// # Errors
///
/// As [`serve`].
pub fn serve_config(
    config: Config,
    reload: Box<dyn Fn() -> Result<Config, Problems> + Send>,
    ready: impl FnOnce(&[ListenAddress]),
) -> anyhow::Result<Drained> {
    let control = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(CONTROL_THREADS)
        .thread_name("control")
        .enable_all()
        .build()
        .context("cannot start the control plane")?;
    control.block_on(async {
        let telemetry = Telemetry::start(&config.logging)?;
        raise_file_limit(config.limits.connections);
        Ok(run::run(config, telemetry, reload, ready).await?)
    })
}

/// Raises the soft limit of open files to the hard one, and warns when that is too low for `connections`.
fn raise_file_limit(connections: usize) {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "the limit of open files cannot be raised");
    }
    // Each client may need a connection to the cluster; the store, logs and listeners need a few more.
    let needed = (connections as u64).saturating_mul(2).saturating_add(SPARE_FILES);
    if let Some(limit) = getrlimit(Resource::Nofile).current
        && limit < needed
    {
        tracing::warn!(limit, needed, connections, "the limit of open files is lower than limits.connections needs");
    }
}

/// The admin listener, probes and timers are little work.
const CONTROL_THREADS: usize = 2;
const SPARE_FILES: u64 = 128;

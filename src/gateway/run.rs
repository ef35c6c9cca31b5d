//! The life of a server process: start in order, obey signals, drain, end.

use std::{sync::Arc, time::Duration};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    admin,
    broker::Broker,
    clock::Clock,
    config::{Config, ListenAddress},
    gateway::{
        build::{self, Built, StartError},
        drain::{Drained, PATIENCE},
        operator::Operator,
        reload::Reloader,
        serve::Serving,
        signals::{Asked, Signals},
    },
    store::{AnyStore, Follower as _},
    telemetry::Telemetry,
    upstream::health,
};

/// Serves until a signal or the operator ends it. `reload` reads what the process was started with again; `ready` is
/// told the bound addresses.
///
/// # Errors
///
/// [`StartError`] when it cannot begin. What goes wrong later is logged.
pub async fn run(
    config: Config,
    telemetry: Telemetry,
    reload: Box<dyn Fn() -> Result<Config, crate::config::Problems> + Send>,
    ready: impl FnOnce(&[ListenAddress]),
) -> Result<Drained, StartError> {
    let mut signals = Signals::register().map_err(StartError::System)?;
    let built = Arc::new(build::build(&config, build::open(&config.store.url).await?, &Clock::system(), telemetry)?);
    built.bootstrap(&config).await?;
    let socket = tokio::net::TcpListener::bind(config.admin.address)
        .await
        .map_err(|source| StartError::Listen { address: config.admin.address.to_string(), source })?;
    let admin_address = socket.local_addr().map_err(StartError::System)?;
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    let operator = Arc::new(Operator::new(Arc::clone(&built)));
    let metrics = Arc::clone(&built.shared.metrics);
    if matches!(built.store, AnyStore::Postgres(_)) {
        // Before anything is served: nothing cached is used until the feed is heard.
        built.revocations.lose();
        tasks.spawn(follow(Arc::clone(&built), stop.clone()));
    }
    tasks.spawn(admin::serve(socket, Arc::clone(&operator), metrics, stop.clone()));

    for credentials in built.credentials() {
        tasks.spawn(Arc::clone(credentials).watch(stop.clone()));
    }
    let credential: health::ProbeCredential = {
        let built = Arc::clone(&built);
        Arc::new(move || built.probe_credential())
    };
    tokio::select! {
        () = async {
            // The first request finds a token, unless the endpoint keeps silent.
            for credentials in built.credentials() {
                credentials.settle().await;
            }
            health::probe_all(&built.shared.upstream, &credential).await;
        } => {}
        () = end(&mut signals) => return Ok(Drained::Clean),
    }
    let serving = Serving::start(&built, &config, data_threads())?;
    tasks.spawn(health::watch(Arc::clone(&built.shared.upstream), credential, stop.clone()));
    for keys in built.shared.realms.key_sources() {
        tasks.spawn(Arc::clone(keys).watch(stop.clone()));
    }
    tasks.spawn(write_uses(Arc::clone(&built), stop.clone()));
    tasks.spawn(remove_expired(Arc::clone(&built), config.clone(), stop.clone()));
    if let Some(broker) = built.brokers.first() {
        tasks.spawn(Broker::clone(broker).watch(stop.clone()));
    }
    operator.serves();
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        listeners = %serving.addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        admin = %admin_address,
        "searchgate serves"
    );
    ready(&serving.addresses);

    let mut reloader = Reloader::new(config, reload);
    let mut refresh = tokio::time::interval(REFRESH);
    refresh.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            asked = signals.next() => match asked {
                Asked::End => break,
                Asked::Reload => reloader.reload(&built),
                Asked::Reopen => built.shared.audit.reopen(),
            },
            () = operator.asked_to_end() => break,
            _ = refresh.tick() => reloader.refresh(&built),
        }
    }
    operator.drains();
    tracing::info!("draining");
    let drained = tokio::select! {
        drained = serving.drain(PATIENCE) => drained,
        () = end(&mut signals) => Drained::Cut,
    };
    if drained == Drained::Clean {
        // A pair that the cluster has given must not be lost.
        let renewals = async {
            for broker in &built.brokers {
                broker.drain().await;
            }
        };
        tokio::select! {
            () = renewals => {}
            () = end(&mut signals) => {}
        }
    }
    stop.cancel();
    tasks.close();
    if drained == Drained::Clean {
        tokio::select! {
            () = tasks.wait() => {}
            () = end(&mut signals) => {}
        }
    }
    built.shared.audit.flush().await;
    built.telemetry.flush().await;
    Ok(drained)
}

/// The next signal that asks for the end.
async fn end(signals: &mut Signals) {
    while signals.next().await != Asked::End {}
}

/// Removes keys and tokens that are long dead, and ends sessions whose time is over, each at its interval.
async fn remove_expired(built: Arc<Built>, config: Config, stop: CancellationToken) {
    let mut keys = tokio::time::interval(config.api_keys.cleanup_interval);
    let mut tokens = tokio::time::interval(config.tokens.cleanup_interval);
    let mut sessions = tokio::time::interval(SWEEP);
    loop {
        let removed = tokio::select! {
            () = stop.cancelled() => return,
            _ = keys.tick() => built.keys.remove_expired().await,
            _ = tokens.tick() => built.tokens.remove_expired().await,
            _ = sessions.tick() => built.sessions.sweep().await,
        };
        if let Err(error) = removed {
            tracing::warn!(%error, "expired records are not removed yet");
        }
    }
}

/// Writes when keys were last used, and once more at the end.
async fn write_uses(built: Arc<Built>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(USES);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let ended = tokio::select! {
            () = stop.cancelled() => true,
            _ = ticks.tick() => false,
        };
        built.shared.realms.tell_uses();
        if let Err(error) = built.keys.write_uses().await {
            tracing::warn!(%error, "uses of keys are not written yet");
        }
        if ended {
            return;
        }
    }
}

/// Hears of what other replicas of the gateway write.
async fn follow(built: Arc<Built>, stop: CancellationToken) {
    let AnyStore::Postgres(store) = &built.store else { return };
    tokio::select! {
        () = stop.cancelled() => {}
        () = store.follow(&*built.revocations, &built.shared.clock) => {}
    }
}

/// One a core. `SEARCHGATE_THREADS` says otherwise, for benchmarks and for containers whose share of a machine cannot be
/// seen from inside.
fn data_threads() -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let asked = std::env::var("SEARCHGATE_THREADS").ok().and_then(|count| count.parse().ok());
    asked.filter(|count| (1..=MAX_THREADS).contains(count)).unwrap_or_else(cores)
}

/// How often uses of keys are written: well within the minute that they may be late.
const USES: Duration = Duration::from_secs(30);
/// How often sessions are looked at whose time may be over (transparent-reauthentication.md 8.3).
const SWEEP: Duration = Duration::from_mins(10);
/// How often files are looked at for changes.
const REFRESH: Duration = Duration::from_secs(10);
const MAX_THREADS: usize = 1024;

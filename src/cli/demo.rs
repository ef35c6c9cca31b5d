//! `searchgate demo`: the gate in front of a throw-away cluster, with nothing else installed.

use std::{
    io::{self, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener},
};

use anyhow::Context as _;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use tokio_util::sync::CancellationToken;

use crate::{
    cli::serve::serve_config,
    config::{
        AuditTarget, ClientAuthentication, Compatibility, Config, HostUrl, ListenAddress, Listener, ListenerSsl,
        StoreUrl, TlsVersion,
    },
    demo,
    gateway::drain::Drained,
    listener::development,
    secret::{self, SecretText},
};

/// Serves until Ctrl-C. In front of `upstream` if one is given.
///
/// # Errors
///
/// What keeps it from starting.
pub fn demo(upstream: Option<&str>) -> anyhow::Result<Drained> {
    let folder = tempfile::Builder::new().prefix("searchgate-demo-").tempdir().context("cannot make a folder")?;
    let development = development::make(folder.path()).context("cannot make a certificate")?;
    let password = URL_SAFE_NO_PAD.encode(secret::random::<16>());

    let mut config = Config::default();
    let mut listener = Listener::plain(ListenAddress::Tcp(free(DATA_PORT)?));
    listener.ssl = Some(ListenerSsl {
        certificates: vec![development.leaf],
        client_authentication: ClientAuthentication::None,
        certificate_authorities: Vec::new(),
        supported_protocols: vec![TlsVersion::V12, TlsVersion::V13],
    });
    config.listeners = vec![listener];
    config.admin.address = free(ADMIN_PORT)?;
    config.authentication.bootstrap.password = Some(SecretText::new(password.clone()));
    config.store.url = StoreUrl::Sqlite(folder.path().join("demo.db"));
    config.logging.audit = AuditTarget::Off;
    config.logging.level = "warn".into();
    // One visitor, who is not to be warned of a low limit of open files.
    config.limits.connections = CONNECTIONS;

    let stop = CancellationToken::new();
    let cluster = if let Some(url) = upstream {
        config.upstream.hosts = vec![HostUrl::try_from(url.to_owned())?];
        None
    } else {
        let (url, cluster) = throw_away_cluster(&stop)?;
        config.upstream.hosts = vec![url];
        config.upstream.compatibility = Compatibility::Opensearch;
        Some(cluster)
    };

    let running = config.clone();
    let reload = Box::new(move || Ok(running.clone()));
    let drained = serve_config(config, reload, |addresses| {
        let address = addresses.first().map(ToString::to_string).unwrap_or_default();
        // A demo whose output nobody reads still serves.
        let _ = io::stdout().write_all(demo::welcome::welcome(&address, &password, &development.authority).as_bytes());
    });
    stop.cancel();
    if let Some(cluster) = cluster {
        // It ends with `stop`; a panic of it was reported already.
        let _ = cluster.join();
    }
    drained
}

/// Starts the cluster on a thread and a port of its own.
fn throw_away_cluster(stop: &CancellationToken) -> anyhow::Result<(HostUrl, std::thread::JoinHandle<()>)> {
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot listen for the throw-away cluster")?;
    socket.set_nonblocking(true)?;
    let url = HostUrl::try_from(format!("http://{}", socket.local_addr()?))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let stop = stop.clone();
    let thread = std::thread::Builder::new().name("demo-cluster".into()).spawn(move || {
        runtime.block_on(async {
            match tokio::net::TcpListener::from_std(socket) {
                Ok(listener) => demo::serve(listener, stop).await,
                Err(error) => tracing::error!(%error, "the throw-away cluster does not listen"),
            }
        });
    })?;
    Ok((url, thread))
}

/// `port` on loopback if it is free, else any.
fn free(port: u16) -> anyhow::Result<SocketAddr> {
    let socket =
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).or_else(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
    Ok(socket.context("no free port")?.local_addr()?)
}

const CONNECTIONS: usize = 100;
const DATA_PORT: u16 = 9200;
const ADMIN_PORT: u16 = 9600;

//! A new snapshot on SIGHUP and when files change; the old one stays when the new one does not validate.

use std::fmt;

use crate::{
    config::{Config, Limits, Listener, Problems},
    gateway::build::Built,
};

/// What is needed to read everything again.
pub struct Reloader {
    /// As it runs now.
    running: Config,
    again: Box<dyn Fn() -> Result<Config, Problems> + Send>,
    /// What was wrong with the files last time, so that a timer says it once.
    complaints: Vec<String>,
}

impl Reloader {
    /// Reloads by `again`, which reads what the process was started with.
    #[must_use]
    pub fn new(running: Config, again: Box<dyn Fn() -> Result<Config, Problems> + Send>) -> Self {
        Self { running, again, complaints: Vec::new() }
    }

    /// Reads everything again (SIGHUP).
    pub fn reload(&mut self, built: &Built) {
        let new = match (self.again)() {
            Ok(new) => new,
            Err(problems) => {
                tracing::error!(%problems, "the configuration is not reloaded: what was, stays");
                return;
            }
        };
        for key in self.running.restart_needed(&new) {
            tracing::warn!(key, "a changed key takes effect at the next start");
        }
        if let Err(error) = built.telemetry.set_log_level(&new.logging.level) {
            tracing::error!(%error, "the log level stays");
        }
        let limits = Limits { connections: self.running.limits.connections, ..new.limits };
        built.shared.limits.store(limits.clone().into());
        self.running.limits = limits;
        self.running.logging.level = new.logging.level;
        self.running.upstream.ssl = new.upstream.ssl;
        adopt(&mut self.running.listeners, new.listeners);
        self.complaints.clear();
        self.refresh(built);
        tracing::info!("configuration reloaded");
    }

    /// Takes over what changed in certificates, CAs and credential files. A timer calls it: mounted secrets change
    /// without a signal.
    pub fn refresh(&mut self, built: &Built) {
        let mut complaints = Vec::new();
        for (listener, (site, tls)) in self.running.listeners.iter().zip(&built.sites) {
            match site.identity.issuer().map(|issuer| issuer.reload(built.shared.clock.now())) {
                Some(Ok(true)) => tracing::info!(listener = %listener.address, "key of the identity reloaded"),
                Some(Err(error)) => {
                    complaints.push(format!("identity of listener [{}]: {}", listener.address, chain(&error)));
                }
                Some(Ok(false)) | None => {}
            }
            match tls.as_ref().zip(listener.ssl.as_ref()).map(|(tls, ssl)| tls.reload(ssl)) {
                Some(Ok(true)) => tracing::info!(listener = %listener.address, "certificates reloaded"),
                Some(Err(error)) => complaints.push(format!("listener [{}]: {}", listener.address, chain(&error))),
                Some(Ok(false)) | None => {}
            }
        }
        for credentials in built.credentials() {
            credentials.renew();
        }
        match built.shared.upstream.reload_tls(&self.running.upstream.ssl) {
            Ok(true) => tracing::info!("certificates for the cluster reloaded"),
            Err(error) => complaints.push(format!("upstream: {}", chain(&error))),
            Ok(false) => {}
        }
        complaints.extend(built.master_keys.reload().err().map(|error| chain(&error)));
        complaints.extend(built.shared.realms.reload().iter().map(|error| chain(error)));
        for complaint in complaints.iter().filter(|complaint| !self.complaints.contains(complaint)) {
            tracing::error!(complaint, "files are not reloaded: what was, stays");
        }
        self.complaints = complaints;
    }
}

impl fmt::Debug for Reloader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloader").finish_non_exhaustive()
    }
}

/// Takes over the TLS settings of listeners that stay what they are. TLS is not turned on or off under open connections,
/// and no listener takes another's, with whom it asks for certificates, because the list was put in another order.
fn adopt(running: &mut [Listener], new: Vec<Listener>) {
    for (running, new) in running.iter_mut().zip(new) {
        if running.address == new.address
            && let (Some(running), Some(new)) = (&mut running.ssl, new.ssl)
        {
            *running = new;
        }
    }
}

/// An error and its causes, on one line.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ClientAuthentication, ListenAddress, ListenerSsl};

    fn listener(port: u16, client_authentication: Option<ClientAuthentication>) -> Listener {
        let mut listener = Listener::plain(ListenAddress::Tcp(([127, 0, 0, 1], port).into()));
        listener.ssl = client_authentication.map(|client_authentication| ListenerSsl {
            certificates: Vec::new(),
            client_authentication,
            certificate_authorities: Vec::new(),
            supported_protocols: Vec::new(),
        });
        listener
    }

    fn asks(listeners: &[Listener]) -> Vec<Option<ClientAuthentication>> {
        listeners.iter().map(|listener| listener.ssl.as_ref().map(|ssl| ssl.client_authentication)).collect()
    }

    #[test]
    fn a_listener_takes_its_own_new_settings_and_nobody_elses() {
        use ClientAuthentication::{None as Never, Required};
        let mut running = [listener(1, Some(Required)), listener(2, Some(Never)), listener(3, None)];
        adopt(&mut running, vec![listener(2, Some(Never)), listener(1, Some(Required)), listener(3, Some(Required))]);
        assert_eq!(asks(&running), [Some(Required), Some(Never), None]);
        adopt(&mut running, vec![listener(1, Some(Never)), listener(2, None)]);
        assert_eq!(asks(&running), [Some(Never), Some(Never), None]);
    }
}

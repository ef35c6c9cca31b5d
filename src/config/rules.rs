//! Rules that span more than one value, and what this version cannot serve yet.

use std::collections::HashMap;

use crate::config::{
    Config, Credential, GrantType, IdentityKind, ListenAddress, Listener, MAX_HOSTS, Oauth2, Problem, Realm, Shape,
    StoreUrl,
};

/// The cluster's reuse window for refresh tokens: `transparent-reauthentication.md` section 6.1.
const UPSTREAM_REUSE_WINDOW: std::time::Duration = std::time::Duration::from_secs(30);

/// Everything in `config` that contradicts something else in it.
pub(super) fn check(config: &Config) -> Vec<Problem> {
    let mut problems = Vec::new();
    listeners(config, &mut problems);
    upstream(config, &mut problems);
    realms(config, &mut problems);
    identities(config, &mut problems);
    let postgres = matches!(config.store.url, StoreUrl::Postgres(_));
    if postgres && config.store.master_key_file.is_none() {
        problems.push(
            Problem::at("store.master_key_file", "is required with PostgreSQL")
                .hint("every replica needs the same key: make one with `searchgate secret generate`"),
        );
    }
    let repair = &config.reauthentication;
    if repair.lease_ttl <= repair.refresh_timeout || repair.lease_ttl >= UPSTREAM_REUSE_WINDOW {
        problems.push(Problem::at(
            "reauthentication.lease_ttl",
            "must be longer than refresh_timeout and shorter than the cluster's reuse window of 30s",
        ));
    }
    let keys = &config.api_keys;
    if let (Some(default), Some(max)) = (keys.default_lifetime, keys.max_lifetime)
        && default > max
    {
        problems.push(
            Problem::at("api_keys.default_lifetime", "must not be longer than max_lifetime")
                .hint("every key without an expiration would be refused: leave it out to give keys max_lifetime"),
        );
    }
    for (path, zero) in [
        ("limits.connections", config.limits.connections == 0),
        ("upstream.health.eject_after", config.upstream.eject_after == 0),
        ("invalidation.batch", config.invalidation.batch == 0),
        ("invalidation.concurrency", config.invalidation.concurrency == 0),
        ("invalidation.max_batches_per_run", config.invalidation.max_batches_per_run == 0),
    ] {
        if zero {
            problems.push(Problem::at(path, "must be more than zero"));
        }
    }
    problems
}

/// Everything in `config` that is well formed, but that this version cannot serve.
pub(super) fn unsupported(config: &Config) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut refuse = |path: String, what: &str| {
        problems.push(Problem::at(&path, format!("{what} cannot be served by this version yet")));
    };
    if config.sessions.cut_streams_at_lifespan {
        refuse("sessions.cut_streams_at_lifespan".into(), "cutting streams off");
    }
    if config.enrollment.enabled {
        refuse("enrollment.enabled".into(), "enrollment");
    }
    problems
}

fn listeners(config: &Config, problems: &mut Vec<Problem>) {
    if config.listeners.is_empty() {
        problems.push(Problem::at("listeners", "at least one listener is needed"));
    }
    let mut taken = HashMap::new();
    taken.insert(ListenAddress::Tcp(config.admin.address).to_string(), "admin.address".to_owned());
    for (index, listener) in config.listeners.iter().enumerate() {
        let path = format!("listeners.{index}");
        let address = format!("{path}.address");
        // Port 0 is another port each time.
        let free = matches!(&listener.address, ListenAddress::Tcp(address) if address.port() == 0);
        if let Some(other) = taken.insert(listener.address.to_string(), address.clone()).filter(|_| !free) {
            problems.push(Problem::at(&address, format!("is the address of {other} too")));
        }
        listener_alone(listener, &path, problems);
        // Told where the listener departs from the upstream's pair, which is judged by itself.
        let own = match (&listener.credential, &listener.identity) {
            (_, Some(_)) => Some("identity"),
            (Some(_), None) => Some("credential"),
            (None, None) => None,
        };
        if let Some(own) = own {
            let credential = listener.credential.as_ref().unwrap_or(&config.upstream.credential);
            let identity = listener.identity.as_ref().unwrap_or(&config.upstream.identity);
            pair(credential, identity, &format!("{path}.{own}"), problems);
        }
        let credential = listener.credential.as_ref().unwrap_or(&config.upstream.credential);
        let (brokers, sessions) = (listener.shape == Shape::Broker, matches!(credential, Credential::Session { .. }));
        if brokers != sessions {
            problems
                .push(Problem::at(&format!("{path}.shape"), "shape `broker` and credential `session` go together").hint(
                "give the listener the other one too: `credential: { kind: session, service: … }`, or another shape",
            ));
        }
        if let Some(Credential::Oauth2(oauth2)) = &listener.credential {
            grant(oauth2, &format!("{path}.credential"), problems);
        }
    }
}

fn listener_alone(listener: &Listener, path: &str, problems: &mut Vec<Problem>) {
    let address = format!("{path}.address");
    let local = listener.address.is_local();
    if listener.shape == Shape::Sidecar && !local {
        problems.push(
            Problem::at(&address, "a sidecar asks for no credentials and listens on loopback or a Unix socket only")
                .hint("use 127.0.0.1, [::1] or unix:PATH"),
        );
    } else if listener.ssl.is_none() && !local && !listener.insecure {
        problems.push(
            Problem::at(&address, "plain text on an address that other machines can reach")
                .hint("configure `ssl`, or set `insecure: true` if TLS ends before searchgate"),
        );
    }
    if listener.proxy_protocol && listener.trusted_proxies.is_empty() {
        problems.push(
            Problem::at(&format!("{path}.proxy_protocol"), "needs `trusted_proxies`, or every connection is closed")
                .hint("list the networks of the proxies"),
        );
    }
    if let Some(ssl) = &listener.ssl {
        if ssl.supported_protocols.is_empty() {
            problems.push(Problem::at(&format!("{path}.ssl.supported_protocols"), "at least one version is needed"));
        }
        if ssl.client_authentication != crate::config::ClientAuthentication::None
            && ssl.certificate_authorities.is_empty()
        {
            problems.push(Problem::at(
                &format!("{path}.ssl.client_authentication"),
                "needs `certificate_authorities` to judge client certificates by",
            ));
        }
    }
}

fn upstream(config: &Config, problems: &mut Vec<Problem>) {
    let upstream = &config.upstream;
    if upstream.hosts.is_empty() {
        problems.push(Problem::at("upstream.hosts", "at least one host is needed"));
    }
    if upstream.hosts.len() > MAX_HOSTS {
        problems.push(Problem::at("upstream.hosts", format!("at most {MAX_HOSTS} hosts")));
    }
    for (index, host) in upstream.hosts.iter().enumerate() {
        if upstream.hosts.iter().take(index).any(|other| other == host) {
            problems.push(Problem::at(&format!("upstream.hosts.{index}"), "is named twice"));
        }
    }
    pair(&upstream.credential, &upstream.identity, "upstream.identity", problems);
    if let Credential::Oauth2(oauth2) = &upstream.credential {
        grant(oauth2, "upstream.credential", problems);
    }
}

/// A credential and an identity that would both be `Authorization`.
fn pair(credential: &Credential, identity: &IdentityKind, path: &str, problems: &mut Vec<Problem>) {
    if matches!(identity, IdentityKind::Jwt(_)) && !matches!(credential, Credential::None) {
        problems.push(Problem::at(path, "identity `jwt` is sent as `Authorization` and needs credential `none`"));
    }
}

fn identities(config: &Config, problems: &mut Vec<Problem>) {
    for (path, jwt) in config.signing() {
        if ["iss", "sub", "aud", "iat", "nbf", "exp"].contains(&&*jwt.roles_claim) {
            problems.push(Problem::at(&format!("{path}.roles_claim"), "is a claim that says something else already"));
        }
        let trusting = config.authentication.realms.iter().find(|realm| match realm {
            Realm::Jwt(realm) => realm.issuer == jwt.issuer,
            _ => false,
        });
        if let Some(realm) = trusting {
            problems.push(
                Problem::at(
                    &format!("{path}.issuer"),
                    format!(
                        "realm `{}` takes tokens of this issuer: those made for the cluster would open this gate",
                        realm.name()
                    ),
                )
                .hint("give the identity an issuer of its own"),
            );
        }
    }
}

fn grant(oauth2: &Oauth2, path: &str, problems: &mut Vec<Problem>) {
    let missing = match oauth2.grant_type {
        GrantType::Password if oauth2.username.is_none() => Some("username"),
        GrantType::Password if oauth2.password_file.is_none() => Some("password_file"),
        GrantType::RefreshToken if oauth2.refresh_token_file.is_none() => Some("refresh_token_file"),
        GrantType::ClientCredentials | GrantType::Password | GrantType::RefreshToken => None,
    };
    if let Some(key) = missing {
        problems.push(Problem::at(&format!("{path}.grant_type"), format!("this grant needs `{key}`")));
    }
}

fn realms(config: &Config, problems: &mut Vec<Problem>) {
    let realms = &config.authentication.realms;
    for (index, realm) in realms.iter().enumerate() {
        if realms.iter().take(index).any(|other| other.name() == realm.name()) {
            problems.push(Problem::at(
                &format!("authentication.realms.{index}"),
                format!("a realm named `{}` stands above already", realm.name()),
            ));
        }
        if let Realm::Jwt(jwt) = realm
            && jwt.audience.is_empty()
        {
            problems.push(Problem::at(
                &format!("authentication.realms.{index}.audience"),
                "at least one audience is needed, or tokens made for others are taken",
            ));
        }
    }
}

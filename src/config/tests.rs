use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use proptest::prelude::*;
use serde_json::Value;

use super::*;

/// Loads files of these texts, named `1.yml`, `2.yml` and so on, and hides their folder from errors.
fn load(texts: &[&str], variables: &[(&str, &str)]) -> Result<Config, String> {
    load_with(texts, variables, &[rules::check, files::check])
}

fn load_with(texts: &[&str], variables: &[(&str, &str)], checks: &[Check]) -> Result<Config, String> {
    let folder = tempfile::tempdir().unwrap();
    for (index, text) in texts.iter().enumerate() {
        std::fs::write(folder.path().join(format!("{}.yml", index + 1)), text).unwrap();
    }
    let environment: Environment =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Config::assemble(&[folder.path().to_owned()], &environment, checks)
        .map_err(|problems| problems.to_string().replace(&format!("{}/", folder.path().display()), ""))
}

fn good(text: &str) -> Config {
    load(&[text], &[]).unwrap_or_else(|problems| panic!("{problems}"))
}

fn bad(text: &str) -> String {
    load(&[text], &[]).map(|config| config.to_yaml()).unwrap_err()
}

#[test]
fn an_empty_file_means_the_defaults() {
    assert_eq!(good("").to_yaml(), Config::default().to_yaml());
    assert_eq!(good("# nothing\n").to_yaml(), Config::default().to_yaml());
    assert_eq!(good("upstream:\n").to_yaml(), Config::default().to_yaml());
}

#[test]
fn the_listed_defaults_are_those_in_code() {
    assert_eq!(good(LISTED).to_yaml(), Config::default().to_yaml());
}

#[test]
fn every_key_is_listed() {
    let file: Arc<str> = "searchgate.yml".into();
    let listed = paths(&yaml_value(&yaml::parse(LISTED, &file).unwrap()));
    let missing: Vec<_> = paths(&effective::tree(&Config::default())).difference(&listed).cloned().collect();
    assert_eq!(missing, [""; 0], "live keys");

    let mut names = BTreeSet::new();
    property_names(&Config::json_schema(), &mut names);
    names.retain(|name| !LISTED.contains(&format!("{name}:")));
    assert!(names.is_empty(), "keys of variants and absent sections: {names:?}");
}

#[test]
fn what_is_printed_reads_back_the_same() {
    let text = "
listeners:
  - { address: 'unix:/run/s.sock', mode: '0600', shape: sidecar, hosts: [search.internal] }
  - { address: '127.0.0.1:1', trusted_proxies: [10.0.0.0/8, ::1], proxy_protocol: true, credential: { kind: none } }
upstream:
  hosts: ['https://[::1]:9200', 'http://node']
  ssl: { ca_trusted_fingerprint: '00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff' }
  credential:
    kind: oauth2
    token_url: https://issuer/token
    grant_type: client_credentials
    wire: rfc6749
authentication:
  realms:
    - { type: jwt, name: corp, jwks: 'https://issuer/keys', issuer: i, audience: [a] }
    - { type: cluster }
    - { type: pki, name: 'yes' }
    - { type: file, path: users.yml }
api_keys: { max_lifetime: 90d }
logging: { level: 'info,searchgate=debug', audit: off }
";
    let printed = good(text).to_yaml();
    assert_eq!(good(&printed).to_yaml(), printed);
    assert!(printed.contains("    - type: jwt\n      name: corp\n"), "{printed}");
    let session = good("upstream: {credential: {kind: session, service: {kind: api_key, api_key_file: f}}}").to_yaml();
    assert_eq!(good(&session).to_yaml(), session);
}

#[test]
fn every_problem_is_told_at_once_with_its_place() {
    insta::assert_snapshot!(bad("
listeners:
  - adress: 127.0.0.1:9200
  - address: nowhere
    shape: gat
upstream:
  hosts: [\"ftp://a\", \"http://b/path\", \"http://c\"]
  connect_timeout: 5
  credential: { kind: basic, username: gate, password: x }
  health: { eject_after: many }
tokens: { reuse_window: 30s, access_lifetime: 0s }
limits: { body_bytes: 100 }
"), @r"
    1.yml:3:5: listeners.0.adress: unknown key
      | adress
      = did you mean `address`?
    1.yml:4:14: listeners.1.address: no address to listen on
      | nowhere
      = write 127.0.0.1:9200, [::]:9200, localhost:9200 or unix:/run/searchgate.sock
    1.yml:5:12: listeners.1.shape: unknown name
      | gat
      = did you mean `gate`?
    1.yml:7:11: upstream.hosts.0: must start with http:// or https://
      | ftp://a
    1.yml:7:22: upstream.hosts.1: a node has no path
      | http://b/path
      = write http://host:9200 or https://host:9200
    1.yml:8:20: upstream.connect_timeout: no duration
      | 5
      = write a whole number and a unit: ms, s, m, h or d, for example 20m
    1.yml:9:46: upstream.credential.password: unknown key
      | password
      = did you mean `password_file`?
    1.yml:10:26: upstream.health.eject_after: expected a whole number
      | many
    1.yml:11:47: tokens.access_lifetime: must be more than zero
      | 0s
    1.yml:12:23: limits.body_bytes: no size
      | 100
      = write a whole number and a unit: b, kb, mb, gb or tb, for example 512kb
    ");
}

#[test]
fn a_problem_of_the_environment_names_the_variable() {
    insta::assert_snapshot!(load(&[""], &[
        ("SEARCHGATE__UPSTREAM__CONNECT_TIMEOUT", "s3cret"),
        ("SEARCHGATE__UPSTREAM__HOST", "http://a"),
        ("SEARCHGATE__LISTENERS__1__ADDRESS", "127.0.0.1:1"),
        ("SEARCHGATE__LIMITS", "{body_bytes: }}"),
    ]).unwrap_err(), @r"
    SEARCHGATE__LIMITS: limits: no valid YAML
      = write a list as `a,b` or `[a, b]`, a mapping as `{key: value}`
    SEARCHGATE__LISTENERS__1__ADDRESS: listeners.1.address: the list has 0 items, so none has the index 1
      = indices count from 0, without gaps
    SEARCHGATE__UPSTREAM__CONNECT_TIMEOUT: upstream.connect_timeout: no duration
      = write a whole number and a unit: ms, s, m, h or d, for example 20m
    SEARCHGATE__UPSTREAM__HOST: upstream.host: unknown key
      = did you mean `hosts`?
    ");
}

#[test]
fn text_that_is_no_yaml_is_told_with_its_place() {
    let error = bad("upstream:\n  hosts: [\n");
    assert!(error.starts_with("1.yml:"), "{error}");
    let twice = bad("tokens: {}\ntokens: {}\n");
    assert_eq!(twice, "1.yml:2:1: no valid YAML: duplicate mapping key: tokens");
}

#[test]
fn strings_take_variables_and_files() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "from-file\n").unwrap();
    let text = format!(
        "{{upstream: {{hosts: ['http://${{NODE}}:${{PORT:9201}}']}}, authentication: {{anonymous: {{username: '${{file:{}}}'}}}},
          limits: {{connections: '${{N:7}}'}}, store: {{url: 'sqlite:$${{x}}'}}}}",
        secret.path().display()
    );
    let config = load(&[&text], &[("NODE", "es1")]).unwrap();
    assert_eq!(config.upstream.hosts[0].to_string(), "http://es1:9201");
    assert_eq!(config.authentication.anonymous.username, "from-file");
    assert_eq!(config.limits.connections, 7);
    assert_eq!(config.store.url.to_string(), "sqlite:${x}");
}

#[test]
fn what_cannot_be_interpolated_is_told() {
    insta::assert_snapshot!(bad("{upstream: {hosts: ['http://${NODE}']}, logging: {level: '${LEVEL'}}"), @r"
    1.yml:1:21: upstream.hosts.0: the environment variable NODE is not set
      | http://${NODE}
      = set it, or write a default: `${NODE:value}`
    1.yml:1:58: logging.level: `${` is not closed
      | ${LEVEL
      = write `$${` for the characters themselves
    ");
}

#[test]
fn the_environment_wins_over_files_and_later_files_over_earlier_ones() {
    let one = "{tokens: {access_lifetime: 1m, refresh_lifetime: 1h, reuse_window: 1s}, upstream: {hosts: ['http://a', 'http://b']}}";
    let two = "{tokens: {refresh_lifetime: 2h, reuse_window: 2s}, upstream: {hosts: ['http://c']}}";
    let config = load(&[one, two], &[("SEARCHGATE__TOKENS__REUSE_WINDOW", "3s")]).unwrap();
    let seconds = |duration: Duration| duration.as_secs();
    assert_eq!(seconds(config.tokens.access_lifetime), 60);
    assert_eq!(seconds(config.tokens.refresh_lifetime), 7200);
    assert_eq!(seconds(config.tokens.reuse_window), 3);
    assert_eq!(config.upstream.hosts.len(), 1, "lists are replaced");
}

#[test]
fn a_credential_of_another_kind_replaces_all_keys_of_the_old_one() {
    let one = "upstream: {credential: {kind: basic, username: u, password_file: f}}";
    let config = load(&[one, "upstream: {credential: {kind: bearer, token_file: t}}"], &[]).unwrap();
    assert!(matches!(config.upstream.credential, Credential::Bearer { .. }));
    let kind = [
        ("SEARCHGATE__UPSTREAM__CREDENTIAL__API_KEY_FILE", "k"),
        ("SEARCHGATE__UPSTREAM__CREDENTIAL__KIND", "api_key"),
    ];
    let config = load(&[one], &kind).unwrap();
    assert!(matches!(config.upstream.credential, Credential::ApiKey { .. }));
}

#[test]
fn the_environment_sets_lists_items_and_absent_sections() {
    let config = load(
        &["listeners: [{address: '127.0.0.1:1'}]"],
        &[
            ("SEARCHGATE__UPSTREAM__HOSTS", "http://a:1, https://b:2"),
            ("SEARCHGATE__LISTENERS__0__SHAPE", "sidecar"),
            ("SEARCHGATE__LISTENERS__1__ADDRESS", "[::1]:2"),
            ("SEARCHGATE__AUTHENTICATION__REALMS", "[{type: reserved}]"),
            ("SEARCHGATE__API_KEYS__MAX_LIFETIME", "null"),
            ("SEARCHGATE_PORT_9200_TCP_ADDR", "what Kubernetes sets is none of ours"),
        ],
    )
    .unwrap();
    assert_eq!(
        config.upstream.hosts.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["http://a:1", "https://b:2"]
    );
    assert_eq!(config.listeners[0].shape, Shape::Sidecar);
    assert_eq!(config.listeners[1].address, ListenAddress::Tcp("[::1]:2".parse::<SocketAddr>().unwrap()));
    assert_eq!(config.authentication.realms.len(), 1);
    assert_eq!(config.api_keys.max_lifetime, None);
}

#[test]
fn secrets_may_stand_in_files_that_variables_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).unwrap();
        folder.path().join(name).display().to_string()
    };
    let (url, password) = (file("url", "memory:\n"), file("password", "first\n"));
    let config =
        load(&[""], &[("SEARCHGATE__STORE__URL_FILE", &url), ("SEARCHGATE_BOOTSTRAP_PASSWORD_FILE", &password)])
            .unwrap();
    assert!(matches!(config.store.url, StoreUrl::Memory));
    assert_eq!(config.authentication.bootstrap.read().unwrap().unwrap().expose(), "first");
}

#[test]
fn the_bootstrap_password_comes_from_the_environment_before_its_file() {
    let text = "authentication: {bootstrap: {password_file: /nowhere}}";
    let config = load(&[text], &[("SEARCHGATE_BOOTSTRAP_PASSWORD", "p")]).unwrap();
    assert_eq!(config.authentication.bootstrap.read().unwrap().unwrap().expose(), "p");
    assert!(good(text).authentication.bootstrap.read().is_err(), "a missing file is told when it is needed");
}

#[test]
fn no_output_holds_a_secret() {
    let variables = [
        ("SEARCHGATE_BOOTSTRAP_PASSWORD", CANARY),
        ("SEARCHGATE__STORE__URL", "postgres://gate:canary-7d1@db/x?password=canary-7d1"),
        ("SEARCHGATE__STORE__MASTER_KEY_FILE", "/etc/keys"),
    ];
    let config = load(&[""], &variables).unwrap();
    let shown = format!("{}{config:?}", config.to_yaml());
    assert!(!shown.contains(CANARY), "{shown}");
    assert!(shown.contains("[redacted]"));
    for text in [
        "upstream: {credential: {kind: basic, username: u, password: canary-7d1}}",
        "authentication: {bootstrap: canary-7d1}",
        "authentication: {bootstrap: {password: canary-7d1}}",
        "store: {url: 'mysql://gate:canary-7d1@db'}",
        "store: {url: 'host=db password=canary-7d1'}",
        "store: {url: 'postgres://gate:canary-7d1@db'}",
        "upstream: {hosts: ['http://gate:canary-7d1@node']}",
        "upstream: {connect_timeout: '${SECRET}'}",
    ] {
        let problems = load(&[text], &[("SECRET", CANARY)]).unwrap_err();
        assert!(!problems.contains(CANARY), "{problems}");
    }
    let problems = load(&[""], &[("SEARCHGATE__LIMITS__BODY_BYTES", CANARY)]).unwrap_err();
    assert!(!problems.contains(CANARY), "{problems}");
}

#[test]
fn contradictions_between_sections_are_refused() {
    insta::assert_snapshot!(bad("
listeners:
  - { address: '0.0.0.0:1' }
  - { address: '0.0.0.0:2', shape: sidecar, insecure: true }
  - { address: '127.0.0.1:3', proxy_protocol: true }
  - { address: '127.0.0.1:3' }
  - { address: '[::]:4', insecure: true }
  - { address: 'unix:/run/x', credential: { kind: passthrough }, identity: { kind: jwt, key_file: k, algorithm: ES256, issuer: i, audience: a } }
admin: { address: '127.0.0.1:3' }
upstream:
  hosts: []
  credential: { kind: oauth2, token_url: 'http://127.0.0.1/t', grant_type: password }
  health: { eject_after: 0 }
authentication:
  realms: [{ type: native }, { type: native }]
api_keys: { max_lifetime: 1d, default_lifetime: 2d }
reauthentication: { lease_ttl: 30s }
store: { url: 'postgres://db/x' }
"), @r"
    1.yml:3:16: listeners.0.address: plain text on an address that other machines can reach
      | 0.0.0.0:1
      = configure `ssl`, or set `insecure: true` if TLS ends before searchgate
    1.yml:4:16: listeners.1.address: a sidecar asks for no credentials and listens on loopback or a Unix socket only
      | 0.0.0.0:2
      = use 127.0.0.1, [::1] or unix:PATH
    1.yml:5:16: listeners.2.address: is the address of admin.address too
      | 127.0.0.1:3
    1.yml:5:47: listeners.2.proxy_protocol: needs `trusted_proxies`, or every connection is closed
      | true
      = list the networks of the proxies
    1.yml:6:16: listeners.3.address: is the address of listeners.2.address too
      | 127.0.0.1:3
    1.yml:8:76: listeners.5.identity: identity `jwt` is sent as `Authorization` and needs credential `none`
    1.yml:8:99: listeners.5.identity.key_file: cannot be read: No such file or directory (os error 2)
      | k
    1.yml:11:10: upstream.hosts: at least one host is needed
    1.yml:12:76: upstream.credential.grant_type: this grant needs `username`
      | password
    1.yml:13:26: upstream.health.eject_after: must be more than zero
      | 0
    1.yml:15:30: authentication.realms.1: a realm named `default_native` stands above already
    1.yml:16:49: api_keys.default_lifetime: must not be longer than max_lifetime
      | 2d
      = every key without an expiration would be refused: leave it out to give keys max_lifetime
    1.yml:17:32: reauthentication.lease_ttl: must be longer than refresh_timeout and shorter than the cluster's reuse window of 30s
      | 30s
    1.yml:18:8: store.master_key_file: is required with PostgreSQL
      = every replica needs the same key: make one with `searchgate secret generate`
    ");
}

#[test]
fn more_hosts_than_a_request_can_count_are_refused() {
    let hosts = |count: usize| {
        let hosts: Vec<_> = (0..count).map(|index| format!("'http://n{index}'")).collect();
        load(&[&format!("upstream: {{hosts: [{}]}}", hosts.join(", "))], &[])
    };
    assert!(hosts(MAX_HOSTS).is_ok());
    assert!(hosts(MAX_HOSTS + 1).unwrap_err().contains("at most 64 hosts"));
}

#[test]
fn secrets_are_sent_to_https_or_loopback_only() {
    let token_url = |url: &str| {
        load(
            &[&format!(
                "upstream: {{credential: {{kind: oauth2, grant_type: client_credentials, token_url: '{url}'}}}}"
            )],
            &[],
        )
    };
    for fine in ["https://issuer/t", "http://localhost:1/t", "http://127.0.0.1/t", "http://[::1]:8080/t"] {
        assert!(token_url(fine).is_ok(), "{fine}");
    }
    for wrong in ["http://issuer/t", "ftp://localhost/t", "/t", "https://u:p@issuer/t", "http://127.0.0.1.evil/t"] {
        assert!(token_url(wrong).is_err(), "{wrong}");
    }
    assert!(
        bad("authentication: {realms: [{type: jwt, name: n, jwks: 'http://issuer/k', issuer: i, audience: [a]}]}")
            .contains("jwks: must be https:")
    );
}

#[test]
fn a_certificate_that_is_none_is_told_before_the_start() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "canary-7d1").unwrap();
    let path = file.path().display();
    let error = bad(&format!(
        "listeners: [{{address: '0.0.0.0:1', ssl: {{certificate: {path}, key: {path}, certificate_authorities: [/nowhere]}}}}]"
    ));
    assert!(error.contains("listeners.0.ssl.certificate: the file holds no certificates in PEM"), "{error}");
    assert!(error.contains("listeners.0.ssl.key: the file holds no unencrypted private key in PEM"), "{error}");
    assert!(error.contains("listeners.0.ssl.certificate_authorities.0: cannot be read"), "{error}");
    assert!(!error.contains(CANARY), "{error}");
}

#[test]
fn a_real_certificate_passes() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (folder.path().join("c.pem"), folder.path().join("k.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let config = good(&format!(
        "listeners: [{{address: '0.0.0.0:1', ssl: {{certificate: {}, key: {}}}}}]",
        certificate.display(),
        key.display()
    ));
    assert_eq!(config.listeners[0].ssl.as_ref().unwrap().certificates.len(), 1);
}

#[test]
fn a_broker_needs_sessions_and_sessions_a_broker() {
    let session =
        "upstream: { credential: { kind: session, service: { kind: basic, username: u, password_file: f } } }";
    let broker = "listeners: [{ address: 'unix:/run/x', shape: broker }]";
    good(&format!("{session}\n{broker}"));
    for text in [session, broker] {
        let problems = load(&[text], &[]).unwrap_err();
        assert!(
            problems.contains("listeners.0.shape: shape `broker` and credential `session` go together"),
            "{problems}"
        );
    }
}

#[test]
fn what_cannot_be_served_yet_is_well_formed_and_named() {
    let text = "
authentication: { realms: [{ type: file, path: f }, { type: pki }, { type: cluster }] }
store: { url: 'postgres://db/x', master_key_file: k }
enrollment: { enabled: true }
";
    good(text);
    insta::assert_snapshot!(load_with(&[text], &[], &[rules::unsupported]).unwrap_err(), @r"
    1.yml:4:24: enrollment.enabled: enrollment cannot be served by this version yet
      | true
    ");
    assert!(rules::unsupported(&Config::default()).is_empty());
}

#[test]
fn tokens_for_the_cluster_open_no_gate_and_have_their_claims_apart() {
    insta::assert_snapshot!(bad("
upstream: { identity: { kind: jwt, key_file: k, algorithm: ES256, issuer: corp, audience: a, roles_claim: sub } }
authentication: { realms: [{ type: jwt, name: r, jwks: f, issuer: corp, audience: [b] }] }
"), @r"
    1.yml:2:46: upstream.identity.key_file: cannot be read: No such file or directory (os error 2)
      | k
    1.yml:2:75: upstream.identity.issuer: realm `r` takes tokens of this issuer: those made for the cluster would open this gate
      | corp
      = give the identity an issuer of its own
    1.yml:2:107: upstream.identity.roles_claim: is a claim that says something else already
      | sub
    ");
}

#[test]
fn a_reload_names_what_needs_a_restart_and_only_that() {
    let old = good("listeners: [{address: '127.0.0.1:1'}]");
    let limits = good(
        "{listeners: [{address: '127.0.0.1:1'}], limits: {body_bytes: 5mb}, logging: {level: debug}, upstream: {ssl: {certificate_authorities: []}}}",
    );
    assert!(old.restart_needed(&limits).is_empty());
    let more = good(
        "{listeners: [{address: '127.0.0.1:1', shape: sidecar}], tokens: {reuse_window: 0}, upstream: {hosts: ['http://a']}, limits: {connections: 5}, logging: {format: json}}",
    );
    assert_eq!(
        old.restart_needed(&more),
        ["listeners.0.shape", "upstream.hosts.0", "tokens.reuse_window", "limits.connections", "logging.format"]
    );
    let store = |url: &str| good(&format!("store: {{url: 'postgres://{url}', master_key_file: k}}"));
    assert_eq!(store("a").restart_needed(&store("b")), ["store.url"]);
}

#[test]
fn the_schema_knows_the_tags_and_refuses_unknown_keys() {
    let schema = Config::json_schema();
    assert_eq!(schema["additionalProperties"], Value::Bool(false));
    assert_eq!(schema["$defs"]["Upstream"]["properties"]["credential"]["default"]["kind"], "none");
    let kinds = schema["$defs"]["Credential"]["oneOf"].as_array().unwrap();
    assert!(kinds.iter().all(|kind| kind["properties"]["kind"]["const"].is_string()), "{kinds:#?}");
}

#[test]
fn named_files_and_folders_are_read_in_the_order_given() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, level: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, format!("logging: {{level: {level}}}")).unwrap();
        file
    };
    let (last, _, _) = (write("b.yml", "debug"), write("a.yml", "warn"), write("c.yaml", "trace"));
    let level = |files: &[PathBuf]| Config::load(files, &Environment::default()).unwrap().logging.level;
    assert_eq!(level(&[folder.path().to_owned()]), "debug");
    assert_eq!(level(&[last, folder.path().join("a.yml")]), "warn");
    assert!(Config::load(&[folder.path().join("none.yml")], &Environment::default()).is_err());
}

proptest! {
    #[test]
    fn no_text_panics(text: String, name in "SEARCHGATE__[A-Z0-9_]{0,20}", value: String) {
        let _ = load(&[&text], &[(&name, &value)]);
    }

    #[test]
    fn no_value_at_any_key_panics(key in 0_usize..60, value in r#"[\[\]{}:,'"a-z0-9$ -]{0,12}"#) {
        let mut lines: Vec<_> = LISTED.lines().map(str::to_owned).collect();
        let key = lines.iter().enumerate().filter(|(_, line)| line.contains(": ")).map(|(at, _)| at).nth(key);
        if let Some(line) = key.and_then(|key| lines.get_mut(key)) {
            *line = format!("{}: {value}", line.split(": ").next().unwrap());
        }
        let _ = load(&[&lines.join("\n")], &[]);
    }
}

fn paths(tree: &Value) -> BTreeSet<String> {
    fn walk(value: &Value, path: &str, found: &mut BTreeSet<String>) {
        found.insert(path.to_owned());
        let children: Vec<_> = match value {
            Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), value)).collect(),
            Value::Array(items) => items.iter().enumerate().map(|(index, value)| (index.to_string(), value)).collect(),
            _ => Vec::new(),
        };
        for (name, value) in children {
            walk(value, &format!("{path}.{name}"), found);
        }
    }
    let mut found = BTreeSet::new();
    walk(tree, "", &mut found);
    found
}

fn yaml_value(node: &Node) -> Value {
    match &node.value {
        tree::Value::Map(entries) => entries.iter().map(|(key, node)| (key.name.clone(), yaml_value(node))).collect(),
        tree::Value::Seq(items) => items.iter().map(yaml_value).collect(),
        _ => Value::Null,
    }
}

fn property_names(schema: &Value, names: &mut BTreeSet<String>) {
    if let Some(properties) = schema["properties"].as_object() {
        names.extend(properties.keys().cloned());
    }
    match schema {
        Value::Object(fields) => fields.values().for_each(|value| property_names(value, names)),
        Value::Array(items) => items.iter().for_each(|value| property_names(value, names)),
        _ => {}
    }
}

const LISTED: &str = include_str!("../../config/searchgate.yml");
const CANARY: &str = "canary-7d1";

//! Callers for whom an issuer, a certificate or a file vouches, through a listener; mappings give them roles.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::Method;
use searchgate::{listener::development, passwords::PasswordHash, secret::SecretText};
use serde_json::{Value, json};

use crate::support::{
    client::{request, with_body},
    process::{Client, Process, Setup, basic, elastic},
    server::Server,
    tls::{TlsClient, client_certificate},
};

const AUTHENTICATE: &str = "/_security/_authenticate";

/// An issuer of tokens for Sue.
struct Issuer(Ed25519KeyPair);

impl Issuer {
    fn new() -> Self {
        Self(Ed25519KeyPair::generate().unwrap())
    }

    fn keys(&self) -> String {
        let point = URL_SAFE_NO_PAD.encode(self.0.public_key());
        json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "kid": "k", "x": point}]}).to_string()
    }

    /// An `Authorization` that is good for as long as anybody may run this.
    fn token(&self) -> String {
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let claims =
            json!({"iss": "issuer", "aud": "gate", "sub": "sue", "groups": ["staff"], "exp": 4_000_000_000_u64});
        let text = format!("{}.{}", part(json!({"alg": "EdDSA", "kid": "k"})), part(claims));
        format!("Bearer {text}.{}", URL_SAFE_NO_PAD.encode(self.0.sign(text.as_bytes())))
    }
}

/// A gateway whose third realm is this one.
fn with_realm(setup: Setup, realm: &str) -> Setup {
    setup.with(&format!("authentication: {{realms: [{{type: reserved}}, {{type: native}}, {{{realm}}}]}}"))
}

fn with_issuer(jwks: &str) -> Setup {
    let realm = format!("type: jwt, name: corp, jwks: {jwks}, issuer: issuer, audience: [gate]");
    with_realm(Setup::new(&Server::start().url()), &realm)
}

/// Gives `roles` to whoever fits `rule`.
async fn map(client: &mut Client, rule: Value, roles: &[&str]) {
    let body = json!({"enabled": true, "roles": roles, "rules": {"field": rule}}).to_string();
    let headers = [("authorization", &*elastic()), ("content-type", "application/json")];
    let answer = client.send(with_body(Method::PUT, "/_security/role_mapping/m", &headers, &body)).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
}

fn successes(process: &Process, user: &str) -> usize {
    let of = |event: &&Value| event["event.action"] == "authentication_success" && event["user.name"] == user;
    process.audit().iter().filter(of).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_of_an_issuer_names_its_caller_and_is_judged_once() {
    let issuer = Issuer::new();
    let process = with_issuer("DIR/keys.json").file("keys.json", issuer.keys()).serve();
    let mut client = process.client().await;
    map(&mut client, json!({"groups": "staff"}), &["superuser"]).await;
    let realm = json!({"name": "corp", "type": "jwt"});
    for _ in ["judged", "remembered"] {
        let answer = client.get(AUTHENTICATE, &issuer.token()).await;
        let expected = json!({
            "username": "sue", "roles": ["staff", "superuser"], "full_name": null, "email": null,
            "metadata": {
                "jwt_token_type": "id_token", "jwt_claim_iss": "issuer", "jwt_claim_aud": ["gate"],
                "jwt_claim_sub": "sue", "jwt_claim_groups": ["staff"],
            },
            "enabled": true, "authentication_realm": realm, "lookup_realm": realm, "authentication_type": "realm",
        });
        assert_eq!((answer.status.as_u16(), answer.json()), (200, expected));
    }
    assert_eq!(client.get("/logs/_count", &issuer.token()).await.status, 200);
    assert_eq!(client.get(AUTHENTICATE, &Issuer::new().token()).await.status, 401);
    process.audited("the forgery", |event| event["event.action"] == "authentication_failed");
    assert_eq!(successes(&process, "sue"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_mapping_gives_ends_with_it() {
    let issuer = Issuer::new();
    let process = with_issuer("DIR/keys.json").file("keys.json", issuer.keys()).serve();
    let mut client = process.client().await;
    assert_eq!(client.get("/logs/_count", &issuer.token()).await.status, 403);
    map(&mut client, json!({"username": "sue"}), &["superuser"]).await;
    assert_eq!(client.get("/logs/_count", &issuer.token()).await.status, 200);
    map(&mut client, json!({"username": "joe"}), &["superuser"]).await;
    assert_eq!(client.get("/logs/_count", &issuer.token()).await.status, 403);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_issuer_that_never_answered_is_a_503_for_its_tokens_alone() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let process = with_issuer(&format!("'http://{closed}/keys'")).serve();
    let mut client = process.client().await;
    let answer = client.get(AUTHENTICATE, &Issuer::new().token()).await;
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(answer.header("retry-after").is_some() && answer.header("www-authenticate").is_none());
    assert_eq!(client.get(AUTHENTICATE, "Bearer nonsense").await.status, 401);
    assert_eq!(client.get(AUTHENTICATE, &elastic()).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_certificate_names_its_caller() {
    let (authority, alice) = client_certificate();
    let setup = Setup::new(&Server::start().url());
    development::make(setup.path("").as_path()).unwrap();
    let setup = setup.file("clients.crt", authority).with(
        "listeners: [{address: 127.0.0.1:0, ssl: {certificate: DIR/server.crt, key: DIR/server.key, \
         client_authentication: optional, certificate_authorities: [DIR/clients.crt]}}]",
    );
    let process = with_realm(setup, "type: pki, name: certs").serve();
    let connect = async |identity| {
        let client = TlsClient::trusting(&process.setup.path("ca.crt"));
        let client = if identity { client.identity(&alice) } else { client };
        Client::over(client.connect(process.address(), "localhost").await.unwrap()).await
    };
    let (mut stranger, mut client) = (connect(false).await, connect(true).await);
    map(&mut stranger, json!({"dn": "CN=alice"}), &["superuser"]).await;
    let who = || request(Method::GET, AUTHENTICATE, &[]);
    assert_eq!(stranger.send(who()).await.unwrap().status, 401);
    let answer = client.send(who()).await.unwrap().json();
    let realm = json!({"name": "certs", "type": "pki"});
    assert_eq!(
        (&answer["username"], &answer["roles"], &answer["authentication_realm"], &answer["metadata"]),
        (&json!("alice"), &json!(["superuser"]), &realm, &json!({"pki_dn": "CN=alice"}))
    );
    assert_eq!(client.send(request(Method::GET, "/logs/_count", &[])).await.unwrap().status, 200);
    assert_eq!(client.get(AUTHENTICATE, &basic("alice", "wrong")).await.status, 401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_of_a_file_calls_and_is_run_as() {
    let hash = PasswordHash::of(&SecretText::new("secret-of-jane".into())).unwrap();
    let users = format!("jane: {{ password_hash: '{}', roles: [kibana_admin], full_name: Jane }}\n", hash.0.expose());
    let setup = Setup::new(&Server::start().url()).file("users.yml", users);
    let process = with_realm(setup, "type: file, name: staff, path: DIR/users.yml").serve();
    let mut client = process.client().await;
    let realm = json!({"name": "staff", "type": "file"});
    let answer = client.get(AUTHENTICATE, &basic("jane", "secret-of-jane")).await.json();
    assert_eq!(
        (&answer["username"], &answer["roles"], &answer["full_name"], &answer["authentication_realm"]),
        (&json!("jane"), &json!(["kibana_admin"]), &json!("Jane"), &realm)
    );
    assert_eq!(client.get(AUTHENTICATE, &basic("jane", "another")).await.status, 401);
    let headers = [("authorization", &*elastic()), ("es-security-runas-user", "jane")];
    let answer = client.send(request(Method::GET, AUTHENTICATE, &headers)).await.unwrap().json();
    assert_eq!(
        (&answer["username"], &answer["lookup_realm"], &answer["authentication_realm"]["name"]),
        (&json!("jane"), &realm, &json!("reserved"))
    );
}

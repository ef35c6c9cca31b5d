use std::io::Write as _;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::fetch::testing::{Seen, Server};

/// A file that holds `text`.
fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

/// What `server` is asked by an endpoint of `oauth2`, and what comes of it.
async fn ask(server: &Server, mut oauth2: Value, refresh: Option<&str>) -> (Seen, Result<Tokens, Failure>) {
    oauth2["token_url"] = server.url("/token?x=1").into();
    let endpoint = Endpoint::new(&serde_json::from_value(oauth2).unwrap(), &config::Config::default());
    let refresh = refresh.map(|text| SecretText::new(text.into()));
    let outcome = endpoint.ask(refresh.as_ref()).await;
    (server.requests().pop().unwrap(), outcome)
}

fn granting() -> Server {
    let server = Server::start();
    server.answer("200 OK", r#"{"access_token":"a","token_type":"Bearer","expires_in":60}"#);
    server
}

#[tokio::test]
async fn the_rfc_wire_is_a_form_and_the_client_proves_itself_by_basic() {
    let (server, secret) = (granting(), file("p+s s%:\n"));
    let oauth2 = json!({"grant_type": "client_credentials", "wire": "rfc6749", "scope": "read write", "client_id": "a:b c",
        "client_secret_file": secret.path()});
    let (seen, outcome) = ask(&server, oauth2, None).await;
    assert_eq!(outcome.unwrap().access.expose(), "a");
    assert_eq!(seen.first, "POST /token?x=1 HTTP/1.1");
    assert_eq!(seen.header("content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(seen.body, "grant_type=client_credentials&scope=read+write");
    // Encoded as a form, then Base64: `a:b c` must not be read as user `a`.
    let basic = file::basic("a%3Ab+c", "p%2Bs+s%25%3A").unwrap();
    assert_eq!(seen.header("authorization"), basic.to_str().ok());
}

#[tokio::test]
async fn the_elasticsearch_wire_is_json_and_basic_is_as_elasticsearch_reads_it() {
    let (server, secret, password) = (granting(), file("p+s s%"), file("pass\"word\n"));
    let oauth2 = json!({"grant_type": "password", "username": "sue", "password_file": password.path(), "client_id": "svc",
        "client_secret_file": secret.path()});
    let (seen, outcome) = ask(&server, oauth2, None).await;
    outcome.unwrap();
    assert_eq!(seen.header("content-type"), Some("application/json"));
    assert_eq!(
        serde_json::from_str::<Value>(&seen.body).unwrap(),
        json!({"grant_type": "password", "username": "sue", "password": "pass\"word"})
    );
    assert_eq!(seen.header("authorization"), file::basic("svc", "p+s s%").unwrap().to_str().ok());
}

#[tokio::test]
async fn a_refresh_token_is_used_under_the_same_client() {
    let (server, secret) = (granting(), file("s"));
    let oauth2 = json!({"grant_type": "client_credentials", "wire": "rfc6749", "client_id": "c",
        "client_secret_file": secret.path()});
    let (seen, outcome) = ask(&server, oauth2, Some("r/1")).await;
    outcome.unwrap();
    assert_eq!(seen.body, "grant_type=refresh_token&refresh_token=r%2F1");
    assert_eq!(seen.header("authorization"), file::basic("c", "s").unwrap().to_str().ok());
}

#[tokio::test]
async fn a_public_client_names_itself_in_the_form() {
    let (server, first) = (granting(), file("r0\n"));
    let oauth2 = json!({"grant_type": "refresh_token", "wire": "rfc6749", "client_id": "app",
        "refresh_token_file": first.path()});
    let (seen, outcome) = ask(&server, oauth2, Some("r0")).await;
    outcome.unwrap();
    assert_eq!(seen.body, "grant_type=refresh_token&refresh_token=r0&client_id=app");
    assert_eq!(seen.header("authorization"), None);
}

#[tokio::test]
async fn what_stays_refused_is_told_from_what_may_pass() {
    let server = Server::start();
    let oauth2 = json!({"grant_type": "client_credentials", "wire": "rfc6749"});
    let elasticsearch =
        r#"{"error":{"type":"security_exception","reason":"unable to authenticate user [s3cret]"},"status":401}"#;
    for (status, body) in [
        ("400 Bad Request", r#"{"error":"invalid_grant","error_description":"s3cret"}"#),
        ("401 Unauthorized", r#"{"error":"invalid_client"}"#),
        ("401 Unauthorized", elasticsearch),
        ("403 Forbidden", "<html>"),
    ] {
        server.answer(status, body);
        let failure = ask(&server, oauth2.clone(), None).await.1.unwrap_err();
        assert!(matches!(failure, Failure::Refused(_)), "{status} {body}: {failure:?}");
        assert!(!format!("{failure} {failure:?}").contains("s3cret"), "{failure}");
    }
    for (status, body) in [
        ("302 Found\r\nlocation: /elsewhere", ""),
        ("400 Bad Request", "<html>"),
        ("400 Bad Request", r#"{"error":"temporarily_unavailable"}"#),
        ("404 Not Found", ""),
        ("429 Too Many Requests", r#"{"error":"invalid_request"}"#),
        ("503 Service Unavailable", r#"{"error":"invalid_grant"}"#),
        ("200 OK", r#"{"access_token":"s3cret two"}"#),
        ("200 OK", "<html>"),
    ] {
        server.answer(status, body);
        let failure = ask(&server, oauth2.clone(), None).await.1.unwrap_err();
        assert!(matches!(failure, Failure::Transient(_)), "{status} {body}: {failure:?}");
        assert!(!failure.to_string().contains("s3cret"), "{failure}");
    }
}

#[tokio::test]
async fn a_secret_that_cannot_be_read_is_no_refusal() {
    let oauth2 = json!({"grant_type": "client_credentials", "client_id": "c", "client_secret_file": "/nowhere/secret",
        "token_url": "http://127.0.0.1:1/"});
    let endpoint = Endpoint::new(&serde_json::from_value(oauth2).unwrap(), &config::Config::default());
    let Failure::Transient(why) = endpoint.ask(None).await.unwrap_err() else { panic!("refused") };
    assert!(why.contains("/nowhere/secret"), "{why}");
}

proptest! {
    #[test]
    fn what_is_written_as_a_form_reads_back(text in ".*") {
        let written = encoded(&text);
        prop_assert!(written.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+%*-._".contains(&byte)));
        let mut read = Vec::new();
        let mut bytes = written.bytes();
        while let Some(byte) = bytes.next() {
            read.push(match byte {
                b'+' => b' ',
                b'%' => {
                    let digits = [bytes.next().unwrap(), bytes.next().unwrap()];
                    u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
                }
                byte => byte,
            });
        }
        prop_assert_eq!(read, text.into_bytes());
    }
}

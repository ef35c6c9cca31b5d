//! T31, as `docs/reauthentication.md` tells it: a new master key takes the place of the old one.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::Method;

use crate::support::{
    client::{request, with_body},
    process::{Process, Setup, basic, replace},
    stand_in::{PASSWORD, SERVICE, StandIn},
};

/// Gives it these keys, newest first.
fn keys(process: &Process, keys: &[&str]) {
    let told = process.running.stderr.count();
    replace(&process.setup.path("master"), keys.join("\n"));
    process.running.signal("HUP");
    process.running.stderr.wait_after(told, "reload", |line| line.contains("configuration reloaded"));
}

async fn log_in(process: &Process) -> String {
    let shown = [("authorization", &*basic("alice", PASSWORD))];
    let opened = process.send(with_body(Method::POST, "/_gateway/session", &shown, "")).await;
    assert_eq!(opened.status, 200, "{}", opened.text());
    format!("Bearer {}", opened.json()["access_token"].as_str().unwrap())
}

async fn get(process: &Process, handle: &str) -> (u16, Option<String>) {
    let answer = process.send(request(Method::GET, "/a/_doc/1", &[("authorization", handle)])).await;
    (answer.status.as_u16(), answer.header("x-auth-reason").map(str::to_owned))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_master_key_takes_over_and_with_the_old_one_go_only_sessions_that_nobody_used() {
    let cluster = StandIn::start();
    let [old, new] = [[1; 32], [2; 32]].map(|key| STANDARD.encode(key));
    let process = Setup::new(&cluster.host().to_string())
        .file("password", SERVICE)
        .file("master", &old)
        .with("listeners: [{address: 127.0.0.1:0, shape: broker}]\nstore: {master_key_file: DIR/master}")
        .with("upstream: {credential: {kind: session, service: {kind: basic, username: gate, password_file: DIR/password}}}")
        .serve();
    let (used, forgotten) = (log_in(&process).await, log_in(&process).await);
    keys(&process, &[&old, &new]);
    keys(&process, &[&new, &old]);
    let process = process.again();
    assert_eq!(get(&process, &used).await, (200, None), "the old key still opens");
    cluster.expire_tokens();
    assert_eq!(get(&process, &used).await, (200, None), "renewed, and sealed by the new one");
    keys(&process, &[&new]);
    let process = process.again();
    assert_eq!(get(&process, &used).await, (200, None));
    assert_eq!(get(&process, &forgotten).await, (401, Some("session_unknown".into())));
}

//! The small commands, and what exit codes say.

use std::{
    io::Write as _,
    net::TcpListener,
    process::{Command, Output, Stdio},
};

use http::Method;

use crate::support::{
    process::{PASSWORD, Setup, basic, searchgate},
    server::Server,
};

const NOWHERE: &str = "http://127.0.0.1:1";

fn run(arguments: &[&str]) -> Output {
    searchgate().args(arguments).output().unwrap()
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

#[test]
fn a_bad_configuration_is_78_with_place_text_and_hint() {
    let setup = Setup::new(NOWHERE).with("limits: {body_bytes: 1mb}\ntokens:\n  acess_lifetime: 20m\n");
    for command in ["check", "serve"] {
        let output = setup.command(command).output().unwrap();
        assert_eq!(output.status.code(), Some(78), "{command}");
        let error = stderr(&output);
        let place = format!("{}:3:3: ", setup.path("1.yml").display());
        assert!(error.contains(&place) && error.contains("acess_lifetime"), "{error}");
        assert!(error.contains("did you mean `access_lifetime`?"), "{error}");
        assert_eq!(stdout(&output), "");
    }
}

#[test]
fn a_configuration_that_is_not_there_is_78() {
    let output = run(&["serve", "--config", "/nonexistent/searchgate.yml"]);
    assert_eq!(output.status.code(), Some(78), "{}", stderr(&output));
    assert!(stderr(&output).contains("/nonexistent/searchgate.yml"));
}

#[test]
fn a_good_configuration_is_0() {
    let setup = Setup::new(NOWHERE);
    let output = setup.command("check").output().unwrap();
    assert_eq!((output.status.code(), stdout(&output), stderr(&output)), (Some(0), "", ""));
    let output = setup.command("check").arg("--print-effective").output().unwrap();
    assert!(stdout(&output).contains("access_lifetime: 20m\n"), "{}", stdout(&output));
}

#[test]
fn a_first_start_without_password_is_78_and_says_what_to_set() {
    let output = Setup::new(NOWHERE).without_environment().fail();
    assert_eq!(output.status.code(), Some(78));
    assert!(stderr(&output).contains("SEARCHGATE_BOOTSTRAP_PASSWORD"), "{}", stderr(&output));
}

#[test]
fn files_that_are_not_there_are_78() {
    for yaml in [
        "listeners: [{address: 127.0.0.1:0, ssl: {certificate: DIR/none.crt, key: DIR/none.key}}]",
        "upstream: {hosts: ['https://127.0.0.1:1'], ssl: {certificate_authorities: [DIR/none.crt]}}",
    ] {
        let setup = Setup::new(NOWHERE).with(yaml);
        for command in ["check", "serve"] {
            let output = setup.command(command).output().unwrap();
            assert_eq!(output.status.code(), Some(78), "{command} {yaml}: {}", stderr(&output));
        }
    }
    // It may be gone once it was read, so `check` does not ask for it.
    let setup =
        Setup::new(NOWHERE).with("authentication: {bootstrap: {password_file: DIR/none}}").without_environment();
    assert_eq!(setup.command("check").output().unwrap().status.code(), Some(0));
    assert_eq!(setup.fail().status.code(), Some(78));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_file_is_read_at_the_first_start_only() {
    let server = Server::start();
    let setup = Setup::new(&server.url())
        .without_environment()
        .file("password", "from-a-file\n")
        .with("authentication: {bootstrap: {password_file: DIR/password}}");
    let process = setup.serve();
    std::fs::write(process.setup.path("password"), "another\n").unwrap();
    let process = process.again();
    for (password, status) in [("from-a-file", 200), ("another", 401)] {
        let answer = process.client().await.get("/_security/_authenticate", &basic("elastic", password)).await;
        assert_eq!(answer.status, status);
    }
}

#[test]
fn an_address_in_use_is_1() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    for yaml in [format!("listeners: [{{address: {address}}}]"), format!("admin: {{address: {address}}}")] {
        let output = Setup::new(NOWHERE).with(&yaml).fail();
        assert_eq!(output.status.code(), Some(1), "{yaml}");
        assert!(stderr(&output).contains(&format!("cannot listen on [{address}]")), "{}", stderr(&output));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_gateways_do_not_share_a_port() {
    let process = Setup::new(&Server::start().url()).serve();
    let output = Setup::new(NOWHERE).with(&format!("listeners: [{{address: {}}}]", process.address())).fail();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
}

#[test]
fn wrong_usage_is_2() {
    for arguments in [&["frobnicate"][..], &["serve", "--password", "x"], &["completions", "klingon"], &[]] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", stderr(&output));
        assert!(!stderr(&output).is_empty());
    }
    assert_eq!(run(&["--help"]).status.code(), Some(0));
    assert!(stdout(&run(&["--version"])).starts_with("searchgate "));
}

#[test]
fn the_schema_is_one() {
    let schema: serde_json::Value = serde_json::from_slice(&run(&["schema"]).stdout).unwrap();
    assert!(schema["properties"]["listeners"].is_object());
}

#[test]
fn a_master_key_is_32_fresh_bytes() {
    use base64::Engine as _;

    let (first, second) = (run(&["secret", "generate"]), run(&["secret", "generate"]));
    assert_ne!(first.stdout, second.stdout);
    assert_eq!(base64::engine::general_purpose::STANDARD.decode(stdout(&first).trim()).unwrap().len(), 32);
}

#[test]
fn a_password_is_hashed_from_standard_input() {
    let mut child = searchgate().arg("hash-password").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"secret\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert!(stdout(&output).starts_with("$argon2id$") && stdout(&output).ends_with('\n'), "{}", stdout(&output));
}

#[test]
fn a_shell_takes_its_completions() {
    let script = run(&["completions", "bash"]);
    assert!(Command::new("bash").args(["-n", "-c", stdout(&script)]).status().unwrap().success());
    assert!(stdout(&script).contains("hash-password"));
}

#[test]
fn output_that_nobody_reads_does_not_panic() {
    let mut child = searchgate().arg("schema").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(!stderr(&output).contains("panicked"), "{}", stderr(&output));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_can_ask_wait_and_shut_down() {
    let mut process = Setup::new(&Server::start().url()).serve();
    assert!(process.operator(&["wait", "--max", "30s"]).status.success());
    assert!(process.operator(&["healthcheck"]).status.success());
    assert!(process.operator(&["shutdown"]).status.success());
    assert_eq!(process.running.end().code(), Some(0));
    let output = process.operator(&["healthcheck"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("cannot connect"), "{}", stderr(&output));
    assert_eq!(process.operator(&["wait", "--max", "200ms"]).status.code(), Some(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_admin_listener_tells_health_metrics_and_status() {
    let process = Setup::new(&Server::start().url()).serve();
    for path in ["/livez", "/healthz", "/-/healthy", "/readyz", "/-/ready", "/startupz"] {
        assert_eq!(process.admin(Method::GET, path, "").await.status, 200, "{path}");
    }
    assert_eq!(process.client().await.get("/logs/_count", &basic("elastic", PASSWORD)).await.status, 200);
    let metrics = process.admin(Method::GET, "/metrics", "").await;
    let named = |line: &&str| !line.is_empty() && !line.starts_with('#') && !line.starts_with("searchgate_");
    assert_eq!(metrics.text().lines().find(named), None);
    let status = process.admin(Method::GET, "/status", "").await.json();
    assert_eq!(status["upstream"]["product"], "elasticsearch");
    assert_eq!(status["upstream"]["hosts"][0]["healthy"], true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_admin_paths_are_not_on_a_data_listener() {
    let server = Server::start();
    let process = Setup::new(&server.url()).serve();
    assert_eq!(process.send(crate::support::client::request(Method::GET, "/readyz", &[])).await.status, 401);
}

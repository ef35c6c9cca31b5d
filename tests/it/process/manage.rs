//! `users`, `keys` and `migrations`: on a running gateway, and on the store of one that is down.

use std::{
    fs,
    io::Write as _,
    process::{Command, Output, Stdio},
};

use serde_json::Value;

use crate::support::{
    process::{PASSWORD, Process, Setup, searchgate, until},
    server::Server,
};

const SECRET: &str = "a-secret-of-jack";

/// Runs a command, with a line on its standard input.
fn run(mut command: Command, input: &str) -> Output {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A command that reads nothing may have ended already.
    let _unread = writeln!(child.stdin.take().unwrap(), "{input}");
    child.wait_with_output().unwrap()
}

/// A command to the running gateway.
fn remote(process: &Process, password: &str, arguments: &[&str]) -> Command {
    let mut command = searchgate();
    command.args(&arguments[..1]).args(["--url", &format!("http://{}", process.address()), "--user", "elastic"]);
    command.args(&arguments[1..]).env("SEARCHGATE_PASSWORD", password);
    command
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_of_a_running_gateway_are_added_listed_and_removed() {
    let process = Setup::new(&Server::start().url()).serve();
    let ask = |arguments: &[&str], input| run(remote(&process, PASSWORD, arguments), input);
    assert_eq!(stdout(&ask(&["users", "add", "jack", "--role", "superuser"], SECRET)), "added: jack\n");
    let list = stdout(&ask(&["users", "list"], ""));
    let jack = list.lines().find(|line| line.starts_with("jack ")).unwrap_or_default();
    assert!(list.starts_with("NAME ") && jack.split_whitespace().eq(["jack", "true", "superuser"]), "{list}");
    let again = ask(&["users", "add", "jack"], SECRET);
    assert_eq!((again.status.code(), stderr(&again)), (Some(1), "searchgate: there is a user [jack] already\n".into()));
    assert_eq!(stdout(&ask(&["users", "remove", "jack"], "")), "removed: jack\n");
    let absent = ask(&["users", "remove", "jack"], "");
    assert_eq!((absent.status.code(), stderr(&absent)), (Some(1), "searchgate: there is no user [jack]\n".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_printed_once_and_works_until_it_is_revoked() {
    let process = Setup::new(&Server::start().url()).serve();
    let ask = |arguments: &[&str]| run(remote(&process, PASSWORD, arguments), "");
    let created = stdout(&ask(&["keys", "--output", "json", "create", "--name", "k", "--expiration", "30d"]));
    let created: Value = serde_json::from_str(&created).unwrap();
    let (id, encoded) = (created["id"].as_str().unwrap(), created["encoded"].as_str().unwrap());
    let file = process.setup.path("key");
    fs::write(&file, format!("{encoded}\n")).unwrap();
    let show = || {
        let mut command = searchgate();
        command.args(["keys", "--url", &format!("http://{}", process.address()), "--api-key-file"]);
        run(
            {
                command.arg(&file).args(["show", id]);
                command
            },
            "",
        )
    };
    let shown = stdout(&ask(&["keys", "show", id]));
    assert!(shown.contains("name: k\n") && !shown.contains(encoded), "{shown}");
    assert_eq!(stdout(&ask(&["keys", "revoke", id])), format!("revoked: {id}\n"));
    let refused = show();
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("401") && !stderr(&refused).contains(encoded), "{}", stderr(&refused));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_1_and_is_not_repeated() {
    let process = Setup::new(&Server::start().url()).serve();
    let output = run(remote(&process, "not-the-password", &["users", "list"]), "");
    assert_eq!(output.status.code(), Some(1));
    let error = stderr(&output);
    assert!(error.contains("unable to authenticate user [elastic]") && !error.contains("not-the-password"), "{error}");
}

#[test]
fn wrong_usage_is_2() {
    for arguments in [
        &["users"][..],
        &["users", "add", "jack", "--password", "x"],
        &["users", "--url", "http://h", "--config", "f", "list"],
        &["keys", "revoke"],
        &["keys", "revoke", "id", "--name", "k"],
        &["keys", "--api-key", "x", "list"],
    ] {
        let output = searchgate().args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", stderr(&output));
    }
}

#[test]
fn nobody_to_ask_as_is_1() {
    let output = run(
        {
            let mut command = searchgate();
            command.args(["users", "list"]);
            command
        },
        "",
    );
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("--user or --api-key-file"), "{}", stderr(&output));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_done_on_the_store_holds_when_the_gateway_is_up_again() {
    let setup = Setup::new(&Server::start().url());
    let ask = |command: &str, arguments: &[&str], input| {
        let mut command = setup.command(command);
        command.args(arguments);
        run(command, input)
    };
    assert_eq!(stdout(&ask("migrations", &["status"], "")), "schema 0 of 2, 2 pending\n");
    assert_eq!(stdout(&ask("migrations", &["run"], "")), "schema 2 of 2, 0 pending\n");
    assert_eq!(stdout(&ask("migrations", &["list"], "")), "VERSION  STATE\n1        applied\n");
    assert_eq!(stdout(&ask("users", &["add", "jack", "--role", "superuser"], SECRET)), "added: jack\n");
    // The rules are those of the API.
    let bad = ask("users", &["add", "jill"], "short");
    assert_eq!(bad.status.code(), Some(1));
    assert!(stderr(&bad).contains("400"), "{}", stderr(&bad));
    let process = setup.serve();
    let mut command = searchgate();
    command.args([
        "users",
        "--url",
        &format!("http://{}", process.address()),
        "--user",
        "jack",
        "--password-file",
        "-",
    ]);
    let list = run(
        {
            command.arg("list");
            command
        },
        SECRET,
    );
    assert!(stdout(&list).contains("\njack "));
    process.audited("put_user", |event| event["event.action"] == "put_user");
}

#[test]
fn no_secret_is_an_argument() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut command = searchgate();
    command.args(["users", "--url", &format!("http://{}", listener.local_addr().unwrap()), "--user", "elastic"]);
    let mut child = command.arg("list").env("SEARCHGATE_PASSWORD", SECRET).spawn().unwrap();
    // It waits for an answer with the password in hand.
    let _asked = listener.accept().unwrap();
    let line = until("a command line", || fs::read(format!("/proc/{}/cmdline", child.id())).ok());
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!String::from_utf8_lossy(&line).contains(SECRET));
}

//! `searchgate demo`: what it prints can be pasted, and does what it says.

use std::{
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;

use crate::support::{
    process::{Running, searchgate},
    server::Server,
};

fn start(arguments: &[&str]) -> Running {
    let mut command = searchgate();
    command.arg("demo").args(arguments);
    Running::start(command)
}

/// Runs all commands in one shell, as somebody would who pastes them; what each of them printed.
fn paste(text: &str) -> Vec<String> {
    const MARK: &str = "--- next ---";
    let (_, commands) = text.split_once("Paste these one after the other.").unwrap();
    let script: Vec<_> = commands.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let script = script.join(&format!("\necho '{MARK}'\n"));
    let Output { status, stdout, stderr } = Command::new("bash").args(["-c", &script]).output().unwrap();
    assert!(status.success() && stderr.is_empty(), "{}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).unwrap().split(MARK).map(|answer| answer.trim().to_owned()).collect()
}

fn authority(text: &str) -> &Path {
    Path::new(text.lines().find_map(|line| line.trim().strip_prefix("CA")).unwrap().trim())
}

/// In one test: two demos that start at the same time could want the same port.
#[test]
fn the_commands_do_what_they_say_before_either_cluster() {
    before_its_own_cluster();
    before_a_real_cluster();
}

fn before_its_own_cluster() {
    let mut demo = start(&[]);
    demo.stdout.wait_for("the fifth command", |line| line.starts_with("curl") && line.contains(" -i "));
    let text = demo.stdout.text();
    let answers = paste(&text);
    let [key, indexed, found, revoked, refused] = <[String; 5]>::try_from(answers).unwrap();
    assert_eq!(key, "");
    assert_eq!(serde_json::from_str::<Value>(&indexed).unwrap()["result"], "created");
    assert_eq!(serde_json::from_str::<Value>(&found).unwrap()["hits"]["total"]["value"], 1);
    let revoked: Value = serde_json::from_str(&revoked).unwrap();
    assert_eq!(revoked["invalidated_api_keys"].as_array().unwrap().len(), 1);
    assert!(refused.starts_with("HTTP/2 401") || refused.starts_with("HTTP/1.1 401"), "{refused}");
    assert!(refused.contains("x-auth-reason: key_invalidated"), "{refused}");

    assert!(authority(&text).exists());
    demo.signal("INT");
    assert_eq!(demo.end().code(), Some(0));
    assert!(!authority(&text).exists(), "the folder is gone");
    let log = demo.stderr.whole();
    assert!(log.lines().all(|line| line.contains("request finished")), "{log}");
}

fn before_a_real_cluster() {
    let server = Server::start();
    let demo = start(&["--upstream", &server.url()]);
    demo.stdout.wait_for("the fifth command", |line| line.starts_with("curl") && line.contains(" -i "));
    let answers = paste(&demo.stdout.text());
    assert!(answers[2].contains("received"), "{answers:?}");
    assert!(server.seen().iter().any(|(target, _)| target == "/books/_doc?refresh=true"));
}

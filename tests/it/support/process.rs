//! The real binary: a configuration in a folder of its own, ports that the system picks, its output collected, killed
//! when the test is over.

mod client;
mod running;

use std::{
    fs,
    io::Write as _,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::Instant;

pub(crate) use self::{
    client::{Client, basic, elastic},
    running::Running,
};
use crate::support::client::{Answer, with_body};

/// The first password of `elastic`.
pub(crate) const PASSWORD: &str = "first-password-of-elastic";

/// How long anything may take that should take no time: these machines are busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A configuration that is not run yet; later texts override keys of earlier ones.
pub(crate) struct Setup {
    folder: TempDir,
    files: Vec<PathBuf>,
    environment: Vec<(String, String)>,
}

impl Setup {
    /// One listener in plain text in front of `upstream`, SQLite, audit to a file.
    pub(crate) fn new(upstream: &str) -> Self {
        let setup = Self { folder: tempfile::tempdir().unwrap(), files: Vec::new(), environment: Vec::new() };
        setup.with(&format!(
            "listeners: [{{address: 127.0.0.1:0}}]\nadmin: {{address: 127.0.0.1:0}}\nupstream: {{hosts: ['{upstream}']}}\n\
             store: {{url: 'sqlite:DIR/gate.db'}}\nlogging: {{format: json, audit: DIR/audit.json}}\n"
        ))
        .environment("SEARCHGATE_BOOTSTRAP_PASSWORD", PASSWORD)
    }

    /// Adds a file of configuration; `DIR` in it is the folder.
    pub(crate) fn with(mut self, yaml: &str) -> Self {
        let file = self.path(&format!("{}.yml", self.files.len()));
        fs::write(&file, yaml.replace("DIR", self.folder.path().to_str().unwrap())).unwrap();
        self.files.push(file);
        self
    }

    /// Adds a file that the configuration may name.
    pub(crate) fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        fs::write(self.path(name), content).unwrap();
        self
    }

    pub(crate) fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn without_environment(mut self) -> Self {
        self.environment.clear();
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A command of the binary with this configuration.
    pub(crate) fn command(&self, name: &str) -> Command {
        let mut command = searchgate();
        command.arg(name).current_dir(self.folder.path()).envs(self.environment.iter().cloned());
        for file in &self.files {
            command.arg("--config").arg(file);
        }
        command
    }

    /// Runs `serve` until it serves.
    pub(crate) fn serve(self) -> Process {
        let (running, addresses, admin) = Running::serve(self.command("serve"));
        Process { setup: self, running, addresses, admin }
    }

    /// Runs `serve` that must not succeed.
    pub(crate) fn fail(&self) -> Output {
        self.command("serve").output().unwrap()
    }
}

/// The binary without anything of the environment that would configure it.
pub(crate) fn searchgate() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_searchgate"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("SEARCHGATE_")) {
        command.env_remove(name);
    }
    command.env("SEARCHGATE_THREADS", "2");
    command
}

/// Asks again and again until there is an answer.
#[expect(clippy::disallowed_methods, reason = "this thread serves nobody: the runtime of a test has others")]
pub(crate) fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "no {what} in time");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// `searchgate serve`, serving.
pub(crate) struct Process {
    pub(crate) setup: Setup,
    pub(crate) running: Running,
    pub(crate) addresses: Vec<String>,
    pub(crate) admin: SocketAddr,
}

impl Process {
    /// Its first listener.
    pub(crate) fn address(&self) -> SocketAddr {
        self.addresses[0].parse().unwrap()
    }

    /// Starts it again on what the last one left behind.
    pub(crate) fn again(self) -> Self {
        let Self { setup, running, .. } = self;
        drop(running);
        setup.serve()
    }

    /// Runs a small command against its admin listener.
    pub(crate) fn operator(&self, arguments: &[&str]) -> Output {
        searchgate().args(arguments).args(["--admin", &format!("http://{}", self.admin)]).output().unwrap()
    }

    /// What its admin listener answers.
    pub(crate) async fn admin(&self, method: Method, target: &str, body: &str) -> Answer {
        let mut client = Client::tcp(self.admin).await;
        client.send(with_body(method, target, &[("host", &self.admin.to_string())], body)).await.unwrap()
    }

    pub(crate) fn audit(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.setup.path("audit.json")).unwrap_or_default();
        // The last line may be under way.
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The first audit event that `matches`, once it is there.
    pub(crate) fn audited(&self, what: &str, matches: impl Fn(&Value) -> bool) -> Value {
        until(what, || self.audit().into_iter().find(|event| matches(event)))
    }

    pub(crate) async fn client(&self) -> Client {
        Client::tcp(self.address()).await
    }

    /// Sends one request over a connection of its own.
    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        self.client().await.send(request).await.unwrap()
    }

    /// Creates an API key of `elastic`: its id, and the value of its `Authorization`.
    pub(crate) async fn key(&self, name: &str) -> (String, String) {
        self.client().await.key(name).await
    }
}

/// Writes a file as those who mount secrets do: the new one takes the place of the old one at once.
pub(crate) fn replace(path: &Path, content: impl AsRef<[u8]>) {
    let new = path.with_extension("new");
    let mut file = fs::File::create(&new).unwrap();
    file.write_all(content.as_ref()).unwrap();
    fs::rename(new, path).unwrap();
}

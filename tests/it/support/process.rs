//! The real binary: a configuration in a folder of its own, ports that the system picks, its output collected, killed
//! when the test is over.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write as _},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{Arc, Condvar, Mutex},
    thread::JoinHandle,
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{Method, Request};
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::Instant;

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

/// A child whose output is collected.
pub(crate) struct Running {
    child: Child,
    pub(crate) stdout: Lines,
    pub(crate) stderr: Lines,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (stdout, stderr) = (Lines::of(child.stdout.take().unwrap()), Lines::of(child.stderr.take().unwrap()));
        Self { child, stdout, stderr }
    }

    fn serve(command: Command) -> (Self, Vec<String>, SocketAddr) {
        let running = Self::start(command);
        let line = running.stderr.wait_for("searchgate serves", |line| line.contains("searchgate serves"));
        let line: Value = serde_json::from_str(&line).unwrap();
        let addresses = line["listeners"].as_str().unwrap().split(", ").map(str::to_owned).collect();
        (running, addresses, line["admin"].as_str().unwrap().parse().unwrap())
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = rustix::process::Pid::from_child(&self.child);
        let signal = match name {
            "HUP" => rustix::process::Signal::HUP,
            "KILL" => rustix::process::Signal::KILL,
            "TERM" => rustix::process::Signal::TERM,
            "INT" => rustix::process::Signal::INT,
            "USR1" => rustix::process::Signal::USR1,
            _ => unreachable!("no such signal: {name}"),
        };
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Waits for the end.
    pub(crate) fn end(&mut self) -> ExitStatus {
        until("the end of the process", || self.child.try_wait().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _killed = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// What a child has printed so far.
#[derive(Clone)]
pub(crate) struct Lines(Arc<(Mutex<Printed>, Condvar)>);

#[derive(Default)]
struct Printed {
    lines: Vec<String>,
    closed: bool,
}

impl Lines {
    fn of(output: impl Read + Send + 'static) -> Self {
        let lines = Self(Arc::default());
        let shared = lines.clone();
        let _collector: JoinHandle<()> = std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                shared.0.0.lock().unwrap().lines.push(line);
                shared.0.1.notify_all();
            }
            shared.0.0.lock().unwrap().closed = true;
            shared.0.1.notify_all();
        });
        lines
    }

    pub(crate) fn count(&self) -> usize {
        self.0.0.lock().unwrap().lines.len()
    }

    pub(crate) fn text(&self) -> String {
        self.0.0.lock().unwrap().lines.join("\n")
    }

    /// The first line that `matches`, once it is there.
    pub(crate) fn wait_for(&self, what: &str, matches: impl Fn(&str) -> bool) -> String {
        self.wait_after(0, what, matches)
    }

    /// The same, not looking at the first `skip` lines.
    pub(crate) fn wait_after(&self, skip: usize, what: &str, matches: impl Fn(&str) -> bool) -> String {
        let mut printed = self.0.0.lock().unwrap();
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(line) = printed.lines.iter().skip(skip).find(|line| matches(line)) {
                return line.clone();
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!printed.closed && !left.is_zero(), "no {what} in:\n{}", printed.lines.join("\n"));
            printed = self.0.1.wait_timeout(printed, left).unwrap().0;
        }
    }

    /// All of it, once the child has closed it.
    pub(crate) fn whole(&self) -> String {
        let mut printed = self.0.0.lock().unwrap();
        while !printed.closed {
            printed = self.0.1.wait(printed).unwrap();
        }
        printed.lines.join("\n")
    }
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
    pub(crate) async fn send(&self, request: Request<http_body_util::Full<bytes::Bytes>>) -> Answer {
        self.client().await.send(request).await.unwrap()
    }

    /// Creates an API key of `elastic`: its id, and the value of its `Authorization`.
    pub(crate) async fn key(&self, name: &str) -> (String, String) {
        self.client().await.key(name).await
    }
}

/// The `Authorization` of `elastic`.
pub(crate) fn elastic() -> String {
    basic("elastic", PASSWORD)
}

pub(crate) fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// A connection.
pub(crate) struct Client {
    sender: hyper::client::conn::http1::SendRequest<http_body_util::Full<bytes::Bytes>>,
}

impl Client {
    pub(crate) async fn tcp(address: SocketAddr) -> Self {
        Self::over(tokio::net::TcpStream::connect(address).await.unwrap()).await
    }

    pub(crate) async fn over<T>(stream: T) -> Self
    where
        T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) =
            hyper::client::conn::http1::handshake(hyper_util::rt::TokioIo::new(stream)).await.unwrap();
        // What a request makes of a broken connection is asserted there.
        tokio::spawn(async move { drop(connection.await) });
        Self { sender }
    }

    /// Sends a request and reads its whole answer.
    pub(crate) async fn send(&mut self, request: Request<http_body_util::Full<bytes::Bytes>>) -> hyper::Result<Answer> {
        use http_body_util::BodyExt as _;

        self.sender.ready().await?;
        let (parts, body) = self.sender.send_request(request).await?.into_parts();
        let collected = body.collect().await?;
        let trailers = collected.trailers().cloned();
        Ok(Answer { status: parts.status, headers: parts.headers, body: collected.to_bytes(), trailers })
    }

    /// Sends a request without body.
    pub(crate) async fn get(&mut self, target: &str, authorization: &str) -> Answer {
        self.send(with_body(Method::GET, target, &[("authorization", authorization)], "")).await.unwrap()
    }

    pub(crate) async fn key(&mut self, name: &str) -> (String, String) {
        let body = format!(r#"{{"name":"{name}"}}"#);
        let headers = [("authorization", &*elastic()), ("content-type", "application/json")];
        let answer = self.send(with_body(Method::POST, "/_security/api_key", &headers, &body)).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        let key = answer.json();
        (key["id"].as_str().unwrap().to_owned(), format!("ApiKey {}", key["encoded"].as_str().unwrap()))
    }

    /// Whether the other side has closed, or is about to.
    pub(crate) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }
}

/// Writes a file as those who mount secrets do: the new one takes the place of the old one at once.
pub(crate) fn replace(path: &Path, content: impl AsRef<[u8]>) {
    let new = path.with_extension("new");
    let mut file = fs::File::create(&new).unwrap();
    file.write_all(content.as_ref()).unwrap();
    fs::rename(new, path).unwrap();
}

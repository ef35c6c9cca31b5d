//! A child process, and what it prints.

use std::{
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Condvar, Mutex},
    thread::JoinHandle,
};

use serde_json::Value;
use tokio::time::Instant;

use crate::support::process::{PATIENCE, until};

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

    /// Runs `serve` until it serves: its listeners, and its admin listener.
    pub(super) fn serve(command: Command) -> (Self, Vec<String>, SocketAddr) {
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

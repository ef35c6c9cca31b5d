//! The real binary on loopback sockets: what operators and process managers see of it.

mod audit;
mod canary;
mod commands;
mod demo;
mod drain;
mod kill;
mod listeners;
mod manage;
mod memory;
mod oauth2;
mod realms;
mod reload;

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use http::Method;

use crate::support::{
    client::request,
    process::{Client, until},
    server::Server,
};

/// Whether the long form of a test is wanted.
fn full() -> bool {
    std::env::var_os("SEARCHGATE_TEST_FULL").is_some()
}

/// Connections that send one request after the other, each answer checked.
struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    workers: Vec<tokio::task::JoinHandle<Ended>>,
}

/// How a worker's connection ended.
#[derive(Debug, Eq, PartialEq)]
enum Ended {
    /// It was told to stop.
    Stopped,
    /// The gateway closed between two requests, or before this one had been read.
    Closed,
    /// A request that reached the cluster was not answered.
    Lost(String),
}

impl Load {
    /// One worker for each of `clients`.
    fn start(clients: Vec<Client>, authorization: &str, server: &Server) -> Self {
        let (stop, answered) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let workers = clients.into_iter().enumerate().map(|(number, client)| {
            let (stop, answered, server) = (Arc::clone(&stop), Arc::clone(&answered), server.clone());
            tokio::spawn(work(client, number, authorization.to_owned(), stop, answered, server))
        });
        Self { workers: workers.collect(), stop, answered }
    }

    /// Returns once `count` more requests were answered.
    fn wait(&self, count: usize) {
        let enough = self.answered.load(Ordering::Relaxed) + count;
        until("more answers", || (self.answered.load(Ordering::Relaxed) >= enough).then_some(()));
    }

    async fn ended(self) -> Vec<Ended> {
        let mut ended = Vec::new();
        for worker in self.workers {
            ended.push(worker.await.unwrap());
        }
        ended
    }

    async fn stop(self) -> Vec<Ended> {
        self.stop.store(true, Ordering::Relaxed);
        self.ended().await
    }
}

async fn work(
    mut client: Client,
    number: usize,
    authorization: String,
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    server: Server,
) -> Ended {
    for turn in 0_usize.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        if client.is_closed() {
            return Ended::Closed;
        }
        let word = format!("w{number}t{turn}");
        let path = format!("/echo/{word}");
        match client.send(request(Method::GET, &path, &[("authorization", &authorization)])).await {
            Ok(answer) if answer.status == 200 && answer.text() == word.repeat(1000) => {
                answered.fetch_add(1, Ordering::Relaxed);
            }
            Ok(answer) => return Ended::Lost(format!("{path}: {} {}", answer.status, answer.text())),
            Err(error) if server.seen().iter().any(|(target, _)| *target == path) => {
                return Ended::Lost(format!("{path}: {error:?}"));
            }
            Err(_) => return Ended::Closed,
        }
    }
    Ended::Stopped
}

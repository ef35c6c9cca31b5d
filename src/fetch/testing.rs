//! A web server on loopback for tests: says what it is told to, and remembers what it was asked.

use std::{
    collections::VecDeque,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener},
    sync::Arc,
};

use parking_lot::Mutex;

/// The server; ends with the test's process.
pub struct Server {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// Said once each, in this order.
    script: VecDeque<String>,
    /// Said when the script is at its end.
    otherwise: String,
    seen: Vec<Seen>,
}

/// A request as the server read it.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Its first line.
    pub first: String,
    headers: Vec<(String, String)>,
    /// Its body.
    pub body: String,
}

impl Seen {
    fn read(stream: &std::net::TcpStream) -> Option<Self> {
        let mut reader = BufReader::new(stream);
        let mut head = reader.by_ref().lines().map_while(Result::ok).take_while(|line| !line.is_empty());
        let first = head.next()?;
        let headers: Vec<_> = head
            .filter_map(|line| line.split_once(':').map(|(name, value)| (name.to_lowercase(), value.trim().to_owned())))
            .collect();
        let mut seen = Self { first, headers, body: String::new() };
        let length = seen.header("content-length").map_or(0, |length| length.parse().unwrap());
        reader.take(length).read_to_string(&mut seen.body).ok()?;
        Some(seen)
    }

    /// The value of a header, by its name in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}

impl Server {
    /// One that breaks every connection until it is told what to say.
    #[must_use]
    pub fn start() -> Self {
        Self::at("127.0.0.1:0")
    }

    /// The same, at an address.
    ///
    /// # Panics
    ///
    /// When it is taken.
    #[must_use]
    pub fn at(address: &str) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::<Mutex<State>>::default();
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let Some(seen) = Seen::read(&stream) else { continue };
                let answer = {
                    let mut state = shared.lock();
                    state.seen.push(seen);
                    state.script.pop_front().unwrap_or_else(|| state.otherwise.clone())
                };
                // A client that hangs up early is what some tests are about.
                let _sent = stream.write_all(answer.as_bytes());
            }
        });
        Self { address, state }
    }

    /// A URL of this server.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// What it says from now on.
    pub fn answer(&self, status: &str, body: &str) {
        self.answer_raw(&whole(status, body));
    }

    /// The same, byte by byte.
    pub fn answer_raw(&self, answer: &str) {
        answer.clone_into(&mut self.state.lock().otherwise);
    }

    /// What it says next, before anything else.
    pub fn then(&self, status: &str, body: &str) {
        self.state.lock().script.push_back(whole(status, body));
    }

    /// All requests so far.
    #[must_use]
    pub fn requests(&self) -> Vec<Seen> {
        self.state.lock().seen.clone()
    }

    /// First lines of all requests so far.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        self.requests().into_iter().map(|seen| seen.first).collect()
    }
}

fn whole(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

//! A token endpoint that can be away, and a cluster that takes its tokens only while they live.

use std::{
    collections::HashSet,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::time::Instant;

/// The cluster, and what the endpoint has granted. Ends with the test's process.
#[derive(Clone)]
pub(crate) struct Issuer {
    cluster: SocketAddr,
    endpoint: SocketAddr,
    state: Arc<Mutex<State>>,
}

struct State {
    life: Duration,
    /// Whether each grant comes with a refresh token, which is good once.
    rotates: bool,
    live: Vec<(String, Instant)>,
    good: HashSet<String>,
    granted: usize,
    /// Requests that the cluster answered 401.
    refused: usize,
    /// Grants that were refused.
    denied: usize,
    asked: Vec<Asked>,
}

/// What the endpoint was asked.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) content_type: String,
    pub(crate) authorization: String,
    pub(crate) body: String,
}

impl Issuer {
    /// A cluster whose endpoint is away. Tokens will live so long.
    pub(crate) fn away(life: Duration) -> Self {
        let state = State {
            life,
            rotates: false,
            live: Vec::new(),
            good: HashSet::new(),
            granted: 0,
            refused: 0,
            denied: 0,
            asked: Vec::new(),
        };
        let state = Arc::new(Mutex::new(state));
        let cluster = serve(TcpListener::bind("127.0.0.1:0").unwrap(), {
            let state = Arc::clone(&state);
            move |asked, _| state.lock().unwrap().search(&asked)
        });
        // Bound and left, so that nobody listens there.
        let endpoint = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        Self { cluster, endpoint, state }
    }

    /// The endpoint takes connections from now on.
    pub(crate) fn arrive(&self) {
        let state = Arc::clone(&self.state);
        serve(TcpListener::bind(self.endpoint).unwrap(), move |asked, _| state.lock().unwrap().grant(asked));
    }

    /// Each grant comes with a refresh token, of which `first` is the first.
    pub(crate) fn rotating(self, first: &str) -> Self {
        {
            let mut state = self.state.lock().unwrap();
            state.rotates = true;
            state.good.insert(first.to_owned());
        }
        self
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.cluster)
    }

    pub(crate) fn token_url(&self) -> String {
        format!("http://{}/token", self.endpoint)
    }

    /// Grants, grants that were denied, requests that the cluster refused.
    pub(crate) fn counts(&self) -> (usize, usize, usize) {
        let state = self.state.lock().unwrap();
        (state.granted, state.denied, state.refused)
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.state.lock().unwrap().asked.clone()
    }

    /// Every token is dead at once, as after a revocation.
    pub(crate) fn revoke(&self) {
        self.state.lock().unwrap().live.clear();
    }
}

impl State {
    fn search(&mut self, asked: &Asked) -> (u16, String) {
        let now = Instant::now();
        self.live.retain(|(_, end)| *end > now);
        let token = asked.authorization.strip_prefix("Bearer ").unwrap_or_default();
        if self.live.iter().any(|(live, _)| live == token) {
            (200, r#"{"version":{"number":"8.19.21"},"tagline":"You Know, for Search"}"#.into())
        } else {
            self.refused += usize::from(!asked.authorization.is_empty()); // probes come without, before the first token
            (401, r#"{"error":{"type":"security_exception","reason":"token expired"},"status":401}"#.into())
        }
    }

    fn grant(&mut self, asked: Asked) -> (u16, String) {
        let refresh = asked.body.split(['&', '"', '=', ':', ',', '{', '}']).find(|part| part.starts_with("refresh-"));
        let refreshes = refresh.map(str::to_owned);
        let good =
            refreshes.as_ref().map_or(asked.body.contains("client_credentials"), |token| self.good.remove(token));
        self.asked.push(asked);
        if !good {
            self.denied += 1;
            return (400, r#"{"error":"invalid_grant"}"#.into());
        }
        self.granted += 1;
        let token = format!("canary-access-{}", self.granted);
        self.live.push((token.clone(), Instant::now() + self.life));
        let mut answer =
            serde_json::json!({"access_token": token, "token_type": "Bearer", "expires_in": self.life.as_secs()});
        if self.rotates {
            let next = format!("refresh-canary-{}", self.granted);
            answer["refresh_token"] = next.clone().into();
            self.good.insert(next);
        }
        (200, answer.to_string())
    }
}

/// Answers each connection once, in a thread of its own.
fn serve(
    listener: TcpListener,
    answer: impl Fn(Asked, SocketAddr) -> (u16, String) + Send + Sync + 'static,
) -> SocketAddr {
    let address = listener.local_addr().unwrap();
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, answer) = (stream.unwrap(), Arc::clone(&answer));
            std::thread::spawn(move || {
                let Some(asked) = read(&stream) else { return };
                let (status, body) = answer(asked, address);
                // The client may be gone.
                let _sent = write!(
                    stream,
                    "HTTP/1.1 {status} Whatever\r\nconnection: close\r\ncontent-type: application/json\r\n\
                     x-elastic-product: Elasticsearch\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                );
            });
        }
    });
    address
}

fn read(stream: &TcpStream) -> Option<Asked> {
    let mut reader = BufReader::new(stream);
    let head: Vec<String> = reader.by_ref().lines().map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
    head.first()?;
    let header = |name: &str| {
        let line = head.iter().find(|line| line.to_lowercase().starts_with(&format!("{name}:")));
        line.map_or(String::new(), |line| line[name.len() + 1..].trim().to_owned())
    };
    let mut body = String::new();
    let length = header("content-length").parse().unwrap_or(0);
    reader.take(length).read_to_string(&mut body).ok()?;
    Some(Asked { content_type: header("content-type"), authorization: header("authorization"), body })
}

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// A process that is well unless a test says otherwise.
#[derive(Debug)]
struct Process {
    started: bool,
    problem: Option<String>,
    stuck: bool,
    level: Mutex<String>,
    stopped: AtomicBool,
}

impl Default for Process {
    fn default() -> Self {
        Self {
            started: true,
            problem: None,
            stuck: false,
            level: Mutex::new("info".to_owned()),
            stopped: AtomicBool::default(),
        }
    }
}

impl View for Process {
    fn started(&self) -> bool {
        self.started
    }

    async fn checks(&self) -> Vec<Check> {
        if self.stuck {
            std::future::pending::<()>().await;
        }
        vec![Check { name: "store", problem: self.problem.clone() }]
    }

    async fn status(&self) -> Value {
        serde_json::json!({"version": "1.2.3"})
    }

    fn log_level(&self) -> String {
        self.level.lock().clone()
    }

    fn set_log_level(&self, level: &str) -> Result<(), String> {
        if level != "debug" {
            return Err(format!("`{level}` is not a log level"));
        }
        level.clone_into(&mut self.level.lock());
        Ok(())
    }

    fn shutdown(&self) {
        self.stopped.store(true, Relaxed);
    }
}

fn admin(process: Process) -> Admin<Process> {
    Admin { view: Arc::new(process), metrics: Metrics::new(&[]) }
}

fn request(method: &str, target: &str, body: &'static str) -> Request<Full<Bytes>> {
    Request::builder().method(method).uri(target).header("host", "127.0.0.1:9600").body(Full::from(body)).unwrap()
}

async fn send(admin: &Admin<Process>, request: Request<Full<Bytes>>) -> (u16, String) {
    let (parts, body) = admin.answer(request, HERE).await.into_parts();
    (parts.status.as_u16(), String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap())
}

async fn get(process: Process, target: &str) -> (u16, String) {
    send(&admin(process), request("GET", target, "")).await
}

fn unwell() -> Process {
    Process { problem: Some("cannot be opened".to_owned()), ..Process::default() }
}

#[tokio::test]
async fn a_process_that_is_well_says_so_on_every_path() {
    for path in ["/livez", "/readyz", "/startupz", "/healthz", "/-/healthy", "/-/ready", "/readyz?verbose"] {
        assert_eq!(get(Process::default(), path).await.0, 200, "{path}");
    }
}

#[tokio::test]
async fn a_failed_check_makes_it_unready_but_not_dead() {
    for (path, status) in [("/livez", 200), ("/healthz", 200), ("/startupz", 200), ("/readyz", 503), ("/-/ready", 503)]
    {
        assert_eq!(get(unwell(), path).await.0, status, "{path}");
    }
}

#[tokio::test]
async fn a_process_that_still_starts_is_alive_only() {
    for (path, status) in [("/livez", 200), ("/startupz", 503), ("/readyz", 503)] {
        assert_eq!(get(Process { started: false, ..Process::default() }, path).await.0, status, "{path}");
    }
}

#[tokio::test]
async fn only_verbose_lists_the_checks() {
    assert_eq!(get(unwell(), "/readyz").await.1, "readyz failed\n");
    let (_, body) = get(unwell(), "/readyz?verbose").await;
    assert_eq!(body, "[+] startup\n[-] store: cannot be opened\nreadyz failed\n");
}

#[tokio::test(start_paused = true)]
async fn a_check_that_does_not_answer_has_failed() {
    let (status, body) = get(Process { stuck: true, ..Process::default() }, "/readyz?verbose").await;
    assert_eq!(status, 503);
    assert!(body.contains("[-] checks: no answer in time"), "{body}");
}

#[tokio::test]
async fn metrics_are_prometheus_text() {
    let answer = admin(Process::default()).answer(request("GET", "/metrics", ""), HERE).await;
    assert_eq!(answer.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert!(body.starts_with(b"# HELP searchgate_"));
}

#[tokio::test]
async fn the_status_is_json() {
    let (status, body) = get(Process::default(), "/status").await;
    assert_eq!((status, body.as_str()), (200, r#"{"version":"1.2.3"}"#));
}

#[tokio::test]
async fn the_log_level_is_read_and_set() {
    let admin = admin(Process::default());
    assert_eq!(send(&admin, request("GET", "/loglevel", "")).await, (200, "info\n".to_owned()));
    assert_eq!(send(&admin, request("PUT", "/loglevel", "debug\n")).await, (200, "debug\n".to_owned()));
    let refused = send(&admin, request("PUT", "/loglevel", "loud")).await;
    assert_eq!(refused, (400, "`loud` is not a log level\n".to_owned()));
    assert_eq!(send(&admin, request("GET", "/loglevel", "")).await.1, "debug\n");
}

#[tokio::test]
async fn a_body_has_a_limit() {
    let long = Box::leak("x".repeat(BODY_BYTES + 1).into_boxed_str());
    assert_eq!(send(&admin(Process::default()), request("PUT", "/loglevel", long)).await.0, 413);
}

#[tokio::test]
async fn a_shutdown_drains() {
    let admin = admin(Process::default());
    assert_eq!(send(&admin, request("POST", "/shutdown", "")).await.0, 202);
    assert!(admin.view.stopped.load(Relaxed));
}

#[tokio::test]
async fn only_this_machine_may_change_anything() {
    let admin = admin(Process::default());
    for (method, target) in [("PUT", "/loglevel"), ("POST", "/shutdown")] {
        let stranger = admin.answer(request(method, target, "debug"), [10, 0, 0, 1].into()).await;
        assert_eq!(stranger.status(), 403);
        for (name, value) in [("host", "evil.example"), ("origin", "http://127.0.0.1:9600")] {
            let mut request = request(method, target, "debug");
            request.headers_mut().insert(name, value.parse().unwrap());
            assert_eq!(send(&admin, request).await.0, 403, "{method} {target} {name}");
        }
    }
    assert_eq!(admin.view.log_level(), "info");
    assert!(!admin.view.stopped.load(Relaxed));
}

#[tokio::test]
async fn a_stranger_may_look() {
    let answer = admin(Process::default()).answer(request("GET", "/livez", ""), [10, 0, 0, 1].into()).await;
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn unknown_paths_and_methods_are_refused() {
    let admin = admin(Process::default());
    assert_eq!(send(&admin, request("GET", "/", "")).await.0, 404);
    assert_eq!(send(&admin, request("GET", "/livez/", "")).await.0, 404);
    for (method, target, allow) in
        [("POST", "/metrics", "GET, HEAD"), ("GET", "/shutdown", "POST"), ("DELETE", "/loglevel", "GET, HEAD, PUT")]
    {
        let answer = admin.answer(request(method, target, ""), HERE).await;
        assert_eq!((answer.status().as_u16(), &answer.headers()["allow"]), (405, &HeaderValue::from_static(allow)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_head_ends_the_connection() {
    let (mut client, server) = tokio::io::duplex(1024);
    let (admin, stop) = (admin(Process::default()), CancellationToken::new());
    client.write_all(b"GET /livez HTTP/1.1\r\nHost: ").await.unwrap();
    let read = async {
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        answer
    };
    let ((), answer) = tokio::join!(converse(server, HERE, &admin, &stop), read);
    assert!(!answer.starts_with(b"HTTP/1.1 200"));
}

#[tokio::test(start_paused = true)]
async fn a_long_head_is_refused() {
    let (mut client, server) = tokio::io::duplex(1024);
    let (admin, stop) = (admin(Process::default()), CancellationToken::new());
    let talk = async {
        let head = format!("GET /livez HTTP/1.1\r\nHost: localhost\r\nX: {}", "x".repeat(64 << 10));
        let _ = client.write_all(head.as_bytes()).await; // it may close before it has read all
        let mut answer = Vec::new();
        let _ = client.read_to_end(&mut answer).await;
        answer
    };
    let ((), answer) = tokio::join!(converse(server, HERE, &admin, &stop), talk);
    assert!(answer.starts_with(b"HTTP/1.1 431"), "{}", String::from_utf8_lossy(&answer));
}

#[tokio::test]
async fn it_serves_until_it_is_stopped() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, metrics) = (CancellationToken::new(), Metrics::new(&[]));
    let served = serve(listener, Arc::new(Process::default()), metrics, stop.clone());
    let talk = async {
        let mut client = tokio::net::TcpStream::connect(address).await.unwrap();
        client.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut start = [0; 15];
        client.read_exact(&mut start).await.unwrap();
        stop.cancel();
        // The connection was kept alive; stopping ends it.
        client.read_to_end(&mut Vec::new()).await.unwrap();
        start
    };
    let ((), start) = tokio::join!(served, talk);
    assert_eq!(&start, b"HTTP/1.1 200 OK");
}

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

//! `healthcheck`, `wait` and `shutdown`: what a container without a shell asks of the admin listener.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::{Method, StatusCode, Uri};
use tokio::time::{sleep, timeout};

use crate::cli::client::Client;

/// Succeeds if the gateway is ready.
///
/// # Errors
///
/// When it is not, with its failed checks, or does not answer.
pub async fn healthcheck(admin: &Uri) -> Result<()> {
    match ask(admin, Method::GET, "/readyz?verbose").await? {
        (StatusCode::OK, _) => Ok(()),
        (status, body) => bail!("not ready ({status}):\n{}", body.trim_end()),
    }
}

/// Waits until the gateway is ready, at most `max`.
///
/// # Errors
///
/// When it is not ready by then: what it said last.
pub async fn wait(admin: &Uri, max: Duration) -> Result<()> {
    let mut last = None;
    let ready = async {
        while let Err(error) = healthcheck(admin).await {
            last = Some(error);
            sleep(PAUSE).await;
        }
    };
    match timeout(max, ready).await {
        Ok(()) => Ok(()),
        Err(_) => Err(last.unwrap_or_else(|| anyhow::anyhow!("no answer"))).context("not ready in time"),
    }
}

/// Asks the gateway to drain and end.
///
/// # Errors
///
/// When it does not take the order.
pub async fn shutdown(admin: &Uri) -> Result<()> {
    match ask(admin, Method::POST, "/shutdown").await? {
        (StatusCode::ACCEPTED, _) => Ok(()),
        (status, body) => bail!("refused ({status}): {}", body.trim_end()),
    }
}

async fn ask(admin: &Uri, method: Method, target: &str) -> Result<(StatusCode, String)> {
    let client = Client::plain(admin);
    let sent = timeout(PATIENCE, client.send(method, target, Bytes::new())).await;
    let (status, body) = sent.with_context(|| format!("no answer from {admin} in time"))??;
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}

const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    /// Answers each connection with the next of `answers` and returns the first lines of what was asked.
    async fn script(answers: &[&str], ask: impl AsyncFnOnce(&Uri) -> Result<()>) -> (Result<()>, Vec<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let admin: Uri = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let serve = async {
            let mut asked = Vec::new();
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut head = vec![0; 1024];
                let length = stream.read(&mut head).await.unwrap();
                let head = String::from_utf8_lossy(&head[..length]).into_owned();
                asked.push(head.lines().next().unwrap().to_owned());
                stream.write_all(format!("HTTP/1.1 {answer}").as_bytes()).await.unwrap();
            }
            asked
        };
        tokio::join!(ask(&admin), serve)
    }

    const READY: &str = "200 OK\r\ncontent-length: 3\r\n\r\nok\n";
    const UNREADY: &str = "503 Service Unavailable\r\ncontent-length: 16\r\n\r\n[-] store: gone\n";

    #[tokio::test]
    async fn a_ready_gateway_is_healthy() {
        let (outcome, asked) = script(&[READY], healthcheck).await;
        outcome.unwrap();
        assert_eq!(asked, ["GET /readyz?verbose HTTP/1.1"]);
    }

    #[tokio::test]
    async fn an_unready_gateway_says_why() {
        let (outcome, _) = script(&[UNREADY], healthcheck).await;
        assert!(outcome.unwrap_err().to_string().contains("[-] store: gone"));
    }

    #[tokio::test]
    async fn waiting_ends_when_it_is_ready() {
        let (outcome, asked) =
            script(&[UNREADY, READY], async |admin| wait(admin, Duration::from_secs(30)).await).await;
        outcome.unwrap();
        assert_eq!(asked.len(), 2);
    }

    #[tokio::test]
    async fn waiting_ends_in_time() {
        let (outcome, _) = script(&[UNREADY], async |admin| wait(admin, Duration::from_millis(50)).await).await;
        assert!(format!("{:#}", outcome.unwrap_err()).starts_with("not ready in time"));
    }

    #[tokio::test]
    async fn a_shutdown_is_a_post() {
        let (outcome, asked) = script(&["202 Accepted\r\ncontent-length: 0\r\n\r\n"], shutdown).await;
        outcome.unwrap();
        assert_eq!(asked, ["POST /shutdown HTTP/1.1"]);
        assert!(script(&["403 Forbidden\r\ncontent-length: 0\r\n\r\n"], shutdown).await.0.is_err());
    }

    #[tokio::test]
    async fn nobody_there_is_a_failure() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let admin: Uri = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        drop(listener);
        assert!(healthcheck(&admin).await.unwrap_err().to_string().starts_with("cannot connect to http://127.0.0.1:"));
        assert!(healthcheck(&"https://127.0.0.1:1".parse().unwrap()).await.is_err());
    }
}

//! One HTTP exchange with a gateway, over plain text or TLS.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

/// A gateway as its clients reach it.
#[derive(Debug)]
pub struct Client {
    /// Scheme, host and port; the path is the request's.
    pub url: Uri,
    /// How it proves itself; needed for https alone.
    pub tls: Option<Arc<ClientConfig>>,
    /// Value of `Authorization`.
    pub authorization: Option<HeaderValue>,
}

impl Client {
    /// A gateway that is spoken to in plain text by somebody unknown.
    #[must_use]
    pub fn plain(url: &Uri) -> Self {
        Self { url: url.clone(), tls: None, authorization: None }
    }

    /// Sends one request over a connection of its own.
    ///
    /// # Errors
    ///
    /// No connection, or no answer in time.
    pub async fn send(&self, method: Method, target: &str, body: Bytes) -> Result<(StatusCode, Bytes)> {
        timeout(PATIENCE, self.exchange(method, target, body))
            .await
            .with_context(|| format!("no answer from {} in time", self.url))?
    }

    async fn exchange(&self, method: Method, target: &str, body: Bytes) -> Result<(StatusCode, Bytes)> {
        let url = &self.url;
        let authority = url.authority().with_context(|| format!("no host in {url}"))?;
        ensure!(!authority.as_str().contains('@'), "a URL must hold no user: use --user or --api-key-file");
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let port = authority.port_u16();
        let connect = async |default: u16| {
            let port = port.unwrap_or(default);
            TcpStream::connect((host, port)).await.with_context(|| format!("cannot connect to {url}"))
        };
        let mut request = Request::builder().method(method).uri(target).header(header::HOST, authority.as_str());
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let request = request.body(Full::new(body))?;
        let answer = match (url.scheme_str(), &self.tls) {
            (Some("http"), _) => answer(connect(80).await?, request).await,
            (Some("https"), Some(tls)) => {
                let name = ServerName::try_from(host.to_owned())?;
                let stream = TlsConnector::from(Arc::clone(tls)).connect(name, connect(443).await?).await;
                answer(stream.with_context(|| format!("no TLS with {url}"))?, request).await
            }
            (Some("https"), None) => bail!("the admin listener speaks plain http, not {url}"),
            _ => bail!("{url} is neither http:// nor https://"),
        };
        answer.with_context(|| format!("no answer from {url}"))
    }
}

async fn answer(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    request: Request<Full<Bytes>>,
) -> Result<(StatusCode, Bytes)> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let answer = async move {
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), BODY_BYTES).collect().await;
        anyhow::Ok((status, body.map_err(anyhow::Error::from_boxed)?.to_bytes()))
    };
    // The sender goes with the answer, and that ends the connection, whose own error the answer has told already.
    let (answer, _) = tokio::join!(answer, connection);
    answer
}

/// A page of keys with long descriptors is the longest.
const BODY_BYTES: usize = 64 << 20;
const PATIENCE: Duration = Duration::from_secs(30);

//! Fetches an issuer's keys over HTTP: one request, one connection, no redirect, little patience.

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Empty, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig,
    pki_types::{InvalidDnsNameError, ServerName},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

/// A place to fetch keys from.
#[derive(Clone, Debug)]
pub(super) struct Remote {
    uri: Uri,
    host: Box<str>,
    port: u16,
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
}

/// Why nothing was fetched.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    /// No connection, or it broke.
    #[error("cannot connect")]
    Connect(#[from] io::Error),
    /// The answer broke off.
    #[error("the answer broke off")]
    Interrupted(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// No HTTP, or not to its end.
    #[error("no HTTP answer")]
    Protocol(#[from] hyper::Error),
    /// Another status than 200: a redirect is not followed.
    #[error("the answer is a {0}")]
    Status(StatusCode),
    /// It takes too long.
    #[error("no whole answer within {} s", PATIENCE.as_secs())]
    TimedOut,
    /// More than anybody's keys take.
    #[error("the answer is larger than {MAX_BYTES} bytes")]
    TooLarge,
}

impl Remote {
    /// A remote at `uri`, which is absolute; `tls` makes what `https` needs.
    pub(super) fn new<E: From<InvalidDnsNameError>>(
        uri: &Uri,
        tls: impl FnOnce() -> Result<Arc<ClientConfig>, E>,
    ) -> Result<Self, E> {
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let secure = uri.scheme() == Some(&http::uri::Scheme::HTTPS);
        let tls = if secure { Some((tls()?, ServerName::try_from(host.to_owned())?)) } else { None };
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        Ok(Self { uri: uri.clone(), host: host.into(), port, tls })
    }

    /// The body of a `GET`.
    pub(super) async fn get(&self) -> Result<Bytes, FetchError> {
        let exchange = async {
            let tcp = TcpStream::connect((&*self.host, self.port)).await?;
            match &self.tls {
                Some((config, name)) => {
                    self.exchange(TlsConnector::from(Arc::clone(config)).connect(name.clone(), tcp).await?).await
                }
                None => self.exchange(tcp).await,
            }
        };
        tokio::time::timeout(PATIENCE, exchange).await.unwrap_or(Err(FetchError::TimedOut))
    }

    async fn exchange<T>(&self, stream: T) -> Result<Bytes, FetchError>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let answer = async {
            let (parts, body) = sender.send_request(self.request()).await?.into_parts();
            if parts.status != StatusCode::OK {
                return Err(FetchError::Status(parts.status));
            }
            let body = Limited::new(body, MAX_BYTES).collect().await.map_err(|error| {
                if error.is::<LengthLimitError>() { FetchError::TooLarge } else { FetchError::Interrupted(error) }
            })?;
            Ok(body.to_bytes())
        };
        let mut answer = std::pin::pin!(answer);
        tokio::select! {
            whole = &mut answer => whole,
            // Its end may come with the answer; what went wrong is told there.
            _ended = connection => answer.await,
        }
    }

    fn request(&self) -> Request<Empty<Bytes>> {
        let mut request = Request::new(Empty::new());
        let path = self.uri.path_and_query().cloned();
        *request.uri_mut() = path.map_or_else(|| Uri::from_static("/"), Uri::from);
        let host = self.uri.authority().and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
        request.headers_mut().extend(host.map(|host| (header::HOST, host)));
        request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        request
    }
}

/// For the whole of it.
const PATIENCE: Duration = Duration::from_secs(5);
/// Contract section 3.
const MAX_BYTES: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identify::jwt::testing::Server;

    async fn get(url: &str) -> Result<Bytes, FetchError> {
        let plain = || Err::<Arc<ClientConfig>, _>(InvalidDnsNameError);
        Remote::new(&url.parse().unwrap(), plain).unwrap().get().await
    }

    #[tokio::test]
    async fn the_body_of_a_200_is_fetched() {
        let server = Server::start();
        server.answer("200 OK", "the keys");
        assert_eq!(get(&server.url("/keys?x=1")).await.unwrap(), "the keys");
        assert_eq!(server.asked(), ["GET /keys?x=1 HTTP/1.1"]);
    }

    #[tokio::test]
    async fn a_redirect_is_not_followed() {
        let server = Server::start();
        server.answer("302 Found\r\nlocation: /elsewhere", "");
        assert!(matches!(get(&server.url("/keys")).await, Err(FetchError::Status(StatusCode::FOUND))));
        assert_eq!(server.asked().len(), 1);
    }

    #[tokio::test]
    async fn an_answer_of_a_megabyte_is_taken_and_a_larger_one_is_not() {
        let server = Server::start();
        server.answer("200 OK", &"x".repeat(MAX_BYTES));
        assert_eq!(get(&server.url("/")).await.unwrap().len(), MAX_BYTES);
        server.answer("200 OK", &"x".repeat(MAX_BYTES + 1));
        assert!(matches!(get(&server.url("/")).await, Err(FetchError::TooLarge)));
    }

    #[tokio::test]
    async fn what_breaks_off_or_is_no_http_is_an_error() {
        let server = Server::start();
        server.answer_raw("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf");
        assert!(matches!(get(&server.url("/")).await, Err(FetchError::Interrupted(_))));
        server.answer_raw("hello\r\n\r\n");
        assert!(matches!(get(&server.url("/")).await, Err(FetchError::Protocol(_))));
        assert!(matches!(get("http://127.0.0.1:1/").await, Err(FetchError::Connect(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_server_is_left() {
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", silent.local_addr().unwrap());
        assert!(matches!(get(&url).await, Err(FetchError::TimedOut)));
    }
}

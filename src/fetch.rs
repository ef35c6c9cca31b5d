//! HTTP exchanges of the control plane: one request, one connection, no redirect, a limited answer, one deadline.
//!
//! An issuer's keys, token endpoints and the cluster's own security API are asked seldom, so connections are not kept.

use std::{error::Error, fmt, io, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
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
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_util::either::Either;

/// What is needed to speak TLS with a host: settings, and the name that its certificate must bear.
pub type Tls = (Arc<ClientConfig>, ServerName<'static>);

/// An open connection.
pub type Stream = Either<TlsStream<TcpStream>, TcpStream>;

/// A URL that is asked.
#[derive(Clone)]
pub struct Remote {
    uri: Uri,
    host: Box<str>,
    port: u16,
    tls: Option<Tls>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No connection: the request has not left.
    #[error("cannot connect")]
    Connect(#[from] io::Error),
    /// The answer broke off.
    #[error("the answer broke off")]
    Interrupted(#[source] Box<dyn Error + Send + Sync>),
    /// No HTTP, or not to its end.
    #[error("no HTTP answer")]
    Protocol(#[from] hyper::Error),
    /// Another status than 200: a redirect is not followed.
    #[error("the answer is a {0}")]
    Status(StatusCode),
    /// It takes too long.
    #[error("no whole answer in time")]
    TimedOut,
    /// More than anybody has to say.
    #[error("the answer is larger than {MAX_BYTES} bytes")]
    TooLarge,
}

impl Remote {
    /// A remote at `uri`, which is absolute; `tls` makes what `https` needs.
    ///
    /// # Errors
    ///
    /// Those of `tls`, and a host that can be no name in a certificate.
    pub fn new<E: From<InvalidDnsNameError>>(
        uri: &Uri,
        tls: impl FnOnce() -> Result<Arc<ClientConfig>, E>,
    ) -> Result<Self, E> {
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let secure = uri.scheme() == Some(&http::uri::Scheme::HTTPS);
        let tls = if secure { Some((tls()?, ServerName::try_from(host.to_owned())?)) } else { None };
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        Ok(Self { uri: uri.clone(), host: host.into(), port, tls })
    }

    /// The body of a `GET` that is answered 200.
    ///
    /// # Errors
    ///
    /// [`FetchError`].
    pub async fn get(&self, patience: Duration) -> Result<Bytes, FetchError> {
        let answer = self.send(Request::default(), patience).await?;
        match answer.status() {
            StatusCode::OK => Ok(answer.into_body()),
            status => Err(FetchError::Status(status)),
        }
    }

    /// Sends a request, whose method, headers and body are taken as they are; all of it may take `patience`.
    ///
    /// # Errors
    ///
    /// [`FetchError`], but no [`FetchError::Status`].
    pub async fn send(&self, mut request: Request<Bytes>, patience: Duration) -> Result<Response<Bytes>, FetchError> {
        let path = self.uri.path_and_query().cloned();
        *request.uri_mut() = path.map_or_else(|| Uri::from_static("/"), Uri::from);
        let host = self.uri.authority().and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
        request.headers_mut().extend(host.map(|host| (header::HOST, host)));
        let asking = async { exchange(connect(&self.host, self.port, self.tls.as_ref()).await?, request).await };
        tokio::time::timeout(patience, asking).await.unwrap_or(Err(FetchError::TimedOut))
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Remote").field(&self.uri).finish()
    }
}

/// Opens a connection.
///
/// # Errors
///
/// The system's, and those of a handshake.
pub async fn connect(host: &str, port: u16, tls: Option<&Tls>) -> io::Result<Stream> {
    let tcp = TcpStream::connect((host, port)).await?;
    tcp.set_nodelay(true)?;
    match tls {
        Some((config, name)) => {
            let secured = TlsConnector::from(Arc::clone(config)).connect(name.clone(), tcp).await?;
            Ok(Either::Left(secured))
        }
        None => Ok(Either::Right(tcp)),
    }
}

/// One request and its whole answer over `stream`, which is then closed. The request names its `Host`.
///
/// # Errors
///
/// [`FetchError`], but neither [`FetchError::Status`] nor [`FetchError::TimedOut`]: the caller has the clock.
pub async fn exchange<T>(stream: T, request: Request<Bytes>) -> Result<Response<Bytes>, FetchError>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let answer = async {
        let (parts, body) = sender.send_request(request.map(Full::new)).await?.into_parts();
        let body = Limited::new(body, MAX_BYTES).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() { FetchError::TooLarge } else { FetchError::Interrupted(error) }
        })?;
        Ok(Response::from_parts(parts, body.to_bytes()))
    };
    let mut answer = std::pin::pin!(answer);
    tokio::select! {
        whole = &mut answer => whole,
        // Its end may come with the answer; what went wrong is told there.
        _ended = connection => answer.await,
    }
}

/// Contract section 3.
const MAX_BYTES: usize = 1 << 20;

#[cfg(test)]
pub mod testing;

#[cfg(test)]
mod tests {
    use super::{testing::Server, *};

    fn remote(url: &str) -> Remote {
        let plain = || Err::<Arc<ClientConfig>, _>(InvalidDnsNameError);
        Remote::new(&url.parse().unwrap(), plain).unwrap()
    }

    async fn get(url: &str) -> Result<Bytes, FetchError> {
        remote(url).get(Duration::from_secs(5)).await
    }

    #[tokio::test]
    async fn the_body_of_a_200_is_fetched() {
        let server = Server::start();
        server.answer("200 OK", "the keys");
        assert_eq!(get(&server.url("/keys?x=1")).await.unwrap(), "the keys");
        assert_eq!(server.asked(), ["GET /keys?x=1 HTTP/1.1"]);
    }

    #[tokio::test]
    async fn method_headers_and_body_arrive_and_any_status_comes_back() {
        let server = Server::start();
        server.answer("418 Teapot\r\nx-kind: pot", "short");
        let request = Request::delete("/ignored").header("x-asks", "me").body(Bytes::from_static(b"a body")).unwrap();
        let answer = remote(&server.url("/token")).send(request, Duration::from_secs(5)).await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.headers()["x-kind"].to_str().unwrap()), (418, "pot"));
        assert_eq!(answer.body(), "short");
        let seen = server.requests().remove(0);
        assert_eq!(
            (seen.first.as_str(), seen.header("x-asks"), seen.body.as_str()),
            ("DELETE /token HTTP/1.1", Some("me"), "a body")
        );
        assert_eq!(seen.header("host"), Some(server.url("").trim_start_matches("http://")));
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

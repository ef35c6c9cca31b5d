//! A listener of shape broker: who calls it, and what is done for them beside forwarding.

use std::sync::Arc;

use http::{HeaderName, HeaderValue, Method, Request, Response, header, request::Parts};

use super::{
    Door,
    answer::{Answer, Record},
};
use crate::{
    api::{Api, Caller},
    authorize::Permit,
    body::Body,
    broker::{Broker, SessionError, Visit},
    credential::{CredentialError, live::Live},
    forward::cookie::{self, Shown},
    identify::IdentifyError,
    listener::peer::Peer,
    path::Route,
    respond::Rejection,
    sessions::{PREFIX, SessionId},
};

/// Who calls.
pub(super) enum Visitor {
    /// Somebody with a session.
    Session {
        /// It.
        live: Arc<Live>,
        /// Whether a program asks on its own behalf (section 8.4).
        background: bool,
        /// Whether its handle came as a cookie.
        by_cookie: bool,
    },
    /// Somebody with a credential of their own, or with none, whom only the cluster or a realm here may know.
    Stranger {
        /// Whether they show anything.
        shows: bool,
    },
}

impl Visitor {
    /// Their session, and whether it is no sign of its user that they come.
    pub(super) fn into_session(self) -> Option<(Arc<Live>, bool)> {
        match self {
            Self::Session { live, background, .. } => Some((live, background)),
            Self::Stranger { .. } => None,
        }
    }
}

impl Door {
    /// What lets a visitor go on to the cluster, which judges them by what it sees.
    pub(super) fn admitted(&self, visitor: &Visitor) -> Result<Permit, Rejection> {
        let own = match visitor {
            Visitor::Session { .. } => false,
            Visitor::Stranger { shows: false } => return Err(IdentifyError::Missing.into()),
            Visitor::Stranger { shows: true } if self.core.shared.upstream.refuses_strangers() => true,
            Visitor::Stranger { shows: true } => return Err(CredentialError::UpstreamOpen.into()),
        };
        Ok(Permit::broker(self.site.shape, own).ok_or(IdentifyError::Missing)?)
    }

    /// Whom a request is of. `Authorization` counts before the cookie, which is then neither used nor cleared.
    pub(super) async fn visitor(
        &self,
        broker: &Broker,
        parts: &mut Parts,
        peer: &Peer,
        record: &mut Record,
    ) -> Result<Visitor, Rejection> {
        let background = parts.headers.remove(X_BACKGROUND_REQUEST);
        let background = background.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true"));
        let mut shown = parts.headers.get_all(header::AUTHORIZATION).iter();
        let first = shown.next();
        if shown.any(|other| Some(other) != first) {
            return Err(IdentifyError::Repeated { header: "Authorization" }.into());
        }
        let (handle, by_cookie) = match (first, cookie::read(&parts.headers)) {
            (Some(value), _) => match handle(value) {
                Some(handle) => (handle, false),
                None => return Ok(Visitor::Stranger { shows: true }),
            },
            (None, Shown::Handle(handle)) => {
                check_origin(parts)?;
                (handle, true)
            }
            (None, shown) => {
                record.clears_cookie = shown == Shown::Malformed;
                return Ok(Visitor::Stranger { shows: false });
            }
        };
        let visit = Visit { peer, background };
        let now = self.core.wall(record.started);
        let live = match SessionId::of_handle(handle).and_then(|id| broker.recall(&id, visit, now)) {
            Some(live) => live,
            None => Box::pin(broker.admit(handle, visit)).await.map_err(|error| {
                record.clears_cookie = by_cookie && matches!(error, SessionError::Unknown | SessionError::Over { .. });
                if matches!(error, SessionError::Rejected) {
                    self.core.shared.metrics.upstream_credential_rejected();
                }
                error
            })?,
        };
        record.principal = Some(Arc::clone(&live.principal));
        Ok(Visitor::Session { live, background, by_cookie })
    }

    /// Serves `/_security` and `/_gateway`: a session is somebody there, and anybody may log in.
    pub(super) async fn serve_own(
        &self,
        broker: &Broker,
        route: Route,
        (mut parts, unread): (Parts, &mut Body),
        peer: &Peer,
        record: &mut Record,
    ) -> Result<Response<Answer>, Rejection> {
        let api = &self.core.shared.api;
        if api.is_login(&parts) {
            check_origin(&parts)?;
            let request = Request::from_parts(parts, std::mem::take(unread));
            return Ok(self.own(api.log_in(request, broker, peer).await, record));
        }
        let (principal, session, by_cookie) = match self.visitor(broker, &mut parts, peer, record).await? {
            Visitor::Session { live, by_cookie, .. } => (Arc::clone(&live.principal), Some(live), by_cookie),
            Visitor::Stranger { .. } => {
                let proven = self.identify(&parts, route, peer, record).await;
                (proven.map_err(|error| Api::refusal(error, &parts))?, None, false)
            }
        };
        let ends = by_cookie && parts.method == Method::DELETE;
        let caller = Caller { principal, session, broker: Some(broker.clone()) };
        let response = self.serve(caller, (parts, unread), peer, record).await;
        record.clears_cookie |= ends && response.status().is_success();
        Ok(response)
    }
}

/// The handle in an `Authorization`, good or not. Every bearer of that form is ours: it must not go to the cluster.
fn handle(value: &HeaderValue) -> Option<&str> {
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    let token = token.trim_start();
    (scheme.eq_ignore_ascii_case("bearer") && token.starts_with(PREFIX)).then_some(token)
}

/// A browser sends the cookie with whatever it is told to send, by whatever page: what changes something must come from
/// a page of this host.
///
/// # Errors
///
/// [`Rejection::CrossSite`] (403).
fn check_origin(parts: &Parts) -> Result<(), Rejection> {
    if matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(());
    }
    let text = |name: HeaderName| parts.headers.get(name).map(HeaderValue::as_bytes);
    let foreign = match text(header::ORIGIN) {
        Some(origin) => !is_own(origin, parts),
        None => text(SEC_FETCH_SITE).is_some_and(|site| !matches!(site, b"same-origin" | b"none")),
    };
    if foreign { Err(Rejection::CrossSite) } else { Ok(()) }
}

/// Whether a page of `origin` is one of the host that it talks to. The scheme may be another behind a proxy that ends TLS.
fn is_own(origin: &[u8], parts: &Parts) -> bool {
    let authority = parts.uri.authority().map(http::uri::Authority::as_str);
    let host = authority.or_else(|| parts.headers.get(header::HOST)?.to_str().ok());
    let (Some(host), Ok(origin)) = (host, std::str::from_utf8(origin)) else { return false };
    let Some((scheme, site)) = origin.split_once("://") else { return false };
    let port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => return false,
    };
    let bare = |name: &str| name.strip_suffix(port).unwrap_or(name).to_ascii_lowercase();
    bare(site) == bare(host)
}

const X_BACKGROUND_REQUEST: HeaderName = HeaderName::from_static("x-background-request");
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(method: &str, headers: &[(&str, &str)]) -> bool {
        let mut request = Request::builder().method(method).uri("/a/_doc").header("host", "Search.Example:9200");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        check_origin(&request.body(()).unwrap().into_parts().0).is_ok()
    }

    #[test]
    fn a_page_of_another_site_changes_nothing_with_a_cookie() {
        for origin in ["null", "https://evil.example", "http://search.example", "https://search.example:9201", "x"] {
            assert!(!taken("POST", &[("origin", origin)]), "{origin}");
            assert!(taken("GET", &[("origin", origin)]), "{origin}");
        }
        assert!(!taken("DELETE", &[("sec-fetch-site", "cross-site")]));
        assert!(!taken("DELETE", &[("sec-fetch-site", "same-site")]));
    }

    #[test]
    fn a_page_of_this_host_and_what_is_no_page_are_taken() {
        for headers in [
            &[][..],
            &[("origin", "https://search.example:9200")],
            &[("origin", "http://search.example:9200"), ("sec-fetch-site", "same-origin")],
            &[("sec-fetch-site", "none")],
        ] {
            assert!(taken("POST", headers), "{headers:?}");
        }
    }

    #[test]
    fn a_usual_port_may_be_left_out() {
        let parts = |host| Request::post("/").header("host", host).body(()).unwrap().into_parts().0;
        assert!(is_own(b"https://search.example", &parts("search.example:443")));
        assert!(is_own(b"https://search.example:443", &parts("search.example")));
        assert!(!is_own(b"http://search.example", &parts("search.example:443")));
    }

    #[test]
    fn every_bearer_of_the_form_of_a_handle_is_ours() {
        let read = |text: &'static str| handle(&HeaderValue::from_static(text)).map(str::to_owned);
        for ours in ["bearer sgs_x", "Bearer  sgs_x"] {
            assert_eq!(read(ours).as_deref(), Some("sgs_x"), "{ours}");
        }
        for other in ["Bearer dGVzdA", "Basic sgs_x", "sgs_x"] {
            assert_eq!(read(other), None, "{other}");
        }
    }
}

//! Small lies that unmodified clients need (contract section 7): media types and a version towards OpenSearch,
//! node addresses that do not lead around the gate.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, request, response};
use serde_json::Value;

use crate::{
    body::{Body, BodyError},
    config::Compatibility,
    listener::peer::Peer,
    upstream::Product,
};

/// What is rewritten for the request at hand.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mode {
    /// Node addresses.
    Elasticsearch,
    /// Node addresses, and no product header of ours.
    Off,
    /// Node addresses, media types, product header, version.
    Opensearch,
}

/// What must be done to the answer of a request.
#[derive(Clone, Debug, Default)]
pub struct Rewrite {
    /// The client asked in the vendor's media type of this version.
    vendor: Option<u8>,
    document: Option<Document>,
}

/// An answer that is read whole and changed.
#[derive(Clone, Debug)]
enum Document {
    Main,
    Nodes(String),
}

impl Mode {
    /// As configured, or, on `auto`, as the cluster says.
    #[must_use]
    pub fn of(configured: Compatibility, product: Product) -> Self {
        match (configured, product) {
            (Compatibility::Off, _) => Self::Off,
            (Compatibility::Opensearch, _) | (Compatibility::Auto, Product::Opensearch) => Self::Opensearch,
            (Compatibility::Auto | Compatibility::Elasticsearch, _) => Self::Elasticsearch,
        }
    }
}

/// Rewrites a request on its way to the cluster and tells what to do with the answer.
pub fn request(mode: Mode, parts: &mut request::Parts, peer: &Peer) -> Rewrite {
    let mut rewrite = Rewrite { vendor: None, document: document(mode, parts, peer) };
    if mode == Mode::Opensearch {
        rewrite.vendor = translate(&mut parts.headers, &header::ACCEPT);
        let sent = translate(&mut parts.headers, &header::CONTENT_TYPE);
        if !parts.headers.contains_key(header::ACCEPT) {
            rewrite.vendor = sent;
        }
    }
    if rewrite.document.is_some() {
        // The answer will be read here.
        parts.headers.remove(header::ACCEPT_ENCODING);
    }
    rewrite
}

impl Rewrite {
    /// Rewrites the head of an answer.
    pub fn head(&self, mode: Mode, parts: &mut response::Parts) {
        if mode != Mode::Opensearch {
            return;
        }
        if !matches!(parts.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            parts.headers.insert(X_ELASTIC_PRODUCT, HeaderValue::from_static("Elasticsearch"));
        }
        if let Some(version) = self.vendor
            && let Some(found) = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok())
            && let Some(subtype) =
                found.split(';').next().and_then(|essence| essence.trim().strip_prefix("application/"))
            && let Ok(vendor) = HeaderValue::try_from(format!("{VENDOR}{subtype};compatible-with={version}"))
        {
            parts.headers.insert(header::CONTENT_TYPE, vendor);
        }
    }

    /// Whether [`Rewrite::body`] has something to do with this answer.
    #[must_use]
    pub fn wants_body(&self, parts: &response::Parts) -> bool {
        self.document.is_some()
            && parts.status == StatusCode::OK
            && !parts.headers.contains_key(header::CONTENT_ENCODING)
            && parts.headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/"))
    }

    /// Rewrites the body of an answer; what is not the expected JSON goes on as it came.
    ///
    /// # Errors
    ///
    /// Those of reading it: it broke off, or is longer than any such document.
    pub async fn body(&self, parts: &mut response::Parts, body: Body) -> Result<Body, BodyError> {
        let bytes = body.read(DOCUMENT_BYTES).await?;
        let edited = self.document.as_ref().and_then(|document| edit(document, &bytes)).unwrap_or(bytes);
        parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(edited.len()));
        Ok(Body::from(edited))
    }
}

fn document(mode: Mode, parts: &request::Parts, peer: &Peer) -> Option<Document> {
    if parts.method != Method::GET {
        return None;
    }
    let path = parts.uri.path();
    match path {
        "/" if mode == Mode::Opensearch && parts.headers.contains_key(X_ELASTIC_CLIENT_META) => Some(Document::Main),
        "/_nodes/http" | "/_nodes/_all/http" | "/_nodes/http/" | "/_nodes/_all/http/" => {
            let address = peer.local?;
            // A name that the client used stands before the address, as a node with a published name has it, so
            // that certificates still match.
            let named = parts
                .uri
                .authority()
                .map(http::uri::Authority::as_str)
                .or_else(|| parts.headers.get(header::HOST)?.to_str().ok())
                .and_then(|host| host.rsplit_once(':').map_or(Some(host), |(name, _)| Some(name)))
                .filter(|name| name.parse::<std::net::IpAddr>().is_err() && !name.starts_with('['))
                .filter(|name| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-')));
            Some(Document::Nodes(match named {
                Some(name) if !name.is_empty() => format!("{name}/{address}"),
                _ => address.to_string(),
            }))
        }
        _ => None,
    }
}

fn edit(document: &Document, bytes: &[u8]) -> Option<Bytes> {
    let mut value: Value = serde_json::from_slice(bytes).ok()?;
    match document {
        Document::Main => {
            let version = value.get_mut("version")?.as_object_mut()?;
            version.insert("number".into(), "8.19.0".into());
            version.insert("build_flavor".into(), "default".into());
        }
        Document::Nodes(address) => {
            for node in value.get_mut("nodes")?.as_object_mut()?.values_mut() {
                if let Some(http) = node.get_mut("http").and_then(Value::as_object_mut) {
                    http.insert("bound_address".into(), vec![Value::from(address.as_str())].into());
                    http.insert("publish_address".into(), address.as_str().into());
                }
            }
        }
    }
    let text = if bytes.contains(&b'\n') { serde_json::to_vec_pretty(&value) } else { serde_json::to_vec(&value) };
    text.ok().map(Bytes::from)
}

/// Turns `application/vnd.elasticsearch+X;compatible-with=N` into `application/X` in the header `name`, wherever it
/// stands in a list; returns the first N.
fn translate(headers: &mut HeaderMap, name: &HeaderName) -> Option<u8> {
    if !headers.get_all(name).iter().any(|value| contains_vendor(value.as_bytes())) {
        return None;
    }
    let mut version = None;
    let mut plain = String::new();
    // Several lines are one list.
    let lines = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    for item in lines.flat_map(|line| line.split(',')) {
        if !plain.is_empty() {
            plain.push(',');
        }
        for (index, part) in item.split(';').map(str::trim).enumerate() {
            let lower = part.to_ascii_lowercase();
            if let Some(number) = lower.strip_prefix("compatible-with=") {
                version = version.or_else(|| number.trim_matches('"').parse::<u8>().ok());
                continue;
            }
            if index > 0 {
                plain.push(';');
            }
            match lower.strip_prefix(VENDOR) {
                Some(subtype) => plain.extend(["application/", subtype]),
                None => plain.push_str(part),
            }
        }
    }
    headers.insert(name.clone(), HeaderValue::try_from(plain).ok()?);
    Some(version.unwrap_or(8))
}

fn contains_vendor(value: &[u8]) -> bool {
    value.windows(VENDOR.len()).any(|window| window.eq_ignore_ascii_case(VENDOR.as_bytes()))
}

const VENDOR: &str = "application/vnd.elasticsearch+";
/// By it official clients tell the product.
pub const X_ELASTIC_PRODUCT: HeaderName = HeaderName::from_static("x-elastic-product");
const X_ELASTIC_CLIENT_META: HeaderName = HeaderName::from_static("x-elastic-client-meta");
/// `_nodes/http` of a thousand nodes.
const DOCUMENT_BYTES: u64 = 4 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn asked(path: &str, headers: &[(&'static str, &'static str)]) -> request::Parts {
        let mut request = Request::get(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn answered(status: u16, content_type: &'static str) -> response::Parts {
        let builder = http::Response::builder().status(status).header(header::CONTENT_TYPE, content_type);
        builder.body(()).unwrap().into_parts().0
    }

    #[test]
    fn vendor_media_types_become_plain_ones_towards_opensearch_and_come_back() {
        let mut parts = asked(
            "/_bulk",
            &[
                ("accept", "application/vnd.elasticsearch+json; compatible-with=9"),
                ("content-type", "application/vnd.elasticsearch+x-ndjson; compatible-with=9"),
            ],
        );
        let rewrite = request(Mode::Opensearch, &mut parts, &Peer::unknown());
        assert_eq!(parts.headers[header::ACCEPT], "application/json");
        assert_eq!(parts.headers[header::CONTENT_TYPE], "application/x-ndjson");
        let mut answer = answered(200, "application/json; charset=UTF-8");
        rewrite.head(Mode::Opensearch, &mut answer);
        assert_eq!(answer.headers[header::CONTENT_TYPE], "application/vnd.elasticsearch+json;compatible-with=9");
        assert_eq!(answer.headers[X_ELASTIC_PRODUCT], "Elasticsearch");
    }

    #[test]
    fn a_list_of_media_types_is_translated_item_by_item() {
        let mut parts =
            asked("/_cat", &[("accept", "text/plain, application/vnd.elasticsearch+json;compatible-with=8;q=0.5")]);
        let rewrite = request(Mode::Opensearch, &mut parts, &Peer::unknown());
        assert_eq!(parts.headers[header::ACCEPT], "text/plain,application/json;q=0.5");
        let mut text = answered(200, "text/plain; charset=UTF-8");
        rewrite.head(Mode::Opensearch, &mut text);
        assert_eq!(text.headers[header::CONTENT_TYPE], "text/plain; charset=UTF-8", "only JSON and its like come back");
    }

    #[test]
    fn elasticsearch_speaks_for_itself() {
        let mut parts = asked("/_search", &[("accept", "application/vnd.elasticsearch+json;compatible-with=8")]);
        let rewrite = request(Mode::Elasticsearch, &mut parts, &Peer::unknown());
        assert_eq!(parts.headers[header::ACCEPT], "application/vnd.elasticsearch+json;compatible-with=8");
        let mut answer = answered(200, "application/json");
        rewrite.head(Mode::Elasticsearch, &mut answer);
        assert!(!answer.headers.contains_key(X_ELASTIC_PRODUCT));
    }

    #[test]
    fn refusals_carry_no_product_header() {
        for status in [401, 403] {
            let mut answer = answered(status, "application/json");
            Rewrite::default().head(Mode::Opensearch, &mut answer);
            assert!(!answer.headers.contains_key(X_ELASTIC_PRODUCT), "{status}");
        }
    }

    #[tokio::test]
    async fn official_clients_see_a_version_that_they_accept() {
        let mut parts = asked("/", &[("x-elastic-client-meta", "es=8.19.0,py=3.11"), ("accept-encoding", "gzip")]);
        let rewrite = request(Mode::Opensearch, &mut parts, &Peer::unknown());
        assert!(!parts.headers.contains_key(header::ACCEPT_ENCODING));
        let mut answer = answered(200, "application/json");
        assert!(rewrite.wants_body(&answer));
        let told = r#"{"name":"n1","version":{"distribution":"opensearch","number":"2.19.4"}}"#;
        let body = rewrite.body(&mut answer, Body::from(told.to_owned())).await.unwrap().read(1000).await.unwrap();
        assert_eq!(
            body,
            r#"{"name":"n1","version":{"distribution":"opensearch","number":"8.19.0","build_flavor":"default"}}"#
        );
        assert_eq!(answer.headers[header::CONTENT_LENGTH], body.len().to_string());
    }

    #[test]
    fn others_see_what_the_cluster_says() {
        let mut parts = asked("/", &[]);
        assert!(
            !request(Mode::Opensearch, &mut parts, &Peer::unknown()).wants_body(&answered(200, "application/json"))
        );
    }

    #[tokio::test]
    async fn sniffing_clients_stay_at_the_gate() {
        let peer = Peer { local: Some("10.0.0.1:9200".parse().unwrap()), ..Peer::unknown() };
        let told = r#"{"nodes":{"a":{"name":"n1","http":{"bound_address":["127.0.0.1:9250"],"publish_address":"127.0.0.1:9250"}}}}"#;
        for (host, address) in [("10.0.0.1:9200", "10.0.0.1:9200"), ("gate.example:9200", "gate.example/10.0.0.1:9200")]
        {
            let mut parts = asked("/_nodes/_all/http", &[]);
            parts.headers.insert(header::HOST, HeaderValue::from_str(host).unwrap());
            let rewrite = request(Mode::Elasticsearch, &mut parts, &peer);
            let mut answer = answered(200, "application/json");
            let body = rewrite.body(&mut answer, Body::from(told.to_owned())).await.unwrap().read(1000).await.unwrap();
            let body: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(body["nodes"]["a"]["http"]["publish_address"], address);
            assert_eq!(body["nodes"]["a"]["http"]["bound_address"][0], address);
        }
    }
}

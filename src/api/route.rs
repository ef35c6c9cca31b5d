//! Which path serves what, and the words for paths and methods that serve nothing (API page section 1.1).

use http::{Method, StatusCode};

use crate::{api::failure::Failure, path, respond::Exception};

/// What a path names.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Resource {
    /// `/_security/api_key`.
    ApiKeys,
    /// `/_security/_authenticate`.
    Authenticate,
    /// `/_security/oauth2/token`.
    Token,
    /// `/_security/user/{name}`.
    User(String),
    /// `/_security/user`.
    Users,
}

impl Resource {
    /// Its methods, in the order in which the original lists them.
    fn methods(&self) -> &'static [&'static str] {
        match self {
            Self::ApiKeys | Self::User(_) => &["GET", "POST", "PUT", "DELETE"],
            Self::Authenticate | Self::Users => &["GET"],
            Self::Token => &["POST", "DELETE"],
        }
    }
}

/// The resource that a request names, if it has the method.
///
/// # Errors
///
/// 405 for another method, 400 for a path that names nothing.
pub(super) fn find(method: &Method, path: &str, target: &str) -> Result<Resource, Failure> {
    match resource(path)? {
        Some(resource) if resource.methods().contains(&method.as_str()) => Ok(resource),
        Some(resource) => Err(wrong_method(method, target, resource.methods())),
        None if path.starts_with("/_gateway") => {
            let text = format!("nothing is served at [{target}]");
            Err(Failure::Exception(StatusCode::NOT_FOUND, Exception::new("resource_not_found_exception", text)))
        }
        // A single segment is what the original takes for an index: `POST` is all that it has there.
        None if is_single(path) && method != Method::POST => Err(wrong_method(method, target, &["POST"])),
        None if path.trim_end_matches('/').matches('/').count() == 1 => Err(not_an_index(path).into()),
        None => Err(Failure::Text {
            status: StatusCode::BAD_REQUEST,
            text: format!("no handler found for uri [{target}] and method [{method}]"),
            numbered: false,
        }),
    }
}

/// Value of `Allow` for `OPTIONS`.
pub(super) fn allowed(path: &str) -> String {
    match resource(path) {
        Ok(Some(resource)) => resource.methods().join(","),
        _ if is_single(path) => "POST".to_owned(),
        _ => "GET,POST,PUT,DELETE,HEAD".to_owned(),
    }
}

fn resource(path: &str) -> Result<Option<Resource>, Exception> {
    let path = path.strip_suffix('/').unwrap_or(path);
    Ok(match path.strip_prefix("/_security/") {
        Some("api_key") => Some(Resource::ApiKeys),
        Some("_authenticate") => Some(Resource::Authenticate),
        Some("oauth2/token") => Some(Resource::Token),
        Some("user") => Some(Resource::Users),
        Some(rest) => match rest.strip_prefix("user/") {
            // `_password` and `_has_privileges` are no names.
            Some(name) if !name.contains('/') && !matches!(name, "_has_privileges" | "_password" | "_privileges") => {
                let name = path::decode(name).map_err(|error| Exception::argument(error.to_string()))?;
                Some(Resource::User(name))
            }
            _ => None,
        },
        None => None,
    })
}

/// Whether exactly one segment follows the first.
fn is_single(path: &str) -> bool {
    path.trim_end_matches('/').matches('/').count() == 2
}

fn wrong_method(method: &Method, target: &str, allowed: &[&str]) -> Failure {
    let known = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT"];
    let list = allowed.join(", ");
    let text = if known.contains(&method.as_str()) {
        format!("Incorrect HTTP method for uri [{target}] and method [{method}], allowed: [{list}]")
    } else {
        format!("Unexpected http method: {method}, allowed: [{list}]")
    };
    Failure::Method { text, allow: allowed.join(",") }
}

fn not_an_index(path: &str) -> Exception {
    let name = path.trim_matches('/');
    Exception::new("invalid_index_name_exception", format!("Invalid index name [{name}], must not start with '_'."))
        .with("index_uuid", "_na_")
        .with("index", name)
}

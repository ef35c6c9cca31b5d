//! `/_gateway/explain`: why a request would be let through or refused (contract section 5). It is judged as it would be
//! if it came, and not sent.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, Version, header};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    api::{
        Api, Call, Reply,
        access::{self, Action},
        failure::Failure,
    },
    authorize::{Asked, AuthorizeError, Explanation, Permit},
    body::Body,
    model::{KeyId, Principal},
    path,
    respond::{Exception, Rejection},
};

/// The body.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    method: String,
    /// With its query.
    path: String,
    /// JSON, or a text: lines of JSON, as in a bulk.
    #[serde(default)]
    body: Value,
    /// Who would ask, if not the caller.
    r#as: Option<Other>,
}

/// Somebody else.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
enum Other {
    ApiKey { id: KeyId },
    Username(String),
}

/// The answer.
#[derive(Serialize)]
struct Explained {
    user: Value,
    #[serde(flatten)]
    explanation: Explanation,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<Refused>,
}

/// What the request would be answered.
#[derive(Serialize)]
struct Refused {
    status: u16,
    #[serde(rename = "type")]
    kind: &'static str,
    reason: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    granted_by_any_of: Vec<Box<str>>,
}

impl Api {
    /// Explains what would become of a request.
    ///
    /// # Errors
    ///
    /// 400 for what is no request to the cluster, 403 for whoever may not ask about others, 404 where there is no such
    /// caller.
    pub(super) async fn explain(
        &self,
        call: &mut Call<'_>,
        caller: &Arc<Principal>,
        ask: impl AsyncFn(Permit) -> Option<Bytes>,
    ) -> Result<Reply, Failure> {
        call.query.finish(call.path())?;
        let question: Question = serde_json::from_slice(call.required_body()?)
            .map_err(|error| Exception::parse(format!("cannot read the request to explain: {error}")))?;
        let principal = match &question.r#as {
            None => Arc::clone(caller),
            Some(other) => {
                access::require(caller, &OTHERS).map_err(Rejection::from)?;
                self.other(other).await?
            }
        };
        let (method, target) = target(&question)?;
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let body = match question.body {
            Value::Null => Body::Empty,
            Value::String(lines) => Body::from(lines),
            body => Body::from(body.to_string()),
        };
        let asked = Asked {
            principal: &principal,
            client: None,
            method: &method,
            uri: &target,
            headers: &headers,
            limit: u64::MAX,
        };
        let mut explanation = self.authorizer.explain(asked, body, ask).await;
        // Nobody learns here what they could not read elsewhere: what limits a key, and which names exist.
        if !caller.privileges.allows_cluster_action(OTHERS_KEYS) {
            explanation.granted_by.retain(|ground| ground.of != "limited_by");
        }
        if let (Some(_), Some(names)) = (&question.r#as, &mut explanation.narrowed_to) {
            names.retain(|name| caller.privileges.allows_index_action(SHOWN, name));
        }
        let Principal { identity, api_key, .. } = &*principal;
        let answer = Explained {
            user: json!({ "username": identity.username, "roles": identity.roles, "api_key": api_key }),
            refused: explanation.refusal.clone().map(Refused::from),
            explanation,
        };
        Ok(Reply::ok(json!(answer)))
    }

    async fn other(&self, other: &Other) -> Result<Arc<Principal>, Failure> {
        let found = match other {
            Other::ApiKey { id } => self.realms.key_called(id).await,
            Other::Username(name) => self.realms.user_called(name).await,
        };
        found.map_err(Rejection::from)?.ok_or_else(|| {
            let text = match other {
                Other::ApiKey { id } => format!("no live API key [{id}]"),
                Other::Username(name) => format!("no enabled user [{name}]"),
            };
            Failure::Exception(StatusCode::NOT_FOUND, Exception::new("resource_not_found_exception", text))
        })
    }
}

/// The request that is asked about.
fn target(question: &Question) -> Result<(Method, Uri), Exception> {
    let method = Method::from_bytes(question.method.to_uppercase().as_bytes());
    let target = Uri::try_from(&question.path).ok().filter(|_| question.path.starts_with('/'));
    let (Ok(method), Some(target)) = (method, target) else {
        return Err(Exception::argument("[method] and [path] are to be those of a request"));
    };
    match path::route(&method, &target, Version::HTTP_11) {
        Ok(path::Route::Cluster) => Ok((method, target)),
        Ok(path::Route::Gateway | path::Route::Security) => {
            Err(Exception::argument("only requests to the cluster are explained"))
        }
        Err(error) => Err(Exception::argument(error.to_string())),
    }
}

impl From<AuthorizeError> for Refused {
    fn from(refusal: AuthorizeError) -> Self {
        let granted_by_any_of = match &refusal {
            AuthorizeError::Denied(denied) => denied.granting.split(',').map(Into::into).collect(),
            _ => Vec::new(),
        };
        let rejection = Rejection::from(refusal);
        let (status, kind) = rejection.wire();
        Self { status: status.as_u16(), kind, reason: rejection.to_string(), granted_by_any_of }
    }
}

/// What shows the rights of a key.
const OTHERS_KEYS: &str = "cluster:admin/xpack/security/api_key/get";
/// What shows that an index exists.
const SHOWN: &str = "indices:admin/get";
const OTHERS: Action = Action::named("cluster:admin/xpack/security/user/list_privileges");

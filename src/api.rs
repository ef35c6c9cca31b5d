//! What the gateway answers itself: `/_security` and `/_gateway`.
//!
//! Every endpoint checks in the order of the original: headers, route, body, parameters, sense, rights; then it acts.

use std::{fmt, io::Read as _, sync::Arc};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header, request::Parts};
use serde_json::Value;

use crate::{
    authorize::{ANY_ACTION, AuthorizeError, Authorizer, Permit},
    body::{Body, BodyError},
    clock::Clock,
    config::Limits,
    documents::Documents,
    forward::identity::Issuer,
    identify::{IdentifyError, Realms},
    keys::Keys,
    listener::peer::Peer,
    model::Principal,
    path::Route,
    respond::{Exception, Rejection, RequestFacts, es},
    roles::Roles,
    service_accounts::ServiceAccounts,
    sessions::Sessions,
    telemetry::audit::{Audit, AuditEvent},
    tokens::Tokens,
    users::Users,
};

mod access;
mod applications;
mod authenticate;
mod caches;
mod decision;
mod descriptor;
mod explain;
mod failure;
mod filter;
mod form;
mod json;
mod jwks;
mod keys;
mod life;
mod media;
mod names;
mod nodes;
mod profiles;
mod query;
mod rights;
mod role_mappings;
mod roles;
mod route;
mod search;
mod service_accounts;
mod session;
mod settings;
mod suggest;
mod tokens;
mod users;

use failure::Failure;
use query::Query;
use route::Endpoint;
pub use session::Caller;

/// The router and what its resources need.
pub struct Api {
    /// Judges what another proxy asks about.
    pub authorizer: Authorizer,
    /// The API keys.
    pub keys: Arc<Keys>,
    /// The users.
    pub users: Arc<Users>,
    /// The token service.
    pub tokens: Arc<Tokens>,
    /// The roles.
    pub roles: Arc<Roles>,
    /// Sessions over pairs of the cluster's.
    pub sessions: Arc<Sessions>,
    /// Tokens of service accounts.
    pub service_accounts: Arc<ServiceAccounts>,
    /// What else is kept by name.
    pub documents: Documents,
    /// Prove whom a grant is for.
    pub realms: Arc<Realms>,
    /// Sign what the cluster is told of callers.
    pub issuers: Vec<Arc<Issuer>>,
    /// Told of every change.
    pub audit: Audit,
    /// Tells the time.
    pub clock: Clock,
    /// Bounds what is read.
    pub limits: Arc<ArcSwap<Limits>>,
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").finish_non_exhaustive()
    }
}

/// A request of a proven caller, read whole.
struct Call<'a> {
    parts: &'a Parts,
    principal: &'a Principal,
    caller: &'a Caller,
    peer: &'a Peer,
    query: Query,
    /// What stands for the names of its route, decoded.
    names: Vec<String>,
    body: Bytes,
}

/// What an endpoint answers.
struct Reply {
    status: StatusCode,
    body: Value,
}

impl Api {
    /// Answers a request of a proven caller. `ask` gets the cluster's answer to what the authorizer wants to know.
    pub async fn answer(
        &self,
        request: Request<Body>,
        caller: impl Into<Caller>,
        peer: &Peer,
        ask: impl AsyncFn(Permit) -> Option<Bytes>,
    ) -> Response<Body> {
        let caller = caller.into();
        let principal = &caller.principal;
        let (parts, body) = request.into_parts();
        let facts = facts(&parts);
        let decision = decision::serves(parts.uri.path());
        // What a decision is asked about has media types of its own.
        if !decision && let Err(exception) = media::check(&parts.headers, !matches!(body, Body::Empty)) {
            // Headers that make no sense do not shape the answer either.
            return Failure::from(exception).response(&RequestFacts { accept: None, content_type: None, ..facts });
        }
        let served = if principal.privileges.is_workflow_restricted() {
            // Nothing here belongs to a workflow, not even what everybody may ask.
            let action = route::action(&parts.method, parts.uri.path()).unwrap_or(ANY_ACTION);
            Err(Rejection::from(AuthorizeError::workflow(principal, action)).into())
        } else if decision {
            decision::decide(self, &parts, principal, peer)
        } else {
            self.serve(&parts, body, &caller, peer, ask).await
        };
        match served {
            Ok(response) => response,
            Err(failure) => {
                if let Failure::Rejection(rejection) = &failure {
                    self.note(rejection, &parts, principal, peer);
                }
                failure.response(&facts)
            }
        }
    }

    /// Answers what needs no credentials: `OPTIONS`, and whoever reads public keys, where there are any.
    #[must_use]
    pub fn public(&self, route: Route, parts: &Parts) -> Option<Response<Body>> {
        match route {
            Route::Gateway | Route::Security if parts.method == Method::OPTIONS => Some(options(parts)),
            Route::Gateway if jwks::serves(parts.uri.path()) && !self.issuers.is_empty() => {
                Some(jwks::answer(self, parts))
            }
            Route::Cluster | Route::Gateway | Route::Security => None,
        }
    }

    /// Why a caller is not known, in the words for what it asks for here.
    #[must_use]
    pub fn refusal(error: IdentifyError, parts: &Parts) -> Rejection {
        match (error, route::action(&parts.method, parts.uri.path())) {
            (IdentifyError::RunAs { caller, target }, Some(action)) => {
                AuthorizeError::run_as(&caller, &target, action).into()
            }
            (error, _) => error.into(),
        }
    }

    async fn serve(
        &self,
        parts: &Parts,
        body: Body,
        caller: &Caller,
        peer: &Peer,
        ask: impl AsyncFn(Permit) -> Option<Bytes>,
    ) -> Result<Response<Body>, Failure> {
        let principal = &caller.principal;
        let mut query = Query::parse(parts.uri.query().unwrap_or_default())?;
        query.flag("error_trace").map_err(|_| {
            let value = query.text("error_trace").unwrap_or_default();
            let text = format!("Failed to parse value [{value}] as only [true] or [false] are allowed.");
            Failure::Text { status: StatusCode::BAD_REQUEST, text, numbered: true }
        })?;
        query.flag("pretty")?;
        query.flag("human")?;
        let filter = query.filled("filter_path");
        let matched = route::find(&parts.method, parts.uri.path(), facts(parts).target)?;
        let body = self.read(parts, body).await?;
        if !body.is_empty() {
            media::check_body(&parts.headers)?;
        }
        let endpoint = matched.route.endpoint;
        let mut call = Call { parts, principal, caller, peer, query, names: matched.names, body };
        if let (Endpoint::Keys, "GET") = (endpoint, parts.method.as_str()) {
            return self.keys(&mut call, filter.as_deref()).await;
        }
        let mut reply = match (endpoint, parts.method.as_str()) {
            (Endpoint::ActivateProfile, _) => self.activate_profile(&mut call).await,
            (Endpoint::ApplicationPrivilege, "DELETE") => self.delete_privileges(&mut call).await,
            (Endpoint::ApplicationPrivilege | Endpoint::ApplicationPrivileges, _) | (Endpoint::Privileges, "GET") => {
                self.privileges(&mut call).await
            }
            (Endpoint::Authenticate, _) => authenticate::authenticate(&call),
            (Endpoint::BuiltinPrivileges, _) => rights::builtin(&mut call),
            (Endpoint::CloneKey, _) => self.clone_key(&mut call).await,
            (Endpoint::CrossClusterKey, _) => self.update_cross_cluster_key(&mut call).await,
            (Endpoint::CrossClusterKeys, _) => self.create_cross_cluster_key(&mut call).await,
            (Endpoint::DelegatePki, _) => settings::delegate_pki(&mut call),
            (Endpoint::DisableProfile, _) => self.enable_profile(&mut call, false).await,
            (Endpoint::DisableUser, _) => self.enable_user(&mut call, false).await,
            (Endpoint::Explain, _) => self.explain(&mut call, principal, ask).await,
            (Endpoint::EnableProfile, _) => self.enable_profile(&mut call, true).await,
            (Endpoint::EnableUser, _) => self.enable_user(&mut call, true).await,
            (Endpoint::Enroll, _) => settings::enroll(),
            (Endpoint::GrantKey, _) => self.grant_key(&mut call).await,
            (Endpoint::Key, _) => self.update_key(&mut call).await,
            (Endpoint::InvalidateSessions, _) => self.invalidate_sessions(&mut call).await,
            (Endpoint::KeyCache, _) => keys::clear_cache(&mut call),
            (Endpoint::Keys, "DELETE") => self.invalidate_keys(&mut call).await,
            (Endpoint::Keys, _) => self.create_key(&mut call).await,
            (Endpoint::ListPrivileges, _) => self.list_privileges(&mut call).await,
            (Endpoint::OwnPrivileges, _) => self.has_privileges(&mut call).await,
            (Endpoint::Password, _) => self.change_password(&mut call).await,
            (Endpoint::PrivilegeCache, _) => caches::clear_privileges(&mut call),
            (Endpoint::Privileges, _) => self.put_privileges(&mut call).await,
            (Endpoint::ProfileData, _) => self.put_profile_data(&mut call).await,
            (Endpoint::ProfilePrivileges, _) => self.profile_privileges(&mut call).await,
            (Endpoint::Profiles, _) => self.profiles(&mut call).await,
            (Endpoint::QueryKeys, _) => self.query_keys(&mut call).await,
            (Endpoint::QueryRoles, _) => self.query_roles(&mut call).await,
            (Endpoint::QueryUsers, _) => self.query_users(&mut call).await,
            (Endpoint::RealmCache, _) => caches::clear_realms(self, &mut call),
            (Endpoint::Role | Endpoint::Roles, "GET") => self.roles(&mut call).await,
            (Endpoint::Role, "DELETE") => self.delete_role(&mut call).await,
            (Endpoint::Role, _) => self.put_role(&mut call).await,
            (Endpoint::RoleCache, _) => caches::clear_roles(&mut call),
            (Endpoint::RoleMapping, "GET") | (Endpoint::RoleMappings, _) => self.role_mappings(&mut call).await,
            (Endpoint::RoleMapping, "DELETE") => self.delete_role_mapping(&mut call).await,
            (Endpoint::RoleMapping, _) => self.put_role_mapping(&mut call).await,
            (Endpoint::Roles, "DELETE") => self.delete_roles(&mut call).await,
            (Endpoint::Roles, _) => self.put_roles(&mut call).await,
            (Endpoint::ServiceAccounts, _) => service_accounts::list(&mut call),
            (Endpoint::ServiceCredentials, _) => self.service_credentials(&mut call).await,
            (Endpoint::ServiceToken, "DELETE") => self.delete_service_token(&mut call).await,
            (Endpoint::NewServiceToken | Endpoint::ServiceToken, _) => self.create_service_token(&mut call).await,
            (Endpoint::ServiceTokenCache, _) => caches::clear_service_tokens(&mut call),
            (Endpoint::Session, _) => self.session(&mut call).await,
            (Endpoint::SessionById, _) => self.one_session(&mut call).await,
            (Endpoint::Sessions, _) => self.list_sessions(&mut call).await,
            (Endpoint::Settings, "GET") => self.settings(&mut call).await,
            (Endpoint::Settings, _) => self.put_settings(&mut call).await,
            (Endpoint::SuggestProfiles, _) => self.suggest_profiles(&mut call).await,
            (Endpoint::Token, "DELETE") => self.invalidate_tokens(&mut call).await,
            (Endpoint::Token, _) => self.grant_token(&mut call).await,
            (Endpoint::UpdateKeys, _) => self.update_keys(&mut call).await,
            (Endpoint::User, "GET") | (Endpoint::Users, _) => self.users(&mut call).await,
            (Endpoint::User, "DELETE") => self.delete_user(&mut call).await,
            (Endpoint::User, _) => self.put_user(&mut call).await,
        }?;
        if let Some(filter) = filter {
            reply.body = filter::apply(reply.body, &filter);
        }
        Ok(es::answer(reply.status, &reply.body, &facts(parts)))
    }

    /// Reads a body, inflated, within bounds of size and time.
    async fn read(&self, parts: &Parts, body: Body) -> Result<Bytes, Failure> {
        let (limit, patience) = {
            let limits = self.limits.load();
            (limits.body_bytes.min(LARGEST), limits.idle_timeout)
        };
        let bytes = tokio::time::timeout(patience, body.read(limit)).await.map_err(|_| BodyError::Stalled)??;
        match parts.headers.get(header::CONTENT_ENCODING).map(HeaderValue::as_bytes) {
            None | Some(b"" | b"identity") => Ok(bytes),
            Some(b"gzip") => {
                let mut inflated = Vec::new();
                flate2::read::MultiGzDecoder::new(&*bytes)
                    .take(limit + 1)
                    .read_to_end(&mut inflated)
                    .map_err(|_| Exception::argument("the request body is not valid gzip"))?;
                if inflated.len() as u64 > limit {
                    return Err(BodyError::TooLarge { limit }.into());
                }
                Ok(inflated.into())
            }
            Some(_) => {
                let text = "Content-Encoding is not supported".to_owned();
                Err(Failure::Text { status: StatusCode::UNSUPPORTED_MEDIA_TYPE, text, numbered: true })
            }
        }
    }

    /// Tells the auditors of a change that was made.
    fn record(&self, call: &Call<'_>, action: &'static str, change: Value) {
        self.audit.record(&AuditEvent { change: Some(change), ..event(action, call.parts, call.principal, call.peer) });
    }

    /// Tells the auditors of a denial, and the log of a store that fails.
    fn note(&self, rejection: &Rejection, parts: &Parts, principal: &Principal, peer: &Peer) {
        match rejection {
            Rejection::Authorize(_) => self.audit.record(&event("access_denied", parts, principal, peer)),
            Rejection::Store(error) => tracing::warn!(%error, "the security API cannot use its store"),
            _ => {}
        }
    }
}

impl Call<'_> {
    fn path(&self) -> &str {
        self.parts.uri.path()
    }

    /// Path and query, as sent.
    fn target(&self) -> Box<str> {
        facts(self.parts).target.into()
    }

    /// What stands for the name at that place of the route; empty where the route has none.
    fn name(&self, place: usize) -> &str {
        self.names.get(place).map_or("", String::as_str)
    }

    /// # Errors
    ///
    /// There is none.
    fn required_body(&self) -> Result<&[u8], Exception> {
        if self.body.is_empty() { Err(Exception::parse("request body is required")) } else { Ok(&self.body) }
    }

    /// # Errors
    ///
    /// There is one.
    fn refuse_body(&self) -> Result<(), Exception> {
        if self.body.is_empty() {
            return Ok(());
        }
        let (method, path) = (&self.parts.method, self.path());
        Err(Exception::argument(format!("request [{method} {path}] does not support having a body")))
    }
}

impl Reply {
    fn ok(body: Value) -> Self {
        Self { status: StatusCode::OK, body }
    }
}

/// Answers `OPTIONS`, which needs no credentials.
fn options(parts: &Parts) -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=UTF-8"));
    if let Ok(allowed) = HeaderValue::from_str(&route::allowed(parts.uri.path())) {
        headers.insert(header::ALLOW, allowed);
    }
    es::sign(&mut response, facts(parts).opaque_id);
    response
}

fn facts(parts: &Parts) -> RequestFacts<'_> {
    RequestFacts {
        target: parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str),
        accept: parts.headers.get(header::ACCEPT),
        content_type: parts.headers.get(header::CONTENT_TYPE),
        opaque_id: parts.headers.get("x-opaque-id"),
    }
}

fn event<'a>(action: &'static str, parts: &'a Parts, principal: &'a Principal, peer: &Peer) -> AuditEvent<'a> {
    AuditEvent {
        client: peer.client_ip(&parts.headers),
        method: Some(parts.method.as_str()),
        path: Some(parts.uri.path()),
        opaque_id: facts(parts).opaque_id.and_then(|value| value.to_str().ok()),
        ..AuditEvent::by(action, principal)
    }
}

/// More than any body of this API needs.
const LARGEST: u64 = 1 << 20;

#[cfg(test)]
mod tests;

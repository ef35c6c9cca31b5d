//! `/_security/api_key/grant` and `/_security/api_key/clone`: keys on behalf of whoever a credential in the body is of (API
//! page sections 4.3 and 4.4).

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::{Map, json};

use crate::{
    api::{
        Api, Call, Reply,
        access::{self, Action},
        descriptor::Fault,
        failure::{Failure, INVALID_REQUEST, Validation},
        form::{self, Form},
        json::{Field, Position, Tree},
        keys::{
            create::{MEMBERS, check_derived},
            wanted::Wanted,
        },
    },
    authorize::{AUTHENTICATE, AuthorizeError},
    identify::{Evidence, IdentifyError, presented::Presented},
    keys::NewKey,
    model::Principal,
    respond::{Exception, Rejection, es},
    secret::SecretText,
    store::KeyFilter,
};

impl Api {
    /// Makes a key for the user whose credentials the body holds, or for one that this user may run as.
    pub(in crate::api) async fn grant_key(&self, call: &mut Call<'_>) -> Result<Reply, Failure> {
        let grant = Grant::read(call.required_body()?)?;
        call.query.refresh()?;
        call.query.finish(call.path())?;
        grant.validate()?;
        access::require(call.principal, &GRANT).map_err(Rejection::from)?;

        let presented = grant.presented();
        let client = grant.client.as_ref().map(|client| &*client.value);
        let proven = self.prove(call, &presented, client, GRANT.name, NOT_GRANTED).await?;
        let owner = match &grant.run_as {
            None => proven,
            Some(username) => self.run_as(call, &proven, username).await?,
        };
        let new = self.new_key(grant.key, &owner).await?;
        let extra = json!({
            "grant": { "type": grant.kind, "user": owner.identity.username, "realm": owner.own_realm().name },
            "created_by": { "user": call.principal.identity.username, "realm": call.principal.own_realm().name },
        });
        self.make_key(call, new, extra.as_object().cloned().unwrap_or_default()).await
    }

    /// Makes a key that may what another may, whose secret the caller holds.
    pub(in crate::api) async fn clone_key(&self, call: &mut Call<'_>) -> Result<Reply, Failure> {
        let form = Form::read("clone_api_key_request", call.required_body()?)?;
        let members = &["api_key", "expiration", "metadata", "name"];
        let wanted = Wanted::read(&form, members, Position::START).map_err(|fault| fault.cause)?;
        Wanted::require(&[("api_key", wanted.api_key.is_none())])?;
        call.query.refresh()?;
        call.query.finish(call.path())?;
        let mut validation = Validation::default();
        if wanted.name.is_some() {
            wanted.judge_name(&mut validation);
        }
        wanted.judge(&mut validation);
        validation.finish(INVALID_REQUEST)?;
        access::require(call.principal, &CLONE).map_err(Rejection::from)?;

        let header = format!("ApiKey {}", wanted.api_key.as_deref().unwrap_or_default());
        let failed = |cause| not_proven(cause, CLONE.name, NOT_CLONED);
        let presented = Presented::read(Some(header.as_bytes())).map_err(failed)?;
        let proven = self.prove(call, &presented, None, CLONE.name, NOT_CLONED).await?;
        let key = access::key(&proven).ok_or_else(|| failed(IdentifyError::Missing))?;
        let source = self.keys.find(&KeyFilter::id(key.id.clone()), &crate::store::Page::first(1)).await?.pop();
        let source = source.ok_or_else(|| failed(IdentifyError::Missing))?;
        check_derived(Some(&source.role_descriptors), call.principal)?;
        let new = NewKey {
            name: wanted.name.map_or(source.name, Into::into),
            life: wanted.life,
            role_descriptors: (*source.role_descriptors).clone(),
            limited_by: (*source.limited_by).clone(),
            metadata: wanted.metadata.unwrap_or(source.metadata),
            creator: source.creator,
            access: None,
        };
        self.make_key(call, new, Map::from_iter([("clone_of".to_owned(), json!(source.id))])).await
    }

    /// Whose a credential is that the body holds.
    async fn prove(
        &self,
        call: &Call<'_>,
        presented: &Presented,
        client: Option<&str>,
        action: &str,
        failure: &'static str,
    ) -> Result<Arc<Principal>, Failure> {
        let mut headers: HeaderMap = call.parts.headers.clone();
        headers.remove(CLIENT_AUTHENTICATION);
        if let Some(value) = client.and_then(|secret| HeaderValue::try_from(format!("SharedSecret {secret}")).ok()) {
            headers.insert(CLIENT_AUTHENTICATION, value);
        }
        let proven = self.realms.prove(presented, &evidence(call, &headers)).await;
        proven.map_err(|error| not_proven(error, action, failure))
    }

    /// Whom a grant is for in the end: a user that the one who was proven may run as.
    async fn run_as(
        &self,
        call: &Call<'_>,
        proven: &Arc<Principal>,
        username: &str,
    ) -> Result<Arc<Principal>, Failure> {
        match self.realms.run_as(proven, username, &evidence(call, &call.parts.headers)).await {
            Ok(acting) if *acting.identity.username == *username.trim() => Ok(acting),
            // It is of those who run as nobody.
            Ok(_) => {
                let text = "the provided grant credentials do not support run-as";
                Err(Exception::new("status_exception", text).into())
            }
            Err(IdentifyError::RunAs { caller, target }) => {
                Err(Rejection::from(AuthorizeError::run_as(&caller, &target, AUTHENTICATE)).into())
            }
            Err(error) => Err(not_proven(error, GRANT.name, NOT_GRANTED)),
        }
    }
}

fn evidence<'a>(call: &Call<'a>, headers: &'a HeaderMap) -> Evidence<'a> {
    let parts = call.parts;
    Evidence { method: &parts.method, headers, target: parts.uri.path(), peer: call.peer, strangers_pass: false }
}

/// A 403, never a 401: the caller's own credentials are good. What is no fault of the credentials stays as it is.
fn not_proven(error: IdentifyError, action: &str, failure: &'static str) -> Failure {
    let reason = match &error {
        IdentifyError::KeyKind(_) | IdentifyError::TokenExpired => error.to_string(),
        IdentifyError::BasicEncoding(_)
        | IdentifyError::BasicValue
        | IdentifyError::Granted { .. }
        | IdentifyError::Missing
        | IdentifyError::Refused(_) => {
            format!("unable to authenticate user [_bearer_token] for action [{action}]")
        }
        IdentifyError::Password { username, .. } => {
            format!("unable to authenticate user [{username}] for action [{action}]")
        }
        IdentifyError::Busy(_)
        | IdentifyError::Silent
        | IdentifyError::Repeated { .. }
        | IdentifyError::Throttled { .. }
        | IdentifyError::Unavailable(_)
        | IdentifyError::RunAs { .. }
        | IdentifyError::Secondary(_)
        | IdentifyError::ServiceAccount { .. } => return Rejection::from(error).into(),
    };
    let cause = es::identified(Exception::new("security_exception", reason), &error, action);
    Failure::Exception(StatusCode::FORBIDDEN, Exception::new("security_exception", failure).because(cause))
}

/// What a body asks for. No `Debug`: it holds a password or a token.
#[derive(Default)]
struct Grant {
    kind: Option<String>,
    username: Option<String>,
    password: Option<SecretText>,
    access_token: Option<SecretText>,
    client: Option<ClientAuthentication>,
    run_as: Option<String>,
    key: Wanted,
}

struct ClientAuthentication {
    scheme: String,
    value: String,
}

impl Grant {
    fn read(body: &[u8]) -> Result<Self, Exception> {
        let mut form = Form::read("grant_api_key_request", body)?;
        let mut read = Self::default();
        for field in std::mem::take(&mut form.fields) {
            let text = || form.text(&field).map(str::to_owned);
            match field.name.as_str() {
                "access_token" => read.access_token = Some(SecretText::new(text()?)),
                "client_authentication" => read.client = Some(client(&form, &field)?),
                "grant_type" => read.kind = Some(text()?),
                "password" => read.password = Some(SecretText::new(text()?)),
                "run_as" => read.run_as = Some(text()?),
                "username" => read.username = Some(text()?),
                "api_key" => {
                    let end = field.node.end;
                    let Tree::Object(fields) = field.node.tree else { return Err(form.mistyped(&field)) };
                    let key = Form::of("api_key_request", fields);
                    let wanted = Wanted::read(&key, MEMBERS, end);
                    let unread = |Fault { at, cause }| form.unread(at, "api_key", cause);
                    read.key = wanted.map_err(unread)?;
                    let required = Wanted::require(&[("name", read.key.name.is_none())]);
                    required.map_err(|cause| unread(Fault { at: end, cause }))?;
                }
                _ => {
                    let known = [
                        "access_token",
                        "api_key",
                        "client_authentication",
                        "grant_type",
                        "password",
                        "run_as",
                        "username",
                    ];
                    return Err(form.unknown(&field, &known));
                }
            }
        }
        Ok(read)
    }

    fn validate(&self) -> Result<(), Exception> {
        let mut validation = Validation::default();
        self.key.judge_name(&mut validation);
        self.key.judge(&mut validation);
        let given = |text: Option<&str>| text.is_some_and(|text| !text.is_empty());
        let username = ("username", given(self.username.as_deref()), self.username.is_some());
        let secret = |secret: &Option<SecretText>| (given(secret.as_ref().map(SecretText::expose)), secret.is_some());
        let (filled, present) = secret(&self.password);
        let password = ("password", filled, present);
        let (filled, present) = secret(&self.access_token);
        let token = ("access_token", filled, present);
        let mut fields = |kind: &str, required: &[(&str, bool, bool)], refused: &[(&str, bool, bool)]| {
            for (name, filled, _) in required {
                validation.refuse(!filled, format!("[{name}] is required for grant_type [{kind}]"));
            }
            for (name, _, present) in refused {
                validation.refuse(*present, format!("[{name}] is not supported for grant_type [{kind}]"));
            }
        };
        match self.kind.as_deref() {
            Some(kind @ "password") => {
                let client = ("client_authentication", false, self.client.is_some());
                fields(kind, &[username, password], &[token, client]);
            }
            Some(kind @ "access_token") => {
                fields(kind, &[token], &[username, password]);
                validation.refuse(
                    self.client.as_ref().is_some_and(|client| client.scheme != "SharedSecret"),
                    "[client_authentication.scheme] must be set to [SharedSecret]",
                );
            }
            Some(other) => validation.refuse(true, format!("grant_type [{other}] is not supported")),
            None => validation.refuse(true, "[grant_type] is required"),
        }
        validation.finish(INVALID_REQUEST)
    }

    fn presented(&self) -> Presented {
        match (&self.access_token, &self.username, &self.password) {
            (Some(token), ..) => Presented::Bearer(token.clone()),
            (None, Some(username), Some(password)) => {
                Presented::Basic { username: username.as_str().into(), password: password.clone() }
            }
            _ => Presented::Nothing,
        }
    }
}

fn client(form: &Form, field: &Field) -> Result<ClientAuthentication, Exception> {
    let Tree::Object(fields) = &field.node.tree else { return Err(form.mistyped(field)) };
    let (mut scheme, mut value) = (None, None);
    for member in fields {
        let unread = |cause| form.unread(member.node.at, &field.name, cause);
        let place = match member.name.as_str() {
            "scheme" => &mut scheme,
            "value" => &mut value,
            name => {
                let text = format!("[{}] [{}] unknown field [{name}]", member.at, field.name);
                return Err(unread(Exception::content(text)));
            }
        };
        match &member.node.tree {
            Tree::Text(text) => *place = Some(text.clone()),
            _ => return Err(unread(form::mistyped("client_authentication", member))),
        }
    }
    match (scheme, value) {
        (Some(scheme), Some(value)) => Ok(ClientAuthentication { scheme, value }),
        (scheme, value) => {
            let missing: Vec<&str> = [("scheme", scheme.is_none()), ("value", value.is_none())]
                .into_iter()
                .filter_map(|(name, missing)| missing.then_some(name))
                .collect();
            let cause = Exception::argument(format!("Required [{}]", missing.join(", ")));
            Err(form.unread(field.node.end, &field.name, cause))
        }
    }
}

const GRANT: Action = Action::named("cluster:admin/xpack/security/api_key/grant");

const CLONE: Action = Action::named("cluster:admin/xpack/security/api_key/clone").concerning_own_keys();

const NOT_GRANTED: &str = "Failed to authenticate api key grant";
const NOT_CLONED: &str = "Failed to clone API key";
const CLIENT_AUTHENTICATION: HeaderName = HeaderName::from_static("es-client-authentication");

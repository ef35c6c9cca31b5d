//! `/_security/oauth2/token`: grants of tokens and their end (API page section 5).

use std::sync::Arc;

use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::{
    api::{
        Api, Call, Reply,
        access::{self, Action},
        authenticate::authentication,
        facts,
        failure::{Failure, INVALID_REQUEST, Validation},
        form::Form,
    },
    identify::{
        Evidence, IdentifyError,
        presented::{self, Presented},
    },
    model::{AuthenticationType, Principal},
    privileges::Privileges,
    respond::{Exception, Rejection},
    secret::SecretText,
    sessions::SessionId,
    store::{Client, TokenSubject},
    tokens::RefreshError,
};

impl Api {
    /// Issues a token, or a pair.
    pub(super) async fn grant_token(&self, call: &mut Call<'_>) -> Result<Reply, Failure> {
        let form = Form::read("token_request", call.required_body()?)?;
        let texts = texts(&form, MEMBERS)?;
        call.query.finish(call.path())?;
        let grant = texts.get("grant_type").and_then(|value| value.as_str()).unwrap_or_default();
        validate(grant, &texts)?;
        let action = if grant == "refresh_token" { &REFRESH } else { &CREATE };
        access::require(call.principal, action).map_err(Rejection::from)?;
        let text = |name| texts.get(name).and_then(|value| value.as_str()).unwrap_or_default();
        let principal = call.principal;
        if let Some(broker) = &call.caller.broker {
            return self.broker_grant(call, broker, (grant, text("username"), text("password"))).await;
        }
        let client = Client::of(principal);
        let (issued, shown) = match grant {
            "_kerberos" => return Err(kerberos(text("kerberos_ticket"))),
            "client_credentials" if principal.service_token.is_some() => {
                let text = "OAuth2 token creation is not supported for service accounts";
                return Err(Failure::Exception(StatusCode::INTERNAL_SERVER_ERROR, Exception::new("exception", text)));
            }
            "client_credentials" => {
                (self.tokens.issue(TokenSubject::of(principal), client).await?, issued_to(principal))
            }
            "password" => {
                let user = self.prove_user(call, text("username"), text("password")).await?;
                (self.tokens.issue_pair(TokenSubject::of(&user), client).await?, issued_to(&user))
            }
            // Nothing else passed the validation.
            _ => {
                let refreshed = self.tokens.refresh(text("refresh_token"), client).await;
                let (issued, subject) = refreshed.map_err(|error| match error {
                    RefreshError::Refused(refusal) => {
                        Failure::Grant { error: "invalid_grant", description: refusal.to_string() }
                    }
                    RefreshError::Store(error) => error.into(),
                })?;
                (issued, issued_to(&refreshed_principal(subject)))
            }
        };
        self.record(call, "create_token", json!({ "token": { "grant_type": grant } }));
        let mut body = Map::new();
        body.insert("access_token".into(), issued.token.expose().into());
        body.insert("type".into(), "Bearer".into());
        // A pair that is given again is told to live as long, as in the original: answers are alike.
        body.insert("expires_in".into(), self.tokens.lifetime().as_secs().into());
        if let Some(refresh) = issued.refresh {
            body.insert("refresh_token".into(), refresh.expose().into());
        }
        if texts.contains_key("scope") {
            body.insert("scope".into(), "full".into());
        }
        body.insert("authentication".into(), shown);
        Ok(Reply::ok(body.into()))
    }

    /// Whose name and password these are.
    async fn prove_user(&self, call: &Call<'_>, username: &str, password: &str) -> Result<Arc<Principal>, Failure> {
        let presented = Presented::Basic { username: username.into(), password: SecretText::new(password.to_owned()) };
        let evidence = Evidence {
            method: &call.parts.method,
            headers: &call.parts.headers,
            target: facts(call.parts).target,
            peer: call.peer,
            strangers_pass: false,
        };
        let proven = self.realms.prove(&presented, &evidence).await;
        proven.map_err(|error| match error {
            IdentifyError::Password { username, .. } => unable(username),
            other => Rejection::from(other).into(),
        })
    }

    /// Ends a token; returns once no cache takes it any more.
    pub(super) async fn invalidate_tokens(&self, call: &mut Call<'_>) -> Result<Reply, Failure> {
        let form = Form::read("invalidate_token", call.required_body()?)?;
        let texts = texts(&form, &["realm_name", "refresh_token", "token", "username"])?;
        let filled = |name| texts.get(name).and_then(|value| value.as_str()).filter(|text| !text.is_empty());
        let (token, refresh) = (filled("token"), filled("refresh_token"));
        let by_user = filled("username").is_some() || filled("realm_name").is_some();
        if token.is_some() && refresh.is_some() {
            let cause = Exception::argument("only one of [token, refresh_token] may be sent per request");
            return Err(form.unbuilt(cause).into());
        }
        call.query.finish(call.path())?;
        let given = token.is_some() || refresh.is_some();
        let mut validation = Validation::default();
        validation
            .refuse(!given && !by_user, "token string must be provided when not specifying a realm name or a username");
        for what in ["string", "type"] {
            validation.refuse(
                given && by_user,
                format!("token {what} must not be provided when realm name or username is specified"),
            );
        }
        validation.finish(INVALID_REQUEST)?;
        if let Some(id) = token.and_then(SessionId::of_handle) {
            return self.end_brokered(call, &id, &INVALIDATE).await;
        }
        access::require(call.principal, &INVALIDATE).map_err(Rejection::from)?;
        let done = match (token, refresh) {
            (Some(token), _) => self.tokens.invalidate(token).await?,
            (_, Some(refresh)) => self.tokens.invalidate_refresh(refresh).await?,
            _ => self.tokens.invalidate_of(filled("username"), filled("realm_name")).await?,
        };
        let (now, before) = (done.invalidated, done.previously);
        if now > 0 {
            let owner =
                ["username", "realm_name"].into_iter().filter_map(|name| Some((name.into(), filled(name)?.into())));
            self.record(call, "invalidate_token", json!({ "token": owner.collect::<Map<_, _>>() }));
        }
        let status = if given && now + before == 0 { StatusCode::NOT_FOUND } else { StatusCode::OK };
        let body = json!({ "invalidated_tokens": now, "previously_invalidated_tokens": before, "error_count": 0 });
        Ok(Reply { status, body })
    }
}

/// Whom a token stands for, as answers show it: with its own roles only (API page section 2.7).
fn issued_to(principal: &Principal) -> Value {
    authentication(principal, principal.own_roles())
}

/// Whom a refreshed pair stands for, as answers show it: what it may do does not matter there.
fn refreshed_principal(subject: TokenSubject) -> Principal {
    let TokenSubject { identity, realm, lookup_realm, service_token, .. } = subject;
    let principal = Principal::new(identity, realm, AuthenticationType::Token, Privileges::default());
    Principal { lookup_realm, service_token, ..principal }
}

/// What a server says that has no Kerberos realm. A bad ticket is no fault of ours, though the original says so (500).
fn kerberos(ticket: &str) -> Failure {
    match presented::decode(ticket.as_bytes()) {
        Ok(_) => unable("<Kerberos Token>".into()),
        Err(error) => {
            let text = format!("could not decode base64 kerberos ticket {ticket}");
            let cause = Exception::argument(error.to_string());
            Exception::new("unsupported_operation_exception", text).because(cause).into()
        }
    }
}

fn unable(username: Box<str>) -> Failure {
    Rejection::from(IdentifyError::Granted { username, action: CREATE_NAME }).into()
}

/// The members of a body that holds nothing but texts.
pub(super) fn texts(form: &Form, known: &[&str]) -> Result<Map<String, Value>, Exception> {
    form.fields
        .iter()
        .map(|field| {
            if !known.contains(&field.name.as_str()) {
                return Err(form.unknown(field, known));
            }
            Ok((field.name.clone(), form.text(field)?.into()))
        })
        .collect()
}

/// Refuses members that do not go with a grant, in the words of RFC 6749.
pub(super) fn validate(grant: &str, texts: &Map<String, Value>) -> Result<(), Failure> {
    let mut validation = Validation::default();
    let needs: &[&str] = match grant {
        "client_credentials" => &[],
        "_kerberos" => &["kerberos_ticket"],
        "password" => &["username", "password"],
        "refresh_token" => &["refresh_token"],
        _ => {
            validation.refuse(
                true,
                "grant_type only supports the values: [password, _kerberos, refresh_token, client_credentials]",
            );
            return refuse(&validation);
        }
    };
    let members = ["username", "password", "kerberos_ticket", "refresh_token"];
    for member in members.into_iter().filter(|member| !needs.contains(member)) {
        let text = format!("{member} is not supported with the {grant} grant_type");
        validation.refuse(texts.contains_key(member), text);
    }
    for member in needs {
        let missing = texts.get(*member).and_then(|value| value.as_str()).is_none_or(str::is_empty);
        validation.refuse(missing, format!("{member} is missing"));
    }
    refuse(&validation)
}

fn refuse(validation: &Validation) -> Result<(), Failure> {
    let Some(description) = validation.text() else { return Ok(()) };
    let error = if description.contains("grant_type") { "unsupported_grant_type" } else { "invalid_request" };
    Err(Failure::Grant { error, description })
}

/// Members of a grant, in the order of the alphabet.
pub(super) const MEMBERS: &[&str] =
    &["grant_type", "kerberos_ticket", "password", "refresh_token", "scope", "username"];

const CREATE_NAME: &str = "cluster:admin/xpack/security/token/create";
const CREATE: Action = Action::named(CREATE_NAME);

const REFRESH: Action = Action::named("cluster:admin/xpack/security/token/refresh");

const INVALIDATE: Action = Action::named("cluster:admin/xpack/security/token/invalidate");

//! `/_security/oauth2/token`: `client_credentials` grants and their end (API page section 5).

use http::StatusCode;
use serde_json::{Map, json};

use crate::{
    api::{
        Api, Call, Reply,
        access::{self, Action},
        authenticate::authentication,
        failure::{Failure, INVALID_REQUEST, Validation},
        form::Form,
    },
    model::Principal,
    respond::{Exception, Rejection},
    store::{Client, TokenSubject},
    tokens::TokenVerdict,
};

impl Api {
    /// Issues a token for the caller itself.
    pub(super) async fn grant_token(&self, call: &mut Call<'_>) -> Result<Reply, Failure> {
        let form = Form::read("token_request", call.required_body()?)?;
        let texts = texts(&form, &["grant_type", "kerberos_ticket", "password", "refresh_token", "scope", "username"])?;
        call.query.finish(call.path())?;
        let grant = texts.get("grant_type").and_then(|value| value.as_str()).unwrap_or_default();
        validate(grant, &texts)?;
        let action = if grant == "refresh_token" { &REFRESH } else { &CREATE };
        access::require(call.principal, action).map_err(Rejection::from)?;
        match grant {
            "client_credentials" => {}
            // None is ever issued here.
            "refresh_token" => {
                let description = "could not refresh the requested token".to_owned();
                return Err(Failure::Grant { error: "invalid_grant", description });
            }
            other => {
                let description = format!("grant_type [{other}] is not supported");
                return Err(Failure::Grant { error: "unsupported_grant_type", description });
            }
        }

        let principal = call.principal;
        let issued = self.tokens.issue(subject(principal), client(principal)).await?;
        self.record(call, "create_token", json!({ "token": { "grant_type": grant } }));
        let left = issued.expiration.as_millis().saturating_sub(self.clock.now().as_millis());
        let mut body = Map::new();
        body.insert("access_token".into(), issued.token.expose().into());
        body.insert("type".into(), "Bearer".into());
        body.insert("expires_in".into(), left.div_ceil(1_000).into());
        if texts.contains_key("scope") {
            body.insert("scope".into(), "full".into());
        }
        body.insert("authentication".into(), authentication(principal));
        Ok(Reply::ok(body.into()))
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
        access::require(call.principal, &INVALIDATE).map_err(Rejection::from)?;
        if by_user {
            let text = "invalidating tokens by realm name or username is not supported";
            return Err(Exception::argument(text).into());
        }

        // No refresh token is ever issued here: one is as unknown as a garbled token.
        let (now, before) = match token {
            Some(token) if self.tokens.invalidate(token).await? => (1, 0),
            Some(token) if matches!(self.tokens.verify(token).await?, TokenVerdict::Expired) => (0, 1),
            _ => (0, 0),
        };
        if now == 1 {
            self.record(call, "invalidate_token", json!({ "token": {} }));
        }
        let status = if now + before == 0 { StatusCode::NOT_FOUND } else { StatusCode::OK };
        let body = json!({ "invalidated_tokens": now, "previously_invalidated_tokens": before, "error_count": 0 });
        Ok(Reply { status, body })
    }
}

fn subject(principal: &Principal) -> TokenSubject {
    TokenSubject {
        identity: principal.identity.clone(),
        realm: principal.realm.clone(),
        lookup_realm: principal.lookup_realm.clone(),
        api_key: access::key(principal).map(|key| key.id.clone()),
        service_token: principal.service_token.clone(),
        run_by: principal.run_by.as_ref().map(|by| Box::new(subject(by))),
    }
}

fn client(principal: &Principal) -> Client {
    Client {
        username: principal.identity.username.clone(),
        realm: (*principal.own_realm().name).into(),
        api_key: access::key(principal).map(|key| key.id.clone()),
    }
}

/// The members of a body that holds nothing but texts.
fn texts(form: &Form, known: &[&str]) -> Result<Map<String, serde_json::Value>, Exception> {
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
fn validate(grant: &str, texts: &Map<String, serde_json::Value>) -> Result<(), Failure> {
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

const CREATE: Action = Action::named("cluster:admin/xpack/security/token/create");

const REFRESH: Action = Action::named("cluster:admin/xpack/security/token/refresh");

const INVALIDATE: Action = Action::named("cluster:admin/xpack/security/token/invalidate");

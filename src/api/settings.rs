//! `/_security/settings`, `/_security/enroll`, `/_security/delegate_pki` (API page section 10).

use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::{
    api::{
        Api, Call, Reply,
        access::{self, Action},
        failure::{Failure, INVALID_REQUEST, Validation},
        form::Form,
        json::{Tree, values},
    },
    respond::{Exception, Rejection, es::CHALLENGES},
    store::DocumentKind,
};

mod certificates;

impl Api {
    /// Tells of the settings of each part. They shape nothing here: they are kept for whoever asks for them.
    pub(super) async fn settings(&self, call: &mut Call<'_>) -> Result<Reply, Failure> {
        call.query.text("master_timeout");
        call.query.finish(call.path())?;
        call.refuse_body()?;
        access::require(call.principal, &GET).map_err(Rejection::from)?;
        let mut shown = Map::new();
        for part in PARTS {
            let stored = self.documents.find(DocumentKind::Setting, part).await?;
            shown.insert(part.to_owned(), nested(stored.as_ref()));
        }
        Ok(Reply::ok(shown.into()))
    }

    /// Changes settings; null removes one.
    pub(super) async fn put_settings(&self, call: &mut Call<'_>) -> Result<Reply, Failure> {
        let wanted = read(call.required_body()?)?;
        call.query.text("master_timeout");
        call.query.text("timeout");
        call.query.finish(call.path())?;
        judge(&wanted).finish(INVALID_REQUEST)?;
        access::require(call.principal, &PUT).map_err(Rejection::from)?;
        let mut documents = Vec::new();
        for (part, given) in wanted {
            let stored = self.documents.find(DocumentKind::Setting, &part).await?;
            let mut settings = stored.and_then(|stored| stored.as_object().cloned()).unwrap_or_default();
            for (name, value) in given {
                match value {
                    Value::Null => drop(settings.remove(&name)),
                    Value::String(text) => drop(settings.insert(name, text.into())),
                    other => drop(settings.insert(name, other.to_string().into())),
                }
            }
            documents.push((part.into(), settings.into()));
        }
        self.documents.put(DocumentKind::Setting, documents).await?;
        Ok(Reply::ok(json!({ "acknowledged": true })))
    }
}

/// Would make a token for whoever a proxy has authenticated by certificate. No realm here trusts a proxy to do so, so
/// no chain is trusted.
pub(super) fn delegate_pki(call: &mut Call<'_>) -> Result<Reply, Failure> {
    let subject = certificates::subject(call.required_body()?)?;
    call.query.finish(call.path())?;
    let mut validation = Validation::default();
    validation.refuse(subject.is_none(), "certificates chain must not be empty");
    validation.finish(INVALID_REQUEST)?;
    access::require(call.principal, &DELEGATE).map_err(Rejection::from)?;
    let name = subject.unwrap_or_default();
    let text = format!("unable to authenticate user [{name}] for action [cluster:admin/xpack/security/delegate_pki]");
    let exception = Exception::new("security_exception", text).challenged(CHALLENGES);
    Err(Failure::Exception(StatusCode::UNAUTHORIZED, exception))
}

/// Nobody joins a cluster through here.
pub(super) fn enroll() -> Result<Reply, Failure> {
    let text =
        "Enrollment mode is not enabled. Set [xpack.security.enrollment.enabled] to true, in order to use this API.";
    Err(Failure::Exception(StatusCode::FORBIDDEN, Exception::new("security_exception", text)))
}

/// A part and its settings.
type Part = (String, Map<String, Value>);

fn read(body: &[u8]) -> Result<Vec<Part>, Exception> {
    let form = Form::read("update_security_settings_request", body)?;
    let mut read = Vec::new();
    for field in &form.fields {
        match &field.node.tree {
            _ if !PARTS.contains(&field.name.as_str()) => return Err(form.unknown(field, &PARTS)),
            Tree::Object(settings) => read.push((field.name.clone(), values(settings))),
            _ => return Err(form.mistyped(field)),
        }
    }
    Ok(read)
}

fn judge(wanted: &[Part]) -> Validation {
    let mut validation = Validation::default();
    validation.refuse(wanted.iter().all(|(_, settings)| settings.is_empty()), "No settings given to update");
    for (part, settings) in wanted {
        for name in settings.keys() {
            validation.refuse(
                !SETTINGS.contains(&name.as_str()),
                format!(
                    "illegal setting for index [{part}]: [{name}], this setting may not be configured. Only the following \
                     settings may be configured for that index: [{}]",
                    SETTINGS.join(", ")
                ),
            );
        }
    }
    validation
}

/// Dots in names become levels.
fn nested(flat: Option<&Value>) -> Value {
    let mut root = Map::new();
    for (name, value) in flat.and_then(Value::as_object).into_iter().flatten() {
        place(&mut root, name, value);
    }
    root.into()
}

fn place(members: &mut Map<String, Value>, name: &str, value: &Value) {
    match name.split_once('.') {
        None => drop(members.insert(name.to_owned(), value.clone())),
        Some((level, rest)) => {
            if let Some(inner) = members.entry(level).or_insert_with(|| json!({})).as_object_mut() {
                place(inner, rest, value);
            }
        }
    }
}

const PARTS: [&str; 3] = ["security", "security-tokens", "security-profile"];
const SETTINGS: [&str; 3] =
    ["index.auto_expand_replicas", "index.number_of_replicas", "index.routing.allocation.include._tier_preference"];
const GET: Action = Action::named("cluster:admin/xpack/security/settings/get");
const PUT: Action = Action::named("cluster:admin/xpack/security/settings/update");
const DELEGATE: Action = Action::named("cluster:admin/xpack/security/delegate_pki");

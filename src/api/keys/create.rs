//! `PUT|POST /_security/api_key`: create (API page section 4.2).

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};

use crate::{
    api::{
        Api, Call, Reply,
        access::{self, Action},
        descriptor::{self, Kind},
        failure::{Failure, INVALID_REQUEST, Validation},
        form::Form,
        json::{Field, Tree, values},
        life,
    },
    keys::NewKey,
    model::Principal,
    respond::{Exception, Rejection},
    store::Creator,
    users::Users,
};

/// What a body asks for.
struct Wanted {
    name: String,
    life: Option<Duration>,
    role_descriptors: Map<String, Value>,
    metadata: Map<String, Value>,
}

impl Api {
    /// Makes a key for the caller. Its secret is in this answer and nowhere else.
    pub(in crate::api) async fn create_key(&self, call: &mut Call<'_>) -> Result<Reply, Failure> {
        let wanted = Wanted::read(&Form::read("api_key_request", call.required_body()?)?)?;
        call.query.refresh()?;
        call.query.finish(call.path())?;
        wanted.validate()?;
        access::require(call.principal, &CREATE).map_err(Rejection::from)?;
        wanted.check_derived(call.principal)?;

        let Wanted { name, life, role_descriptors, metadata } = wanted;
        let new = NewKey {
            name: name.as_str().into(),
            life,
            limited_by: limited_by(call.principal),
            creator: creator(call.principal),
            role_descriptors,
            metadata,
        };
        let descriptors = json!(new.role_descriptors);
        let created = self.keys.create(new).await?;
        let change = json!({ "apikey": {
            "id": created.id, "name": name, "type": "rest", "expiration": created.expiration,
            "role_descriptors": descriptors,
        } });
        self.record(call, "create_apikey", change);

        let secret = created.secret.expose();
        let mut body = Map::new();
        body.insert("id".into(), json!(created.id));
        body.insert("name".into(), name.into());
        if let Some(expiration) = created.expiration {
            body.insert("expiration".into(), json!(expiration));
        }
        body.insert("api_key".into(), secret.into());
        body.insert("encoded".into(), STANDARD.encode(format!("{}:{secret}", created.id)).into());
        Ok(Reply::ok(body.into()))
    }
}

impl Wanted {
    fn read(form: &Form) -> Result<Self, Exception> {
        let (mut name, mut expiration) = (None, None);
        let (mut role_descriptors, mut metadata) = (Map::new(), Map::new());
        for field in &form.fields {
            match field.name.as_str() {
                "name" => name = Some(form.text(field)?.to_owned()),
                "expiration" => expiration = Some(form.text(field)?),
                "metadata" => match &field.node.tree {
                    Tree::Object(fields) => metadata = values(fields),
                    _ => return Err(form.mistyped(field)),
                },
                "role_descriptors" => role_descriptors = descriptors(form, field)?,
                _ => return Err(form.unknown(field, &["expiration", "metadata", "name", "role_descriptors"])),
            }
        }
        let name = name.ok_or_else(|| Exception::argument("Required [name]"))?;
        let life = expiration.map(life::parse).transpose().map_err(|cause| form.unbuilt(cause))?;
        Ok(Self { name, life, role_descriptors, metadata })
    }

    fn validate(&self) -> Result<(), Exception> {
        let mut validation = Validation::default();
        let name = self.name.as_str();
        validation.refuse(name.is_empty(), "api key name is required");
        validation.refuse(name.encode_utf16().count() > 256, "api key name may not be more than 256 characters long");
        validation.refuse(name.trim() != name, "api key name may not begin or end with whitespace");
        validation.refuse(name.starts_with('_'), "api key name may not begin with an underscore");
        validation.refuse(
            self.metadata.keys().any(|key| key.starts_with('_')),
            "API key metadata keys may not start with [_]",
        );
        for (role, descriptor) in &self.role_descriptors {
            if let Value::Object(descriptor) = descriptor {
                descriptor::validate(role, descriptor, &mut validation);
            }
        }
        validation.finish(INVALID_REQUEST)
    }

    /// A key may only make keys that can do nothing, and must say so: no descriptor at all would mean "as its owner".
    fn check_derived(&self, principal: &Principal) -> Result<(), Exception> {
        let powerless =
            !self.role_descriptors.is_empty() && self.role_descriptors.values().all(descriptor::is_powerless);
        if access::key(principal).is_none() || powerless {
            return Ok(());
        }
        Err(Exception::argument(
            "creating derived api keys requires an explicit role descriptor that is empty (has no privileges)",
        ))
    }
}

fn descriptors(form: &Form, field: &Field) -> Result<Map<String, Value>, Exception> {
    let name = field.name.as_str();
    let Tree::Object(roles) = &field.node.tree else {
        return Err(if matches!(field.node.tree, Tree::List(_)) {
            let text = format!("[{name}] doesn't support arrays. Use a single object with multiple fields.");
            form.unread(field.node.at, name, Exception::argument(text))
        } else {
            form.mistyped(field)
        });
    };
    roles
        .iter()
        .map(|role| match descriptor::read(Kind::Key, &role.name, &role.node) {
            Ok(read) => Ok((role.name.clone(), read.into())),
            Err(fault) => {
                let text = format!("[{}] [{name}] failed to parse field [{}]", fault.at, role.name);
                Err(form.unread(fault.at, name, Exception::content(text).because(fault.cause)))
            }
        })
        .collect()
}

/// The owner's descriptors now: what the key can never exceed. A key has none to give.
fn limited_by(principal: &Principal) -> Map<String, Value> {
    if access::key(principal).is_some() {
        return Map::new();
    }
    let mut descriptors = Users::descriptors(&principal.identity.roles);
    for descriptor in descriptors.values_mut().filter_map(Value::as_object_mut) {
        // A text for people, which no descriptor of a key may have.
        descriptor.remove("description");
    }
    descriptors
}

fn creator(principal: &Principal) -> Creator {
    let realm = principal.lookup_realm.as_ref().unwrap_or(&principal.realm);
    Creator { identity: principal.identity.clone(), realm: realm.clone() }
}

const CREATE: Action = Action::named("cluster:admin/xpack/security/api_key/create").concerning_own_keys();

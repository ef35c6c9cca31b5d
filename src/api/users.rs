//! `/_security/user` (API page section 7).

use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::{
    api::{
        Api, Call, Reply,
        access::{self, Action},
        failure::{Failure, INVALID_REQUEST, Validation},
        json::{self, Field, Node, Tree, values},
        names::{self, listed},
    },
    model::{AuthenticationType, Identity, Principal},
    passwords::PasswordHash,
    respond::{Exception, Rejection},
    store::UserRecord,
    users::{UsersError, is_reserved},
};

use password::{NewPassword, Slot};

mod password;
mod query;

/// What a body asks for.
#[derive(Default)]
struct Wanted {
    password: Slot,
    roles: Option<Vec<Box<str>>>,
    full_name: Option<Box<str>>,
    email: Option<Box<str>>,
    metadata: Map<String, Value>,
    disabled: bool,
}

impl From<UsersError> for Failure {
    fn from(error: UsersError) -> Self {
        match error {
            UsersError::Busy(busy) => Self::Rejection(busy.into()),
            UsersError::NoPassword => Exception::new(INVALID_USER, format!("Validation Failed: 1: {error};")).into(),
            UsersError::Store(error) => error.into(),
        }
    }
}

impl Api {
    /// Tells of users: of those named, separated by commas, or of all. 404 where none of those named exists.
    pub(super) async fn users(&self, call: &mut Call<'_>) -> Result<Reply, Failure> {
        let with_profile = call.query.flag("with_profile_uid")?;
        call.query.finish(call.path())?;
        call.refuse_body()?;
        access::require(call.principal, &GET).map_err(Rejection::from)?;
        let names = call.names.first().map(|names| listed(names)).filter(|names| !names.is_empty());
        let wanted = |name: &str| names.as_ref().is_none_or(|names| names.contains(&name));
        let profiles = self.profile_uids(with_profile).await?;
        let mut shown = Map::new();
        for user in self.users.all().await?.into_iter().filter(|user| wanted(&user.identity.username)) {
            let name = user.identity.username.to_string();
            // Users of two realms may share a name: the realm that is asked first is told of.
            if !shown.contains_key(&name) {
                let realm = if is_reserved(&name) { "reserved" } else { "native" };
                let uid = profiles.get(&(user.identity.username.clone(), realm.into()));
                shown.insert(name, show(user, uid.map(|uid| &**uid)));
            }
        }
        let status = if names.is_some() && shown.is_empty() { StatusCode::NOT_FOUND } else { StatusCode::OK };
        Ok(Reply { status, body: shown.into() })
    }

    /// Removes a user; its keys and tokens live on.
    pub(super) async fn delete_user(&self, call: &mut Call<'_>) -> Result<Reply, Failure> {
        let name = &call.name(0).to_owned();
        call.query.refresh()?;
        call.query.finish(call.path())?;
        call.refuse_body()?;
        access::require(call.principal, &DELETE).map_err(Rejection::from)?;
        if name == ANONYMOUS || is_reserved(name) {
            let kind = if name == ANONYMOUS { "anonymous" } else { "reserved" };
            return Err(Exception::argument(format!("user [{name}] is {kind} and cannot be deleted")).into());
        }
        let found = self.users.remove(name).await?;
        if found {
            self.record(call, "delete_user", json!({ "user": { "name": name } }));
        }
        let status = if found { StatusCode::OK } else { StatusCode::NOT_FOUND };
        Ok(Reply { status, body: json!({ "found": found }) })
    }

    /// Creates or replaces a user.
    pub(super) async fn put_user(&self, call: &mut Call<'_>) -> Result<Reply, Failure> {
        let name = &call.name(0).to_owned();
        let wanted = Wanted::read(name, call.required_body()?)?;
        call.query.refresh()?;
        call.query.finish(call.path())?;
        let mut validation = Validation::default();
        validation.refuse(wanted.roles.is_none(), "roles are missing");
        validation
            .refuse(wanted.metadata.keys().any(|key| key.starts_with('_')), "metadata keys may not start with [_]");
        validation.finish(INVALID_REQUEST)?;
        access::require(call.principal, &PUT).map_err(Rejection::from)?;
        let Wanted { password, roles, full_name, email, metadata, disabled } = wanted;
        let roles = roles.unwrap_or_default();
        check_names(name, &roles)?;

        let identity = Identity { username: name.as_str().into(), roles, full_name, email, metadata };
        let change = json!({ "user": {
            "name": name, "enabled": !disabled, "roles": identity.roles, "full_name": identity.full_name,
            "email": identity.email, "has_password": password.is_given(),
        } });
        let password = self.hashed(password).await?;
        let created = self.users.put_hashed(identity, password, !disabled).await?;
        self.record(call, "put_user", change);
        Ok(Reply::ok(json!({ "created": created })))
    }

    /// Enables a user or disables it. Nobody does so to their own account.
    pub(super) async fn enable_user(&self, call: &mut Call<'_>, enabled: bool) -> Result<Reply, Failure> {
        let name = call.name(0);
        call.query.finish(call.path())?;
        call.refuse_body()?;
        let mut validation = Validation::default();
        validation.refuse(!names::is_valid(name), names::rule("User"));
        validation.finish(INVALID_REQUEST)?;
        access::require(call.principal, &ENABLE).map_err(Rejection::from)?;
        if name == ANONYMOUS {
            let text = format!("user [{name}] is anonymous and cannot be modified using the api");
            return Err(Exception::argument(text).into());
        }
        // A key is not the account: it may do so for its owner.
        if *call.principal.identity.username == *name && access::key(call.principal).is_none() {
            let text = "users may not update the enabled status of their own account";
            return Err(Exception::argument(text).into());
        }
        let word = if enabled { "enabled" } else { "disabled" };
        if !self.users.change(name, None, Some(enabled)).await? {
            let mut validation = Validation::default();
            validation.refuse(true, format!("only existing users can be {word}"));
            validation.finish(INVALID_USER)?;
        }
        let (action, change) = if enabled { ("enable_user", "enable") } else { ("disable_user", "disable") };
        self.record(call, action, json!({ change: { "user": { "name": name } } }));
        Ok(Reply::ok(json!({})))
    }

    /// Changes the password of a user, or the caller's own.
    pub(super) async fn change_password(&self, call: &mut Call<'_>) -> Result<Reply, Failure> {
        let own = call.principal.identity.username.to_string();
        let name = call.names.first().cloned().unwrap_or(own);
        let password = password::read(call.required_body()?)?;
        call.query.refresh()?;
        call.query.finish(call.path())?;
        let mut validation = Validation::default();
        validation.refuse(!password.is_given(), "password is missing");
        validation.finish(INVALID_REQUEST)?;
        if !may_change_own(call.principal, &name) {
            access::require(call.principal, &PASSWORD).map_err(Rejection::from)?;
        }
        if name == ANONYMOUS {
            let text = format!("user [{name}] is anonymous and cannot be modified via the API");
            return Err(Exception::argument(text).into());
        }
        let password = self.hashed(password).await?;
        if !self.users.change(&name, password, None).await? {
            let mut validation = Validation::default();
            validation.refuse(true, "user must exist in order to change password");
            validation.finish(INVALID_USER)?;
        }
        self.record(call, "change_password", json!({ "password": { "user": { "name": name } } }));
        Ok(Reply::ok(json!({})))
    }

    async fn hashed(&self, password: Slot) -> Result<Option<PasswordHash>, Failure> {
        Ok(match password.0 {
            None => None,
            Some(NewPassword::Hash(hash)) => Some(hash),
            Some(NewPassword::Plain(text)) => Some(self.users.hash(text).await.map_err(Rejection::from)?),
        })
    }
}

impl Wanted {
    fn read(username: &str, body: &[u8]) -> Result<Self, Exception> {
        let node = json::read(body)?;
        let Some(Node { tree: Tree::Object(fields), .. }) = &node else {
            let token = node.as_ref().map_or("null", Node::token);
            return Err(Exception::parse(format!("expected an object, but found token [{token}]")));
        };
        let mut wanted = Self::default();
        for field in fields {
            match (field.name.as_str(), &field.node.tree) {
                ("password" | "password_hash", _) => wanted.password.fill(field)?,
                ("roles", _) => wanted.roles = Some(roles(&field.node)?),
                ("full_name" | "email", Tree::Null) => {}
                ("full_name", Tree::Text(text)) => wanted.full_name = Some(text.as_str().into()),
                ("email", Tree::Text(text)) => wanted.email = Some(text.as_str().into()),
                ("metadata", Tree::Object(fields)) => wanted.metadata = values(fields),
                ("metadata", _) => return Err(mistyped(field, "object")),
                ("enabled", Tree::Bool(enabled)) => wanted.disabled = !enabled,
                ("enabled", _) => return Err(mistyped(field, "boolean")),
                ("username", Tree::Text(text)) if text == username => {}
                ("username", Tree::Text(_)) => {
                    return Err(Exception::argument(format!(
                        "[username] in source does not match the username provided [{username}]"
                    )));
                }
                ("full_name" | "email" | "username", _) => return Err(mistyped(field, "string")),
                (other, _) => {
                    return Err(Exception::parse(format!(
                        "failed to parse add user request. unexpected field [{other}]"
                    )));
                }
            }
        }
        Ok(wanted)
    }
}

/// A user as it is told of.
fn show(user: UserRecord, profile: Option<&str>) -> Value {
    let Identity { username, roles, full_name, email, metadata } = user.identity;
    let mut shown = json!({
        "username": username, "roles": roles, "full_name": full_name, "email": email,
        "metadata": metadata, "enabled": user.enabled,
    });
    if let (Some(uid), Some(shown)) = (profile, shown.as_object_mut()) {
        shown.insert("profile_uid".to_owned(), json!(uid));
    }
    shown
}

/// Whether the caller may change the password of `name` because it is its own: it has shown the old one, or is run as
/// by somebody who may do so (API page section 3.4).
fn may_change_own(principal: &Principal, name: &str) -> bool {
    let direct = principal.lookup_realm.is_some() || principal.authentication == AuthenticationType::Realm;
    let here = matches!(&*principal.own_realm().kind, "native" | "reserved");
    direct && here && *principal.identity.username == *name
}

/// A list of names, or one text that is split at commas.
fn roles(node: &Node) -> Result<Vec<Box<str>>, Exception> {
    let wrong = |text: String| Exception::parse(text);
    match &node.tree {
        Tree::Text(text) => Ok(text.split(',').map(Box::from).collect()),
        Tree::List(items) => items
            .iter()
            .map(|item| match &item.tree {
                Tree::Text(text) => Ok(text.as_str().into()),
                _ => Err(wrong(format!(
                    "could not parse [null] field. expected a string array but one of the value in the array is [{}]",
                    item.token()
                ))),
            })
            .collect(),
        Tree::Null => {
            Err(wrong("could not parse [roles] field. expected a string array but found null value instead".into()))
        }
        _ => Err(wrong(format!(
            "could not parse [roles] field. expected a string array but found [{}] value instead",
            node.token()
        ))),
    }
}

fn check_names(name: &str, roles: &[Box<str>]) -> Result<(), Exception> {
    let mut validation = Validation::default();
    if name == ANONYMOUS {
        validation.refuse(true, format!("user [{name}] is anonymous and cannot be modified via the API"));
    } else if is_reserved(name) {
        validation.refuse(true, format!("user [{name}] is reserved and only the password can be changed"));
    } else {
        validation.refuse(!names::is_valid(name), names::rule("User"));
        for role in roles {
            validation.refuse(!names::is_valid(role), names::rule("Role"));
        }
    }
    validation.finish(INVALID_REQUEST)
}

pub(super) fn mistyped(field: &Field, kind: &str) -> Exception {
    let (name, token) = (&field.name, field.node.token());
    Exception::parse(format!("expected field [{name}] to be of type {kind}, but found [{token}] instead"))
}

const ANONYMOUS: &str = "_anonymous";
const INVALID_USER: &str = "validation_exception";

const GET: Action = Action::named("cluster:admin/xpack/security/user/get");
const DELETE: Action = Action::named("cluster:admin/xpack/security/user/delete");
const ENABLE: Action = Action::named("cluster:admin/xpack/security/user/set_enabled");
const PASSWORD: Action = Action::named("cluster:admin/xpack/security/user/change_password");
const PUT: Action = Action::named("cluster:admin/xpack/security/user/put");
const QUERY: Action = Action::named("cluster:admin/xpack/security/user/query");

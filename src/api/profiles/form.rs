//! The bodies of `/_security/profile` (API page section 10).

use serde_json::{Map, Value};

use crate::{
    api::{
        failure::{INVALID_REQUEST, Validation},
        form::Form,
        json::{Field, Node, Tree, values},
        rights::question,
    },
    identify::presented::Presented,
    privileges::Question,
    respond::Exception,
    secret::SecretText,
};

/// Whose profile is to be made.
#[derive(Default)]
pub(super) struct Activation {
    grant_type: Option<String>,
    username: Option<String>,
    password: Option<SecretText>,
    access_token: Option<SecretText>,
}

impl Activation {
    pub(super) fn read(body: &[u8]) -> Result<Self, Exception> {
        let form = Form::read("activate_profile_request", body)?;
        let mut read = Self::default();
        for field in &form.fields {
            let secret = |text: &str| Some(SecretText::new(text.to_owned()));
            match field.name.as_str() {
                "grant_type" => read.grant_type = Some(form.text(field)?.to_owned()),
                "username" => read.username = Some(form.text(field)?.to_owned()),
                "password" => read.password = secret(form.text(field)?),
                "access_token" => read.access_token = secret(form.text(field)?),
                _ => {
                    return Err(form.unknown(field, &["access_token", "grant_type", "password", "username"]));
                }
            }
        }
        Ok(read)
    }

    /// The credentials, when they are those that the kind of grant asks for.
    pub(super) fn presented(self) -> Result<Presented, Exception> {
        let Self { grant_type, username, password, access_token } = self;
        let mut validation = Validation::default();
        let given = [
            ("username", username.is_some()),
            ("password", password.is_some()),
            ("access_token", access_token.is_some()),
        ];
        let asked: &[&str] = match grant_type.as_deref() {
            None => {
                validation.refuse(true, "[grant_type] is required");
                &["username", "password", "access_token"]
            }
            Some("password") => &["username", "password"],
            Some("access_token") => &["access_token"],
            Some(other) => {
                validation.refuse(true, format!("grant_type [{other}] is not supported"));
                &["username", "password", "access_token"]
            }
        };
        if validation.text().is_none() {
            let kind = grant_type.as_deref().unwrap_or_default();
            let (wanted, unwanted): (Vec<_>, Vec<_>) = given.into_iter().partition(|(name, _)| asked.contains(name));
            for (name, given) in wanted {
                validation.refuse(!given, format!("[{name}] is required for grant_type [{kind}]"));
            }
            for (name, given) in unwanted {
                validation.refuse(given, format!("[{name}] is not supported for grant_type [{kind}]"));
            }
        }
        validation.finish(INVALID_REQUEST)?;
        match (username, password, access_token) {
            (Some(username), Some(password), None) => Ok(Presented::Basic { username: username.into(), password }),
            (_, _, Some(token)) => Ok(Presented::Bearer(token)),
            _ => Err(Exception::argument("no credentials")),
        }
    }
}

/// Of whom what is asked.
pub(super) struct Privileged {
    pub(super) uids: Vec<String>,
    pub(super) question: Question,
}

impl Privileged {
    pub(super) fn read(body: &[u8]) -> Result<Self, Exception> {
        const PARSER: &str = "profile_has_privileges_request";
        if body.is_empty() {
            return Err(Exception::parse("request body or source parameter is required"));
        }
        let form = Form::read(PARSER, body)?;
        let (mut uids, mut question) = (None, None);
        for field in &form.fields {
            match (field.name.as_str(), &field.node.tree) {
                ("uids", Tree::List(_) | Tree::Text(_)) => uids = Some(texts(&form, field)?),
                ("privileges", Tree::Object(_)) => {
                    let read = question::of(PARSER, &field.node);
                    question = Some(read.map_err(|fault| form.unread(fault.at, "privileges", fault.cause))?);
                }
                ("privileges" | "uids", _) => return Err(form.mistyped(field)),
                _ => return Err(form.unknown(field, &["privileges", "uids"])),
            }
        }
        match (uids, question) {
            (Some(uids), Some(question)) => Ok(Self { uids, question }),
            (None, None) => Err(Exception::argument("Required [uids, privileges]")),
            (None, _) => Err(Exception::argument("Required [uids]")),
            (_, None) => Err(Exception::argument("Required [privileges]")),
        }
    }
}

/// Who is looked for.
pub(super) struct Suggestion {
    name: String,
    pub(super) size: usize,
    negative: Option<i64>,
    pub(super) data: Option<Box<str>>,
    hint: Option<Hint>,
}

/// Who is to come first.
struct Hint {
    uids: Option<Vec<String>>,
    labels: Map<String, Value>,
}

impl Suggestion {
    pub(super) fn read(body: &[u8]) -> Result<Self, Exception> {
        let mut read = Self { name: String::new(), size: 10, negative: None, data: None, hint: None };
        if body.is_empty() {
            return Ok(read);
        }
        let form = Form::read("suggest_profile_request_payload", body)?;
        for field in &form.fields {
            match (field.name.as_str(), &field.node.tree) {
                ("name", _) => form.text(field)?.clone_into(&mut read.name),
                ("data", _) => read.data = Some(form.text(field)?.into()),
                ("size", Tree::Number(_) | Tree::Text(_)) => read.resize(&form, field)?,
                ("hint", Tree::Object(fields)) => {
                    let member = |name: &str| fields.iter().find(|field| field.name == name);
                    let uids = member("uids").map(|field| texts(&form, field)).transpose()?;
                    let labels = member("labels").map(|field| field.node.value());
                    let labels = labels.and_then(|labels| labels.as_object().cloned()).unwrap_or_default();
                    read.hint = Some(Hint { uids, labels });
                }
                ("hint" | "size", _) => return Err(form.mistyped(field)),
                _ => return Err(form.unknown(field, &["data", "hint", "name", "size"])),
            }
        }
        Ok(read)
    }

    fn resize(&mut self, form: &Form, field: &Field) -> Result<(), Exception> {
        let text = match &field.node.tree {
            Tree::Text(text) => text.clone(),
            _ => field.node.value().to_string(),
        };
        let size: i64 = text.parse().map_err(|_| {
            let cause = Exception::new("number_format_exception", format!("For input string: \"{text}\""));
            form.unread(field.node.at, "size", cause)
        })?;
        self.size = usize::try_from(size).unwrap_or_default();
        self.negative = Some(size).filter(|size| *size < 0);
        Ok(())
    }

    pub(super) fn judge(&self) -> Validation {
        let mut validation = Validation::default();
        if let Some(size) = self.negative {
            validation.refuse(true, format!("[size] parameter cannot be negative but was [{size}]"));
        }
        if let Some(Hint { uids, labels }) = &self.hint {
            validation.refuse(uids.is_none() && labels.is_empty(), "[hint] parameter cannot be empty");
            validation.refuse(uids.as_ref().is_some_and(Vec::is_empty), "[uids] hint cannot be empty");
            let keys = labels.keys().map(String::as_str).collect::<Vec<_>>().join(",");
            validation.refuse(labels.len() > 1, format!("[labels] hint supports a single key, got [{keys}]"));
        }
        validation
    }

    /// Whether every word looked for begins a word of the names of a profile's user.
    pub(super) fn fits(&self, profile: &Value) -> bool {
        let names = ["/user/username", "/user/full_name", "/user/email"];
        let names: Vec<String> =
            names.iter().filter_map(|place| profile.pointer(place)?.as_str().map(str::to_lowercase)).collect();
        let word = |text: &char| !text.is_alphanumeric();
        let wanted = self.name.to_lowercase();
        let mut words = wanted.split(|one: char| word(&one)).filter(|word| !word.is_empty());
        words.all(|wanted| {
            names.iter().flat_map(|name| name.split(|one: char| word(&one))).any(|name| name.starts_with(wanted))
        })
    }

    /// Whether a profile is one of those that are to come first.
    pub(super) fn hints_at(&self, profile: &Value) -> bool {
        let Some(Hint { uids, labels }) = &self.hint else { return false };
        let named = profile
            .get("uid")
            .and_then(Value::as_str)
            .is_some_and(|uid| uids.as_ref().is_some_and(|uids| uids.iter().any(|one| one == uid)));
        let labelled = labels.iter().any(|(path, wanted)| {
            let place = format!("/labels/{}", path.replace('.', "/"));
            let wanted = wanted.as_array().map_or_else(|| std::slice::from_ref(wanted), Vec::as_slice);
            profile.pointer(&place).is_some_and(|value| wanted.contains(value))
        });
        named || labelled
    }
}

/// What is said of a user.
pub(super) struct Data {
    pub(super) labels: Map<String, Value>,
    pub(super) data: Map<String, Value>,
}

impl Data {
    pub(super) fn read(body: &[u8]) -> Result<Self, Exception> {
        let form = Form::read("update_profile_data_request_payload", body)?;
        let mut read = Self { labels: Map::new(), data: Map::new() };
        for field in &form.fields {
            match (field.name.as_str(), &field.node.tree) {
                ("labels", Tree::Object(fields)) => read.labels = values(fields),
                ("data", Tree::Object(fields)) => read.data = values(fields),
                ("labels" | "data", _) => return Err(form.mistyped(field)),
                _ => return Err(form.unknown(field, &["data", "labels"])),
            }
        }
        Ok(read)
    }
}

/// Judges the names of the applications that data is kept for.
pub(super) fn judge(applications: &[&String]) -> Validation {
    let mut validation = Validation::default();
    validation.refuse(applications.is_empty(), "update request is empty");
    for name in applications {
        validation.refuse(
            name.starts_with('_'),
            format!("application name must not start with underscore, but found [{name}]"),
        );
        validation.refuse(name.contains('.'), format!("application name must not contain dot, but found [{name}]"));
    }
    validation
}

/// A text, or a list of them.
fn texts(form: &Form, field: &Field) -> Result<Vec<String>, Exception> {
    let one = |node: &Node| match &node.tree {
        Tree::Text(text) => Ok(text.clone()),
        Tree::Bool(_) | Tree::Number(_) => Ok(node.value().to_string()),
        _ => {
            let text = format!("Expected text at {} but found {}", node.at, node.token());
            Err(form.unread(node.at, &field.name, Exception::argument(text)))
        }
    };
    match &field.node.tree {
        Tree::List(items) => items.iter().map(one).collect(),
        _ => Ok(vec![one(&field.node)?]),
    }
}

//! Sessions: what is asked, by whom, and what to keep of the answers.
//!
//! A step is a text `METHOD TARGET`, or an object of which `send`, `as` and `bodies` may be lists: then every one of them is
//! combined with every other. Texts hold variables: `${x}` is a word of this run that names begin with (each side has its
//! own, of the same length), others were saved by earlier exchanges; `$base64(…)` encodes what they have become.

use std::{collections::BTreeMap, fmt, fs, path::Path, time::Duration};

use serde::Deserialize;
use serde_json::{Map, Value};

const FOLDER: &str = "tests/conformance/sessions";

/// A file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Session {
    /// What it shows.
    #[expect(dead_code, reason = "for readers of the file")]
    about: String,
    /// Played only by `scripts/test --full`: it waits.
    #[serde(default)]
    pub(super) long: bool,
    /// Callers: user `${x}-NAME` with the password `password-of-NAME` and one role `${x}-NAME`, this descriptor.
    #[serde(default)]
    users: Map<String, Value>,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Step {
    Line(String),
    Whole(Box<Steps>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Many<T> {
    One(T),
    All(Vec<T>),
}

impl<T> Many<T> {
    fn all(self) -> Vec<T> {
        match self {
            Self::One(one) => vec![one],
            Self::All(all) => all,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Steps {
    send: Many<String>,
    #[serde(rename = "as", default = "elastic")]
    callers: Many<String>,
    #[serde(default)]
    headers: BTreeMap<String, Many<String>>,
    body: Option<Value>,
    #[serde(default)]
    bodies: Vec<Value>,
    #[serde(default)]
    save: BTreeMap<String, String>,
    #[serde(default)]
    mask: Vec<String>,
    #[serde(default)]
    unordered: Vec<String>,
    differs: Option<String>,
    #[serde(rename = "case", default = "no_case")]
    cases: Many<u32>,
    #[serde(default)]
    wait: u64,
}

fn elastic() -> Many<String> {
    Many::One("elastic".to_owned())
}

fn no_case() -> Many<u32> {
    Many::All(Vec::new())
}

/// One request, and what to make of its answer.
#[derive(Clone)]
pub(super) struct Exchange {
    pub(super) method: String,
    pub(super) target: String,
    /// `none`, `elastic`, a name of `users`, `name:password`, or a whole `Authorization` with a space in it.
    pub(super) caller: String,
    /// An empty list takes the default of that header away.
    pub(super) headers: Vec<(String, Vec<String>)>,
    pub(super) body: Option<String>,
    /// Variable → JSON pointer into the answer.
    pub(super) save: BTreeMap<String, String>,
    /// Pointers to what differs by nature; `*` stands for any key or position.
    pub(super) mask: Vec<String>,
    /// Pointers to arrays and objects without an order.
    pub(super) unordered: Vec<String>,
    /// The row of `docs/compatibility.md` that says why the answers differ.
    pub(super) differs: Option<String>,
    /// Cases of the page's section 18.
    pub(super) cases: Vec<u32>,
    wait: Duration,
}

/// The names of all files.
pub(super) fn sessions() -> Vec<String> {
    let files = fs::read_dir(FOLDER).unwrap().map(|file| file.unwrap().path());
    files.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
}

impl Session {
    pub(super) fn read(name: &str) -> Self {
        let text = fs::read_to_string(Path::new(FOLDER).join(format!("{name}.yml"))).unwrap();
        let value: Value = serde_saphyr::from_str(&text).unwrap();
        Self::deserialize(value).unwrap()
    }

    pub(super) fn exchanges(self) -> Vec<Exchange> {
        let callers = self.users.into_iter().flat_map(|(name, role)| {
            let user =
                serde_json::json!({"password": format!("password-of-{name}"), "roles": [format!("${{x}}-{name}")]});
            let put = |kind, body: &Value| {
                Exchange::new("PUT", &format!("/_security/{kind}/${{x}}-{name}"), Some(body.to_string()))
            };
            [put("role", &role), put("user", &user)]
        });
        let steps = self.steps.into_iter().flat_map(|step| match step {
            Step::Line(line) => {
                let (method, target) = line.split_once(' ').unwrap();
                vec![Exchange::new(method, target, None)]
            }
            Step::Whole(steps) => steps.exchanges(),
        });
        callers.chain(steps).collect()
    }
}

impl Steps {
    fn exchanges(self) -> Vec<Exchange> {
        let mut bodies: Vec<Option<Value>> = self.bodies.into_iter().map(Some).collect();
        if bodies.is_empty() {
            bodies.push(self.body);
        }
        let headers: Vec<_> = self.headers.into_iter().map(|(name, values)| (name, values.all())).collect();
        let (callers, cases) = (self.callers.all(), self.cases.all());
        let mut exchanges = Vec::new();
        for line in self.send.all() {
            let (method, target) = line.split_once(' ').unwrap();
            for body in &bodies {
                let body = body.as_ref().map(|body| body.as_str().map_or_else(|| body.to_string(), str::to_owned));
                for caller in &callers {
                    exchanges.push(Exchange {
                        caller: caller.clone(),
                        headers: headers.clone(),
                        save: self.save.clone(),
                        mask: self.mask.clone(),
                        unordered: self.unordered.clone(),
                        differs: self.differs.clone(),
                        cases: cases.clone(),
                        wait: Duration::from_secs(self.wait),
                        ..Exchange::new(method, target, body.clone())
                    });
                }
            }
        }
        exchanges
    }
}

impl Exchange {
    /// One by `elastic`, in which nothing is special.
    pub(super) fn new(method: &str, target: &str, body: Option<String>) -> Self {
        Self {
            method: method.to_owned(),
            target: target.to_owned(),
            caller: "elastic".to_owned(),
            headers: Vec::new(),
            body,
            save: BTreeMap::new(),
            mask: Vec::new(),
            unordered: Vec::new(),
            differs: None,
            cases: Vec::new(),
            wait: Duration::ZERO,
        }
    }

    /// Lets the time pass that this exchange is about.
    pub(super) async fn pause(&self) {
        if !self.wait.is_zero() {
            tokio::time::sleep(self.wait).await;
        }
    }
}

impl fmt::Display for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} as {}", self.method, self.target, self.caller)?;
        for (name, values) in &self.headers {
            write!(f, " {name}: {values:?}")?;
        }
        self.body.iter().try_for_each(|body| write!(f, " {body}"))
    }
}

//! What is asked: `tests/authorization/requests/*.yml`.
//!
//! A request is a text `METHOD TARGET`, a list of them, or an object with a body. Each `{set}` in its texts is replaced by
//! every word of that set; where several sets occur, every combination is asked.

use std::{collections::BTreeMap, fmt, fs};

use serde::Deserialize;
use serde_json::Value;

const FOLDER: &str = "tests/authorization/requests";

/// A file: one area.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Area {
    #[expect(dead_code, reason = "for readers of the file")]
    about: String,
    /// Whether its requests change what the next ones find.
    #[serde(default)]
    changes: bool,
    #[serde(default)]
    sets: BTreeMap<String, Vec<String>>,
    requests: Vec<Entry>,
}

#[derive(Clone, Deserialize)]
#[serde(untagged)]
enum Entry {
    Line(String),
    Lines(Vec<String>),
    Whole(Box<Whole>),
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Whole {
    send: Many,
    /// JSON.
    body: Option<Value>,
    /// NDJSON.
    lines: Option<Vec<Value>>,
    /// A body that is no JSON, or not written as others are.
    text: Option<String>,
    first: Option<First>,
    #[serde(default)]
    case: Option<u32>,
}

#[derive(Clone, Deserialize)]
#[serde(untagged)]
enum Many {
    One(String),
    All(Vec<String>),
}

/// What is asked before, so that the request has something to name.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct First {
    pub(super) send: String,
    pub(super) body: Option<Value>,
    /// Somebody else than who asks.
    #[serde(rename = "as")]
    pub(super) caller: Option<String>,
    /// Variable → JSON pointer into the answer.
    pub(super) save: BTreeMap<String, String>,
}

/// One request.
#[derive(Clone)]
pub(super) struct Request {
    pub(super) area: String,
    pub(super) changes: bool,
    pub(super) method: http::Method,
    pub(super) target: String,
    pub(super) body: Option<String>,
    pub(super) first: Option<First>,
    /// A case of the page's section 18.
    pub(super) case: Option<u32>,
}

/// All of them, in the order of files and lines.
pub(super) fn requests() -> Vec<Request> {
    let mut files: Vec<_> = fs::read_dir(FOLDER).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    let mut requests = Vec::new();
    for file in files {
        let area = file.file_stem().unwrap().to_str().unwrap().to_owned();
        let value: Value = serde_saphyr::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        let Area { changes, sets, requests: entries, .. } =
            Area::deserialize(value).map_err(|error| format!("{area}: {error}")).unwrap();
        let made = entries.into_iter().flat_map(|entry| entry.requests(&area, changes, &sets));
        requests.extend(made);
    }
    requests
}

impl Entry {
    fn requests(self, area: &str, changes: bool, sets: &BTreeMap<String, Vec<String>>) -> Vec<Request> {
        let plain = |send| Whole { send, body: None, lines: None, text: None, first: None, case: None };
        let whole = match self {
            Self::Line(line) => plain(Many::One(line)),
            Self::Lines(lines) => plain(Many::All(lines)),
            Self::Whole(whole) => *whole,
        };
        let ended = |line: &Value| line.to_string() + "\n";
        let body = match (&whole.body, &whole.lines) {
            (Some(body), None) => Some(body.to_string()),
            (None, Some(lines)) => Some(lines.iter().map(ended).collect()),
            _ => whole.text.clone(),
        };
        let lines = match whole.send {
            Many::One(line) => vec![line],
            Many::All(lines) => lines,
        };
        let mut requests = Vec::new();
        for line in lines {
            let (method, target) = line.split_once(' ').unwrap();
            let mut made = vec![Request {
                area: area.to_owned(),
                changes,
                method: method.parse().unwrap(),
                target: target.to_owned(),
                body: body.clone(),
                first: whole.first.clone(),
                case: whole.case,
            }];
            for (name, words) in sets {
                made = made.into_iter().flat_map(|request| request.with(&format!("{{{name}}}"), words)).collect();
            }
            requests.extend(made);
        }
        requests
    }
}

impl Request {
    /// One of it for each word, in place of `hole`; itself where there is none.
    fn with(self, hole: &str, words: &[String]) -> Vec<Self> {
        let first = self.first.as_ref().is_some_and(|first| first.send.contains(hole));
        let body = self.body.as_ref().is_some_and(|body| body.contains(hole));
        if !self.target.contains(hole) && !body && !first {
            return vec![self];
        }
        let filled = words.iter().map(|word| {
            let mut request = self.clone();
            request.target = request.target.replace(hole, word);
            request.body = request.body.map(|body| body.replace(hole, word));
            if let Some(first) = &mut request.first {
                first.send = first.send.replace(hole, word);
            }
            request
        });
        filled.collect()
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.target)?;
        if let Some(first) = &self.first {
            write!(f, " after {}", first.send)?;
            first.caller.iter().try_for_each(|caller| write!(f, " as {caller}"))?;
        }
        self.body.iter().try_for_each(|body| write!(f, " {}", body.trim_end().replace('\n', "⏎")))
    }
}

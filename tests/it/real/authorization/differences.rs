//! The one table of wanted differences: `tests/authorization/differences.yml`.

use std::{collections::BTreeSet, fs};

use serde::Deserialize;
use serde_json::Value;

use super::{requests::Request, seen::Seen};

const FILE: &str = "tests/authorization/differences.yml";

/// Why some answers differ.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Difference {
    pub(super) id: String,
    #[expect(dead_code, reason = "for readers of the file")]
    reason: String,
    /// Requests as they print, `*` for any run of characters.
    requests: Vec<String>,
    /// These callers only.
    callers: Option<Vec<String>>,
    /// Statuses: of the original, and of searchgate.
    statuses: Option<(u16, u16)>,
}

/// The table, and which of its lines were met.
pub(super) struct Differences {
    all: Vec<Difference>,
    met: BTreeSet<(String, String)>,
}

impl Differences {
    pub(super) fn read() -> Self {
        let value: Value = serde_saphyr::from_str(&fs::read_to_string(FILE).unwrap()).unwrap();
        Self { all: Vec::deserialize(value).unwrap(), met: BTreeSet::new() }
    }

    /// Whether a difference is listed; if so it is met.
    pub(super) fn lists(&mut self, request: &Request, caller: &str, original: &Seen, other: &Seen) -> bool {
        let shown = request.to_string();
        for difference in &self.all {
            let by = difference.callers.as_ref().is_none_or(|callers| callers.iter().any(|name| name == caller));
            let statuses = difference.statuses.is_none_or(|statuses| statuses == (original.status, other.status));
            let pattern = difference.requests.iter().find(|pattern| matches(pattern, &shown));
            if let (true, true, Some(pattern)) = (by, statuses, pattern) {
                self.met.insert((difference.id.clone(), pattern.clone()));
                return true;
            }
        }
        false
    }

    /// Lines that were not met.
    pub(super) fn gone(&self) -> Vec<String> {
        let lines = self.all.iter().flat_map(|difference| {
            difference.requests.iter().map(|request| (difference.id.clone(), request.clone()))
        });
        lines.filter(|line| !self.met.contains(line)).map(|(id, request)| format!("{id}: {request}")).collect()
    }

    pub(super) fn ids(&self) -> BTreeSet<&str> {
        self.all.iter().map(|difference| &*difference.id).collect()
    }
}

fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut ends = !pattern.contains('*');
    for part in parts {
        match rest.find(part) {
            Some(at) if !part.is_empty() => rest = &rest[at + part.len()..],
            Some(_) => {
                ends = true;
                rest = "";
            }
            None => return false,
        }
    }
    ends && rest.is_empty() || rest.is_empty() || text.ends_with(pattern.rsplit('*').next().unwrap_or_default()) && pattern.contains('*')
}

//! The one table of wanted differences: `tests/authorization/differences.yml`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use serde::Deserialize;
use serde_json::Value;

use super::{Judged, seen::Verdict};

const FILE: &str = "tests/authorization/differences.yml";

/// Why some answers differ.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Difference {
    pub(super) id: String,
    #[expect(dead_code, reason = "for readers of the file")]
    reason: String,
    /// Requests as they print, `…` for any run of characters.
    #[serde(default = "any")]
    requests: Vec<String>,
    /// These callers only.
    callers: Option<Vec<String>>,
    /// What the original says, as it prints.
    #[serde(default = "any")]
    original: Vec<String>,
    /// What searchgate says.
    #[serde(default = "any")]
    searchgate: Vec<String>,
    /// Searchgate lets through what the original does not: only the one that is [`COMPANY`] may.
    #[serde(default)]
    more: bool,
}

fn any() -> Vec<String> {
    vec!["…".to_owned()]
}

/// The table, and which of its lines were met.
pub(super) struct Differences {
    all: Vec<Difference>,
    met: BTreeMap<(String, String), usize>,
}

impl Differences {
    pub(super) fn read() -> Self {
        let value: Value = serde_saphyr::from_str(&fs::read_to_string(FILE).unwrap()).unwrap();
        let all: Vec<Difference> = Vec::deserialize(value).unwrap();
        assert!(all.iter().all(|difference| !difference.more || difference.id == COMPANY));
        Self { all, met: BTreeMap::new() }
    }

    /// Whether a difference is listed; if so it is met.
    pub(super) fn lists(&mut self, judged: &Judged) -> bool {
        let more = matches!(judged.verdict, Verdict::More(_));
        let (request, original) = (judged.request.to_string(), judged.original.to_string());
        let other = judged.other.to_string();
        for difference in self.all.iter().filter(|difference| difference.more == more) {
            let by = difference.callers.as_ref().is_none_or(|callers| callers.contains(&judged.caller));
            let said = |patterns: &[String], text: &str| patterns.iter().any(|pattern| matches(pattern, text));
            let pattern = difference.requests.iter().find(|pattern| matches(pattern, &request));
            if let Some(pattern) = pattern
                && by
                && said(&difference.original, &original)
                && said(&difference.searchgate, &other)
            {
                *self.met.entry((difference.id.clone(), pattern.clone())).or_default() += 1;
                return true;
            }
        }
        false
    }

    /// Lines that were not met.
    pub(super) fn gone(&self) -> Vec<String> {
        let lines = self
            .all
            .iter()
            .flat_map(|difference| difference.requests.iter().map(|request| (difference.id.clone(), request.clone())));
        lines.filter(|line| !self.met.contains_key(line)).map(|(id, request)| format!("{id}: {request}")).collect()
    }

    /// How often each was met.
    pub(super) fn counts(&self) -> BTreeMap<&str, usize> {
        let mut counts = BTreeMap::new();
        for ((id, _), count) in &self.met {
            *counts.entry(&**id).or_default() += count;
        }
        counts
    }

    pub(super) fn ids(&self) -> BTreeSet<&str> {
        self.all.iter().map(|difference| &*difference.id).collect()
    }
}

/// Whether `…`, any run of characters, makes the text of the pattern.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('…') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(start) else { return false };
    let (middle, end) = rest.rsplit_once('…').unwrap_or(("", rest));
    for part in middle.split('…') {
        let Some((_, after)) = text.split_once(part) else { return false };
        text = after;
    }
    text.ends_with(end)
}

/// The only id that may let more through: see the table.
const COMPANY: &str = "company";

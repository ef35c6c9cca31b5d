//! Search of the demo cluster: `match_all`, `term` and `match`, every document read each time.

use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::{Value, value::RawValue};

use crate::demo::{
    failure::Failure,
    index::{Cluster, Document},
};

/// A body of `_search` or `_count`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Search {
    /// Hits passed over.
    pub from: Option<usize>,
    /// Hits shown; 10 when it does not say.
    pub size: Option<usize>,
    query: Option<Value>,
    sort: Option<Value>,
    /// Hits are always counted.
    #[serde(rename = "track_total_hits")]
    _track_total_hits: Option<IgnoredAny>,
}

impl Search {
    /// Reads a body; an empty one asks for everything.
    ///
    /// # Errors
    ///
    /// When it is no JSON or holds what the demo does not know.
    pub fn parse(body: &[u8]) -> Result<Self, Failure> {
        if body.trim_ascii().is_empty() {
            return Ok(Self::default());
        }
        serde_json::from_slice(body).map_err(|error| Failure::parsing(error.to_string()))
    }

    /// How many documents of `names` match, and in how many indices was looked.
    ///
    /// # Errors
    ///
    /// When an index is not there or the query is unknown.
    pub fn count(self, cluster: &Cluster, names: &str) -> Result<(usize, usize), Failure> {
        let query = Query::parse(self.query)?;
        let indices = cluster.resolve(names)?;
        let mut count = 0;
        for name in &indices {
            count += cluster.index(name)?.documents().filter(|(_, document)| query.matches(document)).count();
        }
        Ok((count, indices.len()))
    }

    /// The answer of `_search`.
    ///
    /// # Errors
    ///
    /// As [`Search::count`], and when the sort order is not `_doc` or the window too large.
    pub fn run(self, cluster: &Cluster, names: &str) -> Result<String, Failure> {
        let (from, size) = (self.from.unwrap_or(0), self.size.unwrap_or(10));
        let window = from.saturating_add(size);
        if window > MAX_WINDOW {
            let reason =
                format!("Result window is too large, from + size must be at most [{MAX_WINDOW}], not [{window}]");
            return Err(Failure::illegal(reason));
        }
        let sorted = self.sort.map(|order| by_document(&order)).transpose()?.is_some();
        let query = Query::parse(self.query)?;
        let indices = cluster.resolve(names)?;
        let (mut total, mut hits) = (0, Vec::new());
        for name in &indices {
            for (place, document) in cluster.index(name)?.documents().filter(|(_, document)| query.matches(document)) {
                if (from..window).contains(&total) {
                    hits.push(Hit {
                        index: name,
                        id: &document.id,
                        score: (!sorted).then_some(1.0),
                        source: &document.source,
                        sort: sorted.then_some([place]),
                    });
                }
                total += 1;
            }
        }
        let max_score = (!sorted && total > 0).then_some(1.0);
        let count = indices.len();
        let found = Found {
            took: 0,
            timed_out: false,
            shards: Shards { total: count, successful: count, skipped: 0, failed: 0 },
            hits: Window { total: Total { value: total, relation: "eq" }, max_score, hits },
        };
        serde_json::to_string(&found).map_err(|error| Failure::illegal(error.to_string()))
    }
}

/// The order of writing is the only one there is.
fn by_document(order: &Value) -> Result<(), Failure> {
    match order {
        Value::String(name) if name == "_doc" => Ok(()),
        Value::Object(fields) if fields.len() == 1 && fields.contains_key("_doc") => Ok(()),
        Value::Array(orders) if orders.len() == 1 => orders.iter().try_for_each(by_document),
        other => Err(Failure::illegal(format!("the demo cluster sorts by [_doc] alone, not by [{other}]"))),
    }
}

#[derive(Debug)]
enum Query {
    All,
    /// Any of these words.
    Match(String, Vec<String>),
    /// Exactly this value.
    Term(String, String),
}

impl Query {
    fn parse(query: Option<Value>) -> Result<Self, Failure> {
        let Some(query) = query else { return Ok(Self::All) };
        let (kind, inner) =
            only(query).ok_or_else(|| Failure::parsing("a query is an object of one key".to_owned()))?;
        let malformed = || Failure::parsing(format!("[{kind}] query malformed"));
        match kind.as_str() {
            "match_all" => Ok(Self::All),
            "term" | "match" => {
                let (field, wanted) = only(inner).ok_or_else(malformed)?;
                let key = if kind == "term" { "value" } else { "query" };
                let wanted = match wanted {
                    Value::Object(mut options) if options.len() == 1 => options.remove(key).ok_or_else(malformed)?,
                    wanted => wanted,
                };
                let wanted = text(&wanted).ok_or_else(malformed)?;
                let field = field.strip_suffix(".keyword").unwrap_or(&field).to_owned();
                Ok(if kind == "term" {
                    Self::Term(field, wanted)
                } else {
                    Self::Match(field, words(&wanted).collect())
                })
            }
            _ => Err(Failure::parsing(format!("unknown query [{kind}]: the demo knows match_all, match and term"))),
        }
    }

    fn matches(&self, document: &Document) -> bool {
        let (Self::Match(field, _) | Self::Term(field, _)) = self else { return true };
        let Ok(source) = serde_json::from_str::<Value>(document.source.get()) else { return false };
        match field.split('.').try_fold(&source, |value, name| value.get(name)) {
            Some(Value::Array(values)) => values.iter().filter_map(text).any(|text| self.fits(&text)),
            Some(value) => text(value).is_some_and(|text| self.fits(&text)),
            None => false,
        }
    }

    fn fits(&self, text: &str) -> bool {
        match self {
            Self::All => true,
            Self::Match(_, wanted) => words(text).any(|word| wanted.contains(&word)),
            Self::Term(_, wanted) => text == wanted,
        }
    }
}

/// The one entry of an object.
fn only(value: Value) -> Option<(String, Value)> {
    let Value::Object(entries) = value else { return None };
    let mut entries = entries.into_iter();
    let first = entries.next()?;
    entries.next().is_none().then_some(first)
}

/// A plain value as text.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        _ => None,
    }
}

/// Lower-cased words.
fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|character: char| !character.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase)
}

#[derive(Serialize)]
struct Found<'a> {
    took: u64,
    timed_out: bool,
    #[serde(rename = "_shards")]
    shards: Shards,
    hits: Window<'a>,
}

#[derive(Serialize)]
struct Shards {
    total: usize,
    successful: usize,
    skipped: usize,
    failed: usize,
}

#[derive(Serialize)]
struct Window<'a> {
    total: Total,
    max_score: Option<f32>,
    hits: Vec<Hit<'a>>,
}

#[derive(Serialize)]
struct Total {
    value: usize,
    relation: &'static str,
}

#[derive(Serialize)]
struct Hit<'a> {
    #[serde(rename = "_index")]
    index: &'a str,
    #[serde(rename = "_id")]
    id: &'a str,
    #[serde(rename = "_score")]
    score: Option<f32>,
    #[serde(rename = "_source")]
    source: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    sort: Option<[u64; 1]>,
}

/// As Elasticsearch has it by default.
const MAX_WINDOW: usize = 10_000;

//! `aggs` as written, and what they mean.

use serde_json::{Map, Value};

use crate::{
    api::{
        json::{Field as Member, Node, Tree, values},
        search::{
            Atom, Field, Kind, Query, Read, argument_on_shard,
            clause::{self, Clause},
            compile::{Compiler, atom},
            date::{Format, Round},
            fault, on_shard, parsing, plain,
        },
    },
    respond::Exception,
};

/// One aggregation as written.
#[derive(Debug)]
pub(super) struct Wanted {
    name: String,
    kind: String,
    options: Map<String, Value>,
    filters: Vec<(Option<String>, Clause)>,
    inner: Vec<Wanted>,
    meta: Option<Value>,
}

/// One aggregation.
#[derive(Debug)]
pub(in crate::api) struct Aggregation {
    pub(super) name: String,
    pub(super) kind: Measure,
    pub(super) inner: Vec<Aggregation>,
    pub(super) meta: Option<Value>,
}

/// What is measured.
#[derive(Debug)]
pub(super) enum Measure {
    Cardinality(Field),
    Composite { sources: Vec<Source>, size: usize, after: Option<Vec<Atom<'static>>> },
    Filter(Query),
    Filters { filters: Vec<(Option<String>, Query)>, other: Option<String>, keyed: bool },
    Missing(Field),
    Range { field: Field, spans: Vec<Span>, keyed: bool, dates: bool, format: Format },
    Terms { field: Field, size: usize, least: u64, order: Vec<(ByWhat, bool)>, missing: Option<Atom<'static>> },
    ValueCount(Field),
}

/// What one part of a composite key is made of.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) name: String,
    pub(super) field: Field,
    pub(super) descending: bool,
}

/// One bucket of a range: `from` is in it, `to` is not.
#[derive(Debug)]
pub(super) struct Span {
    pub(super) key: Option<String>,
    pub(super) from: Option<i64>,
    pub(super) to: Option<i64>,
}

/// What buckets are sorted by.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum ByWhat {
    Count,
    Key,
}

/// Reads the members of `aggs`.
pub(super) fn read(members: &[Member]) -> Read<Vec<Wanted>> {
    members.iter().map(one).collect()
}

fn one(member: &Member) -> Read<Wanted> {
    let (name, node) = (&member.name, &member.node);
    if name.is_empty() || name.contains(['[', ']', '>']) {
        let text = format!(
            "Invalid aggregation name [{name}]. Aggregation names can contain any character except '[', ']', and '>'"
        );
        return fault(member.at, parsing(member.at, text));
    }
    let Tree::Object(parts) = &node.tree else {
        let token = node.token();
        let text = format!("Aggregation definition for [{name} starts with a [{token}], expected a [START_OBJECT].");
        return fault(node.at, parsing(node.at, text));
    };
    let mut wanted = Wanted {
        name: name.clone(),
        kind: String::new(),
        options: Map::new(),
        filters: Vec::new(),
        inner: Vec::new(),
        meta: None,
    };
    for part in parts {
        let at = part.node.at;
        match (part.name.as_str(), &part.node.tree) {
            ("meta", Tree::Object(_)) => wanted.meta = Some(part.node.value()),
            ("aggs" | "aggregations", Tree::Object(inner)) => wanted.inner = read(inner)?,
            (kind, _) if !wanted.kind.is_empty() => {
                let before = &wanted.kind;
                let text = format!("Found two aggregation type definitions in [{name}]: [{before}] and [{kind}]");
                return fault(at, parsing(at, text));
            }
            (kind, Tree::Object(options)) => {
                kind.clone_into(&mut wanted.kind);
                wanted.options(options, &part.node)?;
            }
            (kind, _) => {
                let token = part.node.token();
                let text = format!("Expected [START_OBJECT] under [{kind}], but got a [{token}] in [{name}]");
                return fault(at, parsing(at, text));
            }
        }
    }
    if wanted.kind.is_empty() {
        let text = format!("Missing definition for aggregation [{name}]");
        return fault(node.end, parsing(node.end, text));
    }
    Ok(wanted)
}

impl Wanted {
    fn options(&mut self, options: &[Member], node: &Node) -> Read<()> {
        let (name, kind, at) = (&self.name, self.kind.as_str(), node.at);
        if kind == "filter" {
            self.filters.push((None, clause::read(node)?));
            return Ok(());
        }
        let Some((_, known)) = KNOWN.iter().find(|(known, _)| *known == kind) else {
            if UNSUPPORTED.contains(&kind) || PIPELINES.contains(&kind) {
                return Ok(());
            }
            let cause = Exception::new("named_object_not_found_exception", format!("[{at}] unknown field [{kind}]"));
            return fault(at, parsing(at, format!("Unknown aggregation type [{kind}]")).because(cause));
        };
        for option in options {
            if !known.contains(&option.name.as_str()) {
                let text = format!("[{}] [{kind}] unknown field [{}]", option.at, option.name);
                return fault(option.node.at, Exception::content(text));
            }
            if let ("terms", "size", Some(size)) = (kind, option.name.as_str(), super::number(&option.node))
                && let Ok(size) = size
                && size <= 0
            {
                let at = option.node.at;
                let cause = format!("[size] must be greater than 0. Found [{size}] in [{name}]");
                let text = format!("[{at}] [terms] failed to parse field [size]");
                return fault(at, Exception::content(text).because(Exception::argument(cause)));
            }
        }
        self.options = values(options);
        if kind == "filters" {
            self.read_filters(options)?;
        } else if kind == "composite" {
            let sources = self.options.get("sources").and_then(Value::as_array);
            if sources.is_none_or(Vec::is_empty) {
                let at =
                    options.iter().find(|option| option.name == "sources").map_or(node.end, |option| option.node.end);
                let text = "Failed to build [composite] after last required field arrived";
                let cause = Exception::argument("Composite [sources] cannot be null or empty");
                let cause = Exception::content(text).because(cause);
                let text = format!("[{at}] [composite] failed to parse field [sources]");
                return fault(at, Exception::content(text).because(cause));
            }
        } else if !self.options.contains_key("field") && !self.options.contains_key("script") {
            let text = "Required one of fields [field, script], but none were specified.";
            return fault(node.end, Exception::argument(text));
        }
        Ok(())
    }

    fn read_filters(&mut self, options: &[Member]) -> Read<()> {
        for option in options.iter().filter(|option| option.name == "filters") {
            match &option.node.tree {
                Tree::Object(named) => {
                    for filter in named {
                        self.filters.push((Some(filter.name.clone()), clause::read(&filter.node)?));
                    }
                }
                Tree::List(items) => {
                    for filter in items {
                        self.filters.push((None, clause::read(filter)?));
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// What it means by a schema.
    ///
    /// # Errors
    ///
    /// A kind, a field or a script that is not taken.
    pub(super) fn compile(&self, by: &mut Compiler<'_>) -> Result<Aggregation, Exception> {
        let (name, kind) = (&self.name, self.kind.as_str());
        if PIPELINES.contains(&kind) {
            return Err(Exception::argument(format!("Unsupported aggregation of type [{kind}]")));
        }
        if UNSUPPORTED.contains(&kind) {
            return Err(Exception::argument(format!("Unsupported API Keys agg [{name}] of type [{kind}]")));
        }
        if self.options.contains_key("script") {
            return Err(Exception::argument(format!("Unsupported script value source for [{name}] agg")));
        }
        let text = |key: &str| self.options.get(key).map(plain);
        let flag = |key: &str| self.options.get(key).is_some_and(|value| plain(value) == "true");
        let size = |key: &str, default: usize| {
            text(key).and_then(|size| size.parse::<usize>().ok()).unwrap_or(default).min(MOST_BUCKETS)
        };
        let field = |by: &Compiler<'_>| by.schema.field(&text("field").unwrap_or_default());
        let measure = match kind {
            "cardinality" => Measure::Cardinality(field(by)?),
            "value_count" => Measure::ValueCount(field(by)?),
            "missing" => Measure::Missing(field(by)?),
            "filter" => {
                let filter = self.filters.first().map(|(_, filter)| by.query(filter)).transpose()?;
                Measure::Filter(filter.unwrap_or(Query::Nothing))
            }
            "filters" => {
                let filters: Vec<_> = self
                    .filters
                    .iter()
                    .map(|(key, filter)| Ok((key.clone(), by.query(filter)?)))
                    .collect::<Result<_, Exception>>()?;
                let other = text("other_bucket_key").or_else(|| flag("other_bucket").then(|| "_other_".to_owned()));
                Measure::Filters { keyed: filters.iter().all(|(key, _)| key.is_some()), filters, other }
            }
            "terms" => {
                let field = field(by)?;
                let missing = self.options.get("missing").map(|missing| atom(&field, missing, by.now));
                let missing = match missing.transpose() {
                    Ok(missing) => missing,
                    Err(failure) => {
                        by.fail(on_shard(&failure));
                        None
                    }
                };
                let least = text("min_doc_count").and_then(|least| least.parse().ok()).unwrap_or(1);
                Measure::Terms { field, size: size("size", 10), least, order: self.order(), missing }
            }
            "composite" => self.composite(by, size("size", 10))?,
            _ => self.range(field(by)?, kind == "date_range", flag("keyed"), by),
        };
        let inner = self.inner.iter().map(|inner| inner.compile(by)).collect::<Result<_, _>>()?;
        Ok(Aggregation { name: name.clone(), kind: measure, inner, meta: self.meta.clone() })
    }

    /// By count, most first, unless said otherwise; then by key.
    fn order(&self) -> Vec<(ByWhat, bool)> {
        let mut order = Vec::new();
        let given = self.options.get("order");
        let list = given.map(|given| given.as_array().map_or(std::slice::from_ref(given), Vec::as_slice));
        for (by, direction) in list.into_iter().flatten().filter_map(Value::as_object).flatten() {
            let descending = direction.as_str().is_some_and(|direction| direction.eq_ignore_ascii_case("desc"));
            match by.as_str() {
                "_count" => order.push((ByWhat::Count, descending)),
                "_key" | "_term" => order.push((ByWhat::Key, descending)),
                _ => {}
            }
        }
        if order.is_empty() {
            order.push((ByWhat::Count, true));
        }
        if order.iter().all(|(by, _)| *by != ByWhat::Key) {
            order.push((ByWhat::Key, false));
        }
        order
    }

    fn range(&self, field: Field, dates: bool, keyed: bool, by: &mut Compiler<'_>) -> Measure {
        let format = Format::new(self.options.get("format").and_then(Value::as_str));
        let ranges = self.options.get("ranges").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        if ranges.is_empty() {
            by.fail(argument_on_shard(format!("No [ranges] specified for the [{}] aggregation", self.name)));
        }
        if field.kind != Kind::Date {
            let of = match field.kind {
                Kind::Boolean => "boolean",
                Kind::Flattened => "flattened",
                _ => "keyword",
            };
            let text =
                format!("Field [{}] of type [{of}] is not supported for aggregation [{}]", field.stored, self.kind);
            by.fail(argument_on_shard(text));
        }
        let mut bound = |value: Option<&Value>| {
            let value = value.filter(|value| !value.is_null())?;
            match format.parse(&plain(value), Round::Down, by.now) {
                Ok(millis) => Some(millis),
                Err(failure) => {
                    by.fail(on_shard(&failure));
                    None
                }
            }
        };
        let mut spans: Vec<Span> = ranges
            .iter()
            .map(|range| Span {
                key: range.get("key").map(plain),
                from: bound(range.get("from")),
                to: bound(range.get("to")),
            })
            .collect();
        spans.sort_by_key(|span| (span.from.unwrap_or(i64::MIN), span.to.unwrap_or(i64::MAX)));
        Measure::Range { field, spans, keyed, dates, format }
    }

    fn composite(&self, by: &mut Compiler<'_>, size: usize) -> Result<Measure, Exception> {
        let listed = self.options.get("sources").and_then(Value::as_array).into_iter().flatten();
        let mut sources = Vec::new();
        for (name, source) in listed.filter_map(Value::as_object).flatten() {
            let Some(terms) = source.get("terms") else {
                let kind = source.as_object().and_then(|kinds| kinds.keys().next()).map_or("", String::as_str);
                return Err(Exception::argument(format!("Unsupported API Keys agg [{name}] of type [{kind}]")));
            };
            if terms.get("script").is_some() {
                return Err(Exception::argument(format!("Unsupported script value source for [{name}] agg")));
            }
            let field = by.schema.field(terms.get("field").and_then(Value::as_str).unwrap_or_default())?;
            let descending = terms.get("order").and_then(Value::as_str).is_some_and(|order| order == "desc");
            sources.push(Source { name: name.clone(), field, descending });
        }
        let after = match self.options.get("after").and_then(Value::as_object) {
            None => None,
            Some(after) => sources
                .iter()
                .map(|source| after.get(&source.name).and_then(|value| atom(&source.field, value, by.now).ok()))
                .collect::<Option<Vec<_>>>()
                .or_else(|| {
                    by.fail(argument_on_shard(format!("[after] does not fit the sources of [{}]", self.name)));
                    None
                }),
        };
        Ok(Measure::Composite { sources, size, after })
    }
}

/// More are never shown of one aggregation.
pub(super) const MOST_BUCKETS: usize = 65_536;

const KNOWN: [(&str, &[&str]); 8] = [
    ("cardinality", &["field", "missing", "precision_threshold", "script"]),
    ("composite", &["after", "size", "sources"]),
    ("date_range", &["field", "format", "keyed", "missing", "ranges", "script", "time_zone"]),
    ("filters", &["filters", "keyed", "other_bucket", "other_bucket_key"]),
    ("missing", &["field", "missing", "script"]),
    ("range", &["field", "format", "keyed", "missing", "ranges", "script"]),
    (
        "terms",
        &[
            "collect_mode",
            "execution_hint",
            "field",
            "format",
            "min_doc_count",
            "missing",
            "order",
            "script",
            "shard_min_doc_count",
            "shard_size",
            "show_term_doc_count_error",
            "size",
            "value_type",
        ],
    ),
    ("value_count", &["field", "missing", "script"]),
];

const UNSUPPORTED: [&str; 35] = [
    "adjacency_matrix",
    "auto_date_histogram",
    "avg",
    "categorize_text",
    "children",
    "date_histogram",
    "diversified_sampler",
    "extended_stats",
    "frequent_item_sets",
    "geo_bounds",
    "geo_centroid",
    "geo_distance",
    "geohash_grid",
    "geotile_grid",
    "global",
    "histogram",
    "ip_prefix",
    "ip_range",
    "max",
    "median_absolute_deviation",
    "min",
    "multi_terms",
    "nested",
    "parent",
    "percentile_ranks",
    "percentiles",
    "rare_terms",
    "reverse_nested",
    "sampler",
    "scripted_metric",
    "significant_terms",
    "significant_text",
    "stats",
    "sum",
    "top_hits",
];

const PIPELINES: [&str; 15] = [
    "avg_bucket",
    "bucket_script",
    "bucket_selector",
    "bucket_sort",
    "cumulative_cardinality",
    "cumulative_sum",
    "derivative",
    "extended_stats_bucket",
    "max_bucket",
    "min_bucket",
    "moving_fn",
    "percentiles_bucket",
    "serial_diff",
    "stats_bucket",
    "sum_bucket",
];

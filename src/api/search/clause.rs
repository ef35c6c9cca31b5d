//! Reads a query as it is written, before any field is looked up.

use serde_json::Value;

use crate::{
    api::{
        json::{Field, Node, Position, Tree},
        search::{Fault, Read, fault, number, parsing, plain},
        suggest,
    },
    respond::Exception,
};

/// A query as written.
#[derive(Debug)]
pub(super) enum Clause {
    All,
    Bool {
        must: Vec<Clause>,
        should: Vec<Clause>,
        must_not: Vec<Clause>,
        minimum: Option<usize>,
    },
    Exists(String),
    Ids(Vec<String>),
    Lookup,
    Match {
        field: String,
        value: Value,
        and: bool,
    },
    Prefix {
        field: String,
        value: Value,
        fold: bool,
    },
    Range(Box<Range>),
    Simple {
        text: String,
        fields: Vec<String>,
        and: bool,
    },
    Term {
        field: String,
        value: Value,
        fold: bool,
    },
    Terms {
        field: String,
        values: Vec<Value>,
    },
    /// A kind that exists and is not taken here.
    Unsupported(String),
    Wildcard {
        field: String,
        value: Value,
        fold: bool,
    },
}

/// A range as written.
#[derive(Debug, Default)]
pub(super) struct Range {
    pub(super) field: String,
    /// Value, and whether it is in the range.
    pub(super) from: Option<(Value, bool)>,
    pub(super) to: Option<(Value, bool)>,
    pub(super) format: Option<String>,
    pub(super) related: bool,
}

/// Reads the object that holds one query.
pub(super) fn read(node: &Node) -> Read<Clause> {
    let Tree::Object(fields) = &node.tree else {
        let text = "[_na] query malformed, must start with start_object";
        return fault(node.at, parsing(node.at, text));
    };
    let Some((query, others)) = fields.split_first() else {
        let text = format!("query malformed, empty clause found at [{}]", node.end);
        return fault(node.end, Exception::argument(text));
    };
    let (kind, at) = (query.name.as_str(), query.node.at);
    let Tree::Object(members) = &query.node.tree else {
        return fault(at, parsing(at, format!("[{kind}] query malformed, no start_object after query name")));
    };
    let body = Body { kind, members, end: query.node.end };
    let clause = match kind {
        "match_all" => body.strict(&["boost", "_name"]).map(|()| Clause::All)?,
        "bool" => body.bool()?,
        "exists" => body.exists()?,
        "ids" => body.ids()?,
        "match" => body.matching()?,
        "prefix" => body.pattern(&["value", "prefix"])?,
        "range" => body.range()?,
        "simple_query_string" => body.simple()?,
        "term" => body.pattern(&["value"])?,
        "terms" => body.terms()?,
        "wildcard" => body.pattern(&["value", "wildcard"])?,
        other if UNSUPPORTED.contains(&other) => Clause::Unsupported(other.to_owned()),
        other => {
            let cause = Exception::new("named_object_not_found_exception", format!("[{at}] unknown field [{other}]"));
            return fault(at, parsing(at, format!("unknown query [{other}]")).because(cause));
        }
    };
    if let Some(other) = others.first() {
        let text = format!("[{kind}] malformed query, expected [END_OBJECT] but found [FIELD_NAME]");
        return fault(other.at, parsing(other.at, text));
    }
    Ok(clause)
}

/// What stands behind the name of a query.
struct Body<'a> {
    kind: &'a str,
    members: &'a [Field],
    end: Position,
}

impl Body<'_> {
    fn unsupported<T>(&self, field: &Field) -> Read<T> {
        let at = field.node.at;
        fault(at, parsing(at, format!("[{}] query does not support [{}]", self.kind, field.name)))
    }

    /// Members that parsers of another make refuse in other words.
    fn strict(&self, known: &[&str]) -> Read<()> {
        match self.members.iter().find(|member| !known.contains(&member.name.as_str())) {
            None => Ok(()),
            Some(member) => {
                let text = suggest::unknown_field(member.at, self.kind, &member.name, known);
                let at = member.node.at;
                fault(at, parsing(at, text.clone()).because(Exception::content(text)))
            }
        }
    }

    /// The one field that the query is about.
    fn field(&self) -> Read<&Field> {
        let Some((field, others)) = self.members.split_first() else {
            return fault(self.end, Exception::argument("field name is null or empty"));
        };
        if let Some(other) = others.first() {
            let (kind, at) = (self.kind, other.node.at);
            let text =
                format!("[{kind}] query doesn't support multiple fields, found [{}] and [{}]", field.name, other.name);
            return fault(at, parsing(at, text));
        }
        if let Tree::List(_) = field.node.tree {
            let at = field.node.at;
            let text = match self.kind {
                "term" => "[term] query does not support array of values".to_owned(),
                kind => format!("[{kind}] unknown token [START_ARRAY] after [{}]", field.name),
            };
            return fault(at, parsing(at, text));
        }
        Ok(field)
    }

    /// `term`, `prefix` and `wildcard`: a value, or an object that holds it under one of `names`.
    fn pattern(&self, names: &[&str]) -> Read<Clause> {
        let field = self.field()?;
        let (mut value, mut fold) = (Value::Null, false);
        if let Tree::Object(options) = &field.node.tree {
            for option in options {
                match (option.name.as_str(), &option.node.tree) {
                    (name, Tree::Bool(_) | Tree::Number(_) | Tree::Text(_) | Tree::Null) if names.contains(&name) => {
                        value = option.node.value();
                    }
                    ("case_insensitive", Tree::Bool(insensitive)) => fold = *insensitive,
                    ("boost", Tree::Number(_)) | ("rewrite" | "_name", Tree::Text(_)) => {}
                    _ => return self.unsupported(option),
                }
            }
        } else {
            value = field.node.value();
        }
        if value.is_null() {
            return fault(field.node.end, Exception::argument("value cannot be null"));
        }
        let field = field.name.clone();
        Ok(match self.kind {
            "prefix" => Clause::Prefix { field, value, fold },
            "wildcard" => Clause::Wildcard { field, value, fold },
            _ => Clause::Term { field, value, fold },
        })
    }

    fn matching(&self) -> Read<Clause> {
        let field = self.field()?;
        let (mut value, mut and) = (Value::Null, false);
        if let Tree::Object(options) = &field.node.tree {
            for option in options {
                match (option.name.as_str(), &option.node.tree) {
                    ("query", Tree::Bool(_) | Tree::Number(_) | Tree::Text(_)) => value = option.node.value(),
                    ("operator", Tree::Text(operator)) => and = is_and(operator, option.node.at)?,
                    ("boost", Tree::Number(_))
                    | ("lenient", _)
                    | ("_name" | "analyzer" | "zero_terms_query", Tree::Text(_)) => {}
                    _ => return self.unsupported(option),
                }
            }
        } else {
            value = field.node.value();
        }
        if value.is_null() {
            return fault(field.node.end, parsing(field.node.end, "No text specified for text query"));
        }
        Ok(Clause::Match { field: field.name.clone(), value, and })
    }

    fn terms(&self) -> Read<Clause> {
        let mut found = None;
        for member in self.members {
            let at = member.node.at;
            match (&member.node.tree, member.name.as_str()) {
                (Tree::Number(_), "boost") | (Tree::Text(_), "_name") => {}
                (Tree::List(_) | Tree::Object(_), _) if found.is_some() => {
                    return fault(at, parsing(at, "[terms] query does not support multiple fields"));
                }
                (Tree::List(items), name) => {
                    if let Some(null) = items.iter().find(|item| matches!(item.tree, Tree::Null)) {
                        return fault(null.at, parsing(null.at, "No value specified for terms query"));
                    }
                    let values = items.iter().map(Node::value).collect();
                    found = Some(Clause::Terms { field: name.to_owned(), values });
                }
                (Tree::Object(_), _) => found = Some(Clause::Lookup),
                _ => return self.unsupported(member),
            }
        }
        let text = "[terms] query requires a field name, followed by array of terms or a document lookup specification";
        found.ok_or_else(|| Fault { at: self.end, cause: parsing(self.end, text) })
    }

    fn exists(&self) -> Read<Clause> {
        let mut field = None;
        for member in self.members {
            match (member.name.as_str(), &member.node.tree) {
                ("field", Tree::Text(name)) => field = Some(name.clone()),
                ("boost", Tree::Number(_)) | ("_name", Tree::Text(_)) => {}
                _ => return self.unsupported(member),
            }
        }
        let missing = || Fault { at: self.end, cause: parsing(self.end, "[exists] must be provided with a [field]") };
        field.map(Clause::Exists).ok_or_else(missing)
    }

    fn ids(&self) -> Read<Clause> {
        self.strict(&["values", "boost", "_name"])?;
        let values = self.members.iter().find(|member| member.name == "values").map(|member| &member.node);
        let ids = match values.map(|node| &node.tree) {
            None => Vec::new(),
            Some(Tree::List(items)) => items.iter().map(|item| plain(&item.value())).collect(),
            Some(Tree::Text(id)) => vec![id.clone()],
            Some(_) => {
                let at = values.map_or(self.end, |node| node.at);
                let token = values.map_or("", Node::token);
                let text = format!("[{at}] [ids] values doesn't support values of type: {token}");
                return fault(at, parsing(at, text.clone()).because(Exception::content(text)));
            }
        };
        Ok(Clause::Ids(ids))
    }

    fn range(&self) -> Read<Clause> {
        let field = self.field()?;
        let Tree::Object(options) = &field.node.tree else {
            return self.unsupported(field);
        };
        let mut range = Range { field: field.name.clone(), ..Range::default() };
        let (mut include_lower, mut include_upper) = (None, None);
        for option in options {
            let value = match &option.node.tree {
                Tree::List(_) | Tree::Object(_) => return self.unsupported(option),
                Tree::Null => None,
                _ => Some(option.node.value()),
            };
            let bound = |included| value.clone().map(|value| (value, included));
            match (option.name.as_str(), &option.node.tree) {
                ("gt", _) => range.from = bound(false),
                ("gte" | "from", _) => range.from = bound(true),
                ("lt", _) => range.to = bound(false),
                ("lte" | "to", _) => range.to = bound(true),
                ("include_lower", Tree::Bool(include)) => include_lower = Some(*include),
                ("include_upper", Tree::Bool(include)) => include_upper = Some(*include),
                ("format", Tree::Text(format)) => range.format = Some(format.clone()),
                ("relation", Tree::Text(_)) => range.related = true,
                ("boost", Tree::Number(_)) | ("_name", Tree::Text(_)) => {}
                ("time_zone", Tree::Text(zone)) if matches!(zone.as_str(), "UTC" | "Z" | "+00:00") => {}
                _ => return self.unsupported(option),
            }
        }
        for (bound, include) in [(&mut range.from, include_lower), (&mut range.to, include_upper)] {
            if let (Some((_, included)), Some(include)) = (bound, include) {
                *included = include;
            }
        }
        Ok(Clause::Range(Box::new(range)))
    }

    fn bool(&self) -> Read<Clause> {
        let (mut must, mut should, mut must_not, mut minimum) = (Vec::new(), Vec::new(), Vec::new(), None);
        for member in self.members {
            let node = &member.node;
            let list = match member.name.as_str() {
                "must" | "filter" => &mut must,
                "should" => &mut should,
                "must_not" | "mustNot" => &mut must_not,
                "minimum_should_match" => {
                    // Percentages and conditions have no place in so small a search.
                    let count = number(node).and_then(Result::ok).and_then(|count| usize::try_from(count).ok());
                    minimum = Some(count.ok_or_else(|| self.mistyped(member))?);
                    continue;
                }
                "boost" | "adjust_pure_negative" | "_name" => continue,
                name => {
                    let text = suggest::unknown_field(member.at, self.kind, name, &BOOL);
                    return fault(node.at, Exception::content(text));
                }
            };
            let nested = |Fault { at, cause }: Fault| {
                let text = format!("[{at}] [bool] failed to parse field [{}]", member.name);
                Fault { at, cause: Exception::content(text).because(cause) }
            };
            match &node.tree {
                Tree::Object(_) => list.push(read(node).map_err(nested)?),
                Tree::List(items) => {
                    for item in items {
                        list.push(read(item).map_err(nested)?);
                    }
                }
                _ => return Err(self.mistyped(member)),
            }
        }
        Ok(Clause::Bool { must, should, must_not, minimum })
    }

    fn mistyped(&self, member: &Field) -> Fault {
        let (at, kind, token) = (member.node.at, self.kind, member.node.token());
        Fault {
            at,
            cause: Exception::content(format!(
                "[{at}] [{kind}] {} doesn't support values of type: {token}",
                member.name
            )),
        }
    }

    fn simple(&self) -> Read<Clause> {
        let (mut text, mut fields, mut and) = (None, Vec::new(), false);
        for member in self.members {
            match (member.name.as_str(), &member.node.tree) {
                ("query", Tree::Text(query)) => text = Some(query.clone()),
                ("fields", Tree::List(items)) => fields = items.iter().map(|item| plain(&item.value())).collect(),
                ("default_operator", Tree::Text(operator)) => and = is_and(operator, member.node.at)?,
                (
                    "lenient"
                    | "analyze_wildcard"
                    | "flags"
                    | "analyzer"
                    | "boost"
                    | "_name"
                    | "quote_field_suffix"
                    | "auto_generate_synonyms_phrase_query"
                    | "minimum_should_match"
                    | "fuzzy_prefix_length"
                    | "fuzzy_max_expansions"
                    | "fuzzy_transpositions",
                    Tree::Bool(_) | Tree::Number(_) | Tree::Text(_),
                ) => {}
                _ => {
                    let at = member.node.at;
                    let text = format!("[simple_query_string] unsupported field [{}]", member.name);
                    return fault(at, parsing(at, text));
                }
            }
        }
        let missing = || Fault { at: self.end, cause: parsing(self.end, "[simple_query_string] query text missing") };
        Ok(Clause::Simple { text: text.ok_or_else(missing)?, fields, and })
    }
}

fn is_and(operator: &str, at: Position) -> Read<bool> {
    match operator.to_ascii_lowercase().as_str() {
        "and" => Ok(true),
        "or" => Ok(false),
        _ => {
            let text = format!("No enum constant org.elasticsearch.index.query.Operator.{}", operator.to_uppercase());
            fault(at, Exception::argument(text))
        }
    }
}

const BOOL: [&str; 8] =
    ["_name", "adjust_pure_negative", "boost", "filter", "minimum_should_match", "must", "mustNot", "must_not"];

/// Kinds of Elasticsearch that are refused by name.
const UNSUPPORTED: [&str; 33] = [
    "boosting",
    "combined_fields",
    "constant_score",
    "dis_max",
    "distance_feature",
    "function_score",
    "fuzzy",
    "geo_bounding_box",
    "geo_distance",
    "geo_polygon",
    "geo_shape",
    "has_child",
    "has_parent",
    "intervals",
    "knn",
    "match_bool_prefix",
    "match_none",
    "match_phrase",
    "match_phrase_prefix",
    "more_like_this",
    "multi_match",
    "nested",
    "parent_id",
    "percolate",
    "query_string",
    "rank_feature",
    "regexp",
    "script",
    "script_score",
    "span_term",
    "terms_set",
    "wrapper",
    "semantic",
];

//! The target that the cluster sees in place of the caller's: the same, with other names.

use std::fmt::Write as _;

use http::{Uri, uri::PathAndQuery};

use super::{
    query,
    routes::{Route, segments},
};
use crate::path;

/// Puts lists of names where a route has them: `index`, and `name` where that is given.
///
/// `None`: longer than a request line may be, or no target at all.
pub(super) fn rewrite(
    route: &Route,
    path: &str,
    query: Option<&str>,
    index: Option<&[String]>,
    name: Option<&[String]>,
) -> Option<PathAndQuery> {
    let mut target = String::with_capacity(path.len() + 64);
    let insert = index.filter(|_| route.index.is_none());
    let mut count = 0;
    for (at, segment) in segments(path).enumerate() {
        count = at + 1;
        if insert.is_some() && route.index_belongs == Some(at) {
            push(&mut target, '/', insert?, NOTHING);
        }
        match (index, name) {
            (Some(index), _) if route.index == Some(at) => push(&mut target, '/', index, NOTHING),
            (_, Some(name)) if route.name == Some(at) => push(&mut target, '/', name, NO_ALIAS),
            _ => {
                target.push('/');
                target.push_str(segment);
            }
        }
    }
    if insert.is_some() && route.index_belongs == Some(count) {
        push(&mut target, '/', insert?, NOTHING);
    }
    if name.is_some() && route.name.is_none() {
        push(&mut target, '/', name?, NO_ALIAS);
    }
    if let Some(query) = query {
        target.push('?');
        target.push_str(query);
    }
    if let (Some(names), None) = (insert, route.index_belongs) {
        // The last of a repeated parameter counts.
        target.push_str(if query.is_some() { "&index" } else { "?index" });
        push(&mut target, '=', names, NOTHING);
    }
    if target.len() > LONGEST { None } else { PathAndQuery::try_from(target).ok() }
}

/// A target without `filter_path`: items are counted in the answer.
pub(super) fn without_filter(uri: &Uri) -> Option<PathAndQuery> {
    let pairs = uri.query().unwrap_or_default().split(['&', ';']);
    let kept = pairs.filter(|pair| {
        let key = pair.split('=').next().unwrap_or_default();
        path::decode(key).is_ok_and(|key| key != "filter_path")
    });
    let query = kept.collect::<Vec<_>>().join("&");
    PathAndQuery::try_from(format!("{}?{query}", uri.path())).ok()
}

/// The same target with other ids in place of those in segment `at`, and of each `scroll_id` in its query. `None`: there
/// are none.
///
/// # Errors
///
/// Those of `other`, which is given a list as it is meant.
pub(super) fn with_ids<E>(
    uri: &Uri,
    at: Option<usize>,
    mut other: impl FnMut(&str) -> Result<Vec<String>, E>,
) -> Result<Option<PathAndQuery>, E> {
    let (mut target, mut changed) = (String::with_capacity(uri.path().len()), false);
    for (place, segment) in segments(uri.path()).enumerate() {
        if at == Some(place) {
            push(&mut target, '/', &other(&path::decode(segment).unwrap_or_default())?, "");
            changed = true;
        } else {
            target.push('/');
            target.push_str(segment);
        }
    }
    let pairs = uri.query().into_iter().flat_map(|query| query.split(['&', ';']));
    for (place, pair) in pairs.enumerate() {
        target.push(if place == 0 { '?' } else { '&' });
        match pair.split_once('=') {
            Some((key, value)) if query::decode(key) == "scroll_id" => {
                target.push_str("scroll_id");
                push(&mut target, '=', &other(&query::decode(value))?, "");
                changed = true;
            }
            _ => target.push_str(pair),
        }
    }
    Ok(PathAndQuery::try_from(target).ok().filter(|_| changed))
}

fn push(target: &mut String, before: char, names: &[String], nothing: &str) {
    target.push(before);
    if names.is_empty() {
        target.push_str(nothing);
    }
    for (at, name) in names.iter().enumerate() {
        if at > 0 {
            target.push(',');
        }
        for byte in name.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'*' | b':' => {
                    target.push(char::from(byte));
                }
                // Writing to a string cannot fail.
                _ => drop(write!(target, "%{byte:02X}")),
            }
        }
    }
}

/// Means no index to every API that takes an expression, and gives its empty answer.
const NOTHING: &str = "*,-*";
/// Means no alias: none may be called so.
const NO_ALIAS: &str = "_*";
/// What clusters take as a request line, by default, less the method and the version.
const LONGEST: usize = 4000;

#[cfg(test)]
mod tests {
    use http::Method;

    use super::{super::routes::Routes, *};

    fn rewritten(path: &str, query: Option<&str>, names: &[&str]) -> String {
        let routes = Routes::load();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let route = routes.find(&Method::GET, path).unwrap();
        rewrite(route, path, query, Some(&names), None).unwrap().to_string()
    }

    #[test]
    fn names_stand_where_the_route_has_them() {
        assert_eq!(rewritten("/a*/_search", Some("q=x"), &["a1", "a2"]), "/a1,a2/_search?q=x");
        assert_eq!(rewritten("/_search", None, &["a1"]), "/a1/_search");
        assert_eq!(rewritten("/_cat/indices", None, &["a1"]), "/_cat/indices/a1");
        assert_eq!(rewritten("/_stats/docs", None, &["a1"]), "/a1/_stats/docs");
    }

    #[test]
    fn nothing_is_said_so_that_the_cluster_answers_with_nothing() {
        assert_eq!(rewritten("/a*/_search", None, &[]), "/*,-*/_search");
    }

    #[test]
    fn names_are_encoded() {
        assert_eq!(rewritten("/a*/_search", None, &["\u{fc},x"]), "/%C3%BC%2Cx/_search");
    }

    #[test]
    fn a_line_that_no_cluster_takes_is_none() {
        let routes = Routes::load();
        let names = vec!["a".repeat(100); 50];
        assert!(
            rewrite(routes.find(&Method::GET, "/_search").unwrap(), "/_search", None, Some(&names), None).is_none()
        );
    }
}

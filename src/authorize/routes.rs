//! The table of routes: what a method and a raw path mean (API page section 14).
//!
//! Words of a path match undecoded, as the cluster matches them. Of several lines that match, the one whose words stand
//! first counts, and a line without the method is none: so the cluster's own router chooses too.

use std::{collections::BTreeMap, fmt, sync::Arc};

use http::Method;

use super::contexts::Context;

/// All routes, as a tree of path segments.
#[derive(Default)]
pub(super) struct Routes {
    /// Shared with what judges a body while it goes on.
    routes: Box<[Arc<Route>]>,
    root: Node,
}

/// One line of the table.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "flags of the table, each by its name")]
pub(super) struct Route {
    /// The path as the table writes it.
    pub(super) shape: &'static str,
    /// What it does, in the cluster's words; empty where nothing is to be judged.
    pub(super) actions: Box<[&'static str]>,
    /// What is judged.
    pub(super) kind: Kind,
    /// Destructive: wildcards and all indices are refused.
    pub(super) no_wildcards: bool,
    /// Nothing left after narrowing is refused even where `allow_no_indices` is not given.
    pub(super) none_fails: bool,
    /// Concrete names that are refused are left out.
    pub(super) lenient: bool,
    /// A missing index is created.
    pub(super) auto_create: bool,
    /// States of indices that wildcards mean where the request does not say.
    pub(super) expand: Expand,
    /// What of the body must be read.
    pub(super) body: Option<&'static str>,
    /// What is opened by it, or was opened before.
    pub(super) context: Option<Context>,
    /// Which segment is `{index}`.
    pub(super) index: Option<usize>,
    /// Which segment is `{id}`.
    pub(super) id: Option<usize>,
    /// Which segment is `{target}`.
    pub(super) target: Option<usize>,
    /// Which segment is `{name}`.
    pub(super) name: Option<usize>,
    /// Where `{index}` would be inserted, in a sibling of a route without one.
    pub(super) index_belongs: Option<usize>,
}

/// What is judged.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// Names of aliases, by themselves.
    Alias,
    /// The action, as a cluster privilege.
    Cluster,
    /// The action on the one index that is named.
    Concrete,
    /// Something that somebody opened.
    Context,
    /// Too much to tell.
    Everything,
    /// Nothing: any known caller.
    Free,
    /// The action on what an expression names.
    Index,
    /// Each item of the body.
    Items,
    /// A query whose text names its sources.
    Language,
}

/// Which indices a wildcard means.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Expand {
    /// Open ones.
    pub(super) open: bool,
    /// Closed ones.
    pub(super) closed: bool,
    /// Of these, hidden ones too.
    pub(super) hidden: bool,
}

#[derive(Debug, Default)]
struct Node {
    words: BTreeMap<&'static str, Node>,
    any: Option<Box<Node>>,
    /// Routes that end here, by method.
    ends: Vec<(Method, usize)>,
    /// Routes that take whatever follows.
    rest: Vec<(Method, usize)>,
}

impl Routes {
    /// The table that this crate is built with. A test holds that all of it can be read; were it not so, nothing would be
    /// known and so nothing allowed.
    #[must_use]
    pub(super) fn load() -> Self {
        Self::parse(TABLE).unwrap_or_default()
    }

    fn parse(table: &'static str) -> Result<Self, String> {
        let mut routes = Vec::new();
        let mut root = Node::default();
        for line in table.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let mut fields = line.split_ascii_whitespace();
            let (Some(methods), Some(path), Some(actions), Some(kind)) =
                (fields.next(), fields.next(), fields.next(), fields.next())
            else {
                return Err(line.to_owned());
            };
            let route = Route::parse(path, actions, kind, fields).ok_or(line)?;
            for method in methods.split(',') {
                let method = Method::from_bytes(method.as_bytes()).map_err(|_| line)?;
                if !root.insert(path, method, routes.len()) {
                    return Err(format!("a second time: {line}"));
                }
            }
            routes.push(route);
        }
        place_indices(&mut routes);
        Ok(Self { routes: routes.into_iter().map(Arc::new).collect(), root })
    }

    /// What a request means, if the table knows.
    #[must_use]
    pub(super) fn find(&self, method: &Method, path: &str) -> Option<&Arc<Route>> {
        self.routes.get(self.root.find(method, segments(path))?)
    }
}

/// The segments of a raw path; one trailing slash is none.
pub(super) fn segments(path: &str) -> std::iter::Peekable<std::str::Split<'_, char>> {
    let path = path.strip_prefix('/').unwrap_or(path);
    let mut segments = path.strip_suffix('/').unwrap_or(path).split('/').peekable();
    segments.next_if_eq(&"");
    segments
}

impl Route {
    fn parse(
        path: &'static str,
        actions: &'static str,
        kind: &str,
        flags: impl Iterator<Item = &'static str>,
    ) -> Option<Self> {
        let position = |name| segments(path).position(|segment| segment == name);
        let mut route = Self {
            shape: path,
            actions: actions.split('+').filter(|action| *action != "-").collect(),
            kind: Kind::parse(kind)?,
            no_wildcards: false,
            none_fails: false,
            lenient: false,
            auto_create: false,
            expand: Expand { open: true, closed: false, hidden: false },
            body: None,
            context: None,
            index: position("{index}"),
            id: position("{id}"),
            target: position("{target}"),
            name: position("{name}"),
            index_belongs: None,
        };
        for flag in flags {
            match flag.split_once('=') {
                None if flag == "no_wildcards" => route.no_wildcards = true,
                None if flag == "none_fails" => route.none_fails = true,
                None if flag == "lenient" => route.lenient = true,
                None if flag == "auto_create" => route.auto_create = true,
                Some(("body", kind)) => route.body = Some(kind),
                Some(("context", what)) => route.context = Some(Context::parse(what)?),
                Some(("expand", states)) => route.expand = Expand::parse(states).ok()?,
                _ => return None,
            }
        }
        Some(route)
    }
}

/// Finds for each route without `{index}` the place that its sibling has it in.
fn place_indices(routes: &mut [Route]) {
    let with: BTreeMap<(String, Box<[&str]>), usize> = routes
        .iter()
        .filter_map(|route| {
            let place = route.index?;
            let bare: String = segments(route.shape)
                .enumerate()
                .filter(|(at, _)| *at != place)
                .flat_map(|(_, segment)| ["/", segment])
                .collect();
            Some(((bare, route.actions.clone()), place))
        })
        .collect();
    for route in routes.iter_mut().filter(|route| route.index.is_none()) {
        route.index_belongs = with.get(&(route.shape.to_owned(), route.actions.clone())).copied();
    }
}

impl Kind {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "alias" => Self::Alias,
            "cluster" => Self::Cluster,
            "concrete" => Self::Concrete,
            "context" => Self::Context,
            "everything" => Self::Everything,
            "free" => Self::Free,
            "index" => Self::Index,
            "items" => Self::Items,
            "language" => Self::Language,
            _ => return None,
        })
    }
}

impl Expand {
    /// Reads `expand_wildcards`.
    ///
    /// # Errors
    ///
    /// The value that is none.
    pub(super) fn parse(text: &str) -> Result<Self, &str> {
        let mut expand = Self { open: false, closed: false, hidden: false };
        for state in text.split(',') {
            match state {
                "all" => expand = Self { open: true, closed: true, hidden: true },
                "closed" => expand.closed = true,
                "hidden" => expand.hidden = true,
                "none" => expand = Self { open: false, closed: false, hidden: false },
                "open" => expand.open = true,
                _ => return Err(state),
            }
        }
        Ok(expand)
    }

    /// Whether wildcards mean anything.
    #[must_use]
    pub(super) fn is_none(self) -> bool {
        !self.open && !self.closed
    }
}

impl Node {
    fn insert(&mut self, path: &'static str, method: Method, route: usize) -> bool {
        let mut node = self;
        for segment in segments(path) {
            if segment.ends_with("*}") {
                return push(&mut node.rest, method, route);
            }
            node = if segment.starts_with('{') {
                node.any.get_or_insert_default()
            } else {
                node.words.entry(segment).or_default()
            };
        }
        push(&mut node.ends, method, route)
    }

    fn find<'p>(&self, method: &Method, mut path: impl Iterator<Item = &'p str> + Clone) -> Option<usize> {
        let among = |ends: &[(Method, usize)]| ends.iter().find(|(known, _)| known == method).map(|(_, route)| *route);
        let found = match path.next() {
            None => among(&self.ends),
            Some(segment) => {
                let word = self.words.get(segment).and_then(|node| node.find(method, path.clone()));
                word.or_else(|| self.any.as_ref()?.find(method, path))
            }
        };
        found.or_else(|| among(&self.rest))
    }
}

fn push(ends: &mut Vec<(Method, usize)>, method: Method, route: usize) -> bool {
    let new = ends.iter().all(|(known, _)| *known != method);
    ends.push((method, route));
    new
}

impl fmt::Debug for Routes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Routes").field("routes", &self.routes.len()).finish_non_exhaustive()
    }
}

const TABLE: &str = include_str!("routes.txt");

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(method: &str, path: &str) -> Option<&'static str> {
        let routes = Routes::load();
        routes.find(&method.parse().unwrap(), path).map(|route| route.shape)
    }

    #[test]
    fn every_line_can_be_read_and_none_stands_twice() {
        let routes = Routes::parse(TABLE).unwrap();
        assert!(routes.routes.len() > 400);
        for route in &routes.routes {
            let judged = !matches!(route.kind, Kind::Everything | Kind::Free);
            assert!(!judged || !route.actions.is_empty(), "{}", route.shape);
            assert!(route.kind != Kind::Concrete || route.index.is_some(), "{}", route.shape);
            assert!(route.kind != Kind::Context || route.context.is_some(), "{}", route.shape);
        }
    }

    #[test]
    fn words_come_before_names() {
        assert_eq!(shape("GET", "/_cat/count"), Some("/_cat/count"));
        assert_eq!(shape("DELETE", "/_search/scroll/_all"), Some("/_search/scroll/_all"));
        assert_eq!(shape("DELETE", "/_search/scroll/x"), Some("/_search/scroll/{id}"));
        assert_eq!(shape("GET", "/logs/_search/"), Some("/{index}/_search"));
        assert_eq!(shape("GET", "/"), Some("/"));
    }

    #[test]
    fn a_word_without_the_method_is_a_name_as_for_the_cluster() {
        assert_eq!(shape("GET", "/_anything"), Some("/{index}"));
        assert_eq!(shape("PUT", "/_search"), Some("/{index}"));
        assert_eq!(shape("GET", "/a/b/c/d/e"), None);
    }

    #[test]
    fn the_rest_of_a_path_is_taken_whole() {
        assert_eq!(shape("GET", "/_cluster/state"), Some("/_cluster/state/{rest*}"));
        assert_eq!(shape("GET", "/_cluster/state/metadata/logs"), Some("/_cluster/state/{rest*}"));
    }

    #[test]
    fn words_match_undecoded() {
        assert_eq!(shape("GET", "/a/_%73earch"), None);
        assert_eq!(shape("GET", "/%5fall/_count"), Some("/{index}/_count"));
    }

    #[test]
    fn a_route_without_index_knows_where_its_sibling_has_one() {
        let routes = Routes::load();
        let belongs = |path| routes.find(&Method::GET, path).unwrap().index_belongs;
        assert_eq!(
            (belongs("/_search"), belongs("/_cat/indices"), belongs("/_stats/docs")),
            (Some(0), Some(2), Some(0))
        );
    }
}

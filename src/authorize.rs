//! Decides what a caller may do. A request that skipped it cannot be forwarded: there is no [`Permit`] for it.
//!
//! A request is understood from the table of routes: which action, on which names. What the table does not know, and
//! what cannot be told, is for callers who may do everything. Whatever a caller may use only in part goes on in other
//! words, which name that part alone.

use std::{
    borrow::Cow,
    collections::HashSet,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use http::{HeaderMap, Method, Uri, uri::PathAndQuery};

use crate::{
    body::Body,
    clock::Clock,
    model::Principal,
    path,
    scan::{self, List},
    sealing::MasterKeys,
    telemetry::audit::{Audit, AuditEvent},
};

mod content;
mod contexts;
mod date_math;
mod documents;
mod explain;
mod names;
mod narrow;
mod permit;
mod pipelines;
mod query;
mod refusal;
mod resolve;
mod routes;
mod stream;
mod target;

use contexts::Context;
pub use contexts::Sealer;
use explain::Notes;
pub use explain::{Explanation, Mentioned};
use names::Expression;
use narrow::{ALIASES, Narrowing, Options};
use permit::Grant;
pub use permit::Permit;
use pipelines::{PIPELINES, Pipelines, Staying};
use query::Query;
pub use refusal::{AuthorizeError, Denied, Gone, On};
use resolve::{CATALOG, Catalog, Resolver};
use routes::{Kind, Route, Routes, segments};
pub use stream::Judged;
use stream::Terms;

/// A request, as far as it is judged.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Who asks.
    pub principal: &'a Arc<Principal>,
    /// From where.
    pub client: Option<IpAddr>,
    /// How.
    pub method: &'a Method,
    /// For what.
    pub uri: &'a Uri,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Bytes that its body may have, as sent and inflated.
    pub limit: u64,
}

/// Judges requests. Cheap to clone; clones share what they know.
#[derive(Clone, Debug)]
pub struct Authorizer(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    audit: Audit,
    clock: Clock,
    routes: Routes,
    resolver: Resolver,
    pipelines: Pipelines,
    /// Seal what callers hold of what they opened.
    keys: MasterKeys,
    /// Shapes of routes that the table does not know and that were logged.
    strange: Mutex<HashSet<String>>,
}

/// What one look at a request tells.
enum Look<'a> {
    /// Nothing it can mean is refused.
    Allowed,
    /// It depends on names.
    Names { route: &'a Arc<Route>, query: Query<'a>, index: Cow<'a, str> },
    /// It depends on what its body names, and on the names of its path unless they are `covered`.
    Body { route: &'a Arc<Route>, kind: &'static str, query: Query<'a>, index: Cow<'a, str>, covered: bool },
}

impl Authorizer {
    /// One that tells `audit` of whom it refuses, and seals under `keys` what callers open.
    #[must_use]
    pub fn new(audit: Audit, clock: Clock, keys: MasterKeys) -> Self {
        let (routes, resolver) = (Routes::load(), Resolver::default());
        let pipelines = Pipelines::default();
        Self(Arc::new(Inner { audit, clock, routes, resolver, pipelines, keys, strange: Mutex::default() }))
    }

    /// Whether this request may go to the cluster, and in which words. `ask` gets the cluster's answer to the target of
    /// a permit of our own, and is called only where it must be known what exists.
    ///
    /// # Errors
    ///
    /// [`AuthorizeError`] when not.
    pub async fn check(
        &self,
        asked: Asked<'_>,
        body: &mut Body,
        ask: impl AsyncFn(Permit) -> Option<Bytes>,
    ) -> Result<Permit, AuthorizeError> {
        let notes = Notes::for_log();
        let judged = self.judge(&asked, body, &notes, ask).await;
        if let Some(explanation) = self.end(&notes, &asked, judged.as_ref().err()) {
            explanation.log(&asked);
        }
        judged.inspect_err(|error| self.tell(&asked, error))
    }

    /// What [`Self::check`] would say of a request, and why. Nothing is sent but questions of what exists.
    pub async fn explain(
        &self,
        asked: Asked<'_>,
        body: Body,
        ask: impl AsyncFn(Permit) -> Option<Bytes>,
    ) -> Explanation {
        let (notes, mut body) = (Notes::kept(), body);
        let judged = self.judge(&asked, &mut body, &notes, ask).await;
        self.end(&notes, &asked, judged.as_ref().err()).unwrap_or_default()
    }

    fn end(&self, notes: &Notes, asked: &Asked<'_>, refusal: Option<&AuthorizeError>) -> Option<Explanation> {
        notes.end(asked, || self.0.routes.find(asked.method, asked.uri.path()).map(|route| &**route), refusal)
    }

    async fn judge(
        &self,
        asked: &Asked<'_>,
        body: &mut Body,
        notes: &Notes,
        ask: impl AsyncFn(Permit) -> Option<Bytes>,
    ) -> Result<Permit, AuthorizeError> {
        let mut permit = Permit::new(Grant::Principal(Arc::clone(asked.principal)));
        let context = self.context(asked);
        // Boxed: every request in flight keeps room for what is awaited here.
        if let Some((route, context)) = context.filter(|(route, _)| route.kind == Kind::Context) {
            notes.route(route);
            Box::pin(self.use_context(asked, (route, context), body, &mut permit)).await?;
            return Ok(permit);
        }
        if asked.principal.privileges.allows_everything() {
            notes.total(|| self.0.routes.find(asked.method, asked.uri.path()).map(|route| &**route), asked.uri);
        } else {
            match self.look(asked, !matches!(body, Body::Empty), notes)? {
                Look::Allowed => {}
                Look::Names { route, query, index } => {
                    let target = Box::pin(self.narrow(asked, route, &query, &index, notes, &ask)).await?;
                    permit.target = target.map(Box::new);
                }
                Look::Body { route, kind, query, index, covered } => {
                    let work = (route, kind, &query, &*index, covered);
                    Box::pin(self.read(asked, work, body, &mut permit, notes, &ask)).await?;
                }
            }
        }
        if let Some((route, context)) = context {
            Box::pin(self.open_context(asked, (route, context), &mut permit, &ask)).await?;
        }
        Ok(permit)
    }

    /// What a request opens or uses of what stays open.
    fn context(&self, asked: &Asked<'_>) -> Option<(&Route, Context)> {
        if !contexts::may_concern(asked.uri) {
            return None;
        }
        let route = self.0.routes.find(asked.method, asked.uri.path())?;
        Some((route, route.context?))
    }

    /// Judges a request that goes on with what somebody opened, or ends it.
    async fn use_context(
        &self,
        asked: &Asked<'_>,
        used: (&Route, Context),
        body: &mut Body,
        permit: &mut Permit,
    ) -> Result<(), AuthorizeError> {
        let (sealer, target, read) = contexts::judge(&self.0.keys, asked, used, body).await?;
        permit.target = target.map(Box::new);
        permit.contexts = Some(Box::new(sealer));
        permit.read = read;
        Ok(())
    }

    /// Sees to it that what a permitted request opens is its caller's.
    async fn open_context(
        &self,
        asked: &Asked<'_>,
        (route, context): (&Route, Context),
        permit: &mut Permit,
        ask: &impl AsyncFn(Permit) -> Option<Bytes>,
    ) -> Result<(), AuthorizeError> {
        if permit.contexts.is_some() {
            return Ok(());
        }
        let indices = if context == Context::Pit && !asked.principal.privileges.allows_everything() {
            let path = permit.target().map_or(asked.uri.path(), PathAndQuery::path);
            let index = route.index.and_then(|at| segments(path).nth(at)).unwrap_or_default();
            let query = asked.uri.query().map_or_else(Query::default, Query::parse);
            let expand = Options::of(route, &query)?.expand;
            contexts::pit_indices(&path::decode(index).unwrap_or_default(), expand, &*self.catalog(ask).await?)
        } else {
            Vec::new()
        };
        permit.contexts = contexts::opening(&self.0.keys, asked, context, indices)?.map(Box::new);
        Ok(())
    }

    /// Judges the body, and the names of the path too.
    async fn read(
        &self,
        asked: &Asked<'_>,
        (route, kind, query, index, covered): (&Arc<Route>, &'static str, &Query<'_>, &str, bool),
        body: &mut Body,
        permit: &mut Permit,
        notes: &Notes,
        ask: &impl AsyncFn(Permit) -> Option<Bytes>,
    ) -> Result<(), AuthorizeError> {
        // It may search a point in time, and no index.
        let names_later = route.shape == "/_search" && index.is_empty();
        let mut catalog = if covered && kind != "bulk" { None } else { Some(self.catalog(ask).await?) };
        if !covered && !names_later {
            let target = self.narrow(asked, route, query, index, notes, ask).await?;
            permit.target = target.map(Box::new);
        }
        let (now, gzip) = (self.0.clock.now(), content::is_gzip(asked.headers)?);
        let (principal, keys) = (asked.principal, &self.0.keys);
        permit.read = true;
        if let ("bulk", Some(catalog)) = (kind, &catalog) {
            self.pipeline(principal, query, ask).await?;
            let pipelines = self.pipelines(principal, ask).await;
            let (catalog, notes) = (Arc::clone(catalog), notes.clone());
            let terms = Terms { principal, route, index, catalog, pipelines, now, notes, gzip, limit: asked.limit };
            permit.judged = Some(stream::begin(terms, body).await?);
        } else {
            let whole = content::read(gzip, std::mem::take(body)).await?;
            let left = loop {
                let judge = content::Judge {
                    principal,
                    route,
                    index,
                    catalog: catalog.as_deref(),
                    pipelines: None,
                    keys: Some(keys),
                    now,
                    notes,
                };
                match judge.judge(kind, whole.clone()) {
                    // Only now: most bodies name what is granted, whether it exists or not.
                    Err(AuthorizeError::Unresolved) if catalog.is_none() => {
                        catalog = Some(self.catalog(ask).await?);
                    }
                    judged => break judged?,
                }
            };
            if !left.opened.is_empty() {
                contexts::answers_plainly(asked.headers, query)?;
                permit.contexts = Some(Box::new(Sealer::of_search(keys, principal, left.opened)));
            } else if !covered && names_later {
                let target = self.narrow(asked, route, query, index, notes, ask).await?;
                permit.target = target.map(Box::new);
            }
            permit.judged = left.refused.map(Judged::whole);
            *body = left.body.map_or(Body::Empty, Body::from);
        }
        permit.judged.take_if(|judged| judged.is_untouched());
        if permit.judged.is_some() {
            let accept = asked.headers.get(http::header::ACCEPT).map(|accept| accept.to_str().unwrap_or("?"));
            if !scan::accepts_json(accept, query.format.as_deref()) {
                return Err(AuthorizeError::Illegal("the answer to this request is given as JSON only".into()));
            }
            let list = if kind == "bulk" { List::Items } else { List::Docs };
            let keeps = |filter: &str| kind != "msearch" && scan::keeps_every_item(list, filter);
            if query.filter_path.as_deref().is_some_and(|filter| !keeps(filter)) {
                permit.target = Some(Box::new(target::without_filter(asked.uri).ok_or(AuthorizeError::Unresolved)?));
            }
        }
        Ok(())
    }

    /// Whether this request may go to the cluster in its own words, by somebody else's hand. A body that may name
    /// indices counts as naming all.
    ///
    /// # Errors
    ///
    /// [`AuthorizeError`] when not.
    pub fn check_as_it_is(&self, asked: Asked<'_>) -> Result<(), AuthorizeError> {
        // Whoever asks may not tell the cluster whose request it is.
        if asked.principal.privileges.leans_on_cluster() {
            let error = AuthorizeError::everything(asked.principal, ANY_ACTION);
            self.tell(&asked, &error);
            return Err(error);
        }
        if asked.principal.privileges.allows_everything() {
            return Ok(());
        }
        let judged = match self.look(&asked, true, &Notes::default()) {
            Ok(Look::Allowed) => return Ok(()),
            Ok(Look::Body { route, covered: true, .. })
                if route.kind == Kind::Index && narrow::covers(&asked.principal.privileges, &route.actions, "*") =>
            {
                return Ok(());
            }
            Ok(Look::Names { route, .. } | Look::Body { route, .. }) => {
                Err(AuthorizeError::index(asked.principal, route.action(), On::default()))
            }
            Err(error) => Err(error),
        };
        judged.inspect_err(|error| self.tell(&asked, error))
    }

    /// Whether a request, once the cluster has taken it, makes what is known of its names old.
    #[must_use]
    pub fn is_change(&self, method: &Method, path: &str) -> bool {
        if matches!(*method, Method::GET | Method::HEAD) {
            return false;
        }
        let mut words = segments(path);
        match (words.next(), words.next(), words.last()) {
            // It may make its index.
            (Some(index), Some("_doc" | "_create" | "_update" | "_bulk"), _) => !self.0.resolver.knows(index),
            (_, second, last) => match *method {
                Method::DELETE | Method::PUT => true,
                Method::POST => last.or(second).is_some_and(|word| CHANGES.contains(&word)),
                _ => false,
            },
        }
    }

    /// Forgets what is known of names and pipelines.
    pub fn forget(&self) {
        self.0.resolver.forget();
        self.0.pipelines.forget();
    }

    /// What a request means to a limited caller, as far as that can be told without knowing what exists.
    fn look<'a>(&'a self, asked: &Asked<'a>, has_body: bool, notes: &Notes) -> Result<Look<'a>, AuthorizeError> {
        let (principal, path) = (asked.principal, asked.uri.path());
        let Some(route) = self.0.routes.find(asked.method, path) else {
            self.strange(asked.method, path);
            return Err(AuthorizeError::everything(principal, ANY_ACTION));
        };
        notes.route(route);
        let (privileges, action) = (&principal.privileges, route.action());
        if privileges.is_workflow_restricted() {
            return Err(AuthorizeError::workflow(principal, action));
        }
        let query = asked.uri.query().map_or_else(Query::default, Query::parse);
        let index = named(route, path, &query);
        notes.asked(&index);
        let is_cat = route.shape.starts_with("/_cat/") || route.shape == "/_cat";
        if route.kind == Kind::Free || is_cat && query.help.as_deref().is_some_and(|help| help != "false") {
            return Ok(Look::Allowed);
        }
        let cluster_actions =
            || route.actions.iter().filter(|action| route.kind == Kind::Cluster || action.starts_with("cluster:"));
        if let Some(action) = cluster_actions().find(|action| !privileges.allows_cluster_action(action)) {
            return Err(AuthorizeError::cluster(principal, action, false));
        }
        // What a query names besides indices is not for callers who may not do all.
        let writes = route.body == Some("bulk") || route.kind == Kind::Concrete && action == documents::INDEX;
        if query.opaque.is_some() || query.pipeline.is_some() && !writes {
            somewhere(principal, route)?;
            return Err(AuthorizeError::everything(principal, action));
        }
        let body = route.body.filter(|_| has_body);
        match route.kind {
            Kind::Cluster if query.index.is_some() && !action.starts_with("cluster:monitor/") => {
                return Err(AuthorizeError::everything(principal, action));
            }
            Kind::Cluster if body.is_none() => return Ok(Look::Allowed),
            Kind::Free => return Ok(Look::Allowed),
            Kind::Context | Kind::Everything => return Err(AuthorizeError::everything(principal, action)),
            Kind::Items | Kind::Language => {
                somewhere(principal, route)?;
                if body.is_none() {
                    return Err(AuthorizeError::everything(principal, action));
                }
            }
            Kind::Alias | Kind::Cluster | Kind::Concrete | Kind::Index => {}
        }
        let covered = match route.kind {
            Kind::Index => !route.no_wildcards && narrow::covers(privileges, &route.actions, &index),
            Kind::Concrete => {
                route.target.is_none()
                    && query.pipeline.is_none()
                    && !index.contains(SPECIAL)
                    && documents::covers(privileges, route, asked.method, &query, &index)
            }
            Kind::Cluster | Kind::Items | Kind::Language => true,
            _ => false,
        };
        Ok(match body {
            // These two name all in their bodies.
            Some(kind) => {
                let covered = covered || matches!(kind, "aliases" | "reindex");
                Look::Body { route, kind, query, index, covered }
            }
            None if covered => Look::Allowed,
            None => Look::Names { route, query, index },
        })
    }

    /// What a request means once it is known what exists: `None` where it goes on as it came.
    async fn narrow(
        &self,
        asked: &Asked<'_>,
        route: &Route,
        query: &Query<'_>,
        index: &str,
        notes: &Notes,
        ask: &impl AsyncFn(Permit) -> Option<Bytes>,
    ) -> Result<Option<PathAndQuery>, AuthorizeError> {
        let principal = asked.principal;
        let now = self.0.clock.now();
        if route.kind == Kind::Concrete {
            let name = documents::concrete(principal, route, index, now)?;
            let known = if documents::needs_catalog(principal, route, asked.method, query, &name) {
                Some(self.catalog(ask).await?)
            } else {
                None
            };
            documents::judge(principal, route, asked.method, query, &name, known.as_deref())?;
            self.pipeline(principal, query, ask).await?;
            let target = route.target.and_then(|at| segments(asked.uri.path()).nth(at)).map(path::decode);
            if let Some(target) = target
                && !principal.privileges.allows_no_more_on(&target.unwrap_or_default(), &name)
            {
                return Err(AuthorizeError::Forbidden(
                    "Resizing an index is not allowed when the target index has more permissions than the source index"
                        .into(),
                ));
            }
            if name == index {
                return Ok(None);
            }
            let name = [name.into_owned()];
            notes.left(&name);
            return rewritten(asked, route, Some(&name), None);
        }
        let expression = narrow::read(index, now)?;
        if route.no_wildcards && (index.contains('*') || expression == Expression::All) {
            return Err(AuthorizeError::Illegal("Wildcard expressions or all indices are not allowed".into()));
        }
        let options = Options::of(route, query)?;
        let nowhere = somewhere(principal, route);
        // A search is resolved before it is judged; all else is not.
        if nowhere.is_err() && !RESOLVED_FIRST.contains(&route.action()) {
            let asked = index.split(',').filter(|name| !name.is_empty());
            let action = narrow::index_actions(&route.actions)
                .find(|action| !principal.privileges.allows_index_action_somewhere(action));
            return Err(AuthorizeError::index(principal, action.unwrap_or(route.action()), On::names(asked)));
        }
        let aliases = route.kind == Kind::Alias;
        let catalog = if aliases || narrow::needs_catalog(&expression) { Some(self.catalog(ask).await?) } else { None };
        let narrowing = Narrowing { principal, actions: &route.actions, options, catalog: catalog.as_deref() };
        let left = narrowing.narrow(&expression)?;
        nowhere?;
        notes.left(&left);
        let Some(catalog) = catalog.filter(|_| aliases) else { return rewritten(asked, route, Some(&left), None) };
        let name = route.name.and_then(|at| segments(asked.uri.path()).nth(at)).unwrap_or_default();
        let name = path::decode(name).unwrap_or_default();
        let mut names = aliases_left(principal, route, &name, &catalog)?;
        if route.action() != ALIASES
            && route.index_belongs.or(route.index).is_some()
            && (name.is_empty() || name.contains('*'))
        {
            // One that is none of these would be missing.
            names.retain(|name| left.iter().any(|index| catalog.is_alias_of(name, index)));
        }
        if route.action() == ALIASES {
            if name.is_empty() {
                return Err(AuthorizeError::everything(principal, ALIASES));
            }
            if left.is_empty() {
                return Err(AuthorizeError::NoSuchIndex(index.into()));
            }
            let more = |name: &String| left.iter().all(|index| !principal.privileges.allows_no_more_on(name, index));
            if asked.method != Method::DELETE && names.iter().any(more) {
                return Err(AuthorizeError::Forbidden(
                    "Adding an alias is not allowed when the alias has more permissions than any of the indices".into(),
                ));
            }
        }
        let index = (route.index.is_some() || route.index_belongs.is_some()).then_some(&*left);
        rewritten(asked, route, index, Some(&names))
    }

    async fn catalog(&self, ask: &impl AsyncFn(Permit) -> Option<Bytes>) -> Result<Arc<Catalog>, AuthorizeError> {
        let permit = Permit::question(CATALOG);
        self.0.resolver.catalog(async || ask(permit).await).await.map_err(|_| AuthorizeError::Unresolved)
    }

    /// The pipelines that any writer may use; none where nobody needs to know, for the caller may write to all indices.
    async fn pipelines(
        &self,
        principal: &Principal,
        ask: &impl AsyncFn(Permit) -> Option<Bytes>,
    ) -> Option<Arc<Staying>> {
        if WRITES.iter().all(|action| principal.privileges.allows_index_action_on_prefix(action, "")) {
            return None;
        }
        let permit = Permit::question(PIPELINES);
        Some(self.0.pipelines.staying(async || ask(permit).await).await)
    }

    /// Judges the pipeline that a query names for a write.
    async fn pipeline(
        &self,
        principal: &Principal,
        query: &Query<'_>,
        ask: &impl AsyncFn(Permit) -> Option<Bytes>,
    ) -> Result<(), AuthorizeError> {
        let Some(pipeline) = &query.pipeline else { return Ok(()) };
        match self.pipelines(principal, ask).await {
            Some(staying) if !staying.contains(&**pipeline) => Err(AuthorizeError::pipeline(pipeline)),
            _ => Ok(()),
        }
    }

    /// Logs once that the table does not know a route.
    fn strange(&self, method: &Method, path: &str) {
        // Names in it are nobody's business.
        let words = segments(path).map(|segment| if segment.starts_with('_') { segment } else { "{name}" });
        let shape = words.fold(method.to_string(), |shape, word| shape + "/" + word);
        let mut known = self.0.strange.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() < STRANGE && !known.contains(&shape) {
            tracing::warn!(shape, "a route that is not known: only callers who may do everything reach it");
            known.insert(shape);
        }
    }

    fn tell(&self, asked: &Asked<'_>, error: &AuthorizeError) {
        let principal = asked.principal;
        let path = asked.uri.path();
        let action = match error {
            AuthorizeError::Denied(denied) => Some(denied.action),
            _ => None,
        };
        self.0.audit.record(&AuditEvent {
            action: "access_denied",
            user: Some(&principal.identity.username),
            realm: Some(&principal.realm),
            authentication: Some(principal.authentication),
            api_key: principal.api_key.as_ref(),
            client: asked.client,
            method: Some(asked.method.as_str()),
            path: Some(path),
            reason: action,
            ..AuditEvent::default()
        });
    }
}

/// The same request about other names.
fn rewritten(
    asked: &Asked<'_>,
    route: &Route,
    index: Option<&[String]>,
    name: Option<&[String]>,
) -> Result<Option<PathAndQuery>, AuthorizeError> {
    let target = target::rewrite(route, asked.uri.path(), asked.uri.query(), index, name);
    target
        .map(Some)
        .ok_or_else(|| AuthorizeError::Illegal("the names that are left are too many for one request".into()))
}

/// The expression over indices that a request has in its path, or else in its query.
fn named<'a>(route: &Route, path: &'a str, query: &Query<'a>) -> Cow<'a, str> {
    match route.index.and_then(|at| segments(path).nth(at)) {
        Some(raw) if raw.contains('%') => Cow::Owned(path::decode(raw).unwrap_or_default()),
        Some(raw) => Cow::Borrowed(raw),
        None => query.index.clone().unwrap_or_default(),
    }
}

/// Refuses whoever may do it nowhere, whatever is named.
fn somewhere(principal: &Principal, route: &Route) -> Result<(), AuthorizeError> {
    let nowhere = |action: &&'static str| !principal.privileges.allows_index_action_somewhere(action);
    match narrow::index_actions(&route.actions).find(nowhere) {
        Some(action) => Err(AuthorizeError::index(principal, action, On::default())),
        None => Ok(()),
    }
}

/// The aliases that are left of an expression over their names.
fn aliases_left(
    principal: &Principal,
    route: &Route,
    expression: &str,
    catalog: &Catalog,
) -> Result<Vec<String>, AuthorizeError> {
    let allowed = |name: &str| principal.privileges.allows_index_action(route.action(), name);
    let mut left: Vec<String> = Vec::new();
    let all = matches!(expression, "" | "_all");
    for item in if all { "*" } else { expression }.split(',').filter(|item| !item.is_empty()) {
        if let Some(excluded) = item.strip_prefix('-') {
            left.retain(|name| !names::matches(excluded, name));
        } else if item.contains('*') {
            left.extend(catalog.aliases(item).into_iter().filter(|name| allowed(name)).map(str::to_owned));
        } else if allowed(item) {
            left.push(item.to_owned());
        } else {
            return Err(AuthorizeError::index(principal, route.action(), On::default()));
        }
    }
    Ok(left)
}

impl Route {
    /// What it does, in one word.
    fn action(&self) -> &'static str {
        narrow::index_actions(&self.actions).next().or(self.actions.first().copied()).unwrap_or(ANY_ACTION)
    }
}

/// What a grant asks of those whom it is for (API page section 4.3), and everybody may do as itself.
pub const AUTHENTICATE: &str = "cluster:admin/xpack/security/user/authenticate";
/// Stands for whatever a request would do.
pub const ANY_ACTION: &str = "cluster:admin/searchgate/forward";
/// What a name of one index does not hold. A `-` excludes in lists alone, and a name with a dot is judged as it stands.
const SPECIAL: [char; 4] = ['*', '<', ':', ','];
/// What a document may suffer from a pipeline that sends it elsewhere.
const WRITES: [&str; 4] = [documents::INDEX, documents::BULK_SHARD, documents::INDEX_OP, documents::AUTO_CREATE];
/// Actions whose names are resolved before anything is judged.
const RESOLVED_FIRST: [&str; 5] = [
    "indices:admin/resolve/cluster",
    "indices:admin/resolve/index",
    "indices:data/read/field_caps",
    "indices:data/read/search",
    "indices:data/read/xpack/termsenum/list",
];
/// Last words of a `POST` that makes, removes or renames something.
const CHANGES: [&str; 6] = ["_alias", "_aliases", "_close", "_open", "_restore", "_rollover"];
/// Shapes that are remembered.
const STRANGE: usize = 256;

#[cfg(test)]
mod tests;

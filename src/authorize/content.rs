//! What a body names, judged: it goes on as it came, without what is refused of it, or not at all (API page sections 14.2
//! and 14.5).

use std::{borrow::Cow, cell::Cell, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, header};

use super::{
    contexts::{self, Envelope},
    date_math,
    documents::{AUTO_CREATE, BULK_SHARD, CREATE_OP, DELETE, INDEX_OP, UPDATE},
    explain::Notes,
    names::Expression,
    narrow::{self, ALIASES, Narrowing, Options},
    pipelines::Staying,
    refusal::{AuthorizeError, On},
    resolve::{Catalog, Entry},
    routes::{Expand, Route},
    somewhere,
};
use crate::{
    body::{Body, BodyError},
    model::{Principal, Timestamp},
    scan::{
        self, AliasAction, AliasBody, AliasVerb, Creation, Document, DocumentKind, Documents, Inflate, Item, Judgement,
        Language, Mapping, Mention, Mentions, Op, Purpose, Refusal, Refused, Reindex, ScanError, SearchItem,
        SearchJudgement, Searches, Sources,
    },
    sealing::MasterKeys,
};

/// What goes on of a body, and what was left out of it.
pub(super) struct Left {
    /// `None` where nothing is left: what was left out is the whole answer.
    pub(super) body: Option<Bytes>,
    /// What the answer must be told.
    pub(super) refused: Option<Refused>,
    /// The points in time that it searches.
    pub(super) opened: Vec<Opened>,
}

/// A point in time, as its holder knows it and as the cluster does.
pub(super) struct Opened {
    pub(super) held: String,
    pub(super) envelope: Envelope,
}

/// Judges one body.
pub(super) struct Judge<'a> {
    pub(super) principal: &'a Principal,
    pub(super) route: &'a Route,
    /// What the path names.
    pub(super) index: &'a str,
    /// What exists, where it was asked. What needs it then is [`AuthorizeError::Unresolved`].
    pub(super) catalog: Option<&'a Catalog>,
    /// Pipelines that items of a bulk may name; all where nothing is said.
    pub(super) pipelines: Option<&'a Staying>,
    /// Open points in time, where some may be searched.
    pub(super) keys: Option<&'a MasterKeys>,
    pub(super) now: Timestamp,
    pub(super) notes: &'a Notes,
}

/// How a body that is read is packed.
///
/// # Errors
///
/// [`AuthorizeError::Illegal`]: not JSON, or packed in another way.
pub(super) fn is_gzip(headers: &HeaderMap) -> Result<bool, AuthorizeError> {
    let illegal = |text: &str| Err(AuthorizeError::Illegal(text.into()));
    let mut kinds = headers.get_all(header::CONTENT_TYPE).iter();
    let is_json = kinds.next().and_then(|kind| kind.to_str().ok()).is_some_and(scan::is_json) && kinds.next().is_none();
    if !is_json {
        return illegal("the body of this request is read as JSON only");
    }
    let mut encodings = headers.get_all(header::CONTENT_ENCODING).iter();
    match (encodings.next().map(http::HeaderValue::as_bytes), encodings.next()) {
        (None | Some(b"identity"), None) => Ok(false),
        (Some(b"gzip" | b"x-gzip"), None) => Ok(true),
        _ => illegal("the body of this request is read plain or as gzip only"),
    }
}

/// Reads a body whole, inflated.
///
/// # Errors
///
/// [`AuthorizeError`]: not gzip as said, or larger than is read for a limited caller.
pub(super) async fn read(gzip: bool, body: Body) -> Result<Bytes, AuthorizeError> {
    let whole = tokio::time::timeout(PATIENCE, body.read(LONGEST as u64)).await;
    let whole = whole.unwrap_or(Err(BodyError::Stalled)).map_err(Arc::new)?;
    if !gzip {
        return Ok(whole);
    }
    let (mut inflate, mut plain) = (Inflate::new(LONGEST), Vec::new());
    inflate
        .push(&whole, &mut plain)
        .and_then(|()| inflate.finish(&mut plain))
        .map_err(|error| AuthorizeError::Illegal(error.to_string().into()))?;
    Ok(plain.concat().into())
}

impl Judge<'_> {
    /// Judges a body of the kind that the route has.
    ///
    /// # Errors
    ///
    /// [`AuthorizeError`]: the whole request is refused.
    pub(super) fn judge(&self, kind: &str, body: Bytes) -> Result<Left, AuthorizeError> {
        match kind {
            "alias" => {
                let alias = AliasBody::read(&body).map_err(|error| self.unread(&error))?;
                // They would count instead of what the path names and was judged.
                if alias.index.is_some() || alias.alias.is_some() {
                    return Err(self.everything());
                }
                self.mentions(&alias.mentions)?;
            }
            "aliases" => {
                for action in AliasAction::read(&body).map_err(|error| self.unread(&error))? {
                    self.alias_action(&action)?;
                }
            }
            "create" | "rollover" => {
                self.creation(&Creation::read(&body).map_err(|error| self.unread(&error))?)?;
            }
            "template" => {
                self.creation(&Creation::read(&body).map_err(|error| self.unread(&error))?)?;
                self.mapping(&Mapping::read(&body).map_err(|error| self.unread(&error))?)?;
            }
            "mapping" => self.mapping(&Mapping::read(&body).map_err(|error| self.unread(&error))?)?,
            "mget" => return self.documents(DocumentKind::Get, "indices:data/read/mget[shard]", &body),
            "mtermvectors" => return self.documents(DocumentKind::TermVectors, "indices:data/read/mtv[shard]", &body),
            "msearch" => return self.searches(&body),
            "reindex" => self.reindex(&Reindex::read(&body).map_err(|error| self.unread(&error))?)?,
            "termvectors" => {
                if let Some(index) = scan::termvectors(&body).map_err(|error| self.unread(&error))? {
                    self.covered(self.route.action(), &index)?;
                }
            }
            "search" => return self.one(body),
            "esql" => self.language(Language::Esql, &body)?,
            "ppl" => self.language(Language::Ppl, &body)?,
            "sql" => self.language(Language::Sql, &body)?,
            _ => return Err(self.everything()),
        }
        Ok(Left { body: Some(body), refused: None, opened: Vec::new() })
    }

    /// A search, or what is written like one.
    fn one(&self, body: Bytes) -> Result<Left, AuthorizeError> {
        let mentions = Mentions::read(&body).map_err(|error| self.unread(&error))?;
        self.search(&mentions)?;
        let Some((held, span)) = mentions.pit else {
            return Ok(Left { body: Some(body), refused: None, opened: Vec::new() });
        };
        if !matches!(self.route.shape, "/_search" | "/{index}/_search") {
            return Err(self.everything());
        }
        let opened = self.point_in_time(held)?;
        let id = serde_json::Value::from(&*opened.envelope.id).to_string();
        let body = scan::replace(&body, &[(span, id)]).into();
        Ok(Left { body: Some(body), refused: None, opened: vec![opened] })
    }

    /// A point in time that the caller may search: it needs no more than to read the indices, whoever opened it.
    fn point_in_time(&self, held: String) -> Result<Opened, AuthorizeError> {
        if !self.index.is_empty() {
            return Err(AuthorizeError::Illegal(PIT_INDICES.into()));
        }
        somewhere(self.principal, self.route)?;
        let envelope = self.keys.and_then(|keys| contexts::point_in_time(keys, &held));
        let envelope = envelope.ok_or_else(|| AuthorizeError::Illegal("Cannot parse point in time id".into()))?;
        for index in &envelope.indices {
            if !self.reads(index)? {
                return Err(AuthorizeError::index(self.principal, SEARCH, On::default()));
            }
        }
        Ok(Opened { held, envelope })
    }

    /// Whether the caller may search all that `name` means, which may be a wildcard.
    fn reads(&self, name: &str) -> Result<bool, AuthorizeError> {
        if let Some((prefix, _)) = name.split_once('*') {
            return Ok(self.principal.privileges.allows_index_action_on_prefix(SEARCH, prefix));
        }
        if self.allows(SEARCH, name) {
            return Ok(true);
        }
        let entry = self.catalog.ok_or(AuthorizeError::Unresolved)?.get(name);
        Ok(matches!(entry, Some(Entry::Index { data_stream: Some(stream), .. }) if self.allows(SEARCH, stream)))
    }

    fn search(&self, mentions: &Mentions) -> Result<(), AuthorizeError> {
        // A script of a by-query request deletes.
        let deletes = mentions.script && !self.principal.privileges.allows_index_action_on_prefix(DELETE, "");
        if deletes && self.route.action().starts_with("indices:data/write/") {
            return Err(self.everything());
        }
        self.mentions(&mentions.indices)
    }

    fn mentions(&self, mentions: &[Mention]) -> Result<(), AuthorizeError> {
        for Mention { purpose, index } in mentions {
            let action = match purpose {
                Purpose::Boost | Purpose::Lookup => SEARCH,
                Purpose::Document | Purpose::Likeness => "indices:data/read/get",
            };
            self.covered(action, index)?;
        }
        Ok(())
    }

    /// Whether every name that an expression can mean is granted.
    fn covered(&self, action: &'static str, expression: &str) -> Result<(), AuthorizeError> {
        let covered = narrow::covers(&self.principal.privileges, &[action], expression);
        self.notes.mentioned(action, expression, covered);
        if covered {
            return Ok(());
        }
        Err(AuthorizeError::index(self.principal, action, On::names([expression])))
    }

    fn creation(&self, creation: &Creation) -> Result<(), AuthorizeError> {
        for alias in &creation.aliases {
            if !self.allows("indices:admin/aliases", alias) {
                return Err(AuthorizeError::index(self.principal, "indices:admin/aliases", On::default()));
            }
            if !self.principal.privileges.allows_no_more_on(alias, self.index) {
                return Err(AuthorizeError::Forbidden(MORE.into()));
            }
        }
        if creation.pipelines.iter().any(|pipeline| pipeline != "_none") {
            return Err(self.everything());
        }
        self.mentions(&creation.mentions)?;
        self.mapping(&creation.mapping)
    }

    fn mapping(&self, mapping: &Mapping) -> Result<(), AuthorizeError> {
        if mapping.percolator {
            return Err(self.everything());
        }
        mapping.lookups.iter().try_for_each(|index| self.covered(SEARCH, index))
    }

    fn alias_action(&self, action: &AliasAction<'_>) -> Result<(), AuthorizeError> {
        for index in &action.indices {
            self.covered(ALIASES, &index.text)?;
            if action.verb == AliasVerb::RemoveIndex {
                self.covered("indices:admin/delete", &index.text)?;
            }
        }
        for alias in &action.aliases {
            if !narrow::covers(&self.principal.privileges, &[ALIASES], &alias.text) {
                return Err(AuthorizeError::index(self.principal, ALIASES, On::default()));
            }
            let more = |index: &scan::Name<'_>| !self.principal.privileges.allows_no_more_on(&alias.text, &index.text);
            if action.verb == AliasVerb::Add && action.indices.iter().any(more) {
                return Err(AuthorizeError::Forbidden(MORE.into()));
            }
        }
        self.mentions(&action.mentions)
    }

    fn reindex(&self, reindex: &Reindex<'_>) -> Result<(), AuthorizeError> {
        let moves = reindex.script || reindex.pipeline.as_deref().is_some_and(|pipeline| pipeline != "_none");
        if reindex.remote || moves {
            return Err(self.everything());
        }
        if reindex.source.is_empty() {
            self.covered(SEARCH, "*")?;
        }
        for index in &reindex.source {
            self.covered(SEARCH, index)?;
        }
        let Some(destination) = &reindex.destination else { return Err(self.everything()) };
        let op = if reindex.creates { CREATE_OP } else { INDEX_OP };
        for action in ["indices:data/write/index", BULK_SHARD, op] {
            self.covered(action, &destination.text)?;
        }
        let creates = narrow::covers(&self.principal.privileges, &[AUTO_CREATE], &destination.text);
        if !creates && self.known()?.get(&destination.text).is_none() {
            self.covered(AUTO_CREATE, &destination.text)?;
        }
        self.mentions(&reindex.mentions)
    }

    fn language(&self, language: Language, body: &[u8]) -> Result<(), AuthorizeError> {
        let sources = Sources::read(language, body).map_err(|error| self.unread(&error))?;
        for index in &sources.indices {
            self.covered(self.route.action(), index)?;
        }
        self.mentions(&sources.mentions)
    }

    /// One write of a bulk.
    pub(super) fn item(&self, item: &Item<'_>) -> Judgement {
        let stays =
            |pipeline: &&str| *pipeline == "_none" || self.pipelines.is_none_or(|known| known.contains(*pipeline));
        if let Some(pipeline) = item.pipeline.filter(|pipeline| !stays(pipeline)) {
            self.notes.mentioned(BULK_SHARD, item.index, false);
            return Judgement::Refuse(Refusal::Denied(AuthorizeError::pipeline(pipeline).to_string().into()));
        }
        match self.write(item) {
            Ok(action) => {
                self.notes.mentioned(action, item.index, true);
                Judgement::Pass
            }
            Err((action, name)) => self.denied(action, &name),
        }
    }

    /// What it does, or which action is refused on which name.
    fn write<'a>(&self, item: &Item<'a>) -> Result<&'static str, (&'static str, Cow<'a, str>)> {
        let action = match item.op {
            Op::Create => CREATE_OP,
            Op::Delete => DELETE,
            Op::Index => INDEX_OP,
            Op::Update => UPDATE,
        };
        let Ok(name) = date_math::resolve(item.index, self.now) else {
            return Err((BULK_SHARD, item.index.into()));
        };
        // The cluster resolves it when the whole bulk is there, which may be later than the caller may write by.
        if !self.allows_whenever(&[BULK_SHARD, action], item.index) {
            return Err((BULK_SHARD, name));
        }
        let exists = || self.catalog.is_some_and(|catalog| catalog.get(&name).is_some());
        let makes = action != DELETE || item.external;
        if makes && !self.allows(AUTO_CREATE, &name) && !exists() {
            return Err((AUTO_CREATE, name));
        }
        if !self.allows(BULK_SHARD, &name) {
            return Err((BULK_SHARD, name));
        }
        if self.allows(action, &name) { Ok(action) } else { Err((action, name)) }
    }

    /// Whether actions are allowed whatever the time makes of date math in a name; other names have no time.
    fn allows_whenever(&self, actions: &[&str], name: &str) -> bool {
        let Some(math) = name.strip_prefix('<') else { return true };
        let prefix = math.split('{').next().unwrap_or_default();
        let privileges = &self.principal.privileges;
        actions.iter().all(|action| privileges.allows_index_action_on_prefix(action, prefix))
    }

    fn documents(&self, kind: DocumentKind, action: &'static str, body: &[u8]) -> Result<Left, AuthorizeError> {
        let default = Some(self.index).filter(|index| !index.is_empty());
        let lacks = Cell::new(false);
        let judged = Documents::judge(kind, body, default, &mut |document: &Document<'_>| {
            let Ok(name) = date_math::resolve(document.index, self.now) else {
                return self.denied(action, document.index);
            };
            if self.allows(action, &name) && self.allows_whenever(&[action], document.index) {
                self.notes.mentioned(action, document.index, true);
                return Judgement::Pass;
            }
            lacks.set(lacks.get() || self.catalog.is_none());
            if self.catalog.is_some_and(|catalog| catalog.get(&name).is_none()) {
                Judgement::Refuse(Refusal::NotFound)
            } else {
                self.denied(action, &name)
            }
        });
        if lacks.get() {
            return Err(AuthorizeError::Unresolved);
        }
        let documents = judged.map_err(|error| self.unread(&error))?;
        let body = documents.body.map(|body| body.into_owned().into());
        Ok(Left { body, refused: Some(documents.refused), opened: Vec::new() })
    }

    fn searches(&self, body: &[u8]) -> Result<Left, AuthorizeError> {
        let lacks = Cell::new(false);
        let mut opened = Vec::new();
        let searches = Searches::judge(body, &mut |item| {
            self.one_search(item, &mut opened).unwrap_or_else(|error| {
                lacks.set(lacks.get() || matches!(error, AuthorizeError::Unresolved));
                SearchJudgement::Refuse(match error {
                    AuthorizeError::NoSuchIndex(_) => Refusal::NotFound,
                    error => Refusal::Denied(error.to_string().into()),
                })
            })
        });
        if lacks.get() {
            return Err(AuthorizeError::Unresolved);
        }
        let searches = searches.map_err(|error| self.unread(&error))?;
        let body = searches.body.map(|body| body.into_owned().into());
        Ok(Left { body, refused: Some(searches.refused), opened })
    }

    fn one_search(&self, item: &SearchItem<'_>, opened: &mut Vec<Opened>) -> Result<SearchJudgement, AuthorizeError> {
        self.search(&item.mentions)?;
        if let Some((held, _)) = &item.mentions.pit {
            if item.indices.as_ref().is_some_and(|indices| !indices.is_empty()) {
                return Err(AuthorizeError::Illegal(PIT_INDICES.into()));
            }
            let found = self.point_in_time(held.clone())?;
            let id = found.envelope.id.clone();
            opened.push(found);
            return Ok(SearchJudgement::Context(id));
        }
        if item.indices.iter().flatten().any(|index| index.is_empty()) {
            return Err(AuthorizeError::index(self.principal, SEARCH, On::default()));
        }
        let text = match &item.indices {
            Some(indices) => Cow::Owned(indices.join(",")),
            None => Cow::Borrowed(self.index),
        };
        let covered = narrow::covers(&self.principal.privileges, &[SEARCH], &text);
        self.notes.mentioned(SEARCH, &text, covered);
        if covered {
            return Ok(SearchJudgement::Pass);
        }
        let expression = if text.is_empty() { Expression::All } else { narrow::read(&text, self.now)? };
        let expand = match item.expand_wildcards.as_deref() {
            None => self.route.expand,
            Some(states) => Expand::parse(states).map_err(|state| AuthorizeError::Illegal(state.into()))?,
        };
        let options = Options {
            ignore_unavailable: item.ignore_unavailable.unwrap_or(false),
            allow_no_indices: item.allow_no_indices.unwrap_or(true),
            expand,
        };
        let narrowing =
            Narrowing { principal: self.principal, actions: &[SEARCH], options, catalog: Some(self.known()?) };
        let left = narrowing.narrow(&expression)?;
        Ok(SearchJudgement::Narrow(if left.is_empty() { vec!["*".to_owned(), "-*".to_owned()] } else { left }))
    }

    fn allows(&self, action: &str, name: &str) -> bool {
        !name.is_empty() && !name.contains('*') && self.principal.privileges.allows_index_action(action, name)
    }

    fn denied(&self, action: &'static str, name: &str) -> Judgement {
        self.notes.mentioned(action, name, false);
        let error = AuthorizeError::index(self.principal, action, On::names([name]));
        Judgement::Refuse(Refusal::Denied(error.to_string().into()))
    }

    fn everything(&self) -> AuthorizeError {
        AuthorizeError::everything(self.principal, self.route.action())
    }

    fn known(&self) -> Result<&Catalog, AuthorizeError> {
        self.catalog.ok_or(AuthorizeError::Unresolved)
    }

    fn unread(&self, error: &ScanError) -> AuthorizeError {
        AuthorizeError::unread(self.principal, self.route, error)
    }
}

impl AuthorizeError {
    /// A body that cannot be judged.
    pub(super) fn unread(principal: &Principal, route: &Route, error: &ScanError) -> Self {
        match error {
            ScanError::Opaque(_) => Self::everything(principal, route.action()),
            error => Self::Illegal(error.to_string().into()),
        }
    }
}

const SEARCH: &str = "indices:data/read/search";
const PIT_INDICES: &str = "[indices] cannot be used with point in time. Do not specify any index with point in time.";
/// The rule of API page section 14.4.
const MORE: &str = "Adding an alias is not allowed when the alias has more permissions than any of the indices";
/// Bytes that are read of one body.
const LONGEST: usize = 32 * 1024 * 1024;
/// In which a body that is read must have come: while it comes, it is held.
pub(super) const PATIENCE: Duration = Duration::from_mins(1);

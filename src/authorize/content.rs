//! What a body names, judged: it goes on as it came, without what is refused of it, or not at all (API page sections 14.2
//! and 14.5).

use std::{borrow::Cow, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, header};

use super::{
    date_math,
    documents::{AUTO_CREATE, BULK_SHARD, CREATE_OP, DELETE, INDEX_OP, UPDATE},
    explain::Notes,
    names::Expression,
    narrow::{self, ALIASES, Narrowing, Options},
    refusal::{AuthorizeError, On},
    resolve::Catalog,
    routes::{Expand, Route},
};
use crate::{
    body::{Body, BodyError},
    model::{Principal, Timestamp},
    scan::{
        self, AliasAction, AliasBody, AliasVerb, Bulk, Creation, Document, DocumentKind, Documents, Inflate, Item,
        Judgement, Language, Mapping, Mention, Mentions, Op, Purpose, Refusal, Refused, Reindex, ScanError, SearchItem,
        SearchJudgement, Searches, Sources,
    },
};

/// What goes on of a body, and what was left out of it.
pub(super) struct Left {
    /// `None` where nothing is left: what was left out is the whole answer.
    pub(super) body: Option<Bytes>,
    /// What the answer must be told.
    pub(super) refused: Option<Refused>,
}

/// Judges one body.
pub(super) struct Judge<'a> {
    pub(super) principal: &'a Principal,
    pub(super) route: &'a Route,
    /// What the path names.
    pub(super) index: &'a str,
    pub(super) catalog: &'a Catalog,
    pub(super) now: Timestamp,
    pub(super) notes: &'a Notes,
}

/// Reads a body whole, inflated.
///
/// # Errors
///
/// [`AuthorizeError`]: not JSON, or larger than is read for a limited caller.
pub(super) async fn read(headers: &HeaderMap, body: Body) -> Result<Bytes, AuthorizeError> {
    let illegal = |text: &str| AuthorizeError::Illegal(text.into());
    let mut kinds = headers.get_all(header::CONTENT_TYPE).iter();
    let is_json = kinds.next().and_then(|kind| kind.to_str().ok()).is_some_and(scan::is_json) && kinds.next().is_none();
    if !is_json {
        return Err(illegal("the body of this request is read as JSON only"));
    }
    let whole = tokio::time::timeout(PATIENCE, body.read(LONGEST as u64)).await;
    let whole = whole.unwrap_or(Err(BodyError::Stalled)).map_err(Arc::new)?;
    let mut encodings = headers.get_all(header::CONTENT_ENCODING).iter();
    match (encodings.next().map(http::HeaderValue::as_bytes), encodings.next()) {
        (None | Some(b"identity"), None) => Ok(whole),
        (Some(b"gzip" | b"x-gzip"), None) => {
            let (mut inflate, mut plain) = (Inflate::new(LONGEST), Vec::new());
            inflate
                .push(&whole, &mut plain)
                .and_then(|()| inflate.finish(&mut plain))
                .map_err(|e| illegal(&e.to_string()))?;
            Ok(plain.concat().into())
        }
        _ => Err(illegal("the body of this request is read plain or as gzip only")),
    }
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
            "bulk" => return self.bulk(&body),
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
            "search" => self.search(&Mentions::read(&body).map_err(|error| self.unread(&error))?)?,
            "esql" => self.language(Language::Esql, &body)?,
            "ppl" => self.language(Language::Ppl, &body)?,
            "sql" => self.language(Language::Sql, &body)?,
            _ => return Err(self.everything()),
        }
        Ok(Left { body: Some(body), refused: None })
    }

    fn search(&self, mentions: &Mentions) -> Result<(), AuthorizeError> {
        // What somebody opened may name anything; a script of a by-query request deletes.
        let deletes = mentions.script && !self.principal.privileges.allows_index_action_on_prefix(DELETE, "");
        if mentions.pit.is_some() || deletes && self.route.action().starts_with("indices:data/write/") {
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
        if self.catalog.get(&destination.text).is_none() {
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

    fn bulk(&self, body: &Bytes) -> Result<Left, AuthorizeError> {
        let mut bulk = Bulk::new(Some(self.index).filter(|index| !index.is_empty()));
        let mut passed = Vec::new();
        let judged = bulk.push(body, &mut |item| self.item(item), &mut passed);
        let refused = judged.and_then(|()| bulk.finish()).map_err(|error| self.unread(&error))?;
        let body =
            if refused.is_empty() { Some(body.clone()) } else { (!passed.is_empty()).then(|| passed.concat().into()) };
        Ok(Left { body, refused: Some(refused) })
    }

    /// One write of a bulk.
    fn item(&self, item: &Item<'_>) -> Judgement {
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
        let missing = self.catalog.get(&name).is_none();
        if missing && action != DELETE && !self.allows(AUTO_CREATE, &name) {
            return Err((AUTO_CREATE, name));
        }
        let moves = item.pipeline.is_some_and(|pipeline| pipeline != "_none");
        if moves || !self.allows(BULK_SHARD, &name) {
            return Err((BULK_SHARD, name));
        }
        if self.allows(action, &name) { Ok(action) } else { Err((action, name)) }
    }

    fn documents(&self, kind: DocumentKind, action: &'static str, body: &[u8]) -> Result<Left, AuthorizeError> {
        let default = Some(self.index).filter(|index| !index.is_empty());
        let judged = Documents::judge(kind, body, default, &mut |document: &Document<'_>| {
            let Ok(name) = date_math::resolve(document.index, self.now) else {
                return self.denied(action, document.index);
            };
            if self.allows(action, &name) {
                self.notes.mentioned(action, document.index, true);
                Judgement::Pass
            } else if self.catalog.get(&name).is_none() {
                Judgement::Refuse(Refusal::NotFound)
            } else {
                self.denied(action, &name)
            }
        });
        let documents = judged.map_err(|error| self.unread(&error))?;
        Ok(Left { body: documents.body.map(|body| body.into_owned().into()), refused: Some(documents.refused) })
    }

    fn searches(&self, body: &[u8]) -> Result<Left, AuthorizeError> {
        let searches = Searches::judge(body, &mut |item| {
            self.one_search(item).unwrap_or_else(|error| {
                SearchJudgement::Refuse(match error {
                    AuthorizeError::NoSuchIndex(_) => Refusal::NotFound,
                    error => Refusal::Denied(error.to_string().into()),
                })
            })
        });
        let searches = searches.map_err(|error| self.unread(&error))?;
        Ok(Left { body: searches.body.map(|body| body.into_owned().into()), refused: Some(searches.refused) })
    }

    fn one_search(&self, item: &SearchItem<'_>) -> Result<SearchJudgement, AuthorizeError> {
        self.search(&item.mentions)?;
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
            Narrowing { principal: self.principal, actions: &[SEARCH], options, catalog: Some(self.catalog) };
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

    fn unread(&self, error: &ScanError) -> AuthorizeError {
        match error {
            ScanError::Opaque(_) => self.everything(),
            error => AuthorizeError::Illegal(error.to_string().into()),
        }
    }
}

const SEARCH: &str = "indices:data/read/search";
/// The rule of API page section 14.4.
const MORE: &str = "Adding an alias is not allowed when the alias has more permissions than any of the indices";
/// Bytes that are read of one body.
const LONGEST: usize = 32 * 1024 * 1024;
/// In which a body that is read must have come: while it comes, it is held.
const PATIENCE: Duration = Duration::from_mins(1);

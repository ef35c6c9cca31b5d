//! `/_security/_query/api_key` (API page section 4.6).
//!
//! What the store can judge and sort it does, and answers a count and one page. Everything else looks at every key that
//! the store leaves, a page at a time.

use serde_json::{Map, Value};

use crate::{
    api::{
        Api, Call, Reply,
        access::{self, Action},
        failure::Failure,
        keys::{GET, GET_OWN, show},
        nodes,
        search::{self, Atom, Check, Collector, Declared, Document, Found, Kind, Query, Request, Schema, Search},
    },
    model::{KeyId, Timestamp},
    respond::Rejection,
    store::{ApiKeyRecord, KeyFilter, Page},
};

impl Api {
    /// Searches keys; whoever may see its own only searches among them.
    pub(in crate::api) async fn query_keys(&self, call: &mut Call<'_>) -> Result<Reply, Failure> {
        let body = search::body(call)?;
        let limited_by = call.query.flag("with_limited_by")?;
        call.query.flag("with_profile_uid")?;
        let typed = call.query.flag("typed_keys");
        let request = Request::read(&SCHEMA, &body)?;
        // Nothing else is named by types.
        let typed = request.aggregates() && typed?;
        call.query.finish(call.path())?;
        request.validate()?;

        let principal = call.principal;
        let everything = access::may(principal, &GET);
        let key = access::key(principal);
        // A key does not show itself what its owner may.
        let own = !(key.is_some() && limited_by);
        if !(everything || own && access::may(principal, &GET_OWN)) {
            return Err(call.deny(if own { &QUERY_OWN } else { &QUERY }));
        }
        let search = request.compile(&SCHEMA, self.clock.now())?;
        let mut filter = match key {
            _ if everything => KeyFilter::default(),
            Some(key) => KeyFilter::id(key.id.clone()),
            None => KeyFilter {
                username: Some(principal.identity.username.clone()),
                realm: Some((*principal.own_realm().name).into()),
                ..KeyFilter::default()
            },
        };
        let pushed = push(&search.query, &mut filter);
        let found = match direct(&search).filter(|_| pushed) {
            Some(page) => self.page(&search, &filter, page).await?,
            None => self.scan(&search, &filter, typed).await?,
        };
        let shown: Vec<Value> = found
            .hits
            .iter()
            .map(|(key, sort)| {
                let mut shown = show(key, limited_by);
                if let Some(sort) = sort {
                    shown.insert("_sort".into(), sort.clone());
                }
                shown.into()
            })
            .collect();
        let mut answer = Map::new();
        answer.insert("total".into(), found.total.into());
        answer.insert("count".into(), shown.len().into());
        answer.insert("api_keys".into(), shown.into());
        if let Some(aggregations) = found.aggregations {
            answer.insert("aggregations".into(), aggregations.into());
        }
        Ok(Reply::ok(answer.into()))
    }

    /// Answers what the store counts and sorts.
    async fn page(&self, search: &Search, filter: &KeyFilter, page: Page) -> Result<Found<ApiKeyRecord>, Failure> {
        let total = self.keys.count(filter).await?;
        let keys = if page.limit == 0 { Vec::new() } else { self.keys.find(filter, &page).await? };
        let hits = keys.into_iter().zip(page.skip..).map(|(key, place)| {
            let sort = search.show_sort(&key, place);
            (key, sort)
        });
        Ok(Found { total, hits: hits.collect(), aggregations: None })
    }

    /// Looks at every key that the store leaves.
    async fn scan(&self, search: &Search, filter: &KeyFilter, typed: bool) -> Result<Found<ApiKeyRecord>, Failure> {
        let mut collector = Collector::new(search);
        let mut page = Page::first(SCANNED);
        loop {
            let keys = self.keys.find(filter, &page).await?;
            let whole = keys.len() as u64 == SCANNED;
            page.after = keys.last().map(|key| (key.creation, key.id.clone()));
            for key in keys {
                collector.see(key)?;
            }
            if !whole {
                return Ok(collector.finish(typed));
            }
            // Requests on this thread do not wait for a search to end.
            tokio::task::yield_now().await;
        }
    }
}

/// Clears nothing: no cache here outlives what it knows (API page section 4.9).
pub(in crate::api) fn clear_cache(call: &mut Call<'_>) -> Result<Reply, Failure> {
    call.query.finish(call.path())?;
    call.refuse_body()?;
    access::require(call.principal, &CLEAR).map_err(Rejection::from)?;
    Ok(Reply::ok(nodes::done()))
}

/// Moves what the store can judge into the filter; whether that is the whole query. What is moved stays true of the
/// query, so looking at it again does no harm.
fn push(query: &Query, filter: &mut KeyFilter) -> bool {
    fn put(place: &mut Option<Box<str>>, text: String) -> bool {
        let free = place.is_none();
        if free {
            *place = Some(text.into());
        }
        free
    }
    match query {
        Query::All => true,
        Query::Bool { must, should, must_not, minimum: 0 } if should.is_empty() && must_not.is_empty() => {
            // Not `all`: each is moved, whatever becomes of the others.
            must.iter().map(|query| push(query, filter)).filter(|pushed| !pushed).count() == 0
        }
        Query::Ids(ids) if filter.ids.is_none() => {
            filter.ids = Some(ids.iter().map(|id| KeyId(id.as_str().into())).collect());
            true
        }
        Query::Test { field, check: Check::In(values) } => match (field.as_str(), values.as_slice()) {
            ("name", [Atom::Text(name)]) if !name.ends_with('*') => put(&mut filter.name, name.to_string()),
            ("username", [Atom::Text(name)]) => put(&mut filter.username, name.to_string()),
            ("realm_name", [Atom::Text(name)]) => put(&mut filter.realm, name.to_string()),
            _ => false,
        },
        Query::Test { field, check: Check::Prefix(prefix) } if field == "name" && !prefix.fold => {
            put(&mut filter.name, format!("{}*", prefix.text))
        }
        _ => false,
    }
}

/// The page of the store that answers a search whose query it judges.
fn direct(search: &Search) -> Option<Page> {
    let mut page = Page { after: None, newest_first: false, skip: search.from as u64, limit: search.size as u64 };
    if !search.aggregations.is_empty() {
        return None;
    }
    match &*search.sort {
        [] => {}
        [sort] if sort.is_plain() && sort.field.as_ref().is_some_and(|field| field.name == "creation") => {
            page.newest_first = sort.descending;
            if let Some(after) = &search.after {
                let millis = u64::try_from(after.first()?.number()?).ok()?;
                // Ties are behind or before it all.
                let edge = if sort.descending { millis } else { millis.checked_add(1)? };
                page.after = Some((Timestamp::from_millis(edge), KeyId("".into())));
            }
        }
        [sort] if sort.is_plain() && sort.field.is_none() && !sort.descending => {
            if let Some(after) = &search.after {
                page.skip = u64::try_from(after.first()?.number()?).ok()?.checked_add(1)?;
            }
        }
        _ => return None,
    }
    Some(page)
}

impl Document for ApiKeyRecord {
    fn id(&self) -> &str {
        &self.id.0
    }

    fn values(&self, field: &str) -> Vec<Atom<'_>> {
        let time = |time: Timestamp| Atom::Number(i64::try_from(time.as_millis()).unwrap_or(i64::MAX));
        let maybe = |given: Option<Timestamp>| given.map(time).into_iter().collect();
        match field {
            "creation" => vec![time(self.creation)],
            "expiration" => maybe(self.expiration),
            "invalidated" => vec![Atom::Number(self.invalidation.is_some().into())],
            "invalidation" => maybe(self.invalidation),
            "last_used" => maybe(self.last_used),
            "name" => vec![Atom::text(&self.name)],
            "realm_name" => vec![Atom::text(&self.creator.realm.name)],
            "type" => vec![Atom::text(self.kind().as_str())],
            "username" => vec![Atom::text(&self.creator.identity.username)],
            path => search::flattened(&self.metadata, path),
        }
    }
}

const fn declared(name: &'static str, stored: &'static str, kind: Kind) -> Declared {
    Declared { name, stored, kind }
}

const SCHEMA: Schema = Schema {
    parser: "query_api_key_request_payload",
    aggregates: true,
    fields: &[
        declared("creation", "creation_time", Kind::Date),
        declared("expiration", "expiration_time", Kind::Date),
        declared("invalidated", "api_key_invalidated", Kind::Boolean),
        declared("invalidation", "invalidation_time", Kind::Date),
        declared("last_used", "last_used", Kind::Date),
        declared("metadata", "metadata_flattened", Kind::Flattened),
        declared("name", "name", Kind::Keyword),
        declared("realm_name", "creator.realm", Kind::Keyword),
        declared("type", "type", Kind::Keyword),
        declared("username", "creator.principal", Kind::Keyword),
    ],
};

const QUERY: Action = Action::named("cluster:admin/xpack/security/api_key/query");

const QUERY_OWN: Action = QUERY.concerning_own_keys();

const CLEAR: Action = Action::named("cluster:admin/xpack/security/cache/clear");

/// As many keys are in memory at once while all are looked at.
const SCANNED: u64 = 1_000;

//! What exists on the cluster: asked once for all, remembered briefly, forgotten when a change is seen passing by.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use serde::Deserialize;
use tokio::{sync::Mutex, time::Instant};

use super::{names, routes::Expand};

/// Indices, aliases and data streams of the cluster.
#[derive(Debug, Default)]
pub(super) struct Catalog {
    entries: HashMap<Box<str>, Entry>,
}

/// What a name stands for.
#[derive(Debug)]
pub(super) enum Entry {
    /// Of several indices, or of one.
    Alias {
        /// These.
        indices: Box<[Box<str>]>,
    },
    /// Backing indices.
    DataStream,
    /// An index.
    Index {
        /// Whether it is closed.
        closed: bool,
        /// Whether wildcards leave it out.
        hidden: bool,
        /// The data stream that it backs.
        data_stream: Option<Box<str>>,
    },
}

/// The catalog as last asked for.
#[derive(Debug, Default)]
pub(super) struct Resolver {
    /// Changes seen so far: what was asked for before the last one is stale.
    changes: AtomicU64,
    known: ArcSwapOption<Known>,
    asking: Mutex<()>,
}

#[derive(Debug)]
struct Known {
    catalog: Arc<Catalog>,
    changes: u64,
    asked: Instant,
}

/// The cluster did not tell what exists. 503: nothing is allowed that cannot be judged.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the cluster does not tell which indices exist")]
pub(super) struct Unresolved;

impl Resolver {
    /// The catalog, if it is fresh.
    #[must_use]
    pub(super) fn known(&self) -> Option<Arc<Catalog>> {
        let known = self.known.load();
        let known = known.as_deref()?;
        let fresh = known.changes == self.changes.load(Ordering::Acquire) && known.asked.elapsed() < FRESH;
        fresh.then(|| Arc::clone(&known.catalog))
    }

    /// Whether something is called so, as far as is remembered.
    #[must_use]
    pub(super) fn knows(&self, name: &str) -> bool {
        self.known().is_some_and(|catalog| catalog.get(name).is_some())
    }

    /// The catalog, asked for by one of those who need it.
    ///
    /// # Errors
    ///
    /// [`Unresolved`].
    pub(super) async fn catalog(&self, ask: impl AsyncFnOnce() -> Option<Bytes>) -> Result<Arc<Catalog>, Unresolved> {
        if let Some(catalog) = self.known() {
            return Ok(catalog);
        }
        let _turn = self.asking.lock().await;
        if let Some(catalog) = self.known() {
            return Ok(catalog); // another request asked while this one waited
        }
        let (changes, asked) = (self.changes.load(Ordering::Acquire), Instant::now());
        let answer = ask().await.ok_or(Unresolved)?;
        let catalog = Arc::new(Catalog::parse(&answer).ok_or(Unresolved)?);
        self.known.store(Some(Arc::new(Known { catalog: Arc::clone(&catalog), changes, asked })));
        Ok(catalog)
    }

    /// Forgets: something was made, removed or renamed.
    pub(super) fn forget(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
    }
}

impl Catalog {
    /// Reads an answer of [`CATALOG`].
    #[must_use]
    pub(super) fn parse(answer: &[u8]) -> Option<Self> {
        let answer: Answer = serde_json::from_slice(answer).ok()?;
        let mut entries = HashMap::new();
        for index in answer.indices {
            let has = |attribute: &str| index.attributes.iter().any(|found| **found == *attribute);
            let entry = Entry::Index { closed: has("closed"), hidden: has("hidden"), data_stream: index.data_stream };
            entries.insert(index.name, entry);
        }
        entries.extend(answer.aliases.into_iter().map(|alias| (alias.name, Entry::Alias { indices: alias.indices })));
        entries.extend(answer.data_streams.into_iter().map(|stream| (stream.name, Entry::DataStream)));
        Some(Self { entries })
    }

    /// What a name stands for.
    #[must_use]
    pub(super) fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.get(name)
    }

    /// Names of all that a wildcard may mean, sorted.
    pub(super) fn matching<'a>(&'a self, pattern: &str, expand: Expand) -> Vec<&'a str> {
        let found = self.entries.iter().filter(|(name, entry)| entry.is_meant(name, pattern, expand));
        let mut found: Vec<&str> =
            found.map(|(name, _)| &**name).filter(|name| names::matches(pattern, name)).collect();
        found.sort_unstable();
        found
    }

    /// Whether `name` is an alias of `index`, or that itself.
    pub(super) fn is_alias_of(&self, name: &str, index: &str) -> bool {
        let indices = match self.entries.get(name) {
            Some(Entry::Alias { indices }) => &**indices,
            _ => &[],
        };
        name == index || indices.iter().any(|found| **found == *index)
    }

    /// Names of all aliases that match, sorted.
    pub(super) fn aliases<'a>(&'a self, pattern: &str) -> Vec<&'a str> {
        let aliases = self.entries.iter().filter(|(_, entry)| matches!(entry, Entry::Alias { .. }));
        let mut found: Vec<&str> =
            aliases.map(|(name, _)| &**name).filter(|name| names::matches(pattern, name)).collect();
        found.sort_unstable();
        found
    }
}

impl Entry {
    fn is_meant(&self, name: &str, pattern: &str, expand: Expand) -> bool {
        let dotted = name.starts_with('.');
        let said = expand.hidden || dotted && pattern.starts_with('.');
        match self {
            Self::Index { closed, hidden, .. } => {
                (if *closed { expand.closed } else { expand.open }) && (!*hidden || said)
            }
            // The cluster does not tell which of them are hidden: those that look so are taken for it.
            Self::Alias { .. } | Self::DataStream => !dotted || said,
        }
    }
}

#[derive(Deserialize)]
struct Answer {
    indices: Vec<Index>,
    aliases: Vec<Named>,
    data_streams: Vec<Named>,
}

#[derive(Deserialize)]
struct Index {
    name: Box<str>,
    #[serde(default)]
    attributes: Vec<Box<str>>,
    data_stream: Option<Box<str>>,
}

#[derive(Deserialize)]
struct Named {
    name: Box<str>,
    #[serde(default)]
    indices: Box<[Box<str>]>,
}

/// What the cluster is asked, with `GET`.
pub(super) const CATALOG: &str = "/_resolve/index/*?expand_wildcards=all";
/// How long an answer is believed.
const FRESH: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &[u8] = br#"{"indices":[{"name":"a1","aliases":["al"],"attributes":["open"]},
        {"name":"h1","attributes":["hidden","open"]},{"name":"c1","attributes":["closed"]},
        {"name":".ds-x-1","attributes":["hidden","open"],"data_stream":"x"}],
        "aliases":[{"name":"al","indices":["a1"]}],"data_streams":[{"name":"x","backing_indices":[".ds-x-1"]}]}"#;

    const OPEN: Expand = Expand { open: true, closed: false, hidden: false };

    async fn answer() -> Option<Bytes> {
        Some(Bytes::from_static(ANSWER))
    }

    #[test]
    fn wildcards_mean_what_is_open_and_not_hidden() {
        let catalog = Catalog::parse(ANSWER).unwrap();
        assert_eq!(catalog.matching("*", OPEN), ["a1", "al", "x"]);
        assert_eq!(catalog.matching(".d*", OPEN), [".ds-x-1"], "a dot asks for hidden names with a dot");
        let all = Expand { open: true, closed: true, hidden: true };
        assert_eq!(catalog.matching("*1", all), [".ds-x-1", "a1", "c1", "h1"]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_remembered_for_a_second_and_forgotten_on_a_change() {
        let resolver = Resolver::default();
        resolver.catalog(answer).await.unwrap();
        assert!(resolver.catalog(async || None).await.is_ok());
        resolver.forget();
        assert_eq!(resolver.catalog(async || None).await.unwrap_err(), Unresolved);
        resolver.catalog(answer).await.unwrap();
        tokio::time::advance(FRESH).await;
        assert!(resolver.known().is_none());
    }

    #[tokio::test]
    async fn a_change_while_the_cluster_is_asked_makes_its_answer_stale() {
        let resolver = Resolver::default();
        let asked = resolver.catalog(async || {
            resolver.forget();
            answer().await
        });
        assert!(asked.await.is_ok());
        assert!(resolver.known().is_none());
    }

    #[tokio::test]
    async fn what_is_no_answer_resolves_nothing() {
        let refused = Resolver::default().catalog(async || Some(Bytes::from_static(b"{}"))).await;
        assert_eq!(refused.unwrap_err(), Unresolved);
    }
}

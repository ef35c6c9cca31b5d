//! A list of keys as a body: one page is in memory, and the next is read when the client has taken it.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::{
    api::{filter, keys::show},
    body::{Body, BodyError},
    keys::Keys,
    respond::{RequestFacts, es},
    store::{ApiKeyRecord, KeyFilter, Page},
};

/// Which keys are listed, and how.
pub(super) struct Listing {
    pub(super) filter: KeyFilter,
    pub(super) limited_by: bool,
    /// `filter_path`.
    pub(super) kept: Option<Box<str>>,
    /// Path and query of the request, which say whether it is to be pretty.
    pub(super) target: Box<str>,
}

impl Listing {
    /// The body; `first` is the first page.
    pub(super) fn body(self, keys: Arc<Keys>, first: Vec<ApiKeyRecord>) -> Body {
        if (first.len() as u64) < LISTED {
            return Bytes::from(self.write(&first)).into();
        }
        let (send, receive) = mpsc::channel(1);
        // Nothing to track: the task ends with whoever reads.
        tokio::spawn(async move {
            if let Some(last) = self.pieces(&keys, first, &send).await {
                // A client that is gone does not miss it.
                let _ = send.send(last).await;
            }
        });
        Body::Made(receive)
    }

    /// Sends all pieces but the last; nothing is left to send when the client is gone.
    async fn pieces(
        &self,
        keys: &Keys,
        first: Vec<ApiKeyRecord>,
        send: &mpsc::Sender<Result<Bytes, BodyError>>,
    ) -> Option<Result<Bytes, BodyError>> {
        let (mut page, mut listed, mut tail) = (first, false, None);
        loop {
            let text = self.write(&page);
            if let Some((open, close)) = brackets(&text) {
                let items = text.get(open..close).unwrap_or_default();
                // What is between the last item and the bracket stands at the end alone.
                let items = items.trim_ascii_end();
                let piece = if listed {
                    [b",", items].concat()
                } else {
                    [text.get(..open).unwrap_or_default(), items].concat()
                };
                tail = text.get(open + items.len()..).map(<[u8]>::to_vec);
                listed = true;
                send.send(Ok(piece.into())).await.ok()?;
            }
            let last = page.last().map(|key| (key.creation, key.id.clone()));
            if (page.len() as u64) < LISTED {
                return Some(Ok(tail.map_or_else(|| self.write(&[]).into(), Bytes::from)));
            }
            page = match keys.find(&self.filter, &Page { after: last, ..Page::first(LISTED) }).await {
                Ok(page) if page.is_empty() => {
                    return Some(Ok(tail.map_or_else(|| self.write(&[]).into(), Bytes::from)));
                }
                Ok(page) => page,
                Err(error) => {
                    tracing::warn!(%error, "a list of keys ends early");
                    return Some(Err(BodyError::Stalled));
                }
            };
        }
    }

    /// A list of these keys alone, as the caller wants it written.
    fn write(&self, keys: &[ApiKeyRecord]) -> Vec<u8> {
        let shown: Vec<Value> = keys.iter().map(|key| show(key, self.limited_by).into()).collect();
        let list = json!({ "api_keys": shown });
        let list = match &self.kept {
            Some(kept) => filter::apply(list, kept),
            None => list,
        };
        let facts = RequestFacts { target: &self.target, accept: None, content_type: None, opaque_id: None };
        es::write(&list, &facts)
    }
}

/// What the brackets of the list enclose; nothing when the filter left none.
fn brackets(text: &[u8]) -> Option<(usize, usize)> {
    let open = text.iter().position(|byte| *byte == b'[')? + 1;
    let close = text.iter().rposition(|byte| *byte == b']')?;
    Some((open, close))
}

/// Keys in a page.
pub(super) const LISTED: u64 = 1_000;

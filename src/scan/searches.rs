//! `_msearch`: pairs of a header line, which names indices, and a search.

use std::{borrow::Cow, ops::Range};

use memchr::memchr;

use super::{
    List, Mentions, Refusal, Refused, ScanError,
    json::{Kind, Reader, Scratch, list, quoted},
    replace,
};

/// One search of a multi-search, for its judge.
#[derive(Debug, Default)]
pub struct SearchItem<'a> {
    /// The expressions of its header. `None` where it has none: those of the path count, or all indices.
    pub indices: Option<Vec<Cow<'a, str>>>,
    /// `ignore_unavailable` of its header.
    pub ignore_unavailable: Option<bool>,
    /// `allow_no_indices` of its header.
    pub allow_no_indices: Option<bool>,
    /// `expand_wildcards` of its header, comma-separated.
    pub expand_wildcards: Option<String>,
    /// What its body names besides.
    pub mentions: Mentions,
}

/// What is to become of one search.
#[derive(Clone, Debug)]
pub enum SearchJudgement {
    /// It searches the point in time of this id instead of the one that it names.
    Context(String),
    /// It searches these instead. Where nothing is left, `["*", "-*"]` makes the cluster answer as it does for no index.
    Narrow(Vec<String>),
    /// It goes on as it came.
    Pass,
    /// It is left out, and answered in place.
    Refuse(Refusal),
}

/// A multi-search, judged.
#[derive(Debug)]
pub struct Searches<'a> {
    /// What goes on. `None` where nothing is left: [`Refused::alone`] is the answer.
    pub body: Option<Cow<'a, [u8]>>,
    /// What was left out.
    pub refused: Refused,
}

impl<'a> Searches<'a> {
    /// Judges each search of a body.
    ///
    /// # Errors
    ///
    /// [`ScanError`] where a line cannot be read exactly.
    pub fn judge(
        body: &'a [u8],
        judge: &mut impl FnMut(&SearchItem<'_>) -> SearchJudgement,
    ) -> Result<Self, ScanError> {
        if body.first() == Some(&b'\n') {
            return Err(ScanError::Opaque("a multi-search that begins with an empty line"));
        }
        let mut scratch = Scratch::default();
        let (mut left, mut refused) = (Vec::with_capacity(body.len()), Refused::new(List::Responses));
        let (mut rest, mut position, mut changed) = (body, 0, false);
        while !rest.is_empty() {
            let (header, after) = line(rest)?;
            let (search, after) = line(after)?;
            let pair = rest.get(..rest.len() - after.len()).unwrap_or_default();
            rest = after;
            let (mut item, place) = read_header(header, &mut scratch)?;
            item.mentions = Mentions::read(search)?;
            match judge(&item) {
                SearchJudgement::Pass => left.extend_from_slice(pair),
                SearchJudgement::Context(id) => {
                    changed = true;
                    let span = item.mentions.pit.map(|(_, span)| (span, quoted(&id)));
                    left.extend_from_slice(pair.get(..=header.len()).unwrap_or_default());
                    left.extend_from_slice(&replace(search, span.as_slice()));
                    left.push(b'\n');
                }
                SearchJudgement::Narrow(names) => {
                    changed = true;
                    narrow(header, place, &names, &mut left);
                    left.extend_from_slice(pair.get(header.len()..).unwrap_or_default());
                }
                SearchJudgement::Refuse(why) => {
                    let index = item.indices.as_deref().unwrap_or_default().join(",");
                    refused.search(position, &why, &index)?;
                }
            }
            position += 1;
        }
        let body = if !changed && refused.is_empty() {
            Some(Cow::Borrowed(body))
        } else {
            (!left.is_empty()).then_some(Cow::Owned(left))
        };
        Ok(Self { body, refused })
    }
}

/// Where a header has its indices.
enum Place {
    /// This is their value.
    At(Range<usize>),
    /// It has none.
    Missing {
        /// And no other key either.
        empty: bool,
    },
}

/// The first line without its end, and what follows it.
fn line(text: &[u8]) -> Result<(&[u8], &[u8]), ScanError> {
    let end = memchr(b'\n', text);
    let end = end.ok_or(ScanError::Malformed("The msearch request must be terminated by a newline [\\n]"))?;
    Ok((text.get(..end).unwrap_or_default(), text.get(end + 1..).unwrap_or_default()))
}

fn read_header<'a>(header: &'a [u8], scratch: &mut Scratch) -> Result<(SearchItem<'a>, Place), ScanError> {
    let (mut item, mut place, mut empty) = (SearchItem::default(), None, true);
    if header.is_empty() {
        return Ok((item, Place::Missing { empty }));
    }
    let mut reader = Reader::new(header, scratch)?;
    reader.object()?;
    while let Some(key) = reader.key()? {
        empty = false;
        match &*key {
            "index" | "indices" => {
                reader.peek();
                let from = reader.at();
                let array = reader.kind()? == Kind::Array;
                let mut names = Vec::new();
                reader.names(&mut names)?;
                let names = names.into_iter().map(|name| name.text);
                let names: Vec<_> = if array { names.collect() } else { names.flat_map(split).collect() };
                if place.replace(from..reader.at()).is_some() || (names.is_empty() && !array) {
                    return Err(ScanError::Malformed("a search header has no single list of indices"));
                }
                item.indices = Some(names);
            }
            "allow_no_indices" | "allowNoIndices" => once(&mut item.allow_no_indices, flag(&mut reader)?)?,
            "ignore_unavailable" | "ignoreUnavailable" => once(&mut item.ignore_unavailable, flag(&mut reader)?)?,
            "expand_wildcards" | "expandWildcards" => {
                let mut names = Vec::new();
                reader.names(&mut names)?;
                let names: Vec<_> = names.iter().map(|name| &*name.text).collect();
                once(&mut item.expand_wildcards, names.join(","))?;
            }
            "search_type"
            | "searchType"
            | "request_cache"
            | "requestCache"
            | "preference"
            | "routing"
            | "allow_partial_search_results"
            | "ccs_minimize_roundtrips"
            | "ignore_throttled"
            | "ignoreThrottled"
            | "max_concurrent_shard_requests"
            | "pre_filter_shard_size"
            | "rest_total_hits_as_int"
            | "type"
            | "types"
            | "cancel_after_time_interval"
            | "phase_took"
            | "wait_for_checkpoints"
            | "project_routing" => reader.shallow()?,
            _ => return Err(ScanError::Malformed("a search header has an unknown parameter")),
        }
    }
    reader.end()?;
    Ok((item, place.map_or(Place::Missing { empty }, Place::At)))
}

fn once<T>(place: &mut Option<T>, value: T) -> Result<(), ScanError> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(ScanError::Malformed("a search header has an option twice")),
    }
}

fn flag(reader: &mut Reader<'_, '_>) -> Result<bool, ScanError> {
    match reader.name()?.as_ref().map(|name| &*name.text) {
        Some("true") => Ok(true),
        Some("false") => Ok(false),
        _ => Err(ScanError::Malformed("a search header has an option that is neither true nor false")),
    }
}

/// A comma-separated list as clusters split it.
fn split(text: Cow<'_, str>) -> Vec<Cow<'_, str>> {
    match text {
        Cow::Borrowed(text) => text.split(',').map(Cow::Borrowed).collect(),
        Cow::Owned(text) => text.split(',').map(|part| Cow::Owned(part.to_owned())).collect(),
    }
}

/// Writes a header with other indices.
fn narrow(header: &[u8], place: Place, names: &[String], out: &mut Vec<u8>) {
    let (before, list, after) = match place {
        Place::At(span) => (header.get(..span.start), list(names), header.get(span.end..)),
        Place::Missing { empty: true } => (Some(&b"{\"index\":"[..]), list(names), Some(&b"}"[..])),
        Place::Missing { empty: false } => {
            (Some(&b"{\"index\":"[..]), list(names) + ",", header.trim_ascii().strip_prefix(b"{"))
        }
    };
    out.extend_from_slice(before.unwrap_or_default());
    out.extend_from_slice(list.as_bytes());
    out.extend_from_slice(after.unwrap_or_default());
}

#[cfg(test)]
mod tests;

use std::io::Write as _;

use flate2::{Compression, write::GzEncoder};
use serde_json::json;
use tokio::sync::mpsc;

use super::*;
use crate::{
    model::{AuthenticationType, Identity, RealmRef},
    privileges::Privileges,
    scan::Merge,
};

const MINE: &str = "{\"index\":{\"_index\":\"a1\"}}\n{\"f\":1}\n";
const THEIRS: &str = "{\"index\":{\"_index\":\"b1\"}}\n{\"f\":1}\n";

/// A bulk of a caller who may write to `a1`.
fn terms(gzip: bool, limit: u64) -> (Arc<Principal>, Arc<Route>, bool, u64) {
    let descriptor = json!({"r": {"indices": [{"names": ["a1"], "privileges": ["write"]}]}});
    let privileges = Privileges::of_user(descriptor.as_object().unwrap());
    let realm = RealmRef { name: "r".into(), kind: "native".into() };
    let principal = Principal::new(Identity::default(), realm, AuthenticationType::Realm, privileges);
    let routes = super::super::routes::Routes::load();
    let route = Arc::clone(routes.find(&http::Method::POST, "/_bulk").unwrap());
    (Arc::new(principal), route, gzip, limit)
}

async fn begun(pieces: Vec<Bytes>, gzip: bool, limit: u64) -> (Result<Judged, AuthorizeError>, Body) {
    let (sender, receiver) = mpsc::channel(pieces.len().max(1));
    for piece in pieces {
        sender.try_send(Ok(piece)).unwrap();
    }
    drop(sender);
    let (principal, route, gzip, limit) = terms(gzip, limit);
    let existing = br#"{"indices":[{"name":"a1"},{"name":"b1"}],"aliases":[],"data_streams":[]}"#;
    let catalog = Arc::new(Catalog::parse(existing).unwrap());
    let (now, notes) = (Timestamp::default(), Notes::default());
    let pipelines = Some(Arc::new(Staying::from_iter(["safe".into()])));
    let terms = Terms { principal: &principal, route: &route, index: "", catalog, pipelines, now, notes, gzip, limit };
    let mut body = Body::Made(receiver);
    (begin(terms, &mut body).await, body)
}

fn pieces(text: &[u8], length: usize) -> Vec<Bytes> {
    text.chunks(length).map(Bytes::copy_from_slice).collect()
}

#[tokio::test]
async fn a_long_bulk_goes_on_while_it_comes_and_tells_at_its_end_what_was_left_out() {
    let text = format!("{MINE}{THEIRS}{MINE}").repeat(4000);
    let (judged, body) = begun(pieces(text.as_bytes(), 1000), false, 1 << 20).await;
    let judged = judged.unwrap();
    assert!(matches!(body, Body::Filtered(_)));
    assert!(judged.take_refused().is_none(), "its end is not known");
    assert_eq!(body.read(1 << 20).await.unwrap(), MINE.repeat(8000));
    let refused = judged.take_refused().unwrap();
    assert_eq!(refused.len(), 4000);
    let (mut merge, mut merged) = (Merge::new(refused), Vec::new());
    let items = vec![r#"{"index":{"status":201}}"#; 8000].join(",");
    merge.push(&Bytes::from(format!(r#"{{"errors":false,"items":[{items}]}}"#)), &mut merged);
    let merged: serde_json::Value = serde_json::from_slice(&merged.concat()).unwrap();
    let statuses = merged["items"].as_array().unwrap().iter().map(|item| item["index"]["status"].as_u64().unwrap());
    assert!(merge.is_complete() && merged["errors"] == true);
    assert_eq!(statuses.collect::<Vec<_>>(), [201, 403, 201].repeat(4000));
}

#[tokio::test]
async fn of_a_short_bulk_all_is_known_before_it_goes_on() {
    let (judged, body) = begun(pieces(format!("{MINE}{THEIRS}").as_bytes(), 7), false, 1000).await;
    assert_eq!(http_body::Body::size_hint(&body).exact(), Some(MINE.len() as u64));
    assert_eq!(judged.unwrap().take_refused().unwrap().len(), 1);
    let (judged, body) = begun(pieces(THEIRS.as_bytes(), 7), false, 1000).await;
    assert!(matches!(body, Body::Empty), "nothing is left for the cluster");
    assert_eq!(judged.unwrap().take_refused().unwrap().len(), 1);
    let (judged, _) = begun(pieces(MINE.as_bytes(), 7), false, 1000).await;
    assert!(judged.unwrap().is_untouched());
}

#[tokio::test]
async fn a_gzip_bulk_goes_on_plain() {
    let text = format!("{MINE}{THEIRS}").repeat(4000);
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    let (judged, body) = begun(pieces(&encoder.finish().unwrap(), 100), true, 1 << 20).await;
    assert_eq!(body.read(1 << 20).await.unwrap(), MINE.repeat(4000));
    assert_eq!(judged.unwrap().take_refused().unwrap().len(), 4000);
}

#[tokio::test]
async fn what_is_no_bulk_from_the_beginning_is_refused_before_the_cluster_hears_of_it() {
    for text in ["{\"index\":{\"_index\":\"a1\"}\n{}\n", "{\"index\":{\"_index\":\"a1\"}}\n{}", "[]\n"] {
        let (judged, _) = begun(pieces(text.as_bytes(), 5), false, 1000).await;
        assert!(matches!(judged.unwrap_err(), AuthorizeError::Illegal(_)), "{text}");
    }
}

#[tokio::test]
async fn what_proves_to_be_no_bulk_later_is_broken_off_and_said_why() {
    let text = MINE.repeat(4000) + "nonsense\n";
    let (judged, body) = begun(pieces(text.as_bytes(), 1000), false, 1 << 20).await;
    let judged = judged.unwrap();
    assert!(matches!(body.read(1 << 20).await, Err(BodyError::Refused)));
    assert!(matches!(judged.take_error(), Some(AuthorizeError::Illegal(_))));
    assert!(judged.take_refused().is_none());
}

#[tokio::test]
async fn more_than_the_limit_is_refused_sent_or_inflated() {
    let text = MINE.repeat(4000);
    let (judged, body) = begun(pieces(text.as_bytes(), 1000), false, 100_000).await;
    assert!(matches!(body.read(1 << 20).await, Err(BodyError::Refused)));
    assert!(matches!(judged.unwrap().take_error(), Some(AuthorizeError::Body(_))));
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    let (judged, body) = begun(pieces(&encoder.finish().unwrap(), 1000), true, 100_000).await;
    let late = judged.map(|judged| (judged, body));
    match late {
        Ok((judged, body)) => {
            assert!(body.read(1 << 20).await.is_err());
            assert!(judged.take_error().is_some());
        }
        Err(error) => assert!(matches!(error, AuthorizeError::Illegal(_)), "{error}"),
    }
}

#[tokio::test]
async fn items_may_go_through_pipelines_that_leave_them_where_they_are() {
    let item = |pipeline| format!("{{\"index\":{{\"_index\":\"a1\",\"pipeline\":\"{pipeline}\"}}}}\n{{}}\n");
    let text = format!("{}{MINE}{}{}", item("safe"), item("moves"), item("_none"));
    let (judged, body) = begun(pieces(text.as_bytes(), 1000), false, 1 << 20).await;
    assert_eq!(body.read(1 << 20).await.unwrap(), format!("{}{MINE}{}", item("safe"), item("_none")));
    let refused = String::from_utf8(judged.unwrap().take_refused().unwrap().alone()).unwrap();
    assert!(refused.contains("pipeline [moves] may send documents to other indices"), "{refused}");
}

use http_body_util::BodyExt as _;
use proptest::prelude::*;
use tokio::sync::mpsc;

use super::*;

const KB: usize = 1024;

fn replays(memory: usize, spool: usize, total: usize) -> Arc<Replays> {
    Replays::new(&config(memory, spool, total))
}

fn config(memory: usize, spool: usize, total: usize) -> Reauthentication {
    Reauthentication {
        replay_memory: memory as u64,
        replay_spool: spool as u64,
        replay_total: total as u64,
        ..Reauthentication::default()
    }
}

/// A body that is fed by the test, one piece in flight.
fn fed() -> (mpsc::Sender<Result<Bytes, BodyError>>, Body) {
    let (feed, pieces) = mpsc::channel(1);
    (feed, Body::Made(pieces))
}

fn bytes(count: usize) -> Bytes {
    (0..count).map(|at| u8::try_from(at * 31 % 251).unwrap()).collect::<Vec<_>>().into()
}

/// Feeds `body` in pieces of `piece` bytes and reads it as the cluster does.
async fn sent(replays: &Arc<Replays>, body: &Bytes, piece: usize) -> Kept {
    let (feed, source) = fed();
    let (outgoing, kept) = replays.tee(source);
    let (body, fed) = (body.clone(), body.clone());
    let feeding = tokio::spawn(async move {
        for at in (0..fed.len()).step_by(piece) {
            feed.send(Ok(fed.slice(at..fed.len().min(at + piece)))).await.unwrap();
        }
    });
    assert!(outgoing.collect().await.unwrap().to_bytes() == body);
    feeding.await.unwrap();
    kept
}

async fn again(kept: Kept) -> Bytes {
    let again = kept.again().expect("it is held");
    again.collect().await.unwrap().to_bytes()
}

#[tokio::test]
async fn a_short_body_is_kept_in_memory_and_sent_again() {
    let replays = replays(100 * KB, 0, 1000 * KB);
    for piece in [1, 100, 5000, 90 * KB] {
        let body = bytes(90 * KB);
        let kept = sent(&replays, &body, piece).await;
        assert_eq!(replays.held(), 90 * 1024, "in pieces of {piece}");
        assert!(again(kept).await == body);
        assert_eq!(replays.held(), 0);
    }
}

#[tokio::test]
async fn a_long_body_is_kept_in_a_file_and_sent_again() {
    let replays = replays(100 * KB, 4096 * KB, 1000 * KB);
    for length in [101 * KB, 600 * KB, 3000 * KB] {
        let body = bytes(length);
        let kept = sent(&replays, &body, 7777).await;
        assert!(replays.held() < 700 * 1024, "{} in memory", replays.held());
        assert!(again(kept).await == body, "{length}");
    }
    settled(&replays).await;
}

#[tokio::test]
async fn what_is_too_long_for_both_is_not_kept_and_holds_nothing() {
    for (memory, spool) in [(100, 200), (100, 0), (0, 0)] {
        let replays = replays(memory * KB, spool * KB, 1000 * KB);
        let kept = sent(&replays, &bytes(201 * KB), 5000).await;
        assert!(!kept.is_held());
        settled(&replays).await;
        assert!(kept.again().is_none());
    }
}

#[tokio::test]
async fn no_more_is_held_than_all_may_hold_together() {
    let replays = replays(100 * KB, 0, 150 * KB);
    let first = sent(&replays, &bytes(90 * KB), 5000).await;
    let second = sent(&replays, &bytes(90 * KB), 5000).await;
    assert!(first.is_held() && !second.is_held());
    assert_eq!(replays.held(), 90 * 1024);
    drop(first);
    assert_eq!(replays.held(), 0);
    assert!(sent(&replays, &bytes(90 * KB), 5000).await.is_held());
    let (_, kept) = replays.tee(Body::Full(bytes(151 * KB)));
    assert!(!kept.is_held());
}

#[tokio::test]
async fn what_is_at_hand_is_not_copied() {
    let replays = replays(1, 0, 1000 * KB);
    let body = bytes(500 * KB);
    let (outgoing, kept) = replays.tee(Body::Full(body.clone()));
    drop(outgoing);
    assert_eq!(again(kept).await.as_ptr(), body.as_ptr());
    let (_, kept) = replays.tee(Body::Empty);
    assert!(matches!(kept.again(), Some(Outgoing::Plain(Body::Empty))));
}

#[tokio::test]
async fn a_body_that_is_still_arriving_is_read_on_by_the_second_sending() {
    let replays = replays(10 * KB, 0, 1000 * KB);
    let (feed, source) = fed();
    let (mut first, kept) = replays.tee(source);
    feed.send(Ok(bytes(5 * KB))).await.unwrap();
    assert_eq!(first.frame().await.unwrap().unwrap().into_data().unwrap(), bytes(5 * KB));
    let again = kept.again().unwrap();
    assert!(matches!(first.frame().await, Some(Err(BodyError::Lost))), "no end: it would look whole");
    let feeding = tokio::spawn(async move { feed.send(Ok(bytes(100 * KB))).await.unwrap() });
    let whole = again.collect().await.unwrap().to_bytes();
    assert_eq!(whole.len(), 105 * KB, "longer than what is kept of a body");
    feeding.await.unwrap();
}

#[tokio::test]
async fn a_first_sending_that_was_paused_goes_on_when_nothing_is_sent_again() {
    let replays = replays(10 * KB, 0, 1000 * KB);
    let (feed, source) = fed();
    let (first, kept) = replays.tee(source);
    kept.pause();
    let reading = tokio::spawn(async move {
        feed.send(Ok(bytes(KB))).await.unwrap();
        feed
    });
    let local = tokio::task::LocalSet::new();
    local
        .run_until(async move {
            let first = tokio::task::spawn_local(first.collect());
            drop(reading.await.unwrap());
            tokio::task::yield_now().await;
            assert!(!first.is_finished() && kept.is_held());
            drop(kept);
            assert_eq!(first.await.unwrap().unwrap().to_bytes(), bytes(KB));
        })
        .await;
    assert_eq!(replays.held(), 0);
}

#[tokio::test]
async fn what_nobody_read_can_be_drained() {
    let replays = replays(KB, 0, 1000 * KB);
    let (feed, source) = fed();
    let (mut first, kept) = replays.tee(source);
    feed.send(Ok(bytes(5 * KB))).await.unwrap();
    first.frame().await.unwrap().unwrap();
    assert!(!kept.is_held());
    feed.send(Ok(bytes(7))).await.unwrap();
    drop(feed);
    assert_eq!(kept.rest().collect().await.unwrap().to_bytes(), bytes(7));
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_costs_only_the_second_sending() {
    let replays = Replays::in_folder(&config(10 * KB, 4096 * KB, 4096 * KB), "/nowhere".into());
    let kept = sent(&replays, &bytes(600 * KB), 5000).await;
    assert!(!kept.is_held());
    settled(&replays).await;
    // Shorter than a chunk: found out when it is read.
    let kept = sent(&replays, &bytes(20 * KB), 5000).await;
    assert!(matches!(kept.again().unwrap().collect().await, Err(BodyError::Lost)));
}

#[tokio::test]
async fn a_file_leaves_no_name_and_no_text_behind() {
    let folder = tempfile::tempdir().unwrap();
    let replays = Replays::in_folder(&config(10 * KB, 4096 * KB, 4096 * KB), folder.path().to_owned());
    let kept = sent(&replays, &bytes(600 * KB), 5000).await;
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
    assert!(again(kept).await == bytes(600 * KB));
}

#[tokio::test]
async fn the_length_of_what_is_sent_again_is_known_where_it_was() {
    let replays = replays(KB, 1000 * KB, 1000 * KB);
    let body = bytes(400 * KB);
    let (feed, source) = fed();
    drop(feed);
    assert_eq!(replays.tee(source).0.size_hint().exact(), None);
    let mut stream = Some(sent(&replays, &body, 5000).await.again().unwrap());
    let Some(Outgoing::Again(again)) = &mut stream else { panic!("it is in a file") };
    again.rest = Body::from("the rest".to_owned());
    let again = stream.unwrap();
    assert_eq!(again.size_hint().exact(), Some(body.len() as u64 + 8));
    assert!(!again.is_end_stream());
    assert_eq!(again.collect().await.unwrap().to_bytes().len(), body.len() + 8);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn wherever_a_first_sending_is_stopped_the_second_is_the_whole_body(
        length in 0..600 * KB, piece in 1..50 * KB, stop in 0..40_usize, memory in 0..200 * KB,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let replays = replays(memory, 1000 * KB, 1000 * KB);
            let body = bytes(length);
            let pieces: Vec<_> = body.chunks(piece.max(length / 100)).map(Bytes::copy_from_slice).collect();
            let (feed, source) = mpsc::channel(pieces.len().max(1));
            for piece in pieces {
                feed.send(Ok(piece)).await.unwrap();
            }
            drop(feed);
            let (mut first, kept) = replays.tee(Body::Made(source));
            for _ in 0..stop {
                let _piece = first.frame().await;
            }
            assert!(again(kept).await == body);
            settled(&replays).await;
        });
    }
}

/// Writers that nobody waits for any more let go too.
async fn settled(replays: &Replays) {
    for _ in 0..200 {
        if replays.held() == 0 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    panic!("{} bytes are still held", replays.held());
}

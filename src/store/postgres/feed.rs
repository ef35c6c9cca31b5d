//! What one replica writes, and the others must hear of.
//!
//! Each write puts its changes into the table `changes` in its own transaction. Their sequence numbers come from the one
//! row of `feed`: taking some locks that row until the transaction ends, so that the next writer gets its numbers once
//! these can be seen. A sequence of PostgreSQL would not do: it hands out 1 and 2, 2 may commit first, and who has read
//! up to 2 never looks for 1. The lock costs no more than `NOTIFY` does, which takes turns at commit as well.
//!
//! So numbers are without gaps and become visible in their order, and who counts what was read knows of each that is
//! missing. `NOTIFY` only wakes; the table is the truth, and is read at least every [`POLL`].

use std::time::Duration;

use sqlx::{
    PgConnection, Row,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions, PgRow},
};
use tokio::time::{sleep, timeout};

use crate::{
    clock::Clock,
    model::KeyId,
    store::{Change, DocumentKind, Follower, StoreError, UserNamespace, postgres::row, text},
};

/// Tells replicas of changes once this transaction commits. Locks the feed, and thus is the last that a transaction does
/// or the first: who waited for anything else in between could be waited for.
pub(super) async fn announce(connection: &mut PgConnection, changes: &[Change]) -> Result<(), sqlx::Error> {
    if changes.is_empty() {
        return Ok(());
    }
    let (kinds, subjects): (Vec<_>, Vec<_>) = changes.iter().map(written).unzip();
    sqlx::query(
        "WITH moved AS (UPDATE feed SET head = head + cardinality($1::text[]) RETURNING head),
              trimmed AS (DELETE FROM changes WHERE sequence <= (SELECT head FROM moved) - $3)
         INSERT INTO changes (sequence, kind, subject)
         SELECT head - cardinality($1) + place, kind, subject
         FROM moved, unnest($1, $2::bytea[]) WITH ORDINALITY AS one (kind, subject, place)
         RETURNING pg_notify('searchgate_changes', '')",
    )
    .bind(kinds)
    .bind(subjects)
    .bind(KEPT)
    .execute(connection)
    .await?;
    Ok(())
}

/// Follows the feed over a connection of its own, and connects again when that is lost.
pub(super) async fn follow(options: &PgConnectOptions, follower: &impl Follower, clock: &Clock) {
    let mut known = None;
    loop {
        let Err(error) = hear(options, &mut known, follower, clock).await;
        follower.lose();
        tracing::warn!(%error, "the feed of changes is lost: the store is asked on each request until it is back");
        sleep(POLL).await;
    }
}

async fn hear(
    options: &PgConnectOptions,
    known: &mut Option<i64>,
    follower: &impl Follower,
    clock: &Clock,
) -> Result<std::convert::Infallible, StoreError> {
    let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(DEADLINE).connect_lazy_with(options.clone());
    let connect = async {
        let mut listener = PgListener::connect_with(&pool).await?;
        listener.eager_reconnect(false);
        listener.listen("searchgate_changes").await?;
        Ok::<_, sqlx::Error>(listener)
    };
    let mut listener = timeout(DEADLINE, connect).await.map_err(|_| super::silent())??;
    loop {
        let asked = clock.now();
        timeout(DEADLINE, catch_up(&mut listener, known, follower)).await.map_err(|_| super::silent())??;
        follower.hear(asked);
        while listener.next_buffered().is_some() {}
        tokio::select! {
            woken = listener.try_recv() => {
                woken?.ok_or_else(|| StoreError::unavailable("PostgreSQL closed the connection"))?;
            }
            () = sleep(POLL) => {}
        }
    }
}

/// Tells of all changes up to now. Where some cannot be told, because too many were missed or another database answers,
/// everything may have changed.
async fn catch_up(
    listener: &mut PgListener,
    known: &mut Option<i64>,
    follower: &impl Follower,
) -> Result<(), StoreError> {
    let head: i64 = sqlx::query_scalar("SELECT head FROM feed").fetch_one(&mut *listener).await?;
    let missed = known.map(|known| head - known);
    match (missed, *known) {
        (Some(0), _) => {}
        (Some(missed @ 1..=KEPT), Some(known)) => {
            let changes = sqlx::query("SELECT kind, subject FROM changes WHERE sequence > $1 AND sequence <= $2")
                .bind(known)
                .bind(head)
                .fetch_all(&mut *listener)
                .await?;
            let changes = changes.iter().map(read).collect::<Option<Vec<_>>>();
            match changes.filter(|changes| i64::try_from(changes.len()) == Ok(missed)) {
                Some(changes) => changes.iter().for_each(|change| follower.change(change)),
                None => follower.change_all(),
            }
        }
        _ => follower.change_all(),
    }
    *known = Some(head);
    Ok(())
}

fn written(change: &Change) -> (&'static str, &[u8]) {
    match change {
        Change::Documents(kind) => ("documents", kind.as_str().as_bytes()),
        Change::Key(id) => ("key", id.0.as_bytes()),
        Change::Session(id) => ("session", id),
        Change::Token(digest) => ("token", digest),
        Change::User(namespace, name) => (text::namespace(*namespace), name.as_bytes()),
    }
}

/// Nothing where a newer version wrote what this one does not know.
fn read(row: &PgRow) -> Option<Change> {
    let subject = || row::name(row, "subject").ok();
    Some(match row.try_get("kind").ok()? {
        "documents" => {
            let name = subject()?;
            Change::Documents(DocumentKind::ALL.into_iter().find(|kind| kind.as_str() == &*name)?)
        }
        "key" => Change::Key(KeyId(subject()?.into())),
        "session" => Change::Session(row.try_get("subject").ok()?),
        "token" => Change::Token(row.try_get("subject").ok()?),
        "native" => Change::User(UserNamespace::Native, subject()?),
        "reserved" => Change::User(UserNamespace::Reserved, subject()?),
        _ => return None,
    })
}

/// Changes kept for those who are late.
const KEPT: i64 = 10_000;
/// How long the feed is silent before it is asked.
const POLL: Duration = Duration::from_millis(250);
/// How long an answer of the feed may take.
const DEADLINE: Duration = Duration::from_secs(1);

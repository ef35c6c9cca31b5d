//! Sessions, and the queue of pairs to be revoked.

use sqlx::{PgPool, Postgres, QueryBuilder, Row as _, postgres::PgRow};

use crate::{
    model::Timestamp,
    store::{
        Change, Lease, RevocationClaim, RevocationRecord, SealedPair, SessionEnd, SessionFilter, SessionRecord,
        StoreError,
        postgres::{
            feed::announce,
            row::{self, millis, number, optional_time, time, unsigned},
        },
        text,
    },
};

pub(super) async fn insert(pool: PgPool, session: SessionRecord) -> Result<bool, StoreError> {
    let sql = "INSERT INTO sessions (id, username_hash, provider_type, provider_name, created_at, last_seen_at,
                   idle_expires_at, lifespan_expires_at, generation, version, state, refresh_owner, refresh_until, content)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) ON CONFLICT (id) DO NOTHING";
    write(pool, sql, session).await
}

pub(super) async fn one(pool: PgPool, id: [u8; 32]) -> Result<Option<SessionRecord>, StoreError> {
    let found = sqlx::query("SELECT * FROM sessions WHERE id = $1").bind(id).fetch_optional(&pool).await?;
    found.as_ref().map(session).transpose()
}

pub(super) async fn replace(pool: PgPool, next: SessionRecord) -> Result<bool, StoreError> {
    let sql = "UPDATE sessions SET username_hash = $2, provider_type = $3, provider_name = $4, created_at = $5,
                   last_seen_at = $6, idle_expires_at = $7, lifespan_expires_at = $8, generation = $9, version = $10,
                   state = $11, refresh_owner = $12, refresh_until = $13, content = $14
               WHERE id = $1 AND version = $10 - 1";
    write(pool, sql, next).await
}

async fn write(pool: PgPool, sql: &'static str, session: SessionRecord) -> Result<bool, StoreError> {
    let done = sqlx::query(sql)
        .bind(session.id)
        .bind(session.username_hash)
        .bind(&*session.provider_type)
        .bind(session.provider_name.as_bytes())
        .bind(millis(session.created_at))
        .bind(millis(session.last_seen_at))
        .bind(session.idle_expires_at.map(millis))
        .bind(session.lifespan_expires_at.map(millis))
        .bind(number(session.generation))
        .bind(number(session.version))
        .bind(session.state.as_str())
        .bind(session.lease.as_ref().map(|lease| &*lease.owner))
        .bind(session.lease.as_ref().map(|lease| millis(lease.until)))
        .bind(&*session.content)
        .execute(&pool)
        .await?;
    Ok(done.rows_affected() > 0)
}

pub(super) async fn list(
    pool: PgPool,
    filter: SessionFilter,
    after: Option<[u8; 32]>,
    limit: u32,
) -> Result<Vec<SessionRecord>, StoreError> {
    let mut query = QueryBuilder::new("SELECT * FROM sessions WHERE ");
    condition(&mut query, &filter);
    if let Some(after) = after {
        query.push(" AND id > ").push_bind(after);
    }
    query.push(" ORDER BY id LIMIT ").push_bind(i64::from(limit));
    query.build().fetch_all(&pool).await?.iter().map(session).collect()
}

pub(super) async fn count(pool: PgPool, filter: SessionFilter) -> Result<u64, StoreError> {
    let mut query = QueryBuilder::new("SELECT count(*) FROM sessions WHERE ");
    condition(&mut query, &filter);
    Ok(unsigned(query.build_query_scalar().fetch_one(&pool).await?))
}

/// Whoever publishes a pair meanwhile is waited for, and it is that pair which is queued: the rows are read once they are
/// locked.
pub(super) async fn end(pool: PgPool, end: SessionEnd) -> Result<Vec<SessionRecord>, StoreError> {
    let mut transaction = pool.begin().await?;
    let mut query = QueryBuilder::new("SELECT * FROM sessions WHERE ");
    condition(&mut query, &end.filter);
    query.push(" ORDER BY created_at DESC, id DESC LIMIT ").push_bind(i64::from(end.limit));
    query.push(" OFFSET ").push_bind(i64::from(end.spare)).push(" FOR UPDATE");
    let ended = query.build().fetch_all(&mut *transaction).await?;
    let ended = ended.iter().map(session).collect::<Result<Vec<_>, _>>()?;
    if ended.is_empty() {
        return Ok(ended);
    }
    sqlx::query(
        "WITH ended AS (DELETE FROM sessions WHERE id = ANY($1) RETURNING *)
         INSERT INTO revocations (session, generation, content, cause, created_at, due_at, attempts)
         SELECT id, generation, content, $2, $3, $3, 0 FROM ended ORDER BY ended.created_at DESC, id DESC",
    )
    .bind(ended.iter().map(|session| session.id.to_vec()).collect::<Vec<_>>())
    .bind(&*end.cause)
    .bind(millis(end.at))
    .execute(&mut *transaction)
    .await?;
    announce(&mut transaction, &ended.iter().map(|session| Change::Session(session.id)).collect::<Vec<_>>()).await?;
    transaction.commit().await?;
    Ok(ended)
}

pub(super) async fn revoke(pool: PgPool, pair: SealedPair, cause: Box<str>, at: Timestamp) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO revocations (session, generation, content, cause, created_at, due_at, attempts)
         VALUES ($1, $2, $3, $4, $5, $5, 0)",
    )
    .bind(pair.session)
    .bind(number(pair.generation))
    .bind(&*pair.content)
    .bind(&*cause)
    .bind(millis(at))
    .execute(&pool)
    .await?;
    Ok(())
}

pub(super) async fn claim(pool: PgPool, claim: RevocationClaim) -> Result<Vec<RevocationRecord>, StoreError> {
    let claimed = sqlx::query(
        "WITH due AS (SELECT id, due_at AS since FROM revocations WHERE due_at <= $1
                      ORDER BY due_at, id LIMIT $2 FOR UPDATE SKIP LOCKED),
              claimed AS (UPDATE revocations SET owner = $3, due_at = $4 FROM due WHERE revocations.id = due.id
                          RETURNING revocations.*, since)
         SELECT * FROM claimed ORDER BY since, id",
    )
    .bind(millis(claim.at))
    .bind(i64::from(claim.limit))
    .bind(&*claim.owner)
    .bind(millis(claim.until))
    .fetch_all(&pool)
    .await?;
    claimed.iter().map(revocation).collect()
}

pub(super) async fn settle(pool: PgPool, id: u64, owner: Box<str>, again: Option<Timestamp>) -> Result<(), StoreError> {
    let settle = match again {
        None => sqlx::query("DELETE FROM revocations WHERE id = $1").bind(number(id)),
        Some(again) => {
            sqlx::query("UPDATE revocations SET due_at = $3, attempts = attempts + 1 WHERE id = $1 AND owner = $2")
                .bind(number(id))
                .bind(&*owner)
                .bind(millis(again))
        }
    };
    settle.execute(&pool).await?;
    Ok(())
}

pub(super) async fn count_revocations(pool: PgPool) -> Result<u64, StoreError> {
    Ok(unsigned(sqlx::query_scalar("SELECT count(*) FROM revocations").fetch_one(&pool).await?))
}

/// Adds the condition that a session matches.
fn condition(query: &mut QueryBuilder<Postgres>, filter: &SessionFilter) {
    query.push("TRUE");
    if let Some(id) = filter.id {
        query.push(" AND id = ").push_bind(id);
    }
    if let Some(kinds) = &filter.provider_types {
        let kinds: Vec<_> = kinds.iter().map(ToString::to_string).collect();
        query.push(" AND provider_type = ANY(").push_bind(kinds).push(")");
    }
    if let Some(name) = &filter.provider_name {
        query.push(" AND provider_name = ").push_bind(name.as_bytes().to_vec());
    }
    if let Some(hashes) = &filter.username_hashes {
        let hashes: Vec<_> = hashes.iter().map(|hash| hash.to_vec()).collect();
        query.push(" AND username_hash = ANY(").push_bind(hashes).push(")");
    }
    if let Some(state) = filter.state {
        query.push(" AND state = ").push_bind(state.as_str());
    }
    for (column, at) in
        [(" AND idle_expires_at <= ", filter.idle_over), (" AND lifespan_expires_at <= ", filter.lifespan_over)]
    {
        if let Some(at) = at {
            query.push(column).push_bind(millis(at));
        }
    }
}

fn session(row: &PgRow) -> Result<SessionRecord, StoreError> {
    let lease = row.try_get::<Option<String>, _>("refresh_owner")?.zip(optional_time(row, "refresh_until")?);
    Ok(SessionRecord {
        id: row.try_get("id")?,
        username_hash: row.try_get("username_hash")?,
        provider_type: row.try_get::<String, _>("provider_type")?.into(),
        provider_name: row::name(row, "provider_name")?,
        created_at: time(row.try_get("created_at")?),
        last_seen_at: time(row.try_get("last_seen_at")?),
        idle_expires_at: optional_time(row, "idle_expires_at")?,
        lifespan_expires_at: optional_time(row, "lifespan_expires_at")?,
        generation: unsigned(row.try_get("generation")?),
        version: unsigned(row.try_get("version")?),
        state: text::session_state(row.try_get("state")?)?,
        lease: lease.map(|(owner, until)| Lease { owner: owner.into(), until }),
        content: row.try_get::<Vec<u8>, _>("content")?.into(),
    })
}

fn revocation(row: &PgRow) -> Result<RevocationRecord, StoreError> {
    Ok(RevocationRecord {
        id: unsigned(row.try_get("id")?),
        pair: SealedPair {
            session: row.try_get("session")?,
            generation: unsigned(row.try_get("generation")?),
            content: row.try_get::<Vec<u8>, _>("content")?.into(),
        },
        cause: row.try_get::<String, _>("cause")?.into(),
        created_at: time(row.try_get("created_at")?),
        due_at: time(row.try_get("due_at")?),
        attempts: row.try_get::<i32, _>("attempts")?.unsigned_abs(),
    })
}

//! Sessions, and the queue of pairs to be revoked.

use rusqlite::{Connection, OptionalExtension, Row, ToSql, params, params_from_iter};

use crate::{
    model::Timestamp,
    store::{
        Lease, RevocationClaim, RevocationRecord, SealedPair, SessionEnd, SessionFilter, SessionRecord, StoreError,
        sqlite::row::{millis, number, optional, time, unsigned},
        text,
    },
};

const SESSION_COLUMNS: &str = "id, username_hash, provider_type, provider_name, created_at, last_seen_at, \
                               idle_expires_at, lifespan_expires_at, generation, version, state, refresh_owner, \
                               refresh_until, content";
const REVOCATION_COLUMNS: &str = "id, session, generation, content, cause, created_at, due_at, attempts";

pub(super) fn insert(connection: &Connection, session: &SessionRecord) -> Result<bool, StoreError> {
    let sql = format!(
        "INSERT INTO sessions ({SESSION_COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)
         ON CONFLICT (id) DO NOTHING"
    );
    Ok(write(connection, &sql, session)? > 0)
}

pub(super) fn one(connection: &Connection, id: &[u8; 32]) -> Result<Option<SessionRecord>, StoreError> {
    connection
        .prepare_cached(&format!("SELECT {SESSION_COLUMNS} FROM sessions WHERE id = ?1"))?
        .query_row([id], |row| Ok(session(row)))
        .optional()?
        .transpose()
}

pub(super) fn replace(connection: &Connection, next: &SessionRecord) -> Result<bool, StoreError> {
    let sql = "UPDATE sessions SET username_hash = ?2, provider_type = ?3, provider_name = ?4, created_at = ?5,
                   last_seen_at = ?6, idle_expires_at = ?7, lifespan_expires_at = ?8, generation = ?9, version = ?10,
                   state = ?11, refresh_owner = ?12, refresh_until = ?13, content = ?14
               WHERE id = ?1 AND version = ?10 - 1";
    Ok(write(connection, sql, next)? > 0)
}

fn write(connection: &Connection, sql: &str, session: &SessionRecord) -> Result<usize, StoreError> {
    Ok(connection.prepare_cached(sql)?.execute(params![
        session.id,
        session.username_hash,
        session.provider_type,
        session.provider_name,
        millis(session.created_at),
        millis(session.last_seen_at),
        session.idle_expires_at.map(millis),
        session.lifespan_expires_at.map(millis),
        number(session.generation),
        number(session.version),
        session.state.as_str(),
        session.lease.as_ref().map(|lease| &*lease.owner),
        session.lease.as_ref().map(|lease| millis(lease.until)),
        session.content,
    ])?)
}

pub(super) fn list(
    connection: &Connection,
    filter: &SessionFilter,
    after: Option<[u8; 32]>,
    limit: u32,
) -> Result<Vec<SessionRecord>, StoreError> {
    let (mut condition, mut values) = condition(filter);
    if let Some(after) = after {
        and(&mut condition, &mut values, "id >", after);
    }
    let sql = format!("SELECT {SESSION_COLUMNS} FROM sessions WHERE {condition} ORDER BY id LIMIT {limit}");
    select(connection, &sql, &values)
}

pub(super) fn count(connection: &Connection, filter: &SessionFilter) -> Result<u64, StoreError> {
    let (condition, values) = condition(filter);
    let sql = format!("SELECT count(*) FROM sessions WHERE {condition}");
    Ok(unsigned(connection.prepare_cached(&sql)?.query_row(params_from_iter(values), |row| row.get(0))?))
}

pub(super) fn end(connection: &Connection, end: &SessionEnd) -> Result<Vec<SessionRecord>, StoreError> {
    let (condition, values) = condition(&end.filter);
    let sql = format!(
        "SELECT {SESSION_COLUMNS} FROM sessions WHERE {condition} ORDER BY created_at DESC, id DESC LIMIT {} OFFSET {}",
        end.limit, end.spare
    );
    let ended = select(connection, &sql, &values)?;
    for session in &ended {
        connection.prepare_cached("DELETE FROM sessions WHERE id = ?1")?.execute([session.id])?;
        revoke(connection, &session.pair(), &end.cause, end.at)?;
    }
    Ok(ended)
}

pub(super) fn revoke(connection: &Connection, pair: &SealedPair, cause: &str, at: Timestamp) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO revocations (session, generation, content, cause, created_at, due_at, attempts)
             VALUES (?1, ?2, ?3, ?4, ?5, ?5, 0)",
        )?
        .execute(params![pair.session, number(pair.generation), pair.content, cause, millis(at)])?;
    Ok(())
}

pub(super) fn claim(connection: &Connection, claim: &RevocationClaim) -> Result<Vec<RevocationRecord>, StoreError> {
    let sql = format!(
        "SELECT {REVOCATION_COLUMNS} FROM revocations WHERE due_at <= ?1 ORDER BY due_at, id LIMIT {}",
        claim.limit
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut claimed = statement
        .query_map([millis(claim.at)], |row| Ok(revocation(row)))?
        .map(|row| row?)
        .collect::<Result<Vec<_>, _>>()?;
    for record in &mut claimed {
        connection.prepare_cached("UPDATE revocations SET owner = ?2, due_at = ?3 WHERE id = ?1")?.execute(params![
            number(record.id),
            claim.owner,
            millis(claim.until)
        ])?;
        record.due_at = claim.until;
    }
    Ok(claimed)
}

pub(super) fn settle(
    connection: &Connection,
    id: u64,
    owner: &str,
    again: Option<Timestamp>,
) -> Result<(), StoreError> {
    match again {
        None => connection.prepare_cached("DELETE FROM revocations WHERE id = ?1")?.execute([number(id)])?,
        Some(again) => connection
            .prepare_cached("UPDATE revocations SET due_at = ?3, attempts = attempts + 1 WHERE id = ?1 AND owner = ?2")?
            .execute(params![number(id), owner, millis(again)])?,
    };
    Ok(())
}

pub(super) fn count_revocations(connection: &Connection) -> Result<u64, StoreError> {
    Ok(unsigned(connection.prepare_cached("SELECT count(*) FROM revocations")?.query_row([], |row| row.get(0))?))
}

type Values = Vec<Box<dyn ToSql>>;

/// A condition, and the values of its numbered parameters from `?1` on.
fn condition(filter: &SessionFilter) -> (String, Values) {
    let (mut sql, mut values) = ("TRUE".to_owned(), Values::new());
    if let Some(id) = filter.id {
        and(&mut sql, &mut values, "id =", id);
    }
    if let Some(kinds) = &filter.provider_types {
        any_of(&mut sql, &mut values, "provider_type", kinds.iter().cloned());
    }
    if let Some(name) = &filter.provider_name {
        and(&mut sql, &mut values, "provider_name =", name.clone());
    }
    if let Some(hashes) = &filter.username_hashes {
        any_of(&mut sql, &mut values, "username_hash", hashes.iter().copied());
    }
    if let Some(state) = filter.state {
        and(&mut sql, &mut values, "state =", state.as_str());
    }
    for (column, at) in [("idle_expires_at <=", filter.idle_over), ("lifespan_expires_at <=", filter.lifespan_over)] {
        if let Some(at) = at {
            and(&mut sql, &mut values, column, millis(at));
        }
    }
    (sql, values)
}

fn and(sql: &mut String, values: &mut Values, comparison: &str, value: impl ToSql + 'static) {
    values.push(Box::new(value));
    sql.extend([" AND ", comparison, " ?", &values.len().to_string()]);
}

fn any_of<V: ToSql + 'static>(sql: &mut String, values: &mut Values, column: &str, allowed: impl Iterator<Item = V>) {
    sql.extend([" AND ", column, " IN ("]);
    for (place, value) in allowed.enumerate() {
        values.push(Box::new(value));
        sql.extend([if place > 0 { ", ?" } else { "?" }, &values.len().to_string()]);
    }
    sql.push(')');
}

fn select(connection: &Connection, sql: &str, values: &Values) -> Result<Vec<SessionRecord>, StoreError> {
    let values = params_from_iter(values);
    connection.prepare_cached(sql)?.query_map(values, |row| Ok(session(row)))?.map(|row| row?).collect()
}

fn session(row: &Row<'_>) -> Result<SessionRecord, StoreError> {
    let lease = optional(row, 11)?.zip(optional(row, 12)?);
    Ok(SessionRecord {
        id: row.get(0)?,
        username_hash: row.get(1)?,
        provider_type: row.get(2)?,
        provider_name: row.get(3)?,
        created_at: time(row.get(4)?),
        last_seen_at: time(row.get(5)?),
        idle_expires_at: optional(row, 6)?.map(time),
        lifespan_expires_at: optional(row, 7)?.map(time),
        generation: unsigned(row.get(8)?),
        version: unsigned(row.get(9)?),
        state: text::session_state(row.get_ref(10)?.as_str().unwrap_or_default())?,
        lease: lease.map(|(owner, until)| Lease { owner, until: time(until) }),
        content: row.get::<_, Vec<u8>>(13)?.into(),
    })
}

fn revocation(row: &Row<'_>) -> Result<RevocationRecord, StoreError> {
    Ok(RevocationRecord {
        id: unsigned(row.get(0)?),
        pair: SealedPair {
            session: row.get(1)?,
            generation: unsigned(row.get(2)?),
            content: row.get::<_, Vec<u8>>(3)?.into(),
        },
        cause: row.get(4)?,
        created_at: time(row.get(5)?),
        due_at: time(row.get(6)?),
        attempts: row.get(7)?,
    })
}

//! The schema, and its migrations.

use sqlx::PgPool;

use crate::store::StoreError;

/// Applies the migrations that the database has not seen: all of them or none, and one replica at a time.
pub(super) async fn migrate(pool: &PgPool) -> Result<(), StoreError> {
    let known = i32::try_from(MIGRATIONS.len()).unwrap_or(i32::MAX);
    let mut transaction = pool.begin().await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(LOCK).execute(&mut *transaction).await?;
    // Asked first: who may only read and write tables may not make one, not even one that is there.
    let made: bool =
        sqlx::query_scalar("SELECT to_regclass('schema_version') IS NOT NULL").fetch_one(&mut *transaction).await?;
    if !made {
        sqlx::raw_sql("CREATE TABLE schema_version (version INTEGER NOT NULL); INSERT INTO schema_version VALUES (0)")
            .execute(&mut *transaction)
            .await?;
    }
    let found: i32 = sqlx::query_scalar("SELECT version FROM schema_version").fetch_one(&mut *transaction).await?;
    if found > known {
        return Err(StoreError::Newer { found: found.unsigned_abs(), known: known.unsigned_abs() });
    }
    for migration in MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or(0)) {
        sqlx::raw_sql(*migration).execute(&mut *transaction).await?;
    }
    if found < known {
        sqlx::query("UPDATE schema_version SET version = $1").bind(known).execute(&mut *transaction).await?;
    }
    Ok(transaction.commit().await?)
}

/// In order; `schema_version` counts those applied. One that was released is never changed.
const MIGRATIONS: &[&str] = &[
    include_str!("../../../migrations/postgres/0001_initial.sql"),
    include_str!("../../../migrations/postgres/0002_sessions.sql"),
];

/// Any number that nobody else takes.
const LOCK: i64 = 0x7365_6172_6368_6761;

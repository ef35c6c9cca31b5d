//! The file itself: who may read it, its schema, and the connections to it.

use std::{
    fs::{self, File, TryLockError},
    io::{self, ErrorKind},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use parking_lot::Mutex;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use crate::store::{StoreError, sqlite::Schema};

/// The file is this process's alone for as long as this lives. Drop it last: closing a file undoes what locks SQLite
/// has on it.
pub(super) struct Claim(#[expect(dead_code, reason = "held for its lock")] File);

/// Opens or makes the file, up to date and set for durable writes.
pub(super) fn open(path: &Path) -> Result<(Connection, Claim), StoreError> {
    let file = make_private(path)?;
    // A lock of another kind than SQLite's own, which backups take and wait for. The system drops it with the process.
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let path = path.display();
            return Err(StoreError::unavailable(format_args!(
                "{path}: another process uses it (stop the server first)"
            )));
        }
        Err(TryLockError::Error(error)) => {
            return Err(StoreError::unavailable(format_args!("{}: {error}", path.display())));
        }
    }
    let mut connection = connect(path)?;
    // FULL syncs the log at each commit: what is acknowledged survives power loss.
    let journal: String = connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
    if journal != "wal" {
        return Err(StoreError::unavailable(format_args!(
            "{}: this file system takes no write-ahead log",
            path.display()
        )));
    }
    connection.pragma_update(None, "synchronous", "full")?;
    migrate(&mut connection)?;
    Ok((connection, Claim(file)))
}

/// Connections for reading, with their prepared statements. As many are open as threads read at once.
pub(super) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    pub(super) fn of(path: &Path) -> Self {
        Self { path: path.to_owned(), idle: Mutex::default() }
    }

    pub(super) fn read<T>(&self, query: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let idle = self.idle.lock().pop();
        let connection = if let Some(connection) = idle { connection } else { self.open()? };
        let answer = query(&connection);
        let mut idle = self.idle.lock();
        if idle.len() < IDLE {
            idle.push(connection);
        }
        answer
    }

    fn open(&self) -> Result<Connection, StoreError> {
        let connection = connect(&self.path)?;
        connection.pragma_update(None, "query_only", true)?;
        Ok(connection)
    }
}

fn connect(path: &Path) -> Result<Connection, StoreError> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // A long list is sorted without a file of its own.
    connection.pragma_update(None, "temp_store", "memory")?;
    Ok(connection)
}

/// Makes the folder and the file, readable by their owner alone. SQLite gives the files beside it the same mode.
fn make_private(path: &Path) -> Result<File, StoreError> {
    let failed = |error: io::Error| StoreError::unavailable(format_args!("{}: {error}", path.display()));
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    }
    let opened = fs::OpenOptions::new().append(true).create(true).mode(0o600).open(path).map_err(failed)?;
    for suffix in ["", "-wal", "-shm"] {
        let mut file = path.as_os_str().to_owned();
        file.push(suffix);
        match fs::set_permissions(file, fs::Permissions::from_mode(0o600)) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
    }
    Ok(opened)
}

/// The schema of the file as it is; one that is not there has none. Changes nothing.
pub(super) fn schema(path: &Path) -> Result<Schema, StoreError> {
    let known = u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX);
    if !path.exists() {
        return Ok(Schema { found: 0, known });
    }
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    Ok(Schema { found: connection.pragma_query_value(None, "user_version", |row| row.get(0))?, known })
}

/// Applies the migrations that the file has not seen: all of them or none, and one process at a time.
fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let known = u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX);
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: u32 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found > known {
        return Err(StoreError::Newer { found, known });
    }
    for migration in MIGRATIONS.iter().skip(found as usize) {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "user_version", known)?;
    Ok(transaction.commit()?)
}

/// In order; the file's `user_version` counts those applied. One that was released is never changed.
const MIGRATIONS: &[&str] = &[
    include_str!("../../../migrations/sqlite/0001_initial.sql"),
    include_str!("../../../migrations/sqlite/0002_sessions.sql"),
];

/// How long to wait for another process, say a backup, that holds the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);

/// Prepared statements that a connection keeps.
const STATEMENTS: usize = 32;

/// Connections kept for the next reader.
const IDLE: usize = 32;

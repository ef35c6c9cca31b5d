use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
};

use super::*;
use crate::model::Identity;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o777
}

fn jack() -> UserRecord {
    let identity = Identity { username: "jack".into(), ..Identity::default() };
    UserRecord { identity, namespace: UserNamespace::Native, password: None, enabled: true }
}

#[tokio::test]
async fn the_files_and_a_new_folder_are_their_owners_alone() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let path = data.join("searchgate.db");
    let store = Sqlite::open(&path).unwrap();
    store.ping().await.unwrap();
    assert_eq!(mode(&data), 0o700);
    let files: Vec<_> = fs::read_dir(&data).unwrap().map(|file| file.unwrap().path()).collect();
    assert_eq!(files.len(), 3);
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

#[test]
fn a_file_that_others_could_read_is_closed_to_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("searchgate.db");
    drop(Sqlite::open(&path).unwrap());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    drop(Sqlite::open(&path).unwrap());
    assert_eq!(mode(&path), 0o600);
}

#[tokio::test]
async fn a_closed_store_is_one_file_that_holds_everything() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("searchgate.db");
    let store = Sqlite::open(&path).unwrap();
    store.put_user(jack()).await.unwrap();
    drop(store);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    let again = Sqlite::open(&path).unwrap();
    assert!(again.user(UserNamespace::Native, "jack").await.unwrap().is_some());
}

#[test]
fn a_newer_schema_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("searchgate.db");
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 1_000).unwrap();
    let refused = Sqlite::open(&path).unwrap_err();
    assert!(matches!(refused, StoreError::Newer { found: 1_000, .. }));
}

#[test]
fn a_file_of_another_kind_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("searchgate.db");
    fs::write(&path, "not a database, but long enough to have the header of one ".repeat(9)).unwrap();
    assert!(matches!(Sqlite::open(&path).unwrap_err(), StoreError::Damaged { what: "file" }));
}

#[tokio::test]
async fn a_damaged_record_is_an_error_and_not_an_absent_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("searchgate.db");
    let store = Sqlite::open(&path).unwrap();
    store.put_user(jack()).await.unwrap();
    Connection::open(&path).unwrap().execute("UPDATE users SET document = '{'", []).unwrap();
    let damaged = store.user(UserNamespace::Native, "jack").await.unwrap_err();
    assert!(matches!(damaged, StoreError::Damaged { what: "user" }));
}

#[tokio::test]
async fn a_file_in_use_is_refused_and_its_user_undisturbed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("searchgate.db");
    let store = Sqlite::open(&path).unwrap();
    let refused = Sqlite::open(&path).unwrap_err().to_string();
    assert!(refused.contains("another process uses it"), "{refused}");
    assert!(store.put_user(jack()).await.unwrap());
    drop(store);
    Sqlite::open(&path).unwrap();
}

#[test]
fn no_page_of_keys_is_sorted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("searchgate.db");
    drop(Sqlite::open(&path).unwrap());
    let connection = Connection::open(&path).unwrap();
    let all = KeyFilter::default();
    let (name, prefix) = (Some("ingest".into()), Some("in*".into()));
    let (username, realm) = (Some("jack".into()), Some("corp".into()));
    let filters = [
        all.clone(),
        KeyFilter { name, ..all.clone() },
        KeyFilter { name: prefix.clone(), ..all.clone() },
        KeyFilter { active_at: Some(Timestamp::from_millis(1)), name: prefix, ..all.clone() },
        KeyFilter { realm: realm.clone(), ..all.clone() },
        KeyFilter { username, realm, ..all },
    ];
    for filter in filters {
        for newest_first in [false, true] {
            let after = Some((Timestamp::from_millis(1), KeyId("id".into())));
            let (rest, values) = filter::page(&filter, &Page { after, newest_first, ..Page::first(10) });
            let plan = plan(&connection, &format!("SELECT document FROM api_keys {rest}"), &values);
            assert!(!plan.contains("TEMP B-TREE") && plan.contains("USING INDEX"), "{filter:?}: {plan}");
        }
        let (condition, values) = filter::condition(&filter);
        let plan = plan(&connection, &format!("SELECT count(*) FROM api_keys WHERE {condition}"), &values);
        assert!(plan.contains("COVERING INDEX") || filter.name.is_some(), "{filter:?}: {plan}");
    }
}

fn plan(connection: &Connection, sql: &str, values: &[filter::Bound]) -> String {
    let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let rows = explain.query_map(rusqlite::params_from_iter(values), |row| row.get::<_, String>(3)).unwrap();
    rows.map(Result::unwrap).collect::<Vec<_>>().join("\n")
}

//! Users of a file: read at the start, and again when it changes.

use std::{
    collections::HashMap,
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{
    identify::cache::{Revocations, Subject},
    model::Identity,
    passwords::{Busy, PasswordHash, Passwords},
    secret::{self, SecretText},
};

/// The users of one file.
pub(super) struct FileUsers {
    path: PathBuf,
    users: ArcSwap<Entries>,
    /// Digest of what was read; held while it is read again.
    seen: Mutex<[u8; 32]>,
    passwords: Passwords,
    revocations: Arc<Revocations>,
}

/// Why a file of users cannot be used. What it holds is never quoted.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// A user without a usable hash.
    #[error("user [{name}] of {} has no Argon2id hash: make one with `searchgate hash-password`", file.display())]
    Hash {
        /// The file.
        file: PathBuf,
        /// The user.
        name: Box<str>,
    },
    /// A name that the file cannot give.
    #[error("user [{name}] of {} has a name that is reserved or empty", file.display())]
    Name {
        /// The file.
        file: PathBuf,
        /// The user.
        name: Box<str>,
    },
    /// No users, or not as they are written.
    #[error("{}:{line}:{column}: no list of users, name: {{ password_hash, roles, ... }}", file.display())]
    Syntax {
        /// The file.
        file: PathBuf,
        /// From 1.
        line: u64,
        /// From 1.
        column: u64,
    },
    /// Not there, or not ours to read.
    #[error("cannot read {}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Users by name.
type Entries = HashMap<Box<str>, Entry>;

/// A user as written.
#[derive(Clone, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Entry {
    password_hash: Box<str>,
    #[serde(default)]
    roles: Vec<Box<str>>,
    full_name: Option<Box<str>>,
    email: Option<Box<str>>,
    #[serde(default)]
    metadata: Map<String, Value>,
    #[serde(default = "yes")]
    enabled: bool,
}

impl FileUsers {
    /// Reads the file.
    ///
    /// # Errors
    ///
    /// [`FileError`].
    pub(super) fn open(path: &Path, passwords: Passwords, revocations: Arc<Revocations>) -> Result<Self, FileError> {
        let (users, digest) = read(path)?;
        let (users, seen) = (ArcSwap::from_pointee(users), Mutex::new(digest));
        Ok(Self { path: path.to_owned(), users, seen, passwords, revocations })
    }

    /// Reads the file again; returns whether it changed.
    ///
    /// # Errors
    ///
    /// [`FileError`]: the users stay what they were.
    pub(super) fn reload(&self) -> Result<bool, FileError> {
        let mut seen = self.seen.lock();
        let (new, digest) = read(&self.path)?;
        if digest == *seen {
            return Ok(false);
        }
        *seen = digest;
        let new = Arc::new(new);
        let old = self.users.swap(Arc::clone(&new));
        for (name, _) in old.iter().filter(|(name, user)| new.get(*name) != Some(user)) {
            self.revocations.revoke(Subject::FileUser(name));
        }
        Ok(true)
    }

    /// Whether there is a user of that name, disabled or not.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.users.load().contains_key(name)
    }

    /// Who is called so, and whether it may act.
    pub(super) fn user(&self, name: &str) -> Option<(Identity, bool)> {
        self.users.load().get(name).map(|user| (user.clone().identity(name), user.enabled))
    }

    /// The user behind a name and password. `None` for a wrong password, an unknown and a disabled user, all at the
    /// same cost.
    ///
    /// # Errors
    ///
    /// [`Busy`].
    pub(super) async fn verify(&self, name: &str, password: SecretText) -> Result<Option<Identity>, Busy> {
        let user = self.users.load().get(name).cloned();
        let hash = user.as_ref().map(|user| PasswordHash(SecretText::new(user.password_hash.to_string())));
        let right = self.passwords.verify(&format!("file/{name}"), hash, password).await?;
        Ok(user.filter(|user| right && user.enabled).map(|user| user.identity(name)))
    }
}

impl Entry {
    fn identity(self, name: &str) -> Identity {
        Identity {
            username: name.into(),
            roles: self.roles,
            full_name: self.full_name,
            email: self.email,
            metadata: self.metadata,
        }
    }
}

impl fmt::Debug for FileUsers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileUsers").field("path", &self.path).finish_non_exhaustive()
    }
}

/// The users of a file, and a digest of it.
fn read(path: &Path) -> Result<(Entries, [u8; 32]), FileError> {
    let file = path.to_owned();
    let text = match std::fs::read_to_string(path) {
        Ok(text) => SecretText::new(text),
        Err(source) => return Err(FileError::Unreadable { file, source }),
    };
    let users: Entries = match serde_saphyr::from_str(text.expose()) {
        Ok(users) => users,
        Err(error) => {
            let (line, column) = error.location().map_or((1, 1), |place| (place.line(), place.column()));
            return Err(FileError::Syntax { file, line, column });
        }
    };
    for (name, user) in &users {
        if name.is_empty() || name.starts_with('_') || crate::users::is_reserved(name) {
            return Err(FileError::Name { file, name: name.clone() });
        }
        if !PasswordHash::is_well_formed(&user.password_hash) {
            return Err(FileError::Hash { file, name: name.clone() });
        }
    }
    Ok((users, secret::sha256(&[text.expose().as_bytes()])))
}

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn write(&self, text: &str) {
            std::fs::write(self.path(), text).unwrap();
        }

        fn path(&self) -> PathBuf {
            self.0.path().join("users.yml")
        }
    }

    fn hash(password: &str) -> String {
        PasswordHash::of(&SecretText::new(password.into())).unwrap().0.expose().to_owned()
    }

    fn open(text: &str) -> (Folder, Result<FileUsers, FileError>) {
        let folder = Folder(tempfile::tempdir().unwrap());
        folder.write(text);
        let users = FileUsers::open(&folder.path(), Passwords::start(1, 8), Arc::default());
        (folder, users)
    }

    async fn enters(users: &FileUsers, name: &str, password: &str) -> Option<Identity> {
        users.verify(name, SecretText::new(password.into())).await.unwrap()
    }

    #[tokio::test]
    async fn a_user_is_who_the_file_says() {
        let (_folder, users) = open(&format!(
            "jane:\n  password_hash: {}\n  roles: [a, b]\n  full_name: Jane\n  email: j@x\n  metadata: {{ n: 1, l: [x] }}\n",
            hash("secret1")
        ));
        let users = users.unwrap();
        let jane = enters(&users, "jane", "secret1").await.unwrap();
        assert_eq!((jane.roles, jane.full_name.as_deref()), (vec!["a".into(), "b".into()], Some("Jane")));
        assert_eq!(Value::Object(jane.metadata), serde_json::json!({"n": 1, "l": ["x"]}));
        assert!(enters(&users, "jane", "secret2").await.is_none());
        assert!(enters(&users, "john", "secret1").await.is_none());
    }

    #[tokio::test]
    async fn a_change_counts_once_it_is_read_and_a_broken_file_changes_nothing() {
        let (folder, users) = open(&format!("jane: {{ password_hash: '{}' }}\n", hash("secret1")));
        let users = users.unwrap();
        assert!(!users.reload().unwrap());
        folder.write("jane: [");
        assert!(users.reload().is_err());
        assert!(enters(&users, "jane", "secret1").await.is_some());
        folder.write(&format!("jane: {{ password_hash: '{}', enabled: false }}\n", hash("secret1")));
        assert!(users.reload().unwrap());
        assert!(users.knows("jane"));
        assert!(enters(&users, "jane", "secret1").await.is_none());
    }

    #[test]
    fn what_cannot_be_used_is_refused_and_never_quoted() {
        let good = hash("secret1");
        for text in [
            "jane: { password_hash: plaintext1 }".to_owned(),
            "jane: { password_hash: $2a$10$abcdefghijklmnopqrstuv }".to_owned(),
            format!("elastic: {{ password_hash: '{good}' }}"),
            format!("_jane: {{ password_hash: '{good}' }}"),
            format!("jane: {{ password_hash: '{good}', rolls: [] }}"),
            format!("jane: {{ password_hash: '{good}' }}\njane: {{ password_hash: '{good}' }}"),
            format!("jane: '{good}'"),
            "plaintext1".to_owned(),
        ] {
            let error = open(&text).1.unwrap_err().to_string();
            assert!(!error.contains("plaintext1") && !error.contains(&good) && !error.contains("$2a"), "{error}");
        }
    }
}

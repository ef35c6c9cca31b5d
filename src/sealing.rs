//! Master keys: they seal what must be readable again, and nobody else's to read (contract section 8).

use std::{
    fmt,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use arc_swap::ArcSwap;
use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hkdf::{HKDF_SHA256, Salt},
    hmac,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use crate::secret;

/// A ring of keys: the first seals, all open. Cheap to clone; clones share the ring.
#[derive(Clone)]
pub struct MasterKeys(Arc<Shared>);

struct Shared {
    /// Where it is read from; none for a ring that lives as long as the process.
    file: Option<PathBuf>,
    ring: ArcSwap<Vec<Key>>,
}

struct Key {
    /// Tells sealed bytes which key opens them; tells nothing about the key.
    id: [u8; ID],
    secret: Zeroizing<[u8; 32]>,
}

/// Why there is no ring.
#[derive(Debug, thiserror::Error)]
pub enum MasterKeyError {
    /// The file cannot be read or made.
    #[error("[{}] cannot be read", file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// A line that is no key. Its text is not shown.
    #[error("line {line} of [{}] is no key: each is 32 bytes in base64, as `searchgate secret generate` prints one", file.display())]
    Line {
        /// Which file.
        file: PathBuf,
        /// Which line, from 1.
        line: usize,
    },
    /// There is none in it.
    #[error("[{}] holds no key", file.display())]
    None {
        /// Which file.
        file: PathBuf,
    },
}

/// What sealed bytes are for. What is sealed for one purpose does not open for another.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Purpose {
    /// The id of a scroll, a point in time or an asynchronous search, as its opener holds it.
    Context,
    /// A token pair of the cluster's.
    Pair,
    /// A request body that may have to be sent again.
    Replay,
}

impl MasterKeys {
    /// The keys in `file`: one a line, newest first.
    ///
    /// # Errors
    ///
    /// [`MasterKeyError`].
    pub fn read(file: &Path) -> Result<Self, MasterKeyError> {
        let ring = ArcSwap::from_pointee(parse(file)?);
        Ok(Self(Arc::new(Shared { file: Some(file.to_owned()), ring })))
    }

    /// The keys in `file`, which is made with one new key and mode 0600 where there is none yet.
    ///
    /// # Errors
    ///
    /// [`MasterKeyError`].
    pub fn read_or_make(file: &Path) -> Result<Self, MasterKeyError> {
        match make(file) {
            Ok(()) => tracing::info!(file = %file.display(), "a master key was made"),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(source) => return Err(MasterKeyError::File { file: file.to_owned(), source }),
        }
        Self::read(file)
    }

    /// A new key that nobody else has, and that ends with the process.
    #[must_use]
    pub fn ephemeral() -> Self {
        let ring = ArcSwap::from_pointee(vec![Key::new(secret::random())]);
        Self(Arc::new(Shared { file: None, ring }))
    }

    /// Reads the file again; what was, stays when it does not validate.
    ///
    /// # Errors
    ///
    /// [`MasterKeyError`].
    pub fn reload(&self) -> Result<(), MasterKeyError> {
        if let Some(file) = &self.0.file {
            self.0.ring.store(Arc::new(parse(file)?));
        }
        Ok(())
    }

    /// Seals `plain`. Only the same `context` opens it, so that one record's secret cannot stand in for another's.
    ///
    /// # Panics
    ///
    /// When the cipher fails, which it does not for anything that fits into memory.
    #[must_use]
    pub fn seal(&self, purpose: Purpose, context: &[u8], plain: &[u8]) -> Vec<u8> {
        let ring = self.0.ring.load();
        let salt: [u8; SALT] = secret::random();
        #[expect(clippy::expect_used, reason = "no constructor makes an empty ring")]
        let key = ring.first().expect("a ring has a key");
        let mut sealed = Vec::with_capacity(OVERHEAD + plain.len());
        sealed.extend_from_slice(&key.id);
        sealed.extend_from_slice(&salt);
        let mut text = Zeroizing::new(plain.to_vec());
        #[expect(clippy::expect_used, reason = "it fails for more than 64 GB, which no memory here holds twice")]
        let tag = key
            .of(purpose, &salt)
            .and_then(|key| key.seal_in_place_separate_tag(nonce(), Aad::from(context), &mut text).ok())
            .expect("the cipher takes it");
        sealed.extend_from_slice(&text);
        sealed.extend_from_slice(tag.as_ref());
        sealed
    }

    /// A digest of `text` that nobody makes without the newest key: finds a text that must not be stored.
    ///
    /// # Panics
    ///
    /// Never.
    #[must_use]
    pub fn digest(&self, text: &[u8]) -> [u8; 32] {
        #[expect(clippy::expect_used, reason = "no constructor makes an empty ring")]
        self.0.ring.load().first().expect("a ring has a key").digest(text)
    }

    /// The digests of `text`, one for each key, the newest first: what was stored under an old key is found too.
    #[must_use]
    pub fn digests(&self, text: &[u8]) -> Vec<[u8; 32]> {
        self.0.ring.load().iter().map(|key| key.digest(text)).collect()
    }

    /// What was sealed for `purpose` and `context`; none for anything else, and when the key is no longer in the ring.
    #[must_use]
    pub fn open(&self, purpose: Purpose, context: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (id, rest) = sealed.split_first_chunk::<ID>()?;
        let (salt, text) = rest.split_first_chunk::<SALT>()?;
        let ring = self.0.ring.load();
        ring.iter().filter(|key| key.id == *id).find_map(|key| {
            let mut text = Zeroizing::new(text.to_vec());
            let length = key.of(purpose, salt)?.open_in_place(nonce(), Aad::from(context), &mut text).ok()?.len();
            text.truncate(length);
            Some(text)
        })
    }
}

impl Key {
    fn new(secret: [u8; 32]) -> Self {
        let secret = Zeroizing::new(secret);
        let mut id = [0; ID];
        for (to, from) in id.iter_mut().zip(secret::sha256(&[b"searchgate: id of a master key\0", &*secret])) {
            *to = from;
        }
        Self { id, secret }
    }

    fn digest(&self, text: &[u8]) -> [u8; 32] {
        let mut bytes = [0; 32];
        let key = hmac::Key::new(hmac::HMAC_SHA256, &*self.secret);
        let mut context = hmac::Context::with_key(&key);
        context.update(b"searchgate: digest of a text\0");
        context.update(text);
        bytes.copy_from_slice(context.sign().as_ref());
        bytes
    }

    /// The key of one message: however many there are, no two are sealed under the same.
    fn of(&self, purpose: Purpose, salt: &[u8]) -> Option<LessSafeKey> {
        let secret = Salt::new(HKDF_SHA256, salt).extract(&*self.secret);
        let label = [purpose.label()];
        let key = secret.expand(&label, &AES_256_GCM).ok()?;
        Some(LessSafeKey::new(UnboundKey::from(key)))
    }
}

impl Purpose {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::Context => b"searchgate: context of a search",
            Self::Pair => b"searchgate: token pair of the cluster",
            Self::Replay => b"searchgate: body of a request",
        }
    }
}

impl fmt::Debug for MasterKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MasterKeys").field("keys", &self.0.ring.load().len()).finish_non_exhaustive()
    }
}

/// Each message has a key of its own.
fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

fn parse(file: &Path) -> Result<Vec<Key>, MasterKeyError> {
    let text = std::fs::read_to_string(file)
        .map(Zeroizing::new)
        .map_err(|source| MasterKeyError::File { file: file.to_owned(), source })?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let keys = lines.map(|(index, line)| {
        let bytes = STANDARD.decode(line.trim()).map(Zeroizing::new).ok();
        let secret = bytes.and_then(|bytes| <[u8; 32]>::try_from(&**bytes).ok());
        secret.map(Key::new).ok_or_else(|| MasterKeyError::Line { file: file.to_owned(), line: index + 1 })
    });
    let keys = keys.collect::<Result<Vec<_>, _>>()?;
    if keys.is_empty() { Err(MasterKeyError::None { file: file.to_owned() }) } else { Ok(keys) }
}

/// Makes a file with one key. Whoever dies half-way leaves none: it is moved to its place once it is whole.
fn make(file: &Path) -> io::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if file.try_exists()? {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let mut name = file.to_owned().into_os_string();
    name.push(".new");
    let mut new = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&name)?;
    let secret = Zeroizing::new(secret::random::<32>());
    writeln!(new, "{}", *Zeroizing::new(STANDARD.encode(*secret)))?;
    new.sync_all()?;
    std::fs::rename(&name, file)?;
    std::fs::File::open(folder)?.sync_all()
}

const ID: usize = 4;
const SALT: usize = 24;
/// What sealing adds to a text: key id, salt and tag.
pub const OVERHEAD: usize = ID + SALT + 16;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use proptest::prelude::*;

    use super::*;

    fn ring(lines: &[&str]) -> (tempfile::TempDir, MasterKeys) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("keys");
        std::fs::write(&file, lines.join("\n")).unwrap();
        let keys = MasterKeys::read(&file).unwrap();
        (folder, keys)
    }

    fn line(byte: u8) -> String {
        STANDARD.encode([byte; 32])
    }

    #[test]
    fn a_key_is_made_once_and_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("store.db.key");
        let sealed = MasterKeys::read_or_make(&file).unwrap().seal(Purpose::Pair, b"", b"text");
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(**MasterKeys::read_or_make(&file).unwrap().open(Purpose::Pair, b"", &sealed).unwrap(), *b"text");
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);
    }

    #[test]
    fn the_newest_key_seals_and_old_ones_still_open() {
        let (_old_folder, old) = ring(&[&line(1)]);
        let (_folder, both) = ring(&[&line(2), "", &line(1)]);
        let (_new_folder, new) = ring(&[&line(2)]);
        let before = old.seal(Purpose::Pair, b"s", b"pair");
        assert_eq!(**both.open(Purpose::Pair, b"s", &before).unwrap(), *b"pair");
        let after = both.seal(Purpose::Pair, b"s", b"pair");
        assert_eq!(**new.open(Purpose::Pair, b"s", &after).unwrap(), *b"pair");
        assert!(new.open(Purpose::Pair, b"s", &before).is_none());
    }

    #[test]
    fn a_ring_is_read_again_and_stays_when_the_new_one_is_none() {
        let (folder, keys) = ring(&[&line(1)]);
        let sealed = keys.seal(Purpose::Pair, b"", b"text");
        let file = folder.path().join("keys");
        std::fs::write(&file, "nothing").unwrap();
        assert!(matches!(keys.reload(), Err(MasterKeyError::Line { line: 1, .. })));
        assert!(keys.open(Purpose::Pair, b"", &sealed).is_some());
        std::fs::write(&file, line(2)).unwrap();
        keys.reload().unwrap();
        assert!(keys.open(Purpose::Pair, b"", &sealed).is_none());
    }

    #[test]
    fn a_file_without_a_key_is_refused_and_its_text_is_not_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("keys");
        std::fs::write(&file, format!("{}\nhunter2", line(1))).unwrap();
        let error = MasterKeys::read(&file).unwrap_err();
        assert!(
            matches!(error, MasterKeyError::Line { line: 2, .. }) && !format!("{error:?} {error}").contains("hunter2")
        );
        std::fs::write(&file, "\n").unwrap();
        assert!(matches!(MasterKeys::read(&file), Err(MasterKeyError::None { .. })));
    }

    #[test]
    fn a_digest_is_of_its_text_and_key_and_an_old_keys_is_still_known() {
        let (_old_folder, old) = ring(&[&line(1)]);
        let (_folder, both) = ring(&[&line(2), &line(1)]);
        assert_eq!(both.digests(b"jack")[1], old.digest(b"jack"));
        assert_eq!(both.digests(b"jack")[0], both.digest(b"jack"));
        assert_ne!(both.digest(b"jack"), old.digest(b"jack"));
        assert_ne!(both.digest(b"jack"), both.digest(b"jill"));
    }

    #[test]
    fn a_ring_does_not_print() {
        let (_folder, keys) = ring(&[&line(7)]);
        assert_eq!(format!("{keys:?}"), "MasterKeys { keys: 1, .. }");
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens_for_its_purpose_and_context_only(
            plain in proptest::collection::vec(any::<u8>(), 0..200), context in ".{0,20}",
        ) {
            let keys = MasterKeys::ephemeral();
            let sealed = keys.seal(Purpose::Pair, context.as_bytes(), &plain);
            prop_assert_eq!(sealed.len(), plain.len() + OVERHEAD);
            prop_assert_eq!(&**keys.open(Purpose::Pair, context.as_bytes(), &sealed).unwrap(), &*plain);
            prop_assert!(keys.open(Purpose::Context, context.as_bytes(), &sealed).is_none());
            let other = format!("{context}x");
            prop_assert!(keys.open(Purpose::Pair, other.as_bytes(), &sealed).is_none());
            prop_assert!(MasterKeys::ephemeral().open(Purpose::Pair, context.as_bytes(), &sealed).is_none());
        }

        #[test]
        fn any_flipped_bit_is_noticed(at in any::<prop::sample::Index>(), bit in 0..8_u32) {
            let keys = MasterKeys::ephemeral();
            let mut sealed = keys.seal(Purpose::Pair, b"session", b"a pair of tokens");
            let at = at.index(sealed.len());
            sealed[at] ^= 1 << bit;
            prop_assert!(keys.open(Purpose::Pair, b"session", &sealed).is_none());
        }

        #[test]
        fn what_was_never_sealed_does_not_open(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            prop_assert!(MasterKeys::ephemeral().open(Purpose::Pair, b"", &bytes).is_none());
        }
    }
}

//! The ids of scrolls, points in time and asynchronous searches in answers, replaced as an answer streams by.
//!
//! They stand under a few keys of the outermost object, of the `response` that an asynchronous search wraps, and of each item of
//! `responses` and `pits`. Nothing else is looked at: hits may hold members of the same names. Needs plain JSON.

use std::fmt;

use bytes::Bytes;

/// The key that an id stands under.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum IdKey {
    /// `id` of the outermost object: what was opened.
    Id,
    /// `pit_id`.
    PitId,
    /// `_scroll_id`.
    ScrollId,
}

/// Makes the ids that callers see out of those of the cluster.
pub trait Seal {
    /// What stands in place of `id`; none when it must not be told.
    fn seal(&self, key: IdKey, id: &str) -> Option<String>;
}

/// An id that cannot be replaced: nothing more of the answer may be delivered.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("an id in the cluster's answer cannot be sealed")]
pub struct Unsealed;

/// Replaces the ids of one answer.
pub struct ContextAnswer<S> {
    seal: S,
    depth: usize,
    text: Text,
    /// The depth of the objects within the current member of the outermost one that hold ids; 0 where none do.
    inner: usize,
    /// Whether a key comes next, in an object that holds ids.
    key_next: bool,
    /// The last key of such an object, as far as it may matter.
    key: Vec<u8>,
    /// An id that is being read, quotes included.
    id: Vec<u8>,
}

/// Where in a string the scan is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Text {
    Outside,
    Inside(Role),
    Escape(Role),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Role {
    Key,
    Id(IdKey),
    Other,
}

impl<S: Seal> ContextAnswer<S> {
    /// One that asks `seal` for each id.
    pub const fn new(seal: S) -> Self {
        Self { seal, depth: 0, text: Text::Outside, inner: 0, key_next: false, key: Vec::new(), id: Vec::new() }
    }

    /// Takes what arrived next of the cluster's answer and appends to `answer` what the client is shown.
    ///
    /// # Errors
    ///
    /// [`Unsealed`].
    pub fn push(&mut self, piece: &Bytes, answer: &mut Vec<Bytes>) -> Result<(), Unsealed> {
        let (mut kept, mut at) = (0, 0);
        while let Some(rest) = piece.get(at..).filter(|rest| !rest.is_empty()) {
            let skipped = self.skip(rest);
            at += skipped;
            let Some(&byte) = rest.get(skipped) else { break };
            match self.text {
                Text::Outside => {
                    self.outside(byte);
                    if matches!(self.text, Text::Inside(Role::Id(_))) {
                        emit(piece, kept, at, answer);
                        self.id.push(byte);
                    }
                    at += 1;
                }
                Text::Inside(role) | Text::Escape(role) => {
                    self.inside(role, byte);
                    at += 1;
                    if let Role::Id(key) = role {
                        kept = at;
                        self.id.push(byte);
                        if self.id.len() > LONGEST {
                            return Err(Unsealed);
                        }
                        if self.text == Text::Outside {
                            answer.push(self.sealed(key)?);
                        }
                    }
                }
            }
        }
        if !matches!(self.text, Text::Inside(Role::Id(_)) | Text::Escape(Role::Id(_))) {
            emit(piece, kept, piece.len(), answer);
        }
        Ok(())
    }

    /// How many bytes to step over for nothing in them matters.
    fn skip(&mut self, rest: &[u8]) -> usize {
        let nothing = match self.text {
            Text::Outside => !self.holds_ids() && self.depth > self.inner,
            Text::Inside(role) | Text::Escape(role) => role == Role::Other,
        };
        if !nothing {
            return 0;
        }
        let floor = self.inner.max(1) + 1;
        let (mut depth, mut text) = (self.depth, self.text);
        let length = rest.iter().position(|byte| {
            match (text, byte) {
                (Text::Escape(_), _) | (Text::Outside, b'"') => text = Text::Inside(Role::Other),
                (Text::Inside(_), b'"') => {
                    if depth < floor {
                        return true; // what follows may matter
                    }
                    text = Text::Outside;
                }
                (Text::Inside(_), b'\\') => text = Text::Escape(Role::Other),
                (Text::Outside, b'{' | b'[') => depth += 1,
                (Text::Outside, b'}' | b']') if depth <= floor => return true,
                (Text::Outside, b'}' | b']') => depth -= 1,
                _ => {}
            }
            false
        });
        (self.depth, self.text) = (depth, text);
        length.unwrap_or(rest.len())
    }

    /// Whether the keys at this depth are looked at.
    const fn holds_ids(&self) -> bool {
        self.depth == 1 || (self.inner > 0 && self.depth == self.inner)
    }

    fn outside(&mut self, byte: u8) {
        match byte {
            b'"' => {
                let role = match (self.holds_ids(), self.key_next) {
                    (false, _) => Role::Other,
                    (true, true) => {
                        self.key.clear();
                        Role::Key
                    }
                    (true, false) => self.id_key().map_or(Role::Other, Role::Id),
                };
                self.text = Text::Inside(role);
            }
            b'{' | b'[' => {
                if self.depth == 1 {
                    self.inner = match (&*self.key, byte) {
                        (b"response", b'{') => 2,
                        (b"responses" | b"pits", b'[') => 3,
                        _ => 0,
                    };
                }
                self.depth += 1;
                self.key_next = self.holds_ids() && byte == b'{';
            }
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                if self.depth == 1 {
                    self.inner = 0;
                }
                self.key_next = false;
            }
            b':' if self.holds_ids() => self.key_next = false,
            b',' if self.holds_ids() => self.key_next = true,
            _ => {}
        }
    }

    fn inside(&mut self, role: Role, byte: u8) {
        self.text = match (self.text, byte) {
            (Text::Inside(_), b'"') => {
                self.text = Text::Outside;
                return;
            }
            (Text::Inside(_), b'\\') => Text::Escape(role),
            _ => Text::Inside(role),
        };
        if role == Role::Key && self.key.len() < KEY {
            self.key.push(byte);
        }
    }

    fn id_key(&self) -> Option<IdKey> {
        match &*self.key {
            b"id" if self.depth == 1 => Some(IdKey::Id),
            b"pit_id" => Some(IdKey::PitId),
            b"_scroll_id" => Some(IdKey::ScrollId),
            _ => None,
        }
    }

    fn sealed(&mut self, key: IdKey) -> Result<Bytes, Unsealed> {
        let id: String = serde_json::from_slice(&self.id).map_err(|_| Unsealed)?;
        self.id.clear();
        let sealed = self.seal.seal(key, &id).ok_or(Unsealed)?;
        Ok(super::json::quoted(&sealed).into())
    }
}

impl<S> fmt::Debug for ContextAnswer<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContextAnswer").field("depth", &self.depth).finish_non_exhaustive()
    }
}

fn emit(piece: &Bytes, from: usize, to: usize, answer: &mut Vec<Bytes>) {
    if from < to {
        answer.push(piece.slice(from..to));
    }
}

/// Longer than any key that matters.
const KEY: usize = 16;
/// Bytes that are kept of one id. One of a search over thousands of shards has some hundred thousand.
const LONGEST: usize = 4 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    struct Mark;

    impl Seal for Mark {
        fn seal(&self, key: IdKey, id: &str) -> Option<String> {
            (id != "untold").then(|| format!("<{key:?}:{}>", id.len()))
        }
    }

    fn shown(pieces: &[&[u8]]) -> Result<String, Unsealed> {
        let (mut answer, mut out) = (ContextAnswer::new(Mark), Vec::new());
        for piece in pieces {
            answer.push(&Bytes::copy_from_slice(piece), &mut out)?;
        }
        Ok(String::from_utf8(out.concat()).unwrap())
    }

    const ANSWERS: &[(&str, &str)] = &[
        (
            r#"{"_scroll_id":"RAW==","took":1,"hits":{"hits":[{"_id":"1","_source":{"_scroll_id":"mine","id":"x"}}]}}"#,
            r#"{"_scroll_id":"<ScrollId:5>","took":1,"hits":{"hits":[{"_id":"1","_source":{"_scroll_id":"mine","id":"x"}}]}}"#,
        ),
        (
            "{\n  \"took\" : 1,\n  \"pit_id\" : \"RAW\\\"W\",\n  \"hits\" : { }\n}",
            "{\n  \"took\" : 1,\n  \"pit_id\" : \"<PitId:5>\",\n  \"hits\" : { }\n}",
        ),
        (
            r#"{"id":"RAW","response":{"pit_id":"RAWER","id":"kept","_shards":{"pit_id":"kept"}},"id":"RAW2"}"#,
            r#"{"id":"<Id:3>","response":{"pit_id":"<PitId:5>","id":"kept","_shards":{"pit_id":"kept"}},"id":"<Id:4>"}"#,
        ),
        (
            r#"{"took":1,"responses":[{"pit_id":"RAW","hits":{"hits":[{"a":"}]"}]}},{"error":{"pit_id":"no"}},{"pit_id":"RAW4"}]}"#,
            r#"{"took":1,"responses":[{"pit_id":"<PitId:3>","hits":{"hits":[{"a":"}]"}]}},{"error":{"pit_id":"no"}},{"pit_id":"<PitId:4>"}]}"#,
        ),
        (
            r#"{"pits":[{"successful":true,"pit_id":"RAW"},{"pit_id":"RAW4","successful":false}]}"#,
            r#"{"pits":[{"successful":true,"pit_id":"<PitId:3>"},{"pit_id":"<PitId:4>","successful":false}]}"#,
        ),
        (
            r#"{"a":"id","b":["id","pit_id"],"pit_id":null,"c":"\\","id":"RAW"}"#,
            r#"{"a":"id","b":["id","pit_id"],"pit_id":null,"c":"\\","id":"<Id:3>"}"#,
        ),
        (r#"{"succeeded":true,"num_freed":1}"#, r#"{"succeeded":true,"num_freed":1}"#),
    ];

    #[test]
    fn ids_are_replaced_and_nothing_else() {
        for (answer, expected) in ANSWERS {
            assert_eq!(shown(&[answer.as_bytes()]).unwrap(), *expected);
        }
    }

    #[test]
    fn an_id_that_must_not_be_told_ends_the_answer() {
        assert_eq!(shown(&[br#"{"id":"untold"}"#]), Err(Unsealed));
        assert_eq!(shown(&[br#"{"id":"\ud800"}"#]), Err(Unsealed));
    }

    #[test]
    fn an_id_that_never_ends_is_not_told_and_not_kept() {
        assert_eq!(shown(&[br#"{"id":"RAW"#]).unwrap(), r#"{"id":"#);
        let long = vec![b'R'; LONGEST];
        assert_eq!(shown(&[br#"{"id":""#, &long, &long]), Err(Unsealed));
    }

    proptest! {
        #[test]
        fn pieces_of_any_length_give_the_same(which in 0..ANSWERS.len(), mut cuts in proptest::collection::vec(0_usize..160, 0..12)) {
            let (answer, expected) = ANSWERS[which];
            cuts.retain(|cut| *cut <= answer.len());
            cuts.extend([0, answer.len()]);
            cuts.sort_unstable();
            let pieces: Vec<_> = cuts.windows(2).map(|cut| &answer.as_bytes()[cut[0]..cut[1]]).collect();
            prop_assert_eq!(shown(&pieces).unwrap(), expected);
        }

        #[test]
        fn an_id_is_never_told_wherever_it_stands(
            before in proptest::collection::vec(member(), 0..6), after in proptest::collection::vec(member(), 0..6),
            key in "_scroll_id|pit_id|id",
        ) {
            let (before, after) = (members(&before), members(&after));
            let answer = format!(r#"{{{before}"{key}":"RAW-ID"{}}}"#, if after.is_empty() { String::new() } else { format!(",{}", after.trim_end_matches(',')) });
            prop_assert!(!shown(&[answer.as_bytes()]).unwrap().contains("RAW-ID"), "{}", answer);
        }

        #[test]
        fn nothing_panics(bytes in "[\\[\\]{}:,\"a\\\\id_pt ]{0,60}") {
            let _shown = shown(&[bytes.as_bytes()]);
        }
    }

    fn member() -> impl Strategy<Value = (String, serde_json::Value)> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<i32>().prop_map(Into::into),
            "[a\"\\\\{}\\[\\],: ]{0,8}".prop_map(Into::into),
        ];
        let value = leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                proptest::collection::vec(("a|id|pit_id|response", inner), 0..4)
                    .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
            ]
        });
        ("took|hits|response|responses|pits|id|x{30}", value)
    }

    fn members(members: &[(String, serde_json::Value)]) -> String {
        members.iter().fold(String::new(), |text, (key, value)| text + &format!("\"{key}\":{value},"))
    }
}

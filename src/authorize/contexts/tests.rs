use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::{
    authorize::{Authorizer, Permit},
    clock::Clock,
    model::{ApiKeyRef, AuthenticationType, Identity, KeyId, RealmRef, Timestamp},
    privileges::Privileges,
    telemetry::audit::Audit,
};

/// A gate before a cluster with the indices `a1`, `a2` and `b1`, the alias `al` of `b1` and the data stream `x`.
struct Gate(Authorizer, MasterKeys);

const EXISTING: &[u8] = br#"{"indices":[{"name":"a1","attributes":["open"]},{"name":"a2","attributes":["open"]},
    {"name":"b1","attributes":["open"]},{"name":".ds-x-1","attributes":["hidden","open"],"data_stream":"x"}],
    "aliases":[{"name":"al","indices":["b1"]}],"data_streams":[{"name":"x"}]}"#;

impl Gate {
    fn new() -> Self {
        let keys = MasterKeys::ephemeral();
        Self(Authorizer::new(Audit::off(), Clock::anchored(Timestamp::from_millis(0)), keys.clone()), keys)
    }

    fn ask(&self, caller: &Principal, request: &str, body: &str) -> Result<(Permit, String), AuthorizeError> {
        let kind = [(header::CONTENT_TYPE, "application/json".parse().unwrap())];
        self.ask_with(caller, request, body, &HeaderMap::from_iter(kind))
    }

    fn ask_with(
        &self,
        caller: &Principal,
        request: &str,
        body: &str,
        headers: &HeaderMap,
    ) -> Result<(Permit, String), AuthorizeError> {
        let (method, target) = request.split_once(' ').unwrap();
        let (principal, method, uri) = (Arc::new(caller.clone()), method.parse().unwrap(), target.parse().unwrap());
        let asked = Asked { principal: &principal, client: None, method: &method, uri: &uri, headers, limit: u64::MAX };
        let mut body = Body::from(body.to_owned());
        let existing = async |_: Permit| Some(Bytes::from_static(EXISTING));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let permit = runtime.block_on(self.0.check(asked, &mut body, existing))?;
        let left = runtime.block_on(body.read(u64::MAX)).unwrap();
        Ok((permit, String::from_utf8(left.to_vec()).unwrap()))
    }

    /// What a caller gets for the cluster's id when it sends this.
    fn opened(&self, caller: &Principal, request: &str, key: IdKey, id: &str) -> String {
        let (mut permit, _) = self.ask(caller, request, "").unwrap();
        permit.take_contexts().unwrap().seal(key, id).unwrap()
    }

    fn scroll(&self, opener: &Principal) -> String {
        self.opened(opener, "POST /a1/_search?scroll=1m", IdKey::ScrollId, "RAW+/==")
    }

    fn pit(&self, opener: &Principal, expression: &str) -> String {
        self.opened(opener, &format!("POST /{expression}/_pit?keep_alive=1m"), IdKey::Id, "RAW")
    }

    fn search(&self, opener: &Principal) -> String {
        self.opened(opener, "POST /a1/_async_search", IdKey::Id, "RAW")
    }
}

fn caller(name: &str, names: &[&str]) -> Principal {
    with(name, &json!({"indices": [{"names": names, "privileges": ["read"]}]}))
}

fn superuser() -> Principal {
    with(
        "root",
        &json!({"cluster": ["all"], "indices": [{"names": ["*"], "privileges": ["all"], "allow_restricted_indices": true}],
        "applications": [{"application": "*", "privileges": ["*"], "resources": ["*"]}], "run_as": ["*"]}),
    )
}

fn with(name: &str, descriptor: &Value) -> Principal {
    let identity = Identity { username: name.into(), roles: vec!["r".into()], ..Identity::default() };
    let realm = RealmRef { name: "default_native".into(), kind: "native".into() };
    let privileges = Privileges::of_user(&Map::from_iter([("r".to_owned(), descriptor.clone())]));
    Principal::new(identity, realm, AuthenticationType::Realm, privileges)
}

fn key(of: &Principal, id: &str) -> Principal {
    let api_key = Some(ApiKeyRef { id: KeyId(id.into()), name: None });
    Principal { api_key, authentication: AuthenticationType::ApiKey, ..of.clone() }
}

/// The error's words, or that it is none.
fn told(outcome: Result<(Permit, String), AuthorizeError>) -> String {
    outcome.map_or_else(|error| error.to_string(), |_| "allowed".to_owned())
}

#[test]
fn a_scroll_goes_on_for_its_owner_by_whichever_credential() {
    let (gate, u1) = (Gate::new(), caller("u1", &["a*"]));
    let token = Principal { authentication: AuthenticationType::Token, ..u1.clone() };
    let realm = RealmRef { name: "other".into(), kind: "file".into() };
    let namesake = Principal { realm: realm.clone(), ..u1.clone() };
    let run_as =
        Principal { realm, lookup_realm: Some(u1.realm.clone()), run_by: Some(Arc::new(superuser())), ..u1.clone() };
    let callers =
        [u1.clone(), token, run_as, namesake, caller("u2", &["a*"]), key(&u1, "k1"), key(&u1, "k2"), superuser()];
    for (opener, owners) in [
        (0, [true, true, true, false, false, false, false, false]),
        (5, [false, false, false, false, false, true, false, false]),
    ] {
        let body = json!({"scroll": "1m", "scroll_id": gate.scroll(&callers[opener])}).to_string();
        for (caller, owns) in callers.iter().zip(owners) {
            let outcome = gate.ask(caller, "POST /_search/scroll", &body);
            assert_eq!(outcome.is_ok(), owns, "{}", told(outcome));
            match outcome {
                Ok((permit, body)) => {
                    assert!(permit.has_read());
                    assert_eq!(body, r#"{"scroll":"1m","scroll_id":"RAW+/=="}"#);
                }
                Err(error) => assert!(matches!(error, AuthorizeError::Gone(Gone::Scroll)), "{error}"),
            }
        }
    }
}

#[test]
fn ids_are_found_wherever_a_request_may_have_them() {
    let (gate, u1) = (Gate::new(), caller("u1", &["a*"]));
    let id = gate.scroll(&u1);
    for (request, expected) in [
        (format!("GET /_search/scroll/{id}?scroll=1m"), "/_search/scroll/RAW%2B%2F%3D%3D?scroll=1m"),
        (format!("DELETE /_search/scroll/{id},{id}"), "/_search/scroll/RAW%2B%2F%3D%3D,RAW%2B%2F%3D%3D"),
        (
            format!("GET /_search/scroll?scroll=1m&scroll%5Fid={id}"),
            "/_search/scroll?scroll=1m&scroll_id=RAW%2B%2F%3D%3D",
        ),
        (format!("GET /_search/scroll?scroll_id=;scroll_id={id}"), ""),
    ] {
        match gate.ask(&u1, &request, "") {
            Ok((permit, _)) => assert_eq!(permit.target().unwrap(), expected),
            Err(error) => assert!(expected.is_empty(), "{request} {error}"),
        }
    }
}

#[test]
fn what_is_a_strangers_counts_as_gone_when_it_is_ended() {
    let (gate, u1, u2) = (Gate::new(), caller("u1", &["a*"]), caller("u2", &["a*"]));
    let (own, foreign) = (gate.scroll(&u1), gate.scroll(&u2));
    let (_, body) = gate.ask(&u1, "DELETE /_search/scroll", &json!({"scroll_id": [foreign, own]}).to_string()).unwrap();
    assert_eq!(body, r#"{"scroll_id":["RAW+/=="]}"#);
    let body = json!({"scroll_id": foreign}).to_string();
    assert!(matches!(gate.ask(&u1, "DELETE /_search/scroll", &body), Err(AuthorizeError::Gone(Gone::Scrolls))));
    let body = json!({"id": gate.pit(&u2, "a1")}).to_string();
    assert!(matches!(gate.ask(&u1, "DELETE /_pit", &body), Err(AuthorizeError::Gone(Gone::Pit))));
}

#[test]
fn a_scroll_needs_the_right_to_read_somewhere() {
    let gate = Gate::new();
    let body = json!({"scroll_id": gate.scroll(&caller("u1", &["a*"]))}).to_string();
    let error = told(gate.ask(&caller("u1", &[]), "POST /_search/scroll", &body));
    assert!(error.starts_with("action [indices:data/read/scroll] is unauthorized for user [u1]"), "{error}");
}

#[test]
fn ids_that_are_not_of_our_making_are_for_those_who_may_do_everything() {
    let (gate, u1) = (Gate::new(), caller("u1", &["a*"]));
    for (request, body, refused) in [
        ("POST /_search/scroll", r#"{"scroll_id":"RAW"}"#, "action [indices:data/read/scroll] is unauthorized"),
        ("DELETE /_search/scroll", r#"{"scroll_id":"RAW"}"#, "Cannot parse scroll id"),
        ("DELETE /_search/scroll/%5Fall", "", "Cannot parse scroll id"),
        ("DELETE /_pit", r#"{"id":"RAW"}"#, "Cannot parse point in time id"),
        ("POST /_search", r#"{"pit":{"id":"RAW"}}"#, "Cannot parse point in time id"),
        ("GET /_async_search/RAW", "", "RAW"),
        ("GET /_search/scroll?source={}", "", "action [indices:data/read/scroll] is unauthorized"),
    ] {
        let error = told(gate.ask(&u1, request, body));
        assert!(error.starts_with(refused), "{request} {error}");
        let (permit, left) = gate.ask(&superuser(), request, body).unwrap();
        assert_eq!(left, body);
        assert!(permit.target().is_none_or(|target| !target.path().contains(PREFIX)));
    }
    // Whoever had the cluster's id keeps it.
    let (mut permit, _) = gate.ask(&superuser(), "POST /_search/scroll", r#"{"scroll_id":"RAW"}"#).unwrap();
    assert_eq!(permit.take_contexts().unwrap().seal(IdKey::ScrollId, "RAW").unwrap(), "RAW");
}

#[test]
fn a_point_in_time_is_for_whoever_may_read_its_indices() {
    let gate = Gate::new();
    let opener = caller("u1", &["a*", "al", "x"]);
    for (expression, reader, allowed) in [
        ("a1", &["a1"][..], true),
        ("a1", &["a2"][..], false),
        ("a1,a2", &["a1"][..], false),
        ("*", &["a1", "a2", "b1", "x"][..], true),
        ("*", &["a*", "b1", "x"][..], true),
        ("a*", &["a*", "b1"][..], true),
        ("a*", &["a*"][..], false),             // `al` is of `b1`
        ("a*", &["a1", "a2", "b1"][..], false), // another may have been made since it was looked up
        ("al", &["al"][..], false),
        ("al", &["b1"][..], true),
        ("x", &["x"][..], true),
        ("zz*", &["b1"][..], true),
        ("zz*", &[][..], false),
    ] {
        let body = json!({"pit": {"id": gate.pit(&opener, expression)}}).to_string();
        let outcome = gate.ask(&caller("u2", reader), "POST /_search", &body);
        assert_eq!(outcome.is_ok(), allowed, "{expression} {reader:?} {}", told(outcome));
        if let Ok((permit, body)) = outcome {
            assert_eq!((permit.target(), &*body), (None, r#"{"pit":{"id":"RAW"}}"#));
        }
    }
    let body = json!({"pit": {"id": gate.pit(&opener, "a1")}}).to_string();
    for request in ["POST /a1/_search", "POST /_search?index=a1"] {
        assert!(told(gate.ask(&opener, request, &body)).starts_with("[indices] cannot be used"), "{request}");
    }
    for request in ["POST /a1/_async_search", "POST /_count", "POST /_validate/query"] {
        assert!(told(gate.ask(&opener, request, &body)).contains("unauthorized"), "{request}");
    }
}

#[test]
fn the_answer_to_a_search_of_a_point_in_time_is_sealed_for_the_same_indices() {
    let (gate, u1) = (Gate::new(), caller("u1", &["a*"]));
    let id = gate.pit(&u1, "a1");
    let lines = format!("{{}}\n{{\"pit\":{{\"id\":\"{id}\"}}}}\n");
    for (request, body) in [("POST /_search", json!({"pit": {"id": id}}).to_string()), ("POST /_msearch", lines)] {
        let (mut permit, body) = gate.ask(&u1, request, &body).unwrap();
        assert!(body.contains(r#""id":"RAW""#), "{body}");
        let sealer = permit.take_contexts().unwrap();
        assert_eq!(sealer.seal(IdKey::PitId, "RAW").unwrap(), id);
        let other = point_in_time(&gate.1, &sealer.seal(IdKey::PitId, "RAW2").unwrap()).unwrap();
        assert_eq!((&*other.id, &*other.indices), ("RAW2", &["a1".to_owned()][..]));
    }
}

#[test]
fn an_asynchronous_search_is_its_owners_and_who_cancels_tasks_may_end_it() {
    let (gate, u1, u2) = (Gate::new(), caller("u1", &["a*"]), caller("u2", &["a*"]));
    let id = gate.search(&u1);
    let holder = |privilege: &str| with("u3", &json!({"cluster": [privilege]}));
    for (request, caller, allowed) in [
        ("GET /_async_search/", &u1, true),
        ("GET /_async_search/", &u2, false),
        ("GET /_async_search/", &superuser(), false),
        ("GET /_async_search/", &holder("monitor"), false),
        ("GET /_async_search/status/", &u1, true),
        ("GET /_async_search/status/", &u2, false),
        ("GET /_async_search/status/", &holder("monitor"), true),
        ("DELETE /_async_search/", &u2, false),
        ("DELETE /_async_search/", &holder("cancel_task"), true),
        ("GET /_plugins/_asynchronous_search/", &u1, true),
        ("DELETE /_plugins/_asynchronous_search/", &u2, false),
        ("GET /_eql/search/", &u2, false),
        ("POST /_query/async/", &u2, false),
    ] {
        let request = format!("{request}{id}{}", if request.starts_with("POST") { "/stop" } else { "" });
        let outcome = gate.ask(caller, &request, "");
        assert_eq!(outcome.is_ok(), allowed, "{request}");
        match outcome {
            Ok((permit, _)) => assert!(permit.target().unwrap().path().ends_with("/RAW"), "{request}"),
            Err(error) => {
                assert!(matches!(&error, AuthorizeError::Gone(Gone::Async(gone)) if **gone == *id), "{error}");
            }
        }
    }
}

#[test]
fn ids_are_given_in_json_only_and_other_requests_are_left_alone() {
    let (gate, u1) = (Gate::new(), caller("u1", &["a*"]));
    for caller in [&u1, &superuser()] {
        assert!(told(gate.ask(caller, "POST /a1/_search?scroll=1m&format=yaml", "")).contains("in JSON only"));
        let cbor = HeaderMap::from_iter([(header::ACCEPT, "application/cbor".parse().unwrap())]);
        assert!(told(gate.ask_with(caller, "POST /a1/_search?scroll=1m", "", &cbor)).contains("in JSON only"));
        for request in ["GET /a1/_search?format=yaml", "GET /a1/_search?q=scroll", "GET /a1/_doc/%20"] {
            assert!(gate.ask_with(caller, request, "", &cbor).unwrap().0.take_contexts().is_none(), "{request}");
        }
    }
    // A point in time of whoever may do everything is the cluster's own.
    assert!(gate.ask(&superuser(), "POST /a1/_pit?keep_alive=1m", "").unwrap().0.take_contexts().is_none());
}

#[test]
fn an_envelope_outlives_the_process_but_not_its_master_key() {
    let (gate, u1) = (Gate::new(), caller("u1", &["a*"]));
    let body = json!({"scroll_id": gate.scroll(&u1)}).to_string();
    let again = Gate(Authorizer::new(Audit::off(), Clock::system(), gate.1.clone()), gate.1);
    assert!(again.ask(&u1, "POST /_search/scroll", &body).is_ok());
    assert!(matches!(Gate::new().ask(&u1, "POST /_search/scroll", &body), Err(AuthorizeError::Gone(Gone::Scroll))));
    assert!(!body.contains("RAW") && !body.contains("u1"));
}

proptest! {
    #[test]
    fn no_text_opens_but_what_was_sealed_for_the_same_kind(text in ".{0,40}", at in any::<proptest::sample::Index>(), byte in "[A-Za-z0-9_-]") {
        let (keys, u1) = (MasterKeys::ephemeral(), caller("u1", &["a*"]));
        prop_assert!(matches!(Context::Pit.open(&keys, &text), Held::Raw));
        let forged = format!("{PREFIX}{text}");
        prop_assert!(matches!(Context::Pit.open(&keys, &forged), Held::Unknown));
        let sealed = Sealer::new(&keys, &u1, Context::Pit).seal(IdKey::Id, &text);
        let sealed = sealed.unwrap_or_else(|| unreachable!());
        prop_assert!(matches!(Context::Pit.open(&keys, &sealed), Held::Sealed(envelope) if envelope.id == text));
        prop_assert!(matches!(Context::Scroll.open(&keys, &sealed), Held::Unknown));
        let mut changed = sealed.clone();
        let at = PREFIX.len() + at.index(sealed.len() - PREFIX.len() - 1);
        changed.replace_range(at..=at, &byte);
        prop_assert!(changed == sealed || matches!(Context::Pit.open(&keys, &changed), Held::Unknown));
    }
}

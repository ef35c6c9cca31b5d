use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::secret::SecretText;

fn told(document: &Value) -> Told {
    let name = document["username"].as_str().or_else(|| document["user_name"].as_str()).unwrap_or_default();
    Told { identity: Identity { username: name.into(), ..Identity::default() }, document: document.clone() }
}

fn basic(username: &str) -> Presented {
    Presented::Basic { username: username.into(), password: SecretText::new("p".into()) }
}

fn key(id: &str) -> Presented {
    Presented::ApiKey { id: KeyId(id.into()), secret: SecretText::new("s".into()) }
}

fn bearer() -> Presented {
    Presented::Bearer(SecretText::new("t".into()))
}

/// What Elasticsearch says of a user whom a realm of that type proved, in that way.
fn elasticsearch(way: &str, realm: &str) -> Value {
    json!({"username": "sue", "roles": ["a"], "authentication_realm": {"name": "x", "type": realm},
        "lookup_realm": {"name": "x", "type": realm}, "authentication_type": way,
        "api_key": {"id": "k", "name": "n"}})
}

#[test]
fn elasticsearch_says_by_what_it_knows_somebody() {
    let holder = |authentication| Answer::Holder(authentication, None);
    let api_key = Some(ApiKeyRef { id: KeyId("k".into()), name: Some("n".into()) });
    for (presented, way, realm, answer) in [
        (basic("sue"), "realm", "native", holder(AuthenticationType::Realm)),
        (basic("sue"), "realm", "ldap", holder(AuthenticationType::Realm)),
        (bearer(), "realm", "jwt", holder(AuthenticationType::Realm)),
        (bearer(), "token", "native", holder(AuthenticationType::Token)),
        (bearer(), "token", "pki", holder(AuthenticationType::Token)),
        (key("k"), "api_key", "_es_api_key", Answer::Holder(AuthenticationType::ApiKey, api_key)),
    ] {
        assert_eq!(whose(&presented, &told(&elasticsearch(way, realm))), answer, "{way} {realm}");
    }
}

#[test]
fn an_answer_about_another_than_the_holder_is_none() {
    // The gateway's own certificate, where a pki realm stands before those that read a header.
    for presented in [basic("sue"), bearer(), key("k")] {
        assert_eq!(whose(&presented, &told(&elasticsearch("realm", "pki"))), Answer::Another);
        assert_eq!(whose(&presented, &told(&elasticsearch("internal", "native"))), Answer::Another);
        assert_eq!(whose(&presented, &told(&json!({"username": "sue"}))), Answer::Another);
        assert_eq!(whose(&presented, &told(&json!({}))), Answer::Another);
    }
    assert_eq!(whose(&key("another"), &told(&elasticsearch("api_key", "_es_api_key"))), Answer::Another);
    assert_eq!(whose(&basic("sue"), &told(&elasticsearch("token", "native"))), Answer::Another);
    assert_eq!(whose(&key("k"), &told(&elasticsearch("realm", "native"))), Answer::Another);
}

#[test]
fn whoever_is_anonymous_there_is_nobody_here() {
    for presented in [basic("sue"), bearer(), key("k")] {
        assert_eq!(whose(&presented, &told(&elasticsearch("anonymous", "__anonymous"))), Answer::Nobody);
        assert_eq!(whose(&presented, &told(&json!({"user_name": OPENSEARCH_ANONYMOUS}))), Answer::Nobody);
    }
}

#[test]
fn opensearch_is_not_believed_of_a_certificate() {
    let info = |principal: Value| told(&json!({"user_name": "sue", "roles": ["a"], "principal": principal}));
    let realm = || Answer::Holder(AuthenticationType::Realm, None);
    for presented in [basic("sue"), bearer()] {
        assert_eq!(whose(&presented, &info(Value::Null)), realm());
    }
    // The gateway shows its own, and the name of its user may be the one that somebody made up a password for.
    assert_eq!(whose(&basic("sue"), &info(json!("CN=gate"))), Answer::Another);
    assert_eq!(whose(&bearer(), &info(json!("CN=gate"))), Answer::Another);
    assert_eq!(whose(&key("k"), &info(Value::Null)), Answer::Another);
}

/// A realm before a cluster that takes everybody for `sue`.
fn believing() -> ClusterRealm {
    let ask = |_| -> Asking { Box::pin(async { Ok(told(&elasticsearch("realm", "jwt"))) }) };
    ClusterRealm::new(AskCluster::new(ask, vec!["gate".into()]), Duration::from_secs(10))
}

#[tokio::test]
async fn a_token_that_this_gateway_made_for_the_cluster_opens_nothing_here() {
    // {"alg":"HS256"}.{"iss":"gate"} and {"iss":"corp"}
    for (claims, taken) in [("eyJpc3MiOiJnYXRlIn0", false), ("eyJpc3MiOiJjb3JwIn0", true)] {
        let token = Presented::Bearer(SecretText::new(format!("eyJhbGciOiJIUzI1NiJ9.{claims}.c2ln")));
        let opinion = believing().judge(&token).await.unwrap();
        assert_eq!(matches!(opinion, Opinion::Known(_)), taken, "{opinion:?}");
    }
}

#[tokio::test]
async fn what_no_header_carries_is_not_asked_about() {
    for presented in [Presented::Nothing, Presented::Bearer(SecretText::new("t\u{fffd}".into()))] {
        assert!(matches!(believing().judge(&presented).await, Ok(Opinion::Pass)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_takes_its_time_is_left() {
    let ask = |_| -> Asking { Box::pin(std::future::pending()) };
    let realm = ClusterRealm::new(AskCluster::new(ask, Vec::new()), Duration::from_secs(10));
    assert!(realm.judge(&bearer()).await.is_err());
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        prop::sample::select(vec!["sue", "realm", "token", "api_key", "anonymous", "pki", "native", "k", ""])
            .prop_map(Value::from),
    ];
    let names = vec![
        "username",
        "user_name",
        "principal",
        "authentication_type",
        "authentication_realm",
        "type",
        "api_key",
        "id",
        "name",
    ];
    leaf.prop_recursive(3, 24, 6, move |inner| {
        prop::collection::hash_map(prop::sample::select(names.clone()), inner, 0..8)
            .prop_map(|fields| fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    })
}

proptest! {
    #[test]
    fn whatever_is_answered_a_key_is_known_by_its_own_id_alone(document in any_json()) {
        for presented in [basic("sue"), bearer(), key("k"), Presented::Nothing] {
            let is_key = matches!(presented, Presented::ApiKey { .. });
            let may_be_user = matches!(presented, Presented::Basic { .. } | Presented::Bearer(_));
            match whose(&presented, &told(&document)) {
                Answer::Holder(AuthenticationType::ApiKey, key) => {
                    prop_assert!(is_key);
                    prop_assert_eq!(key.map(|key| key.id), Some(KeyId("k".into())));
                }
                Answer::Holder(..) => {
                    prop_assert!(may_be_user);
                    prop_assert!(document["authentication_type"] != "anonymous" || document.get("user_name").is_some());
                }
                Answer::Another | Answer::Nobody => {}
            }
        }
    }
}

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::store::{AnyStore, memory::Memory};

fn mappings() -> (RoleMappings, Documents) {
    let documents = Documents::new(AnyStore::Memory(Arc::new(Memory::default())), Arc::new(|_| ()));
    (RoleMappings::new(documents.clone()), documents)
}

fn holds(rule: &Value) -> bool {
    let metadata = json!({ "level": 3, "teams": ["red", "blue"], "on": true }).as_object().unwrap().clone();
    let groups = ["admins".into(), "cn=x,ou=y".into()];
    let facts =
        Facts { username: "jack", dn: Some("CN=jack, O=o"), groups: &groups, metadata: &metadata, realm: "jwt1" };
    Rule::of(rule).unwrap().holds(&facts)
}

#[test]
fn a_field_holds_for_one_of_its_values_and_one_of_those_asked() {
    for (field, value, expected) in [
        ("username", json!("jack"), true),
        ("username", json!("Jack"), false),
        ("username", json!("j*"), true),
        ("username", json!("j?ck"), true),
        ("username", json!("/ja(ck|ne)/"), true),
        ("username", json!("/ja/"), false),
        ("username", json!(["x", "jack"]), true),
        ("dn", json!("*,*O=o"), true),
        ("groups", json!("admins"), true),
        ("groups", json!(["other", "cn=x*"]), true),
        ("groups", json!("other"), false),
        ("realm.name", json!("jwt1"), true),
        ("metadata.level", json!(3), true),
        ("metadata.level", json!(3.0), true),
        ("metadata.level", json!("3"), false),
        ("metadata.teams", json!("blue"), true),
        ("metadata.on", json!(true), true),
        ("metadata.none", json!(null), true),
        ("metadata.none", json!("*"), false),
        ("nothing", json!(null), true),
        ("username", json!(null), false),
    ] {
        assert_eq!(holds(&json!({ "field": { field: value } })), expected, "{field} {value}");
    }
}

#[test]
fn rules_combine() {
    let (yes, no) = (json!({ "field": { "username": "jack" } }), json!({ "field": { "username": "x" } }));
    assert!(holds(&json!({ "all": [yes, yes] })));
    assert!(!holds(&json!({ "all": [yes, no] })));
    assert!(holds(&json!({ "any": [no, yes] })));
    assert!(!holds(&json!({ "any": [no, no] })));
    assert!(!holds(&json!({ "any": [] })));
    assert!(holds(&json!({ "all": [] })));
    assert!(holds(&json!({ "all": [{ "except": no }] })));
    assert!(!holds(&json!({ "all": [yes, { "except": yes }] })));
}

#[test]
fn what_is_no_rule_is_none() {
    for rule in [
        json!({}),
        json!([]),
        json!({ "any": 1 }),
        json!({ "field": {} }),
        json!({ "field": { "a": [[1]] } }),
        json!({ "field": { "a": "/(/" } }),
        json!({ "field": { "a": 1, "b": 2 } }),
    ] {
        assert!(Rule::of(&rule).is_none(), "{rule}");
    }
}

#[tokio::test]
async fn enabled_mappings_give_their_roles_once_each_and_a_broken_one_gives_nobody_anything() {
    let (mappings, documents) = mappings();
    let mapping =
        |enabled: bool, role: &str| json!({ "enabled": enabled, "roles": [role, "b"], "rules": { "all": [] } });
    let all =
        vec![("1".into(), mapping(true, "a")), ("2".into(), mapping(true, "b")), ("3".into(), mapping(false, "c"))];
    documents.put(DocumentKind::RoleMapping, all).await.unwrap();
    let facts = Facts { username: "u", dn: None, groups: &[], metadata: &Map::new(), realm: "r" };
    assert_eq!(mappings.roles_for(&facts).await.unwrap(), ["a".into(), "b".into()]);
    documents.put(DocumentKind::RoleMapping, vec![("4".into(), json!({ "enabled": true }))]).await.unwrap();
    assert!(matches!(mappings.roles_for(&facts).await, Err(StoreError::Damaged { .. })));
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-z*/?(\\[]{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 30, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::hash_map("(all|any|field|except|a)", inner, 0..2)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_value_makes_a_rule_panic(value in value()) {
        if let Some(rule) = Rule::of(&value) {
            let facts = Facts { username: "u", dn: None, groups: &[], metadata: &Map::new(), realm: "r" };
            let _ = rule.holds(&facts);
        }
    }
}

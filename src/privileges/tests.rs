use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::Deserialize;
use serde_json::json;

use super::{expression::Expressions, pattern::Pattern, *};

fn map(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("{other}"),
    }
}

fn user(descriptor: Value) -> Privileges {
    Privileges::of_user(&Map::from_iter([("r".to_owned(), descriptor)]))
}

fn superuser() -> Map<String, Value> {
    Map::from_iter([("superuser".to_owned(), reserved_roles()["superuser"].clone())])
}

/// A key of a superuser.
fn key(descriptor: Value) -> Privileges {
    Privileges::of_key(&Map::from_iter([("r".to_owned(), descriptor)]), &superuser())
}

const MONITOR: &str = "cluster:monitor/health";
const SEARCH: &str = "indices:data/read/search";

#[test]
fn nothing_is_allowed_by_default_nor_by_empty_roles() {
    for privileges in [Privileges::default(), Privileges::of_user(&Map::new()), user(json!({}))] {
        assert!(!privileges.allows_everything());
        assert!(!privileges.allows_cluster_action(MONITOR));
        assert!(!privileges.allows_index_action(SEARCH, "a"));
        assert!(!privileges.allows_index_action_somewhere(SEARCH));
        assert!(!privileges.may_run_as("a"));
    }
}

#[test]
fn superusers_may_do_everything_but_write_restricted_indices() {
    let privileges = Privileges::of_user(&superuser());
    assert!(privileges.allows_everything());
    assert_eq!(privileges.roles(), ["superuser".into()]);
    assert!(privileges.may_run_as("anyone"));
    assert!(privileges.allows_index_action("indices:data/write/bulk[s]", "logs"));
    assert!(privileges.allows_index_action(SEARCH, ".security-7"));
    assert!(!privileges.allows_index_action("indices:data/write/bulk[s]", ".security-7"));
}

#[test]
fn roles_add_up_to_everything() {
    let roles = json!({"a": {"cluster": ["ALL"]}, "b": {"index": [{"names": "*", "privileges": ["All"]}]}});
    assert!(Privileges::of_user(&map(roles)).allows_everything());
}

#[test]
fn what_lacks_a_part_is_not_everything() {
    let total = json!({"names": ["*"], "privileges": ["all"]});
    for (cluster, index) in [
        (json!(["manage"]), total.clone()),
        (json!([]), total.clone()),
        (json!(["all"]), json!({"names": ["logs-*"], "privileges": ["all"]})),
        (json!(["all"]), json!({"names": ["*"], "privileges": ["read", "write"]})),
        (json!(["all"]), json!({"names": ["*"], "privileges": ["all"], "query": {"match_all": {}}})),
        (json!(["all"]), json!({"names": ["*"], "privileges": ["all"], "field_security": {"grant": ["a"]}})),
        (json!({"all": true}), total),
        (json!(["all"]), json!("*")),
    ] {
        let descriptor = json!({"cluster": cluster, "indices": [index]});
        assert!(!user(descriptor.clone()).allows_everything(), "{descriptor}");
    }
}

#[test]
fn a_descriptor_for_a_workflow_grants_nothing_and_says_so() {
    let total = json!({"names": ["*"], "privileges": ["all"]});
    let workflow = json!({"cluster": ["all"], "indices": [total], "restriction": {"workflows": ["w"]}});
    let privileges = key(workflow);
    assert!(privileges.is_workflow_restricted());
    assert!(!privileges.allows_everything() && !privileges.allows_cluster_action(MONITOR));
    assert!(!key(json!({"cluster": ["all"]})).is_workflow_restricted());
}

#[test]
fn a_key_without_descriptors_may_what_its_owner_may() {
    assert!(Privileges::of_key(&Map::new(), &superuser()).allows_everything());
    assert!(!Privileges::of_key(&Map::new(), &Map::new()).allows_everything());
}

#[test]
fn a_key_may_what_both_its_descriptors_and_its_owner_allow() {
    let everything = superuser();
    let less = map(json!({"m": {
        "cluster": ["monitor"], "indices": [{"names": ["a*"], "privileges": ["read"]}], "run_as": ["u*"],
    }}));
    assert!(Privileges::of_key(&everything, &everything).allows_everything());
    for (assigned, limited_by) in [(&everything, &less), (&less, &everything)] {
        let privileges = Privileges::of_key(assigned, limited_by);
        assert!(privileges.allows_cluster_action(MONITOR));
        assert!(!privileges.allows_cluster_action("cluster:admin/reroute"));
        assert!(privileges.allows_index_action(SEARCH, "ab") && !privileges.allows_index_action(SEARCH, "b"));
        assert!(privileges.may_run_as("uv") && !privileges.may_run_as("v"));
        assert!(!privileges.allows_everything());
    }
}

#[test]
fn a_derived_key_may_nothing() {
    assert!(!key(json!({})).allows_own_keys_action("cluster:admin/xpack/security/api_key/create"));
}

#[test]
fn own_keys_need_less_but_never_grant_for_others() {
    let own = user(json!({"cluster": ["Manage_Own_API_key"]}));
    for (action, allowed) in [("create", true), ("get", true), ("bulk_update", true), ("grant", false)] {
        let action = format!("cluster:admin/xpack/security/api_key/{action}");
        assert_eq!(own.allows_own_keys_action(&action), allowed, "{action}");
        assert!(!own.allows_cluster_action(&action), "{action}");
    }
    assert!(!own.allows_own_keys_action(MONITOR));
}

#[test]
fn patterns_of_actions_are_privileges_and_know_no_case() {
    let raw = user(json!({
        "cluster": ["CLUSTER:monitor/heal", "cluster:*/pipeline/get"],
        "indices": [{"names": ["a"], "privileges": ["indices:data/read/s"]}],
    }));
    assert!(raw.allows_cluster_action(MONITOR) && raw.allows_cluster_action("cluster:admin/ingest/pipeline/get"));
    assert!(!raw.allows_cluster_action("cluster:monitor/state"));
    assert!(raw.allows_index_action(SEARCH, "a") && !raw.allows_index_action("indices:data/read/get", "a"));
    assert!(
        !user(json!({"cluster": ["indices:data/read/*", "nonsense"]})).allows_cluster_action("indices:data/read/get")
    );
}

#[test]
fn restricted_indices_need_a_grant_that_says_so() {
    let grant = |restricted| {
        user(json!({"indices": [{"names": ["*"], "privileges": ["all"], "allow_restricted_indices": restricted}]}))
    };
    for name in [".security", ".security-7", ".tasks", ".kibana_1", ".opendistro_security"] {
        assert!(!grant(false).allows_index_action(SEARCH, name), "{name}");
        assert!(!grant(false).allows_index_action(SEARCH, &format!("{name}::data")), "{name}");
        assert!(grant(true).allows_index_action(SEARCH, name), "{name}");
    }
    assert!(grant(false).allows_index_action(SEARCH, ".security-foo") && grant(false).allows_index_action(SEARCH, "x"));
}

#[test]
fn the_failure_store_has_privileges_of_its_own() {
    let on = |privilege| user(json!({"indices": [{"names": ["a"], "privileges": [privilege]}]}));
    for (privilege, data, failures) in [("read", true, false), ("read_failure_store", false, true), ("all", true, true)]
    {
        assert_eq!(on(privilege).allows_index_action(SEARCH, "a"), data, "{privilege}");
        assert_eq!(on(privilege).allows_index_action(SEARCH, "a::data"), data, "{privilege}");
        assert_eq!(on(privilege).allows_index_action(SEARCH, "a::failures"), failures, "{privilege}");
    }
    assert!(!on("all").allows_index_action(SEARCH, "a::other"));
}

#[test]
fn limits_on_documents_and_fields_grant_nothing_here() {
    for limit in [json!({"query": "{\"term\":{\"a\":1}}"}), json!({"field_security": {"grant": ["a"]}})] {
        let mut entry = map(limit);
        entry.extend(map(json!({"names": ["a"], "privileges": ["read"]})));
        let privileges = user(json!({"indices": [entry]}));
        assert!(!privileges.allows_index_action(SEARCH, "a") && !privileges.allows_index_action_somewhere(SEARCH));
    }
}

#[test]
fn limits_on_documents_and_fields_are_the_clusters_where_it_is_told_the_roles() {
    let entry = json!({"names": ["a"], "privileges": ["read"], "query": {"term": {"a": 1}}, "field_security": {"grant": ["a"]}});
    let limited = Privileges::of_told_user(&map(json!({"r": {"indices": [entry]}})));
    assert!(limited.allows_index_action(SEARCH, "a") && !limited.allows_index_action(SEARCH, "b"));
    assert!(limited.leans_on_cluster());
    let plain = Privileges::of_told_user(&map(json!({"r": {"indices": [{"names": ["a"], "privileges": ["read"]}]}})));
    assert!(plain.allows_index_action(SEARCH, "a") && !plain.leans_on_cluster());
}

#[test]
fn global_privileges_name_applications_and_roles() {
    let global = user(json!({"global": {
        "application": {"manage": {"applications": ["kibana-*"]}},
        "profile": {"write": {"applications": ["fleet"]}},
        "role": {"manage": {"indices": [{"names": ["logs-*"], "privileges": ["read"]}]}},
    }}));
    assert!(global.manages_application("kibana-.kibana") && !global.manages_application("fleet"));
    assert!(global.writes_profile_data("fleet") && !global.writes_profile_data("kibana-.kibana"));
    let role = |names: &str, privilege: &str, cluster: Value| {
        global.may_put_role(&map(json!({
            "cluster": cluster, "indices": [{"names": [names], "privileges": [privilege]}], "run_as": [],
        })))
    };
    assert!(role("logs-a*", "read", json!([])));
    assert!(
        !role("*", "read", json!([]))
            && !role("logs-a", "write", json!([]))
            && !role("logs-a", "read", json!(["monitor"]))
    );
    assert!(!global.may_put_role(&Map::new()));
}

#[test]
fn refusals_list_the_privileges_from_least_to_most_powerful() {
    for (action, own, list) in [
        ("cluster:monitor/main", false, "monitor,manage,all"),
        (
            "cluster:monitor/state",
            false,
            "cross_cluster_replication,read_ccr,transport_client,manage_ccr,monitor,manage,all",
        ),
        ("cluster:monitor/stats", false, "cross_cluster_search,monitor_stats,monitor,manage,all"),
        ("cluster:admin/xpack/security/api_key/grant", false, "grant_api_key,manage_api_key,manage_security,all"),
        ("cluster:admin/xpack/security/api_key/grant", true, "grant_api_key,manage_api_key,manage_security,all"),
        ("cluster:admin/xpack/security/api_key/invalidate", false, "manage_api_key,manage_security,all"),
        (
            "cluster:admin/xpack/security/api_key/get",
            true,
            "manage_own_api_key,read_security,manage_api_key,manage_security,all",
        ),
        (
            "cluster:admin/xpack/security/token/invalidate",
            false,
            "delegate_pki,manage_saml,manage_token,manage_security,all",
        ),
        (
            "cluster:admin/xpack/security/user/has_privileges",
            false,
            "read_ccr,read_security,manage_ccr,manage_security,all",
        ),
        ("cluster:admin/xpack/security/delegate_pki", false, "delegate_pki,all"),
        ("cluster:admin/snapshot/get", false, "monitor_snapshot,create_snapshot,manage,all"),
        (
            "cluster:admin/ingest/pipeline/get",
            false,
            "read_pipeline,manage_ingest_pipelines,manage_pipeline,manage,all",
        ),
        ("indices:admin/template/get", false, "manage_index_templates,monitor,manage,all"),
        ("cluster:monitor/xpack/info", false, "cross_cluster_replication,cross_cluster_search,monitor,manage,all"),
    ] {
        assert_eq!(granting_cluster(action, own), list, "{action}");
    }
    for (action, list) in [
        ("indices:data/write/bulk", "create_doc,create,delete,index,write,all"),
        ("indices:admin/create", "create_index,manage,all"),
        (SEARCH, "read,all"),
        ("indices:admin/auto_create", "auto_configure,create_index,manage,all"),
        ("indices:data/read/field_caps", "view_index_metadata,manage,read,all"),
        ("indices:admin/shards/search_shards", "view_index_metadata,manage,read_cross_cluster,all"),
        ("indices:admin/resolve/cluster", "view_index_metadata,manage,read,read_cross_cluster,all"),
        ("indices:monitor/settings/get", "monitor,view_index_metadata,manage,all"),
        ("indices:monitor/stats", "monitor,cross_cluster_replication,manage,all"),
        ("indices:admin/close", "manage_follow_index,manage,all"),
        ("indices:data/write/index:op_type/index", "create,index,write,all"),
        ("indices:admin/mapping/auto_put", "auto_configure,manage,write,all"),
    ] {
        assert_eq!(granting_index(action), list, "{action}");
    }
}

#[test]
fn an_application_defines_its_privileges() {
    let stored = map(json!({"app": {"read": {"actions": ["data:read/*"]}, "all": {"actions": ["*"]}}}));
    let held = user(json!({"applications": [
        {"application": "app", "privileges": ["read"], "resources": ["space:a*"]},
        {"application": "other*", "privileges": ["all"], "resources": ["*"]},
    ]}));
    for (application, asked, resource, has) in [
        ("app", "read", "space:ab", true),
        ("app", "read", "space:a*", true),
        ("app", "data:read/x", "space:a", true),
        ("app", "data:write/x", "space:a", false),
        ("app", "all", "space:a", false),
        ("app", "read", "space:*", false),
        ("none", "read", "space:a", false),
    ] {
        assert_eq!(held.allows_application(application, asked, resource, &stored), has, "{asked} on {resource}");
    }
}

#[derive(Deserialize)]
struct Facts {
    cluster_asked: Vec<String>,
    index_asked: Vec<String>,
    cluster: BTreeMap<String, Vec<String>>,
    index: BTreeMap<String, Vec<String>>,
    probes: Vec<Probe>,
}

#[derive(Deserialize)]
struct Probe {
    held: Value,
    asked: Value,
    /// Privileges that applications had defined.
    #[serde(default)]
    stored: Map<String, Value>,
    answer: Value,
}

fn facts() -> Facts {
    serde_saphyr::from_str(include_str!("../../tests/conformance/privileges.yml")).unwrap()
}

#[test]
fn each_cluster_privilege_covers_what_it_covers_in_the_original() {
    let facts = facts();
    assert_eq!(facts.cluster.keys().map(String::as_str).collect::<Vec<_>>(), cluster_names());
    for (held, covered) in &facts.cluster {
        let question = Question { cluster: facts.cluster_asked.clone(), ..Question::default() };
        let answer = key(json!({ "cluster": [held] })).answer(&question, &Map::new());
        for (asked, has) in answer.cluster {
            assert_eq!(has, covered.contains(&asked), "{held} covers {asked}");
        }
    }
}

#[test]
fn each_index_privilege_covers_what_it_covers_in_the_original() {
    let facts = facts();
    assert_eq!(facts.index.keys().map(String::as_str).collect::<Vec<_>>(), index_names());
    for (held, covered) in &facts.index {
        let index = IndexQuestion {
            names: vec!["a".to_owned()],
            privileges: facts.index_asked.clone(),
            allow_restricted_indices: false,
        };
        let question = Question { index: vec![index], ..Question::default() };
        let descriptor = json!({ "indices": [{ "names": ["a"], "privileges": [held] }] });
        let answer = user(descriptor).answer(&question, &Map::new());
        for (asked, has) in &answer.index["a"] {
            assert_eq!(*has, covered.contains(asked), "{held} covers {asked}");
        }
    }
}

#[test]
fn descriptors_cover_patterns_as_in_the_original() {
    let list = |value: &Value| -> Vec<String> { texts(Some(value)).map(str::to_owned).collect() };
    for Probe { held, asked, stored, answer } in facts().probes {
        let index = entries(&asked, "index").map(|entry| IndexQuestion {
            names: list(&entry["names"]),
            privileges: list(&entry["privileges"]),
            allow_restricted_indices: entry["allow_restricted_indices"] == true,
        });
        let application = entries(&asked, "application").map(|entry| ApplicationQuestion {
            application: entry["application"].as_str().unwrap().to_owned(),
            privileges: list(&entry["privileges"]),
            resources: list(&entry["resources"]),
        });
        let question =
            Question { cluster: list(&asked["cluster"]), index: index.collect(), application: application.collect() };
        let ours = serde_json::to_value(key(held.clone()).answer(&question, &stored)).unwrap();
        for (section, theirs) in map(answer) {
            for (name, theirs) in map(theirs) {
                assert_eq!(ours[&section][&name], theirs, "{held} on {section} [{name}] of {asked}");
            }
        }
    }
}

#[test]
fn cluster_privileges_are_listed_by_how_many_others_they_imply() {
    let counted: Vec<(usize, &str)> = named::CLUSTER
        .iter()
        .filter(|named| named.name != named::OWN_KEYS)
        .map(|named| {
            let expressions = &mut Expressions::new();
            let id = grant::actions_of(named, expressions);
            let mut implied = 0;
            for other in &named::CLUSTER {
                let other = match other.name {
                    named::OWN_KEYS => pattern::expression(&grant::action_pattern(named::KEYS), expressions),
                    _ => grant::actions_of(other, expressions),
                };
                implied += usize::from(expressions.covers(id, other).unwrap());
            }
            (implied, named.name)
        })
        .collect();
    assert!(counted.is_sorted(), "{counted:?}");
}

#[test]
fn the_built_in_roles_and_accounts_are_those_of_the_original() {
    assert_eq!(reserved_roles().len(), 32);
    assert_eq!(service_accounts().len(), 5);
    for (name, descriptor) in reserved_roles() {
        assert_eq!(descriptor["metadata"]["_reserved"], true, "{name}");
        assert!(descriptor["description"].is_string(), "{name}");
        let entries = entries(descriptor, "indices").chain(entries(descriptor, "remote_indices"));
        for entry in entries {
            assert!(texts(entry.get("privileges")).all(is_index_privilege), "{entry}");
            assert!(texts(entry.get("names")).all(is_valid_pattern), "{entry}");
        }
        assert!(texts(descriptor.get("cluster")).all(is_cluster_privilege), "{name}");
    }
    let viewer = Privileges::of_user(&map(json!({ "viewer": reserved_roles()["viewer"] })));
    assert!(viewer.allows_index_action(SEARCH, "logs") && !viewer.allows_index_action(SEARCH, ".hidden"));
    assert!(!viewer.allows_index_action(SEARCH, "ilm-history-5") && viewer.allows_index_action(SEARCH, ".alerts-x"));
}

#[test]
fn expressions_are_read_as_lucene_reads_them() {
    for (pattern, matching, other) in [
        ("/a{2,3}/", vec!["aa", "aaa"], vec!["a", "aaaa"]),
        ("/<1-12>/", vec!["1", "012", "12"], vec!["0", "13", ""]),
        ("/<01-12>/", vec!["01", "12"], vec!["1", "012"]),
        ("/a&b/", vec![], vec!["a", "b", "a&b"]),
        ("/.*a.*&~(.*b.*)/", vec!["a", "xa"], vec!["ab", "x"]),
        ("/@/", vec!["", "anything"], vec![]),
        ("/#/", vec![], vec!["", "#"]),
        ("/\"a.b\"/", vec!["a.b"], vec!["axb", "\"a.b\""]),
        ("/\\d+x?/", vec!["1", "22x"], vec!["x", ""]),
        ("/[^a-c]é/", vec!["dé", "éé"], vec!["aé", "d"]),
        ("/~(([.]|ilm-history-).*)/", vec!["logs", ""], vec![".x", "ilm-history-1"]),
        ("/()/", vec![""], vec!["a"]),
        ("//", vec![""], vec!["a", "/"]),
        ("/*/", vec!["*"], vec!["", "a"]),
        ("a?c", vec!["abc"], vec!["ac", "abbc"]),
        ("a\\*", vec!["a*"], vec!["ab", "a\\*"]),
        ("*-*-x", vec!["a-b-x", "--x", "a-b-c-x"], vec!["a-x", "-x"]),
        ("A*", vec!["AB"], vec!["ab"]),
    ] {
        let compiled = Pattern::new(pattern);
        for name in matching {
            assert!(compiled.matches(name), "{pattern} matches {name}");
        }
        for name in other {
            assert!(!compiled.matches(name), "{pattern} does not match {name}");
        }
    }
}

#[test]
fn what_lucene_cannot_read_is_no_pattern() {
    for wrong in [
        "/(/", "/a", "/a/b", "/", "/[a/", "/a{2,1}/", "/a|/", "/\\/", "/[^]/", "/<1-2/", "/a{/", "/a{x}/", "/~/",
        "/a~/", "/a&/", "/a)/", "/[b-a]/", "/\"a/",
    ] {
        assert!(!is_valid_pattern(wrong) && !Pattern::new(wrong).matches("a"), "{wrong}");
    }
    for right in [
        "a/",
        "//",
        "/@/",
        "/*/",
        "/a**/",
        "/&a/",
        "/|a/",
        "/)/",
        "/]/",
        "/[]a]/",
        "/{/",
        "/\\[/",
        "",
        "\\",
        "/a{0,1000}/",
    ] {
        assert!(is_valid_pattern(right), "{right}");
    }
}

#[test]
fn a_pattern_that_would_need_a_huge_table_is_refused_in_time() {
    for huge in
        ["/.*a.{40}/".to_owned(), "/(a{1,1000}){1,1000}b.*c{900}/".to_owned(), format!("/{}/", "~(".repeat(200))]
    {
        assert!(!is_valid_pattern(&huge), "{huge}");
    }
}

/// Patterns over a small alphabet, so that they meet.
fn any_pattern() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec!["a", "b", ".", "[ab]", "[^a]", "ab", "@"]).prop_map(str::to_owned);
    let regex = leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(one, other)| format!("({one}|{other})")),
            (inner.clone(), inner.clone()).prop_map(|(one, other)| format!("({one}&{other})")),
            (inner.clone(), inner.clone()).prop_map(|(one, other)| format!("({one}{other})")),
            inner.clone().prop_map(|one| format!("(~{one})")),
            inner.clone().prop_map(|one| format!("({one})*")),
            inner.prop_map(|one| format!("({one}){{1,2}}")),
        ]
    });
    prop_oneof!["[ab*?]{0,5}".prop_map(|text| text), regex.prop_map(|text| format!("/{text}/"))]
}

proptest! {
    #[test]
    fn coverage_agrees_with_names(asked in any_pattern(), held in prop::collection::vec(any_pattern(), 1..4)) {
        let held: Vec<String> = held;
        let expressions = &mut Expressions::new();
        let all = pattern::union(held.iter().map(String::as_str), expressions);
        let part = pattern::expression(&asked, expressions);
        let covered = expressions.covers(all, part).unwrap();
        let (asked, held) = (Pattern::new(&asked), held.iter().map(|text| Pattern::new(text)).collect::<Vec<_>>());
        // Every text of up to five characters: enough for patterns so small to show what they leave out.
        let mut outside = None;
        for number in 0..364_u32 {
            let mut name = String::new();
            let mut rest = number;
            while rest > 0 {
                name.push(['a', 'b', 'c'][(rest % 3) as usize]);
                rest /= 3;
            }
            if asked.matches(&name) && !held.iter().any(|pattern| pattern.matches(&name)) {
                outside = Some(name);
            }
        }
        prop_assert!(!covered || outside.is_none(), "{outside:?} is not covered");
    }

    #[test]
    fn a_pattern_covers_itself_and_what_it_matches(text in any_pattern(), name in "[abc]{0,5}") {
        let expressions = &mut Expressions::new();
        let id = pattern::expression(&text, expressions);
        prop_assert!(expressions.covers(id, id).unwrap());
        let literal = expressions.text(&name);
        prop_assert_eq!(expressions.covers(id, literal).unwrap(), Pattern::new(&text).matches(&name));
    }

    #[test]
    fn any_text_is_read_without_harm(text in "/?.{0,40}/?", name in ".{0,20}") {
        let _ = Pattern::new(&text).matches(&name);
    }

    #[test]
    fn a_key_may_no_more_than_either_side(
        one in any_pattern(), other in any_pattern(), name in "[ab]{0,4}", first in 0..24_usize, second in 0..24_usize,
    ) {
        let side = |pattern: &str, at: usize| {
            let entry = json!({ "names": [pattern], "privileges": [index_names()[at]] });
            map(json!({ "r": { "indices": [entry], "cluster": [cluster_names()[at]], "run_as": [pattern] } }))
        };
        let (one, other) = (side(&one, first), side(&other, second));
        let both = Privileges::of_key(&one, &other);
        let (one, other) = (Privileges::of_user(&one), Privileges::of_user(&other));
        for action in [SEARCH, "indices:admin/delete", "indices:data/write/bulk"] {
            let allowed = one.allows_index_action(action, &name) && other.allows_index_action(action, &name);
            prop_assert_eq!(both.allows_index_action(action, &name), allowed);
        }
        prop_assert_eq!(both.may_run_as(&name), one.may_run_as(&name) && other.may_run_as(&name));
        let allowed = one.allows_cluster_action(MONITOR) && other.allows_cluster_action(MONITOR);
        prop_assert_eq!(both.allows_cluster_action(MONITOR), allowed);
    }
}

#[test]
fn a_listing_merges_what_roles_grant_on_the_same() {
    let roles = map(json!({
        "one": {
            "cluster": ["monitor", "manage_ilm"],
            "global": {"application": {"manage": {"applications": ["b-*"]}}, "profile": {}},
            "indices": [
                {"names": ["b", "a"], "privileges": ["write", "read"], "allow_restricted_indices": false},
                {"names": ["a", "b"], "privileges": ["delete"], "query": "{}", "allow_restricted_indices": false},
                {"names": ["c"], "privileges": ["read"], "field_security": {"grant": ["x"]}, "allow_restricted_indices": true},
            ],
            "applications": [{"application": "app", "privileges": ["write"], "resources": ["z", "y"]}],
            "run_as": ["a"],
        },
        "other": {
            "cluster": ["all", "monitor"],
            "indices": [],
            "applications": [{"application": "app", "privileges": ["all"], "resources": ["y", "z"]}],
            "remote_cluster": [{"privileges": ["monitor_stats"], "clusters": ["q"]}],
        },
    }));
    let expected = json!({
        "cluster": ["all", "manage_ilm", "monitor"],
        "global": [{"application": {"manage": {"applications": ["b-*"]}}}],
        "indices": [
            {"names": ["a", "b"], "privileges": ["delete", "read", "write"], "allow_restricted_indices": false},
            {"names": ["c"], "privileges": ["read"], "field_security": [{"grant": ["x"]}], "allow_restricted_indices": true},
        ],
        "applications": [{"application": "app", "privileges": ["all", "write"], "resources": ["y", "z"]}],
        "run_as": ["a"],
        "remote_cluster": [{"privileges": ["monitor_stats"], "clusters": ["q"]}],
    });
    assert_eq!(listing(&roles), expected);
}

#[test]
fn whatever_has_one_character_or_more_covers_what_ends_in_one() {
    let expressions = &mut Expressions::new();
    for (whole, part, covered) in
        [("/.+/", "*a", true), ("/.+/", "*", false), ("/[^a]*/", "/[^ab]*/", true), ("/~(.*b.*)/", "/[^b]*/", true)]
    {
        let (whole, part) = (pattern::expression(whole, expressions), pattern::expression(part, expressions));
        assert_eq!(expressions.covers(whole, part), Ok(covered));
    }
}

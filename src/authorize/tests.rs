use serde_json::{Map, Value, json};

use super::*;
use crate::model::{ApiKeyRef, AuthenticationType, Identity, KeyId, RealmRef, ServiceTokenRef, Timestamp};
use crate::privileges::Privileges;

fn principal(roles: &[&str], privileges: Privileges) -> Principal {
    let identity = Identity {
        username: "u".into(),
        roles: roles.iter().map(|role| Box::from(*role)).collect(),
        ..Identity::default()
    };
    let realm = RealmRef { name: "default_native".into(), kind: "native".into() };
    let authentication = AuthenticationType::Realm;
    Principal::new(identity, realm, authentication, privileges)
}

fn key(assigned: &Map<String, Value>) -> Principal {
    let privileges = Privileges::of_key(assigned, &everything());
    let api_key = Some(ApiKeyRef { id: KeyId("abc".into()), name: Some("k".into()) });
    Principal { api_key, authentication: AuthenticationType::ApiKey, ..principal(&[], privileges) }
}

fn everything() -> Map<String, Value> {
    named("r1", json!({"cluster": ["all"], "indices": [{"names": ["*"], "privileges": ["all"]}]}))
}

fn named(name: &str, descriptor: Value) -> Map<String, Value> {
    Map::from_iter([(name.to_owned(), descriptor)])
}

fn ask(principal: &Principal, method: &str, target: &str) -> Result<Permit, AuthorizeError> {
    asked(principal, method, target, "").map(|(permit, _)| permit)
}

/// What becomes of a request, before a cluster with the indices `a1`, `a2`, `b1`, hidden `h1`, closed `c1` and the
/// alias `al` of `a1`.
fn asked(principal: &Principal, method: &str, target: &str, body: &str) -> Result<(Permit, Body), AuthorizeError> {
    let authorizer = Authorizer::new(
        Audit::off(),
        Clock::anchored(Timestamp::from_millis(1_795_557_253_007)),
        MasterKeys::ephemeral(),
    );
    let (principal, method, uri) = (Arc::new(principal.clone()), method.parse().unwrap(), target.parse().unwrap());
    let headers = HeaderMap::from_iter([(http::header::CONTENT_TYPE, "application/json".parse().unwrap())]);
    let asked =
        Asked { principal: &principal, client: None, method: &method, uri: &uri, headers: &headers, limit: 1 << 20 };
    let mut body = Body::from(body.to_owned());
    let answer = async |permit: Permit| {
        Some(Bytes::from_static(match permit.target().unwrap().as_str() {
            CATALOG => EXISTING,
            PIPELINES => PIPELINES_THERE,
            other => panic!("{other}"),
        }))
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let permit = runtime.block_on(authorizer.check(asked, &mut body, answer))?;
    Ok((permit, body))
}

const PIPELINES_THERE: &[u8] = br#"{"p":{"processors":[{"script":{"id":"x"}}]},
    "safe":{"processors":[{"set":{"field":"a","value":1}}]}}"#;
const EXISTING: &[u8] = br#"{"indices":[{"name":"a1","attributes":["open"]},{"name":"a2","attributes":["open"]},
    {"name":"b1","attributes":["open"]},{"name":"h1","attributes":["hidden","open"]},
    {"name":"c1","attributes":["closed"]},{"name":".ds-x-1","attributes":["hidden","open"],"data_stream":"x"}],
    "aliases":[{"name":"al","indices":["a1"]}],"data_streams":[{"name":"x"}]}"#;

/// A caller with these privileges on these names.
fn holder(names: &[&str], privileges: &[&str]) -> Principal {
    let descriptor = json!({"indices": [{"names": names, "privileges": privileges}]});
    principal(&["r"], Privileges::of_user(&named("r", descriptor)))
}

/// What the cluster sees of a request of a caller with `read` on `a1`.
fn seen(target: &str) -> String {
    let permit = ask(&holder(&["a1"], &["read", "view_index_metadata"]), "GET", target);
    permit.unwrap().target().map_or_else(|| target.to_owned(), ToString::to_string)
}

/// Why a request of that caller is refused.
fn refused(method: &str, target: &str) -> String {
    ask(&holder(&["a1"], &["read", "view_index_metadata"]), method, target).unwrap_err().to_string()
}

fn check(principal: &Principal) -> Result<Permit, AuthorizeError> {
    ask(principal, "GET", "/logs/_search")
}

#[test]
fn whoever_may_do_everything_gets_a_permit_in_its_name() {
    let permit = check(&principal(&["r1"], Privileges::of_user(&everything()))).unwrap();
    assert_eq!(&*permit.principal().unwrap().identity.username, "u");
    assert!(!permit.passes_through() && !permit.goes_bare());
    assert!(check(&key(&Map::new())).is_ok());
}

#[test]
fn a_user_who_may_less_is_refused_with_roles_sorted_and_lost_ones_named() {
    let mut descriptors = named("r2", json!({"cluster": ["monitor"]}));
    descriptors.extend(named("r1", json!({"indices": [{"names": ["logs"], "privileges": ["monitor"]}]})));
    let error = check(&principal(&["r2", "zz", "r1", "gone"], Privileges::of_user(&descriptors))).unwrap_err();
    assert_eq!(
        error.to_string(),
        "action [indices:data/read/search] is unauthorized for user [u] with effective roles [r1,r2] \
         (assigned roles [gone,zz] were not found) on indices [logs], this action is granted by the index privileges [read,all]"
    );
}

#[test]
fn a_user_without_roles_is_refused() {
    let error = check(&principal(&[], Privileges::default())).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("is unauthorized for user [u] with effective roles [] on indices [logs], this action")
    );
}

#[test]
fn a_limited_key_is_refused_without_roles() {
    let limited = json!({"cluster": ["all"], "indices": [{"names": ["logs-*"], "privileges": ["all"]}]});
    let error = check(&key(&named("limited", limited))).unwrap_err();
    assert!(error.to_string().contains("is unauthorized for API key id [abc] of user [u] on indices [logs], this"));
}

#[test]
fn an_index_that_is_granted_goes_on_as_it_came() {
    let permit = ask(&holder(&["a1"], &["read"]), "GET", "/a1/_search?q=x").unwrap();
    assert!(permit.target().is_none());
}

#[test]
fn a_wildcard_that_a_grant_covers_goes_on_as_it_came() {
    let caller = holder(&["logs-*"], &["read"]);
    for target in ["/logs-*/_search", "/logs-a*,-logs-ab/_search", "/logs-2026*,logs-x/_count"] {
        assert!(ask(&caller, "GET", target).unwrap().target().is_none(), "{target}");
    }
}

#[test]
fn all_and_wildcards_narrow_to_what_is_granted() {
    for target in ["/_search", "/_all/_search", "/*/_search", "/a*/_search", "/a1,b*/_search", "/*,-a2/_search"] {
        assert_eq!(seen(target), "/a1/_search", "{target}");
    }
}

#[test]
fn what_leaves_nothing_is_asked_so_that_nothing_answers() {
    for target in ["/b*/_search", "/zz*/_search", "/.sec*/_search", "/a*,-a1/_search", "/*:a1/_search"] {
        assert_eq!(seen(target), "/*,-*/_search", "{target}");
    }
    assert_eq!(seen("/h*/_search?expand_wildcards=all"), "/*,-*/_search?expand_wildcards=all");
}

#[test]
fn what_leaves_nothing_is_missing_where_that_is_not_allowed() {
    assert_eq!(refused("GET", "/b*/_search?allow_no_indices=false"), "no such index [b*]");
    assert_eq!(refused("GET", "/a*,-a1/_search?allow_no_indices=false"), "no such index [[a*, -a1]]");
    assert_eq!(refused("GET", "/a2/_search?ignore_unavailable=true&allow_no_indices=false"), "no such index [[a2]]");
}

#[test]
fn a_caller_without_the_action_anywhere_is_refused_whatever_it_names() {
    let nobody = holder(&["a1"], &["monitor"]);
    for (target, on) in [
        ("/_search", ""),
        ("/a*/_search", ""),
        ("/a2/_search", " on indices [a2]"),
        ("/_mapping", ""),
        ("/a*/_mapping", " on indices [a*]"),
        ("/zz,a1/_mapping", " on indices [a1,zz]"),
        ("/a*/_doc/1", " on indices [a*]"),
    ] {
        let error = ask(&nobody, "GET", target).unwrap_err().to_string();
        assert!(error.contains(&format!("[r]{on}, this action is granted by")), "{target}: {error}");
    }
}

#[test]
fn names_that_are_refused_are_told_and_no_others() {
    for (target, names) in [
        ("/a2/_search", "on indices [a2]"),
        ("/a1,a2/_search", "on indices [a2]"),
        ("/zzz/_search", "on indices [zzz]"),
        ("/al/_search", "on indices [al]"),
        ("/a1,-a1/_search", "on indices [-a1]"),
        ("/-a1/_search", "on indices [-a1]"),
        ("/*/_search?expand_wildcards=none", "on indices [*]"),
        ("/%3Ca1-%7Bnow%2Fd%7D%3E/_search", "on indices [a1-2026.11.24]"),
        ("/.security/_search", "on restricted indices [.security]"),
        ("/b1,.security-7/_search", "on indices [b1] and restricted indices [.security-7]"),
        ("/a1,_all/_search", "on indices [_all]"),
    ] {
        let error = refused("GET", target);
        assert!(error.contains(&format!(" {names}, this action")), "{target}: {error}");
    }
}

#[test]
fn names_that_are_refused_are_left_out_where_unavailable_ones_are_ignored() {
    assert_eq!(seen("/a1,a2,zzz/_search?ignore_unavailable=true"), "/a1/_search?ignore_unavailable=true");
    assert_eq!(seen("/a2/_search?ignore_unavailable"), "/*,-*/_search?ignore_unavailable");
    assert_eq!(
        seen("/a2,a1/_search?ignore_unavailable=false;ignore_unavailable=true"),
        "/a1/_search?ignore_unavailable=false;ignore_unavailable=true"
    );
}

#[test]
fn holes_in_a_list_are_refused_to_all() {
    for target in ["/a1,,a2/_search", "/,a1/_search"] {
        let error = ask(&holder(&["a1"], &["read"]), "GET", target).unwrap_err();
        let AuthorizeError::Denied(denied) = error else { panic!("{error}") };
        assert_eq!(denied.cause.unwrap().0, "string_index_out_of_bounds_exception");
    }
}

#[test]
fn selectors_are_judged_by_the_part_that_they_name() {
    assert_eq!(seen("/a1::data/_search"), "/a1::data/_search");
    let error = refused("GET", "/a1::failures/_search");
    assert!(error.ends_with("for data access, or by [read_failure_store] for access with the [::failures] selector"));
}

#[test]
fn other_clusters_are_not_known() {
    let error = ask(&holder(&["*"], &["read"]), "GET", "/other:a1/_search").unwrap_err();
    let AuthorizeError::Denied(denied) = error else { panic!("{error}") };
    assert_eq!(denied.cause.unwrap(), ("no_such_remote_cluster_exception", "no such remote cluster: [other]".into()));
}

#[test]
fn one_document_is_of_one_index() {
    assert_eq!(
        refused("GET", "/a*/_doc/1"),
        "the action indices:data/read/get does not support wildcards; the provided index expression(s) [a*] are not allowed"
    );
    assert!(refused("GET", "/_all/_doc/1").contains("does not support accessing all indices"));
    assert!(refused("GET", "/a1,a2/_doc/1").contains(" on indices [a1,a2],"));
    assert!(refused("GET", "/%61%32/_doc/1").contains(" on indices [a2],"), "names are decoded");
}

#[test]
fn destructive_requests_take_no_wildcards() {
    let caller = holder(&["*"], &["all"]);
    for (method, target) in [("DELETE", "/*"), ("DELETE", "/a*"), ("POST", "/_all/_close")] {
        let error = ask(&caller, method, target).unwrap_err().to_string();
        assert_eq!(error, "Wildcard expressions or all indices are not allowed", "{target}");
    }
}

#[test]
fn an_update_of_settings_that_leaves_nothing_is_missing() {
    let error = ask(&holder(&["a1"], &["manage"]), "PUT", "/b*/_settings").unwrap_err();
    assert_eq!(error.to_string(), "no such index [b*]");
}

#[test]
fn a_write_is_refused_in_the_words_of_how_far_it_came() {
    let write = |caller: &Principal, method, target| match ask(caller, method, target) {
        Ok(_) => "",
        Err(AuthorizeError::Denied(denied)) => denied.action,
        Err(other) => panic!("{other}"),
    };
    let reader = holder(&["a1"], &["read"]);
    assert_eq!(write(&reader, "PUT", "/a1/_doc/1"), "indices:data/write/index");
    let writer = holder(&["a1"], &["write"]);
    assert_eq!(write(&writer, "PUT", "/a1/_doc/1"), "");
    assert_eq!(write(&writer, "PUT", "/a2/_doc/1"), "indices:data/write/bulk[s]");
    assert_eq!(write(&writer, "PUT", "/new/_doc/1"), "indices:admin/auto_create");
    let creator = holder(&["a1", "n*"], &["create_doc"]);
    assert_eq!(write(&creator, "PUT", "/a1/_create/1"), "");
    assert_eq!(write(&creator, "POST", "/a1/_doc"), "");
    assert_eq!(write(&creator, "PUT", "/a1/_doc/1?op_type=create"), "");
    assert_eq!(write(&creator, "PUT", "/a1/_doc/1"), "indices:data/write/index:op_type/index");
    assert_eq!(write(&creator, "POST", "/new/_doc"), "indices:admin/auto_create");
    assert_eq!(write(&creator, "POST", "/a1/_update/1"), "indices:data/write/update");
    assert_eq!(write(&creator, "DELETE", "/a1/_doc/1"), "indices:data/write/delete");
}

#[test]
fn a_write_through_a_pipeline_that_may_send_it_elsewhere_is_refused() {
    let writer = holder(&["a1"], &["write"]);
    assert!(ask(&writer, "PUT", "/a1/_doc/1?pipeline=safe").is_ok());
    assert!(ask(&writer, "PUT", "/a1/_doc/1?pipeline=missing").is_err());
    assert!(ask(&writer, "PUT", "/b1/_doc/1?pipeline=safe").is_err());
    assert!(ask(&writer, "POST", "/a1/_update_by_query?pipeline=safe").is_err());
    let text = ask(&writer, "PUT", "/a1/_doc/1?pipeline=p").unwrap_err().to_string();
    assert!(text.starts_with("pipeline [p] may send documents to other indices"), "{text}");
    let everywhere = json!({"indices": [{"names": ["*"], "privileges": ["write", "create_index"], "allow_restricted_indices": true}]});
    let everywhere = principal(&["r"], Privileges::of_user(&named("r", everywhere)));
    assert!(ask(&everywhere, "PUT", "/a1/_doc/1?pipeline=p").is_ok());
    assert!(ask(&writer, "PUT", "/a1/_doc/1?pipeline=p").is_err());
    assert!(ask(&writer, "PUT", "/a1/_doc/1?pipeline=_none").is_ok());
}

#[test]
fn the_index_of_a_query_counts_where_the_path_has_none() {
    assert!(refused("GET", "/_search?index=a2").contains(" on indices [a2],"));
    assert!(refused("GET", "/_search?%69ndex=a%32").contains(" on indices [a2],"));
    assert!(refused("GET", "/_search?index=a1&index=a2").contains(" on indices [a2],"));
    assert!(refused("GET", "/_search?x=1;index=a2").contains(" on indices [a2],"));
    assert_eq!(seen("/a1/_search?index=a2"), "/a1/_search?index=a2");
}

#[test]
fn a_body_in_the_query_is_a_body() {
    assert!(ask(&holder(&["a1"], &["read"]), "GET", "/a1/_search?source=%7B%7D").is_err());
    assert!(ask(&holder(&["a1"], &["read"]), "GET", "/a1/_search?s%6Furce=%7B%7D").is_err());
}

#[test]
fn unknown_routes_are_for_those_who_may_do_everything() {
    let caller = holder(&["*"], &["all"]);
    for target in ["/a1/_new_api", "/a1/_%73earch", "/_plugins/_new", "/a/b/c/d"] {
        assert!(ask(&caller, "GET", target).is_err(), "{target}");
    }
}

#[test]
fn an_encoded_all_is_all() {
    assert_eq!(seen("/%5fall/_count"), "/a1/_count");
    assert_eq!(seen("/%2a/_count"), "/a1/_count");
}

#[test]
fn double_encoding_is_decoded_once() {
    assert!(refused("GET", "/%2561%2531/_count").contains(" on indices [%61%31],"));
}

#[test]
fn cluster_requests_need_cluster_privileges() {
    let monitor = principal(&["r"], Privileges::of_user(&named("r", json!({"cluster": ["monitor"]}))));
    for target in ["/", "/_cluster/health", "/_cluster/state/metadata/a2", "/_nodes/stats", "/_cat/nodes"] {
        assert!(ask(&monitor, "GET", target).is_ok(), "{target}");
        assert!(refused("GET", target).contains("cluster:monitor/"), "{target}");
    }
    assert!(ask(&monitor, "PUT", "/_cluster/settings").is_err());
    assert!(ask(&holder(&["a1"], &["read"]), "GET", "/_cat").is_ok());
    assert!(ask(&holder(&["a1"], &["read"]), "GET", "/_cat/indices?help").is_ok());
}

#[test]
fn aliases_are_judged_by_their_own_name() {
    let caller = holder(&["a1", "al"], &["view_index_metadata"]);
    let seen = |target| ask(&caller, "GET", target).unwrap().target().unwrap().to_string();
    assert_eq!(seen("/_alias/al"), "/a1,al/_alias/al");
    assert_eq!(seen("/_alias"), "/a1,al/_alias/al");
    assert_eq!(seen("/_cat/aliases"), "/_cat/aliases/al");
    assert_eq!(seen("/_alias/zz*"), "/a1,al/_alias/_*");
    assert!(
        refused("GET", "/_alias/al")
            .ends_with("[r], this action is granted by the index privileges [view_index_metadata,manage,all]")
    );
}

#[test]
fn an_alias_must_not_open_more_than_its_index() {
    let narrow = json!({"indices": [{"names": ["a1", "more"], "privileges": ["manage"]},
        {"names": ["more"], "privileges": ["read"]}]});
    let caller = principal(&["r"], Privileges::of_user(&named("r", narrow)));
    assert!(ask(&caller, "PUT", "/a1/_alias/more").unwrap_err().to_string().starts_with("Adding an alias"));
    assert!(ask(&holder(&["a*"], &["manage"]), "PUT", "/a1/_alias/a-new").is_ok());
    assert!(ask(&holder(&["a1"], &["manage"]), "PUT", "/a1/_alias/other").is_err());
    assert!(ask(&holder(&["al"], &["manage"]), "PUT", "/b1/_alias/al").is_err());
}

#[test]
fn backing_indices_are_covered_by_their_data_stream() {
    assert!(ask(&holder(&["x"], &["read"]), "GET", "/.ds-x-1/_search").is_ok());
    assert!(ask(&holder(&["y"], &["read"]), "GET", "/.ds-x-1/_search").is_err());
}

#[test]
fn a_cluster_that_does_not_answer_opens_nothing() {
    let authorizer = Authorizer::new(Audit::off(), Clock::system(), MasterKeys::ephemeral());
    let (principal, method, uri) = (Arc::new(holder(&["a1"], &["read"])), Method::GET, Uri::from_static("/_search"));
    let asked = Asked {
        principal: &principal,
        client: None,
        method: &method,
        uri: &uri,
        headers: &HeaderMap::new(),
        limit: 1 << 20,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let refused = runtime.block_on(authorizer.check(asked, &mut Body::Empty, async |_| None)).unwrap_err();
    assert!(matches!(refused, AuthorizeError::Unresolved));
}

/// What goes on of a body that a caller with these privileges on `a*` sends.
fn body_of(privileges: &[&str], target: &str, body: &str) -> Result<String, AuthorizeError> {
    match asked(&holder(&["a*"], privileges), "POST", target, body)?.1 {
        Body::Full(bytes) => Ok(String::from_utf8(bytes.to_vec()).unwrap()),
        _ => Ok(String::new()),
    }
}

#[test]
fn a_search_may_name_in_its_body_what_the_caller_may_read() {
    let lookup = |index| format!(r#"{{"query":{{"terms":{{"f":{{"index":"{index}","id":"1","path":"p"}}}}}}}}"#);
    assert_eq!(body_of(&["read"], "/a1/_search", &lookup("a2")).unwrap(), lookup("a2"));
    let error = body_of(&["read"], "/a1/_search", &lookup("b1")).unwrap_err().to_string();
    assert!(error.starts_with("action [indices:data/read/get]") && error.contains(" on indices [b1],"), "{error}");
    assert!(body_of(&["read"], "/a1/_search", r#"{"pit":{"id":"x"}}"#).is_err());
    assert!(body_of(&["read"], "/a1/_search", r#"{"query":{},"query":{}}"#).is_err(), "a repeated key");
}

#[test]
fn a_search_with_a_body_narrows_like_one_without() {
    let (permit, _) = asked(&holder(&["a1"], &["read"]), "POST", "/_search", "{}").unwrap();
    assert_eq!(permit.target().unwrap(), "/a1/_search");
}

#[test]
fn a_bulk_goes_through_the_pipeline_of_its_query_if_that_leaves_it_where_it_is() {
    let mine = "{\"index\":{\"_index\":\"a1\"}}\n{}\n";
    assert_eq!(body_of(&["write"], "/_bulk?pipeline=safe", mine).unwrap(), mine);
    assert!(body_of(&["write"], "/_bulk?pipeline=p", mine).is_err());
    assert!(body_of(&["write"], "/a1/_bulk?p%69peline=p", mine).is_err());
}

#[test]
fn what_a_body_names_and_a_grant_covers_is_allowed_though_the_cluster_does_not_tell_what_exists() {
    let authorizer = Authorizer::new(Audit::off(), Clock::system(), MasterKeys::ephemeral());
    let (principal, uri) = (Arc::new(holder(&["a*"], &["read"])), Uri::from_static("/_msearch"));
    let headers = HeaderMap::from_iter([(http::header::CONTENT_TYPE, "application/json".parse().unwrap())]);
    let asked = Asked {
        principal: &principal,
        client: None,
        method: &Method::POST,
        uri: &uri,
        headers: &headers,
        limit: 1 << 20,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let judge = |body: &str| {
        let mut body = Body::from(body.to_owned());
        runtime.block_on(authorizer.check(asked, &mut body, async |_| None))
    };
    assert!(judge("{\"index\":\"a1\"}\n{}\n").is_ok());
    assert!(matches!(judge("{\"index\":\"*\"}\n{}\n").unwrap_err(), AuthorizeError::Unresolved));
}

#[test]
fn refused_items_of_a_bulk_are_cut_out() {
    let (mine, theirs) = ("{\"index\":{\"_index\":\"a1\"}}\n{}\n", "{\"index\":{\"_index\":\"b1\"}}\n{}\n");
    assert_eq!(body_of(&["write"], "/_bulk", &format!("{mine}{theirs}{mine}")).unwrap(), format!("{mine}{mine}"));
    assert_eq!(body_of(&["write"], "/_bulk", theirs).unwrap(), "");
    let create = "{\"index\":{\"_index\":\"a-new\"}}\n{}\n";
    assert_eq!(body_of(&["write"], "/_bulk", create).unwrap(), "", "it may not be created");
    assert_eq!(body_of(&["write", "create_index"], "/_bulk", create).unwrap(), create);
    assert!(body_of(&["read"], "/_bulk", mine).is_err(), "no write anywhere");
}

#[test]
fn a_delete_of_a_version_of_the_callers_own_makes_its_index() {
    let internal = "{\"delete\":{\"_index\":\"a-new\",\"_id\":\"1\"}}\n";
    let external = internal.replace("\"}}", "\",\"version\":1,\"version_type\":\"external\"}}");
    assert_eq!(body_of(&["delete"], "/_bulk", internal).unwrap(), internal);
    assert_eq!(body_of(&["delete"], "/_bulk", &external).unwrap(), "");
    assert_eq!(body_of(&["delete", "create_index"], "/_bulk", &external).unwrap(), external);
    let one = |target| asked(&holder(&["a*"], &["delete"]), "DELETE", target, "");
    assert!(one("/a-new/_doc/1").is_ok() && one("/a-new/_doc/1?version=1&version_type=external").is_err());
}

/// The cluster resolves it when it has the whole bulk.
#[test]
fn date_math_in_a_body_is_allowed_whatever_the_time_is_then() {
    let body = "{\"index\":{\"_index\":\"<a-{now/d}>\"}}\n{}\n";
    let left = |pattern| asked(&holder(&[pattern], &["write", "create_index"]), "POST", "/_bulk", body).unwrap().1;
    assert!(matches!(left("a-*"), Body::Full(left) if left == body));
    assert!(matches!(left("a-2*"), Body::Empty));
}

#[test]
fn searches_of_a_multi_search_are_narrowed_or_refused() {
    let narrowed = body_of(&["read"], "/_msearch", "{}\n{}\n{\"index\":\"b1\"}\n{}\n").unwrap();
    assert!(narrowed.contains("\"a1\"") && narrowed.contains("\"a2\"") && !narrowed.contains("b1"), "{narrowed}");
}

#[test]
fn documents_of_others_are_not_asked_for() {
    let body = r#"{"docs":[{"_index":"a1","_id":"1"},{"_index":"b1","_id":"1"}]}"#;
    let left = body_of(&["read"], "/_mget", body).unwrap();
    assert!(left.contains("a1") && !left.contains("b1"), "{left}");
}

#[test]
fn what_would_read_or_write_later_in_the_name_of_the_cluster_is_refused() {
    let mapping = r#"{"runtime":{"r":{"type":"lookup","target_index":"b1"}}}"#;
    assert!(body_of(&["manage"], "/a1/_mapping", mapping).is_err());
    assert!(body_of(&["manage"], "/a1/_mapping", r#"{"properties":{"q":{"type":"percolator"}}}"#).is_err());
    assert!(body_of(&["manage"], "/a1/_mapping", r#"{"properties":{"q":{"type":"keyword"}}}"#).is_ok());
    let caller = holder(&["a*"], &["manage"]);
    let settings = |body| asked(&caller, "PUT", "/a1/_settings", body);
    assert!(settings(r#"{"index":{"default_pipeline":"p"}}"#).is_err());
    assert!(settings(r#"{"index":{"refresh_interval":"1s"}}"#).is_ok());
}

#[test]
fn an_alias_is_not_named_anew_by_a_body() {
    let caller = holder(&["a*"], &["manage"]);
    assert!(asked(&caller, "PUT", "/a1/_alias/a-x", r#"{"index":"b1"}"#).is_err());
    assert!(asked(&caller, "PUT", "/a1/_alias/a-x", r#"{"routing":"1"}"#).is_ok());
    let actions = |index| format!(r#"{{"actions":[{{"add":{{"index":"{index}","alias":"a-x"}}}}]}}"#);
    assert!(asked(&caller, "POST", "/_aliases", &actions("a1")).is_ok());
    assert!(asked(&caller, "POST", "/_aliases", &actions("b1")).is_err());
}

#[test]
fn another_proxy_may_pass_on_what_needs_no_other_words() {
    let authorizer = Authorizer::new(Audit::off(), Clock::system(), MasterKeys::ephemeral());
    let may = |caller: Principal, method: Method, target: &'static str| {
        let (principal, uri) = (Arc::new(caller), Uri::from_static(target));
        let headers = HeaderMap::new();
        let asked = Asked {
            principal: &principal,
            client: None,
            method: &method,
            uri: &uri,
            headers: &headers,
            limit: 1 << 20,
        };
        authorizer.check_as_it_is(asked).is_ok()
    };
    assert!(may(holder(&["a1"], &["read"]), Method::GET, "/a1/_doc/1"));
    assert!(!may(holder(&["a1"], &["read"]), Method::GET, "/a1/_search"), "a body may name others");
    assert!(!may(holder(&["a1"], &["read"]), Method::GET, "/*/_stats"), "it would have to be narrowed");
}

#[test]
fn a_resized_index_must_not_open_more_than_it_did() {
    let narrow = json!({"indices": [{"names": ["a1", "more"], "privileges": ["manage"]},
        {"names": ["more"], "privileges": ["read"]}]});
    let caller = principal(&["r"], Privileges::of_user(&named("r", narrow)));
    assert!(ask(&caller, "POST", "/a1/_clone/more").unwrap_err().to_string().starts_with("Resizing an index"));
    assert!(ask(&caller, "POST", "/a1/_clone/nobodys").is_ok());
}

fn subject_of(error: &AuthorizeError) -> String {
    let AuthorizeError::Denied(denied) = error else { panic!("{error}") };
    denied.subject.to_string()
}

#[test]
fn whoever_runs_as_another_is_named_before_it_and_has_its_roles() {
    let by = |caller| {
        let target = Principal { run_by: Some(Arc::new(caller)), ..principal(&["lost"], Privileges::default()) };
        subject_of(&AuthorizeError::cluster(&target, "a:b", false))
    };
    let roles = "with effective roles [] (assigned roles [lost] were not found)";
    assert_eq!(by(principal(&["r1"], Privileges::default())), format!("user [u] run as [u] {roles}"));
    assert_eq!(by(key(&Map::new())), format!("API key id [abc] of user [u] run as [u] {roles}"));
}

#[test]
fn a_service_account_has_no_roles_to_show() {
    let kind = "_service_account_index".into();
    let service_token = Some(ServiceTokenRef { name: "t".into(), kind });
    let account = Principal { service_token, ..principal(&[], Privileges::default()) };
    assert_eq!(&*subject_of(&AuthorizeError::cluster(&account, "a:b", false)), "service account [u]");
}

#[test]
fn whoever_may_not_run_as_another_is_told_twice_who_it_is() {
    let text = |caller: &Principal| AuthorizeError::run_as(caller, "v", AUTHENTICATE).to_string();
    let action = "action [cluster:admin/xpack/security/user/authenticate] is unauthorized for";
    assert_eq!(
        text(&principal(&["x"], Privileges::default())),
        format!(
            "{action} user [u] with effective roles [] (assigned roles [x] were not found), because user [u] is \
             unauthorized to run as [v]"
        )
    );
    let key = key(&Map::new());
    let who = "API key id [abc] of user [u]";
    assert_eq!(text(&key), format!("{action} {who}, because {who} is unauthorized to run as [v]"));
}

//! Which path serves what, and the words for paths and methods that serve nothing (API page section 1.1).

use http::{Method, StatusCode};

use crate::{api::failure::Failure, path, respond::Exception};

/// What a path names.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Endpoint {
    ActivateProfile,
    ApplicationPrivilege,
    ApplicationPrivileges,
    Authenticate,
    BuiltinPrivileges,
    CloneKey,
    CrossClusterKey,
    CrossClusterKeys,
    DelegatePki,
    DisableProfile,
    DisableUser,
    EnableProfile,
    EnableUser,
    Enroll,
    GrantKey,
    Key,
    KeyCache,
    Keys,
    ListPrivileges,
    NewServiceToken,
    OwnPrivileges,
    Password,
    PrivilegeCache,
    Privileges,
    ProfileData,
    ProfilePrivileges,
    Profiles,
    QueryKeys,
    QueryRoles,
    QueryUsers,
    RealmCache,
    Role,
    RoleCache,
    RoleMapping,
    RoleMappings,
    Roles,
    ServiceAccounts,
    ServiceCredentials,
    ServiceToken,
    ServiceTokenCache,
    Settings,
    SuggestProfiles,
    Token,
    UpdateKeys,
    User,
    Users,
}

/// What serves a path.
#[derive(Clone, Copy, Debug)]
pub(super) struct Route {
    /// Behind `/_security/`; a name in braces stands for one segment. Of several that match, the first one counts.
    pub(super) path: &'static str,
    /// What serves it.
    pub(super) endpoint: Endpoint,
    /// Its methods, in the order in which the original lists them.
    pub(super) methods: &'static [&'static str],
}

/// A route that a path matches, and what stands for its names, decoded.
#[derive(Clone, Debug)]
pub(super) struct Matched {
    pub(super) route: &'static Route,
    pub(super) names: Vec<String>,
}

const fn route(path: &'static str, endpoint: Endpoint, methods: &'static [&'static str]) -> Route {
    Route { path, endpoint, methods }
}

/// Everything that is served under `/_security/`.
#[rustfmt::skip]
pub(super) const ROUTES: &[Route] = &[
    route("_authenticate", Endpoint::Authenticate, &["GET"]),
    route("_query/api_key", Endpoint::QueryKeys, &["GET", "POST"]),
    route("_query/role", Endpoint::QueryRoles, &["GET", "POST"]),
    route("_query/user", Endpoint::QueryUsers, &["GET", "POST"]),
    route("api_key", Endpoint::Keys, &["GET", "POST", "PUT", "DELETE"]),
    route("api_key/_bulk_update", Endpoint::UpdateKeys, &["POST"]),
    route("api_key/clone", Endpoint::CloneKey, &["POST", "PUT"]),
    route("api_key/grant", Endpoint::GrantKey, &["POST", "PUT"]),
    route("api_key/{id}", Endpoint::Key, &["PUT"]),
    route("api_key/{ids}/_clear_cache", Endpoint::KeyCache, &["POST"]),
    route("cross_cluster/api_key", Endpoint::CrossClusterKeys, &["POST"]),
    route("cross_cluster/api_key/{id}", Endpoint::CrossClusterKey, &["PUT"]),
    route("delegate_pki", Endpoint::DelegatePki, &["POST"]),
    route("enroll/kibana", Endpoint::Enroll, &["GET"]),
    route("enroll/node", Endpoint::Enroll, &["GET"]),
    route("oauth2/token", Endpoint::Token, &["POST", "DELETE"]),
    route("privilege", Endpoint::Privileges, &["GET", "POST", "PUT"]),
    route("privilege/_builtin", Endpoint::BuiltinPrivileges, &["GET"]),
    route("privilege/{application}", Endpoint::ApplicationPrivileges, &["GET"]),
    route("privilege/{application}/_clear_cache", Endpoint::PrivilegeCache, &["POST"]),
    route("privilege/{application}/{names}", Endpoint::ApplicationPrivilege, &["GET", "DELETE"]),
    route("profile/_activate", Endpoint::ActivateProfile, &["POST"]),
    route("profile/_has_privileges", Endpoint::ProfilePrivileges, &["GET", "POST"]),
    route("profile/_suggest", Endpoint::SuggestProfiles, &["GET", "POST"]),
    route("profile/{uid}", Endpoint::Profiles, &["GET"]),
    route("profile/{uid}/_data", Endpoint::ProfileData, &["POST", "PUT"]),
    route("profile/{uid}/_disable", Endpoint::DisableProfile, &["POST", "PUT"]),
    route("profile/{uid}/_enable", Endpoint::EnableProfile, &["POST", "PUT"]),
    route("realm/{realms}/_clear_cache", Endpoint::RealmCache, &["POST"]),
    route("role", Endpoint::Roles, &["GET", "POST", "DELETE"]),
    route("role/{name}", Endpoint::Role, &["GET", "POST", "PUT", "DELETE"]),
    route("role/{names}/_clear_cache", Endpoint::RoleCache, &["POST"]),
    route("role_mapping", Endpoint::RoleMappings, &["GET"]),
    route("role_mapping/{name}", Endpoint::RoleMapping, &["GET", "POST", "PUT", "DELETE"]),
    route("service", Endpoint::ServiceAccounts, &["GET"]),
    route("service/{namespace}", Endpoint::ServiceAccounts, &["GET"]),
    route("service/{namespace}/{service}", Endpoint::ServiceAccounts, &["GET"]),
    route("service/{namespace}/{service}/credential", Endpoint::ServiceCredentials, &["GET"]),
    route("service/{namespace}/{service}/credential/token", Endpoint::NewServiceToken, &["POST"]),
    route("service/{namespace}/{service}/credential/token/{name}", Endpoint::ServiceToken, &["POST", "PUT", "DELETE"]),
    route("service/{namespace}/{service}/credential/token/{names}/_clear_cache", Endpoint::ServiceTokenCache, &["POST"]),
    route("settings", Endpoint::Settings, &["GET", "PUT"]),
    route("user", Endpoint::Users, &["GET"]),
    route("user/_has_privileges", Endpoint::OwnPrivileges, &["GET", "POST"]),
    route("user/_password", Endpoint::Password, &["POST", "PUT"]),
    route("user/_privileges", Endpoint::ListPrivileges, &["GET"]),
    route("user/{name}", Endpoint::User, &["GET", "POST", "PUT", "DELETE"]),
    route("user/{name}/_disable", Endpoint::DisableUser, &["POST", "PUT"]),
    route("user/{name}/_enable", Endpoint::EnableUser, &["POST", "PUT"]),
    route("user/{name}/_has_privileges", Endpoint::OwnPrivileges, &["GET", "POST"]),
    route("user/{name}/_password", Endpoint::Password, &["POST", "PUT"]),
];

/// The route that a request names, if it has the method.
///
/// # Errors
///
/// 405 for another method, 400 for a path that names nothing.
pub(super) fn find(method: &Method, path: &str, target: &str) -> Result<Matched, Failure> {
    match matching(path)? {
        Some(matched) if matched.route.methods.contains(&method.as_str()) => Ok(matched),
        Some(matched) => Err(wrong_method(method, target, matched.route.methods)),
        None if path.starts_with("/_gateway") => {
            let text = format!("nothing is served at [{target}]");
            Err(Failure::Exception(StatusCode::NOT_FOUND, Exception::new("resource_not_found_exception", text)))
        }
        // A single segment is what the original takes for an index: `POST` is all that it has there.
        None if is_single(path) && method != Method::POST => Err(wrong_method(method, target, &["POST"])),
        None if path.trim_end_matches('/').matches('/').count() == 1 => Err(not_an_index(path).into()),
        None => Err(Failure::Text {
            status: StatusCode::BAD_REQUEST,
            text: format!("no handler found for uri [{target}] and method [{method}]"),
            numbered: false,
        }),
    }
}

/// Value of `Allow` for `OPTIONS`.
pub(super) fn allowed(path: &str) -> String {
    match matching(path) {
        Ok(Some(matched)) => matched.route.methods.join(","),
        _ if is_single(path) => "POST".to_owned(),
        _ => "GET,POST,PUT,DELETE,HEAD".to_owned(),
    }
}

fn matching(path: &str) -> Result<Option<Matched>, Exception> {
    let path = path.strip_suffix('/').unwrap_or(path);
    let Some(rest) = path.strip_prefix("/_security/") else { return Ok(None) };
    let segments: Vec<&str> = rest.split('/').collect();
    let Some(route) = ROUTES.iter().find(|route| matches(route.path, &segments)) else { return Ok(None) };
    let named = route.path.split('/').zip(segments).filter(|(pattern, _)| is_name(pattern));
    let names = named.map(|(_, raw)| path::decode(raw)).collect::<Result<_, _>>();
    Ok(Some(Matched { route, names: names.map_err(|error| Exception::argument(error.to_string()))? }))
}

fn matches(pattern: &str, segments: &[&str]) -> bool {
    let mut words = pattern.split('/');
    segments.iter().all(|segment| words.next().is_some_and(|word| is_name(word) || word == *segment))
        && words.next().is_none()
}

fn is_name(word: &str) -> bool {
    word.starts_with('{')
}

/// Whether exactly one segment follows the first.
fn is_single(path: &str) -> bool {
    path.trim_end_matches('/').matches('/').count() == 2
}

fn wrong_method(method: &Method, target: &str, allowed: &[&str]) -> Failure {
    let known = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT"];
    let list = allowed.join(", ");
    let text = if known.contains(&method.as_str()) {
        format!("Incorrect HTTP method for uri [{target}] and method [{method}], allowed: [{list}]")
    } else {
        format!("Unexpected http method: {method}, allowed: [{list}]")
    };
    Failure::Method { text, allow: allowed.join(",") }
}

fn not_an_index(path: &str) -> Exception {
    let name = path.trim_matches('/');
    Exception::new("invalid_index_name_exception", format!("Invalid index name [{name}], must not start with '_'."))
        .with("index_uuid", "_na_")
        .with("index", name)
}

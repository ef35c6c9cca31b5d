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
    Explain,
    GrantKey,
    InvalidateSessions,
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
    Session,
    SessionById,
    Sessions,
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
    /// Behind `/_security/` or `/_gateway/`; a name in braces stands for one segment. Of several that match, the first one counts.
    pub(super) path: &'static str,
    /// What serves it.
    pub(super) endpoint: Endpoint,
    /// Its methods, in the order in which the original lists them, and what it calls the action of each.
    pub(super) methods: &'static [(&'static str, &'static str)],
}

impl Route {
    /// The action of a method that it has.
    fn action(&self, method: &Method) -> Option<&'static str> {
        self.methods.iter().find(|(name, _)| *method == **name).map(|(_, action)| *action)
    }

    fn method_names(&self) -> Vec<&'static str> {
        self.methods.iter().map(|(name, _)| *name).collect()
    }
}

/// A route that a path matches, and what stands for its names, decoded.
#[derive(Clone, Debug)]
pub(super) struct Matched {
    pub(super) route: &'static Route,
    pub(super) names: Vec<String>,
}

/// Path, endpoint, and behind each method the end of its action's name.
macro_rules! route {
    ($path:literal, $endpoint:ident, $($method:ident $action:literal),+) => {
        Route {
            path: $path,
            endpoint: Endpoint::$endpoint,
            methods: &[$((stringify!($method), concat!("cluster:admin/xpack/security/", $action))),+],
        }
    };
}

/// Everything that is served under `/_security/`.
#[rustfmt::skip]
pub(super) const ROUTES: &[Route] = &[
    route!("_authenticate", Authenticate, GET "user/authenticate"),
    route!("_query/api_key", QueryKeys, GET "api_key/query", POST "api_key/query"),
    route!("_query/role", QueryRoles, GET "role/query", POST "role/query"),
    route!("_query/user", QueryUsers, GET "user/query", POST "user/query"),
    route!("api_key", Keys, GET "api_key/get", POST "api_key/create", PUT "api_key/create", DELETE "api_key/invalidate"),
    route!("api_key/_bulk_update", UpdateKeys, POST "api_key/bulk_update"),
    route!("api_key/clone", CloneKey, POST "api_key/clone", PUT "api_key/clone"),
    route!("api_key/grant", GrantKey, POST "api_key/grant", PUT "api_key/grant"),
    route!("api_key/{id}", Key, PUT "api_key/update"),
    route!("api_key/{ids}/_clear_cache", KeyCache, POST "cache/clear"),
    route!("cross_cluster/api_key", CrossClusterKeys, POST "cross_cluster/api_key/create"),
    route!("cross_cluster/api_key/{id}", CrossClusterKey, PUT "cross_cluster/api_key/update"),
    route!("delegate_pki", DelegatePki, POST "delegate_pki"),
    route!("enroll/kibana", Enroll, GET "enroll/kibana"),
    route!("enroll/node", Enroll, GET "enroll/node"),
    route!("oauth2/token", Token, POST "token/create", DELETE "token/invalidate"),
    route!("privilege", Privileges, GET "privilege/get", POST "privilege/put", PUT "privilege/put"),
    route!("privilege/_builtin", BuiltinPrivileges, GET "privilege/builtin/get"),
    route!("privilege/{application}", ApplicationPrivileges, GET "privilege/get"),
    route!("privilege/{application}/_clear_cache", PrivilegeCache, POST "cache/clear"),
    route!("privilege/{application}/{names}", ApplicationPrivilege, GET "privilege/get", DELETE "privilege/delete"),
    route!("profile/_activate", ActivateProfile, POST "profile/activate"),
    route!("profile/_has_privileges", ProfilePrivileges, GET "profile/has_privileges", POST "profile/has_privileges"),
    route!("profile/_suggest", SuggestProfiles, GET "profile/suggest", POST "profile/suggest"),
    route!("profile/{uid}", Profiles, GET "profile/get"),
    route!("profile/{uid}/_data", ProfileData, POST "profile/put/data", PUT "profile/put/data"),
    route!("profile/{uid}/_disable", DisableProfile, POST "profile/set_enabled", PUT "profile/set_enabled"),
    route!("profile/{uid}/_enable", EnableProfile, POST "profile/set_enabled", PUT "profile/set_enabled"),
    route!("realm/{realms}/_clear_cache", RealmCache, POST "realm/cache/clear"),
    route!("role", Roles, GET "role/get", POST "role/bulk_put", DELETE "role/bulk_delete"),
    route!("role/{name}", Role, GET "role/get", POST "role/put", PUT "role/put", DELETE "role/delete"),
    route!("role/{names}/_clear_cache", RoleCache, POST "roles/cache/clear"),
    route!("role_mapping", RoleMappings, GET "role_mapping/get"),
    route!("role_mapping/{name}", RoleMapping, GET "role_mapping/get", POST "role_mapping/put", PUT "role_mapping/put", DELETE "role_mapping/delete"),
    route!("service", ServiceAccounts, GET "service_account/get"),
    route!("service/{namespace}", ServiceAccounts, GET "service_account/get"),
    route!("service/{namespace}/{service}", ServiceAccounts, GET "service_account/get"),
    route!("service/{namespace}/{service}/credential", ServiceCredentials, GET "service_account/credential/get"),
    route!("service/{namespace}/{service}/credential/token", NewServiceToken, POST "service_account/token/create"),
    route!("service/{namespace}/{service}/credential/token/{name}", ServiceToken, POST "service_account/token/create", PUT "service_account/token/create", DELETE "service_account/token/delete"),
    route!("service/{namespace}/{service}/credential/token/{names}/_clear_cache", ServiceTokenCache, POST "cache/clear"),
    route!("settings", Settings, GET "settings/get", PUT "settings/update"),
    route!("user", Users, GET "user/get"),
    route!("user/_has_privileges", OwnPrivileges, GET "user/has_privileges", POST "user/has_privileges"),
    route!("user/_password", Password, POST "user/change_password", PUT "user/change_password"),
    route!("user/_privileges", ListPrivileges, GET "user/list_privileges"),
    route!("user/{name}", User, GET "user/get", POST "user/put", PUT "user/put", DELETE "user/delete"),
    route!("user/{name}/_disable", DisableUser, POST "user/set_enabled", PUT "user/set_enabled"),
    route!("user/{name}/_enable", EnableUser, POST "user/set_enabled", PUT "user/set_enabled"),
    route!("user/{name}/_has_privileges", OwnPrivileges, GET "user/has_privileges", POST "user/has_privileges"),
    route!("user/{name}/_password", Password, POST "user/change_password", PUT "user/change_password"),
];

/// What is served under `/_gateway/` as the rest is; `auth` is not, for it is asked in headers.
#[rustfmt::skip]
pub(super) const GATEWAY: &[Route] = &[
    route!("explain", Explain, POST "user/list_privileges"),
    route!("session", Session, GET "user/authenticate", POST "user/authenticate", DELETE "user/authenticate"),
    route!("sessions", Sessions, GET "user/get"),
    route!("sessions/_invalidate", InvalidateSessions, POST "session/invalidate"),
    route!("sessions/{id}", SessionById, GET "user/get", DELETE "session/invalidate"),
];

/// The route that a request names, if it has the method.
///
/// # Errors
///
/// 405 for another method, 400 for a path that names nothing.
pub(super) fn find(method: &Method, path: &str, target: &str) -> Result<Matched, Failure> {
    match matching(path)? {
        Some(matched) if matched.route.action(method).is_some() => Ok(matched),
        Some(matched) => Err(wrong_method(method, target, &matched.route.method_names())),
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

/// What Elasticsearch calls what a request asks for; `None` where nothing is served.
pub(super) fn action(method: &Method, path: &str) -> Option<&'static str> {
    matching(path).ok()??.route.action(method)
}

/// Value of `Allow` for `OPTIONS`.
pub(super) fn allowed(path: &str) -> String {
    match matching(path) {
        Ok(Some(matched)) => matched.route.method_names().join(","),
        _ if is_single(path) => "POST".to_owned(),
        _ => "GET,POST,PUT,DELETE,HEAD".to_owned(),
    }
}

fn matching(path: &str) -> Result<Option<Matched>, Exception> {
    let path = path.strip_suffix('/').unwrap_or(path);
    let served = [("/_security/", ROUTES), ("/_gateway/", GATEWAY)];
    let served = served.into_iter().find_map(|(prefix, routes)| Some((path.strip_prefix(prefix)?, routes)));
    let Some((rest, routes)) = served else { return Ok(None) };
    let segments: Vec<&str> = rest.split('/').collect();
    let Some(route) = routes.iter().find(|route| matches(route.path, &segments)) else { return Ok(None) };
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

pub(super) fn wrong_method(method: &Method, target: &str, allowed: &[&str]) -> Failure {
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

"""What an administrator does through the `security` namespace of an official Elasticsearch client for Python, 8 or later.

Takes the address, the CA file and the password of `elastic` from SEARCHGATE_URL, SEARCHGATE_CA and SEARCHGATE_PASSWORD. Exits
non-zero at the first surprise. Every method of the namespace that a gateway without SAML and OpenID Connect serves is called.
"""

import os
import uuid
import warnings

import elasticsearch
from elasticsearch import Elasticsearch

warnings.simplefilter("ignore")
URL, CA, PASSWORD = (os.environ[f"SEARCHGATE_{name}"] for name in ("URL", "CA", "PASSWORD"))
X = f"client-{uuid.uuid4().hex[:8]}"


def connect(**who):
    """A client of somebody."""
    return Elasticsearch([URL], ca_certs=CA, **who)


def refused(status, call, *arguments, **options):
    """The call fails with that status."""
    try:
        call(*arguments, **options)
    except elasticsearch.ApiError as seen:
        assert seen.status_code == status, seen
        return
    raise AssertionError(f"not refused with {status}")


def roles_and_users(security):
    """A role, a user who has it, and what becomes of both."""
    assert security.put_role(name=X, cluster=["monitor", "manage_own_api_key"])["role"]["created"]
    assert security.get_role(name=X)[X]["cluster"] == ["monitor", "manage_own_api_key"]
    assert security.bulk_put_role(roles={f"{X}-b": {"cluster": ["all"]}})["created"] == [f"{X}-b"]
    assert security.query_role(query={"term": {"name": X}})["total"] == 1
    assert security.put_user(username=X, password="first-password", roles=[X], full_name="A Client")["created"]
    assert security.get_user(username=X)[X]["full_name"] == "A Client"
    assert security.query_user(query={"prefix": {"username": X}})["total"] == 1
    user = connect(basic_auth=(X, "first-password"))
    assert user.security.authenticate()["roles"] == [X]
    user.security.change_password(password="second-password")
    refused(401, user.security.authenticate)
    user = connect(basic_auth=(X, "second-password"))
    security.disable_user(username=X)
    refused(401, user.security.authenticate)
    security.enable_user(username=X)
    assert user.security.has_privileges(cluster=["monitor", "manage"])["cluster"] == {"monitor": True, "manage": False}
    assert user.security.get_user_privileges()["cluster"] == ["manage_own_api_key", "monitor"]
    assert "manage_security" in security.get_builtin_privileges()["cluster"]
    security.clear_cached_roles(name=X)
    security.clear_cached_realms(realms="default_native")
    return user


def keys(security, user):
    """Keys of one's own, on behalf of a user, and their end."""
    made = user.security.create_api_key(name=f"{X}-own", expiration="1h", metadata={"team": "a"})
    key = connect(api_key=made["encoded"])
    assert key.security.authenticate()["api_key"]["id"] == made["id"]
    assert user.security.get_api_key(owner=True)["api_keys"][0]["name"] == f"{X}-own"
    refused(403, user.security.get_api_key)
    assert user.security.query_api_keys(query={"term": {"metadata.team": "a"}})["total"] == 1
    assert user.security.update_api_key(id=made["id"], metadata={"team": "b"})["updated"]
    assert user.security.bulk_update_api_keys(ids=[made["id"]], metadata={"team": "b"})["noops"] == [made["id"]]
    granted = security.grant_api_key(
        grant_type="password", username=X, password="second-password", api_key={"name": f"{X}-granted"},
    )
    assert security.get_api_key(id=granted["id"])["api_keys"][0]["username"] == X
    security.clear_api_key_cache(ids=granted["id"])
    remote = security.create_cross_cluster_api_key(name=f"{X}-remote", access={"search": [{"names": ["logs"]}]})
    security.update_cross_cluster_api_key(id=remote["id"], access={"search": [{"names": ["logs", "more"]}]})
    ended = security.invalidate_api_key(ids=[made["id"], granted["id"], remote["id"]])
    assert set(ended["invalidated_api_keys"]) == {made["id"], granted["id"], remote["id"]}, ended
    refused(401, key.security.authenticate)


def tokens(security):
    """A pair, its successor, and their end."""
    pair = security.get_token(grant_type="password", username=X, password="second-password")
    bearer = connect(bearer_auth=pair["access_token"])
    assert bearer.security.authenticate()["authentication_type"] == "token"
    successor = security.get_token(grant_type="refresh_token", refresh_token=pair["refresh_token"])
    again = security.get_token(grant_type="refresh_token", refresh_token=pair["refresh_token"])
    assert again["access_token"] == successor["access_token"]
    assert security.invalidate_token(token=pair["access_token"])["invalidated_tokens"] == 1
    refused(401, bearer.security.authenticate)
    assert security.invalidate_token(username=X)["invalidated_tokens"] > 0


def the_rest(security):
    """Mappings, privileges of applications, service accounts, profiles, settings."""
    rules = {"field": {"username": X}}
    assert security.put_role_mapping(name=X, enabled=True, roles=[X], rules=rules)["role_mapping"]["created"]
    assert security.get_role_mapping(name=X)[X]["roles"] == [X]
    assert security.delete_role_mapping(name=X)["found"]
    application = f"app{X.split('-')[1]}"
    security.put_privileges(privileges={application: {"read": {"actions": ["data:read/*"]}}})
    assert security.get_privileges(application=application)[application]["read"]["actions"] == ["data:read/*"]
    security.clear_cached_privileges(application=application)
    assert security.delete_privileges(application=application, name="read")[application]["read"]["found"]
    account = {"namespace": "elastic", "service": "fleet-server"}
    made = security.create_service_token(**account, name=X)
    fleet = connect(bearer_auth=made["token"]["value"])
    assert fleet.security.authenticate()["username"] == "elastic/fleet-server"
    assert X in security.get_service_credentials(**account)["tokens"]
    assert "elastic/fleet-server" in security.get_service_accounts(**account)
    security.clear_cached_service_tokens(**account, name=X)
    assert security.delete_service_token(**account, name=X)["found"]
    refused(401, fleet.security.authenticate)
    profile = security.activate_user_profile(grant_type="password", username=X, password="second-password")
    uid = profile["uid"]
    security.update_user_profile_data(uid=uid, data={"app": {"theme": "dark"}})
    assert security.get_user_profile(uid=uid, data="app")["profiles"][0]["data"]["app"]["theme"] == "dark"
    assert security.suggest_user_profiles(name=X)["profiles"][0]["uid"] == uid
    assert security.has_privileges_user_profile(uids=[uid], privileges={"cluster": ["monitor"]})["has_privilege_uids"] == [uid]
    security.disable_user_profile(uid=uid)
    security.enable_user_profile(uid=uid)
    security.get_settings()
    refused(403, security.enroll_kibana)


def main():
    security = connect(basic_auth=("elastic", PASSWORD)).security
    assert security.authenticate()["username"] == "elastic"
    user = roles_and_users(security)
    keys(security, user)
    tokens(security)
    the_rest(security)
    assert security.delete_user(username=X)["found"]
    assert security.delete_role(name=X)["found"]
    assert security.bulk_delete_role(names=[f"{X}-b"])["deleted"] == [f"{X}-b"]


main()

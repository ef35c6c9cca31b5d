"""What is asked of both, how often, and what it may cost beside the original."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from security.rivals import Rival, ask, basic
from security.swarm import request, run

USER, PASSWORD = "bench-user", "bench-password"
KEYS_LISTED = 10_000
API_KEY, TOKEN = "/_security/api_key", "/_security/oauth2/token"


@dataclass(frozen=True)
class Cell:
    """One row of the table. Counts are of searchgate and of the original, which is slower."""

    title: str
    counts: tuple[int, int]
    messages: Callable[[Rival, int], Iterator[bytes]]
    target: tuple[float, float] | None = None
    connections: int = 16

    def count(self, rival: Rival) -> int:
        """How many requests."""
        return self.counts[rival.name == "Elasticsearch"]


def prepare(rival: Rival) -> None:
    """A user for grants, and the keys that are listed."""
    user = {"password": PASSWORD, "roles": ["superuser"]}
    expect(200, *ask(rival, "PUT", f"/_security/user/{USER}", json.dumps(user)))
    names = (create(rival, f"listed-{number}") for number in range(KEYS_LISTED))
    run(rival.port, names, 64)


def expect(status: int, found: int, body: bytes) -> dict:
    """The answer, if it is that."""
    if found != status:
        raise OSError(f"status {found}: {body[:500]!r}")
    return json.loads(body)


def create(rival: Rival, name: str, refresh: str = "?refresh=false") -> bytes:
    """Makes a key limited to some logs."""
    descriptor = {"cluster": ["monitor"], "indices": [{"names": ["logs-*"], "privileges": ["create_doc", "auto_configure"]}]}
    body = {"name": name, "expiration": "1d", "role_descriptors": {"ingest": descriptor}}
    return request("PUT", API_KEY + refresh, rival.elastic, json.dumps(body))


def authenticate(rival: Rival, count: int) -> Iterator[bytes]:
    """The same key each time."""
    made = expect(200, *ask(rival, "PUT", API_KEY, json.dumps({"name": "me"})))
    return (request("GET", "/_security/_authenticate", f"ApiKey {made['encoded']}") for _ in range(count))


def created(rival: Rival, count: int) -> Iterator[bytes]:
    """A new key each time."""
    return (create(rival, f"new-{number}") for number in range(count))


def created_visible(rival: Rival, count: int) -> Iterator[bytes]:
    """A new key each time, found by the next search: the original's default."""
    return (create(rival, f"visible-{number}", "") for number in range(count))


def granted(rival: Rival, count: int) -> Iterator[bytes]:
    """A key on behalf of a user who shows a password."""
    body = {"grant_type": "password", "username": USER, "password": PASSWORD, "api_key": {"name": "granted"}}
    return (request("POST", f"{API_KEY}/grant?refresh=false", rival.elastic, json.dumps(body)) for _ in range(count))


def by_password(rival: Rival, count: int) -> Iterator[bytes]:
    """A pair of tokens for a password."""
    body = {"grant_type": "password", "username": USER, "password": PASSWORD}
    return (request("POST", TOKEN, rival.elastic, json.dumps(body)) for _ in range(count))


def pairs(rival: Rival, count: int) -> list[dict]:
    """So many pairs of tokens."""
    return [json.loads(body) for body in run(rival.port, by_password(rival, count), 16, keep=True).bodies]


def by_refresh(rival: Rival, count: int) -> Iterator[bytes]:
    """A pair for a refresh token, each for the first time."""
    bodies = [{"grant_type": "refresh_token", "refresh_token": pair["refresh_token"]} for pair in pairs(rival, count)]
    return (request("POST", TOKEN, rival.elastic, json.dumps(body)) for body in bodies)


def tokens_ended(rival: Rival, count: int) -> Iterator[bytes]:
    """Each access token once."""
    tokens = [pair["access_token"] for pair in pairs(rival, count)]
    return (request("DELETE", TOKEN, rival.elastic, json.dumps({"token": token})) for token in tokens)


def keys_ended(rival: Rival, count: int) -> Iterator[bytes]:
    """Each key once."""
    made = run(rival.port, created(rival, count), 16, keep=True).bodies
    ids = [json.loads(body)["id"] for body in made]
    return (request("DELETE", API_KEY, rival.elastic, json.dumps({"ids": [one]})) for one in ids)


def listed(rival: Rival, count: int) -> Iterator[bytes]:
    """All of ten thousand keys in one answer."""
    return (request("GET", f"{API_KEY}?name=listed-*", rival.elastic) for _ in range(count))


def queried(rival: Rival, count: int) -> Iterator[bytes]:
    """The newest hundred, as a page of Kibana asks for them."""
    body = {"query": {"prefix": {"name": "listed-"}}, "sort": [{"creation": {"order": "desc"}}], "size": 100}
    return (request("POST", "/_security/_query/api_key", rival.elastic, json.dumps(body)) for _ in range(count))


def by_user(rival: Rival, count: int) -> Iterator[bytes]:
    """The same password each time."""
    return (request("GET", "/_security/_authenticate", basic(USER, PASSWORD)) for _ in range(count))


CELLS = [
    Cell("_authenticate by API key", (40_000, 10_000), authenticate, (0.30, 0.15)),
    Cell("_authenticate by password", (40_000, 10_000), by_user),
    Cell("create a key, refresh=false", (8_000, 2_000), created, (0.50, 0.20)),
    Cell("create a key, default", (8_000, 48), created_visible),
    Cell("grant a key by password", (4_000, 1_000), granted),
    Cell("token by password", (4_000, 1_000), by_password, (0.50, 0.20)),
    Cell("token by refresh", (4_000, 1_000), by_refresh, (0.50, 0.20)),
    Cell("invalidate a token", (4_000, 600), tokens_ended),
    Cell("invalidate a key", (4_000, 48), keys_ended),
    Cell("list 10,000 keys", (20, 10), listed, connections=2),
    Cell("query the newest 100 of 10,000", (400, 400), queried, connections=4),
]

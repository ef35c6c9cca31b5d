"""A million keys in SQLite: what a key costs that nobody has seen, what the process holds, how fast keys come and pages go."""

import base64
import hashlib
import json
import os
import random
import secrets
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import documents
import peers
from security import cells
from security.rivals import Rival, ask, searchgate
from security.swarm import Outcome, request, run
from servers import Site

KEYS = 1_000_000
SEEN, QUICK_SEEN = 20_000, 5_000
CREATED, PAGES = 6_000, 40


def fill(database: Path, count: int) -> list[str]:
    """Copies the one key that is there, each under an id and with a secret of its own; returns some credentials."""
    connection = sqlite3.connect(database)
    connection.row_factory = sqlite3.Row
    model = dict(connection.execute("SELECT * FROM api_keys LIMIT 1").fetchone())
    columns = list(model)
    order = sqlite3_insert(columns)
    shown = []
    base = model["creation"] - count

    def rows() -> Iterator[list]:
        for number in range(count):
            key_id = f"{secrets.token_urlsafe(16)[:20]}"
            secret, salt = secrets.token_urlsafe(16), os.urandom(16)
            digest = hashlib.sha256(salt + secret.encode()).digest()
            row = {
                **model, "id": key_id, "salt": salt, "digest": digest, "name": f"filled-{number}",
                "creation": base + number, "username": f"owner-{number // 100}",
            }
            if number % max(1, count // SEEN) == 0:
                shown.append(base64.b64encode(f"{key_id}:{secret}".encode()).decode())
            yield [row[column] for column in columns]

    with connection:
        connection.executemany(order, rows())
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    random.Random(7).shuffle(shown)
    return shown


def sqlite3_insert(columns: list[str]) -> str:
    """Into the table of keys."""
    return f"INSERT INTO api_keys ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"


def forwarded(encoded: str) -> bytes:
    """A document of the cluster."""
    return request("GET", documents.path("2k"), f"ApiKey {encoded}")


def measure(site: Site, *, quick: bool) -> list[str]:
    """All of it, as lines of a report."""
    count = KEYS // 10 if quick else KEYS
    binary, folder, cpu = site.binary, site.folder, site.proxy_cpu
    with searchgate(binary, folder, cpu) as rival:
        run(rival.port, iter([request("PUT", cells.API_KEY, rival.elastic, '{"name":"model"}')]), 1)
        password = rival.password
    shown = fill(folder / "searchgate.db", count)
    with peers.upstream(site), searchgate(binary, folder, cpu, site.upstream) as rival:
        # The store has a password already: that of the first start.
        rival.password = password
        return list(report(rival, shown, count, quick=quick))


def report(rival: Rival, shown: list[str], count: int, *, quick: bool) -> Iterator[str]:
    """Lines, in the order of measuring."""
    started = rival.memory()
    seen = QUICK_SEEN if quick else SEEN
    run(rival.port, (forwarded(shown[0]) for _ in range(2_000)), 16)
    cached = [cost(rival, (forwarded(shown[0]) for _ in range(seen)), seen)[0] for _ in range(2)]
    first, outcome = cost(rival, (forwarded(one) for one in shown[1:seen]), seen - 1)
    again = min(cached)
    yield f"{count:,} keys in SQLite"
    yield f"  a document by a key in memory {again:6.1f} µs CPU a request; seen for the first time {first:6.1f} µs: {first / again:.2f} x [at most 3]"
    yield f"  p50 {outcome.percentile(50):.0f} µs, p99 {outcome.percentile(99):.0f} µs of keys seen for the first time"
    yield f"  resident {started:.0f} MB at start, {rival.memory():.0f} MB after {seen:,} keys were seen [under 300]"
    for words, forge in (("wrong secret", wrong_secret), ("unknown id", unknown)):
        ends = [forge(one) for one in shown[:16]]
        bad, _ = cost(rival, (forwarded(ends[turn % 16]) for turn in range(seen)), seen, 401)
        yield f"  {words}, 16 of them again and again: {bad:6.1f} µs, {bad / again:.2f} of a good request [below 1]"
    fresh, _ = cost(rival, (forwarded(unknown(shown[turn % len(shown)], turn)) for turn in range(seen)), seen, 401)
    yield f"  unknown ids, each another: {fresh:6.1f} µs, {fresh / first:.2f} of a good key seen for the first time [below 1]"
    made = CREATED // 3 if quick else CREATED
    spent, outcome = cost(rival, (cells.create(rival, f"made-{number}") for number in range(made)), made, connections=32)
    yield (f"  keys created over 32 connections: {outcome.rate:,.0f}/s [1,000], {spent:.0f} µs CPU each, "
           f"p50 {outcome.percentile(50) / 1e3:.1f} ms, p99 {outcome.percentile(99) / 1e3:.1f} ms")
    before = rival.memory()
    yield f"  pages of 1,000 by search_after: {paging(rival):.1f} ms each; resident {rival.memory() - before:+.0f} MB"
    total = one_list(rival)
    yield f"  the list of all keys: {total / 1e6:,.0f} MB of JSON; resident {rival.memory() - before:+.0f} MB while it went"


def cost(
    rival: Rival, messages: Iterator[bytes], count: int, status: int = 200, connections: int = 16,
) -> tuple[float, Outcome]:
    """CPU µs a request."""
    before = rival.cpu()
    outcome = run(rival.port, messages, connections, lambda found: found == status)
    return (rival.cpu() - before) / count * 1e6, outcome


def wrong_secret(encoded: str) -> str:
    """The id of a key, the secret of none."""
    key_id, _, _ = base64.b64decode(encoded).decode().partition(":")
    return base64.b64encode(f"{key_id}:{'x' * 22}".encode()).decode()


def unknown(encoded: str, number: int = 0) -> str:
    """An id of the right form that no key has."""
    key_id, _, secret = base64.b64decode(encoded).decode().partition(":")
    return base64.b64encode(f"{key_id[:12]}{number:08}:{secret}".encode()).decode()


def paging(rival: Rival) -> float:
    """Milliseconds a page, far from the beginning as well as near it."""
    after, latencies = [], []
    for _ in range(PAGES):
        query = {"size": 1_000, "sort": [{"creation": {"order": "asc"}}], **({"search_after": after} if after else {})}
        outcome = run(rival.port, iter([request("POST", "/_security/_query/api_key", rival.elastic, json.dumps(query))]), 1, keep=True)
        page = json.loads(outcome.bodies[0])
        if len(page["api_keys"]) != 1_000:
            raise OSError(f"a page of {len(page['api_keys'])} keys")
        after = page["api_keys"][-1]["_sort"]
        latencies.append(outcome.latencies[0] / 1e3)
    return sum(latencies) / len(latencies)


def one_list(rival: Rival) -> int:
    """Bytes of the answer that lists every key."""
    status, body = ask(rival, "GET", "/_security/api_key")
    if status != 200:
        raise OSError(f"status {status}")
    return len(body)

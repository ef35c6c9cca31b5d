"""Measures what it costs that a key is limited, and prints two tables.

Beside the original: the same searches and bulks of a key that is limited to some indices, on Elasticsearch with its own
security, and through searchgate on Elasticsearch without. CPU is that of all processes of each side: both servers may use
every CPU, and so may searchgate. The sides take turns.

At the front door: a bulk of 10 MB and 20,000 items through HAProxy, which looks at none of them, and through searchgate for
a key that may do everything and for a limited one, each on a CPU of its own, before a cluster that swallows what it is sent.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import machine
import peers
from authorization import swallow
from security import rivals, swarm
from security.cells import expect
from security.rivals import Rival, ask
from servers import Site, free_port, running, status, wait_until

ROUNDS, QUICK_ROUNDS = 5, 1
DESCRIPTORS = {"app": {"indices": [{"names": ["logs-a*"], "privileges": ["read", "write", "view_index_metadata"]}]}}
INDICES = [f"logs-{letter}{number}" for letter in "ab" for number in range(10)]
DOCUMENTS = 500
QUERY = json.dumps({"query": {"term": {"level": "error"}}, "size": 10})


@dataclass
class Side:
    """Who answers, and all that runs for it."""

    name: str
    front: Rival
    members: list[Rival]
    key: str = ""

    def cpu(self) -> float:
        """Seconds, of all its processes."""
        return sum(member.cpu() for member in self.members)

    def prepare(self) -> None:
        """Indices that the key may use and others, with documents in all, and the key."""
        settings = json.dumps({"settings": {"number_of_shards": 1, "number_of_replicas": 0}})
        for index in INDICES:
            expect(200, *ask(self.front, "PUT", f"/{index}", settings))
            expect(200, *ask(self.front, "POST", "/_bulk?refresh=true", bulk(index, DOCUMENTS)))
        made = expect(200, *ask(self.front, "PUT", "/_security/api_key", json.dumps({"name": "app", "role_descriptors": DESCRIPTORS})))
        self.key = f"ApiKey {made['encoded']}"


def bulk(index: str, count: int, length: int = 100) -> str:
    """Documents of a usual shape."""
    line = json.dumps({"index": {"_index": index}})
    documents = (json.dumps({"level": ("info", "error")[number % 2], "message": "x" * length, "n": number}) for number in range(count))
    return "".join(f"{line}\n{document}\n" for document in documents)


CELLS = [
    ("search one index", 4000, "GET", "/logs-a1/_search", QUERY),
    ("search *, narrowed", 2000, "GET", "/*/_search", QUERY),
    ("a bulk of 500 on one index", 200, "POST", "/_bulk", bulk("logs-a1", 500)),
    ("a bulk of 500, half refused", 200, "POST", "/_bulk", bulk("logs-a1", 250) + bulk("logs-b1", 250)),
]


def measure(side: Side, cell: tuple, *, quick: bool) -> tuple[float, swarm.Outcome]:
    """CPU µs a request, and what the client saw."""
    _, count, method, target, body = cell
    count = max(16, count // (8 if quick else 1))
    message = swarm.request(method, target, side.key, body)
    before = side.cpu()
    outcome = swarm.run(side.front.port, (message for _ in range(count)), 8)
    return (side.cpu() - before) / count * 1e6, outcome


def beside_the_original(ours: Side, theirs: Side, *, quick: bool) -> list[str]:
    """The first table."""
    lines = [f"{'':30} {'CPU µs a request':>24} {'ratio':>7} {'p50 ratio':>10} {'p99 ratio':>10}   p50 / p99 in ms: ours; the original"]
    for side in (ours, theirs):
        side.prepare()
    for cell in CELLS:
        measure(ours, cell, quick=True), measure(theirs, cell, quick=True)
        rounds = [
            {side.name: measure(side, cell, quick=quick) for side in ((ours, theirs) if number % 2 else (theirs, ours))}
            for number in range(QUICK_ROUNDS if quick else ROUNDS)
        ]

        def middle(name, figure, rounds=rounds):
            return median(figure(one[name]) for one in rounds)

        def ratio(figure, rounds=rounds):
            return median(figure(one[ours.name]) / figure(one[theirs.name]) for one in rounds)

        def at(percent):
            return lambda measured: measured[1].percentile(percent) / 1e3

        spent = [middle(side.name, lambda measured: measured[0]) for side in (ours, theirs)]
        seen = "; ".join(f"{middle(side.name, at(50)):.2f} / {middle(side.name, at(99)):.2f}" for side in (ours, theirs))
        lines.append(
            f"{cell[0]:30} {spent[0]:>11,.0f} :{spent[1]:>11,.0f} {ratio(lambda measured: measured[0]):>7.2f} "
            f"{ratio(at(50)):>10.2f} {ratio(at(99)):>10.2f}   {seen}"
        )
    return lines


@contextmanager
def swallowing(site: Site):
    """The cluster that answers at once, on the load's CPU."""
    room, port = site.room("swallow"), free_port()
    with running([sys.executable, swallow.__file__, str(port)], [site.load_cpu], room) as process:
        wait_until(lambda: status(port, "/") == 200, process, room, "the upstream")
        site.upstream = port
        yield


def front_door(site: Site, *, quick: bool) -> list[str]:
    """The second table."""
    body = bulk("logs-a", 20_000, 450)
    count, size = (8 if quick else 40), len(body) / 1e6
    lines = [f"a bulk of {size:.1f} MB, 20,000 items: {'CPU µs a MB':>15} {'to HAProxy':>12}"]
    with swallowing(site), peers.haproxy(site) as haproxy, \
            rivals.searchgate(site.binary, site.folder, site.proxy_cpu, site.upstream) as ours:
        made = expect(200, *ask(ours, "PUT", "/_security/api_key", json.dumps({"name": "app", "role_descriptors": DESCRIPTORS})))
        columns = [
            ("HAProxy", haproxy.plain, haproxy.process.pid, None),
            ("searchgate, superuser", ours.port, ours.pid, ours.elastic),
            ("searchgate, limited key", ours.port, ours.pid, f"ApiKey {made['encoded']}"),
        ]
        rounds = []
        for number in range(QUICK_ROUNDS + 1 if quick else ROUNDS):
            found = {}
            for name, port, pid, authorization in reversed(columns) if number % 2 else columns:
                message = swarm.request("POST", "/_bulk", authorization, body)
                before = machine.cpu_seconds(pid)
                swarm.run(port, (message for _ in range(count)), 2)
                found[name] = (machine.cpu_seconds(pid) - before) / count / size * 1e6
            rounds.append(found)
        for name, *_ in columns:
            times = median(one[name] / one["HAProxy"] for one in rounds)
            lines.append(f"{name:40} {median(one[name] for one in rounds):>13,.0f} {times:>12.2f}")
    return lines


def say(text: str) -> None:
    """To whoever waits."""
    print(text, file=sys.stderr, flush=True)


def main(build, words: list[str]) -> None:
    """Everything, in order."""
    parser = argparse.ArgumentParser(prog="scripts/bench authorization", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few rounds of fewer requests; rough figures")
    parser.add_argument("--binary", type=Path, help="a searchgate to measure instead of building one", metavar="PATH")
    parser.add_argument("--only", choices=["original", "front"], help="one half")
    given = parser.parse_args(words)
    binary = (given.binary or build()).resolve()
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        sys.exit("two CPUs are needed: one for searchgate, one for the load")
    os.sched_setaffinity(0, {cpus[1]})
    began = time.monotonic()
    print(machine.description(), flush=True)
    if given.only != "front":
        say("beside the original")
        with tempfile.TemporaryDirectory(prefix="searchgate-bench-") as folder, \
                rivals.elasticsearch(cpus[1]) as original, rivals.elasticsearch(cpus[1], security=False) as plain, \
                rivals.searchgate(binary, Path(folder), cpus[0], plain.port) as gate:
            sides = Side("searchgate", gate, [gate, plain]), Side("Elasticsearch", original, [original])
            print("\n".join(beside_the_original(*sides, quick=given.quick)), end="\n\n", flush=True)
    if given.only != "original":
        say("at the front door")
        with tempfile.TemporaryDirectory(prefix="searchgate-bench-") as folder:
            site = Site(Path(folder), proxy_cpu=cpus[0], load_cpu=cpus[1], binary=binary)
            site.make_certificate()
            print("\n".join(front_door(site, quick=given.quick)), end="\n\n")
    print(f"{time.monotonic() - began:.0f} s.")

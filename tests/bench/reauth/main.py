"""Measures what a renewed credential costs, and prints it.

A sidecar stands before a cluster whose token ends when it is told to. A thousand requests at once find it ended: they must make one
call to the token endpoint, and wait little longer than that takes. Then bulks of 10 MB, every second of which is refused once the
cluster has read all of it, and sent again with the token that a file holds by now. Last, what every request pays for being ready: the
CPU of a sidecar that shows a token of a file, and can replace it, over that of one that shows nothing. The header itself is in it.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from statistics import median

import machine
import peers
import slices
from cells import Cell, Target
from load import Traffic
from security import swarm
from servers import Peer, Site, cpus_of, free_port, running, status, wait_until

SIDECAR = """
listeners: [{{ address: "127.0.0.1:{plain}", shape: sidecar }}]
admin: {{ address: "127.0.0.1:{admin}" }}
upstream: {{ hosts: ["http://127.0.0.1:{upstream}"], credential: {credential} }}
limits: {{ idle_timeout: 10m, header_timeout: 60s }}
store: {{ url: "memory:" }}
logging: {{ format: json, level: info, audit: "off" }}
"""
OAUTH2 = (
    "{{ kind: oauth2, token_url: 'http://127.0.0.1:{port}/_security/oauth2/token', grant_type: client_credentials, "
    "client_id: bench, client_secret_file: '{room}/secret' }}"
)
BEARER = "{{ kind: bearer, token_file: '{room}/secret' }}"
WAITING, REFRESH_SECONDS = 1_000, 2.0
BULK_BYTES, BULKS, QUICK_BULKS = 10 << 20, 20, 6
ROUNDS, QUICK_ROUNDS = 12, 3
ARMED = Target(1.03, 1.01)


@dataclass(frozen=True)
class Ended:
    """A cluster that can be told to end its token."""

    port: int

    def tell(self, path: str) -> dict[str, int]:
        """What it counted."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request("GET", f"/control/{path}")
        counts = json.loads(connection.getresponse().read())
        connection.close()
        return counts


@contextmanager
def cluster(site: Site):
    """The cluster of `cluster.py`."""
    room, port = site.room("cluster"), free_port()
    command = [sys.executable, str(Path(__file__).with_name("cluster.py")), str(port)]
    with running(command, [site.load_cpu], room) as process:
        wait_until(lambda: status(port, "/") == 200, process, room, "the cluster")
        yield Ended(port)


@contextmanager
def sidecar(site: Site, name: str, credential: str, upstream: int):
    """searchgate as a sidecar, with a credential that names `{room}` and `{port}` of the cluster."""
    room, plain, admin = site.room("sidecar"), free_port(), free_port()
    (room / "secret").write_text("bench-token")
    shown = credential.format(room=room, port=upstream)
    (room / "searchgate.yml").write_text(SIDECAR.format(plain=plain, admin=admin, upstream=upstream, credential=shown))
    command = [str(site.binary), "serve", "--config", str(room / "searchgate.yml")]
    environment = {"SEARCHGATE_BOOTSTRAP_PASSWORD": "not-used-in-this-shape", "SEARCHGATE_THREADS": "1"}
    with running(command, cpus_of(site, 1), room, environment) as process:
        wait_until(lambda: status(admin, "/readyz") == 200, process, room, name)
        wait_until(lambda: status(plain, "/bench/_doc/2k") == 200, process, room, name)
        yield Peer(name, plain, 0, 1, "", checks_key=False, process=process, access_log=room / "stderr", admin=admin)


def waiting(peer: Peer, ended: Ended) -> str:
    """A thousand requests at once, with a good token and with one that has ended."""
    message = swarm.request("GET", "/bench/_doc/1", None)

    def at_once() -> swarm.Outcome:
        return swarm.run(peer.plain, iter([message] * WAITING), WAITING)

    at_once()  # opens the connections to the cluster
    plain = at_once()
    ended.tell(f"end/{REFRESH_SECONDS}")
    waited, counts = at_once(), ended.tell("counts")
    extra = (waited.percentile(99) - plain.percentile(99)) / 1e6
    if counts["grants"] != 1:
        raise swarm.SwarmError(f"{counts['grants']} calls to the token endpoint, not one")
    return (
        f"{WAITING:,} requests at once, a refresh of {REFRESH_SECONDS:g} s: {counts['refusals']:,} were refused and waited, "
        f"{counts['grants']} call to the token endpoint; p99 {plain.percentile(99) / 1e6:.2f} s with a good token, "
        f"{waited.percentile(99) / 1e6:.2f} s with one that has ended: {extra / REFRESH_SECONDS:.2f} of the refresh more"
    )


def bulks(peer: Peer, ended: Ended, count: int) -> str:
    """One after the other, every second one refused and sent again."""
    body = '{"index":{}}\n{"text":"' + "x" * 1_000 + '"}\n'
    message = swarm.request("POST", "/bench/_bulk", None, body * (BULK_BYTES // len(body)))
    times = {False: [], True: []}
    while len(times[True]) < count:
        for replaced in (False, True):
            if replaced:
                replace(peer, ended, f"token-of-{len(times[True])}")
            taken = swarm.run(peer.plain, iter([message]), 1).percentile(50) / 1e3
            refused = ended.tell("counts")["refusals"] == 1
            # A file that has changed is taken over by itself from time to time.
            if refused == replaced:
                times[replaced].append(taken)
            ended.tell("begin")
    once, twice = median(times[False]), median(times[True])
    return f"a bulk of 10 MB: {once:.0f} ms; refused once it was read, and sent again: {twice:.0f} ms ({twice / once:.2f} times)"


def replace(peer: Peer, ended: Ended, token: str) -> None:
    """Gives the cluster and the file another token, as those who mount secrets do."""
    ended.tell(f"take/{token}")
    file = peer.access_log.with_name("secret")
    file.with_suffix(".new").write_text(token)
    file.with_suffix(".new").rename(file)


def armed(site: Site, rounds: int, *, quick: bool) -> list[str]:
    """CPU a request of one that could send it again, over one that could not."""
    upload = site.folder / "upload"
    upload.write_bytes(b'{"index":{}}\n{"text":"' + b"x" * (16 << 10) + b'"}\n')
    cells = [
        Cell("get", "GET of 2 KB, 32 connections", Traffic(16_000, 32), ("armed", "not armed"), {}),
        Cell("post", "POST of 16 KB, 32 connections", Traffic(16_000, 32, upload=upload), ("armed", "not armed"), {}),
    ]
    taken = []
    with ExitStack() as stack:
        upstream = stack.enter_context(peers.upstream(site)).plain
        pair = [
            stack.enter_context(sidecar(site, "armed", BEARER, upstream)),
            stack.enter_context(sidecar(site, "not armed", "{{ kind: none }}", upstream)),
        ]
        for number in range(rounds):
            say(f"round {number + 1} of {rounds}")
            for cell in cells:
                part = cell.quick() if quick else cell
                for peer in reversed(pair) if number % 2 else pair:
                    taken += [one] if (one := slices.take(site, part, peer, number)) else []
    samples = slices.Samples(taken)
    lines = []
    for cell in cells:
        ratio = samples.ratio(cell.id, "armed", "not armed")
        if ratio is None:
            lines.append(f"{cell.title}: every slice dropped")
            continue
        own, other = (samples.middle(cell.id, name, "cpu") for name in ("armed", "not armed"))
        lines.append(f"{cell.title}: {own:.1f} µs of CPU armed, {other:.1f} not armed, ratio {ARMED.show(ratio)}")
    return lines


def say(text: str) -> None:
    """To whoever waits."""
    print(text, file=sys.stderr, flush=True)


def main(build, words: list[str]) -> None:
    """Everything, in order."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench reauth", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="fewer bulks, rounds and requests; rough figures")
    parser.add_argument("--binary", type=Path, help="a searchgate to measure instead of building one", metavar="PATH")
    given = parser.parse_args(words)
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        sys.exit("two CPUs are needed: one for searchgate, one for load and cluster")
    binary = (given.binary or build()).resolve()
    os.sched_setaffinity(0, {cpus[1]})
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="searchgate-bench-") as folder:
        site = Site(Path(folder), proxy_cpu=cpus[0], load_cpu=cpus[1], binary=binary)
        lines = []
        with cluster(site) as ended:
            say("a thousand requests")
            with sidecar(site, "sidecar", OAUTH2, ended.port) as peer:
                lines.append(waiting(peer, ended))
            say("bulks")
            ended.tell("take/bench-token")
            with sidecar(site, "sidecar", BEARER, ended.port) as peer:
                lines.append(bulks(peer, ended, QUICK_BULKS if given.quick else BULKS))
        lines += armed(site, QUICK_ROUNDS if given.quick else ROUNDS, quick=given.quick)
    version = subprocess.run([str(binary), "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if given.quick:
        print("QUICK: few rounds and requests; rough figures, to be confirmed by a full run.\n")
    print(machine.description(), version, sep="\n", end="\n\n")
    print("\n".join(lines), end="\n\n")
    print(f"[must/aim]: ++ aim reached, + must reached, !! missed. {time.monotonic() - began:.0f} s.")

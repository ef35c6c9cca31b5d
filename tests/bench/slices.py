"""Slices: the same requests through one peer, its CPU time read around them, the speed of the machine before and after."""

import os
import time
from dataclasses import dataclass
from statistics import median

import load
import machine
from cells import Cell
from load import LoadError, Traffic
from servers import Peer, Site

SPREAD = 0.12
TRIES = 3
# What a proxy still does after the last answer (writing access events) belongs to the requests.
SETTLE_SECONDS = 0.12


@dataclass(frozen=True)
class Slice:
    """One measurement. Times are as read; `speed` is what the spin loop took around them."""

    cell: str
    peer: str
    round: int
    speed: float
    cpu: float | None
    rate: float
    p50: float
    p99: float


def take(site: Site, cell: Cell, peer: Peer, round_number: int) -> Slice | None:
    """Measures until the machine kept one speed; `None` when it never did."""
    for _ in range(TRIES):
        before = machine.spin(site.proxy_cpu)
        try:
            cpu, outcome = measure(site, cell.traffic, peer)
        except LoadError as problem:
            raise LoadError(f"{name(peer)}, cell {cell.id}: {problem}") from problem
        after = machine.spin(site.proxy_cpu)
        if abs(after - before) <= SPREAD * min(before, after):
            return Slice(
                cell.id, name(peer), round_number, (before + after) / 2,
                None if peer.name == "no proxy" else cpu,
                outcome.rate, outcome.percentile(50), outcome.percentile(99),
            )
    return None


def measure(site: Site, traffic: Traffic, peer: Peer) -> tuple[float, load.Outcome]:
    """CPU seconds a request, and what the client saw."""
    port = peer.tls if traffic.tls else peer.plain
    log = site.folder / "h2load.log"

    def spent(part: Traffic) -> tuple[float, load.Outcome]:
        if peer.access_log is not None:
            os.truncate(peer.access_log, 0)
        start = machine.cpu_seconds(peer.process.pid)
        outcome = load.run(part, port, peer.headers, site.load_cpu, log)
        if peer.access_log is not None:
            time.sleep(SETTLE_SECONDS)
        return machine.cpu_seconds(peer.process.pid) - start, outcome

    if not traffic.tls or traffic.close:
        cpu, outcome = spent(traffic)
        return cpu / traffic.requests, outcome
    # On kept connections the handshakes are not what is measured: one request each, taken off.
    count = traffic.connections
    opening, _ = spent(Traffic(count, count, traffic.document, traffic.tls, traffic.h2))
    cpu, outcome = spent(traffic)
    return (cpu - opening) / (traffic.requests - count), outcome


def name(peer: Peer) -> str:
    """Of a column: two threads are somebody else."""
    return peer.name if peer.threads == 1 else f"{peer.name}, {peer.threads} threads"


class Samples:
    """All slices of a run, scaled to one speed."""

    def __init__(self, slices: list[Slice]) -> None:
        self.reference = median(one.speed for one in slices) if slices else 1.0
        self.by_place = {(one.cell, one.peer, one.round): one for one in slices}

    def figures(self, cell: str, peer: str, field: str) -> dict[int, float]:
        """A time of each round in µs, or the rate, as if the machine had kept one speed."""
        found = {}
        for (its_cell, its_peer, round_number), one in self.by_place.items():
            value = getattr(one, field)
            if (its_cell, its_peer) != (cell, peer) or value is None:
                continue
            scale = self.reference / one.speed
            found[round_number] = {"rate": value / scale, "cpu": value * scale * 1e6}.get(field, value * scale)
        return found

    def middle(self, cell: str, peer: str, field: str) -> float | None:
        """The median over the rounds."""
        found = self.figures(cell, peer, field)
        return median(found.values()) if found else None

    def ratio(self, cell: str, ours: str, theirs: str, field: str = "cpu") -> float | None:
        """The median of the ratios of each round."""
        mine, other = self.figures(cell, ours, field), self.figures(cell, theirs, field)
        both = [mine[number] / other[number] for number in mine if other.get(number)]
        return median(both) if both else None

    def added(self, cell: str, peer: str, base: str = "no proxy") -> dict[int, float]:
        """What a proxy adds to the p50 of each round."""
        mine, direct = self.figures(cell, peer, "p50"), self.figures(cell, base, "p50")
        return {number: mine[number] - direct[number] for number in mine if number in direct}

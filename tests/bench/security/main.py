"""Measures the security API beside Elasticsearch's own, and with a million keys, and prints both.

Both answer the same requests over as many connections, one after the other in turns. CPU is that of the server's whole process
tree; searchgate has one CPU, the original may use all. searchgate stores in SQLite with full durability; the original writes to
its index and, with refresh=false, answers before a search would find it.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import machine
from security import cells, million, rivals, swarm
from security.cells import Cell
from security.rivals import Rival
from servers import Site

ROUNDS, QUICK_ROUNDS = 3, 1


def measure(cell: Cell, rival: Rival, *, quick: bool) -> tuple[float, swarm.Outcome]:
    """CPU µs a request, and what the client saw."""
    count = max(cell.connections, cell.count(rival) // (4 if quick else 1))
    messages = cell.messages(rival, count)
    before = rival.cpu()
    outcome = swarm.run(rival.port, messages, cell.connections)
    return (rival.cpu() - before) / count * 1e6, outcome


def beside_the_original(ours: Rival, theirs: Rival, *, quick: bool) -> list[str]:
    """The table."""
    lines = [f"{'':32} {'CPU µs a request':>26} {'ratio':>7} {'[must/aim]':>12}   {'requests/s, p50 / p99 in ms: ours; the original':}"]
    for rival in (ours, theirs):
        say(f"preparing {rival.name}")
        cells.prepare(rival)
    for cell in cells.CELLS:
        say(cell.title)
        rounds = [
            {rival.name: measure(cell, rival, quick=quick) for rival in ((ours, theirs) if number % 2 else (theirs, ours))}
            for number in range(QUICK_ROUNDS if quick else ROUNDS)
        ]
        spent = {name: median(one[name][0] for one in rounds) for name in (ours.name, theirs.name)}
        ratio = median(one[ours.name][0] / one[theirs.name][0] for one in rounds)
        must, aim = cell.target or (None, None)
        mark = "" if must is None else "++" if ratio <= aim else "+" if ratio <= must else "!!"
        target = "" if must is None else f"[{must:.2f}/{aim:.2f}]{mark}"
        seen = "; ".join(
            f"{median(one[name][1].rate for one in rounds):,.0f}/s, "
            f"{median(one[name][1].percentile(50) for one in rounds) / 1e3:.2f} / "
            f"{median(one[name][1].percentile(99) for one in rounds) / 1e3:.2f}"
            for name in (ours.name, theirs.name)
        )
        lines.append(f"{cell.title:32} {spent[ours.name]:>10,.0f} : {spent[theirs.name]:>12,.0f} {ratio:>8.3f} {target:>14}   {seen}")
    return lines


def say(text: str) -> None:
    """To whoever waits."""
    print(text, file=sys.stderr, flush=True)


def main(build, words: list[str]) -> None:
    """Everything, in order."""
    parser = argparse.ArgumentParser(prog="scripts/bench keys", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one round of fewer requests, 100,000 keys; rough figures")
    parser.add_argument("--binary", type=Path, help="a searchgate to measure instead of building one", metavar="PATH")
    parser.add_argument("--only", choices=["original", "million"], help="one half")
    given = parser.parse_args(words)
    binary = (given.binary or build()).resolve()
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        sys.exit("two CPUs are needed: one for searchgate, one for the load")
    os.sched_setaffinity(0, {cpus[1]})
    began = time.monotonic()
    print(machine.description(), flush=True)
    if given.only != "million":
        with tempfile.TemporaryDirectory(prefix="searchgate-bench-") as folder, \
                rivals.searchgate(binary, Path(folder), cpus[0]) as ours, rivals.elasticsearch(cpus[1]) as theirs:
            print("\n".join(beside_the_original(ours, theirs, quick=given.quick)), end="\n\n", flush=True)
    if given.only != "original":
        with tempfile.TemporaryDirectory(prefix="searchgate-bench-") as folder:
            say("a million keys")
            site = Site(Path(folder), proxy_cpu=cpus[0], load_cpu=cpus[1], binary=binary)
            print("\n".join(million.measure(site, quick=given.quick)), end="\n\n")
    print(f"[must/aim]: ++ aim reached, + must reached, !! missed. {time.monotonic() - began:.0f} s.")

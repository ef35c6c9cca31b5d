"""Measures what a request costs through searchgate, HAProxy, nginx and no proxy, and prints one table.

CPU time is the run time of the proxy's process tree, which has one CPU to itself; load and upstream have another. The peers
are all up at once and take turns, in an order that is reversed each round. A fixed loop before and after each slice tells how
fast the machine was: slices in which that changed by over 12 % are dropped, the rest are scaled by it. Ratios are medians of
the ratios of each round; those within 5 % are ties. searchgate checks the key and its roles, counts, and writes an access
event for each request; the others write no log. In brackets: what the ratio must be at most, and the aim; `++` the
aim is reached, `+` what must be is, `!!` neither.
"""

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

import cells
import check
import idle
import machine
import peers
import report
import slices
from authorization import main as authorization
from load import LoadError
from searchgate import searchgate
from security import main as keys
from security.swarm import SwarmError
from servers import Site, StartError

REPOSITORY = Path(__file__).resolve().parents[2]
ROUNDS, QUICK_ROUNDS = 6, 3
# When a quick run stops measuring, however noisy the machine is.
QUICK_SECONDS = 80
IDLE_COUNTS, QUICK_IDLE_COUNTS = [1_000, 9_000], [1_000]


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="under two minutes: fewer rounds and requests, rougher figures")
    parser.add_argument("--cells", help=f"only these, of {','.join(cells.IDS)}", metavar="A,B")
    parser.add_argument("--rounds", type=int, help=f"{ROUNDS} unless told, {QUICK_ROUNDS} when quick", metavar="N")
    parser.add_argument("--json", type=Path, help="every slice as read, and the figures of idle connections", metavar="FILE")
    parser.add_argument("--binary", type=Path, help="a searchgate to measure instead of building one", metavar="PATH")
    parser.add_argument("--without-searchgate", action="store_true", help="only the others")
    given = parser.parse_args()
    given.rounds = given.rounds or (QUICK_ROUNDS if given.quick else ROUNDS)
    given.cells = given.cells.split(",") if given.cells else list(cells.IDS)
    if unknown := set(given.cells) - set(cells.IDS):
        parser.error(f"no such cell: {', '.join(sorted(unknown))}")
    return given


def build() -> Path:
    """The binary as it would be shipped."""
    subprocess.run(["cargo", "build", "--release", "--locked", "--bin", "searchgate"], cwd=REPOSITORY, check=True)
    target = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
    return target / "release" / "searchgate"


def version(command: list[str]) -> str:
    """First line that a program says of its version."""
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return (done.stdout + done.stderr).splitlines()[0]


def versions(binary: Path | None) -> list[str]:
    """Of everybody in the table, and of the load."""
    commands = [["haproxy", "-v"], ["nginx", "-v"], ["h2load", "--version"]]
    return [version(command) for command in ([[str(binary), "--version"]] if binary else []) + commands]


def starters(with_searchgate: bool) -> dict:
    """How each column of the table is started."""
    ours = {
        "searchgate": searchgate,
        "searchgate, 2 threads": lambda site: searchgate(site, threads=2),
    }
    return (ours if with_searchgate else {}) | {
        "HAProxy": peers.haproxy,
        "HAProxy + keys": lambda site: peers.haproxy(site, auth=True),
        "HAProxy, 2 threads": lambda site: peers.haproxy(site, threads=2),
        "nginx": peers.nginx,
        "nginx + auth_request": lambda site: peers.nginx(site, auth=True),
        "nginx, 2 threads": lambda site: peers.nginx(site, threads=2),
    }


def chosen_cells(given: argparse.Namespace) -> list[cells.Cell]:
    """What is measured in slices."""
    both = tuple(name for peer in cells.TLS_PEERS for name in (peer, f"{peer}, 2 threads"))
    threads = cells.Cell(cells.THREADS, "", cells.THREAD_TRAFFIC, both, {})
    chosen = [cell for cell in (*cells.CELLS, threads) if cell.id in given.cells]
    return [cell.quick() for cell in chosen] if given.quick else chosen


def measure_slices(site: Site, given: argparse.Namespace, start: dict) -> tuple[list[slices.Slice], int]:
    """All rounds of all cells; also how many slices were dropped."""
    chosen = chosen_cells(given)
    taken, dropped = [], 0
    deadline = time.monotonic() + (QUICK_SECONDS if given.quick else float("inf"))
    with ExitStack() as stack:
        up = {"no proxy": stack.enter_context(peers.upstream(site))}
        needed = {name for cell in chosen for name in cell.peers}
        up |= {name: stack.enter_context(begin(site)) for name, begin in start.items() if name in needed}
        for peer in up.values():
            check.check(site, peer)
        for number in range(given.rounds):
            say(f"round {number + 1} of {given.rounds}")
            for cell in chosen:
                present = [up[name] for name in cell.peers if name in up]
                for peer in reversed(present) if number % 2 else present:
                    if time.monotonic() > deadline:
                        say("out of time: the rest is left out")
                        return taken, dropped
                    one = slices.take(site, cell, peer, number)
                    dropped += one is None
                    taken += [one] if one else []
    return taken, dropped


def measure_idle(site: Site, given: argparse.Namespace, start: dict) -> dict[str, dict[int, float]]:
    """Each proxy alone and fresh, so that nothing freed before is used again unseen."""
    found = {}
    if cells.IDLE not in given.cells:
        return found
    with peers.upstream(site):
        for name in (name for name in cells.TLS_PEERS if name in start):
            say(f"idle connections of {name}")
            with start[name](site) as peer:
                found[name] = idle.kib_per_connection(peer, QUICK_IDLE_COUNTS if given.quick else IDLE_COUNTS)
    return found


def say(text: str) -> None:
    """To whoever waits."""
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    """Everything, in order."""
    given = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        sys.exit("two CPUs are needed: one for the proxy, one for load and upstream")
    binary = None if given.without_searchgate else (given.binary or build()).resolve()
    os.sched_setaffinity(0, {cpus[1]})
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="searchgate-bench-") as folder:
        site = Site(Path(folder), proxy_cpu=cpus[0], load_cpu=cpus[1], binary=binary)
        site.make_certificate()
        start = starters(binary is not None)
        taken, dropped = measure_slices(site, given, start)
        memory = measure_idle(site, given, start)
    facts = [machine.description(), *versions(binary)]
    if given.json:
        given.json.write_text(json.dumps({
            "quick": given.quick, "rounds": given.rounds, "machine": facts,
            "slices": [asdict(one) for one in taken], "idle_kib": memory,
        }, indent=1))
    if given.quick:
        print("QUICK: few rounds and requests; rough figures, to be confirmed by a full run.\n")
    print("\n".join(facts), end="\n\n")
    print(report.table(given.cells, slices.Samples(taken), memory), end="\n\n")
    print("[must/aim]: ++ aim reached, + must reached, !! missed.")
    print("searchgate checks key and roles, counts and logs each request; the others log nothing.")
    print(f"{len({one.round for one in taken})} rounds, {dropped} slices dropped, {time.monotonic() - began:.0f} s.")


if __name__ == "__main__":
    try:
        if sys.argv[1:2] == ["keys"]:
            keys.main(build, sys.argv[2:])
        elif sys.argv[1:2] == ["authorization"]:
            authorization.main(build, sys.argv[2:])
        else:
            main()
    except (check.CheckError, LoadError, StartError, SwarmError, OSError, subprocess.SubprocessError) as problem:
        sys.exit(f"bench: {problem}")
    except KeyboardInterrupt:
        sys.exit(130)

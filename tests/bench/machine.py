"""What the kernel knows of a process and a CPU: run time, memory, speed."""

import os
import platform
import time
from pathlib import Path

SPIN_STEPS = 130_000
SPINS = 3


def process_tree(pid: int) -> list[int]:
    """`pid` and all that descends from it."""
    found = [pid]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").iterdir():
            found += [int(child) for child in (task / "children").read_text().split()]
    return found


def cpu_seconds(pid: int) -> float:
    """Time that the process tree has run, to the nanosecond."""
    total = 0
    for member in process_tree(pid):
        for task in Path(f"/proc/{member}/task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def proportional_memory(pid: int) -> int:
    """Bytes of the process tree, shared pages divided among those who share them."""
    total = 0
    for member in process_tree(pid):
        for line in Path(f"/proc/{member}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024
    return total


def spin(cpu: int) -> float:
    """Seconds of CPU time that a fixed piece of work takes on `cpu` now: the speed of the moment.

    The best of three, because what others do in between costs the loop its caches.
    """
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cpu})
    try:
        return min(work() for _ in range(SPINS))
    finally:
        os.sched_setaffinity(0, allowed)


def work() -> float:
    """Seconds of CPU time that this thread spent on it."""
    start = time.thread_time_ns()
    value = 1
    for step in range(SPIN_STEPS):
        value = (value * 31 + step) & 0xFFFF
    return (time.thread_time_ns() - start) / 1e9


def description() -> str:
    """CPU model, cores and kernel."""
    models = [
        line.split(":", 1)[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    model = models[0] if models else platform.machine()
    return f"{model}, {os.cpu_count()} cores, Linux {platform.release()}"

"""The table."""

from statistics import median

import cells
from cells import CELLS
from slices import Samples

COLUMNS = ("cell", "proxy", "CPU µs", "/ HAProxy", "/ HAProxy + keys", "/ nginx", "requests/s", "p50 µs", "p99 µs", "more")
REFERENCES = ("HAProxy", "HAProxy + keys", "nginx")
OURS = "searchgate"
THREADS_TITLE = "1 and 2 threads, 32 connections, one key"


def table(chosen: list[str], samples: Samples, idle: dict[str, dict[int, float]]) -> str:
    """Markdown, with columns that line up in a terminal too."""
    rows = [row for cell in CELLS if cell.id in chosen for row in cell_rows(cell, samples)]
    if cells.THREADS in chosen:
        rows += thread_rows(samples)
    rows += idle_rows(idle)
    lines = [COLUMNS, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(COLUMNS))]
    text = [show(COLUMNS, widths), "| " + " | ".join("-" * width for width in widths) + " |"]
    return "\n".join(text + [show(row, widths) for row in rows])


def show(row: tuple[str, ...], widths: list[int]) -> str:
    """One line: names to the left, figures to the right."""
    padded = [text.ljust(width) if column in (0, 1, 9) else text.rjust(width)
              for column, (text, width) in enumerate(zip(row, widths, strict=True))]
    return "| " + " | ".join(padded) + " |"


def missing(title: str, peer: str) -> tuple[str, ...]:
    """A line that must not vanish only because there is nothing to say."""
    return (title, peer, *[""] * 7, "not measured, or every slice dropped")


def cell_rows(cell: cells.Cell, samples: Samples) -> list[tuple[str, ...]]:
    """One line a peer."""
    rows = []
    for peer in cell.peers:
        rate = samples.middle(cell.id, peer, "rate")
        if rate is None:
            rows.append(missing(cell.title if not rows else "", peer))
            continue
        ratios = [ratio(cell, samples, peer, reference) for reference in REFERENCES]
        # A handshake happens before the client's clock starts.
        latencies = ("", "") if cell.traffic.close else (
            f"{samples.middle(cell.id, peer, 'p50'):.0f}", f"{samples.middle(cell.id, peer, 'p99'):.0f}",
        )
        cpu = samples.middle(cell.id, peer, "cpu")
        rows.append((
            cell.title if not rows else "", peer, "" if cpu is None else f"{cpu:.1f}", *ratios,
            f"{rate:.0f}", *latencies, added_latency(cell, samples, peer),
        ))
    return rows


def ratio(cell: cells.Cell, samples: Samples, peer: str, reference: str) -> str:
    """With the target where this peer is us and the page has one."""
    figure = samples.ratio(cell.id, peer, reference)
    if figure is None:
        return ""
    target = cell.targets.get(reference)
    return target.show(figure) if target and peer == OURS else f"{figure:.2f}"


def added_latency(cell: cells.Cell, samples: Samples, peer: str) -> str:
    """At one connection: what this peer adds to the p50, and that over what nginx adds."""
    if cell.id != cells.ADDED_LATENCY_CELL or peer == "no proxy":
        return ""
    mine, theirs = samples.added(cell.id, peer), samples.added(cell.id, "nginx")
    if not mine:
        return ""
    text = f"p50 +{median(mine.values()):.0f} µs"
    both = [mine[number] / theirs[number] for number in mine if theirs.get(number)]
    if not both:
        return text
    figure = median(both)
    return f"{text}, / nginx's {cells.ADDED_LATENCY_TARGET.show(figure) if peer == OURS else f'{figure:.2f}'}"


def thread_rows(samples: Samples) -> list[tuple[str, ...]]:
    """Requests per CPU-second of two threads over those of one: CPU a request of one over that of two."""
    rows = []
    for peer in cells.TLS_PEERS:
        both = f"{peer}, 2 threads"
        figure = samples.ratio(cells.THREADS, peer, both)
        if figure is None:
            rows.append(missing(THREADS_TITLE if not rows else "", peer))
            continue
        shown = cells.THREAD_TARGET.show(figure) if peer == OURS else f"{figure:.2f}"
        for who, more in ((peer, ""), (both, f"requests per CPU-second / 1 thread's {shown}")):
            rows.append((
                THREADS_TITLE if not rows else "", who,
                f"{samples.middle(cells.THREADS, who, 'cpu'):.1f}", "", "", "",
                *(f"{samples.middle(cells.THREADS, who, field):.0f}" for field in ("rate", "p50", "p99")), more,
            ))
    return rows


def idle_rows(idle: dict[str, dict[int, float]]) -> list[tuple[str, ...]]:
    """KiB a connection."""
    rows = []
    for peer, figures in idle.items():
        for count, kib in figures.items():
            shown = cells.IDLE_TARGET.show(kib) if peer == OURS else f"{kib:.2f}"
            rows.append(("memory of an idle connection" if not rows else "", peer, *[""] * 7, f"{shown} KiB at {count:,}"))
    return rows

"""What is measured, between whom, and what it may cost."""

from dataclasses import dataclass, replace

from load import Traffic

EVERYONE = ("searchgate", "HAProxy", "HAProxy + keys", "nginx", "nginx + auth_request", "no proxy")
TLS_PEERS = ("searchgate", "HAProxy", "nginx")


@dataclass(frozen=True)
class Target:
    """Most that a figure may be, and what it should be; for `at_least`, the least."""

    must: float
    aim: float
    at_least: bool = False

    def mark(self, figure: float) -> str:
        """`++` the aim is reached, `+` only what must be, `!!` not even that."""
        good = (lambda bound: figure >= bound) if self.at_least else (lambda bound: figure <= bound)
        return "++" if good(self.aim) else "+" if good(self.must) else "!!"

    def show(self, figure: float) -> str:
        """The figure with its target and mark."""
        return f"{figure:.2f} [{self.must:g}/{self.aim:g} {self.mark(figure)}]"


@dataclass(frozen=True)
class Cell:
    """One row group of the table: the same traffic through each peer in turn."""

    id: str
    title: str
    traffic: Traffic
    peers: tuple[str, ...]
    targets: dict[str, Target]

    def quick(self) -> "Cell":
        """The same in a quarter of the requests."""
        return replace(self, traffic=replace(self.traffic, requests=self.traffic.requests // 4))


# CPU per request over that of the peer named, from the project's performance page.
CELLS = (
    Cell("c1", "1 connection, 2 KB", Traffic(16_000, 1), EVERYONE, {"HAProxy": Target(1.15, 0.90)}),
    Cell("c32", "32 connections, 2 KB", Traffic(16_000, 32), EVERYONE, {
        "HAProxy": Target(1.35, 1.00), "HAProxy + keys": Target(1.10, 0.80), "nginx": Target(1.50, 1.10),
    }),
    Cell("c256", "256 connections, 2 KB", Traffic(16_000, 256), EVERYONE, {"HAProxy": Target(1.40, 1.05)}),
    Cell("64k", "32 connections, 64 KB", Traffic(4_000, 32, "64k"), EVERYONE, {"HAProxy": Target(1.10, 0.85)}),
    Cell("1m", "32 connections, 1 MB", Traffic(800, 32, "1m"), EVERYONE, {}),
    Cell("tls", "TLS, 32 kept connections, 2 KB", Traffic(16_000, 32, tls=True), TLS_PEERS,
         {"HAProxy": Target(1.00, 0.80)}),
    Cell("handshake", "TLS full handshake and one request", Traffic(2_000, 32, tls=True, close=True), TLS_PEERS,
         {"HAProxy": Target(0.60, 0.45)}),
    Cell("h2", "h2 over TLS, 4 connections of 8 streams, 2 KB", Traffic(16_000, 4, tls=True, h2=True, streams=8),
         TLS_PEERS, {"HAProxy": Target(1.70, 1.30)}),
)

THREADS = "threads"
THREAD_TRAFFIC = Traffic(16_000, 32)
THREAD_TARGET = Target(0.80, 0.90, at_least=True)

IDLE = "idle"
IDLE_TARGET = Target(25, 14)

ADDED_LATENCY_CELL = "c1"
ADDED_LATENCY_TARGET = Target(1.4, 1.1)

IDS = (*(cell.id for cell in CELLS), THREADS, IDLE)

"""One run of h2load: fixed requests, and what came of them."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import documents

RUN_SECONDS = 120


class LoadError(Exception):
    """The answers were not what they must be, so no figure of this run means anything."""


@dataclass(frozen=True)
class Traffic:
    """What is asked, and how."""

    requests: int
    connections: int
    document: str = "2k"
    tls: bool = False
    h2: bool = False
    streams: int = 1
    close: bool = False
    upload: Path | None = None

    def url(self, port: int) -> str:
        """Where a peer with this port is asked."""
        path = documents.UPLOAD if self.upload else documents.path(self.document)
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{port}{path}"

    def answer_bytes(self) -> int:
        """Of one answer."""
        return len(documents.UPLOADED) if self.upload else documents.SIZES[self.document]


@dataclass(frozen=True)
class Outcome:
    """What the client saw."""

    rate: float
    latencies: list[int]

    def percentile(self, percent: float) -> float:
        """Of the latencies, in µs."""
        return self.latencies[min(len(self.latencies) - 1, int(len(self.latencies) * percent / 100))]


def command(traffic: Traffic, port: int, headers: dict[str, str]) -> list[str]:
    """The command line of h2load."""
    words = ["h2load", "-t1", f"-c{traffic.connections}", f"-n{traffic.requests}", f"-m{traffic.streams}"]
    if not traffic.h2:
        words.append("--h1")
    if traffic.close:
        headers = {**headers, "Connection": "close"}
    words += [f"-H{name}: {value}" for name, value in headers.items()]
    if traffic.upload:
        words += ["-d", str(traffic.upload), "-HContent-Type: application/x-ndjson"]
    return [*words, traffic.url(port)]


def run(traffic: Traffic, port: int, headers: dict[str, str], cpu: int, log: Path) -> Outcome:
    """Sends the requests from `cpu`; every answer must be a 200 with as many bytes as the document has."""
    log.unlink(missing_ok=True)
    words = ["taskset", "-c", str(cpu), *command(traffic, port, headers)]
    words.insert(-1, f"--log-file={log}")
    text = report(words)
    expected = traffic.requests * traffic.answer_bytes()
    good, data = number(r"status codes: (\d+) 2xx", text), number(r"\((\d+)\) data", text)
    if good != traffic.requests or data != expected:
        raise LoadError(f"{good} of {traffic.requests} answers were good, {data} of {expected} bytes came:\n{text}")
    if traffic.tls:
        for words in ("TLS Protocol: TLSv1.3", f"Application protocol: {'h2' if traffic.h2 else 'http/1.1'}"):
            if words not in text:
                raise LoadError(f"not spoken: {words}\n{text}")
    latencies = sorted(int(line.split("\t")[2]) for line in log.read_text().splitlines())
    return Outcome(rate=traffic.requests / finished(text), latencies=latencies)


def refusals(traffic: Traffic, port: int, headers: dict[str, str]) -> int:
    """How many of the requests were answered with a status of 4xx."""
    return number(r"(\d+) 4xx", report(command(traffic, port, headers)))


def report(words: list[str]) -> str:
    """What h2load says when it is done."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=RUN_SECONDS, check=False)
    except subprocess.TimeoutExpired as problem:
        raise LoadError(f"h2load was not done in {RUN_SECONDS} s") from problem
    if done.returncode:
        raise LoadError(f"h2load failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def number(pattern: str, text: str) -> int:
    """The one number of a line of h2load's report."""
    found = re.search(pattern, text)
    if found is None:
        raise LoadError(f"h2load's report has no {pattern!r}:\n{text}")
    return int(found[1])


def finished(text: str) -> float:
    """Seconds that the run took."""
    found = re.search(r"finished in ([\d.]+)(us|ms|s|m)\b", text)
    if found is None:
        raise LoadError(f"h2load's report has no time:\n{text}")
    return float(found[1]) * {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}[found[2]]

"""A load of requests that all differ, which h2load cannot send: raw HTTP/1.1 over kept connections, one request on each."""

import re
import select
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked\r\n", re.IGNORECASE)
RUN_SECONDS = 600


class SwarmError(Exception):
    """An answer was not what it must be, so no figure of this run means anything."""


@dataclass
class Outcome:
    """What the client saw; latencies in µs, sorted."""

    seconds: float
    latencies: list[float]
    bodies: list[bytes] = field(repr=False)

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.latencies) / self.seconds

    def percentile(self, percent: float) -> float:
        """Of the latencies, in µs."""
        return self.latencies[min(len(self.latencies) - 1, int(len(self.latencies) * percent / 100))]


def request(method: str, target: str, authorization: str | None, body: str = "") -> bytes:
    """One request as it goes over the wire."""
    head = [f"{method} {target} HTTP/1.1", "Host: localhost"]
    if authorization is not None:
        head.append(f"Authorization: {authorization}")
    if body:
        head += ["Content-Type: application/json", f"Content-Length: {len(body.encode())}"]
    return "\r\n".join([*head, "", body]).encode()


class Connection:
    """One connection and the answer that it waits for."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = b""
        self.sent_at = 0.0

    def send(self, message: bytes) -> None:
        """A whole request; they are all smaller than a socket's buffer."""
        self.received = b""
        self.sent_at = time.perf_counter()
        self.socket.sendall(message)

    def receive(self) -> tuple[int, bytes] | None:
        """Status and body once both are there."""
        piece = self.socket.recv(1 << 18)
        if not piece:
            raise SwarmError(f"the connection was closed after {self.received[:200]!r}")
        self.received += piece
        head, separator, body = self.received.partition(b"\r\n\r\n")
        if not separator:
            return None
        status = int(head[9:12])
        length = LENGTH.search(head + b"\r\n")
        if length is not None:
            return (status, body) if len(body) >= int(length[1]) else None
        if CHUNKED.search(head + b"\r\n") is None:
            raise SwarmError(f"an answer of no length: {head!r}")
        return (status, unchunk(body)) if body.endswith(b"0\r\n\r\n") else None


def unchunk(body: bytes) -> bytes:
    """The content of a chunked body that is complete."""
    content = []
    while body:
        size, _, rest = body.partition(b"\r\n")
        length = int(size, 16)
        content.append(rest[:length])
        body = rest[length + 2:] if length else b""
    return b"".join(content)


def run(
    port: int,
    messages: Iterator[bytes],
    connections: int,
    good: Callable[[int], bool] = lambda status: status == 200,
    *,
    keep: bool = False,
) -> Outcome:
    """Sends all messages, each connection the next one as soon as it has an answer, and checks every status."""
    latencies, bodies = [], []
    poll = select.epoll()
    open_ones = {}
    started = time.perf_counter()
    try:
        for _ in range(connections):
            message = next(messages, None)
            if message is None:
                break
            one = Connection(port)
            open_ones[one.socket.fileno()] = one
            poll.register(one.socket, select.EPOLLIN)
            one.send(message)
        while open_ones:
            if time.perf_counter() - started > RUN_SECONDS:
                raise SwarmError(f"not done in {RUN_SECONDS} s")
            for number, _ in poll.poll(30):
                one = open_ones[number]
                answer = one.receive()
                if answer is None:
                    continue
                status, body = answer
                if not good(status):
                    raise SwarmError(f"status {status}: {body[:500]!r}")
                latencies.append((time.perf_counter() - one.sent_at) * 1e6)
                if keep:
                    bodies.append(body)
                message = next(messages, None)
                if message is None:
                    poll.unregister(one.socket)
                    one.socket.close()
                    del open_ones[number]
                else:
                    one.send(message)
    finally:
        for one in open_ones.values():
            one.socket.close()
        poll.close()
    return Outcome(time.perf_counter() - started, sorted(latencies), bodies)

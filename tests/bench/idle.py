"""What an idle keep-alive connection holds in memory."""

import socket
import time

import documents
import machine
from servers import Peer

BATCH = 100
SETTLE_SECONDS = 1.0


def kib_per_connection(peer: Peer, counts: list[int]) -> dict[int, float]:
    """For each number of connections, each of which has asked once: growth of the process tree over it."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in peer.headers.items())
    request = f"GET {documents.path('2k')} HTTP/1.1\r\nHost: 127.0.0.1:{peer.plain}\r\n{lines}\r\n".encode()
    found: dict[int, float] = {}
    opened: list[socket.socket] = []
    try:
        for one in connect(peer, request, 1):
            one.close()
        base = settled_memory(peer)
        for count in counts:
            while len(opened) < count:
                opened += connect(peer, request, min(BATCH, count - len(opened)))
            found[count] = (settled_memory(peer) - base) / count / 1024
        return found
    finally:
        for one in opened:
            one.close()


def connect(peer: Peer, request: bytes, count: int) -> list[socket.socket]:
    """Opens connections that all have a request under way at once, and reads each answer whole."""
    opened = [socket.create_connection(("127.0.0.1", peer.plain), timeout=10) for _ in range(count)]
    for one in opened:
        one.sendall(request)
    for one in opened:
        read_answer(one, peer.name)
    return opened


def read_answer(connection: socket.socket, name: str) -> None:
    """Up to the last byte of the document."""
    document = documents.document("2k")
    received = b""
    while not received.endswith(document):
        more = connection.recv(65536)
        if not more:
            raise ConnectionError(f"{name} closed a connection that was to stay")
        received += more


def settled_memory(peer: Peer) -> int:
    """Once everything that a connection leaves behind has been put away."""
    time.sleep(SETTLE_SECONDS)
    return machine.proportional_memory(peer.process.pid)

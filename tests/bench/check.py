"""Before anything is timed: right bytes to those who may, 401 to those who may not, and the work that is claimed is done."""

import base64
import ssl
import time
from http.client import HTTPConnection, HTTPSConnection

import documents
import load
from load import Traffic
from servers import Peer, Site

EVENTS = 50


class CheckError(Exception):
    """A peer does not do what the table would say it did."""


def check(site: Site, peer: Peer) -> None:
    """Everything at once, for one peer."""
    for secure in (False, True) if peer.tls else (False,):
        for name in documents.SIZES:
            status, body = ask(site, peer, name, secure, peer.headers)
            if (status, body) != (200, documents.document(name)):
                raise CheckError(f"{peer.name}: {name} came as {status} with {len(body)} bytes")
        if peer.checks_key:
            for wrong in ({}, {"Authorization": f"ApiKey {other_secret(peer.key)}"}, {"Authorization": "ApiKey x"}):
                status, _ = ask(site, peer, "2k", secure, wrong)
                if status != 401:
                    raise CheckError(f"{peer.name}: a request that must be refused was answered {status}")
    if peer.checks_key and peer.tls:
        wrong = {"Authorization": f"ApiKey {other_secret(peer.key)}"}
        if load.refusals(Traffic(4, 1, tls=True, h2=True), peer.tls, wrong) != 4:
            raise CheckError(f"{peer.name}: a wrong key was let in over h2")
    if peer.access_log is not None:
        check_events(site, peer)


def ask(site: Site, peer: Peer, name: str, secure: bool, headers: dict[str, str]) -> tuple[int, bytes]:
    """One GET on a connection of its own."""
    if secure:
        trusted = ssl.create_default_context(cafile=site.folder / "server.crt")
        connection = HTTPSConnection("127.0.0.1", peer.tls, timeout=10, context=trusted)
    else:
        connection = HTTPConnection("127.0.0.1", peer.plain, timeout=10)
    try:
        connection.request("GET", documents.path(name), headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def other_secret(key: str) -> str:
    """The same key id with a secret that differs in its last character."""
    text = base64.b64decode(key).decode()
    return base64.b64encode((text[:-1] + ("A" if text[-1] != "A" else "B")).encode()).decode()


def check_events(site: Site, peer: Peer) -> None:
    """Each request is one line in the log, and counted."""
    before = events(peer)
    load.run(Traffic(EVENTS, 2), peer.plain, peer.headers, site.load_cpu, site.folder / "h2load.log")
    deadline = time.monotonic() + 5
    while events(peer) < before + EVENTS:
        if time.monotonic() > deadline:
            raise CheckError(f"{peer.name}: {events(peer) - before} access events of {EVENTS} requests")
        time.sleep(0.05)
    connection = HTTPConnection("127.0.0.1", peer.admin, timeout=5)
    connection.request("GET", "/metrics")
    if b"searchgate_" not in connection.getresponse().read():
        raise CheckError(f"{peer.name}: no metrics")
    connection.close()


def events(peer: Peer) -> int:
    """Lines of the log that tell of the small document."""
    path = documents.path("2k").encode()
    return sum(path in line for line in peer.access_log.read_bytes().splitlines())

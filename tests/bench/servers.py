"""What every server of a run needs: a place, a port, a certificate, CPUs; a start and a certain end."""

import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

START_SECONDS = 20


@dataclass
class Peer:
    """One running server."""

    name: str
    plain: int
    tls: int
    threads: int
    key: str
    checks_key: bool
    process: subprocess.Popen
    access_log: Path | None = None
    admin: int | None = None

    @property
    def headers(self) -> dict[str, str]:
        """What every request carries, to those who check it and to those who do not."""
        return {"Authorization": f"ApiKey {self.key}"}


@dataclass
class Site:
    """What the peers share: a folder, a certificate, CPUs, the upstream's port."""

    folder: Path
    proxy_cpu: int
    load_cpu: int
    binary: Path | None
    upstream: int = 0

    def room(self, name: str) -> Path:
        """A new folder for one instance."""
        return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.folder))

    @property
    def certificate(self) -> Path:
        """Certificate and key of every TLS listener, in one file as HAProxy wants it."""
        return self.folder / "server.pem"

    def make_certificate(self) -> None:
        """P-256, signed by itself."""
        key, certificate = self.folder / "server.key", self.folder / "server.crt"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
             "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
             "-keyout", str(key), "-out", str(certificate)],
            check=True, capture_output=True,
        )
        self.certificate.write_bytes(certificate.read_bytes() + key.read_bytes())


class StartError(Exception):
    """A server did not come up; its last words are inside."""


def free_port() -> int:
    """A loopback port that nobody has just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def running(command: list[str], cpus: list[int], room: Path, environment: dict[str, str] | None = None):
    """A server pinned to `cpus`; it dies with this block, and with us whatever kills us."""
    pinned = ["setpriv", "--pdeathsig", "TERM", "taskset", "-c", ",".join(map(str, cpus)), *command]
    with (room / "stderr").open("ab") as stderr:
        process = subprocess.Popen(
            pinned, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr,
            env={**os.environ, **(environment or {})},
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until(ready: Callable[[], bool], process: subprocess.Popen, room: Path, name: str) -> None:
    """Returns once the server answers."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if ready():
                return
        except (OSError, HTTPException):
            pass
        time.sleep(0.02)
    raise StartError(f"{name} did not start:\n" + (room / "stderr").read_text(errors="replace")[-2000:])


def status(port: int, path: str) -> int:
    """Of a GET over plain HTTP."""
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


def cpus_of(site: Site, threads: int) -> list[int]:
    """One thread has a CPU to itself; two must share the second with load and upstream."""
    return [site.proxy_cpu, site.load_cpu][:threads]

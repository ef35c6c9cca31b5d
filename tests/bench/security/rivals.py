"""Who answers the security API: searchgate over SQLite with full durability, and Elasticsearch with its own security."""

import base64
import os
import secrets
import signal
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

import machine
from servers import free_port, running, status, wait_until

REPOSITORY = Path(__file__).resolve().parents[3]
ELASTIC_PASSWORD = "changeme-secret"
TICKS = os.sysconf("SC_CLK_TCK")

SETTINGS = """
listeners: [{{ address: "127.0.0.1:{port}" }}]
admin: {{ address: "127.0.0.1:{admin}" }}
upstream: {{ hosts: ["http://127.0.0.1:{upstream}"] }}
store: {{ url: "sqlite:{folder}/searchgate.db" }}
api_keys: {{ max_per_owner: 2000000 }}
logging: {{ format: json, level: info, audit: "off" }}
"""


@dataclass
class Rival:
    """One running server of the security API."""

    name: str
    port: int
    pid: int
    password: str
    folder: Path

    @property
    def elastic(self) -> str:
        """`Authorization` of the superuser."""
        return basic("elastic", self.password)

    def cpu(self) -> float:
        """Seconds that the process tree has run; of the original to the tick, with threads that ended."""
        if self.name == "searchgate":
            return machine.cpu_seconds(self.pid)
        total = 0
        for member in machine.process_tree(self.pid):
            fields = Path(f"/proc/{member}/stat").read_text().rpartition(") ")[2].split()
            total += int(fields[11]) + int(fields[12])
        return total / TICKS

    def memory(self) -> float:
        """Resident megabytes."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        raise OSError("no VmRSS")


def basic(username: str, password: str) -> str:
    """Value of `Authorization`."""
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


@contextmanager
def searchgate(binary: Path, folder: Path, cpu: int, upstream: int = 1):
    """One data thread on a CPU of its own; its control plane shares it. Nobody listens at the upstream unless told."""
    port, admin, password = free_port(), free_port(), secrets.token_urlsafe(18)
    settings = folder / "searchgate.yml"
    settings.write_text(SETTINGS.format(port=port, admin=admin, upstream=upstream, folder=folder))
    environment = {"SEARCHGATE_BOOTSTRAP_PASSWORD": password, "SEARCHGATE_THREADS": "1"}
    with running([str(binary), "serve", "--config", str(settings)], [cpu], folder, environment) as process:
        wait_until(lambda: status(admin, "/readyz") == 200, process, folder, "searchgate")
        yield Rival("searchgate", port, process.pid, password, folder)


@contextmanager
def elasticsearch(load_cpu: int, *, security: bool = True):
    """8.19.21, with its own security or without, free to use every CPU."""
    folder = Path(tempfile.mkdtemp(prefix="searchgate-bench-original-"))
    folder.chmod(0o711)
    port = free_port()
    script = [str(REPOSITORY / "scripts" / "cluster")]
    everywhere = set(range(os.cpu_count() or 1))
    os.sched_setaffinity(0, everywhere)
    try:
        subprocess.run(
            [*script, "start", "elasticsearch", *(["--security"] if security else []), "--dir", str(folder), "--port", str(port)],
            check=True, stdout=subprocess.DEVNULL,
        )
        os.sched_setaffinity(0, {load_cpu})
        yield Rival("Elasticsearch", port, int((folder / "n1" / "group").read_text()), ELASTIC_PASSWORD, folder)
    finally:
        subprocess.run([*script, "stop", "--dir", str(folder)], check=True)
        subprocess.run(["rm", "-rf", str(folder)], check=True)


def ask(rival: Rival, method: str, target: str, body: str = "", authorization: str | None = None) -> tuple[int, bytes]:
    """One request outside of what is measured."""
    connection = HTTPConnection("127.0.0.1", rival.port, timeout=60)
    headers = {"Authorization": authorization or rival.elastic}
    if body:
        headers["Content-Type"] = "application/json"
    connection.request(method, target, body or None, headers)
    answer = connection.getresponse()
    found = answer.status, answer.read()
    connection.close()
    return found

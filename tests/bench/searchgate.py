"""searchgate itself, with all it does for a request."""

import base64
import json
import secrets
from contextlib import contextmanager
from http.client import HTTPConnection

from servers import Peer, Site, StartError, cpus_of, free_port, running, status, wait_until

SEARCHGATE = """
listeners:
  - address: 127.0.0.1:{plain}
  - address: 127.0.0.1:{tls}
    ssl: {{ certificate: {folder}/server.crt, key: {folder}/server.key }}
admin: {{ address: "127.0.0.1:{admin}" }}
upstream: {{ hosts: ["http://127.0.0.1:{upstream}"] }}
limits: {{ idle_timeout: 10m }}
store: {{ url: "memory:" }}
logging: {{ format: json, level: info, audit: "off" }}
"""



@contextmanager
def searchgate(site: Site, *, threads: int = 1):
    """searchgate with all it does for a request: the key, its roles, metrics, the access event in a file."""
    room, plain, tls, admin = site.room("searchgate"), free_port(), free_port(), free_port()
    settings = room / "searchgate.yml"
    settings.write_text(SEARCHGATE.format(
        plain=plain, tls=tls, admin=admin, upstream=site.upstream, folder=site.folder,
    ))
    password = secrets.token_urlsafe(18)
    environment = {"SEARCHGATE_BOOTSTRAP_PASSWORD": password, "SEARCHGATE_THREADS": str(threads)}
    command = [str(site.binary), "serve", "--config", str(settings)]
    with running(command, cpus_of(site, threads), room, environment) as process:
        wait_until(lambda: status(admin, "/readyz") == 200, process, room, "searchgate")
        key = create_key(plain, password)
        yield Peer(
            "searchgate", plain, tls, threads, key, checks_key=True, process=process,
            access_log=room / "stderr", admin=admin,
        )


def create_key(port: int, password: str) -> str:
    """An API key of `elastic`, with all of its privileges."""
    basic = base64.b64encode(f"elastic:{password}".encode()).decode()
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(
        "PUT", "/_security/api_key", json.dumps({"name": "bench"}),
        {"Authorization": f"Basic {basic}", "Content-Type": "application/json"},
    )
    answer = connection.getresponse()
    text = answer.read().decode(errors="replace")
    connection.close()
    if answer.status != 200:
        raise StartError(f"searchgate made no API key: {answer.status} {text[:500]}")
    return json.loads(text)["encoded"]

"""The proxies under test and the upstream behind them: their settings, started and stopped."""

import base64
import hashlib
import json
import os
import secrets
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import documents

START_SECONDS = 20
OPEN_FILES = 9_500


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
    _names: set[str] = field(default_factory=set)

    def room(self, name: str) -> Path:
        """A new folder for one instance."""
        fresh = next(f"{name}-{count}" for count in range(10_000) if f"{name}-{count}" not in self._names)
        self._names.add(fresh)
        (self.folder / fresh).mkdir()
        return self.folder / fresh

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


NGINX = """
daemon off;
user root;
pid {room}/nginx.pid;
error_log stderr warn;
worker_processes {threads};
worker_rlimit_nofile {files};
events {{ worker_connections {files}; }}
http {{
    access_log off;
    keepalive_timeout 600s;
    keepalive_requests 1000000000;
    client_body_temp_path {room}/body;
    proxy_temp_path {room}/proxy;
    fastcgi_temp_path {room}/fastcgi;
    uwsgi_temp_path {room}/uwsgi;
    scgi_temp_path {room}/scgi;
    {body}
}}
"""

NGINX_UPSTREAM = """
    default_type application/json;
    sendfile on;
    tcp_nopush on;
    open_file_cache max=16 inactive=1h;
    open_file_cache_valid 1h;
    add_header X-elastic-product Elasticsearch;
    server {{
        listen 127.0.0.1:{plain} backlog=4096;
        root {www};
        location = / {{ return 200 '{answer}'; }}
    }}
"""

NGINX_PROXY = """
    upstream cluster {{
        server 127.0.0.1:{upstream};
        keepalive 512;
        keepalive_requests 1000000000;
        keepalive_timeout 600s;
    }}
    map_hash_bucket_size 256;
    map $http_authorization $known {{ default 0; "ApiKey {key}" 1; }}
    server {{
        listen 127.0.0.1:{plain} backlog=4096 reuseport;
        listen 127.0.0.1:{tls} ssl http2 backlog=4096 reuseport;
        ssl_certificate {certificate};
        ssl_certificate_key {certificate};
        ssl_protocols TLSv1.2 TLSv1.3;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_max_temp_file_size 0;
        location / {{
            {auth}
            proxy_pass http://cluster;
        }}
        location = /_auth {{
            internal;
            if ($known = 0) {{ return 401; }}
            return 204;
        }}
    }}
"""

HAPROXY = """
global
    nbthread {threads}
    maxconn {files}
    ssl-default-bind-options ssl-min-ver TLSv1.2
defaults
    mode http
    timeout connect 5s
    timeout client 600s
    timeout server 600s
    timeout http-keep-alive 600s
    option http-keep-alive
    http-reuse always
frontend front
    bind 127.0.0.1:{plain} backlog 4096
    bind 127.0.0.1:{tls} ssl crt {certificate} alpn h2,http/1.1 backlog 4096
    {auth}
    default_backend cluster
backend cluster
    server node 127.0.0.1:{upstream}
"""


def some_key() -> str:
    """As long as a real one, for the proxies that do not make their own."""
    return base64.b64encode(f"{secrets.token_urlsafe(15)}:{secrets.token_urlsafe(16)}".encode()).decode()


@contextmanager
def upstream(site: Site):
    """nginx with the documents, on the load's CPU. As a peer it is 'no proxy'."""
    room, www, plain = site.room("upstream"), site.folder / "www", free_port()
    documents.write(www)
    body = NGINX_UPSTREAM.format(plain=plain, www=www, answer=documents.ROOT)
    settings = room / "nginx.conf"
    settings.write_text(NGINX.format(room=room, threads=1, files=OPEN_FILES, body=body))
    with running(["nginx", "-p", str(room), "-c", str(settings)], [site.load_cpu], room) as process:
        wait_until(lambda: status(plain, "/") == 200, process, room, "the upstream")
        site.upstream = plain
        yield Peer("no proxy", plain, 0, 1, some_key(), checks_key=False, process=process)


@contextmanager
def nginx(site: Site, *, auth: bool = False, threads: int = 1):
    """nginx, plain or asking a location of its own about each key."""
    name = "nginx + auth_request" if auth else "nginx"
    room, plain, tls, key = site.room("nginx"), free_port(), free_port(), some_key()
    body = NGINX_PROXY.format(
        plain=plain, tls=tls, upstream=site.upstream, certificate=site.certificate, key=key,
        auth="auth_request /_auth;" if auth else "",
    )
    settings = room / "nginx.conf"
    settings.write_text(NGINX.format(room=room, threads=threads, files=OPEN_FILES, body=body))
    with running(["nginx", "-p", str(room), "-c", str(settings)], cpus_of(site, threads), room) as process:
        wait_until(lambda: status(plain, "/") in (200, 401), process, room, name)
        yield Peer(name, plain, tls, threads, key, checks_key=auth, process=process)


@contextmanager
def haproxy(site: Site, *, auth: bool = False, threads: int = 1):
    """HAProxy, plain or looking up the SHA-256 of each key."""
    name = "HAProxy + keys" if auth else "HAProxy"
    room, plain, tls, key = site.room("haproxy"), free_port(), free_port(), some_key()
    known = room / "keys.map"
    known.write_text(hashlib.sha256(f"ApiKey {key}".encode()).hexdigest().upper() + " bench\n")
    look_up = f"http-request deny deny_status 401 unless {{ req.hdr(authorization),sha2(256),hex,map({known}) -m found }}"
    settings = room / "haproxy.cfg"
    settings.write_text(HAPROXY.format(
        threads=threads, files=OPEN_FILES, plain=plain, tls=tls, upstream=site.upstream,
        certificate=site.certificate, auth=look_up if auth else "",
    ))
    with running(["haproxy", "-db", "-f", str(settings)], cpus_of(site, threads), room) as process:
        wait_until(lambda: status(plain, "/") in (200, 401), process, room, name)
        yield Peer(name, plain, tls, threads, key, checks_key=auth, process=process)


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

READER = {"reader": {"indices": [{"names": ["bench"], "privileges": ["read"]}]}}


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
    """An API key of `elastic` that may read the documents and nothing else."""
    basic = base64.b64encode(f"elastic:{password}".encode()).decode()
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(
        "PUT", "/_security/api_key", json.dumps({"name": "bench", "role_descriptors": READER}),
        {"Authorization": f"Basic {basic}", "Content-Type": "application/json"},
    )
    answer = connection.getresponse()
    text = answer.read().decode(errors="replace")
    connection.close()
    if answer.status != 200:
        raise StartError(f"searchgate made no API key: {answer.status} {text[:500]}")
    return json.loads(text)["encoded"]

"""The proxies to compare with, as fast as they are known to be set, and the upstream behind everybody."""

import base64
import hashlib
import secrets
from contextlib import contextmanager

import documents
from servers import Peer, Site, cpus_of, free_port, running, status, wait_until

CONNECTIONS = 9_500

NGINX = """
daemon off;
user root;
pid {room}/nginx.pid;
error_log stderr warn;
worker_processes {threads};
worker_rlimit_nofile {connections};
events {{ worker_connections {connections}; }}
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
        location = {upload} {{ return 200 '{uploaded}'; }}
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
        proxy_buffer_size 16k;
        proxy_buffers 16 16k;
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

# A location with a header of its own inherits none, so the other one is said again.
NGINX_AUTH = """
            auth_request /_auth;
            proxy_set_header Authorization "";
            proxy_set_header Connection "";
"""

HAPROXY = """
global
    nbthread {threads}
    maxconn {connections}
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
    body = NGINX_UPSTREAM.format(
        plain=plain, www=www, answer=documents.ROOT, upload=documents.UPLOAD, uploaded=documents.UPLOADED,
    )
    settings = room / "nginx.conf"
    settings.write_text(NGINX.format(room=room, threads=1, connections=CONNECTIONS, body=body))
    with running(["nginx", "-p", str(room), "-c", str(settings)], [site.load_cpu], room) as process:
        wait_until(lambda: status(plain, "/") == 200, process, room, "the upstream")
        site.upstream = plain
        yield Peer("no proxy", plain, 0, 1, some_key(), checks_key=False, process=process)


@contextmanager
def nginx(site: Site, *, auth: bool = False, threads: int = 1):
    """nginx, plain or asking a location of its own about each key: as cheap as `auth_request` can be."""
    name = "nginx + auth_request" if auth else "nginx"
    room, plain, tls, key = site.room("nginx"), free_port(), free_port(), some_key()
    body = NGINX_PROXY.format(
        plain=plain, tls=tls, upstream=site.upstream, certificate=site.certificate, key=key,
        auth=NGINX_AUTH if auth else "",
    )
    settings = room / "nginx.conf"
    settings.write_text(NGINX.format(room=room, threads=threads, connections=CONNECTIONS, body=body))
    with running(["nginx", "-p", str(room), "-c", str(settings)], cpus_of(site, threads), room) as process:
        wait_until(lambda: status(plain, "/") in (200, 401), process, room, name)
        yield Peer(name, plain, tls, threads, key, checks_key=auth, process=process)


HAPROXY_KEYS = r"""
    http-request set-var(txn.key) req.hdr(authorization),word(2,\ ),b64dec
    http-request set-var(txn.expected) var(txn.key),field(1,:),map({known})
    http-request set-var(txn.digest) var(txn.key),field(2,:),sha2(256),hex
    http-request deny deny_status 401 unless {{ var(txn.digest),secure_memcmp(txn.expected) -m bool }}
    http-request del-header authorization
"""


@contextmanager
def haproxy(site: Site, *, auth: bool = False, threads: int = 1):
    """HAProxy, plain or looking up the id of each key, hashing its secret and comparing."""
    name = "HAProxy + keys" if auth else "HAProxy"
    room, plain, tls, key = site.room("haproxy"), free_port(), free_port(), some_key()
    known = room / "keys.map"
    identity, secret = base64.b64decode(key).decode().split(":")
    known.write_text(f"{identity} {hashlib.sha256(secret.encode()).hexdigest().upper()}\n")
    settings = room / "haproxy.cfg"
    settings.write_text(HAPROXY.format(
        threads=threads, connections=CONNECTIONS, plain=plain, tls=tls, upstream=site.upstream,
        certificate=site.certificate, auth=HAPROXY_KEYS.format(known=known) if auth else "",
    ))
    with running(["haproxy", "-db", "-f", str(settings)], cpus_of(site, threads), room) as process:
        wait_until(lambda: status(plain, "/") in (200, 401), process, room, name)
        yield Peer(name, plain, tls, threads, key, checks_key=auth, process=process)

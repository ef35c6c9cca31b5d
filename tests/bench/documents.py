"""What the upstream serves: documents of fixed sizes, and an answer to `GET /` as a cluster gives it."""

import json
from pathlib import Path

# Where bodies are sent, and what is answered to them.
UPLOAD, UPLOADED = "/bench/_bulk", '{"errors":false}'
SIZES = {"2k": 2 * 1024, "64k": 64 * 1024, "1m": 1024 * 1024}

ROOT = json.dumps({
    "name": "bench",
    "cluster_name": "bench",
    "cluster_uuid": "bench",
    "version": {
        "number": "8.19.0",
        "build_flavor": "default",
        "build_type": "tar",
        "build_hash": "0",
        "build_date": "2026-01-01T00:00:00.000Z",
        "build_snapshot": False,
        "lucene_version": "9.12.2",
        "minimum_wire_compatibility_version": "7.17.0",
        "minimum_index_compatibility_version": "7.0.0",
    },
    "tagline": "You Know, for Search",
})


def path(name: str) -> str:
    """Where the document is, for every proxy."""
    return f"/bench/_doc/{name}"


def document(name: str) -> bytes:
    """The bytes of it."""
    head = f'{{"_index":"bench","_id":"{name}","_version":1,"found":true,"_source":{{"text":"'
    tail = '"}}'
    words = "the quick brown fox jumps over the lazy dog "
    room = SIZES[name] - len(head) - len(tail)
    return (head + (words * (room // len(words) + 1))[:room] + tail).encode()


def write(folder: Path) -> None:
    """Lays them out as files for nginx."""
    for name in SIZES:
        file = folder / path(name).lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(document(name))

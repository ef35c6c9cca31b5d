"""A cluster whose token ends when it is told to, as a process of its own: `cluster.py PORT`."""

import asyncio
import json
import re
import sys
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import documents

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
BEARER = re.compile(rb"\r\nauthorization: *bearer (\S+)\r\n", re.IGNORECASE)
REFUSAL = json.dumps({
    "error": {
        "root_cause": [{"type": "security_exception", "reason": "token expired"}],
        "type": "security_exception", "reason": "token expired",
    },
    "status": 401,
})
CHALLENGE = 'WWW-Authenticate: Bearer realm="security", error="invalid_token", error_description="The access token expired"\r\n'


class Cluster:
    """What it counts, and which token is good."""

    def __init__(self) -> None:
        self.made = 0
        self.good = b""
        self.delay = 0.0
        self.counts = {"grants": 0, "refusals": 0}

    async def answer(self, method: str, path: str, token: bytes) -> tuple[int, str]:
        """Status and body."""
        if path.startswith("/control/"):
            return 200, self.control(*path.split("/")[2:])
        if path == "/":
            return 200, documents.ROOT
        if path == "/_security/oauth2/token":
            self.counts["grants"] += 1
            await asyncio.sleep(self.delay)
            self.made += 1
            self.good = f"token-{self.made}".encode()
            return 200, json.dumps({"access_token": self.good.decode(), "type": "Bearer", "expires_in": 3600})
        if token != self.good:
            self.counts["refusals"] += 1
            return 401, REFUSAL
        return 200, '{"took":1,"errors":false}' if method == "POST" else documents.ROOT

    def control(self, what: str, value: str = "0") -> str:
        """`end`: no token is good until the next grant, which takes `value` seconds. `take`: only `value` is. Both begin to
        count; `counts` only tells."""
        if what == "end":
            self.good, self.delay = b"", float(value)
        if what == "take":
            self.good = value.encode()
        if what != "counts":
            self.counts = {"grants": 0, "refusals": 0}
        return json.dumps(self.counts)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection: each body is read before its request is answered."""
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                method, path, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
                if length := LENGTH.search(head):
                    await reader.readexactly(int(length[1]))
                token = BEARER.search(head)
                status, body = await self.answer(method, path, token[1] if token else b"")
                writer.write((
                    f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nX-elastic-product: Elasticsearch\r\n"
                    f"{CHALLENGE if status == 401 else ''}Content-Length: {len(body)}\r\n\r\n{body}"
                ).encode())
                await writer.drain()
        writer.close()


async def main(port: int) -> None:
    """Until it is killed."""
    server = await asyncio.start_server(Cluster().serve, "127.0.0.1", port, backlog=4096, limit=1 << 20)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))

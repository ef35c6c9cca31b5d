"""A cluster that swallows whatever it is sent and answers at once, so that nothing but the front door is measured."""

import asyncio
import re
import sys

ANSWERS = {
    b"/_resolve/index": b'{"indices":[{"name":"logs-a","attributes":["open"]}],"aliases":[],"data_streams":[]}',
    b"/_ingest/pipeline": b"{}",
}
ROOT = b'{"version":{"number":"8.19.21"},"tagline":"You Know, for Search"}'
BULK = b'{"errors":false,"took":3,"items":[]}'
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked\r\n", re.IGNORECASE)


async def swallow(reader: asyncio.StreamReader, head: bytes) -> None:
    """Reads the body that belongs to a head."""
    if CHUNKED.search(head):
        while size := int(await reader.readline(), 16):
            await reader.readexactly(size + 2)
        await reader.readline()
    elif length := LENGTH.search(head):
        await reader.readexactly(int(length[1]))


async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection."""
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            await swallow(reader, head)
            method, target, _ = head.split(b" ", 2)
            known = next((answer for path, answer in ANSWERS.items() if target.startswith(path)), ROOT)
            answer = BULK if b"/_bulk" in target else known
            product = b"X-elastic-product: Elasticsearch\r\ncontent-type: application/json\r\n"
            writer.write(b"HTTP/1.1 200 OK\r\n" + product + b"content-length: %d\r\n\r\n" % len(answer))
            writer.write(b"" if method == b"HEAD" else answer)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main(port: int) -> None:
    """Serves until it is ended."""
    server = await asyncio.start_server(converse, "127.0.0.1", port, limit=1 << 20)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))

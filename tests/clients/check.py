"""What an application does through an official Python client, from the first ping to a wrong key.

Takes the address, the CA file, the encoded API key and that of a key for `books-*` only from SEARCHGATE_URL, SEARCHGATE_CA,
SEARCHGATE_KEY and SEARCHGATE_LIMITED_KEY, and the client from the module named as first argument (found by PYTHONPATH). Exits
non-zero at the first surprise.
"""

import base64
import importlib
import os
import sys
import uuid
import warnings
from urllib.parse import urlsplit

warnings.simplefilter("ignore")
module = importlib.import_module(sys.argv[1])
helpers = importlib.import_module(f"{sys.argv[1]}.helpers")
URL, CA, KEY, LIMITED_KEY = (os.environ[f"SEARCHGATE_{name}"] for name in ("URL", "CA", "KEY", "LIMITED_KEY"))
NAMES_PARTS = sys.argv[1] == "elasticsearch" and int(str(module.__versionstr__).split(".")[0]) >= 8


def connect(key, **options):
    """A client that shows this API key, in the way that its line of clients has."""
    if module.__name__ == "opensearchpy":
        headers = {"Authorization": f"ApiKey {key}"}
        return module.OpenSearch([URL], use_ssl=True, ca_certs=CA, headers=headers, **options)
    return module.Elasticsearch([URL], ca_certs=CA, api_key=key, **options)


def body(**parts):
    """A request body: named parts from 8 on, one object before and in OpenSearch."""
    return parts if NAMES_PARTS else {"body": parts}


def document(source):
    return {"document": source} if NAMES_PARTS else {"body": source}


def expect(error, call, *arguments, **options):
    try:
        call(*arguments, **options)
    except error as seen:
        return seen
    raise AssertionError(f"no {error.__name__}")


def contexts(client, index):
    """Reads an index of 501 documents page by page, in each way that there is."""
    page = client.search(index=index, scroll="1m", **body(size=200, query={"match_all": {}}))
    seen = 0
    while page["hits"]["hits"]:
        seen += len(page["hits"]["hits"])
        page = client.scroll(**body(scroll_id=page["_scroll_id"], scroll="1m"))
    assert seen == 501, seen
    client.clear_scroll(**body(scroll_id=page["_scroll_id"]))
    assert sum(1 for _ in helpers.scan(client, index=index, size=100)) == 501

    # Each product has its own words for points in time, which only its own clients speak.
    is_opensearch = client.info()["version"].get("distribution") == "opensearch"
    if is_opensearch != (module.__name__ == "opensearchpy"):
        return
    if is_opensearch:
        pit, order = client.create_pit(index=index, keep_alive="1m")["pit_id"], "_doc"  # one shard: a total order
    else:
        order = "_shard_doc"
        pit = client.open_point_in_time(index=index, keep_alive="1m")["id"]
    page = client.search(**body(size=400, sort=[order], pit={"id": pit, "keep_alive": "1m"}))
    after = page["hits"]["hits"][-1]["sort"]
    page = client.search(**body(size=400, sort=[order], pit={"id": page["pit_id"]}, search_after=after))
    assert len(page["hits"]["hits"]) == 101, page
    if is_opensearch:
        client.delete_pit(body={"pit_id": [page["pit_id"]]})
    else:
        client.close_point_in_time(**body(id=page["pit_id"]))


def main():
    client, index = connect(KEY), f"books-{uuid.uuid4().hex}"

    assert client.ping()
    assert client.info()["version"]["number"]

    client.indices.create(index=index, **body(settings={"number_of_shards": 1, "number_of_replicas": 0}))
    assert client.indices.exists(index=index)
    stored = client.index(index=index, id="a/b %ü", refresh=True, **document({"title": "slash", "number": -1}))
    assert stored["result"] == "created", stored
    assert client.get(index=index, id="a/b %ü")["_source"]["title"] == "slash"
    assert client.exists(index=index, id="a/b %ü")
    assert not client.exists(index=index, id="none")
    assert client.update(index=index, id="a/b %ü", **body(doc={"title": "cut"}))["result"] == "updated"

    count, errors = helpers.bulk(client, ({"_index": index, "_id": f"n{n}", "number": n} for n in range(500)), refresh=True)
    assert (count, errors) == (500, [])
    found = client.search(index=index, **body(query={"range": {"number": {"gte": 490}}}))
    assert found["hits"]["total"]["value"] == 10, found
    assert client.count(index=index)["count"] == 501

    for reader in (client, connect(LIMITED_KEY)):
        contexts(reader, index)
    foreign = client.search(index=index, scroll="1m", **body(size=200))
    assert expect(module.NotFoundError, connect(LIMITED_KEY).scroll, **body(scroll_id=foreign["_scroll_id"], scroll="1m"))
    client.clear_scroll(**body(scroll_id=foreign["_scroll_id"]))

    assert client.delete(index=index, id="n1")["result"] == "deleted"
    assert expect(module.NotFoundError, client.get, index=index, id="n1")
    assert expect(module.NotFoundError, client.search, index=f"{index}-none")
    assert expect(module.ConflictError, client.create, index=index, id="n2", **document({"number": 2}))
    assert expect(module.BadRequestError if NAMES_PARTS else module.RequestError, client.search, index=index, **body(query={"no": {}}))

    # What a sniffing client would connect to next.
    nodes = client.nodes.info(metric="http")["nodes"].values()
    assert [node["http"]["publish_address"] for node in nodes] == [urlsplit(URL).netloc], nodes

    identifier = base64.b64decode(KEY).decode().split(":")[0]
    wrong = connect(base64.b64encode(f"{identifier}:wrong".encode()).decode())
    assert expect(module.AuthenticationException, wrong.search, index=index)

    assert client.indices.delete(index=index)["acknowledged"]


main()

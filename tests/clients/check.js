// What an application does through an official Node client, from the first ping to a wrong key.
//
// Takes the address, the CA file, the encoded API key and that of a key for `books-*` only from SEARCHGATE_URL, SEARCHGATE_CA,
// SEARCHGATE_KEY and SEARCHGATE_LIMITED_KEY, the client from the package named as first argument, and the folder that it is
// installed in from the second. Exits non-zero at the first surprise.

const assert = require('node:assert/strict');
const { randomUUID } = require('node:crypto');
const { readFileSync } = require('node:fs');
const { createRequire } = require('node:module');

const [name, folder] = process.argv.slice(2);
const { Client, errors } = createRequire(`${folder}/`)(name);
const { SEARCHGATE_URL: url, SEARCHGATE_CA: ca, SEARCHGATE_KEY: key, SEARCHGATE_LIMITED_KEY: limitedKey } = process.env;
const opensearch = name.startsWith('opensearch');

/** A client that shows this API key, in the way that its line of clients has. */
function connect(key) {
  const tls = { ca: readFileSync(ca) };
  return opensearch
    ? new Client({ node: url, ssl: tls, headers: { authorization: `ApiKey ${key}` } })
    : new Client({ node: url, tls, auth: { apiKey: key } });
}

/** A request: its parts beside the parameters, in OpenSearch in a body. */
const body = parts => (opensearch ? { body: parts } : parts);
const document = source => (opensearch ? { body: source } : { document: source });
/** What was answered, without the envelope that OpenSearch's client puts around it. */
const answer = async call => (opensearch ? (await call).body : call);
const refused = (call, status) =>
  assert.rejects(call, error => error instanceof errors.ResponseError && error.statusCode === status);

/** Reads an index of 501 documents page by page. */
async function contexts(client, index) {
  let page = await answer(client.search({ index, scroll: '1m', ...body({ size: 200, query: { match_all: {} } }) }));
  let seen = 0;
  while (page.hits.hits.length > 0) {
    seen += page.hits.hits.length;
    page = await answer(client.scroll(body({ scroll_id: page._scroll_id, scroll: '1m' })));
  }
  assert.equal(seen, 501);
  await client.clearScroll(body({ scroll_id: page._scroll_id }));
  let scrolled = 0;
  for await (const _ of client.helpers.scrollDocuments({ index, ...body({ size: 100, query: { match_all: {} } }) })) scrolled += 1;
  assert.equal(scrolled, 501);
}

async function main() {
  const client = connect(key);
  const index = `books-${randomUUID()}`;

  assert.equal(await answer(client.ping()), true);
  assert.ok((await answer(client.info())).version.number);

  await client.indices.create({ index, ...body({ settings: { number_of_shards: 1, number_of_replicas: 0 } }) });
  assert.equal(await answer(client.indices.exists({ index })), true);
  const id = 'a/b %ü';
  const stored = await answer(client.index({ index, id, refresh: true, ...document({ title: 'slash', number: -1 }) }));
  assert.equal(stored.result, 'created');
  assert.equal((await answer(client.get({ index, id })))._source.title, 'slash');
  assert.equal(await answer(client.exists({ index, id: 'none' })), false);
  assert.equal((await answer(client.update({ index, id, ...body({ doc: { title: 'cut' } }) }))).result, 'updated');

  const datasource = Array.from({ length: 500 }, (_, number) => ({ number }));
  const onDocument = ({ number }) => ({ index: { _index: index, _id: `n${number}` } });
  const done = await client.helpers.bulk({ datasource, onDocument, refreshOnCompletion: index, flushBytes: 4000, concurrency: 5 });
  assert.deepEqual([done.successful, done.failed], [500, 0]);
  const found = await answer(client.search({ index, ...body({ query: { range: { number: { gte: 490 } } } }) }));
  assert.equal(found.hits.total.value, 10);
  assert.equal((await answer(client.count({ index }))).count, 501);

  for (const reader of [client, connect(limitedKey)]) await contexts(reader, index);

  assert.equal((await answer(client.delete({ index, id: 'n1' }))).result, 'deleted');
  await refused(client.get({ index, id: 'n1' }), 404);
  await refused(client.search({ index: `${index}-none` }), 404);
  await refused(client.create({ index, id: 'n2', ...document({ number: 2 }) }), 409);
  await refused(client.search({ index, ...body({ query: { no: {} } }) }), 400);

  // What a sniffing client would connect to next.
  const { nodes } = await answer(client.nodes.info({ metric: 'http' }));
  assert.deepEqual(Object.values(nodes).map(node => node.http.publish_address), [new URL(url).host]);

  const identifier = Buffer.from(key, 'base64').toString().split(':')[0];
  await refused(connect(Buffer.from(`${identifier}:wrong`).toString('base64')).search({ index }), 401);

  assert.equal((await answer(client.indices.delete({ index }))).acknowledged, true);
}

main().catch(error => {
  console.error(error);
  process.exit(1);
});

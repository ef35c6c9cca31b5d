// An OAuth server, and a cluster that takes its tokens: `server.js PORT`. Prints a refresh token, then serves both.
//
// Access tokens live two seconds. Each use of a refresh token gives the next one, and a second use ends the whole chain. GET
// /told says how often tokens were asked for, and how often the cluster refused one.

import http from 'node:http';
import Provider from 'oidc-provider';

const port = Number(process.argv[2]);
const issuer = `http://127.0.0.1:${port}/oauth`;
const client = { client_id: 'search gate', client_secret: 'a secret: of+50 %', redirect_uris: ['http://127.0.0.1/unused'] };
const told = { client_credentials: 0, refresh_token: 0, refused: 0 };

const provider = new Provider(issuer, {
  clients: [{ ...client, grant_types: ['client_credentials', 'authorization_code', 'refresh_token'] }],
  features: { clientCredentials: { enabled: true }, devInteractions: { enabled: false } },
  scopes: ['search', 'offline_access'],
  ttl: { AccessToken: 2, ClientCredentials: 2, RefreshToken: 3600, Grant: 3600 },
  rotateRefreshToken: true,
  issueRefreshToken: () => true,
  findAccount: (_, accountId) => ({ accountId, claims: () => ({ sub: accountId }) }),
});
provider.on('grant.success', (context) => { told[context.oidc.params.grant_type] += 1; });

// What the user's consent would have given.
async function firstRefreshToken() {
  const grant = new provider.Grant({ accountId: 'alice', clientId: client.client_id });
  grant.addOIDCScope('openid offline_access search');
  const token = new provider.RefreshToken({
    accountId: 'alice', client: await provider.Client.find(client.client_id), grantId: await grant.save(),
    gty: 'authorization_code', scope: 'openid offline_access search',
  });
  return token.save();
}

async function cluster(request, response) {
  for await (const _ of request);
  const token = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1];
  const known = token && (await provider.AccessToken.find(token) ?? await provider.ClientCredentials.find(token));
  const answer = (status, body, headers = {}) => {
    response.writeHead(status, { 'content-type': 'application/json', 'x-elastic-product': 'Elasticsearch', ...headers });
    response.end(JSON.stringify(body));
  };
  if (request.url === '/told') return answer(200, told);
  if (known?.isValid) return answer(200, { version: { number: '8.19.21' }, tagline: 'You Know, for Search', by: known.accountId ?? known.clientId });
  told.refused += 1;
  return answer(401, { error: 'invalid_token' }, { 'www-authenticate': 'Bearer realm="search", error="invalid_token"' });
}

const oauth = provider.callback();
http.createServer((request, response) => {
  if (!request.url.startsWith('/oauth/')) return cluster(request, response);
  request.originalUrl = request.url;
  request.url = request.url.slice('/oauth'.length);
  return oauth(request, response);
}).listen(port, '127.0.0.1', async () => console.log(await firstRefreshToken()));

-- Times are milliseconds since the epoch. What is only ever read whole is JSON in `document`.

CREATE TABLE users (
    namespace TEXT NOT NULL CHECK (namespace IN ('native', 'reserved')),
    username TEXT NOT NULL,
    password TEXT,
    enabled INTEGER NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (namespace, username)
) STRICT, WITHOUT ROWID;

CREATE TABLE api_keys (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    salt BLOB NOT NULL,
    digest BLOB NOT NULL,
    creation INTEGER NOT NULL,
    expiration INTEGER,
    invalidation INTEGER,
    last_used INTEGER,
    kind TEXT NOT NULL CHECK (kind IN ('rest', 'cross_cluster')),
    username TEXT NOT NULL,
    realm TEXT NOT NULL,
    document TEXT NOT NULL
) STRICT;

-- Holds all that a filter asks of a key: pages are walked in order, and keys counted, without reading those left out.
CREATE INDEX api_keys_by_creation ON api_keys (creation, id, name, username, realm, kind, invalidation, expiration);
CREATE INDEX api_keys_by_name ON api_keys (name, creation, id);
-- Counts the live keys of an owner without reading them.
CREATE INDEX api_keys_by_owner ON api_keys (username, realm, creation, id, invalidation, expiration);
CREATE INDEX api_keys_by_expiration ON api_keys (expiration) WHERE expiration IS NOT NULL;
CREATE INDEX api_keys_by_invalidation ON api_keys (invalidation) WHERE invalidation IS NOT NULL;

-- An access token and the refresh token that came with it, under the digest of the former. `username` and `realm` are
-- of the effective user.
CREATE TABLE tokens (
    digest BLOB NOT NULL PRIMARY KEY,
    creation INTEGER NOT NULL,
    expiration INTEGER NOT NULL,
    invalidation INTEGER,
    refresh_digest BLOB,
    refresh_invalidation INTEGER,
    superseded INTEGER,
    sealed BLOB,
    username TEXT NOT NULL,
    realm TEXT NOT NULL,
    document TEXT NOT NULL,
    CHECK ((superseded IS NULL) = (sealed IS NULL))
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX tokens_by_refresh ON tokens (refresh_digest) WHERE refresh_digest IS NOT NULL;
CREATE INDEX tokens_by_owner ON tokens (username, realm, creation);
CREATE INDEX tokens_by_realm ON tokens (realm, creation);
CREATE INDEX tokens_by_expiration ON tokens (expiration);

CREATE TABLE documents (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;

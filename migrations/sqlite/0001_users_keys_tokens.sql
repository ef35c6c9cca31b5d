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
    username TEXT NOT NULL,
    realm TEXT NOT NULL,
    document TEXT NOT NULL
) STRICT;

CREATE INDEX api_keys_by_name ON api_keys (name);
-- Counts the live keys of an owner without reading them.
CREATE INDEX api_keys_by_owner ON api_keys (username, realm, invalidation, expiration);
CREATE INDEX api_keys_by_expiration ON api_keys (expiration) WHERE expiration IS NOT NULL;
CREATE INDEX api_keys_by_invalidation ON api_keys (invalidation) WHERE invalidation IS NOT NULL;

CREATE TABLE tokens (
    digest BLOB NOT NULL PRIMARY KEY,
    creation INTEGER NOT NULL,
    expiration INTEGER NOT NULL,
    invalidation INTEGER,
    document TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX tokens_by_expiration ON tokens (expiration);

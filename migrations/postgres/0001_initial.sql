-- Times are milliseconds since the epoch. What is only ever read whole is JSON in `document`. Names are BYTEA that holds
-- UTF-8: they may hold U+0000, which TEXT cannot, and order by their bytes whatever the locale of the database.

CREATE TABLE users (
    namespace TEXT NOT NULL CHECK (namespace IN ('native', 'reserved')),
    username BYTEA NOT NULL,
    password TEXT,
    enabled BOOLEAN NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (namespace, username)
);

CREATE TABLE api_keys (
    id BYTEA NOT NULL PRIMARY KEY,
    name BYTEA NOT NULL,
    salt BYTEA NOT NULL,
    digest BYTEA NOT NULL,
    creation BIGINT NOT NULL,
    expiration BIGINT,
    invalidation BIGINT,
    last_used BIGINT,
    kind TEXT NOT NULL CHECK (kind IN ('rest', 'cross_cluster')),
    username BYTEA NOT NULL,
    realm BYTEA NOT NULL,
    document TEXT NOT NULL
);

CREATE INDEX api_keys_by_creation ON api_keys (creation, id);
CREATE INDEX api_keys_by_name ON api_keys (name, creation, id);
-- Counts the live keys of an owner without reading them.
CREATE INDEX api_keys_by_owner ON api_keys (username, realm, creation, id) INCLUDE (invalidation, expiration);
CREATE INDEX api_keys_by_expiration ON api_keys (expiration) WHERE expiration IS NOT NULL;
CREATE INDEX api_keys_by_invalidation ON api_keys (invalidation) WHERE invalidation IS NOT NULL;

-- An access token and the refresh token that came with it, under the digest of the former. `username` and `realm` are
-- of the effective user.
CREATE TABLE tokens (
    digest BYTEA NOT NULL PRIMARY KEY,
    creation BIGINT NOT NULL,
    expiration BIGINT NOT NULL,
    invalidation BIGINT,
    refresh_digest BYTEA UNIQUE,
    refresh_invalidation BIGINT,
    superseded BIGINT,
    sealed BYTEA,
    username BYTEA NOT NULL,
    realm BYTEA NOT NULL,
    document TEXT NOT NULL,
    CHECK ((superseded IS NULL) = (sealed IS NULL))
);

CREATE INDEX tokens_by_owner ON tokens (username, realm, creation);
CREATE INDEX tokens_by_realm ON tokens (realm, creation);
CREATE INDEX tokens_by_expiration ON tokens (expiration);

CREATE TABLE documents (
    kind TEXT NOT NULL,
    name BYTEA NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (kind, name)
);

-- What replicas must hear of. `feed` is one row that holds the sequence of the newest change.
CREATE TABLE feed (head BIGINT NOT NULL);
INSERT INTO feed VALUES (0);

CREATE TABLE changes (
    sequence BIGINT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    subject BYTEA NOT NULL
);

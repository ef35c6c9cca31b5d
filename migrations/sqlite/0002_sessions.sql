-- Sessions over token pairs of the cluster. Who they are and the pair are sealed in `content`.
CREATE TABLE sessions (
    id BLOB NOT NULL PRIMARY KEY,
    username_hash BLOB NOT NULL,
    provider_type TEXT NOT NULL,
    provider_name TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    last_seen_at INTEGER NOT NULL,
    idle_expires_at INTEGER,
    lifespan_expires_at INTEGER,
    generation INTEGER NOT NULL,
    version INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('active', 'needs_login')),
    refresh_owner TEXT,
    refresh_until INTEGER,
    content BLOB NOT NULL,
    CHECK ((refresh_owner IS NULL) = (refresh_until IS NULL))
) STRICT;

CREATE INDEX sessions_by_user ON sessions (username_hash, provider_type, provider_name, created_at);
CREATE INDEX sessions_by_idle ON sessions (idle_expires_at) WHERE idle_expires_at IS NOT NULL;
CREATE INDEX sessions_by_lifespan ON sessions (lifespan_expires_at) WHERE lifespan_expires_at IS NOT NULL;

-- Pairs to be revoked at the cluster, each as the session of that generation held it.
CREATE TABLE revocations (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    session BLOB NOT NULL,
    generation INTEGER NOT NULL,
    content BLOB NOT NULL,
    cause TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    due_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    owner TEXT
) STRICT;

CREATE INDEX revocations_by_due ON revocations (due_at, id);

-- Sessions over token pairs of the cluster. Who they are and the pair are sealed in `content`.
CREATE TABLE sessions (
    id BYTEA NOT NULL PRIMARY KEY,
    username_hash BYTEA NOT NULL,
    provider_type TEXT NOT NULL,
    provider_name BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    last_seen_at BIGINT NOT NULL,
    idle_expires_at BIGINT,
    lifespan_expires_at BIGINT,
    generation BIGINT NOT NULL,
    version BIGINT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('active', 'needs_login')),
    refresh_owner TEXT,
    refresh_until BIGINT,
    content BYTEA NOT NULL,
    CHECK ((refresh_owner IS NULL) = (refresh_until IS NULL))
);

CREATE INDEX sessions_by_user ON sessions (username_hash, provider_type, provider_name, created_at);
CREATE INDEX sessions_by_idle ON sessions (idle_expires_at) WHERE idle_expires_at IS NOT NULL;
CREATE INDEX sessions_by_lifespan ON sessions (lifespan_expires_at) WHERE lifespan_expires_at IS NOT NULL;

-- Pairs to be revoked at the cluster, each as the session of that generation held it.
CREATE TABLE revocations (
    id BIGINT PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    session BYTEA NOT NULL,
    generation BIGINT NOT NULL,
    content BYTEA NOT NULL,
    cause TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    due_at BIGINT NOT NULL,
    attempts INTEGER NOT NULL,
    owner TEXT
);

CREATE INDEX revocations_by_due ON revocations (due_at, id);

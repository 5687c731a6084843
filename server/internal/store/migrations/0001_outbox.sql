-- Tokens: the SHA-256 of each, never the token. One live token for an account and purpose; a newer one replaces it.
CREATE TABLE postroom.tokens (
    digest         bytea PRIMARY KEY CHECK (octet_length(digest) = 32),
    purpose        text NOT NULL CHECK (purpose IN ('reset', 'verify')),
    account_id     text NOT NULL,
    address        text NOT NULL,
    password_stamp bigint NOT NULL,
    redirect       text,
    requested_at   timestamptz NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT now(),
    expires_at     timestamptz NOT NULL,
    claim_id       uuid,
    claimed_until  timestamptz,
    UNIQUE (account_id, purpose)
);
CREATE UNIQUE INDEX tokens_claim ON postroom.tokens (claim_id) WHERE claim_id IS NOT NULL;
CREATE INDEX tokens_expiry ON postroom.tokens (expires_at);

-- Mails: state, outcome and the sealed body, which is wiped once nobody needs it. Who may send one is decided by
-- its lease, by this database's clock; the fence grows with each lease, so that a late outcome is recognised.
CREATE TABLE postroom.mails (
    id                uuid PRIMARY KEY,
    kind              text NOT NULL,
    account_id        text,
    token_digest      bytea,
    state             text NOT NULL CHECK (state IN ('queued', 'sending', 'sent', 'deferred', 'failed', 'cancelled',
                                                     'held', 'perhaps_delivered')),
    held_by           text CHECK (held_by IN ('capture', 'site_url')),
    masked_to         text NOT NULL,
    locale            text NOT NULL,
    message_id        text NOT NULL,
    size              integer NOT NULL,
    queued_at         timestamptz NOT NULL DEFAULT now(),
    expires_at        timestamptz NOT NULL,
    next_attempt_at   timestamptz,
    finished_at       timestamptz,
    attempts          integer NOT NULL DEFAULT 0,
    faults            integer NOT NULL DEFAULT 0,
    connection        text,
    step              text,
    reply_code        integer,
    enhanced          text,
    reply_text        text,
    reason            text,
    sealed            bytea,
    key_id            text NOT NULL DEFAULT '',
    key_missing_since timestamptz,
    compose_anew      boolean NOT NULL DEFAULT false,
    lease_owner       text,
    lease_until       timestamptz,
    fence             bigint NOT NULL DEFAULT 0,
    job_id            bigint,
    CHECK ((state = 'held') = (held_by IS NOT NULL)),
    CHECK (sealed IS NULL OR state NOT IN ('sent', 'failed', 'cancelled'))
);
CREATE INDEX mails_newest ON postroom.mails (queued_at DESC, id DESC);
CREATE INDEX mails_account ON postroom.mails (account_id, kind) WHERE account_id IS NOT NULL;
-- No state in an index: taking a lease then touches none of them (HOT), for which the pages keep room.
CREATE INDEX mails_outstanding ON postroom.mails (queued_at) WHERE finished_at IS NULL;
ALTER TABLE postroom.mails SET (fillfactor = 80);
-- Sealed bytes don't compress.
ALTER TABLE postroom.mails ALTER COLUMN sealed SET STORAGE EXTERNAL;

-- When each account's limit lets the next request pass: GCRA's theoretical arrival time, in ms since the epoch.
CREATE TABLE postroom.account_limits (
    account_id text NOT NULL,
    kind       text NOT NULL,
    tat_ms     bigint NOT NULL,
    PRIMARY KEY (account_id, kind)
);

-- Acts that only the shim can do, such as writing Mattermost's audit log.
CREATE TABLE postroom.acts (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind        text NOT NULL,
    body        jsonb NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    taken_until timestamptz
);

-- The SiteURL that all of this was written under: one row.
CREATE TABLE postroom.guard (
    singleton  boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    site_url   text NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now()
);

-- Mails that Mattermost sent through the relay: their class says which workers send them (R11).
ALTER TABLE postroom.mails
    ADD COLUMN class text NOT NULL DEFAULT 'account' CHECK (class IN ('account', 'invitation', 'notification')),
    ADD COLUMN note  text;

-- The account's address at the time, where the link verifies a pending new one: changing it kills the link too.
ALTER TABLE postroom.tokens ADD COLUMN replaces text;

-- The relay, the same on every node: one row. Certificate, credentials and Mattermost's own settings (original, what
-- switching the relay off puts back) are sealed by the core.
CREATE TABLE postroom.relay (
    singleton   boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    port        integer NOT NULL CHECK (port BETWEEN 1 AND 65535),
    certificate bytea NOT NULL,
    credentials bytea NOT NULL,
    enabled     boolean NOT NULL DEFAULT false,
    original    bytea,
    changed_at  timestamptz NOT NULL DEFAULT now(),
    CHECK (NOT enabled OR original IS NOT NULL)
);

-- How each connection does, over all nodes, under a mark of its settings: what was known of others does not count for
-- new ones. health is the core's to read; revision guards its writes; probing is until when one node asks whether it does
-- again.
CREATE TABLE postroom.connections (
    name       text NOT NULL,
    mark       text NOT NULL,
    health     jsonb NOT NULL,
    revision   bigint NOT NULL DEFAULT 1,
    probing    timestamptz NOT NULL DEFAULT '-infinity',
    changed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (name, mark)
);

-- A mail that waits for a connection comes forward once there is one.
ALTER TABLE postroom.mails ADD COLUMN waits boolean NOT NULL DEFAULT false;
CREATE INDEX mails_waits ON postroom.mails (queued_at) WHERE waits;

-- Each connection has a rate of its own.
ALTER TABLE postroom.upstream DROP CONSTRAINT upstream_pkey, ADD COLUMN connection text NOT NULL DEFAULT 'mattermost';
ALTER TABLE postroom.upstream ADD PRIMARY KEY (connection), DROP COLUMN singleton;

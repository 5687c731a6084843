-- What the system admins are told of. It is told in the transaction that notes it (an act, and one for the webhook), so
-- by one node, once. look_at is when the next look at it is due; it is over, and kept for the list, once told_closed_at
-- is set: until then it may open again. told is how often its opening was told.
CREATE TABLE postroom.incidents (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind           text NOT NULL,
    key            text NOT NULL,
    facts          jsonb NOT NULL DEFAULT '{}',
    opened_at      timestamptz NOT NULL DEFAULT now(),
    told           integer NOT NULL DEFAULT 0,
    told_at        timestamptz,
    closed_at      timestamptz,
    told_closed_at timestamptz,
    look_at        timestamptz DEFAULT now()
);
CREATE UNIQUE INDEX incidents_one ON postroom.incidents (kind, key) WHERE told_closed_at IS NULL;

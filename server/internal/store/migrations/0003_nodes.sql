-- Who is there: each service, when it last said so, and whether its relay takes mail. Mattermost's mail is pointed at
-- the relay only when all do.
CREATE TABLE postroom.nodes (
    node    text PRIMARY KEY,
    seen_at timestamptz NOT NULL DEFAULT now(),
    problem text NOT NULL DEFAULT ''
);

-- A test of a connection that runs on some node, so that another can break it off. The row goes with the test.
CREATE TABLE postroom.trials (
    id        uuid        PRIMARY KEY,
    user_id   text        NOT NULL,
    began_at  timestamptz NOT NULL DEFAULT now(),
    cancelled boolean     NOT NULL DEFAULT false
);

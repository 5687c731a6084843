-- The rate at which all nodes together send: when the upstream server's next mail is due (GCRA's theoretical arrival
-- time). One row.
CREATE TABLE postroom.upstream (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    tat       timestamptz NOT NULL DEFAULT now()
);
INSERT INTO postroom.upstream DEFAULT VALUES;

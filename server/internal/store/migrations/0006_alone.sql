-- What a node's relay was made from, so that one that has not taken up a new port or password, or can't open it, is
-- told from the others; and since when a node tells the admins that it runs without its plugin, once for all nodes.
ALTER TABLE postroom.nodes
    ADD COLUMN relay       text NOT NULL DEFAULT '',
    ADD COLUMN alone_since timestamptz;

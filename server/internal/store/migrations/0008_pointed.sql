-- Whether the node's own Mattermost sends its mail to the relay: nodes with a configuration each, or one that has not
-- read a shared one again, may differ.
ALTER TABLE postroom.nodes ADD COLUMN pointed boolean NOT NULL DEFAULT false;

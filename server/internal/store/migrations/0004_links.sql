-- A link that verifies a pending new address is another wish than one that verifies the present address: neither
-- replaces the other.
ALTER TABLE postroom.tokens DROP CONSTRAINT tokens_account_id_purpose_key;
CREATE UNIQUE INDEX tokens_link ON postroom.tokens (account_id, purpose, (replaces IS NOT NULL));

-- A failed mail may keep its body for a while, to be sent again by an admin; not one with a link of ours in it.
ALTER TABLE postroom.mails DROP CONSTRAINT mails_check1;
ALTER TABLE postroom.mails ADD CONSTRAINT mails_body CHECK (sealed IS NULL OR state NOT IN ('sent', 'failed', 'cancelled')
    OR (state = 'failed' AND token_digest IS NULL));

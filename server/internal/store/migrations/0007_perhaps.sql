-- An attempt broke off where the server may have had the mail: whatever becomes of it later, it is not said to have failed.
ALTER TABLE postroom.mails ADD COLUMN perhaps boolean NOT NULL DEFAULT false;

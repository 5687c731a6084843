//! Zoho Mail. `docs/providers/` says the same for people.

use super::Cause;

pub(super) const CAUSES: &[Cause] = &[
    Cause::fails(
        "zoho_login",
        "Zoho did not take user name and password, or the account lives in another of its data centres",
        |v| {
            v.code(&[535])
                && v.server_in(&["zoho.com", "zoho.eu", "zoho.in", "zoho.com.au", "zohocloud.ca", "zoho.jp"])
        },
        "Zoho did not take user name and password, or the account lives in another of its data centres. Use \
         the server of your data centre (smtp.zoho.eu, .in, …; smtppro for an organisation), the full address \
         as user name, and with two-factor authentication an app-specific password.",
    ),
    Cause::fails(
        "zoho_sender",
        "Zoho sends only as the mailbox that logged in, or an alias of it",
        |v| v.code(&[553]) && v.says(&["relaying disallowed"]),
        "Zoho sends only as the mailbox that logged in, or an alias of it. Make the From address \
         (FeedbackEmail, or From, address) {user}, or add it as an alias of that mailbox; an empty \
         FeedbackEmail gives this too.",
    ),
    Cause::fails(
        "zoho_blocked",
        "Zoho has blocked the mailbox for outgoing mail: it sent too many in a short time",
        |v| v.says(&["unusual sending activity detected"]),
        "Zoho has blocked the mailbox for outgoing mail: it sent too many in a short time. Unblock it at \
         https://mail.zoho.com/UnblockMe, then set Mails per minute low; for a larger server use a provider \
         for transactional mail (Zoho's own is ZeptoMail).",
    ),
];

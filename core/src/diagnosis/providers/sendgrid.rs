//! Twilio SendGrid. `docs/providers/` says the same for people.

use super::Cause;

pub(super) const CAUSES: &[Cause] = &[
    Cause::fails(
        "sendgrid_user",
        "SendGrid has no such login; its user name is the word apikey for everybody",
        |v| v.code(&[535]) && v.says(&["bad username / password"]),
        "SendGrid has no such login. Its user name is the word apikey for everybody. Enter apikey as user \
         name, and an API key (SG.…) with the permission Mail Send as password.",
    ),
    Cause::fails(
        "sendgrid_key",
        "the API key is deleted, cut short, or has no permission to send",
        |v| v.says(&["authorization grant is invalid, expired, or revoked"]),
        "The API key is deleted, cut short, or has no permission to send. Make a new one under Settings > API \
         Keys, with the permission Mail Send, and enter all of it.",
    ),
    Cause::fails(
        "sendgrid_access",
        "SendGrid did not let this server log in; with IP access management only listed addresses may",
        |v| v.code(&[451]) && v.says(&["authentication failed: could not authenticate"]),
        "SendGrid did not let this server log in; with IP access management only listed addresses may. Add \
         this server's public address under Settings > IP Access Management, or switch that off; then check \
         the API key.",
    ),
    Cause::fails(
        "sendgrid_credits",
        "the plan's mails are used up, or the bill is unpaid",
        |v| v.says(&["maximum credits exceeded"]),
        "The plan's mails are used up, or the bill is unpaid. Look at the plan under Settings > Account \
         details; send by another connection meanwhile.",
    ),
    Cause::fails(
        "sendgrid_limit",
        "the plan's mails for the day or month are used up",
        |v| v.says(&["exceeded your messaging limits"]),
        "The plan's mails for the day or month are used up. Look at the plan under Settings > Account \
         details; send by another connection meanwhile.",
    ),
    Cause::fails(
        "sendgrid_sender",
        "SendGrid does not know the From address",
        |v| {
            v.says(&[
                "does not match a verified sender identity",
                "not authorized to send from that email address",
            ])
        },
        "SendGrid does not know the From address. Authenticate its domain under Settings > Sender \
         Authentication, or verify this one address there.",
    ),
    Cause::fails(
        "sendgrid_not_logged_in",
        "SendGrid wants a login, and there was none",
        |v| v.says(&["unauthenticated senders not allowed"]),
        "SendGrid wants a login, and there was none. Enter apikey as user name and an API key as password, \
         and set Login to automatic.",
    ),
];

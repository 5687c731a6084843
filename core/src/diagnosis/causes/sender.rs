//! The envelope: who sends, and to whom.

use super::Cause;
use crate::diagnosis::view::View;
use crate::{Failure, Step};

const ENVELOPE: &[Step] = &[Step::MailFrom, Step::RcptTo, Step::Data, Step::Body, Step::FinalDot];

fn envelope(v: &View<'_>) -> bool {
    v.at(ENVELOPE)
}

fn recipient(v: &View<'_>) -> bool {
    v.at(&[Step::RcptTo, Step::Data, Step::FinalDot])
}

pub(super) const CAUSES: &[Cause] = &[
    Cause::fails(
        "sender_empty",
        "there is no sender address, and the server wants one",
        |v| {
            envelope(v)
                && v.refused()
                && v.from.is_empty()
                && v.connection.is_some()
                && !v.facts.events.is_empty()
        },
        "The sender address is empty, and the server wants one. Set the notification From address (FeedbackEmail) to an \
         address that your mail server may send from.",
    ),
    Cause::fails(
        "sender_not_logged_in",
        "the server keeps this sender for those who log in as it",
        |v| envelope(v) && v.refused() && v.says(&["not logged in"]),
        "The server keeps the sender {from} for whoever logs in as it. Enable SMTP authentication with that account.",
    ),
    Cause::fails(
        "sender_not_owned",
        "the account may not send as this address",
        |v| {
            let words = [
                "not owned by",
                "send as this sender",
                "sendas",
                "not allowed to send",
                "not one of your addresses",
                "not permitted to send",
                "sender address rejected: not",
                "cannot send from",
                "must be the same as",
                "mismatch",
                "not authorized to send from",
            ];
            envelope(v) && v.refused() && (v.enhanced(&["5.7.60"]) || v.says(&words))
        },
        "The account that logs in may not send as {from}. Use that account's own address as the From address, or allow it to \
         send as {from} at the mail server.",
    ),
    Cause::fails(
        "sender_domain_not_found",
        "the sender's domain is not in the DNS",
        |v| {
            let words = [
                "domain not found",
                "domain of sender address",
                "sender domain",
                "unknown sender domain",
                "unresolvable sender",
                "does not resolve",
            ];
            let sender =
                v.says(&["sender address rejected", "sender domain", "domain of sender", "sender verify"]);
            envelope(v) && v.refused() && (v.enhanced(&["x.1.8"]) || sender && v.says(&words))
        },
        "The domain of the sender {from} is not in the DNS. Set the From address to one of a domain that has an MX or A \
         record and can take replies.",
    ),
    Cause::fails(
        "sender_malformed",
        "the sender address is not written as one",
        |v| {
            let words = ["sender address", "bad sender", "syntax", "from address", "invalid sender"];
            v.at(&[Step::MailFrom])
                && (v.enhanced(&["x.1.7"])
                    || v.code(&[501, 553, 555]) && v.says(&words)
                    || v.failed(Failure::Protocol) && v.detail().contains("address"))
        },
        "The sender \"{from}\" is not a mail address. Set the From address (FeedbackEmail) to a plain address, as \
         chat@example.com, without name or brackets.",
    ),
    Cause::fails(
        "recipient_unknown",
        "the recipient has no mailbox there",
        |v| {
            let words = [
                "user unknown",
                "unknown user",
                "no such user",
                "mailbox unavailable",
                "does not exist",
                "no mailbox",
                "recipient not found",
                "unknown recipient",
                "unrouteable address",
                "invalid recipient",
                "no such recipient",
                "user not found",
            ];
            recipient(v) && v.refused() && (v.enhanced(&["5.1.1", "5.1.10"]) || v.says(&words))
        },
        "The server knows no mailbox for the recipient. The connection itself works: correct the address of the account that \
         tests, or test with another.",
    ),
    Cause::fails(
        "recipient_domain_not_found",
        "the recipient's domain is not in the DNS",
        |v| {
            recipient(v)
                && v.refused()
                && (v.enhanced(&["x.1.2"])
                    || v.says(&["recipient address rejected: domain not found", "host unknown"]))
        },
        "The domain of the recipient's address cannot be found. Correct that address; if it is right, the mail server's own \
         DNS is in trouble.",
    ),
    Cause::fails(
        "recipient_disabled",
        "the recipient's mailbox is disabled",
        |v| {
            recipient(v)
                && v.refused()
                && (v.enhanced(&["x.2.1"])
                    || v.says(&["mailbox disabled", "account is disabled", "account disabled"]))
        },
        "The recipient's mailbox is disabled, or does not take mail now. The connection itself works: test with another \
         account.",
    ),
    Cause::fails(
        "recipient_malformed",
        "the recipient address is not written as one, to the server's mind",
        |v| {
            v.at(&[Step::RcptTo])
                && (v.enhanced(&["5.1.3"]) || v.code(&[501, 553]) && v.says(&["syntax", "recipient address"]))
        },
        "The server does not take the recipient's address for one. Correct the mail address of the account that tests.",
    ),
    Cause::fails(
        "relaying_denied",
        "the server passes on no mail from here to other domains",
        |v| {
            let words = ["relay", "we do not relay", "not permitted to relay", "rcpthosts"];
            envelope(v) && v.refused() && v.says(&words)
        },
        "{host} does not pass mail on for this machine. Enable SMTP authentication and use its submission port (587 or 465); \
         or add this machine's address to those it relays for (mynetworks in Postfix).",
    ),
    Cause::fails(
        "sender_refused",
        "the server does not take this sender",
        |v| v.at(&[Step::MailFrom]) && v.code(&[550, 551, 552, 553, 554, 501, 555]),
        "The server does not take mail from {from}. Set the From address to one that belongs to the account or the domains \
         of {host}.",
    ),
    Cause::fails(
        "recipient_refused",
        "the server does not take mail for this recipient",
        |v| v.at(&[Step::RcptTo]) && v.code(&[550, 551, 553, 554, 556]),
        "The server does not take mail for this recipient from here; its words are shown beside this. If it says no more, \
         log in and use the submission port, or test with another recipient.",
    ),
];

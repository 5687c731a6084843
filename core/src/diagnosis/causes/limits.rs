//! Limits: of a mailbox, a server, an hour.

use super::Cause;
use crate::diagnosis::view::View;
use crate::{Failure, Step};

const MAIL: &[Step] = &[Step::MailFrom, Step::RcptTo, Step::Data, Step::Body, Step::FinalDot];

fn mail(v: &View<'_>) -> bool {
    v.at(MAIL)
}

pub(super) const CAUSES: &[Cause] = &[
    Cause::fails(
        "greylisted",
        "the server puts off whom it does not know yet",
        |v| {
            let delayed =
                v.says(&["greylist", "greylisted", "graylist", "postgrey", "gray-list", "grey-list"]);
            v.temporary()
                && !v.says(&["service unavailable"])
                && (delayed
                    || v.at(&[Step::RcptTo, Step::Data, Step::FinalDot])
                        && v.code(&[450, 451])
                        && v.enhanced(&["4.7.1"])
                        && v.says(&["try again"]))
        },
        "The server puts off senders that it does not know yet (greylisting). Mail in the queue is sent again by itself; \
         test again in five to ten minutes, or have this machine's address let through there.",
    ),
    Cause::fails(
        "mailbox_full",
        "the recipient's mailbox is full",
        |v| {
            let words =
                ["quota", "mailbox full", "mailbox is full", "out of storage", "over quota", "mailbox size"];
            v.at(&[Step::RcptTo, Step::Data, Step::FinalDot])
                && v.refused()
                && (v.enhanced(&["x.2.2"]) || v.says(&words))
        },
        "The recipient's mailbox is full. The connection itself works: make room there, or test with another account.",
    ),
    Cause::fails(
        "message_too_big",
        "the message is larger than the server takes",
        |v| {
            let words = ["message size", "too large", "too big", "size limit", "exceeds maximum"];
            mail(v)
                && (v.enhanced(&["5.3.4", "5.2.3"])
                    || v.code(&[552])
                    || v.refused() && v.says(&words)
                    || v.failed(Failure::NotOffered) && v.detail().contains("size"))
        },
        "The message is larger than {host} takes ({size}). Raise the limit there (message_size_limit in Postfix); account \
         mails of Postroom are below 100 kB.",
    ),
    Cause::fails(
        "server_disk_full",
        "the server has no room to take mail",
        |v| {
            v.refused()
                && (v.code(&[452]) && !v.says(&["too many"])
                    || v.enhanced(&["4.3.1"])
                    || v.says(&["insufficient system storage"]))
        },
        "The mail server has no room for more mail. Free its disk (the queue's partition), then mail goes by itself.",
    ),
    Cause::fails(
        "too_many_connections",
        "the server has more connections from here than it allows",
        |v| {
            v.temporary()
                && v.says(&["connection", "concurrent"])
                && v.says(&["too many", "limit", "exceeded", "concurrent"])
        },
        "The server allows fewer connections at once. Lower the connection limit in Postroom's settings, and look for other \
         programs on this machine that use it.",
    ),
    Cause::fails(
        "rate_limited",
        "more was sent in a time than the server allows",
        |v| {
            let words = [
                "rate limit",
                "ratelimit",
                "rate exceeded",
                "too many",
                "throttl",
                "quota exceeded",
                "sending limit",
                "limit exceeded",
                "too fast",
                "messages per",
                "unusual rate",
                "daily",
                "hourly",
            ];
            v.refused() && !v.at(&[Step::Auth]) && v.says(&words)
        },
        "The server takes no more mail from this account or address for now. Lower the rate in Postroom's settings to what \
         your provider allows, or have the limit raised; waiting mail goes by itself.",
    ),
    Cause::fails(
        "server_going_down",
        "the server is shutting down or not available",
        |v| {
            let words = [
                "shutting down",
                "going down",
                "service not available",
                "service unavailable",
                "closing",
                "restart",
            ];
            v.code(&[421]) && (v.enhanced(&["4.3.2"]) || v.says(&words))
        },
        "The mail server is not available now: it restarts, is overloaded, or keeps this machine out. Test again in a minute; \
         if it stays so, look into its log.",
    ),
    Cause::fails(
        "server_filter_trouble",
        "the server's own filter or queue is in trouble",
        |v| {
            let words = [
                "queue file write error",
                "service unavailable - try again later",
                "local error",
                "temporary lookup failure",
                "content filter",
                "milter",
                "temporary system problem",
                "internal error",
            ];
            v.temporary() && (v.enhanced(&["4.3.0", "4.3.5"]) || v.says(&words))
        },
        "The mail server is in trouble with itself: a filter (milter, virus scanner), a lookup table or its queue. Look into \
         its log; mail is sent again by itself.",
    ),
    Cause::fails(
        "busy",
        "the server does not want mail now, and does not say more",
        |v| v.code(&[421]),
        "The mail server turns this machine away for now: too many connections, or a limit of its own. Test again in a few \
         minutes, and lower the connection limit if it stays so.",
    ),
];

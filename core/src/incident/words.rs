//! The words of the messages, in Mattermost's Markdown.

use super::{Args, DAY_MS, Facts, Kind, MINUTE_MS, SECOND_MS};
use crate::Error;
use crate::mail::{Calendar, Moment};
use crate::markdown::code;

/// Title and text when it opens.
pub(super) fn opened(args: &Args, now: i64) -> Result<(String, String), Error> {
    let Args { kind, key, facts, .. } = args;
    let (connection, mend) = (connection(key, facts), mend(key));
    let (title, what, then) = match kind {
        Kind::ConnectionPaused => (
            format!("Mail over {} is paused", code(key)),
            format!("The mail server of {connection} refuses to let Postroom in{}.", because(&facts.reason)),
            format!(
                "It is not asked for each mail again: mail waits, or goes over the fallback where there is one. Set the \
                 user name and password right in {mend}; `/postroom test` tries them."
            ),
        ),
        Kind::FailedOver => (
            format!("Mail goes over {} instead of {}", other(&facts.to), code(key)),
            format!("{} takes no mail{}.", capital(&connection), because(&facts.reason)),
            format!(
                "Mail goes over {} meanwhile, and comes back by itself once {} takes mail again.",
                other(&facts.to),
                code(key)
            ),
        ),
        Kind::AccountMailWaits => (
            "Account mail waits".to_owned(),
            format!(
                "{} for more than 5 minutes, the oldest since {}{}.",
                waiting(&facts.waiting),
                moment(&facts.oldest),
                because(&facts.reason)
            ),
            "People wait for these links. `/postroom status` and `/postroom mails` show more.".to_owned(),
        ),
        Kind::CertificateExpires => (
            format!("The mail server's certificate {}", ends(facts, now)),
            format!(
                "The certificate that the mail server of {connection} shows{} {}, on {}.",
                issued(facts),
                ends(facts, now),
                moment(&facts.not_after)
            ),
            "From then on mail waits, as a server that can't prove who it is gets no mail. Whoever runs the server \
             must renew it."
                .to_owned(),
        ),
        Kind::OauthRefused => (
            format!("Sign-in for {} is refused", code(key)),
            format!(
                "The sign-in service gives Postroom no access to {connection}{}.",
                because(&facts.reason)
            ),
            format!(
                "Mail waits, or goes over the fallback where there is one. Renew the client's secret or the refresh \
                 token in {mend}; `/postroom test` tries them."
            ),
        ),
    };
    let again = match args.recent {
        0 => String::new(),
        1 => "\nThis was told once before within the last hour.".to_owned(),
        times => format!("\nThis was told {times} times before within the last hour."),
    };
    let since = Moment::new("opened_at", args.opened_at)?;
    let text = format!(":warning: **{title}**\n{what} {then}\nSince {}.{again}", written(since));
    Ok((title, text))
}

/// Title and text when it is over.
pub(super) fn over(args: &Args, closed: i64) -> Result<(String, String), Error> {
    let Args { kind, key, facts, .. } = args;
    let (title, what) = match kind {
        Kind::ConnectionPaused => (
            format!("Mail over {} flows again", code(key)),
            format!("The mail server of {} lets Postroom in again.", connection(key, facts)),
        ),
        Kind::FailedOver => (
            format!("Mail goes over {} again", code(key)),
            format!("{} takes mail again.", capital(&connection(key, facts))),
        ),
        Kind::AccountMailWaits => (
            "Account mail moves again".to_owned(),
            "No account mail has waited for more than 5 minutes any more.".to_owned(),
        ),
        Kind::CertificateExpires => (
            format!("The mail server of {} has a new certificate", code(key)),
            "The one that was about to expire is shown no more.".to_owned(),
        ),
        Kind::OauthRefused => (
            format!("Sign-in for {} works again", code(key)),
            format!("The sign-in service gives Postroom access to {} again.", connection(key, facts)),
        ),
    };
    let (from, to) = (Moment::new("opened_at", args.opened_at)?, Moment::new("closed_at", closed)?);
    let lasted = span(closed.saturating_sub(args.opened_at));
    let text = format!(
        ":white_check_mark: **{title}**\n{what} It lasted {lasted}, from {} to {}.",
        written(from),
        written(to)
    );
    Ok((title, text))
}

fn connection(key: &str, facts: &Facts) -> String {
    let server = code(&facts.server);
    if server.is_empty() {
        format!("the connection {}", code(key))
    } else {
        format!("the connection {} ({server})", code(key))
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

fn mend(key: &str) -> &'static str {
    if key == "mattermost" {
        "System Console > Environment > SMTP"
    } else {
        "System Console > Plugins > Postroom"
    }
}

fn other(to: &str) -> String {
    let to = code(to);
    if to.is_empty() { "the fallback".to_owned() } else { to }
}

fn because(reason: &str) -> String {
    let reason = code(reason);
    if reason.is_empty() { reason } else { format!(": {reason}") }
}

fn waiting(count: &str) -> String {
    match count.parse::<u64>() {
        Ok(1) => "One account mail has waited".to_owned(),
        Ok(many) => format!("{many} account mails have waited"),
        Err(_) => "Account mail has waited".to_owned(),
    }
}

fn ends(facts: &Facts, now: i64) -> String {
    match facts.not_after.parse::<i64>() {
        Ok(at) if at > now => format!("expires in {}", span(at - now)),
        Ok(_) => "has expired".to_owned(),
        Err(_) => "expires soon".to_owned(),
    }
}

fn issued(facts: &Facts) -> String {
    match (code(&facts.subject), code(&facts.issuer)) {
        (subject, issuer) if !subject.is_empty() && !issuer.is_empty() => {
            format!(" ({subject}, of {issuer})")
        }
        _ => String::new(),
    }
}

fn moment(ms: &str) -> String {
    let moment = ms.parse().ok().and_then(|ms| Moment::new("facts", ms).ok());
    moment.map_or_else(|| "a time that is not known".to_owned(), written)
}

/// `2026-11-24 17:30 UTC`.
pub(crate) fn written(moment: Moment) -> String {
    let date = moment.date(Calendar::Gregorian);
    format!("{:04}-{:02}-{:02} {} UTC", date.year, date.month, date.day, moment.clock())
}

/// A length of time, to two digits or so.
pub(crate) fn span(ms: i64) -> String {
    let hour = 60 * MINUTE_MS;
    match ms.max(0) {
        ms if ms < MINUTE_MS => format!("{} s", ms / SECOND_MS),
        ms if ms < hour => format!("{} min", ms / MINUTE_MS),
        ms if ms < 2 * DAY_MS && ms % hour < MINUTE_MS => format!("{} h", ms / hour),
        ms if ms < 2 * DAY_MS => format!("{} h {} min", ms / hour, ms % hour / MINUTE_MS),
        ms => format!("{} days", ms / DAY_MS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans() {
        let check = |ms: i64, expected: &str| assert_eq!(span(ms), expected);
        check(-1, "0 s");
        check(59_999, "59 s");
        check(60_000, "1 min");
        check(3_600_000, "1 h");
        check(3_600_000 + 61_000, "1 h 1 min");
        check(2 * DAY_MS, "2 days");
        check(14 * DAY_MS - 1, "13 days");
    }
}

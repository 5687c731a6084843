//! Which incidents there are by what the service sees from time to time: account mail that waits, certificates that
//! end.

use serde::{Deserialize, Serialize};

use super::{DAY_MS, Kind, MINUTE_MS};

/// How long account mail may wait.
const WAITS_MS: i64 = 5 * MINUTE_MS;
/// How long before its end a certificate is told of.
const EXPIRES_MS: i64 = 14 * DAY_MS;

/// The key of what is about no connection.
const OUTBOX: &str = "outbox";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Args {
    /// Account mail that may leave and has not; `None` where that is not known.
    account_mail: Option<AccountMail>,
    certificates: Vec<Certificate>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountMail {
    /// Since when the oldest waits; `None`: none does.
    oldest: Option<i64>,
    waiting: u64,
    /// Why the oldest has not left, where that is known.
    reason: String,
}

/// A server's own certificate, newly seen.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Certificate {
    connection: String,
    server: String,
    not_after: i64,
    subject: String,
    issuer: String,
}

/// Incidents to be opened, which may be open, and closed, which may not be there.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Answer {
    open: Vec<Open>,
    close: Vec<Named>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Open {
    kind: Kind,
    key: String,
    facts: Facts,
}

/// The facts as the row keeps them: strings.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Facts {
    #[serde(skip_serializing_if = "String::is_empty")]
    server: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    reason: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    oldest: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    waiting: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    not_after: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    subject: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    issuer: String,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Named {
    kind: Kind,
    key: String,
}

/// The operation `watch`.
pub(crate) fn watch(args: Args, now: i64) -> Answer {
    let mut answer = Answer::default();
    if let Some(mail) = args.account_mail {
        let (kind, key) = (Kind::AccountMailWaits, OUTBOX.to_owned());
        match mail.oldest {
            Some(oldest) if now.saturating_sub(oldest) > WAITS_MS => {
                let facts = Facts {
                    oldest: oldest.to_string(),
                    waiting: mail.waiting.to_string(),
                    reason: mail.reason,
                    ..Facts::default()
                };
                answer.open.push(Open { kind, key, facts });
            }
            _ => answer.close.push(Named { kind, key }),
        }
    }
    for seen in args.certificates {
        let (kind, key) = (Kind::CertificateExpires, seen.connection);
        if seen.not_after.saturating_sub(now) < EXPIRES_MS {
            let facts = Facts {
                server: seen.server,
                not_after: seen.not_after.to_string(),
                subject: seen.subject,
                issuer: seen.issuer,
                ..Facts::default()
            };
            answer.open.push(Open { kind, key, facts });
        } else {
            answer.close.push(Named { kind, key });
        }
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_764_000_000_000;

    fn mail(waits: Option<i64>) -> Answer {
        let mail = AccountMail { oldest: waits.map(|ms| NOW - ms), waiting: 2, reason: "451".into() };
        watch(Args { account_mail: Some(mail), certificates: Vec::new() }, NOW)
    }

    #[test]
    fn account_mail_may_wait_five_minutes() {
        for waits in [None, Some(0), Some(WAITS_MS)] {
            let answer = mail(waits);
            assert!(answer.open.is_empty() && answer.close.len() == 1, "{answer:?}");
        }
        let answer = mail(Some(WAITS_MS + 1));
        assert_eq!((answer.open.len(), answer.close.len()), (1, 0));
        let nothing = watch(Args { account_mail: None, certificates: Vec::new() }, NOW);
        assert_eq!(nothing, Answer::default());
    }

    #[test]
    fn a_certificate_has_two_weeks() {
        let certificate = |left: i64| Certificate {
            connection: "primary".into(),
            server: "smtp.example.com:587".into(),
            not_after: NOW + left,
            subject: "CN=smtp.example.com".into(),
            issuer: "CN=Example CA".into(),
        };
        for (left, opens) in [(-1, true), (EXPIRES_MS - 1, true), (EXPIRES_MS, false), (90 * DAY_MS, false)] {
            let args = Args { account_mail: None, certificates: vec![certificate(left)] };
            assert_eq!(watch(args, NOW).open.len(), usize::from(opens), "{left}");
        }
    }
}

//! TLS: what was offered, agreed on, and shown.

use super::Cause;
use crate::diagnosis::facts::Problem;
use crate::{Failure, Step};

const DAY_MS: i64 = 86_400_000;

pub(super) const CAUSES: &[Cause] = &[
    Cause::fails(
        "starttls_not_offered",
        "the settings demand STARTTLS, and the server does not offer it",
        |v| v.at(&[Step::Starttls]) && v.failed(Failure::NotOffered),
        "{server} does not offer STARTTLS, so nothing was sent. Try port 465 with TLS, switch TLS on in the server, or look \
         for a firewall or virus scanner between the two that takes STARTTLS out.",
    ),
    Cause::fails(
        "certificate_expired",
        "the server's certificate, or one in its chain, is out of date",
        |v| v.at(&[Step::Tls]) && v.problem(Problem::Expired),
        "The certificate of {host} ended on {until}. Renew it on the mail server and restart that; check this machine's \
         clock if the date lies ahead.",
    ),
    Cause::fails(
        "certificate_self_signed",
        "the server's certificate is signed by itself",
        |v| v.at(&[Step::Tls]) && v.problem(Problem::SelfSigned),
        "{host} shows a certificate that it signed itself ({subject}). Give that certificate as CA, or pin its key: {pin}.",
    ),
    Cause::fails(
        "certificate_wrong_name",
        "the certificate is for other names than the one in the settings",
        |v| v.at(&[Step::Tls]) && v.problem(Problem::Name),
        "The certificate is not for {host} but for {names}. Give one of these names as the server, or have {host} added to \
         the certificate.",
    ),
    Cause::fails(
        "certificate_unknown_authority",
        "the certificate is from an authority that this machine does not trust",
        |v| v.at(&[Step::Tls]) && v.problem(Problem::UnknownAuthority),
        "The certificate of {host} is issued by \"{issuer}\", which this machine does not trust. Install that authority's \
         certificate on this machine or give it as CA; if it is a public one, the server leaves out an intermediate.",
    ),
    Cause::fails(
        "certificate_not_pinned",
        "the server's key is another than the pinned one",
        |v| v.at(&[Step::Tls]) && v.problem(Problem::Pin),
        "The key of {host} is not the pinned one. If the server's key was renewed, set the pin to {pin}; if not, somebody \
         stands between, and nothing was sent.",
    ),
    Cause::warns(
        "certificate_ends_soon",
        "the server's certificate ends within two weeks",
        |v| {
            v.at(&[Step::Tls])
                && v.certificate().is_some_and(|c| (1..v.now + 14 * DAY_MS).contains(&c.not_after))
        },
        "The certificate of {host} ends on {until}. Renew it before, or mail stops on that day.",
    ),
    Cause::warns(
        "certificate_not_checked",
        "the certificate is not good, and the settings say not to check it",
        |v| {
            let unchecked = v.connection.is_some_and(|c| !c.verify_certificate && !c.pinned);
            v.at(&[Step::Tls]) && unchecked && v.tls().is_some_and(|tls| tls.problem != Problem::None)
        },
        "The certificate of {host} is not trusted, and the settings say not to check it, so that anybody in between can \
         read mail and password. Give its authority as CA, or pin its key: {pin}.",
    ),
];

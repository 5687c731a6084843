//! TLS: what was offered, agreed on, and shown.

use super::Cause;
use crate::diagnosis::facts::Problem;
use crate::diagnosis::view::View;
use crate::{Failure, Security, Step};

const DAY_MS: i64 = 86_400_000;

fn shows(v: &View<'_>, problem: Problem) -> bool {
    v.at(&[Step::Tls]) && v.failed(Failure::Certificate) && v.problem(problem)
}

fn handshake(v: &View<'_>) -> bool {
    v.at(&[Step::Tls]) && v.failed(Failure::Tls)
}

fn is_address(v: &View<'_>) -> bool {
    v.server().parse::<std::net::IpAddr>().is_ok()
}

pub(super) const CAUSES: &[Cause] = &[
    Cause::fails(
        "starttls_on_a_tls_port",
        "the connection is encrypted from the start, where STARTTLS is not offered",
        |v| v.at(&[Step::Starttls]) && v.failed(Failure::NotOffered) && v.port(&[465, 2465]),
        "On {port} servers speak TLS from the first byte, and offer no STARTTLS. Choose TLS as connection security, or port \
         587 with STARTTLS.",
    ),
    Cause::fails(
        "starttls_not_offered",
        "the settings demand STARTTLS, and the server does not offer it",
        |v| v.at(&[Step::Starttls]) && v.failed(Failure::NotOffered),
        "{server} does not offer STARTTLS, so nothing was sent. Try port 465 with TLS, switch TLS on in the server, or look \
         for a firewall or virus scanner between the two that takes STARTTLS out.",
    ),
    Cause::fails(
        "starttls_unavailable",
        "the server offers STARTTLS but cannot do it",
        |v| v.at(&[Step::Starttls]) && v.refused(),
        "{server} offers STARTTLS and then refuses it: its certificate or key cannot be read, mostly. Look into the mail \
         server's log; nothing was sent.",
    ),
    Cause::fails(
        "certificate_expired",
        "the server's certificate, or one in its chain, is out of date",
        |v| shows(v, Problem::Expired),
        "The certificate of {host} ended on {until}. Renew it on the mail server and restart that; check this machine's \
         clock if the date lies ahead.",
    ),
    Cause::fails(
        "certificate_not_yet_valid",
        "the server's certificate is for a time to come, or this machine's clock is slow",
        |v| shows(v, Problem::NotYetValid),
        "The certificate of {host} begins on {since}. Set this machine's clock right (NTP); if that is right, have the \
         certificate issued again.",
    ),
    Cause::fails(
        "certificate_wrong_address",
        "the server is given as an address, and its certificate is for names",
        |v| shows(v, Problem::Name) && is_address(v),
        "The certificate is not for the address {host} but for {names}. Give that name as the server: certificates are for \
         names.",
    ),
    Cause::fails(
        "certificate_wrong_name",
        "the certificate is for other names than the one in the settings",
        |v| shows(v, Problem::Name),
        "The certificate is not for {host} but for {names}. Give one of these names as the server, or have {host} added to \
         the certificate.",
    ),
    Cause::fails(
        "certificate_self_signed",
        "the server's certificate is signed by itself",
        |v| shows(v, Problem::SelfSigned),
        "{host} shows a certificate that it signed itself ({subject}). Give that certificate as CA, or pin its key: {pin}.",
    ),
    Cause::fails(
        "certificate_unknown_authority",
        "the certificate is from an authority that this machine does not trust",
        |v| shows(v, Problem::UnknownAuthority),
        "The certificate of {host} is issued by \"{issuer}\", which this machine does not trust. Install that authority's \
         certificate on this machine or give it as CA; if it is a public one, the server leaves out an intermediate.",
    ),
    Cause::fails(
        "certificate_not_pinned",
        "the server's key is another than the pinned one",
        |v| shows(v, Problem::Pin),
        "The key of {host} is not the pinned one. If the server's key was renewed, set the pin to {pin}; if not, somebody \
         stands between, and nothing was sent.",
    ),
    Cause::fails(
        "certificate_not_for_servers",
        "the certificate is not one for a server, or its chain breaks a rule",
        |v| v.at(&[Step::Tls]) && v.failed(Failure::Certificate),
        "The certificate of {host} is not fit for a mail server: issued for another use, or by an authority that may not. \
         Have it issued as a server certificate.",
    ),
    Cause::fails(
        "tls_too_old",
        "the server speaks TLS 1.0 or 1.1 only, which are not safe",
        |v| {
            let old = v.tls().is_some_and(|tls| matches!(tls.version.as_str(), "1.0" | "1.1"));
            handshake(v)
                && (old || v.alert(&["protocol_version"]) && !v.detail().contains("1.3"))
                && v.connection.is_none_or(|c| c.min_tls != "1.3" || old)
        },
        "{host} only speaks {version}, which is not safe and not used here. Update the mail server, or allow TLS 1.2 in its \
         settings.",
    ),
    Cause::fails(
        "tls_13_demanded",
        "the settings demand TLS 1.3, which the server does not speak",
        |v| {
            handshake(v)
                && v.connection.is_some_and(|c| c.min_tls == "1.3")
                && !v.alert(&["handshake_failure"])
        },
        "The settings demand TLS 1.3, and {host} does not speak it. Set the minimum to TLS 1.2, which is safe, or update the \
         mail server.",
    ),
    Cause::fails(
        "tls_client_certificate",
        "the server asks for a client certificate",
        |v| {
            let asked =
                v.alert(&["bad_certificate", "certificate_required", "unknown_ca", "certificate_unknown"]);
            // Up to TLS 1.2 the alert is the general one, but the server's own certificate was seen by then.
            let later = v.alert(&["handshake_failure"]) && v.certificate().is_some();
            v.failed(Failure::Tls) && (asked || later || v.detail().contains("certificate required"))
        },
        "{server} wants a client certificate, which is not supported. Use a port of the server that asks for a user name and \
         password instead, mostly 587.",
    ),
    Cause::fails(
        "tls_no_common_cipher",
        "the two know no cipher in common",
        |v| handshake(v) && v.alert(&["handshake_failure", "insufficient_security"]),
        "{host} found no cipher in common with this machine: its settings allow old ones only, or its certificate's key is \
         of a rare kind. Allow ECDHE with AES-GCM on the mail server.",
    ),
    Cause::fails(
        "tls_name_unknown",
        "the server has no certificate for this name",
        |v| handshake(v) && v.alert(&["unrecognized_name", "internal_error"]),
        "The server behind {host} has no certificate for that name. Give the name under which it is set up, or have a \
         certificate for {host} installed.",
    ),
    Cause::fails(
        "tls_failed",
        "the TLS handshake failed otherwise",
        handshake,
        "TLS with {server} could not be agreed on. Check the port and the connection security (465 with TLS, 587 with \
         STARTTLS), and the TLS settings in the mail server's log.",
    ),
    Cause::warns(
        "certificate_ends_soon",
        "the server's certificate ends within two weeks",
        |v| {
            v.at(&[Step::Tls])
                && v.certificate().is_some_and(|c| (1..v.now + 14 * DAY_MS).contains(&c.not_after))
                && v.tls().is_some_and(|tls| tls.verified)
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
    Cause::warns(
        "starttls_not_used",
        "the server offers STARTTLS, and the settings have no encryption",
        |v| v.at(&[Step::Ehlo]) && v.security(Security::None) && v.offers("STARTTLS"),
        "Mail to {host} is not encrypted, though the server offers STARTTLS. Choose STARTTLS as connection security.",
    ),
];

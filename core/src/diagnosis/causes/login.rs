//! Logging in (RFC 4954).

use super::Cause;
use crate::diagnosis::view::View;
use crate::{Failure, Security, Step};

const LATER: &[Step] = &[Step::MailFrom, Step::RcptTo, Step::Data, Step::Body, Step::FinalDot];

fn auth(v: &View<'_>) -> bool {
    v.at(&[Step::Auth])
}

fn not_offered(v: &View<'_>) -> bool {
    auth(v) && v.failed(Failure::NotOffered)
}

pub(super) const CAUSES: &[Cause] = &[
    Cause::fails(
        "starttls_demanded",
        "the server takes nothing before STARTTLS",
        |v| v.refused() && v.says(&["starttls"]) && v.code(&[530, 538, 554, 550, 523, 451]),
        "{host} takes nothing over a connection that is not encrypted. Choose STARTTLS as connection security.",
    ),
    Cause::fails(
        "login_in_clear",
        "a password would go over a connection that is not encrypted, so it was not sent",
        |v| not_offered(v) && v.detail().contains("not encrypted"),
        "The password was not sent, as the connection to {host} is not encrypted. Choose STARTTLS (port 587) or TLS (port \
         465) as connection security.",
    ),
    Cause::fails(
        "login_after_starttls",
        "the server offers a login only after STARTTLS",
        |v| not_offered(v) && v.security(Security::None) && v.offers("STARTTLS") && !v.offers("AUTH"),
        "{host} offers a login only over an encrypted connection. Choose STARTTLS as connection security.",
    ),
    Cause::fails(
        "no_common_mechanism",
        "the server offers logins, but none that the settings allow",
        |v| not_offered(v) && v.offers("AUTH"),
        "{host} offers AUTH {mechanisms}, none of which the settings allow. Add one of these to the mechanisms, or XOAUTH2 \
         with its token settings if the server offers that.",
    ),
    Cause::fails(
        "login_not_offered",
        "the server offers no login",
        not_offered,
        "{server} offers no login. Use the submission port (587 or 465), as port 25 often has none; or switch authentication \
         off, if the server takes mail from this machine without.",
    ),
    Cause::fails(
        "token_refused",
        "the identity provider refused an access token",
        |v| auth(v) && v.failed(Failure::OauthRefused),
        "The identity provider refused an access token; its words are shown beside this. Check client id, client secret (has \
         it expired?), tenant, scope and consent there, or fetch a new refresh token.",
    ),
    Cause::fails(
        "token_server_unreachable",
        "the identity provider gave no answer",
        |v| auth(v) && v.failed(Failure::OauthUnreachable),
        "The identity provider gave no access token. Check the token URL, and that this machine may reach it (proxy, \
         firewall, DNS); it may also be down for now.",
    ),
    Cause::fails(
        "token_missing",
        "XOAUTH2 is chosen, and where its token comes from is not set",
        |v| auth(v) && v.failed(Failure::Other) && v.detail().contains("access token"),
        "XOAUTH2 needs an access token. Set the token URL, client id and client secret (and a refresh token for Google), or \
         choose another mechanism.",
    ),
    Cause::fails(
        "login_in_transition",
        "the account must be used once with PLAIN first",
        |v| auth(v) && (v.code(&[432]) || v.enhanced(&["4.7.12"])),
        "The server has not stored this password for {mechanism} yet. Log in once with PLAIN over TLS (put plain first in \
         the mechanisms); then this one works.",
    ),
    Cause::fails(
        "login_too_many_attempts",
        "the server refuses further attempts for a while",
        |v| {
            auth(v)
                && v.refused()
                && v.says(&["too many", "try again later", "temporarily locked", "rate limit"])
        },
        "The server takes no more logins for now, after too many wrong ones. Wait some minutes, correct user name and \
         password, and test once; look for another program with the old password.",
    ),
    Cause::fails(
        "login_unavailable",
        "the server cannot check passwords now",
        |v| auth(v) && v.code(&[454]),
        "The server cannot check passwords at the moment. That is no fault of the settings: try later, or look at its \
         authentication service (Dovecot, LDAP).",
    ),
    Cause::fails(
        "login_too_weak",
        "the server wants a stronger mechanism for this account",
        |v| auth(v) && (v.code(&[534]) || v.enhanced(&["5.7.9"])),
        "The server does not take {mechanism} for this account. Allow a stronger mechanism (SCRAM-SHA-256, XOAUTH2), or make \
         an app password if the provider has these.",
    ),
    Cause::fails(
        "login_needs_encryption",
        "the server takes this login over an encrypted connection only",
        |v| auth(v) && (v.code(&[538]) || v.enhanced(&["5.7.11"]) || v.says(&["encryption required"])),
        "The server takes this login only over an encrypted connection. Choose STARTTLS (port 587) or TLS (port 465).",
    ),
    Cause::fails(
        "account_disabled",
        "the account is locked, disabled or expired",
        |v| {
            let words = ["disabled", "locked", "suspended", "expired", "inactive"];
            auth(v) && v.code(&[535, 525, 550, 554]) && (v.enhanced(&["5.7.13"]) || v.says(&words))
        },
        "The server says that this account is disabled, locked or expired. Have it enabled again or its password renewed, \
         then test again.",
    ),
    Cause::fails(
        "username_empty",
        "a login is on, and there is no user name",
        |v| auth(v) && v.refused() && v.connection.is_some_and(|c| c.username.is_empty()),
        "Authentication is on, but the user name is empty. Fill it in; it is often the whole mail address.",
    ),
    Cause::fails(
        "password_empty",
        "a login is on, and there is no password",
        |v| auth(v) && v.refused() && v.connection.is_some_and(|c| !c.password_set && !c.oauth_set),
        "Authentication is on, but no password is set. Type it and test again.",
    ),
    Cause::fails(
        "mechanism_unknown",
        "the server offers a mechanism and then does not know it",
        |v| auth(v) && v.code(&[504, 500, 502]),
        "The server does not do AUTH {mechanism}, although it offers it. Take it out of the mechanisms, so that another is \
         used.",
    ),
    Cause::fails(
        "login_twice_or_late",
        "the server does not expect a login there",
        |v| auth(v) && v.code(&[503]),
        "The server expects no login on this connection: it takes mail from this machine's address without one, or only on \
         its submission port. Switch authentication off, or use port 587.",
    ),
    Cause::fails(
        "server_not_proven",
        "the server did not prove to know the password, as SCRAM demands",
        |v| auth(v) && v.failed(Failure::Protocol) && v.detail().contains("prove"),
        "The server did not prove that it knows the password. Either its SCRAM is broken, or it is not the server it \
         claims to be; nothing was sent. Use PLAIN only if you trust its certificate.",
    ),
    Cause::fails(
        "login_garbled",
        "the server's side of the login makes no sense",
        |v| auth(v) && v.failed(Failure::Protocol),
        "The server's answers to AUTH {mechanism} make no sense. Take that mechanism out of the settings, so that another \
         is used, and tell whoever runs the server.",
    ),
    Cause::fails(
        "login_refused",
        "the server does not take the user name and password",
        |v| auth(v) && v.refused(),
        "The server does not take this user name and password. Type both again; the user name is often the whole address, \
         and many providers want an app password or an API key in place of the account's password.",
    ),
    Cause::fails(
        "login_demanded",
        "the server takes mail only after a login, and none is set",
        |v| {
            let words = [
                "authentication required",
                "authenticate first",
                "not authenticated",
                "must authenticate",
                "log in",
                "requires authentication",
                "auth first",
            ];
            v.at(LATER) && !v.logs_in() && (v.code(&[530]) || v.refused() && v.says(&words))
        },
        "The server wants a login. Enable SMTP authentication, and give a user name and a password.",
    ),
];

//! Google Workspace, Gmail, and the tokens of Google. `docs/providers/` says the same for people.

use super::Cause;
use crate::Failure;

pub(super) const CAUSES: &[Cause] = &[
    Cause::fails(
        "google_app_password",
        "the account this account has 2-step verification, so Google takes no account password here",
        |v| v.says(&["application-specific password required", "invalidsecondfactor"]),
        "The account {user} has 2-step verification, so Google takes no account password here. Make an app \
         password at https://myaccount.google.com/apppasswords and enter its 16 letters, or log in by OAuth.",
    ),
    Cause::fails(
        "google_credentials",
        "Google took neither an account password nor what was given as one; account passwords do not work for \
         SMTP any more",
        |v| {
            v.code(&[535])
                && v.says(&["badcredentials", "username and password not accepted"])
                && v.says(&["gsmtp", "support.google.com"])
        },
        "Google took neither an account password nor what was given as one; account passwords do not work for \
         SMTP any more. Enter the full address as user name, and an app password \
         (https://myaccount.google.com/apppasswords, needs 2-step verification) as password. A changed \
         account password revokes all app passwords. With OAuth: consent again with the scope \
         https://mail.google.com/.",
    ),
    Cause::fails(
        "google_web_login",
        "Google distrusts this login, from this server or after too many tries",
        |v| {
            v.code(&[534])
                && v.says(&[
                    "log in via your web browser",
                    "log in with your web browser",
                    "webloginrequired",
                ])
        },
        "Google distrusts this login, from this server or after too many tries. Sign in as {user} in a \
         browser, best from this server's network, and confirm it is you \
         (https://accounts.google.com/DisplayUnlockCaptcha). Then use an app password or OAuth.",
    ),
    Cause::fails(
        "google_logins",
        "the account logged in too often in a short time",
        |v| v.says(&["too many login attempts"]) && v.says(&["gsmtp"]),
        "The account logged in too often in a short time. It opens again by itself, often within an hour. Set \
         Connections at once to 2; Mattermost by itself logs in for each mail, Postroom keeps its \
         connections.",
    ),
    Cause::fails(
        "google_daily_limit",
        "the account has used up its day's mail: 2 000 in Google Workspace, 500 in a free one",
        |v| {
            v.says(&["daily user sending quota", "daily user sending limit"])
                || (v.enhanced(&["5.4.5"]) && v.says(&["gsmtp"]))
        },
        "The account has used up its day's mail: 2 000 in Google Workspace, 500 in a free one. It opens again \
         within 24 hours. Send by another connection meanwhile; smtp-relay.gmail.com allows 10 000 recipients \
         a day for each user.",
    ),
    Cause::fails(
        "google_relay",
        "Google's relay doesn't know this server's public address, or the sender's domain is none of your \
         Workspace's domains",
        |v| v.says(&["invalid credentials for relay", "mail relay denied"]),
        "Google's relay doesn't know this server's public address, or {from_domain} is none of your \
         Workspace's domains. Admin console > Apps > Google Workspace > Gmail > Routing > SMTP relay service: \
         add the address that the reply names. Set Name in EHLO to a name in your domain.",
    ),
    Cause::fails(
        "google_relay_ehlo",
        "Google's relay hangs up on a name like localhost in EHLO",
        |v| v.code(&[421]) && v.says(&["closing connection. (ehlo)"]),
        "Google's relay hangs up on a name like localhost in EHLO. Set Name in EHLO to this server's name in \
         your domain, such as mattermost.example.com.",
    ),
    Cause::fails(
        "google_direct",
        "the connection goes to Google's server for incoming mail, which takes none from this address",
        |v| {
            v.says(&["not authorized to send email directly", "notauthorizederror", "is not authorized to"])
                && v.says(&["gsmtp"])
        },
        "The connection goes to Google's server for incoming mail, which takes none from this address. Use \
         smtp.gmail.com (587) with a login, or smtp-relay.gmail.com, or your own provider's server: none of \
         them named aspmx or gmail-smtp-in.",
    ),
    Cause::fails(
        "google_unauthenticated",
        "Gmail takes no mail of the sender's domain that passes neither SPF nor DKIM",
        |v| {
            v.enhanced(&["x.7.26"]) && v.says(&["gsmtp", "google"])
                || v.says(&["because the sender is unauthenticated"])
        },
        "Gmail takes no mail of {from_domain} that passes neither SPF nor DKIM. Publish the server's address \
         in the domain's SPF record and sign with DKIM. A test of this connection shows what is found.",
    ),
    Cause::fails(
        "google_system",
        "Google is busy, or too many connections of this account are open at once",
        |v| v.code(&[421, 451]) && v.says(&["temporary system problem"]) && v.says(&["gsmtp"]),
        "Google is busy, or too many connections of this account are open at once. Nothing need be done: the \
         mail is tried again. If it goes on, lower Connections at once.",
    ),
    Cause::fails(
        "google_refresh_token",
        "the refresh token is void: revoked, unused for six months, the account's password changed, or made \
         by an app in testing, whose tokens end after 7 days",
        |v| {
            v.failed(Failure::OauthRefused)
                && v.detail().contains("invalid_grant")
                && !v.detail().contains("aadsts")
        },
        "The refresh token is void: revoked, unused for six months, the account's password changed, or made \
         by an app in testing, whose tokens end after 7 days. Set the app's publishing status to In \
         production or its user type to Internal, consent again, and enter the new refresh token.",
    ),
];

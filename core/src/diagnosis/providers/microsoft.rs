//! Microsoft 365, Outlook.com, and the tokens of Entra. `docs/providers/` says the same for people.

use super::Cause;
use crate::{Failure, Mechanism};

pub(super) const CAUSES: &[Cause] = &[
    Cause::fails(
        "microsoft_basic_auth",
        "Microsoft takes no password for this mailbox any more",
        |v| v.code(&[535]) && v.says(&["basic authentication is disabled"]),
        "Microsoft takes no password for this mailbox any more. Log in by OAuth: Postroom's own connection \
         with Login XOAUTH2 and an Entra app. For an outlook.com mailbox there is no such app: send by \
         another provider.",
    ),
    Cause::fails(
        "microsoft_basic_auth_gone",
        "Microsoft has switched passwords off for SMTP in this organisation",
        |v| v.code(&[535, 550]) && v.enhanced(&["5.7.30"]),
        "Microsoft has switched passwords off for SMTP in this organisation. Log in by OAuth: Postroom's own \
         connection with Login XOAUTH2 and an Entra app.",
    ),
    Cause::fails(
        "microsoft_smtp_auth_tenant",
        "authenticated SMTP is switched off for the whole Microsoft 365 organisation; that holds for OAuth \
         too",
        |v| v.says(&["smtpclientauthentication is disabled for the tenant"]),
        "Authenticated SMTP is switched off for the whole Microsoft 365 organisation; that holds for OAuth \
         too. Switch it on for this one mailbox (Microsoft 365 admin centre > Active users > {user} > Mail > \
         Manage email apps > Authenticated SMTP): a mailbox's setting wins over the organisation's. It takes \
         up to an hour.",
    ),
    Cause::fails(
        "microsoft_smtp_auth_mailbox",
        "authenticated SMTP is switched off for this mailbox; that holds for OAuth too",
        |v| v.says(&["smtpclientauthentication is disabled for the mailbox"]),
        "Authenticated SMTP is switched off for this mailbox; that holds for OAuth too. Switch it on: \
         Microsoft 365 admin centre > Active users > {user} > Mail > Manage email apps > Authenticated SMTP, \
         or Set-CASMailbox -Identity <mailbox> -SmtpClientAuthenticationDisabled $false. It takes up to an \
         hour.",
    ),
    Cause::fails(
        "microsoft_security_defaults",
        "Entra's security defaults forbid passwords over SMTP",
        |v| v.says(&["security defaults policy"]),
        "Entra's security defaults forbid passwords over SMTP. Log in by OAuth (Login XOAUTH2 with an Entra \
         app), which they allow, rather than switching them off.",
    ),
    Cause::fails(
        "microsoft_conditional_access",
        "a Conditional Access policy or an authentication policy of your organisation turned this login down",
        |v| v.says(&["did not meet the criteria to be authenticated"]),
        "A Conditional Access policy or an authentication policy of your organisation turned this login down. \
         Look at {user} under Entra > Sign-in logs, which names the policy. Log in by OAuth, or let the \
         policy exclude this account from this server's address.",
    ),
    Cause::fails(
        "microsoft_credentials",
        "user name or password is wrong, or the account wants a second factor",
        |v| v.says(&["the user credentials were incorrect"]),
        "User name or password is wrong, or the account wants a second factor. The user name is the account's \
         sign-in name (UPN), not an alias. With multi-factor authentication a password can't work: log in by \
         OAuth.",
    ),
    Cause::fails(
        "microsoft_oauth_mailbox",
        "the access token is good, but Exchange doesn't let it into the mailbox",
        |v| v.code(&[535]) && v.enhanced(&["5.7.3"]) && v.uses(Mechanism::Xoauth2),
        "The access token is good, but Exchange doesn't let it into the mailbox. Look at, in this order: the \
         app's permission SMTP.SendAsApp with admin consent; New-ServicePrincipal with the object ID of the \
         enterprise application, not of the app registration; Add-MailboxPermission FullAccess on the mailbox \
         for it; the user name, which is the mailbox's own address.",
    ),
    Cause::fails(
        "microsoft_login",
        "Exchange did not take user name and password",
        |v| v.code(&[535]) && v.enhanced(&["5.7.3"]) && v.says(&["authentication unsuccessful"]),
        "Exchange did not take user name and password. Check both; the user name is the account's sign-in \
         name (UPN, on your own Exchange also DOMAIN\\user). In Microsoft 365, authenticated SMTP must be on \
         for the mailbox, and from the end of December 2026 passwords are off by default: log in by OAuth.",
    ),
    Cause::fails(
        "microsoft_not_logged_in",
        "Exchange wants a login before it takes mail, and there was none",
        |v| v.enhanced(&["5.7.57"]),
        "Exchange wants a login before it takes mail, and there was none. Set a user name and a login. On \
         your own Exchange, without a login, let a receive connector with the permission group Anonymous \
         users take this server's address.",
    ),
    Cause::fails(
        "microsoft_send_as",
        "this account may not send as the address in From",
        |v| v.enhanced(&["5.7.60"]) || v.says(&["does not have permissions to send as this sender"]),
        "{user} may not send as the address in From. Make the From address (FeedbackEmail, or From, address) \
         that mailbox's own, or give it the right: Add-RecipientPermission <From address> -AccessRights \
         SendAs -Trustee <the account that logs in> (your own Exchange: Add-ADPermission … -ExtendedRights \
         \"Send As\").",
    ),
    Cause::fails(
        "microsoft_send_as_denied",
        "this account may not send as the address in From",
        |v| v.says(&["sendasdenied"]),
        "{user} may not send as the address in From. Make the From address that mailbox's own, or give the \
         right in Exchange Online: Add-RecipientPermission <From address> -AccessRights SendAs -Trustee <the \
         account that logs in>; with an Entra app the trustee is the app's service principal. A new right \
         takes up to an hour.",
    ),
    Cause::fails(
        "microsoft_mailbox_logon",
        "the login was good, but it can't open the mailbox to send from it",
        |v| v.says(&["mailbox logon failure"]),
        "The login was good, but it can't open the mailbox to send from it. Give the app's service principal \
         FullAccess on the mailbox (Add-MailboxPermission), and use the object ID of the enterprise \
         application in New-ServicePrincipal. A new right takes up to an hour.",
    ),
    Cause::fails(
        "microsoft_concurrent",
        "Exchange Online lets a mailbox send over three connections at once",
        |v| v.code(&[432]) && v.enhanced(&["4.3.2"]) || v.says(&["concurrent connections limit exceeded"]),
        "Exchange Online lets a mailbox send over three connections at once. Set Connections at once to 3 \
         (Mattermost's connection: Connections to the mail server); the mail is tried again.",
    ),
    Cause::fails(
        "microsoft_quota",
        "the mailbox has sent to 10 000 recipients within a day, Exchange Online's limit",
        |v| v.says(&["submissionquotaexceeded"]),
        "The mailbox has sent to 10 000 recipients within a day, Exchange Online's limit. It opens again \
         within 24 hours. Send by another connection meanwhile; notifications of a large server want a \
         provider for bulk mail.",
    ),
    Cause::fails(
        "microsoft_tenant_blocked",
        "Microsoft has stopped your organisation's outgoing mail: it saw too much of it, or took it for spam",
        |v| v.enhanced(&["5.7.705", "5.7.708"]),
        "Microsoft has stopped your organisation's outgoing mail: it saw too much of it, or took it for spam. \
         Look for a compromised account first, then have Microsoft's support lift the block. A trial or new \
         organisation has a low limit. Send by another connection meanwhile.",
    ),
    Cause::fails(
        "microsoft_unregistered_domain",
        "the sender's domain the sender's domain is none of your organisation's accepted domains",
        |v| v.enhanced(&["5.7.750"]),
        "The sender's domain {from_domain} is none of your organisation's accepted domains. Add it in the \
         Microsoft 365 admin centre under Settings > Domains, or use a From address in a domain that is \
         there.",
    ),
    Cause::fails(
        "microsoft_banned_ip",
        "Microsoft has this server's public address on its block list",
        |v| v.enhanced(&["5.7.606"]) || v.says(&["banned sending ip"]),
        "Microsoft has this server's public address on its block list. Ask for its removal at \
         https://sender.office.com/ (it takes up to a day), or log in to smtp.office365.com instead of \
         sending directly.",
    ),
    Cause::fails(
        "entra_client_secret",
        "Entra doesn't know this client secret",
        |v| v.failed(Failure::OauthRefused) && v.detail().contains("aadsts7000215"),
        "Entra doesn't know this client secret. Enter the secret's value, which is shown once when it is \
         made, not its ID. Make a new one under App registrations > your app > Certificates & secrets if it \
         is lost.",
    ),
    Cause::fails(
        "entra_secret_expired",
        "the app's client secret has expired",
        |v| v.failed(Failure::OauthRefused) && v.detail().contains("aadsts7000222"),
        "The app's client secret has expired. Make a new one under Entra > App registrations > your app > \
         Certificates & secrets, enter its value, and note the day it ends.",
    ),
    Cause::fails(
        "entra_app_unknown",
        "the organisation in the token URL has no app with this client ID",
        |v| v.failed(Failure::OauthRefused) && v.detail().contains("aadsts700016"),
        "The organisation in the token URL has no app with this client ID. Enter the application (client) ID \
         as client ID, and the directory (tenant) ID in the token URL; both stand on the app's overview.",
    ),
    Cause::fails(
        "entra_tenant_unknown",
        "Entra knows no organisation by the name in the token URL",
        |v| {
            v.failed(Failure::OauthRefused)
                && (v.detail().contains("aadsts90002:") || v.detail().contains("aadsts900023"))
        },
        "Entra knows no organisation by the name in the token URL. It is \
         https://login.microsoftonline.com/TENANT/oauth2/v2.0/token, with the directory (tenant) ID, or a \
         domain of yours, for TENANT.",
    ),
];

//! Amazon SES. `docs/providers/` says the same for people.

use super::Cause;

pub(super) const CAUSES: &[Cause] = &[
    Cause::fails(
        "ses_credentials",
        "these are no SMTP credentials of this region; an AWS access key is none, and each region has its own",
        |v| v.code(&[535]) && v.server_in(&["amazonaws.com", "amazonaws.com.cn"]),
        "These are no SMTP credentials of this region. An AWS access key is none, and each region has its \
         own. Make them in the SES console of the region in the host name, under SMTP settings > Create SMTP \
         credentials; a new access key needs new ones.",
    ),
    Cause::fails(
        "ses_not_logged_in",
        "SES wants a login",
        |v| {
            v.code(&[530])
                && v.server_in(&["amazonaws.com", "amazonaws.com.cn"])
                && v.says(&["authentication required"])
        },
        "SES wants a login. Set the SMTP user name and password of the region, and Login to automatic.",
    ),
    Cause::fails(
        "ses_not_verified",
        "SES doesn't know the addresses that the reply names, in the region that it names",
        |v| v.says(&["email address is not verified"]),
        "SES doesn't know the addresses that the reply names, in the region that it names. Is the sender \
         among them, verify its domain under Identities in that region. Is a recipient among them, the \
         account is still in the sandbox: request production access.",
    ),
    Cause::fails(
        "ses_rate",
        "more mails in a second than the account may send",
        |v| v.says(&["maximum sending rate exceeded"]),
        "More mails in a second than the account may send. Set Mails per minute to 60 times the rate in the \
         SES console, or request a higher one; the mail is tried again.",
    ),
    Cause::fails(
        "ses_daily_quota",
        "the account has used up its mails of the last 24 hours (200 in the sandbox)",
        |v| v.says(&["daily message quota exceeded"]),
        "The account has used up its mails of the last 24 hours (200 in the sandbox). Request a higher quota \
         in the SES console, in this region; send by another connection meanwhile.",
    ),
];

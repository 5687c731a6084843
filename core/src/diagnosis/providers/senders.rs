//! Services that send for others: Mailjet, SparkPost, Resend, Postmark, Mandrill. `docs/providers/` says the same for people.

use super::Cause;

pub(super) const CAUSES: &[Cause] = &[
    Cause::fails(
        "mailjet_login",
        "Mailjet has no such login; it says so as if it were to pass, but it will not",
        |v| v.code(&[435, 535]) && v.server_in(&["mailjet.com"]),
        "Mailjet has no such login; it says so as if it were to pass, but it will not. The user name is the \
         API key, the password the secret key (Account settings > SMTP and SEND API settings), not the \
         account's own.",
    ),
    Cause::fails(
        "sparkpost_login",
        "SparkPost has no such login; its user name is SMTP_Injection for everybody",
        |v| {
            v.code(&[535])
                && (v.server_in(&["sparkpostmail.com", "sparkpost.com"])
                    || v.says(&["no authentication type succeeded"]))
        },
        "SparkPost has no such login. Its user name is SMTP_Injection for everybody. Enter SMTP_Injection as \
         user name, and an API key with the permission Send via SMTP as password; an account in the EU has \
         the host smtp.eu.sparkpostmail.com.",
    ),
    Cause::fails(
        "sparkpost_domain",
        "SparkPost doesn't know the domain of the From address",
        |v| v.says(&["unconfigured sending domain"]),
        "SparkPost doesn't know the domain of the From address. Add and verify it under Configuration > \
         Domains, or use a From address in a domain that is there.",
    ),
    Cause::fails(
        "resend_domain",
        "Resend has not verified the domain of the From address; it says so as if it were to pass, but it \
         will not",
        |v| v.says(&["add and verify your domain on https://resend.com"]),
        "Resend has not verified the domain of the From address; it says so as if it were to pass, but it \
         will not. Add it at https://resend.com/domains and set its records, or use a From address in a \
         verified domain. The API key must belong to the same team.",
    ),
    Cause::fails(
        "postmark_login",
        "Postmark has no such login",
        |v| v.code(&[535]) && v.server_in(&["postmarkapp.com"]),
        "Postmark has no such login. Enter the server's API token both as user name and as password, or an \
         SMTP token's access key and secret key (the stream's Settings > SMTP).",
    ),
    Cause::fails(
        "mandrill_login",
        "Mandrill has no such login",
        |v| v.code(&[535]) && v.server_in(&["mandrillapp.com"]),
        "Mandrill has no such login. The user name may be anything, such as the account's address; the \
         password is an API key (Settings > SMTP & API info), not Mailchimp's password.",
    ),
    Cause::fails(
        "resend_login",
        "Resend has no such login; its user name is the word resend for everybody",
        |v| v.code(&[535]) && v.server_in(&["resend.com"]),
        "Resend has no such login. Its user name is the word resend for everybody. Enter resend as user name, \
         and an API key (re_…) as password.",
    ),
];

//! Providers by the name of their server: what their own pages say to put into the DNS.

/// What a provider asks of the domain that mail is sent from.
pub(super) struct Provider {
    pub(super) name: &'static str,
    /// The names of its servers, `*` for at least one character.
    hosts: &'static [&'static str],
    /// What an SPF record includes, the one to add first; any of them covers it.
    pub(super) spf: &'static [&'static str],
    /// It puts an envelope sender of its own on each mail, unless it was told of one of ours: SPF is then asked of that.
    pub(super) own_sender: bool,
    /// Where its DKIM keys usually are. Empty where each account has names of its own.
    pub(super) selectors: &'static [&'static str],
    /// Where its DKIM records are found, as the end of "… are shown".
    pub(super) dkim: &'static str,
}

const PROVIDERS: [Provider; 17] = [
    Provider {
        // https://learn.microsoft.com/defender-office-365/email-authentication-spf-configure and …-dkim-configure
        name: "Microsoft 365",
        hosts: &[
            "smtp.office365.com",
            "smtp-mail.outlook.com",
            "*.smtp.office365.com",
            "*.mail.protection.outlook.com",
            "*.mx.microsoft",
        ],
        spf: &[
            "spf.protection.outlook.com",
            "spf.protection.office365.us",
            "spf.protection.partner.outlook.cn",
        ],
        own_sender: false,
        selectors: &["selector1", "selector2"],
        dkim: "in Microsoft Defender, Email authentication settings, DKIM (two CNAME records)",
    },
    Provider {
        // https://support.google.com/a/answer/10684623 (SPF), /180504 (DKIM); the netblocks are what _spf once included
        name: "Google",
        hosts: &[
            "smtp.gmail.com",
            "smtp-relay.gmail.com",
            "smtp.google.com",
            "aspmx.l.google.com",
            "*.googlemail.com",
        ],
        spf: &["_spf.google.com", "_netblocks.google.com", "aspmx.googlemail.com"],
        own_sender: false,
        selectors: &["google"],
        dkim: "in Google's Admin console, Apps, Gmail, Authenticate email",
    },
    Provider {
        // https://docs.aws.amazon.com/ses/latest/dg/mail-from.html; Easy DKIM's selectors are random
        name: "Amazon SES",
        hosts: &[
            "email-smtp.*.amazonaws.com",
            "email-smtp-fips.*.amazonaws.com",
            "*.email-smtp.*.vpce.amazonaws.com",
            "email-smtp.*.amazonaws.com.cn",
        ],
        spf: &["amazonses.com"],
        own_sender: true,
        selectors: &[],
        dkim: "in the SES console, Identities, the domain, Authentication (three CNAME records)",
    },
    Provider {
        // https://www.twilio.com/docs/sendgrid/ui/account-and-settings/how-to-set-up-domain-authentication
        name: "SendGrid",
        hosts: &["smtp.sendgrid.net", "smtp.eu.sendgrid.net"],
        spf: &["sendgrid.net", "ab.sendgrid.net"],
        own_sender: true,
        selectors: &["s1", "s2", "smtpapi"],
        dkim: "in SendGrid, Settings, Sender Authentication (CNAME records)",
    },
    Provider {
        // https://documentation.mailgun.com/docs/mailgun/user-manual/domains/domains-verify
        name: "Mailgun",
        hosts: &["smtp.mailgun.org", "smtp.eu.mailgun.org"],
        spf: &["mailgun.org", "eu.mailgun.org"],
        own_sender: false,
        selectors: &["mx", "smtp", "k1", "mailo", "pdk1", "pdk2", "email", "pic"],
        dkim: "in Mailgun, Sending, Domain settings, DNS records",
    },
    Provider {
        // https://postmarkapp.com/blog/why-we-no-longer-ask-for-spf-records; selectors are a date and "pm"
        name: "Postmark",
        hosts: &["smtp.postmarkapp.com", "smtp-broadcasts.postmarkapp.com"],
        spf: &["spf.mtasv.net"],
        own_sender: true,
        selectors: &[],
        dkim: "in Postmark, Sender Signatures, the domain, DNS settings",
    },
    Provider {
        // https://help.brevo.com/hc/en-us/articles/12163873383186; the older selector is "mail"
        name: "Brevo",
        hosts: &["smtp-relay.brevo.com", "smtp-relay.sendinblue.com"],
        spf: &["spf.brevo.com", "spf.sendinblue.com"],
        own_sender: true,
        selectors: &["brevo1", "brevo2", "mail"],
        dkim: "in Brevo, Senders, Domains, Authenticate",
    },
    Provider {
        // https://documentation.mailjet.com/hc/en-us/articles/360049641733
        name: "Mailjet",
        hosts: &["in.mailjet.com", "in-v3.mailjet.com", "*.in-v3.mailjet.com"],
        spf: &["spf.mailjet.com"],
        own_sender: true,
        selectors: &["mailjet"],
        dkim: "in Mailjet, Sender domains & addresses, SPF and DKIM",
    },
    Provider {
        // https://support.sparkpost.com/docs/getting-started/getting-started-sparkpost; selectors are "scph" and a date
        name: "SparkPost",
        hosts: &["smtp.sparkpostmail.com", "smtp.eu.sparkpostmail.com"],
        spf: &["sparkpostmail.com", "_netblocks.sparkpostmail.com", "eu.sparkpostmail.com"],
        own_sender: true,
        selectors: &[],
        dkim: "in SparkPost, Configuration, Sending domains",
    },
    Provider {
        // https://www.zoho.com/mail/help/adminconsole/spf-configuration.html and …/dkim-configuration.html
        name: "Zoho Mail",
        hosts: &["smtp.zoho.*", "smtppro.zoho.*", "smtp.zohomail.*", "smtp.zohocloud.ca"],
        spf: &[
            "zohomail.com",
            "zoho.com",
            "zohomail.eu",
            "zoho.eu",
            "zohomail.in",
            "zoho.in",
            "zoho.com.au",
            "zohomail.com.au",
            "zoho.jp",
            "zohomail.jp",
            "zohocloud.ca",
            "one.zoho.com",
            "spf.zoho.com",
            "spf.zoho.eu",
        ],
        own_sender: false,
        selectors: &["zmail", "zoho", "zohomail"],
        dkim: "in Zoho's Mail admin console, Domains, Email configuration, DKIM",
    },
    Provider {
        // https://www.zoho.com/zeptomail/help/domain-addition.html
        name: "ZeptoMail",
        hosts: &["smtp.zeptomail.*", "smtp.transmail.*"],
        spf: &["zeptomail.net", "zeptomail.in", "zeptomail.eu", "transmail.net"],
        own_sender: true,
        selectors: &[],
        dkim: "in ZeptoMail, Mail agents, Domains",
    },
    Provider {
        // https://www.fastmail.help/hc/en-us/articles/360060591153
        name: "Fastmail",
        hosts: &[
            "smtp.fastmail.com",
            "smtps-proxy.fastmail.com",
            "smtp-proxy.fastmail.com",
            "smtp.messagingengine.com",
        ],
        spf: &["spf.messagingengine.com"],
        own_sender: false,
        selectors: &["fm1", "fm2", "fm3", "mesmtp"],
        dkim: "in Fastmail, Settings, Domains (three CNAME records)",
    },
    Provider {
        // https://proton.me/support/custom-domain (Bridge listens on this machine; a business's token uses smtp.protonmail.ch)
        name: "Proton Mail",
        hosts: &["smtp.protonmail.ch", "smtp.protonmail.com"],
        spf: &["_spf.protonmail.ch"],
        own_sender: false,
        selectors: &["protonmail", "protonmail2", "protonmail3"],
        dkim: "in Proton Mail, Settings, Domain names (three CNAME records)",
    },
    Provider {
        // https://resend.com/docs/dashboard/domains/introduction: SES behind a "send" subdomain of one's own
        name: "Resend",
        hosts: &["smtp.resend.com"],
        spf: &["amazonses.com"],
        own_sender: true,
        selectors: &["resend"],
        dkim: "in Resend, Domains",
    },
    Provider {
        // https://mailchimp.com/developer/transactional/docs/authentication-delivery/
        name: "Mandrill",
        hosts: &["smtp.mandrillapp.com", "smtp-*.mandrillapp.com"],
        spf: &["spf.mandrillapp.com"],
        own_sender: true,
        selectors: &["mte1", "mte2", "mandrill"],
        dkim: "in Mailchimp Transactional, Settings, Sending domains",
    },
    Provider {
        // https://support.smtp2go.com/hc/en-gb/articles/115004408567; selectors are "s" and the account's number
        name: "SMTP2GO",
        hosts: &["mail.smtp2go.com", "mail-*.smtp2go.com"],
        spf: &["spf.smtp2go.com"],
        own_sender: true,
        selectors: &[],
        dkim: "in SMTP2GO, Sending, Verified senders (CNAME records)",
    },
    Provider {
        // https://mailtrap.io/blog/setup-spf-dkim-dmarc/, https://docs.mailtrap.io/email-sending/setup/sending-domain
        name: "Mailtrap",
        hosts: &["live.smtp.mailtrap.io", "bulk.smtp.mailtrap.io"],
        spf: &["_spf.smtp.mailtrap.live"],
        own_sender: true,
        selectors: &["rwmt1", "rwmt2"],
        dkim: "in Mailtrap, Sending domains (CNAME records)",
    },
];

/// Whose server it is.
pub(super) fn of(server: &str) -> Option<&'static Provider> {
    let server = super::domain::folded(server.trim());
    PROVIDERS.iter().find(|provider| provider.hosts.iter().any(|pattern| fits(pattern, &server)))
}

fn fits(pattern: &str, server: &str) -> bool {
    let Some((before, after)) = pattern.split_once('*') else { return pattern == server };
    let Some(rest) = server.strip_prefix(before) else { return false };
    let ends = rest.char_indices().skip(1).filter_map(|(at, _)| rest.get(at..));
    ends.chain((!rest.is_empty()).then_some("")).any(|rest| fits(after, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers() {
        let check = |server: &str, expected: Option<&str>| {
            assert_eq!(of(server).map(|provider| provider.name), expected, "{server}");
        };
        check("smtp.office365.com", Some("Microsoft 365"));
        check("SMTP.Office365.com.", Some("Microsoft 365"));
        check("acme-net.mail.protection.outlook.com", Some("Microsoft 365"));
        check("mail.protection.outlook.com", None);
        check("smtp-relay.gmail.com", Some("Google"));
        check("email-smtp.eu-central-1.amazonaws.com", Some("Amazon SES"));
        check("email-smtp.amazonaws.com", None);
        check("vpce-1.email-smtp.us-east-1.vpce.amazonaws.com", Some("Amazon SES"));
        check("smtp.zoho.eu", Some("Zoho Mail"));
        check("smtp.zoho.com.au", Some("Zoho Mail"));
        check("smtp.office365.com.evil.net", None);
        check("xsmtp.gmail.com", None);
        check("", None);
        check("mail.acme.net", None);
    }

    /// What is asked for is bounded, whoever the provider.
    #[test]
    fn few_selectors() {
        for provider in &PROVIDERS {
            assert!(provider.selectors.len() <= 8 && !provider.spf.is_empty(), "{}", provider.name);
            assert!(
                provider.spf.iter().all(|name| super::super::domain::name(name).as_deref() == Some(*name))
            );
        }
    }
}

//! Mailboxes for people: Yahoo, iCloud, Fastmail, Proton, OVHcloud, IONOS, Hetzner, Gandi, Infomaniak. `docs/providers/` says the same for people.

use super::Cause;
use crate::{Failure, Step};

pub(super) const CAUSES: &[Cause] = &[
    Cause::fails(
        "yahoo_app_password",
        "Yahoo and AOL take no account password from other programs, and say so with these words at the first \
         try",
        |v| v.says(&["#auth005"]),
        "Yahoo and AOL take no account password from other programs, and say so with these words at the first \
         try. Make an app password under Account security and enter it; the user name is the full address.",
    ),
    Cause::fails(
        "yahoo_password",
        "Yahoo or AOL did not take user name and password",
        |v| v.says(&["#mbr1212"]),
        "Yahoo or AOL did not take user name and password. The user name is the full address, the password an \
         app password made under Account security.",
    ),
    Cause::fails(
        "icloud_sender",
        "iCloud sends only as addresses of the Apple account that logged in",
        |v| v.says(&["from address is not one of your addresses"]),
        "iCloud sends only as addresses of the Apple account that logged in. Use one of its addresses, an \
         alias, or an address of its custom domain, as From address and as envelope sender.",
    ),
    Cause::fails(
        "ionos_policy",
        "IONOS (also GMX and WEB.DE) found the mail's headers against its rules",
        |v| v.code(&[554]) && v.says(&["reject due to policy restrictions"]),
        "IONOS (also GMX and WEB.DE) found the mail's headers against its rules. The reply's link says which \
         rule: c=hd is about headers. Make sure From is a plain address of the mailbox that logged in, \
         without special characters in its name.",
    ),
    Cause::fails(
        "proton_bridge",
        "Proton Mail Bridge answers with a certificate of its own making",
        |v| {
            v.at(&[Step::Tls])
                && v.failed(Failure::Certificate)
                && v.certificate().is_some_and(|c| c.subject.contains("Proton AG"))
        },
        "Proton Mail Bridge answers with a certificate of its own making. Export it in Bridge (Settings > \
         Advanced settings > Export TLS certificates; cert export on the command line) and enter cert.pem \
         under Authorities to trust, with 127.0.0.1 as host; or, in Mattermost's settings, skip the \
         verification for this machine.",
    ),
    Cause::fails(
        "fastmail_login",
        "Fastmail takes no account password from other programs",
        |v| v.code(&[535]) && v.server_in(&["fastmail.com", "messagingengine.com"]),
        "Fastmail takes no account password from other programs. Make an app password with access to SMTP \
         under Settings > Privacy & Security > Integrations; the user name is the full address.",
    ),
    Cause::fails(
        "icloud_login",
        "iCloud takes no account password from other programs",
        |v| v.code(&[535]) && v.server_in(&["mail.me.com"]),
        "iCloud takes no account password from other programs. Make an app-specific password at \
         https://account.apple.com; the user name is the full iCloud address, also for a custom domain.",
    ),
    Cause::fails(
        "proton_token",
        "Proton takes no account password here, but an SMTP token",
        |v| v.code(&[535]) && v.server_in(&["protonmail.ch", "proton.me"]),
        "Proton takes no account password here, but an SMTP token. Make one under Settings > All settings > \
         IMAP/SMTP > SMTP tokens, for exactly the address that is the user name and the From address.",
    ),
    Cause::fails(
        "ovh_login",
        "OVHcloud did not take user name and password",
        |v| v.code(&[535]) && v.server_in(&["ovh.net", "ovh.com", "ovh.ca", "ovh.us"]),
        "OVHcloud did not take user name and password. The user name is the full address, the password the \
         mailbox's own, not that of the OVHcloud account; Email Pro and Exchange have hosts of their own \
         (pro1.mail.ovh.net, ex4.mail.ovh.net).",
    ),
    Cause::fails(
        "ionos_login",
        "IONOS did not take user name and password",
        |v| {
            v.code(&[535])
                && v.server_in(&[
                    "ionos.com",
                    "ionos.de",
                    "ionos.co.uk",
                    "ionos.fr",
                    "ionos.es",
                    "ionos.it",
                    "1und1.de",
                    "1and1.com",
                    "kundenserver.de",
                ])
        },
        "IONOS did not take user name and password. The user name is the full address, the password the \
         mailbox's own, not that of the IONOS account; use the host of your country (smtp.ionos.de, .co.uk, \
         …).",
    ),
    Cause::fails(
        "hetzner_login",
        "Hetzner did not take user name and password",
        |v| v.code(&[535]) && v.server_in(&["your-server.de"]),
        "Hetzner did not take user name and password. The user name is the full address, the password the \
         mailbox's own, set in konsoleH or cPanel, not that of the Hetzner account.",
    ),
    Cause::fails(
        "gandi_login",
        "Gandi did not take user name and password",
        |v| v.code(&[535]) && v.server_in(&["gandi.net"]),
        "Gandi did not take user name and password. The user name is the full address, the password the \
         mailbox's own, not that of the Gandi account.",
    ),
    Cause::fails(
        "infomaniak_login",
        "Infomaniak did not take user name and password",
        |v| v.code(&[535]) && v.server_in(&["infomaniak.com", "infomaniak.ch"]),
        "Infomaniak did not take user name and password. The user name is the full address, the password a \
         device password made for that mailbox in the Manager, not that of the Infomaniak account.",
    ),
];

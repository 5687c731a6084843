//! Mailgun. `docs/providers/` says the same for people.

use super::Cause;

pub(super) const CAUSES: &[Cause] = &[
    Cause::fails(
        "mailgun_login",
        "Mailgun has no such SMTP login here; an API key is none, and the EU region has servers of its own",
        |v| v.says(&["mailgun is not loving"]) || (v.code(&[535]) && v.server_in(&["mailgun.org"])),
        "Mailgun has no such SMTP login here. An API key is none, and the EU region has servers of its own. \
         Take user name (postmaster@your-domain) and password from Sending > Domain settings > SMTP \
         credentials; for a domain in the EU the host is smtp.eu.mailgun.org.",
    ),
    Cause::fails(
        "mailgun_sandbox",
        "a sandbox domain sends only to recipients that you have listed",
        |v| v.says(&["sandbox subdomains are for test purposes only"]),
        "A sandbox domain sends only to recipients that you have listed. Add and verify a domain of your own \
         in Mailgun, and use its SMTP credentials.",
    ),
    Cause::fails(
        "mailgun_relay",
        "Mailgun takes mail for others only after a login",
        |v| v.server_in(&["mailgun.org"]) && v.says(&["relaying denied"]),
        "Mailgun takes mail for others only after a login. Set the domain's SMTP user name and password, and \
         Login to automatic.",
    ),
];

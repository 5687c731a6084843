//! The large providers' own texts, a file each. Their causes come before all others.
//!
//! `docs/providers/` tells the same to people; `build/check-providers.py` holds the two together.

mod amazon;
mod brevo;
mod exchange;
mod google;
mod mailboxes;
mod mailgun;
mod microsoft;
mod senders;
mod sendgrid;
mod zoho;

use super::causes::Cause;

/// A slice for each provider. Those that know a provider by its server's name only come last.
pub(crate) const CAUSES: &[&[Cause]] = &[
    microsoft::CAUSES,
    exchange::CAUSES,
    google::CAUSES,
    amazon::CAUSES,
    sendgrid::CAUSES,
    mailgun::CAUSES,
    brevo::CAUSES,
    zoho::CAUSES,
    senders::CAUSES,
    mailboxes::CAUSES,
];

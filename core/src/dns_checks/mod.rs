//! What the DNS says of the domain that mail is sent from: `spf`, `dkim`, `dmarc`, `mx` and `ptr`.
//!
//! The core looks nothing up. It is asked again and again with the answers so far, works everything out from the
//! beginning, and names what it still lacks; whoever asks looks that up. Answers that never come are answers too
//! (`timeout`), so each round brings the end nearer, and [`lookups::MAX`] bounds them all.
//!
//! These steps come after the mail was accepted, and speak of what receivers will think of it.

mod dkim;
mod dkim_record;
mod dmarc;
mod dmarc_record;
mod domain;
mod lookups;
mod mx;
mod provider;
mod ptr;
mod spf;
mod spf_macro;
mod spf_record;
mod spf_step;
mod step;
mod tags;

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use domain::Domain;
use lookups::{Answer, Lookups, Question};
use provider::Provider;
use step::Step;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Args {
    from_domain: String,
    envelope_domain: String,
    server: String,
    addresses: Vec<String>,
    ehlo_name: String,
    answers: Vec<Answer>,
}

#[derive(Serialize)]
pub(crate) struct Checks {
    ask: Vec<Question>,
    steps: Vec<Step>,
}

/// All that the checks look at.
struct Subject<'a> {
    from: Domain,
    envelope: Domain,
    server: &'a str,
    provider: Option<&'static Provider>,
    /// The server's addresses that the Internet can see, [`MAX_ADDRESSES`] at most.
    public: Vec<IpAddr>,
    has_addresses: bool,
    ehlo_name: &'a str,
    lookups: Lookups<'a>,
}

const MAX_ADDRESSES: usize = 4;

/// The steps that have ended, in their order, and what is to be looked up for the others.
pub(crate) fn answer(args: &Args) -> Checks {
    let addresses: Vec<IpAddr> = args.addresses.iter().filter_map(|text| domain::address(text)).collect();
    let mut public: Vec<IpAddr> = addresses.iter().copied().filter(domain::is_public).collect();
    public.dedup();
    public.truncate(MAX_ADDRESSES);
    let subject = Subject {
        from: Domain::read(&args.from_domain),
        envelope: Domain::read(&args.envelope_domain),
        server: &args.server,
        provider: provider::of(&args.server),
        public,
        has_addresses: !addresses.is_empty(),
        ehlo_name: &args.ehlo_name,
        lookups: Lookups::new(&args.answers),
    };
    // The order in which they ask: SPF may need the most look-ups, and is not to leave the others without.
    let ptr = ptr::check(&subject);
    let mx = mx::check(&subject);
    let dkim = dkim::check(&subject);
    dmarc::ask(&subject);
    let spf = spf_step::check(&subject);
    let dmarc = dmarc::check(&subject, spf.as_ref(), dkim.as_ref());
    let steps = [spf, dkim, dmarc, mx, ptr].into_iter().flatten().collect();
    Checks { ask: subject.lookups.asked(), steps }
}

#[cfg(test)]
mod tests;

//! The operation `take_mail`: what a mail is, and what leaves in its place, sealed.

use super::belief::{Believed, Evidence, decide};
use super::body;
use super::header::{self, MessageId, Repair};
use super::kind::{self, Class, Kind};
use super::link::{AccountLink, account_links, origins};
use super::read::{Mail, with_crlf};
use super::shapes::{Answer, Args, Facts, HeldBack, MailToStore, Recipient, Reply, TokenToStore};
use crate::account_mail::mail_id;
use crate::entropy::Entropy;
use crate::mail::address::{parse, refuse_controls};
use crate::mail::{Base, Letter, Moment, compose, mask};
use crate::request::is_safe_redirect;
use crate::restraint::{self, AccountLimit, Restraint};
use crate::seal::{self, SealingKey, Stored};
use crate::token::{self, Token};
use crate::wire::{Base64, Clear};
use crate::{Error, Purpose, Site};
use ring::digest::{SHA256, digest};

/// Octets of entropy that `take_mail` takes: token, seed, id, nonce, and room for what may come.
pub(crate) const ENTROPY: usize = 96;
const SEED: usize = 32;
const ID: usize = 16;
const _: () = assert!(token::ENTROPY + SEED + ID + seal::ENTROPY <= ENTROPY);

/// What leaves, not yet sealed.
struct Outgoing {
    kind: Kind,
    token: Option<TokenToStore>,
    take_token: bool,
    limit_tat_ms: Option<i64>,
    held_back: Option<Restraint>,
    message: Vec<u8>,
    message_id: String,
    locale: String,
    envelope_from: String,
    envelope_to: Vec<String>,
    expires_at: i64,
}

/// The request's entropy, taken apart.
struct Chance {
    token: [u8; token::ENTROPY],
    seed: [u8; SEED],
    id: [u8; ID],
    nonce: [u8; seal::ENTROPY],
}

/// The operation `take_mail`.
pub(crate) fn answer(args: Args, now: i64, mut entropy: Entropy<'_>) -> Result<Reply, Error> {
    let key = SealingKey::derive(&args.key)?;
    let chance =
        Chance { token: entropy.take()?, seed: entropy.take()?, id: entropy.take()?, nonce: entropy.take()? };
    let envelope_to = recipients(&args.envelope_to)?;
    refuse_controls("envelope_from", &args.envelope_from)?;
    let date = Moment::new("now", now)?.rfc5322();

    let mut notes = Vec::new();
    let (message, mended) = with_crlf(args.message.0);
    if mended {
        notes.push("line_ends".to_owned());
    }
    let relayed = Relayed {
        message: &message,
        envelope_from: &args.envelope_from,
        envelope_to,
        site: &args.site,
        facts: &args.facts,
        now,
        date,
        chance: &chance,
    };
    let outgoing = match relayed.outgoing(&mut notes) {
        Ok(outgoing) => outgoing,
        Err(LookUp(token)) => return Ok(Reply { look_up: Some(token), taken: None }),
    };
    drop(message);

    let mut sealed = Vec::with_capacity(outgoing.envelope_to.len());
    let size = outgoing.message.len();
    let mut stored = Stored {
        envelope_from: outgoing.envelope_from,
        envelope_to: String::new(),
        message: outgoing.message,
    };
    for (at, to) in outgoing.envelope_to.into_iter().enumerate() {
        let (id, nonce) = chance.of_recipient(at, now);
        stored.envelope_to.clone_from(&to);
        let body = if outgoing.held_back.is_some() { Vec::new() } else { key.seal(&id, &stored, nonce)? };
        sealed.push(Recipient { masked_to: mask(&to), sealed: Base64(body), id, to });
    }
    let held_back = outgoing.held_back.is_some();
    let taken = Answer {
        kind: outgoing.kind,
        class: outgoing.kind.class(),
        take_token: outgoing.take_token,
        token: outgoing.token,
        limit_tat_ms: outgoing.limit_tat_ms,
        held_back: outgoing.held_back.map(|why| HeldBack { why, reason: why.words() }),
        mail: MailToStore {
            id: sealed.first().map(|first| first.id.clone()).unwrap_or_default(),
            message_id: outgoing.message_id,
            locale: outgoing.locale,
            size,
            key_id: key.id(),
            expires_at: outgoing.expires_at,
        },
        recipients: sealed,
        clear: if held_back { None } else { Clear::of(stored.envelope_from, stored.message) },
        notes,
    };
    Ok(Reply { look_up: None, taken: Some(taken) })
}

/// The envelope's recipients, each once; a domain in A-labels where it can be, else as it came: none is lost.
fn recipients(envelope_to: &[String]) -> Result<Vec<String>, Error> {
    let mut out: Vec<String> = Vec::with_capacity(envelope_to.len());
    for to in envelope_to {
        refuse_controls("envelope_to", to)?;
        if to.is_empty() {
            return Err(Error::argument("envelope_to", "an address is empty"));
        }
        let to = parse("envelope_to", to).map_or_else(|_| to.clone(), |address| address.to_string());
        if !out.contains(&to) {
            out.push(to);
        }
    }
    if out.is_empty() {
        return Err(Error::argument("envelope_to", "a mail has at least one recipient"));
    }
    Ok(out)
}

impl Chance {
    /// A row's id and nonce. Those of the first are the request's own; the others' come from them by SHA-256.
    fn of_recipient(&self, at: usize, now: i64) -> (String, [u8; seal::ENTROPY]) {
        if at == 0 {
            return (mail_id(now, self.id), self.nonce);
        }
        let at = u64::try_from(at).unwrap_or(u64::MAX).to_be_bytes();
        let parts: [&[u8]; 6] =
            [b"postroom: a further recipient\0", &at, &self.token, &self.seed, &self.id, &self.nonce];
        let hash = digest(&SHA256, &parts.concat());
        let (mut id, mut nonce) = ([0; ID], [0; seal::ENTROPY]);
        for (to, from) in id.iter_mut().chain(&mut nonce).zip(hash.as_ref()) {
            *to = *from;
        }
        (mail_id(now, id), nonce)
    }
}

/// A token whose row must be known first.
struct LookUp(String);

struct Relayed<'a> {
    message: &'a [u8],
    envelope_from: &'a str,
    envelope_to: Vec<String>,
    site: &'a Site,
    facts: &'a Facts,
    now: i64,
    date: String,
    chance: &'a Chance,
}

impl Relayed<'_> {
    fn outgoing(self, notes: &mut Vec<String>) -> Result<Outgoing, LookUp> {
        let Some(mail) = Mail::read(self.message) else {
            notes.push("unreadable".to_owned());
            let message_id = MessageId::under(&self.domain(None), &[], &self.chance.seed).new;
            let message = self.message.to_vec();
            return Ok(self.passed(Kind::Other, message, message_id));
        };
        let origins = origins(self.site);
        let texts = mail.texts();
        let patterns =
            self.facts.subjects.iter().flatten().map(|(name, pattern)| (name.as_str(), pattern.as_str()));
        let by_subject = kind::of_subject(&mail.subject, patterns);
        let links: Vec<AccountLink> = texts.iter().flat_map(|text| account_links(text, &origins)).collect();
        if let Some(first) = links.first()
            && self.facts.token_row.is_none()
            && self.facts.token.as_ref() != Some(&first.token)
        {
            return Err(LookUp(first.token.clone()));
        }
        let evidence = Evidence {
            recipients: &self.envelope_to,
            by_subject: &by_subject,
            links: &links,
            row: self.facts.token_row.as_ref(),
            owner: self.facts.owner.as_ref(),
            now: self.now,
        };
        match decide(&evidence) {
            Ok(believed) => match self.composed(&believed) {
                Ok(outgoing) => return Ok(outgoing),
                // It is better sent as Mattermost wrote it than not at all. An error's field names what is wrong.
                Err(error) => notes.push(format!("not_composed:{}:{}", error.code(), error.field())),
            },
            Err(Some(why)) => notes.push(format!("not_believed:{why}")),
            Err(None) => {}
        }
        let kind = kind::of_the_rest(&by_subject, &texts, &origins);
        Ok(self.repaired(kind, &mail, notes))
    }

    /// An account mail, composed anew around a link of ours.
    fn composed(&self, believed: &Believed<'_>) -> Result<Outgoing, Error> {
        let base = Base::of(self.site)?;
        let lifetime_ms = self.site.lifetime_ms(believed.purpose)?;
        let limit_tat_ms = match self.passed_restraint(believed)? {
            Ok(moved) => moved,
            Err(why) => return Ok(self.held_back(believed, why, lifetime_ms)),
        };
        let token = Token::mint(&self.chance.token)?;
        let link = token.link(believed.purpose, &base);
        let username = believed.owner.username.as_str();
        let letter = match believed.purpose {
            Purpose::Reset => Letter::Reset { link: &link, lifetime_ms, username },
            Purpose::Verify => Letter::Verify { link: &link, lifetime_ms, username },
        };
        let (to, locale) = (&believed.address, &believed.owner.locale);
        let composed = compose(&letter, to, locale, self.site, self.now, &self.chance.seed)?;
        let expires_at = self.now.saturating_add(lifetime_ms);
        Ok(Outgoing {
            kind: believed.kind,
            token: Some(TokenToStore {
                digest: Base64(token.digest().to_vec()),
                purpose: believed.purpose,
                account_id: believed.owner.id.clone(),
                address: believed.address.clone(),
                replaces: believed.replaces.clone(),
                password_stamp: believed.owner.password_stamp,
                redirect: believed.redirect.filter(|path| is_safe_redirect(path)).map(str::to_owned),
                expires_at,
            }),
            take_token: true,
            limit_tat_ms,
            held_back: None,
            message: composed.message,
            message_id: composed.message_id,
            locale: composed.locale,
            envelope_from: composed.envelope_from,
            envelope_to: vec![composed.envelope_to],
            expires_at,
        })
    }

    /// S10, S12. A link that verifies another address than the live one does is another wish, never a repeat.
    fn passed_restraint(&self, believed: &Believed<'_>) -> Result<Result<Option<i64>, Restraint>, Error> {
        let none = AccountLimit { per_hour: 0, tat_ms: None };
        let previous = self.facts.previous.as_ref().filter(|previous| previous.address == believed.address);
        let limit = self.facts.limit.as_ref().unwrap_or(&none);
        restraint::pass(self.now, previous.map(|previous| previous.requested_at), limit, self.now)
    }

    /// An account mail that is not sent: Mattermost's link dies all the same, and the link before it lives.
    fn held_back(&self, believed: &Believed<'_>, why: Restraint, lifetime_ms: i64) -> Outgoing {
        Outgoing {
            kind: believed.kind,
            token: None,
            take_token: true,
            limit_tat_ms: None,
            held_back: Some(why),
            message: self.message.to_vec(),
            message_id: MessageId::under(&self.domain(None), &[], &self.chance.seed).new,
            locale: self.locale(),
            envelope_from: String::new(),
            envelope_to: vec![believed.address.clone()],
            expires_at: self.now.saturating_add(lifetime_ms),
        }
    }

    /// Any other mail, with its header and what SMTP needs of its body repaired.
    fn repaired(self, kind: Kind, mail: &Mail<'_>, notes: &mut Vec<String>) -> Outgoing {
        let has_address = |header: Option<&mail_parser::Address<'_>>| {
            header.is_some_and(|header| {
                header.iter().any(|address| address.address().is_some_and(|a| a.contains('@')))
            })
        };
        let from = mail.parsed.from().and_then(|from| from.iter().find_map(mail_parser::Addr::address));
        let domain = self.domain(from);
        let message_id = MessageId::under(&domain, &mail.fields, &self.chance.seed);
        let served = |address: &mail_parser::Addr<'_>| {
            address
                .address()
                .is_some_and(|cc| self.envelope_to.iter().any(|to| to.to_lowercase() == cc.to_lowercase()))
        };
        let body = body::repaired(self.message, mail);
        let stand_in = if self.envelope_from.is_empty() {
            format!("noreply@{domain}")
        } else {
            self.envelope_from.to_owned()
        };
        let header = header::repaired(
            &mail.fields,
            &Repair {
                from: &stand_in,
                has_from: has_address(mail.parsed.from()),
                has_to: has_address(mail.parsed.to()),
                cc_is_served: mail.parsed.all_cc().all(|header| header.iter().all(served)),
                has_date: mail.parsed.date().is_some_and(mail_parser::DateTime::is_valid),
                recipients: &self.envelope_to,
                date: &self.date,
                message_id: &message_id,
                bulk: kind.class() == Class::Notification,
                encoding: body.encoding,
            },
        );
        if body.text_made {
            notes.push("text_made".to_owned());
        }
        if body.encoded {
            notes.push("encoded".to_owned());
        }
        let message = [header, body.body].concat();
        self.passed(kind, message, message_id.new)
    }

    fn passed(self, kind: Kind, message: Vec<u8>, message_id: String) -> Outgoing {
        Outgoing {
            kind,
            token: None,
            take_token: false,
            limit_tat_ms: None,
            held_back: None,
            message,
            message_id,
            locale: self.locale(),
            envelope_from: parse("envelope_from", self.envelope_from)
                .map_or_else(|_| self.envelope_from.to_owned(), |address| address.to_string()),
            envelope_to: self.envelope_to,
            expires_at: self.now.saturating_add(kind.class().lifetime_ms()),
        }
    }

    /// The recipient's, else the site's.
    fn locale(&self) -> String {
        let known = |locale: &&str| {
            !locale.is_empty() && locale.len() <= 16 && locale.bytes().all(|b| b.is_ascii_graphic())
        };
        let account = self.facts.account.as_ref().map(|account| account.locale.as_str());
        account.filter(known).unwrap_or(&self.site.default_locale).to_owned()
    }

    /// From's domain, else the envelope sender's, else the site's.
    fn domain(&self, from: Option<&str>) -> String {
        let site = || Base::of(self.site).map(|base| base.host().to_owned()).ok();
        from.and_then(header::domain_of)
            .or_else(|| header::domain_of(self.envelope_from))
            .or_else(|| site().filter(|host| !host.starts_with('[')))
            .unwrap_or_else(|| "localhost.invalid".to_owned())
    }
}

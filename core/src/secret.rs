//! What the service keeps sealed besides mails: its own secrets, by name (S29), and a mail that nobody could read (R12).

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::account_mail::{ID, mail_id};
use crate::entropy::Entropy;
use crate::mail::mask;
use crate::seal::{self, SealingKey, Stored};
use crate::wire::Base64;

/// Octets of entropy that `seal_secret` takes.
pub(crate) const ENTROPY: usize = seal::ENTROPY;
/// Octets of entropy that `pass_mail` takes.
pub(crate) const ENTROPY_PASS: usize = ID + seal::ENTROPY;

/// As long as what Mattermost tells lives: whoever could not read a mail does not know that it is worth more.
const LIFETIME_MS: i64 = 24 * 3_600_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SealArgs {
    key: String,
    name: String,
    secret: Base64,
}

#[derive(Serialize)]
pub(crate) struct SealAnswer {
    sealed: Base64,
    key_id: String,
}

/// The operation `seal_secret`.
pub(crate) fn seal_secret(args: &SealArgs, mut entropy: Entropy<'_>) -> Result<SealAnswer, Error> {
    let key = SealingKey::derive(&args.key)?;
    if args.name.is_empty() {
        return Err(Error::argument("name", "a secret is sealed under its name"));
    }
    let sealed = key.seal_secret(&args.name, &args.secret.0, entropy.take::<{ seal::ENTROPY }>()?)?;
    Ok(SealAnswer { sealed: Base64(sealed), key_id: key.id() })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OpenArgs {
    key: String,
    name: String,
    sealed: Base64,
}

#[derive(Serialize)]
pub(crate) struct OpenAnswer {
    secret: Base64,
}

/// The operation `open_secret`.
pub(crate) fn open_secret(args: &OpenArgs) -> Result<OpenAnswer, Error> {
    let secret = SealingKey::derive(&args.key)?.open_secret(&args.name, &args.sealed.0)?;
    Ok(OpenAnswer { secret: Base64(secret) })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PassArgs {
    message: Base64,
    envelope_from: String,
    envelope_to: Vec<String>,
    key: String,
}

#[derive(Serialize)]
pub(crate) struct PassAnswer {
    mail: PassedMail,
    recipients: Vec<PassedTo>,
}

#[derive(Serialize)]
struct PassedMail {
    id: String,
    size: usize,
    key_id: String,
    expires_at: i64,
}

#[derive(Serialize)]
struct PassedTo {
    id: String,
    to: String,
    masked_to: String,
    sealed: Base64,
}

/// The operation `pass_mail`: it looks at no octet of the message, so that none can make it fail.
pub(crate) fn pass_mail(args: PassArgs, now: i64, mut entropy: Entropy<'_>) -> Result<PassAnswer, Error> {
    let key = SealingKey::derive(&args.key)?;
    if args.envelope_to.is_empty() {
        return Err(Error::argument("envelope_to", "a mail has a recipient"));
    }
    let id = entropy.take::<ID>()?;
    let nonce = entropy.take::<{ seal::ENTROPY }>()?;
    let mut stored =
        Stored { envelope_from: args.envelope_from, envelope_to: String::new(), message: args.message.0 };
    let mut recipients = Vec::with_capacity(args.envelope_to.len());
    for (number, to) in (0_u32..).zip(args.envelope_to) {
        let masked_to = mask(&to);
        stored.envelope_to = to;
        let id = mail_id(now, numbered(id, number));
        let sealed = key.seal(&id, &stored, numbered(nonce, number))?;
        recipients.push(PassedTo { id, to: stored.envelope_to.clone(), masked_to, sealed: Base64(sealed) });
    }
    let mail = PassedMail {
        id: mail_id(now, id),
        size: stored.message.len(),
        key_id: key.id(),
        expires_at: now.saturating_add(LIFETIME_MS),
    };
    Ok(PassAnswer { mail, recipients })
}

/// An id and a nonce of its own for each recipient of a mail: one random start, and the recipient's number in its
/// last octets.
fn numbered<const N: usize>(mut start: [u8; N], number: u32) -> [u8; N] {
    for (octet, part) in start.iter_mut().rev().zip(number.to_le_bytes()) {
        *octet ^= part;
    }
    start
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "0123456789abcdefghijklmnopqrstuv";

    #[test]
    fn a_mail_passes_as_it_came_to_each_of_its_recipients() {
        let entropy: Vec<u8> = (0..28).collect();
        let message = b"\x00\xff no header at all\r\n".to_vec();
        let to: Vec<String> = ["anna@example.com", "ben@example.com", "\u{0}"].map(String::from).to_vec();
        let args = PassArgs {
            message: Base64(message.clone()),
            envelope_from: "a@example.com".into(),
            envelope_to: to.clone(),
            key: KEY.into(),
        };
        let answer =
            pass_mail(args, 1_764_000_000_000, Entropy::new(&entropy, ENTROPY_PASS).unwrap()).unwrap();
        let key = SealingKey::derive(KEY).unwrap();
        assert_eq!(answer.recipients.len(), to.len());
        for (recipient, to) in answer.recipients.iter().zip(&to) {
            let opened = key.open(&recipient.id, &recipient.sealed.0).unwrap();
            assert!(
                opened.message == message
                    && opened.envelope_to == *to
                    && opened.envelope_from == "a@example.com"
            );
        }
        let nonces: std::collections::BTreeSet<_> =
            answer.recipients.iter().map(|r| r.sealed.0[5..17].to_vec()).collect();
        assert_eq!(nonces.len(), to.len(), "no nonce is used twice");
        let ids: std::collections::BTreeSet<_> = answer.recipients.iter().map(|r| r.id.clone()).collect();
        assert!(ids.len() == to.len() && answer.recipients[0].id == answer.mail.id);
        assert_eq!(answer.recipients[0].masked_to, "a***@example.com");
    }

    #[test]
    fn numbers_make_different_nonces() {
        let all: std::collections::BTreeSet<_> =
            (0..70_000).map(|number| numbered([7; 12], number)).collect();
        assert_eq!(all.len(), 70_000);
    }
}

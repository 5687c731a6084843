//! One account mail, from the request to the sealed mail; and the test mail.

use serde::{Deserialize, Serialize};

use crate::account::{Ineligible, eligible};
use crate::entropy::Entropy;
use crate::mail::{Base, Letter, compose, locale};
use crate::request::is_safe_redirect;
use crate::restraint::{self, AccountLimit, Restraint};
use crate::seal::{self, SealingKey, Stored};
use crate::token::{self, Token};
use crate::wire::{Base64, Clear};
use crate::{Account, Error, Purpose, Site};

/// Octets of entropy that a mail's Message-ID and MIME boundary are made of.
pub(crate) const SEED: usize = 32;
/// Octets of entropy in a mail's id.
pub(crate) const ID: usize = 16;

/// Octets of entropy that `prepare` takes: token, seed, id, nonce, and room for what may come.
pub(crate) const ENTROPY: usize = 96;
const _: () = assert!(token::ENTROPY + SEED + ID + seal::ENTROPY <= ENTROPY);

/// Octets of entropy that `compose_test` takes.
pub(crate) const ENTROPY_TEST: usize = SEED + ID;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Args {
    kind: Purpose,
    requested_at: i64,
    account: Option<Account>,
    redirect: Option<String>,
    previous: Option<Previous>,
    limit: AccountLimit,
    site: Site,
    key: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Previous {
    requested_at: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Mail,
    Skip,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Reason {
    NoAccount,
    Remote,
    Sso,
    MagicLink,
    Deactivated,
    AlreadyVerified,
    Repeat,
    AccountLimited,
    Expired,
}

impl From<Ineligible> for Reason {
    fn from(why: Ineligible) -> Self {
        match why {
            Ineligible::Remote => Self::Remote,
            Ineligible::MagicLink => Self::MagicLink,
            Ineligible::Sso => Self::Sso,
            Ineligible::Deactivated => Self::Deactivated,
            Ineligible::AlreadyVerified => Self::AlreadyVerified,
        }
    }
}

impl From<Restraint> for Reason {
    fn from(why: Restraint) -> Self {
        match why {
            Restraint::Repeat => Self::Repeat,
            Restraint::AccountLimited => Self::AccountLimited,
        }
    }
}

#[derive(Serialize)]
pub(crate) struct Answer {
    decision: Verdict,
    reason: Option<Reason>,
    limit_tat_ms: Option<i64>,
    token: Option<TokenToStore>,
    mail: Option<MailToStore>,
    warnings: Vec<&'static str>,
}

/// All that is stored of a token; the rest stands in the sealed mail alone.
#[derive(Serialize)]
struct TokenToStore {
    digest: Base64,
    address: String,
    expires_at: i64,
}

#[derive(Serialize)]
struct MailToStore {
    id: String,
    message_id: String,
    masked_to: String,
    locale: String,
    size: usize,
    sealed: Base64,
    key_id: String,
    expires_at: i64,
    to: String,
    clear: Option<Clear>,
}

/// The operation `prepare`. What is wrong with the site, the key or the entropy is told before the account
/// is looked at, so that a configuration which cannot work shows at the first request.
pub(crate) fn answer(args: &Args, now: i64, mut entropy: Entropy<'_>) -> Result<Answer, Error> {
    let base = Base::of(&args.site)?;
    let lifetime_ms = args.site.lifetime_ms(args.kind)?;
    let key = SealingKey::derive(&args.key)?;
    if args.redirect.as_deref().is_some_and(|path| !is_safe_redirect(path)) {
        return Err(Error::argument(
            "redirect",
            "not a relative path of the same origin; read_request drops such",
        ));
    }
    let warnings = if base.secure() { Vec::new() } else { vec!["site_url_http"] };

    let (account, limit_tat_ms) = match to_whom(args, lifetime_ms, now)? {
        Ok(found) => found,
        Err(reason) => {
            return Ok(Answer {
                decision: Verdict::Skip,
                reason: Some(reason),
                limit_tat_ms: args.limit.tat_ms,
                token: None,
                mail: None,
                warnings,
            });
        }
    };

    let token = Token::mint(&entropy.take::<{ token::ENTROPY }>()?)?;
    let seed = entropy.take::<SEED>()?;
    let id = mail_id(now, entropy.take::<ID>()?);
    let nonce = entropy.take::<{ seal::ENTROPY }>()?;
    let expires_at = now.saturating_add(lifetime_ms);

    let link = token.link(args.kind, &base);
    let username = account.username.as_str();
    let letter = match args.kind {
        Purpose::Reset => Letter::Reset { link: &link, lifetime_ms, username },
        Purpose::Verify => Letter::Verify { link: &link, lifetime_ms, username },
    };
    let locale = locale::resolve(&account.locale, &args.site.default_locale);
    let composed = compose(&letter, &account.email, locale, &args.site, now, &seed)?;
    let stored = Stored {
        envelope_from: composed.envelope_from,
        envelope_to: composed.envelope_to,
        message: composed.message,
    };
    let sealed = key.seal(&id, &stored, nonce)?;
    Ok(Answer {
        decision: Verdict::Mail,
        reason: None,
        limit_tat_ms,
        token: Some(TokenToStore {
            digest: Base64(token.digest().to_vec()),
            address: account.email.clone(),
            expires_at,
        }),
        mail: Some(MailToStore {
            id,
            message_id: composed.message_id,
            masked_to: composed.masked_to,
            locale: composed.locale,
            size: stored.message.len(),
            sealed: Base64(sealed),
            key_id: key.id(),
            expires_at,
            to: stored.envelope_to,
            clear: Clear::of(stored.envelope_from, stored.message),
        }),
        warnings,
    })
}

/// The account to write to and its limit's new state, or why nobody is written to. Each skip leaves a live
/// link and the limit's state alone.
fn to_whom(
    args: &Args,
    lifetime_ms: i64,
    now: i64,
) -> Result<Result<(&Account, Option<i64>), Reason>, Error> {
    if now.saturating_sub(args.requested_at) >= lifetime_ms {
        return Ok(Err(Reason::Expired));
    }
    let Some(account) = &args.account else {
        return Ok(Err(Reason::NoAccount));
    };
    if let Err(why) = eligible(account, args.kind) {
        return Ok(Err(why.into()));
    }
    let previous = args.previous.as_ref().map(|previous| previous.requested_at);
    let passed = restraint::pass(args.requested_at, previous, &args.limit, now)?;
    Ok(passed.map(|limit_tat_ms| (account, limit_tat_ms)).map_err(Reason::from))
}

/// A UUID of version 7 (RFC 9562 section 5.7): in order of time, so that an index of them grows at its end.
pub(crate) fn mail_id(now: i64, entropy: [u8; ID]) -> String {
    let random = u128::from_be_bytes(entropy) & ((1 << 80) - 1);
    let time = u128::from(now.unsigned_abs() & ((1 << 48) - 1));
    let version = 0x7_u128 << 76;
    let variant = 0b10_u128 << 62;
    let bits = time << 80 | (random & !(0xf << 76) & !(0b11 << 62)) | version | variant;
    let hex = format!("{bits:032x}");
    let part = |range: std::ops::Range<usize>| hex.get(range).unwrap_or_default().to_owned();
    [part(0..8), part(8..12), part(12..16), part(16..20), part(20..32)].join("-")
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TestArgs {
    to: String,
    locale: String,
    site: Site,
}

#[derive(Serialize)]
pub(crate) struct TestAnswer {
    id: String,
    message_id: String,
    masked_to: String,
    locale: String,
    size: usize,
    envelope_from: String,
    envelope_to: String,
    message: Base64,
}

/// The operation `compose_test`.
pub(crate) fn compose_test(args: &TestArgs, now: i64, mut entropy: Entropy<'_>) -> Result<TestAnswer, Error> {
    let seed = entropy.take::<SEED>()?;
    let id = mail_id(now, entropy.take::<ID>()?);
    let locale = locale::resolve(&args.locale, &args.site.default_locale);
    let composed = compose(&Letter::Test, &args.to, locale, &args.site, now, &seed)?;
    Ok(TestAnswer {
        id,
        message_id: composed.message_id,
        masked_to: composed.masked_to,
        locale: composed.locale,
        size: composed.message.len(),
        envelope_from: composed.envelope_from,
        envelope_to: composed.envelope_to,
        message: Base64(composed.message),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::account::tests::anna;

    const NOW: i64 = 1_764_000_000_000;
    const HOUR_MS: i64 = 3_600_000;
    const KEY: &str = "0123456789abcdefghijklmnopqrstuv";

    fn args(kind: Purpose) -> Args {
        Args {
            kind,
            requested_at: NOW - 1_000,
            account: Some(anna()),
            redirect: None,
            previous: None,
            limit: AccountLimit { per_hour: 5, tat_ms: None },
            site: Site::example(),
            key: KEY.into(),
        }
    }

    fn prepare(args: &Args) -> Result<Answer, Error> {
        let entropy: Vec<u8> = (0..96).collect();
        answer(args, NOW, Entropy::new(&entropy, ENTROPY).unwrap())
    }

    fn check_skip(change: impl FnOnce(&mut Args), expected: Reason) {
        let mut args = args(Purpose::Reset);
        args.limit.tat_ms = Some(NOW + 7);
        change(&mut args);
        let answer = prepare(&args).unwrap();
        assert_eq!(answer.reason, Some(expected));
        assert!(matches!(answer.decision, Verdict::Skip) && answer.mail.is_none() && answer.token.is_none());
        assert_eq!(answer.limit_tat_ms, args.limit.tat_ms, "a skip moves no limit");
    }

    #[test]
    fn skips() {
        check_skip(|a| a.account = None, Reason::NoAccount);
        check_skip(|a| a.account.as_mut().unwrap().deleted = true, Reason::Deactivated);
        check_skip(|a| a.account.as_mut().unwrap().remote = true, Reason::Remote);
        check_skip(|a| a.account.as_mut().unwrap().auth_service = "ldap".into(), Reason::Sso);
        check_skip(|a| a.account.as_mut().unwrap().auth_service = "magic_link".into(), Reason::MagicLink);
        check_skip(
            |a| {
                a.kind = Purpose::Verify;
                a.account.as_mut().unwrap().email_verified = true;
            },
            Reason::AlreadyVerified,
        );
        check_skip(|a| a.requested_at = NOW - 3_600_000, Reason::Expired);
        check_skip(|a| a.requested_at = i64::MIN, Reason::Expired);
        check_skip(|a| a.previous = Some(Previous { requested_at: a.requested_at - 14_999 }), Reason::Repeat);
        check_skip(|a| a.previous = Some(Previous { requested_at: a.requested_at + 60_000 }), Reason::Repeat);
        check_skip(|a| a.limit.tat_ms = Some(NOW + HOUR_MS), Reason::AccountLimited);
    }

    #[test]
    fn mails() {
        let check = |change: fn(&mut Args), tat: Option<i64>| {
            let mut args = args(Purpose::Reset);
            change(&mut args);
            let answer = prepare(&args).unwrap();
            assert_eq!(answer.reason, None);
            assert_eq!(answer.limit_tat_ms, tat);
            assert_eq!(answer.token.unwrap().expires_at, NOW + 3_600_000, "a token lives from now");
        };
        check(|_| (), Some(NOW + HOUR_MS / 5));
        check(|a| a.requested_at = NOW - 3_599_999, Some(NOW + HOUR_MS / 5));
        check(
            |a| a.previous = Some(Previous { requested_at: a.requested_at - 15_000 }),
            Some(NOW + HOUR_MS / 5),
        );
        check(|a| a.limit.per_hour = 0, None);
        check(|a| a.limit.tat_ms = Some(NOW + HOUR_MS / 5), Some(NOW + 2 * HOUR_MS / 5));
    }

    #[test]
    fn what_is_stored_holds_no_token_and_opens_to_the_mail() {
        let entropy: Vec<u8> = (0..96).collect();
        let token = Token::mint(entropy[..32].try_into().unwrap()).unwrap();
        for kind in [Purpose::Reset, Purpose::Verify] {
            let answer = prepare(&args(kind)).unwrap();
            let json = serde_json::to_string(&answer).unwrap();
            assert!(!json.contains(token.reveal()));
            assert!(answer.token.unwrap().digest.0 == token.digest());
            let mail = answer.mail.unwrap();
            let opened = SealingKey::derive(KEY).unwrap().open(&mail.id, &mail.sealed.0).unwrap();
            assert_eq!(opened.message.len(), mail.size);
            assert_eq!(opened.envelope_to, "anna@example.com");
            assert_eq!(mail.masked_to, "a***@example.com");
        }
    }

    #[test]
    fn configurations_that_cannot_work() {
        let check = |change: fn(&mut Args), field: &str| {
            let mut args = args(Purpose::Reset);
            // Told whoever was asked about.
            args.account = None;
            change(&mut args);
            let error = prepare(&args).err().unwrap();
            assert_eq!((error.code(), error.field()), ("invalid_argument", field));
        };
        check(|a| a.site.url.clear(), "site.url");
        check(|a| a.site.url = "chat.example.com".into(), "site.url");
        check(|a| a.site.reset_lifetime_ms = 0, "site.reset_lifetime_ms");
        check(|a| a.site.reset_lifetime_ms = i64::MAX, "site.reset_lifetime_ms");
        check(|a| a.key.clear(), "key");
        check(|a| a.key = "short".into(), "key");
        check(|a| a.redirect = Some("//evil.example".into()), "redirect");
    }

    #[test]
    fn http_is_warned_about() {
        let mut args = args(Purpose::Reset);
        args.site.url = "http://chat.example.com".into();
        assert_eq!(prepare(&args).unwrap().warnings, ["site_url_http"]);
    }

    #[test]
    fn ids_are_uuids_of_version_7() {
        assert_eq!(mail_id(NOW, [0xff; 16]), "019ab697-e800-7fff-bfff-ffffffffffff");
        assert_eq!(mail_id(0, [0; 16]), "00000000-0000-7000-8000-000000000000");
    }

    proptest! {
        #[test]
        fn hostile_accounts_never_panic(
            email in "\\PC{0,40}|[a-z\"@.\\r\\n\\x00]{0,40}", username in "\\PC{0,40}|[{}%\\r\\n a-z]{0,40}",
            locale in "\\PC{0,12}|de-[A-Z]{2}", name in "\\PC{0,60}|[{}%a-z\\r\\n]{0,60}",
        ) {
            let mut args = args(Purpose::Reset);
            let account = args.account.as_mut().unwrap();
            account.email.clone_from(&email);
            account.username = username;
            account.locale = locale;
            args.site.name = name;
            match prepare(&args) {
                Ok(answer) => {
                    let mail = answer.mail.unwrap();
                    let opened = SealingKey::derive(KEY).unwrap().open(&mail.id, &mail.sealed.0).unwrap();
                    let header = String::from_utf8_lossy(&opened.message).split("\r\n\r\n").next().unwrap().to_owned();
                    prop_assert_eq!(header.lines().filter(|line| line.starts_with("To:")).count(), 1);
                    prop_assert!(!header.to_ascii_lowercase().contains("\nbcc:"));
                }
                Err(error) => prop_assert_eq!(error.code(), "invalid_argument"),
            }
        }
    }
}

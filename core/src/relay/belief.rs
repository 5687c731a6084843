//! Whether a mail is an account's: everything about it has to agree, as each part alone can be made by anybody.

use serde::Deserialize;

use super::kind::Kind;
use super::link::AccountLink;
use crate::account::eligible;
use crate::{Account, Purpose};

/// Mattermost's own tokens live that long (`model.MaxTokenExipryTime`).
const TOKEN_LIFE_MS: i64 = 24 * 3_600_000;

/// A row of Mattermost's `tokens`, less the token.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MattermostToken {
    #[serde(rename = "type")]
    kind: String,
    user_id: String,
    email: String,
    created_at: i64,
}

/// What has to agree.
pub(super) struct Evidence<'a> {
    pub(super) recipients: &'a [String],
    /// The kinds whose subject it has.
    pub(super) by_subject: &'a [Kind],
    /// Every account link in its texts.
    pub(super) links: &'a [AccountLink],
    pub(super) row: Option<&'a MattermostToken>,
    pub(super) owner: Option<&'a Account>,
    pub(super) now: i64,
}

/// An account mail that is believed.
pub(super) struct Believed<'a> {
    pub(super) kind: Kind,
    pub(super) purpose: Purpose,
    pub(super) owner: &'a Account,
    /// Where it goes: the stored address, or the pending new one of Mattermost's own row (S28).
    pub(super) address: String,
    /// The owner's present address, where the mail verifies another.
    pub(super) replaces: Option<String>,
    pub(super) redirect: Option<&'a str>,
}

/// Decides. `Err` says in a word what did not agree; without an account link there is nothing to say.
pub(super) fn decide<'a>(evidence: &Evidence<'a>) -> Result<Believed<'a>, Option<&'static str>> {
    let Some((link, others)) = evidence.links.split_first() else { return Err(None) };
    let subject_is = |kind: Kind| evidence.by_subject.contains(&kind);
    let fitting = match link.purpose {
        Purpose::Reset => subject_is(Kind::Reset),
        Purpose::Verify => subject_is(Kind::Verify) || subject_is(Kind::EmailChangeVerify),
    };
    if !fitting {
        return Err(Some("subject"));
    }
    let [recipient] = evidence.recipients else { return Err(Some("recipients")) };
    if others.iter().any(|other| other.token != link.token || other.purpose != link.purpose) {
        return Err(Some("links"));
    }
    let row = evidence.row.ok_or(Some("no_token"))?;
    let expected = match link.purpose {
        Purpose::Reset => "password_recovery",
        Purpose::Verify => "verify_email",
    };
    if row.kind != expected {
        return Err(Some("token_type"));
    }
    if evidence.now.saturating_sub(row.created_at) >= TOKEN_LIFE_MS {
        return Err(Some("token_expired"));
    }
    let address = row.email.to_lowercase();
    let named_otherwise = link.email.as_ref().is_some_and(|email| email.to_lowercase() != address);
    if recipient.to_lowercase() != address || named_otherwise {
        return Err(Some("address"));
    }
    let owner = evidence.owner.filter(|owner| owner.id == row.user_id).ok_or(Some("no_owner"))?;
    // Whether the address is verified already does not matter: Mattermost has decided to send.
    if eligible(owner, Purpose::Reset).is_err() {
        return Err(Some("owner"));
    }
    let stored = owner.email.to_lowercase() == address;
    let (kind, address, replaces) = match link.purpose {
        Purpose::Reset if stored => (Kind::Reset, owner.email.clone(), None),
        Purpose::Verify if stored => (Kind::Verify, owner.email.clone(), None),
        Purpose::Verify if subject_is(Kind::EmailChangeVerify) => {
            (Kind::EmailChangeVerify, address, Some(owner.email.clone()))
        }
        _ => return Err(Some("address")),
    };
    Ok(Believed { kind, purpose: link.purpose, owner, address, replaces, redirect: link.redirect.as_deref() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::tests::anna;

    const NOW: i64 = 1_764_000_000_000;

    struct Case {
        recipients: Vec<String>,
        by_subject: Vec<Kind>,
        links: Vec<AccountLink>,
        row: Option<MattermostToken>,
        owner: Option<Account>,
    }

    fn link(purpose: Purpose, token: &str) -> AccountLink {
        AccountLink { purpose, token: token.into(), email: None, redirect: None }
    }

    fn reset() -> Case {
        Case {
            recipients: vec!["Anna@example.com".into()],
            by_subject: vec![Kind::Reset],
            links: vec![link(Purpose::Reset, "t"), link(Purpose::Reset, "t")],
            row: Some(MattermostToken {
                kind: "password_recovery".into(),
                user_id: anna().id,
                email: "anna@example.com".into(),
                created_at: NOW - 1000,
            }),
            owner: Some(anna()),
        }
    }

    fn verify() -> Case {
        let mut case = reset();
        case.by_subject = vec![Kind::Verify];
        case.links =
            vec![AccountLink { email: Some("anna@example.com".into()), ..link(Purpose::Verify, "t") }];
        case.row.as_mut().unwrap().kind = "verify_email".into();
        case
    }

    fn change() -> Case {
        let mut case = verify();
        case.by_subject = vec![Kind::EmailChangeVerify];
        case.recipients = vec!["new@example.com".into()];
        case.links =
            vec![AccountLink { email: Some("new@example.com".into()), ..link(Purpose::Verify, "t") }];
        case.row.as_mut().unwrap().email = "new@example.com".into();
        case
    }

    fn check(case: &Case, expected: Result<(Kind, &str, Option<&str>), Option<&str>>) {
        let evidence = Evidence {
            recipients: &case.recipients,
            by_subject: &case.by_subject,
            links: &case.links,
            row: case.row.as_ref(),
            owner: case.owner.as_ref(),
            now: NOW,
        };
        match (decide(&evidence), expected) {
            (Ok(found), Ok((kind, address, replaces))) => {
                assert_eq!(
                    (found.kind, found.address.as_str(), found.replaces.as_deref()),
                    (kind, address, replaces)
                );
            }
            (Err(why), Err(expected)) => assert_eq!(why, expected),
            (Ok(_), Err(expected)) => panic!("believed in spite of {expected:?}"),
            (Err(why), Ok(_)) => panic!("not believed: {why:?}"),
        }
    }

    fn doubt(make: fn() -> Case, change: impl FnOnce(&mut Case), why: &str) {
        let mut case = make();
        change(&mut case);
        check(&case, Err(Some(why)));
    }

    #[test]
    fn believed() {
        check(&reset(), Ok((Kind::Reset, "anna@example.com", None)));
        check(&verify(), Ok((Kind::Verify, "anna@example.com", None)));
        check(&change(), Ok((Kind::EmailChangeVerify, "new@example.com", Some("anna@example.com"))));
        // Translations may be alike: the facts tell the two apart.
        let mut alike = change();
        alike.by_subject = vec![Kind::Verify, Kind::EmailChangeVerify];
        check(&alike, Ok((Kind::EmailChangeVerify, "new@example.com", Some("anna@example.com"))));
        let mut verified = verify();
        verified.owner.as_mut().unwrap().email_verified = true;
        check(&verified, Ok((Kind::Verify, "anna@example.com", None)));
    }

    #[test]
    fn not_believed() {
        check(&Case { links: Vec::new(), ..reset() }, Err(None));
        for make in [reset, verify, change] {
            doubt(make, |case| case.by_subject.clear(), "subject");
            doubt(make, |case| case.by_subject = vec![Kind::Welcome], "subject");
            doubt(make, |case| case.recipients.push("bert@example.com".into()), "recipients");
            doubt(make, |case| case.links.push(link(Purpose::Verify, "another")), "links");
            doubt(make, |case| case.row = None, "no_token");
            doubt(make, |case| case.row.as_mut().unwrap().kind = "invite".into(), "token_type");
            doubt(make, |case| case.row.as_mut().unwrap().created_at = NOW - TOKEN_LIFE_MS, "token_expired");
            doubt(make, |case| case.row.as_mut().unwrap().email = "bert@example.com".into(), "address");
            doubt(make, |case| case.recipients = vec!["bert@example.com".into()], "address");
            doubt(make, |case| case.owner = None, "no_owner");
            doubt(make, |case| case.owner.as_mut().unwrap().id = "bert".into(), "no_owner");
            doubt(make, |case| case.owner.as_mut().unwrap().deleted = true, "owner");
            doubt(make, |case| case.owner.as_mut().unwrap().auth_service = "saml".into(), "owner");
        }
        doubt(reset, |case| case.by_subject = vec![Kind::Verify], "subject");
        doubt(verify, |case| case.by_subject = vec![Kind::Reset], "subject");
        doubt(reset, |case| case.row.as_mut().unwrap().kind = "verify_email".into(), "token_type");
        doubt(reset, |case| case.owner.as_mut().unwrap().email = "moved@example.com".into(), "address");
        doubt(verify, |case| case.owner.as_mut().unwrap().email = "moved@example.com".into(), "address");
        doubt(verify, |case| case.links[0].email = Some("bert@example.com".into()), "address");
    }
}

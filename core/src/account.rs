//! Which accounts get mail, and what a link is bound to.

use crate::{Account, Purpose, TokenRow};

/// Why an account gets no mail of a purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ineligible {
    Remote,
    MagicLink,
    Sso,
    Deactivated,
    AlreadyVerified,
}

/// `model.UserAuthServiceMagicLink`: guests who log in by mailed links and have no password.
const AUTH_MAGIC_LINK: &str = "magic_link";

/// The values of `users.authservice` for accounts whose password is Mattermost's own; `email` is
/// `model.UserAuthServiceEmail`.
const AUTH_PASSWORD: [&str; 2] = ["", "email"];

/// Whether an account may get a mail for `purpose`. Known only to the job: the caller is told nothing (S1).
pub(crate) fn eligible(account: &Account, purpose: Purpose) -> Result<(), Ineligible> {
    kind_fits(account)?;
    if account.deleted {
        return Err(Ineligible::Deactivated);
    }
    if purpose == Purpose::Verify && account.email_verified {
        return Err(Ineligible::AlreadyVerified);
    }
    Ok(())
}

fn kind_fits(account: &Account) -> Result<(), Ineligible> {
    if account.remote {
        Err(Ineligible::Remote)
    } else if account.auth_service == AUTH_MAGIC_LINK {
        Err(Ineligible::MagicLink)
    } else if account.has_auth_data || !AUTH_PASSWORD.contains(&account.auth_service.as_str()) {
        Err(Ineligible::Sso)
    } else {
        Ok(())
    }
}

/// Whether the account is still what the link was made for (S11): the same account, active, of a kind with
/// a password, the same stored address, octet for octet; for a reset also the same password. A link that verifies
/// a pending address is bound to the one that it replaces.
pub(crate) fn bound(row: &TokenRow, account: Option<&Account>) -> bool {
    account.is_some_and(|account| {
        kind_fits(account).is_ok()
            && !account.deleted
            && account.id == row.account_id
            && (account.email == row.address || row.replaces.as_ref() == Some(&account.email))
            && (row.purpose == Purpose::Verify || account.password_stamp == row.password_stamp)
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn anna() -> Account {
        Account {
            id: "anna4anna4anna4anna4anna4a".into(),
            email: "anna@example.com".into(),
            username: "anna".into(),
            locale: "de".into(),
            auth_service: String::new(),
            has_auth_data: false,
            remote: false,
            guest: false,
            deleted: false,
            email_verified: false,
            password_stamp: 1_764_000_000_000,
        }
    }

    pub(crate) fn row(purpose: Purpose) -> TokenRow {
        TokenRow {
            purpose,
            account_id: anna().id,
            address: anna().email,
            replaces: None,
            password_stamp: anna().password_stamp,
            expires_at: 1_764_003_600_000,
            redirect: None,
        }
    }

    fn with(change: impl FnOnce(&mut Account)) -> Account {
        let mut account = anna();
        change(&mut account);
        account
    }

    #[test]
    fn who_gets_mail() {
        use Ineligible::{AlreadyVerified, Deactivated, MagicLink, Remote, Sso};
        let check = |account: Account, reset: Option<Ineligible>, verify: Option<Ineligible>| {
            assert_eq!(eligible(&account, Purpose::Reset).err(), reset, "reset {account:?}");
            assert_eq!(eligible(&account, Purpose::Verify).err(), verify, "verify {account:?}");
        };
        let both = |account, why| check(account, Some(why), Some(why));
        check(anna(), None, None);
        check(with(|a| a.auth_service = "email".into()), None, None);
        check(with(|a| a.guest = true), None, None);
        check(with(|a| a.email_verified = true), None, Some(AlreadyVerified));
        both(with(|a| a.remote = true), Remote);
        both(with(|a| a.auth_service = "magic_link".into()), MagicLink);
        both(with(|a| a.auth_service = "ldap".into()), Sso);
        both(with(|a| a.auth_service = "saml".into()), Sso);
        both(with(|a| a.auth_service = "gitlab".into()), Sso);
        both(with(|a| a.auth_service = "Email".into()), Sso);
        both(with(|a| a.has_auth_data = true), Sso);
        both(with(|a| a.deleted = true), Deactivated);
    }

    #[test]
    fn what_kills_a_link() {
        let check = |account: Option<Account>, reset: bool, verify: bool| {
            assert_eq!(bound(&row(Purpose::Reset), account.as_ref()), reset, "reset {account:?}");
            assert_eq!(bound(&row(Purpose::Verify), account.as_ref()), verify, "verify {account:?}");
        };
        let both = |account, good| check(Some(account), good, good);
        check(None, false, false);
        both(anna(), true);
        both(with(|a| a.email_verified = true), true);
        both(with(|a| a.username = "renamed".into()), true);
        check(Some(with(|a| a.password_stamp += 1)), false, true);
        both(with(|a| a.id = "bob".into()), false);
        both(with(|a| a.deleted = true), false);
        both(with(|a| a.remote = true), false);
        both(with(|a| a.auth_service = "saml".into()), false);
        both(with(|a| a.auth_service = "magic_link".into()), false);
        both(with(|a| a.has_auth_data = true), false);
        let pending = TokenRow {
            address: "new@example.com".into(),
            replaces: Some(anna().email),
            ..row(Purpose::Verify)
        };
        for (email, good) in
            [("anna@example.com", true), ("new@example.com", true), ("moved@example.com", false)]
        {
            assert_eq!(bound(&pending, Some(&with(|a| a.email = email.into()))), good, "{email}");
        }
        // Neither another case, nor a prefix, nor a look-alike is the same address.
        for address in
            ["Anna@example.com", "anna@example.co", "anna@example.com.evil", "аnna@example.com", ""]
        {
            both(with(|a| a.email = address.into()), false);
        }
    }
}

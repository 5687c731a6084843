//! The pages behind a link: what a GET shows, what a POST says, and what Mattermost's answer means.
//!
//! Architecture Invariant: nothing here redeems. Showing (S18), reading and judging are all there is; the
//! claim and the call are the host's.

use serde::{Deserialize, Serialize};

use crate::account::bound;
use crate::form::Form;
use crate::mail::locale;
use crate::page::{Notice, View, Why, render};
use crate::token::Token;
use crate::wire::Base64;
use crate::{Account, Error, Page, Purpose, Site, TokenRow};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LandingArgs {
    purpose: Purpose,
    token: String,
    row: Option<TokenRow>,
    account: Option<Account>,
    site: Site,
    accept_language: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Good,
    Unknown,
    Expired,
    Dead,
}

#[derive(Serialize)]
pub(crate) struct LandingAnswer {
    usable: bool,
    state: State,
    page: Page,
}

/// The operation `show_landing`.
pub(crate) fn show_landing(args: &LandingArgs, now: i64) -> Result<LandingAnswer, Error> {
    let locale = language(&args.accept_language, args.account.as_ref(), &args.site);
    let unusable = |state, why| {
        let page = render(&View::Unusable { purpose: args.purpose, why }, Some(&args.site), locale)?;
        Ok(LandingAnswer { usable: false, state, page })
    };
    match (link(args, now), &args.account) {
        (Ok(token), Some(account)) => {
            let page =
                render(&form_view(args.purpose, token.reveal(), account, None), Some(&args.site), locale)?;
            Ok(LandingAnswer { usable: true, state: State::Good, page })
        }
        (Err(Why::Unknown), _) => unusable(State::Unknown, Why::Unknown),
        (Err(Why::Expired), _) => unusable(State::Expired, Why::Expired),
        (Err(Why::Dead), _) | (Ok(_), None) => unusable(State::Dead, Why::Dead),
    }
}

/// Whether a link may be used, by its token, its row and its account.
fn link(args: &LandingArgs, now: i64) -> Result<Token, Why> {
    let token = Token::parse(&args.token).map_err(|_| Why::Unknown)?;
    let row = args.row.as_ref().filter(|row| row.purpose == args.purpose).ok_or(Why::Unknown)?;
    if now >= row.expires_at {
        return Err(Why::Expired);
    }
    if bound(row, args.account.as_ref()) { Ok(token) } else { Err(Why::Dead) }
}

fn form_view<'a>(
    purpose: Purpose,
    token: &'a str,
    account: &'a Account,
    notice: Option<Notice<'a>>,
) -> View<'a> {
    match purpose {
        Purpose::Reset => View::ResetForm { token, username: &account.username, notice },
        Purpose::Verify => View::VerifyForm { token, address: &account.email, notice },
    }
}

/// What the browser asks for, else the account's language, else the site's.
fn language(accept_language: &str, account: Option<&Account>, site: &Site) -> &'static str {
    let wanted = account.map_or("", |account| account.locale.as_str());
    locale::negotiate(accept_language, locale::resolve(wanted, &site.default_locale))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FormArgs {
    purpose: Purpose,
    body: Base64,
    too_large: bool,
    site: Site,
    accept_language: String,
}

#[derive(Serialize)]
pub(crate) struct FormAnswer {
    form: Option<Read>,
    page: Option<Page>,
}

/// A form that may be redeemed. Secret.
#[derive(Serialize)]
struct Read {
    token: String,
    digest: Base64,
    new_password: Option<String>,
}

/// The operation `read_form`. The page has the form again where a person can mend it; without a good token
/// there is nothing to mend.
pub(crate) fn read_form(args: &FormArgs) -> Result<FormAnswer, Error> {
    let locale = language(&args.accept_language, None, &args.site);
    let show =
        |view: &View<'_>| Ok(FormAnswer { form: None, page: Some(render(view, Some(&args.site), locale)?) });
    let form = if args.too_large { None } else { Form::parse(&args.body.0) };
    let Some((form, token)) =
        form.and_then(|form| Token::parse(form.value("token")).ok().map(|token| (form, token)))
    else {
        return show(&View::Unusable { purpose: args.purpose, why: Why::Unknown });
    };
    let new_password = form.value("new_password");
    let notice = match args.purpose {
        Purpose::Verify => None,
        Purpose::Reset if new_password.is_empty() => Some(Notice::PasswordMissing),
        Purpose::Reset if new_password != form.value("confirm_password") => Some(Notice::PasswordsDiffer),
        Purpose::Reset => None,
    };
    if notice.is_some() {
        // The account is not known yet; its name comes back with the next GET.
        return show(&View::ResetForm { token: token.reveal(), username: "", notice });
    }
    let new_password = (args.purpose == Purpose::Reset).then(|| new_password.to_owned());
    let digest = Base64(token.digest().to_vec());
    Ok(FormAnswer { form: Some(Read { token: token.reveal().to_owned(), digest, new_password }), page: None })
}

#[derive(Serialize)]
pub(crate) struct RedeemAnswer {
    proceed: bool,
    page: Option<Page>,
    locale: &'static str,
}

/// The operation `redeem`: the row is claimed; may it be redeemed?
pub(crate) fn redeem(args: &LandingArgs, now: i64) -> Result<RedeemAnswer, Error> {
    if args.row.is_none() {
        return Err(Error::argument(
            "row",
            "a row is claimed before it is redeemed; without one, show_landing answers",
        ));
    }
    let locale = language(&args.accept_language, args.account.as_ref(), &args.site);
    let page = match link(args, now) {
        Ok(_) => None,
        Err(why) => Some(render(&View::Unusable { purpose: args.purpose, why }, Some(&args.site), locale)?),
    };
    Ok(RedeemAnswer { proceed: page.is_none(), page, locale })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OutcomeArgs {
    purpose: Purpose,
    token: String,
    reply: Option<HttpReply>,
    row: TokenRow,
    account: Option<Account>,
    site: Site,
    accept_language: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HttpReply {
    status: u16,
    body: Base64,
}

/// The members of Mattermost's error body that are read.
#[derive(Deserialize, Default)]
struct ErrorBody {
    #[serde(default)]
    id: String,
    #[serde(default)]
    message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Redeemed {
    Done,
    Refused,
    Retry,
    Unknown,
}

#[derive(Serialize)]
pub(crate) struct OutcomeAnswer {
    result: Redeemed,
    page: Page,
}

/// What Mattermost answers when it does not find the token. A licensed server may read tokens from a replica
/// that lags behind.
const NOT_FOUND_IDS: [&str; 2] =
    ["api.user.reset_password.invalid_link.app_error", "api.user.verify_email.bad_link.app_error"];

/// Octets of Mattermost's words that are shown.
const WORDS_MAX_OCTETS: usize = 500;

/// The operation `redeem_outcome`.
pub(crate) fn redeem_outcome(args: &OutcomeArgs) -> Result<OutcomeAnswer, Error> {
    if args.row.purpose != args.purpose {
        return Err(Error::argument("row.purpose", "the row is of another purpose than the page"));
    }
    let token = Token::parse(&args.token)?;
    let error = args
        .reply
        .as_ref()
        .map(|reply| serde_json::from_slice::<ErrorBody>(&reply.body.0).unwrap_or_default());
    let words = error.as_ref().map(|error| printable(&error.message)).unwrap_or_default();
    let (result, notice) = match (args.reply.as_ref().map(|reply| reply.status), &error) {
        (Some(200), _) => (Redeemed::Done, None),
        (Some(400), Some(error)) if NOT_FOUND_IDS.contains(&error.id.as_str()) => {
            (Redeemed::Retry, Some(Notice::Again))
        }
        (Some(429), _) => (Redeemed::Refused, Some(Notice::Again)),
        (Some(400..=499), _) if !words.is_empty() => (Redeemed::Refused, Some(Notice::Refused(&words))),
        _ if happened(args) => (Redeemed::Done, None),
        (Some(400..=599), _) => (Redeemed::Refused, Some(Notice::Again)),
        _ => (Redeemed::Unknown, None),
    };
    let locale = language(&args.accept_language, args.account.as_ref(), &args.site);
    let view = match (result, &args.account) {
        (Redeemed::Done, _) => match args.purpose {
            Purpose::Reset => View::ResetDone,
            Purpose::Verify => View::VerifyDone { redirect: args.row.redirect.as_deref() },
        },
        (Redeemed::Unknown, _) => View::OutcomeUnknown { purpose: args.purpose },
        (Redeemed::Refused | Redeemed::Retry, Some(account)) => {
            form_view(args.purpose, token.reveal(), account, notice)
        }
        (Redeemed::Refused | Redeemed::Retry, None) => {
            View::Unusable { purpose: args.purpose, why: Why::Dead }
        }
    };
    Ok(OutcomeAnswer { result, page: render(&view, Some(&args.site), locale)? })
}

/// Whether the account shows that it happened, though the answer does not say so.
fn happened(args: &OutcomeArgs) -> bool {
    args.account.as_ref().is_some_and(|account| {
        account.id == args.row.account_id
            && match args.purpose {
                Purpose::Reset => account.password_stamp > args.row.password_stamp,
                Purpose::Verify => account.email_verified && account.email == args.row.address,
            }
    })
}

fn printable(words: &str) -> String {
    let mut words: String = words.chars().filter(|c| !c.is_control()).collect();
    words.truncate(words.floor_char_boundary(WORDS_MAX_OCTETS));
    words
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PageArgs {
    page: Plain,
    site: Option<Site>,
    accept_language: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Plain {
    TooMany,
    Unavailable,
    NotFound,
    Console,
    NotAdmin,
    LogIn,
}

#[derive(Serialize)]
pub(crate) struct PageAnswer {
    page: Page,
}

/// The operation `page`.
pub(crate) fn page(args: &PageArgs) -> Result<PageAnswer, Error> {
    let default = args.site.as_ref().map_or("", |site| site.default_locale.as_str());
    let view = match args.page {
        Plain::TooMany => View::TooMany,
        Plain::Unavailable => View::Unavailable,
        Plain::NotFound => View::NotFound,
        Plain::Console => View::Console,
        Plain::NotAdmin => View::NotAdmin,
        Plain::LogIn => View::LogIn,
    };
    let page = render(&view, args.site.as_ref(), locale::negotiate(&args.accept_language, default))?;
    Ok(PageAnswer { page })
}

#[cfg(test)]
#[path = "landing_tests.rs"]
mod tests;

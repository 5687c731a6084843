//! Links of Mattermost's own in a body. Anybody may quote one in a message: what is found here is not yet believed.

use crate::form::Form;
use crate::{Purpose, Site, mail};

const RESET: &str = "/reset_password_complete?";
const VERIFY: &str = "/do_verify_email?";
/// Octets before `/pl/` that a URL is looked for in: so a body of nothing else takes no longer than another.
const MAX_URL: usize = 1200;
/// `model.TokenSize` is 64.
const MAX_TOKEN: usize = 128;

/// A link of one of the two forms that redeem a token. `token` is secret.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct AccountLink {
    pub(super) purpose: Purpose,
    pub(super) token: String,
    pub(super) email: Option<String>,
    pub(super) redirect: Option<String>,
}

/// What a link of Mattermost's can begin with: its SiteURL as it is written, and as browsers read it.
pub(super) fn origins(site: &Site) -> Vec<String> {
    let mut origins: Vec<String> = Vec::new();
    if let Ok(base) = mail::Base::of(site) {
        origins.push(base.url().to_owned());
        let written = site.url.trim_end_matches('/').to_owned();
        if !origins.contains(&written) {
            origins.push(written);
        }
    }
    origins
}

/// The account links in a text, in its order. In HTML, character references must be resolved before.
pub(super) fn account_links(text: &str, origins: &[String]) -> Vec<AccountLink> {
    let mut found: Vec<(usize, AccountLink)> = Vec::new();
    for (path, purpose) in [(RESET, Purpose::Reset), (VERIFY, Purpose::Verify)] {
        for (at, after) in urls(text, path, origins) {
            found.extend(read(after, purpose).map(|link| (at, link)));
        }
    }
    found.sort_by_key(|(at, _)| *at);
    found.into_iter().map(|(_, link)| link).collect()
}

/// Whether a text has a link to this path of the site's.
pub(super) fn leads_to(text: &str, path: &str, origins: &[String]) -> bool {
    urls(text, path, origins).next().is_some()
}

/// Whether a text has a permanent link to a post: `{origin}/{team}/pl/{id}`, or the same by way of the page that asks
/// whether to go on in the app, `{origin}/landing#/…`, as notifications have it.
pub(super) fn leads_to_a_post(text: &str, origins: &[String]) -> bool {
    text.match_indices("/pl/").any(|(at, _)| {
        let before = text.get(..at).unwrap_or_default();
        let within = |(begin, c): &(usize, char)| at - begin <= MAX_URL && !ends_a_url(*c);
        let begin = before.char_indices().rev().take_while(within).last().map_or(at, |(begin, _)| begin);
        let url = before.get(begin..).unwrap_or_default();
        let team = |rest: &str| {
            rest.strip_prefix("/landing#")
                .unwrap_or(rest)
                .strip_prefix('/')
                .is_some_and(|team| !team.is_empty() && !team.contains('/'))
        };
        origins.iter().any(|origin| url.strip_prefix(origin.as_str()).is_some_and(team))
    })
}

/// What follows each `{origin}{path}` in a text, with the place it is at. Every path of ours ends where a query begins,
/// and question marks are few and quickly found.
fn urls<'a>(text: &'a str, path: &'a str, origins: &'a [String]) -> impl Iterator<Item = (usize, &'a str)> {
    text.match_indices('?').filter_map(move |(mark, _)| {
        let (before, after) = text.split_at_checked(mark + 1)?;
        let origin = before.strip_suffix(path)?;
        origins.iter().any(|known| origin.ends_with(known.as_str())).then_some((mark, after))
    })
}

/// Reads a query: the token first, as Mattermost writes it. A redirect stands there as somebody gave it, unescaped,
/// so all after it is dropped, as browsers drop it.
fn read(after: &str, purpose: Purpose) -> Option<AccountLink> {
    let end = after.find(ends_a_query).unwrap_or(after.len());
    let query = after.get(..end)?;
    let (ours, redirect) = query.split_once("&redirect_to=").unwrap_or((query, ""));
    let form = Form::parse(ours.as_bytes())?;
    let token = form.value("token");
    let looks_like_one =
        !token.is_empty() && token.len() <= MAX_TOKEN && token.bytes().all(|b| b.is_ascii_alphanumeric());
    if !query.starts_with("token=") || !looks_like_one {
        return None;
    }
    let redirect = redirect.split('&').next().unwrap_or_default();
    let redirect = Form::parse(format!("redirect_to={redirect}").as_bytes());
    let some = |value: &str| (!value.is_empty()).then(|| value.to_owned());
    Some(AccountLink {
        purpose,
        token: token.to_owned(),
        email: some(form.value("email")),
        redirect: redirect.and_then(|form| some(form.value("redirect_to"))),
    })
}

fn ends_a_url(c: char) -> bool {
    c.is_whitespace() || c.is_control() || matches!(c, '"' | '\'' | '<' | '>' | '`' | '(' | ')')
}

fn ends_a_query(c: char) -> bool {
    ends_a_url(c) || matches!(c, '#' | '\\' | '[' | ']')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(text: &str) -> Vec<(Purpose, String, Option<String>, Option<String>)> {
        let mut site = Site::example();
        site.url = "https://Chat.example.com/sub/".into();
        let links = account_links(text, &origins(&site));
        links.into_iter().map(|link| (link.purpose, link.token, link.email, link.redirect)).collect()
    }

    fn check(text: &str, token: Option<&str>, email: Option<&str>, redirect: Option<&str>) {
        let found = links(text).into_iter().next();
        assert_eq!(found.as_ref().map(|link| link.1.as_str()), token, "{text}");
        assert_eq!(found.as_ref().and_then(|link| link.2.as_deref()), email, "{text}");
        assert_eq!(found.as_ref().and_then(|link| link.3.as_deref()), redirect, "{text}");
    }

    #[test]
    fn forms() {
        let site = "https://chat.example.com/sub";
        check(&format!("<a href=\"{site}/reset_password_complete?token=abc1\">"), Some("abc1"), None, None);
        check("https://Chat.example.com/sub/reset_password_complete?token=abc1", Some("abc1"), None, None);
        check(
            &format!("{site}/do_verify_email?token=abc1&email=a%40b.example&redirect_to=/x/y) z"),
            Some("abc1"),
            Some("a@b.example"),
            Some("/x/y"),
        );
        check(&format!("{site}/do_verify_email?token=a1&redirect_to=a&token=b"), Some("a1"), None, Some("a"));
        check(&format!("{site}/do_verify_email?token=a1&redirect_to=%zz"), Some("a1"), None, None);
        check(&format!("{site}/do_verify_email?token=a1&token=b"), None, None, None);
        check(&format!("{site}/reset_password_complete?token="), None, None, None);
        check(&format!("{site}/reset_password_complete?x=1&token=abc1"), None, None, None);
        check(&format!("{site}/reset_password_complete?token=a%00b"), None, None, None);
        check(&format!("{site}/reset_password_complete?token={}", "a".repeat(129)), None, None, None);
        check("https://evil.example/sub/reset_password_complete?token=abc1", None, None, None);
        check("https://chat.example.com/reset_password_complete?token=abc1", None, None, None);
        check("http://chat.example.com/sub/reset_password_complete?token=abc1", None, None, None);
    }

    #[test]
    fn all_of_them_in_order() {
        let text = "https://chat.example.com/sub/do_verify_email?token=b2 https://chat.example.com/sub/reset_password_complete?token=a1 \
                    https://chat.example.com/sub/do_verify_email?token=c3";
        let tokens: Vec<String> = links(text).into_iter().map(|link| link.1).collect();
        assert_eq!(tokens, ["b2", "a1", "c3"]);
    }

    #[test]
    fn posts() {
        let origins = vec!["https://chat.example.com".to_owned()];
        let check =
            |text: &str, expected: bool| assert_eq!(leads_to_a_post(text, &origins), expected, "{text}");
        check("<a href=\"https://chat.example.com/crew/pl/abc\">", true);
        check("https://chat.example.com/landing#/crew/pl/abc", true);
        check("https://chat.example.com/_redirect/pl/abc", true);
        check("https://chat.example.com/pl/abc", false);
        check("https://chat.example.com/a/b/pl/abc", false);
        check("https://evil.example/crew/pl/abc", false);
        check("あ /pl/", false);
    }
}

//! From a view to a page.

use minijinja::context;
use minijinja::value::Value;

use super::headers::{self, headers, style};
use super::{Notice, View, Why};
use crate::mail::address::refuse_controls;
use crate::mail::template::{self, Sentences};
use crate::mail::text::{Facts, Language, clean, language};
use crate::mail::{Base, site_name};
use crate::{Error, Page, Purpose, Site};

/// Renders a page in `locale`, one of [`crate::mail::locale::ALL`]. Without a `site` it names none and links nowhere.
///
/// # Errors
/// `invalid_argument` on `site.url` or `site.name`; `template` for a fault in ours; `internal` for a form without a
/// site. None holds the token.
pub fn render(view: &View<'_>, site: Option<&Site>, locale: &'static str) -> Result<Page, Error> {
    let language = language(locale)?;
    let place = site.map(Place::of).transpose()?;
    match view {
        View::ResetForm { token, username, notice } => Form {
            heading: "password-title",
            intro: if username.is_empty() { "password-intro-unnamed" } else { "password-intro" },
            submit: "password-save",
            path: "/plugins/postroom/reset",
            token,
            username,
            address: "",
            passwords: true,
            notice: *notice,
        }
        .page(place.as_ref(), language),
        View::VerifyForm { token, address, notice } => Form {
            heading: "address-title",
            intro: "address-intro",
            submit: "address-confirm",
            path: "/plugins/postroom/verify",
            token,
            username: "",
            address,
            passwords: false,
            notice: *notice,
        }
        .page(place.as_ref(), language),
        View::Console => console(place.as_ref(), language),
        _ => message(view).page(place.as_ref(), language),
    }
}

/// The frame that the web app fills. What it loads is named relative to the page, so that it is found under whatever
/// path, and by this version, so that no browser shows an older one's.
fn console(place: Option<&Place>, language: &Language) -> Result<Page, Error> {
    let site = place.map_or("", |p| p.name.as_str());
    let own = context! {
        lang => language.tag,
        dir => language.direction,
        title => titled("Postroom", site, false, language)?,
        version => env!("CARGO_PKG_VERSION"),
        t => Sentences::value(language, Facts::default()),
    };
    let html = template::render("page/console.html", &own)?;
    Ok(Page { status: 200, headers: headers::console(language.tag), html })
}

/// The site, as a page needs it.
struct Place {
    base: Base,
    name: String,
}

impl Place {
    fn of(site: &Site) -> Result<Self, Error> {
        let base = Base::of(site)?;
        let name = site_name(site, &base)?;
        Ok(Self { base, name })
    }
}

/// A page that asks for something.
struct Form<'a> {
    heading: &'static str,
    intro: &'static str,
    submit: &'static str,
    path: &'static str,
    token: &'a str,
    username: &'a str,
    address: &'a str,
    passwords: bool,
    notice: Option<Notice<'a>>,
}

impl Form<'_> {
    fn page(&self, place: Option<&Place>, language: &Language) -> Result<Page, Error> {
        let place = place.ok_or_else(|| Error::internal("a form needs a site to be sent to"))?;
        let (status, notice, words) = match self.notice {
            None => (200, "", ""),
            Some(Notice::PasswordsDiffer) => (422, "notice-differ", ""),
            Some(Notice::PasswordMissing) => (422, "notice-missing", ""),
            Some(Notice::Refused(words)) => (422, "notice-refused", words),
            Some(Notice::Again) => (503, "notice-again", ""),
        };
        let facts = Facts::default().text("username", self.username, language).text(
            "address",
            self.address,
            language,
        );
        let own = context! {
            action => format!("{}{}", place.base.path(), self.path),
            token => self.token,
            // As it is, not cleaned: a password manager stores it.
            username => self.username,
            passwords => self.passwords,
            intro => self.intro,
            submit => self.submit,
            notice,
            words => clean(words),
        };
        document("page/form.html", self.heading, status, facts, own, Some(place), language)
    }
}

/// A page that says something, and where to go on.
struct Message {
    heading: &'static str,
    message: &'static str,
    status: u16,
    /// A sentence and the path it leads to, under the site's URL.
    links: Vec<(&'static str, String)>,
}

/// What each view says.
fn message(view: &View<'_>) -> Message {
    let login = || ("log-in", "/login".to_owned());
    let anew = || ("new-link", "/reset_password".to_owned());
    let (heading, message, status, links) = match view {
        View::ResetDone => ("password-done-title", "password-done", 200, vec![login()]),
        View::VerifyDone { redirect } => {
            let query = redirect
                .filter(|r| is_local_path(r))
                .map_or_else(String::new, |r| format!("?redirect_to={}", percent_encode(r)));
            ("address-done-title", "address-done", 200, vec![("log-in", format!("/login{query}"))])
        }
        View::Unusable { purpose, why } => {
            let (heading, reset, verify, status) = match why {
                Why::Unknown => ("unknown-title", "unknown-reset", "unknown-verify", 404),
                Why::Expired => ("expired-title", "expired-reset", "expired-verify", 410),
                Why::Dead => ("dead-title", "dead-reset", "dead-verify", 410),
            };
            match purpose {
                Purpose::Reset => (heading, reset, status, vec![anew()]),
                Purpose::Verify => (heading, verify, status, vec![login()]),
            }
        }
        View::OutcomeUnknown { purpose: Purpose::Reset } => {
            ("outcome-title", "outcome-reset", 504, vec![login(), anew()])
        }
        View::OutcomeUnknown { purpose: Purpose::Verify } => {
            ("outcome-title", "outcome-verify", 504, vec![login()])
        }
        View::TooMany => ("too-many-title", "too-many", 429, Vec::new()),
        View::NotFound => ("not-found-title", "not-found", 404, vec![("to-site", "/".to_owned())]),
        View::NotAdmin => ("console-admins-title", "console-admins", 403, vec![("to-site", "/".to_owned())]),
        // Mattermost's login goes on to pages of its web app only, so the way back is a link of its own.
        View::LogIn => {
            let again = ("console-again", "/plugins/postroom/console".to_owned());
            ("console-log-in-title", "console-log-in", 401, vec![login(), again])
        }
        // Forms and the console are rendered elsewhere.
        View::Unavailable | View::ResetForm { .. } | View::VerifyForm { .. } | View::Console => {
            ("unavailable-title", "unavailable", 503, Vec::new())
        }
    };
    Message { heading, message, status, links }
}

impl Message {
    fn page(self, place: Option<&Place>, language: &Language) -> Result<Page, Error> {
        let links: Vec<Value> = match place {
            Some(place) => self
                .links
                .into_iter()
                .map(|(label, path)| Value::from(vec![label.to_owned(), place.base.join(&path)]))
                .collect(),
            None => Vec::new(),
        };
        let own = context! { message => self.message, links };
        document("page/message.html", self.heading, self.status, Facts::default(), own, place, language)
    }
}

/// The frame around both, and the answer's headers.
fn document(
    name: &str,
    heading: &'static str,
    status: u16,
    facts: Facts,
    own: Value,
    place: Option<&Place>,
    language: &Language,
) -> Result<Page, Error> {
    let style = style()?;
    let site = place.map_or("", |p| p.name.as_str());
    let facts = facts.text("site", site, language);
    let title = titled(&language.say(heading, &facts)?, site, status == 422, language)?;
    let frame = context! {
        lang => language.tag,
        dir => language.direction,
        title,
        heading,
        site,
        style => Value::from_safe_string(style.css.clone()),
        t => Sentences::value(language, facts),
    };
    let html = template::render(name, &context! { ..own, ..frame })?;
    Ok(Page { status, headers: headers(style, status, language.tag), html })
}

/// A page's title, with the site's name where it is known.
fn titled(title: &str, site: &str, refused: bool, language: &Language) -> Result<String, Error> {
    if site.is_empty() {
        return Ok(title.to_owned());
    }
    // WCAG's advice: a title says first that something went wrong.
    let id = if refused { "page-title-error" } else { "page-title" };
    language.say(id, &Facts::default().text("title", title, language).text("site", site, language))
}

/// A path of the same origin (S20): one slash, no scheme, no control character, no backslash.
fn is_local_path(path: &str) -> bool {
    path.starts_with('/')
        && !path.starts_with("//")
        && !path.contains('\\')
        && refuse_controls("redirect", path).is_ok()
}

/// One value of a query (RFC 3986 section 2.1): what is not unreserved is encoded, so it stays one value.
fn percent_encode(value: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(value.len());
    for octet in value.bytes() {
        if octet.is_ascii_alphanumeric() || b"-._~/".contains(&octet) {
            out.push(char::from(octet));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{octet:02X}");
        }
    }
    out
}

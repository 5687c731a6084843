//! How a connection logs in.

use super::Reader;
use super::host::Host;
use crate::{Mechanism, OAuth, Security};

/// What most servers know comes first; all of it is under TLS, or on this machine.
const BY_PASSWORD: [Mechanism; 4] =
    [Mechanism::Plain, Mechanism::Login, Mechanism::ScramSha256, Mechanism::CramMd5];

const GOOGLE_TOKENS: &str = "https://oauth2.googleapis.com/token";
const GOOGLE_SERVERS: [&str; 3] = ["smtp.gmail.com", "smtp-relay.gmail.com", "smtp.googlemail.com"];

/// Microsoft's identity provider, worldwide and in its national clouds, and the scope of its SMTP.
const MICROSOFT: [(&str, &str); 3] = [
    ("login.microsoftonline.com", "https://outlook.office365.com/.default"),
    ("login.microsoftonline.us", "https://outlook.office365.us/.default"),
    ("login.partner.microsoftonline.cn", "https://partner.outlook.cn/.default"),
];

#[derive(Default)]
pub(super) struct Login {
    pub(super) auth: Vec<Mechanism>,
    pub(super) username: String,
    pub(super) password: String,
    pub(super) oauth: Option<OAuth>,
}

pub(super) fn read(reader: &mut Reader, prefix: &str, host: Option<&Host>, security: Security) -> Login {
    let field = |key: &str| format!("{prefix}{key}");
    let given = |reader: &Reader, key: &str| {
        let key = field(key);
        !reader.text(&key).is_empty() || reader.missing.iter().any(|missing| missing.field == key)
    };
    let auth = match reader.text(&field("Auth")) {
        "none" => Vec::new(),
        "plain" => vec![Mechanism::Plain],
        "login" => vec![Mechanism::Login],
        "cram-md5" => vec![Mechanism::CramMd5],
        "scram-sha-256" => vec![Mechanism::ScramSha256],
        "xoauth2" => vec![Mechanism::Xoauth2],
        "auto" | "" if given(reader, "TokenURL") || given(reader, "ClientID") => vec![Mechanism::Xoauth2],
        "auto" | "" if given(reader, "Username") || given(reader, "Password") => BY_PASSWORD.to_vec(),
        "auto" | "" => Vec::new(),
        _ => {
            let auth = field("Auth");
            reader.problem(
                &auth,
                format!("{auth} is auto, none, plain, login, cram-md5, scram-sha-256 or xoauth2"),
            );
            return Login::default();
        }
    };
    if auth.is_empty() {
        return Login::default();
    }
    if security == Security::None && host.is_some_and(|host| !host.is_loopback()) {
        reader.problem(field("Auth"), format!("nobody logs in over a connection that is not encrypted; choose STARTTLS or TLS in {prefix}Security, or none in {prefix}Auth"));
    }
    let username = reader.line(&field("Username"));
    if username.is_empty() {
        reader.problem(
            field("Username"),
            format!("{prefix}Username is empty; name the user to log in as, or choose none in {prefix}Auth"),
        );
    }
    if auth == [Mechanism::Xoauth2] {
        let oauth = oauth(reader, prefix, host);
        return Login { auth, username, password: String::new(), oauth: Some(oauth) };
    }
    let password = reader.secret(&field("Password"));
    if password.is_empty() && !reader.is_wrong(&field("Password")) {
        reader.problem(
            field("Password"),
            format!("{prefix}Password is empty; type it, or choose none in {prefix}Auth"),
        );
    }
    Login { auth, username, password, oauth: None }
}

fn oauth(reader: &mut Reader, prefix: &str, host: Option<&Host>) -> OAuth {
    let field = |key: &str| format!("{prefix}{key}");
    let mut token_url = reader.line(&field("TokenURL"));
    if token_url.is_empty() && host.is_some_and(|host| GOOGLE_SERVERS.contains(&host.name.as_str())) {
        GOOGLE_TOKENS.clone_into(&mut token_url);
    }
    let provider = provider(&token_url);
    if provider.is_none() {
        reader.problem(field("TokenURL"), format!("{prefix}TokenURL is where access tokens are given, an https address, as https://login.microsoftonline.com/TENANT/oauth2/v2.0/token"));
    }
    let client_id = reader.line(&field("ClientID"));
    if client_id.is_empty() {
        reader.problem(field("ClientID"), format!("{prefix}ClientID is empty; it is the id of the application that you registered with the identity provider"));
    }
    let client_secret = reader.secret(&field("ClientSecret"));
    if client_secret.is_empty() && !reader.is_wrong(&field("ClientSecret")) {
        reader.problem(
            field("ClientSecret"),
            format!("{prefix}ClientSecret is empty; make one with the identity provider"),
        );
    }
    let refresh_token = reader.secret(&field("RefreshToken"));
    let google = provider.as_ref().is_some_and(|host| host.name.ends_with(".googleapis.com"));
    if google && refresh_token.is_empty() && !reader.is_wrong(&field("RefreshToken")) {
        reader.problem(
            field("RefreshToken"),
            format!("{prefix}RefreshToken is empty; Google lets nobody send mail without one"),
        );
    }
    let mut scope = reader.line(&field("Scope"));
    // With a refresh token the scopes are those that it was made for.
    if scope.is_empty() && refresh_token.is_empty() {
        let known =
            MICROSOFT.iter().find(|(name, _)| provider.as_ref().is_some_and(|host| host.name == *name));
        scope = known.map_or("", |(_, scope)| scope).to_owned();
    }
    OAuth { token_url, client_id, client_secret, refresh_token, scope }
}

/// The host of a token URL; `None` where it is none, or would have secrets go in clear.
fn provider(url: &str) -> Option<Host> {
    let (scheme, rest) = url.split_once("://")?;
    if url.chars().any(|c| c.is_whitespace() || matches!(c, '{' | '}' | '<' | '>' | '\\' | '#' | '@'))
        || !url.is_ascii()
    {
        return None;
    }
    let authority = rest.split(['/', '?']).next()?;
    let name = match authority.rsplit_once(':') {
        Some((name, port)) if !authority.ends_with(']') => {
            port.parse::<u16>().ok().filter(|port| *port > 0)?;
            name
        }
        _ => authority,
    };
    let host = Host::parse(name).ok()?;
    match scheme.to_ascii_lowercase().as_str() {
        "https" => Some(host),
        "http" if host.is_loopback() => Some(host),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_urls() {
        let check = |url: &str, host: Option<&str>| {
            assert_eq!(provider(url).map(|host| host.name).as_deref(), host, "{url}");
        };
        check(GOOGLE_TOKENS, Some("oauth2.googleapis.com"));
        check("https://login.microsoftonline.com/T/oauth2/v2.0/token", Some("login.microsoftonline.com"));
        check("https://id.example:8443/token?x=1", Some("id.example"));
        check("HTTPS://id.example", Some("id.example"));
        check("http://127.0.0.1:9000/token", Some("127.0.0.1"));
        check("http://[::1]:9000/token", Some("::1"));
        for url in [
            "",
            "id.example",
            "http://id.example/token",
            "ftp://id.example",
            "https://",
            "https://a:b@id.example/",
            "https://id.example:0/",
            "https://login.microsoftonline.com/{tenant}/token",
            "https://id.example/ x",
        ] {
            check(url, None);
        }
    }
}

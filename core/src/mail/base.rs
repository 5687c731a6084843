//! Mattermost's SiteURL, read once and in one place (S15, S16).

use crate::{Error, Site};

const MEND: &str = "set Site URL in System Console > Environment > Web Server to the address people use, as https://chat.example.com";

/// A good SiteURL, taken apart: absolute, http or https, a host, perhaps a port and a path; no user, query or
/// fragment. A trailing slash is dropped, an internationalised host is in A-labels (RFC 5890).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    url: String,
    host: String,
    path_at: usize,
    secure: bool,
}

impl Base {
    /// Reads `site.url`.
    ///
    /// ```
    /// use postroom_core::mail::Base;
    /// let base = Base::parse("https://Chat.Example.com/sub/").unwrap();
    /// assert_eq!(base.url(), "https://chat.example.com/sub");
    /// assert_eq!((base.host(), base.path(), base.secure()), ("chat.example.com", "/sub", true));
    /// ```
    ///
    /// # Errors
    /// `invalid_argument` on `site.url`, with the mend, for anything else.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let refuse = |why: &str| Error::argument("site.url", format!("{why}; {MEND}"));
        if text.is_empty() {
            return Err(refuse("Mattermost's Site URL is empty, so no link can be made"));
        }
        if text.len() > 1024 {
            return Err(refuse("the Site URL is longer than 1024 octets"));
        }
        let (scheme, rest) = text.split_once("://").ok_or_else(|| refuse("the Site URL is not absolute"))?;
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return Err(refuse("the Site URL is neither http nor https")),
        };
        if rest.contains(['?', '#', '@', '\\']) {
            return Err(refuse("the Site URL has a query, a fragment, a user or a backslash in it"));
        }
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let path = path.trim_end_matches('/');
        if !path.bytes().all(in_path) || path.split('/').skip(1).any(|s| matches!(s, "" | "." | "..")) {
            return Err(refuse("the Site URL's path has characters or segments that need not be there"));
        }
        let (host, port) =
            split_port(authority).ok_or_else(|| refuse("the Site URL's port is not a number"))?;
        let host = ascii_host(host).ok_or_else(|| refuse("the Site URL has no good host"))?;

        let mut url = format!("{}://{host}", if secure { "https" } else { "http" });
        if let Some(port) = port {
            url.push_str(&format!(":{port}"));
        }
        let path_at = url.len();
        url.push_str(path);
        Ok(Self { url, host, path_at, secure })
    }

    /// Reads the URL of a [`Site`].
    ///
    /// # Errors
    /// As [`Base::parse`].
    pub fn of(site: &Site) -> Result<Self, Error> {
        Self::parse(&site.url)
    }

    /// The whole, without a trailing slash.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The host in lower case and A-labels; an IPv6 address in brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The path without a trailing slash: empty or `/sub`.
    #[must_use]
    pub fn path(&self) -> &str {
        self.url.get(self.path_at..).unwrap_or_default()
    }

    /// Whether it is https. Where it is not, an admin is warned (S16).
    #[must_use]
    pub fn secure(&self) -> bool {
        self.secure
    }

    /// The URL of `path`, which starts with a slash.
    #[must_use]
    pub fn join(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// Whether `link` lies under this URL.
    #[must_use]
    pub fn covers(&self, link: &str) -> bool {
        link.strip_prefix(self.url.as_str()).is_some_and(|rest| rest.starts_with('/'))
    }
}

/// RFC 3986 section 3.3, `pchar` and the slash; whether a percent sign is followed by two digits is left to others.
fn in_path(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@%/".contains(&octet)
}

/// Host and port of an authority (RFC 3986 section 3.2); `None` where the port is no number from 1 to 65535.
fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let after_host = authority.rfind(']').map_or(0, |at| at + 1);
    match authority.get(after_host..)?.split_once(':') {
        None => Some((authority, None)),
        Some((before, port)) => {
            let host = authority.get(..after_host + before.len())?;
            let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
            let port: u16 = port.parse().ok().filter(|p| digits && *p != 0)?;
            Some((host, Some(port)))
        }
    }
}

/// A domain in A-labels, an IPv4 address, or an IPv6 address in brackets.
fn ascii_host(host: &str) -> Option<String> {
    if let Some(inner) = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        let address: std::net::Ipv6Addr = inner.parse().ok()?;
        return Some(format!("[{address}]"));
    }
    super::address::ascii_domain(host)
}

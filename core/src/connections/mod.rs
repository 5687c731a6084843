//! The plugin's own settings as connections: the primary, the fallback, and who their mail is from.
//!
//! A setting that cannot work is a *problem* that names it and its mend, never its value. A connection with one is not
//! given, and nor is any while what concerns all of them is wrong: its mail waits, and does not go elsewhere.

mod certificate;
mod host;
mod login;
mod saved;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::mail::address;
use crate::{Connection, Security, TlsVersion};

use host::Host;

const TIMEOUT_MS: i64 = 10_000;

/// What Postfix lets one client have.
const DEFAULT_CONNECTIONS: u32 = 50;

/// The two that there can be, by the name that the log knows and the prefix of their settings.
const NAMES: [(&str, &str); 2] = [("primary", "Primary"), ("fallback", "Fallback")];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Args {
    /// The plugin's settings by their keys, references to secrets resolved. Others than the connections' are passed over.
    settings: BTreeMap<String, String>,
    /// References that could not be resolved.
    #[serde(default)]
    missing: Vec<Missing>,
    /// The settings in force, where `settings` are those of a form not saved yet: its placeholders stand for secrets of
    /// these.
    #[serde(default)]
    saved: Option<BTreeMap<String, String>>,
    /// The port of Postroom's relay on this machine, where it listens.
    #[serde(default)]
    relay_port: Option<u16>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Missing {
    field: String,
    why: Why,
}

/// Why a reference to a secret leads to none.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Why {
    Unset,
    Unsaved,
    Forbidden,
    NotAbsolute,
    NotFound,
    Unreadable,
    TooLarge,
    NotText,
}

impl Why {
    fn mend(self, field: &str) -> String {
        match self {
            Self::Unset => format!(
                "the environment variable that {field} names is not set; set it for the Mattermost server's process and restart it"
            ),
            Self::Unsaved => format!(
                "the environment variable that {field} names is looked up once it is saved; save first"
            ),
            Self::Forbidden => format!(
                "{field} names a variable of Mattermost's own (MM_…), and those are not given to a mail server; use a variable of another name"
            ),
            Self::NotAbsolute => {
                format!("{field} names a file without its whole path; write it as file:/path/to/it")
            }
            Self::NotFound => {
                format!("the file that {field} names is not there; check its path on every Mattermost node")
            }
            Self::Unreadable => {
                format!(
                    "the file that {field} names can't be read; let the user that Mattermost runs as read it"
                )
            }
            Self::TooLarge => {
                format!("the file that {field} names is larger than 64 kB, or no ordinary file; name another")
            }
            Self::NotText => format!("the file that {field} names is no text (UTF-8); name another"),
        }
    }
}

#[derive(Serialize)]
pub(crate) struct Answer {
    /// Whether mail goes by these connections, also where none of them works now.
    own: bool,
    connections: Vec<Own>,
    from: From,
    problems: Vec<Problem>,
}

#[derive(Serialize)]
struct Own {
    connection: Connection,
    /// Connections at once, of all nodes together.
    connections: u32,
    /// Mails a minute, of all nodes together; 0 for no limit.
    per_minute: u32,
}

/// Who the mail that Postroom composes is from; a member is empty for Mattermost's own setting.
#[derive(Serialize, Default)]
struct From {
    from_name: String,
    from_address: String,
    reply_to: String,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Problem {
    field: String,
    mend: String,
}

/// The operation `connections`.
pub(crate) fn answer(args: Args) -> Answer {
    let mut reader = Reader { settings: args.settings, missing: args.missing, problems: Vec::new() };
    if let Some(saved) = &args.saved {
        saved::fill_in(&mut reader, saved);
    }
    let own = match reader.text("Connection") {
        "postroom" => true,
        "auto" | "" => !reader.text("PrimaryHost").is_empty(),
        _ => false,
    };
    let clear = reader.clear_text_hosts();
    let from = reader.from();
    let ready = reader.problems.is_empty();
    if own && reader.text("PrimaryHost").is_empty() {
        reader.problem(
            "PrimaryHost",
            "PrimaryHost is empty; name the mail server, or choose another Connection",
        );
    } else if reader.text("PrimaryHost").is_empty() && !reader.text("FallbackHost").is_empty() {
        reader.problem("FallbackHost", "FallbackHost is not used, as it stands in for a primary and PrimaryHost is empty; set PrimaryHost too");
    }
    let mut connections = Vec::new();
    for (name, prefix) in NAMES {
        if reader.text(&format!("{prefix}Host")).is_empty() {
            continue;
        }
        let before = reader.problems.len();
        let connection = reader.connection(name, prefix, &clear);
        if connection.as_ref().is_some_and(|it| Some(it.port) == args.relay_port && is_here(it)) {
            let mend = "this is Postroom's own relay, and mail would go in a circle; name the mail server that is to deliver it";
            reader.problem(format!("{prefix}Host"), mend);
        }
        let works = reader.problems.len() == before;
        let connections_limit =
            reader.number(&format!("{prefix}Connections"), 2..=1_000, DEFAULT_CONNECTIONS);
        let per_minute = reader.number(&format!("{prefix}PerMinute"), 0..=1_000_000, 0);
        if let (Some(connection), true, true) = (connection, works, ready) {
            connections.push(Own { connection, connections: connections_limit, per_minute });
        }
    }
    reader.unresolved("AlertWebhook");
    Answer { own, connections, from, problems: reader.problems }
}

fn is_here(connection: &Connection) -> bool {
    Host::parse(&connection.server).is_ok_and(|host| host.is_loopback())
}

/// Reads settings, and keeps what is wrong with them.
struct Reader {
    settings: BTreeMap<String, String>,
    missing: Vec<Missing>,
    problems: Vec<Problem>,
}

impl Reader {
    fn text(&self, field: &str) -> &str {
        self.settings.get(field).map_or("", |text| text.trim())
    }

    /// Whether something is wrong with that setting already.
    fn is_wrong(&self, field: &str) -> bool {
        self.problems.iter().any(|problem| problem.field == field)
    }

    fn problem(&mut self, field: impl Into<String>, mend: impl Into<String>) {
        self.problems.push(Problem { field: field.into(), mend: mend.into() });
    }

    /// Whether a reference in that setting leads nowhere, which is a problem.
    fn unresolved(&mut self, field: &str) -> bool {
        let why = self.missing.iter().find(|missing| missing.field == field).map(|missing| missing.why);
        if let Some(why) = why {
            self.problem(field, why.mend(field));
        }
        why.is_some()
    }

    /// A secret as it stands: a space at its end may be part of it. What ends a line can be none, as no server could be
    /// told it in one.
    fn secret(&mut self, field: &str) -> String {
        if self.unresolved(field) {
            return String::new();
        }
        let text = self.settings.get(field).map_or("", String::as_str).to_owned();
        if text.chars().any(char::is_control) {
            self.problem(field, format!("{field} has a line break or another control character in it; type it again, or see that the file it names holds one line"));
        }
        text
    }

    fn line(&mut self, field: &str) -> String {
        let text = self.text(field).to_owned();
        if address::refuse_controls(field, &text).is_err() {
            self.problem(
                field,
                format!("{field} has a line break or another control character in it; type it again"),
            );
        }
        text
    }

    fn address(&mut self, field: &str) -> String {
        let text = self.text(field).to_owned();
        if text.is_empty() {
            return text;
        }
        if let Ok(address) = address::parse(field, &text) {
            return address.to_string();
        }
        self.problem(
            field,
            format!("{field} is no e-mail address, as name@example.com; mend it or leave it empty"),
        );
        String::new()
    }

    /// A number that can't be used is replaced by its default, so that a slip stops no mail.
    fn number(&mut self, field: &str, range: std::ops::RangeInclusive<u32>, preset: u32) -> u32 {
        let text = self.text(field);
        if text.is_empty() {
            return preset;
        }
        match text.parse::<u32>() {
            Ok(number) if range.contains(&number) => number,
            _ => {
                let (least, most) = (range.start(), range.end());
                self.problem(field, format!("{field} must be a whole number from {least} to {most}; {preset} is used until it is mended"));
                preset
            }
        }
    }

    fn from(&mut self) -> From {
        From {
            from_name: self.line("FromName"),
            from_address: self.address("FromAddress"),
            reply_to: self.address("ReplyTo"),
        }
    }

    fn clear_text_hosts(&mut self) -> Vec<Host> {
        let text = self.text("ClearTextHosts").to_owned();
        let mut hosts = Vec::new();
        for name in text.split([',', ';', ' ', '\t', '\r', '\n']).filter(|name| !name.is_empty()) {
            match Host::parse(name) {
                Ok(host) => hosts.push(host),
                Err(_) => self.problem("ClearTextHosts", "ClearTextHosts is a list of host names and addresses, separated by commas; one of them is neither"),
            }
        }
        hosts
    }

    fn connection(&mut self, name: &str, prefix: &str, clear: &[Host]) -> Option<Connection> {
        let field = |key: &str| format!("{prefix}{key}");
        let host = match Host::parse(self.text(&field("Host"))) {
            Ok(host) => Some(host),
            Err(wrong) => {
                self.problem(field("Host"), wrong.mend(&field("Host")));
                None
            }
        };
        let security = self.security(prefix, host.as_ref(), clear);
        let port = self.port(&field("Port"), security);
        let min_tls = match self.text(&field("MinimumTLS")) {
            "" | "1.2" => TlsVersion::V12,
            "1.3" => TlsVersion::V13,
            _ => {
                self.problem(
                    field("MinimumTLS"),
                    format!("{} is 1.2 or 1.3; older ones are not safe any more", field("MinimumTLS")),
                );
                TlsVersion::V12
            }
        };
        let ca = certificate::authorities(self, &field("CA"));
        let pin = certificate::pin(self, &field("Pin"));
        let ehlo_name = self.ehlo_name(&field("EHLOName"));
        let envelope_sender = self.address(&field("EnvelopeSender"));
        let login = login::read(self, prefix, host.as_ref(), security);
        Some(Connection {
            name: name.to_owned(),
            server: host?.name,
            port,
            security,
            verify_certificate: true,
            min_tls,
            ca,
            pin,
            ehlo_name,
            envelope_sender,
            auth: login.auth,
            username: login.username,
            password: login.password,
            oauth: login.oauth,
            timeout_ms: TIMEOUT_MS,
        })
    }

    fn security(&mut self, prefix: &str, host: Option<&Host>, clear: &[Host]) -> Security {
        let field = format!("{prefix}Security");
        match self.text(&field) {
            "starttls" | "" => Security::Starttls,
            "tls" => Security::Tls,
            "none" => {
                if host.is_some_and(|host| !host.is_loopback() && !clear.contains(host)) {
                    self.problem(field, format!("mail in clear text goes to this machine only, and to hosts that ClearTextHosts names; choose STARTTLS or TLS, or add {prefix}Host to ClearTextHosts"));
                }
                Security::None
            }
            _ => {
                self.problem(field.clone(), format!("{field} is starttls, tls or none"));
                Security::Starttls
            }
        }
    }

    fn port(&mut self, field: &str, security: Security) -> u16 {
        match self.text(field) {
            "" | "0" => match security {
                Security::Tls => 465,
                Security::Starttls => 587,
                Security::None => 25,
            },
            text => text.parse::<u16>().ok().filter(|port| *port > 0).unwrap_or_else(|| {
                self.problem(
                    field,
                    format!("{field} is a number from 1 to 65535; leave it empty for the usual one"),
                );
                0
            }),
        }
    }

    /// RFC 5321 section 4.1.1.1: a host name, or an address in brackets.
    fn ehlo_name(&mut self, field: &str) -> String {
        let text = self.text(field).to_owned();
        if text.is_empty() {
            return text;
        }
        if let Ok(host) = Host::parse(&text) {
            return host.literal();
        }
        self.problem(field, format!("{field} is a host name, or an address in brackets; mend it, or leave it empty for this host's own name"));
        String::new()
    }
}

#[cfg(test)]
mod tests;

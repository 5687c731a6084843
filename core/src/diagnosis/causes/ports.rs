//! Another service than the one that was meant is behind the port.

use super::Cause;
use crate::diagnosis::view::View;
use crate::{Failure, Security, Step};

const BEFORE_SMTP: &[Step] = &[Step::Tls, Step::Greeting, Step::Ehlo, Step::Starttls];

/// Plain text was spoken, and nothing but silence or an end came of it.
fn waits_for_tls(v: &View<'_>) -> bool {
    let silence = [Failure::Timeout, Failure::Closed, Failure::Reset];
    v.at(&[Step::Greeting]) && !v.security(Security::Tls) && silence.iter().any(|failure| v.failed(*failure))
}

pub(super) const CAUSES: &[Cause] = &[
    Cause::fails(
        "imap_port",
        "an IMAP server is behind the port",
        |v| {
            v.at(BEFORE_SMTP)
                && (v.hears(&["* ok", "* bye", "* preauth"]) || waits_for_tls(v) && v.port(&[993]))
        },
        "{port} of {host} is for reading mail (IMAP). Sending goes over port 587 with STARTTLS, or port 465 with TLS.",
    ),
    Cause::fails(
        "pop3_port",
        "a POP3 server is behind the port",
        |v| v.at(BEFORE_SMTP) && (v.hears(&["+ok", "-err"]) || waits_for_tls(v) && v.port(&[995])),
        "{port} of {host} is for fetching mail (POP3). Sending goes over port 587 with STARTTLS, or port 465 with TLS.",
    ),
    Cause::fails(
        "http_port",
        "a web server is behind the port",
        |v| v.at(BEFORE_SMTP) && v.hears(&["http/", "<!doctype", "<html"]),
        "A web server answers on {port} of {host}. Give the mail server's name and port (587 for STARTTLS, 465 for TLS), not \
         the web site's or a proxy's.",
    ),
    Cause::fails(
        "ssh_port",
        "an SSH server is behind the port",
        |v| v.at(BEFORE_SMTP) && v.hears(&["ssh-"]),
        "An SSH server answers on {port} of {host}. The mail server listens on another: 587 for STARTTLS, 465 for TLS.",
    ),
    Cause::fails(
        "ftp_port",
        "an FTP server is behind the port",
        |v| {
            let greeting = v.greeting();
            v.at(&[Step::Ehlo]) && v.refused() && greeting.contains("ftp") && !greeting.contains("smtp")
        },
        "An FTP server answers on {port} of {host}. The mail server listens on another: 587 for STARTTLS, 465 for TLS.",
    ),
    Cause::fails(
        "lmtp_port",
        "a server for local delivery (LMTP) is behind the port",
        |v| v.at(&[Step::Ehlo]) && v.refused() && (v.says(&["lhlo"]) || v.greeting().contains("lmtp")),
        "{server} speaks LMTP, which only delivers to mailboxes of its own. Give the port on which it takes mail from \
         programs, mostly 587.",
    ),
    Cause::fails(
        "tls_on_a_plain_port",
        "TLS was spoken to a port that begins in plain text, as 587 and 25 do",
        |v| v.at(&[Step::Tls]) && v.hears(&["220", "421", "554"]),
        "{server} begins in plain text. Choose STARTTLS as connection security for this port, or port 465 with TLS.",
    ),
    Cause::fails(
        "plain_on_a_tls_port",
        "plain text was spoken to a port that begins with TLS, as 465 does",
        |v| {
            waits_for_tls(v) && v.port(&[465, 2465, 8465])
                || v.at(&[Step::Greeting]) && !v.security(Security::Tls) && v.hears(&["?\u{3}", "???", "??"])
        },
        "On {port} the server waits for TLS from the first byte. Choose TLS as connection security, or port 587 with \
         STARTTLS.",
    ),
    Cause::fails(
        "not_smtp",
        "something else than a mail server answered",
        |v| v.at(&[Step::Tls, Step::Greeting]) && !v.heard().is_empty(),
        "What answers at {server} is no mail server; its first words are shown beside this. Check the server's name and the \
         port: 587 for STARTTLS, 465 for TLS.",
    ),
];

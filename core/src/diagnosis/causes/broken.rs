//! How a conversation broke: silence, an end, and what can only be said of the step.

use super::Cause;
use crate::diagnosis::view::View;
use crate::{Failure, Step};

fn stalls(v: &View<'_>, step: Step) -> bool {
    v.at(&[step]) && v.failed(Failure::Timeout)
}

fn ends(v: &View<'_>, steps: &[Step]) -> bool {
    v.at(steps) && v.failed(Failure::Closed)
}

fn breaks(v: &View<'_>, steps: &[Step]) -> bool {
    v.at(steps) && v.failed(Failure::Reset)
}

/// Before all others: it was us.
pub(super) const OURS: &[Cause] = &[
    Cause::fails(
        "cancelled",
        "whoever began the test ended it",
        |v| v.facts.cancelled,
        "The test was cancelled while this step was under way. Start it again to see how it ends.",
    ),
    Cause::fails(
        "took_too_long",
        "each step went on, but all of it took longer than it may",
        |v| {
            let later = !v.at(&[Step::Dns, Step::Connect]);
            later && v.failed(Failure::Timeout) && v.detail().contains("the whole took longer")
        },
        "The server answers, but so slowly that the whole took longer than it may. Look at the times of the steps: a server \
         that waits seconds at each delays those whom it does not know, or is overloaded.",
    ),
];

pub(super) const CAUSES: &[Cause] = &[
    // Silence.
    Cause::fails(
        "stall_at_tls",
        "the server does not answer in the TLS handshake",
        |v| stalls(v, Step::Tls),
        "{server} does not answer in the TLS handshake. If it speaks plain text first, choose STARTTLS; else look for a \
         firewall that holds large packets back (MTU), or an overloaded server.",
    ),
    Cause::fails(
        "stall_at_greeting",
        "the server takes the connection and says nothing",
        |v| stalls(v, Step::Greeting),
        "The server took the connection but did not greet. Check the port and the connection security: a port for TLS waits \
         in silence. Else the server is overloaded, or delays those whom it does not know.",
    ),
    Cause::fails(
        "stall_at_ehlo",
        "the server greets, and does not answer EHLO",
        |v| stalls(v, Step::Ehlo),
        "The server greeted, and then did not answer EHLO. It often looks this machine's name up first: see that its DNS \
         works and that this machine has a reverse name; a firewall that inspects SMTP is another cause.",
    ),
    Cause::fails(
        "stall_at_starttls",
        "the server does not answer STARTTLS",
        |v| stalls(v, Step::Starttls),
        "The server offers STARTTLS and does not answer it. A firewall that inspects SMTP between the two is the usual \
         cause: switch that off, or use port 465 with TLS.",
    ),
    Cause::fails(
        "stall_at_auth",
        "the server does not answer the login",
        |v| stalls(v, Step::Auth),
        "The server does not answer the login: its password service (LDAP, Dovecot, a directory) hangs, or it punishes wrong \
         passwords with waiting. Look into its log.",
    ),
    Cause::fails(
        "stall_at_mail_from",
        "the server does not answer the sender",
        |v| stalls(v, Step::MailFrom),
        "The server does not answer MAIL FROM. It mostly looks the sender's domain up: see that its DNS works and that \
         {from_domain} can be found.",
    ),
    Cause::fails(
        "stall_at_rcpt_to",
        "the server does not answer the recipient",
        |v| stalls(v, Step::RcptTo),
        "The server does not answer RCPT TO. It mostly asks somebody else about the recipient or this machine (a directory, \
         blocklists, the recipient's own server): look there.",
    ),
    Cause::fails(
        "stall_at_data",
        "the server does not ask for the message",
        |v| stalls(v, Step::Data),
        "The server took sender and recipient, and then did not ask for the message. Its queue or disk hangs, mostly: look \
         into its log.",
    ),
    Cause::fails(
        "stall_at_body",
        "the message does not get through to the server",
        |v| stalls(v, Step::Body),
        "Small commands get through to {host}, the message does not. A VPN or firewall on the way drops large packets \
         (MTU): lower the MTU, or allow ICMP \"fragmentation needed\".",
    ),
    Cause::fails(
        "stall_at_final_dot",
        "the whole message was sent, and the server never said that it has it",
        |v| stalls(v, Step::FinalDot),
        "The whole message was sent, but no receipt came, so that it may have arrived: look into the mailbox. The server's \
         spam or virus filter takes too long, mostly; look into its log.",
    ),
    // An end.
    Cause::fails(
        "closed_in_tls",
        "the server closes the connection in the TLS handshake",
        |v| ends(v, &[Step::Tls]),
        "{server} closes the connection in the TLS handshake. Check the connection security for {port}; if it is right, look \
         into the server's log: its certificate, or a rule about this machine's address.",
    ),
    Cause::fails(
        "closed_at_greeting",
        "the server closes the connection without a word",
        |v| ends(v, &[Step::Greeting]),
        "{server} closes the connection without a word. It refuses this machine's address (a firewall, tcpwrappers, \
         fail2ban), or the port expects TLS: look into its log.",
    ),
    Cause::fails(
        "closed_at_ehlo",
        "the server closes the connection at EHLO or STARTTLS",
        |v| ends(v, &[Step::Ehlo, Step::Starttls]),
        "{host} closed the connection after it greeted. A proxy or filter in front of it does not like this machine or its \
         EHLO name: set the EHLO name to a full name that resolves, and look into its log.",
    ),
    Cause::fails(
        "closed_at_auth",
        "the server closes the connection at the login",
        |v| ends(v, &[Step::Auth]),
        "{host} closed the connection at the login. It does so after wrong passwords (fail2ban, a limit), or where it takes \
         no login on this port: check user name and password, and wait some minutes.",
    ),
    Cause::fails(
        "closed_at_envelope",
        "the server closes the connection at sender, recipient or DATA",
        |v| ends(v, &[Step::MailFrom, Step::RcptTo, Step::Data]),
        "{host} closed the connection instead of answering. It keeps to a rule about senders or recipients, or it crashed: \
         its log says which.",
    ),
    Cause::fails(
        "closed_at_message",
        "the server closes the connection while or after it was sent the message",
        |v| ends(v, &[Step::Body, Step::FinalDot]),
        "{host} closed the connection without a receipt for the message, so that it may have arrived: look into the mailbox. \
         A filter there crashed or broke off, mostly; look into its log.",
    ),
    Cause::fails(
        "reset_before_smtp",
        "the connection is reset before the first word",
        |v| breaks(v, &[Step::Tls, Step::Greeting]),
        "The connection to {server} was reset. A firewall or load balancer refuses it, or the server behind is overloaded; \
         check too that the connection security fits {port}.",
    ),
    Cause::fails(
        "reset_later",
        "the connection is reset in the middle",
        |v| {
            let later = [Step::Ehlo, Step::Starttls, Step::Auth, Step::MailFrom, Step::RcptTo, Step::Data];
            breaks(v, &later) || breaks(v, &[Step::Body, Step::FinalDot])
        },
        "The connection to {host} was reset in the middle. Look for a firewall that inspects SMTP or ends idle connections, \
         and for a crash in the server's log.",
    ),
    // Words that make no sense.
    Cause::fails(
        "reply_too_long",
        "the server's reply does not end",
        |v| v.failed(Failure::Protocol) && v.detail().contains("does not end"),
        "The server's reply does not end. What answers at {server} is no proper mail server: check the name and the port.",
    ),
    Cause::fails(
        "reply_garbled",
        "the server's reply is not SMTP",
        |v| v.failed(Failure::Protocol),
        "The server's reply is not SMTP. A proxy or virus scanner that changes it stands between, or the server is broken: \
         connect past it, and look into the server's log.",
    ),
    // Codes that say no more than their step.
    Cause::fails(
        "no_smtp_service",
        "the server turns this machine away at the door",
        |v| v.at(&[Step::Greeting]) && v.code(&[554, 521, 550, 541, 556, 535, 571]),
        "The server turns this machine away at the door. Its address is not welcome there or on a blocklist: use the \
         submission port (587 or 465), or have the address let through.",
    ),
    Cause::fails(
        "ehlo_unknown",
        "the server does not know EHLO",
        |v| v.at(&[Step::Ehlo]) && v.code(&[500, 502]),
        "The server does not understand EHLO. A firewall that \"fixes\" SMTP (as Cisco's) stands between, or it is no mail \
         server: switch SMTP inspection off, and check name and port.",
    ),
    Cause::fails(
        "bad_sequence",
        "the server takes a command for out of order",
        |v| v.code(&[503]),
        "The server takes a command for out of order. Most do so where a login or STARTTLS is missing: check authentication \
         and connection security; else a proxy between the two drops commands.",
    ),
    Cause::fails(
        "command_unknown",
        "the server does not know a command or its parameter",
        |v| v.code(&[500, 501, 502, 504, 555]),
        "The server does not understand a command that all mail servers know. A proxy or firewall that inspects SMTP changes \
         it on the way, or the server is very old: connect past it.",
    ),
    Cause::fails(
        "policy_refused",
        "the server refuses by a rule of its own",
        |v| v.code(&[550, 551, 553, 554, 521, 541, 556, 571]),
        "The server refuses by a rule of its own, in the words beside this. Ask whoever runs {host} what that rule wants; \
         logging in on port 587 or 465 lifts most.",
    ),
    Cause::fails(
        "put_off",
        "the server says not now, and no more",
        |v| v.temporary(),
        "The server says \"not now\". Mail in the queue is sent again by itself; test again in some minutes, and look into \
         the server's log if it stays so.",
    ),
];

//! Mails that Mattermost hands to the relay: what each is, and what is sent in its place.
//!
//! What this module does *not* do: look anything up, believe what a mail says of itself, or lose one. What can't be
//! read is passed on as it came.
//!
//! Mattermost's mails don't say what they are. A mail is taken for an account's (*reset*, *verify*,
//! *email change verify*) only if its subject, its link, its one recipient and the row of Mattermost's `tokens` all
//! agree ([`belief`]); then it is composed anew with a link of ours. Every other mail keeps its body, octet for octet,
//! but for a text part that was empty and for lines that SMTP has no room for ([`body`]); its header is repaired
//! ([`header`]).

mod belief;
mod body;
mod header;
mod html;
mod kind;
mod link;
mod pattern;
mod read;
mod shapes;
mod take;

pub(crate) use kind::Class;
pub(crate) use take::{ENTROPY, answer as take_mail};

//! What Postroom decides.
//!
//! What this crate does *not* do: it reads no file, opens no connection, knows no clock and makes no random
//! number. It sends nothing and stores nothing. Time and entropy come in with each request; what comes out
//! depends on nothing else, so a preview in a browser is what the server sends, byte for byte.
//!
//! What it does: mints and digests the tokens of recovery links, composes and seals the mails that carry them,
//! says what an SMTP reply means and when to try again, whether a request may pass a limit, whether a link
//! may still be redeemed, and renders the pages behind it.
//!
//! The way in is [`dispatch`]: JSON in, JSON out, the operations of `wasm/README.md`. The same functions are
//! public here for tests and benchmarks.
//!
//! Secrets pass through: tokens, link URLs, mail bodies, new passwords, SMTP passwords and Mattermost's
//! `AtRestEncryptKey`. None of them is ever part of an [`Error`].
#![forbid(unsafe_code)]

mod account;
mod account_mail;
mod app_error;
mod attend;
mod by_hand;
mod command;
mod connections;
mod dispatch;
mod dns_checks;
mod email_settings;
mod entropy;
mod error;
mod fault;
mod form;
mod incident;
mod judge;
mod landing;
mod markdown;
mod model;
mod orphaned;
mod relay;
mod restraint;
mod secret;
mod self_test;
mod steering;
mod upstream;
mod wire;

pub mod client;
pub mod diagnosis;
pub mod limit;
pub mod mail;
pub mod outcome;
pub mod page;
pub mod request;
pub mod seal;
pub mod standing;
mod test_reply;
pub mod token;

pub use dispatch::dispatch;
pub use error::Error;
pub use model::{
    Account, AppError, Connection, Failure, Kind, Mechanism, OAuth, Outcome, Page, Purpose, Reply, Security,
    Site, Step, TlsVersion, TokenRow,
};

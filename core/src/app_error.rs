//! The errors that API clients get, in Mattermost's own shape, ids and words.
//!
//! Source: `i18n/en.json` of Mattermost's server. Ids that begin with `plugin.postroom` are ours.

use serde::{Deserialize, Serialize};

use crate::AppError;

fn app_error(status: u16, id: &str, message: impl Into<String>) -> AppError {
    AppError { status, id: id.into(), message: message.into(), detailed_error: String::new() }
}

/// A member of the body is missing or of the wrong type.
pub(crate) fn invalid_body_param(name: &str) -> AppError {
    app_error(
        400,
        "api.context.invalid_body_param.app_error",
        format!("Invalid or missing {name} in request body."),
    )
}

/// The body is larger than the endpoint takes.
pub(crate) fn body_too_large() -> AppError {
    app_error(
        413,
        "api.context.request_body_too_large.app_error",
        "Unable to process request. Request body too large.",
    )
}

/// `email/test` was sent an `EmailSettings` that lacks members.
pub(crate) fn email_settings_nil() -> AppError {
    app_error(
        400,
        "api.file.test_connection_email_settings_nil.app_error",
        "Email settings has unset values.",
    )
}

/// `email/test` was sent no server.
pub(crate) fn missing_server() -> AppError {
    app_error(400, "api.admin.test_email.missing_server", "SMTP Server is required")
}

/// The password placeholder came with another server, port or user than the saved one.
pub(crate) fn reenter_password() -> AppError {
    app_error(
        400,
        "api.admin.test_email.reenter_password",
        "The SMTP server, port, or username has changed. Please re-enter the SMTP password to test connection.",
    )
}

/// The test mail was not sent; `why` has the step and the peer's words.
pub(crate) fn test_failed(why: &str) -> AppError {
    app_error(500, "app.admin.test_email.failure", format!("Connection unsuccessful: {why}"))
}

/// The test was broken off at `step`; `perhaps`: the server may have had the mail by then.
pub(crate) fn test_cancelled(step: &str, perhaps: bool) -> AppError {
    let tail = if perhaps { " The test mail may arrive all the same." } else { "" };
    ours(409, "test_cancelled", &format!("The test was cancelled at {step}.{tail}"))
}

/// As many tests run as may. `seconds` is until one of them has ended at the latest.
fn tests_busy(seconds: i64) -> AppError {
    ours(
        429,
        "tests_busy",
        &format!(
            "As many connection tests run on this server as may run at once. Wait for one to end, which takes {seconds} \
             s at most, or cancel one, and test again."
        ),
    )
}

/// One of Postroom's own.
pub(crate) fn ours(status: u16, name: &str, message: &str) -> AppError {
    app_error(status, &format!("plugin.postroom.{name}.app_error"), message)
}

/// There is no such thing.
pub(crate) fn not_found() -> AppError {
    app_error(404, "api.context.404.app_error", "Sorry, we could not find the page.")
}

/// The mail's body is wiped.
pub(crate) fn no_body() -> AppError {
    ours(
        409,
        "mail_body",
        "This mail's body is not kept any more, so it can't be sent again. Bodies of mails that were sent are wiped at \
         once.",
    )
}

/// The mail waits for an admin's decision about all.
pub(crate) fn held() -> AppError {
    ours(
        409,
        "held",
        "Mail is held, because the site URL is not the one it was accepted under. Decide whether to go on or to \
         discard it.",
    )
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Args {
    error: Plain,
    #[serde(default)]
    retry_at: Option<i64>,
}

/// The errors that hosts ask for by name.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Plain {
    Unavailable,
    NotFound,
    TooLarge,
    InvalidFilter,
    InvalidDecision,
    Relay,
    TestsBusy,
    InvalidTest,
    NoSuchTest,
    NoConnection,
    ConnectionSetting,
    InvalidSettings,
    Internal,
}

#[derive(Serialize)]
pub(crate) struct Answer {
    app_error: AppError,
}

/// The operation `app_error`.
pub(crate) fn answer(args: &Args, now: i64) -> Answer {
    let app_error = match args.error {
        Plain::Unavailable => app_error(
            503,
            "api.context.server_busy.app_error",
            "Server is busy, non-critical services are temporarily unavailable.",
        ),
        Plain::NotFound => not_found(),
        Plain::TooLarge => body_too_large(),
        Plain::InvalidFilter => app_error(
            400,
            "api.context.invalid_url_param.app_error",
            "Invalid or missing parameter in request URL. The list of mails takes state, kind, class and before.",
        ),
        Plain::InvalidDecision => app_error(
            400,
            "plugin.postroom.invalid_decision.app_error",
            "That is not a decision that can be taken now. Say go on or discard, while mail is held.",
        ),
        Plain::Relay => app_error(
            409,
            "plugin.postroom.relay.app_error",
            "Where Mattermost's mail goes was not changed, or not as wished.",
        ),
        Plain::TestsBusy => {
            let left = args.retry_at.unwrap_or(now.saturating_add(60_000)).saturating_sub(now).max(0);
            tests_busy(left.saturating_add(999) / 1_000)
        }
        Plain::InvalidTest => ours(
            400,
            "invalid_test",
            "The header X-Postroom-Test is not a UUID in lower case that no test has yet. Make a new one for each test, \
             or leave it out.",
        ),
        Plain::NoSuchTest => {
            ours(404, "no_such_test", "No such test of yours runs. It may have ended by itself.")
        }
        Plain::NoConnection => ours(
            404,
            "no_connection",
            "There is no such connection. Set its host in System Console > Plugins > Postroom, or test mattermost, \
             primary or fallback.",
        ),
        Plain::ConnectionSetting => ours(
            400,
            "connection_setting",
            "This connection can't be tested, as one of its settings can't be used.",
        ),
        Plain::InvalidSettings => invalid_body_param("settings"),
        Plain::Internal => app_error(
            500,
            "plugin.postroom.internal.app_error",
            "Postroom could not do this. Its log in Mattermost's server log has the reason.",
        ),
    };
    Answer { app_error }
}

//! The words of the slash command, in Mattermost's Markdown.

use serde::Serialize;

use super::{Connection, Mail, Resend, Status, Step, StepState, Test};
use crate::incident::{Kind, span, written};
use crate::mail::Moment;
use crate::markdown::{code, code_at_most};
use crate::standing::State;

/// Octets of a reason in the table of mails.
const REASON_MAX: usize = 90;

/// How the command is registered.
#[derive(Serialize)]
pub(super) struct Words {
    trigger: &'static str,
    title: &'static str,
    hint: &'static str,
    help: &'static str,
    subcommands: Vec<Subcommand>,
}

#[derive(Serialize)]
struct Subcommand {
    name: &'static str,
    hint: &'static str,
    help: &'static str,
    argument: Option<Argument>,
}

#[derive(Serialize)]
struct Argument {
    hint: &'static str,
    help: &'static str,
}

pub(super) fn registration() -> Words {
    let subcommand = |name, help| Subcommand { name, hint: "", help, argument: None };
    Words {
        trigger: "postroom",
        title: "Postroom",
        hint: "[status|test|mails|resend]",
        help: "How Mattermost's mail does",
        subcommands: vec![
            subcommand("status", "The outbox, the connections, the relay, and what is the matter"),
            subcommand("test", "Send yourself a test mail over the connection in use"),
            subcommand("mails", "The ten newest mails"),
            Subcommand {
                name: "resend",
                hint: "[mail]",
                help: "Send a mail again, an account's with a new link",
                argument: Some(Argument {
                    hint: "[mail]",
                    help: "The mail's id, or as much of its beginning as no other mail has",
                }),
            },
            subcommand("help", "What each of these does"),
        ],
    }
}

pub(super) fn help() -> String {
    let mut text = "**Postroom** takes charge of the mail that Mattermost sends.\n".to_owned();
    for Subcommand { name, hint, help, .. } in registration().subcommands {
        let space = if hint.is_empty() { "" } else { " " };
        text.push_str(&format!("- `/postroom {name}{space}{hint}`: {help}\n"));
    }
    text
}

pub(super) fn unknown(typed: &str) -> String {
    format!("{} is none of Postroom's commands.\n\n{}", code(typed), help())
}

pub(super) fn no_id() -> String {
    "Which mail? Type `/postroom resend` and the mail's id, or at least the first four characters of it. \
     `/postroom mails` lists the newest."
        .to_owned()
}

pub(super) fn restricted() -> String {
    "Tests are refused while `ExperimentalSettings.RestrictSystemAdmin` is on, as Mattermost refuses them."
        .to_owned()
}

pub(super) fn testing() -> String {
    "Testing: a mail goes to your own address. The result follows here, within a minute.".to_owned()
}

pub(super) fn unavailable() -> String {
    ":warning: The database is out of reach, and with it what is asked for. Mail that was accepted is in it, and goes \
     on when it is back."
        .to_owned()
}

pub(super) fn status(status: &Status, now: i64) -> String {
    let mut lines = vec![outbox(&status.state, &status.problem)];
    lines.extend(status.warnings.iter().map(|warning| format!(":warning: {}", code(warning))));
    lines.push(match &status.counts {
        None => "**Mails**: not known, the database is out of reach".to_owned(),
        Some(counts) if counts.is_empty() => "**Mails**: none yet".to_owned(),
        Some(counts) => {
            let counts: Vec<String> =
                counts.iter().map(|(state, count)| format!("{count} {}", state_words(*state))).collect();
            format!("**Mails**: {}", counts.join(", "))
        }
    });
    if let Some(mail) = &status.account_mail {
        lines.push(match mail.oldest {
            None => "**Account mail**: none waits".to_owned(),
            Some(oldest) => {
                format!("**Account mail**: {} waiting, the oldest for {}", mail.waiting, span(now - oldest))
            }
        });
    }
    lines.extend(status.connections.iter().map(connection));
    let relay = &status.relay;
    lines.push(match (relay.enabled, relay.healthy) {
        (false, _) => "**Relay**: off; Mattermost sends its own mail itself".to_owned(),
        (true, true) => "**Relay**: on; Mattermost's own mail comes through it".to_owned(),
        (true, false) => format!(":warning: **Relay**: on, but not well {}", code(&relay.problem)),
    });
    match status.incidents.as_deref() {
        None => {}
        Some([]) => lines.push("**Incidents**: none".to_owned()),
        Some(incidents) => lines.extend(incidents.iter().map(|it| {
            format!(
                ":warning: **{}**{}, {}",
                incident(it.kind),
                of(it.kind, &it.key),
                since(Some(it.opened_at))
            )
        })),
    }
    format!("#### Postroom\n- {}", lines.join("\n- "))
}

fn outbox(state: &str, problem: &str) -> String {
    let state = match state {
        "working" => return "**Outbox**: works".to_owned(),
        "starting" => "not ready yet",
        "held" => "held until you decide",
        "broken" => "can't work until somebody mends it",
        "stopped" => "ends",
        _ => "not known",
    };
    format!(":warning: **Outbox**: {state} {}", code(problem))
}

fn connection(it: &Connection) -> String {
    let mut text = format!("**Connection** {}", code(&it.name));
    if !it.server.is_empty() {
        text.push_str(&format!(" ({})", code(&it.server)));
    }
    let state = match it.state.as_str() {
        "" => "",
        "ok" => ": well",
        "paused" => ": paused",
        "failing" => ": takes no mail",
        "unused" => ": not used",
        _ => ": not known",
    };
    text.push_str(state);
    if matches!(it.state.as_str(), "paused" | "failing") {
        text.insert_str(0, ":warning: ");
        if it.since.is_some() {
            text.push_str(&format!(" {}", since(it.since)));
        }
        if !it.reason.is_empty() {
            text.push_str(&format!(": {}", code(&it.reason)));
        }
    }
    if it.active {
        text.push_str(if state.is_empty() { ": mail goes over it" } else { "; mail goes over it" });
    }
    text
}

fn since(ms: Option<i64>) -> String {
    let moment = ms.and_then(|ms| Moment::new("since", ms).ok());
    moment.map_or_else(|| "since when is not known".to_owned(), |moment| format!("since {}", written(moment)))
}

fn incident(kind: Kind) -> &'static str {
    match kind {
        Kind::ConnectionPaused => "Connection paused",
        Kind::FailedOver => "Mail goes over the fallback",
        Kind::AccountMailWaits => "Account mail waits",
        Kind::CertificateExpires => "Certificate about to expire",
        Kind::OauthRefused => "Sign-in refused",
    }
}

fn of(kind: Kind, key: &str) -> String {
    if kind == Kind::AccountMailWaits { String::new() } else { format!(" of {}", code(key)) }
}

fn state_words(state: State) -> &'static str {
    match state {
        State::Queued => "queued",
        State::Sending => "being sent",
        State::Sent => "accepted by your server",
        State::Deferred => "waiting to be tried again",
        State::Failed => "failed",
        State::Cancelled => "cancelled",
        State::Held => "held",
        State::PerhapsDelivered => "perhaps delivered",
    }
}

pub(super) fn mails(newest: &[Mail], now: i64) -> String {
    if newest.is_empty() {
        return "No mail yet.".to_owned();
    }
    let mut text = "| Mail | Kind | To | State | Age | Reason |\n|---|---|---|---|---|---|\n".to_owned();
    for mail in newest {
        text.push_str(&format!(
            "| {} | {} | {} | {} | {} | {} |\n",
            code(&mail.id),
            code(&mail.kind),
            code(&mail.masked_to),
            state_words(mail.state),
            span(now - mail.queued_at),
            code_at_most(&mail.reason, REASON_MAX)
        ));
    }
    text
}

pub(super) fn resend(resend: &Resend) -> String {
    match resend.found {
        0 => "No mail's id begins with that. `/postroom mails` lists the newest.".to_owned(),
        1 if resend.refused.is_empty() => {
            format!(":white_check_mark: It is sent again, as the mail {}.", code(&resend.mail_id))
        }
        1 => format!(":warning: It is not sent again: {}", code(&resend.refused)),
        _ => "More than one mail's id begins with that. Type more of it.".to_owned(),
    }
}

pub(super) fn test(test: &Test) -> String {
    let over = match code(&test.connection) {
        name if name.is_empty() => String::new(),
        name => format!(" over {name}"),
    };
    let mut text = if test.error.is_empty() {
        format!(":white_check_mark: **Your mail server accepted the test mail{over}.**\n")
    } else {
        format!(":warning: **No mail left{over}.** {}\n", code(&test.error))
    };
    if !test.sent_to.is_empty() {
        text.push_str(&format!("It goes to {}", code(&test.sent_to)));
        if let Some(id) = &test.queue_id {
            text.push_str(&format!("; your server's log has it as {}", code(id)));
        }
        text.push_str(".\n");
    }
    for step in test.steps.iter().filter(|step| step.state != StepState::Skipped) {
        text.push_str(&line(step));
    }
    text
}

fn line(step: &Step) -> String {
    let mark = match step.state {
        StepState::Ok => ":white_check_mark:",
        StepState::Warning => ":warning:",
        StepState::Failed => ":x:",
        StepState::Skipped => "",
    };
    let mut text = format!("- {mark} **{}**", code(&step.step));
    if let Some(ms) = step.ms {
        text.push_str(&format!(", {ms} ms"));
    }
    if !step.said.is_empty() {
        text.push_str(&format!(": {}", code(&step.said)));
    }
    if step.state != StepState::Ok && !step.advice.is_empty() {
        text.push_str(&format!("\n  {}", code_at_most(&step.advice, 500)));
    }
    text.push('\n');
    text
}

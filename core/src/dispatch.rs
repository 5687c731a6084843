//! JSON in, JSON out: the one way in for hosts (`wasm/README.md`).

use std::borrow::Cow;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::entropy::Entropy;
use crate::error::WireError;
use crate::seal::SealingKey;
use crate::token::Token;
use crate::wire::{self, Base64};
use crate::{
    Error, account_mail, app_error, attend, by_hand, client, command, connections, diagnosis, dns_checks,
    email_settings, fault, incident, judge, landing, limit, orphaned, relay, request, secret, self_test,
    steering, test_reply, upstream,
};

/// The last millisecond of the year 9999, which RFC 5322 dates end at.
const NOW_MAX: i64 = 253_402_300_799_999;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request<'a> {
    #[serde(borrow)]
    op: Cow<'a, str>,
    now: i64,
    #[serde(borrow, default)]
    entropy: Cow<'a, str>,
    #[serde(borrow)]
    args: &'a RawValue,
}

/// Answers one request, `{"op", "now", "entropy", "args"}`, with `{"ok": …}` or
/// `{"err": {"code", "field", "detail"}}`.
///
/// Takes any octets and never panics. Request and reply may hold secrets; an `err` holds none.
///
/// ```
/// let reply = postroom_core::dispatch(br#"{"op":"app_error","now":0,"entropy":"","args":{"error":"too_large"}}"#);
/// let reply: serde_json::Value = serde_json::from_slice(&reply)?;
/// assert_eq!(reply["ok"]["app_error"]["status"], 413);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[must_use]
pub fn dispatch(request: &[u8]) -> Vec<u8> {
    answer(request).unwrap_or_else(|error| {
        #[derive(Serialize)]
        struct Reply {
            err: WireError,
        }
        serde_json::to_vec(&Reply { err: error.wire() }).unwrap_or_else(|_| {
            br#"{"err":{"code":"internal","field":"","detail":"an error could not be written"}}"#.to_vec()
        })
    })
}

fn answer(request: &[u8]) -> Result<Vec<u8>, Error> {
    let request: Request<'_> = serde_json::from_slice(request).map_err(|error| Error::MalformedRequest {
        detail: format!(
            "not {{op, now, entropy, args}} in JSON, at line {} column {}",
            error.line(),
            error.column()
        ),
    })?;
    if !(0..=NOW_MAX).contains(&request.now) {
        return Err(Error::argument("now", "milliseconds since the Unix epoch, up to the year 9999"));
    }
    let entropy = wire::decode(&request.entropy)
        .ok_or_else(|| Error::argument("entropy", "not standard padded base64"))?;
    let call = Call { args: request.args.get(), now: request.now, entropy: &entropy };
    match request.op.as_ref() {
        "self_test" => call.run(|args| self_test::answer(&args)),
        "read_request" => call.run(|args| Ok(request::answer(&args))),
        "client_key" => call
            .run(|args: ClientKeyArgs| Ok(ClientKeyAnswer { client_key: client::key(&args.client_address) })),
        "limit" => call.run(|args: LimitArgs| limit::decide(&args.rules, call.now)),
        "prepare" => call
            .run_with(account_mail::ENTROPY, |args, entropy| account_mail::answer(&args, call.now, entropy)),
        "compose_test" => call.run_with(account_mail::ENTROPY_TEST, |args, entropy| {
            account_mail::compose_test(&args, call.now, entropy)
        }),
        "compose_orphaned" => call.run_with(orphaned::ENTROPY, |args, entropy| {
            orphaned::compose_orphaned(&args, call.now, entropy)
        }),
        "read_test" => call.run(|args| Ok(email_settings::read_test(&args))),
        "mattermost_connection" => call.run(|args| email_settings::mattermost_connection(&args)),
        "connections" => call.run(|args| Ok(connections::answer(args))),
        "test_reply" => call.run(|args| Ok(test_reply::answer(&args))),
        "judge" => call.run_with(judge::ENTROPY, |args, entropy| judge::answer(&args, call.now, entropy)),
        "diagnose" => call.run(|args| Ok(diagnosis::answer(&args, call.now))),
        "attend" => call.run(|args| Ok(attend::answer(&args, call.now))),
        "fault" => call.run(|args| Ok(fault::answer(&args, call.now))),
        "steer" => call.run(|args| Ok(steering::steer(&args, call.now))),
        "conclude" => call.run(|args| Ok(steering::conclude(&args, call.now))),
        "upstream" => call.run(|args| upstream::answer(&args)),
        "by_hand" => call.run(|args| Ok(by_hand::answer(&args, call.now))),
        "command" => call.run(|args| Ok(command::answer(&args, call.now))),
        "alert" => call.run(|args| incident::alert(&args, call.now)),
        "watch" => call.run(|args| Ok(incident::watch(args, call.now))),
        "reasons" => call.run(|_: fault::NoArgs| Ok(fault::reasons())),
        "key" => call.run(|args: KeyArgs| Ok(KeyAnswer { key_id: SealingKey::derive(&args.key)?.id() })),
        "open" => call.run(|args: OpenArgs| open(&args)),
        "seal_secret" => call.run_with(secret::ENTROPY, |args, entropy| secret::seal_secret(&args, entropy)),
        "open_secret" => call.run(|args| secret::open_secret(&args)),
        "pass_mail" => {
            call.run_with(secret::ENTROPY_PASS, |args, entropy| secret::pass_mail(args, call.now, entropy))
        }
        "take_mail" => {
            call.run_with(relay::ENTROPY, |args, entropy| relay::take_mail(args, call.now, entropy))
        }
        "digest_token" => call.run(|args: DigestArgs| {
            Ok(DigestAnswer { digest: Base64(Token::parse(&args.token)?.digest().to_vec()) })
        }),
        "show_landing" => call.run(|args| landing::show_landing(&args, call.now)),
        "read_form" => call.run(|args| landing::read_form(&args)),
        "redeem" => call.run(|args| landing::redeem(&args, call.now)),
        "redeem_outcome" => call.run(|args| landing::redeem_outcome(&args)),
        "dns_checks" => call.run(|args| Ok(dns_checks::answer(&args))),
        "page" => call.run(|args| landing::page(&args)),
        "app_error" => call.run(|args| Ok(app_error::answer(&args, call.now))),
        _ => Err(Error::UnknownOp),
    }
}

struct Call<'a> {
    args: &'a str,
    now: i64,
    entropy: &'a [u8],
}

impl Call<'_> {
    fn run<A: DeserializeOwned, R: Serialize>(
        &self,
        op: impl FnOnce(A) -> Result<R, Error>,
    ) -> Result<Vec<u8>, Error> {
        #[derive(Serialize)]
        struct Reply<R> {
            ok: R,
        }
        let ok = op(read_args(self.args)?)?;
        serde_json::to_vec(&Reply { ok }).map_err(|_| Error::internal("a reply could not be written"))
    }

    fn run_with<A: DeserializeOwned, R: Serialize>(
        &self,
        needed: usize,
        op: impl FnOnce(A, Entropy<'_>) -> Result<R, Error>,
    ) -> Result<Vec<u8>, Error> {
        let entropy = Entropy::new(self.entropy, needed)?;
        self.run(|args| op(args, entropy))
    }
}

/// Reads an operation's arguments; an error names the member by its path.
fn read_args<A: DeserializeOwned>(args: &str) -> Result<A, Error> {
    // serde would take an array for a structure, member by member.
    if !args.trim_start().starts_with('{') {
        return Err(Error::argument("", "expected an object"));
    }
    // Paths are tracked only once something is wrong: that is rare, and tracking costs.
    serde_json::from_str(args).or_else(|_| {
        let mut reader = serde_json::Deserializer::from_str(args);
        serde_path_to_error::deserialize(&mut reader).map_err(|error| {
            let (path, message) = (error.path().to_string(), error.inner().to_string());
            argument_error(&path, &message)
        })
    })
}

/// serde's message may hold the value it stumbled over, which may be a secret. Only what it says of the
/// *shape* is told: the names of members and what was expected.
fn argument_error(path: &str, message: &str) -> Error {
    let path = path_of_members(path);
    let message = message.rsplit_once(" at line ").map_or(message, |(before, _)| before);
    let named =
        |prefix: &str| message.strip_prefix(prefix).and_then(|rest| rest.split('`').next()).map(member_name);
    let inside = |name: &str| match path.as_str() {
        "" => name.to_owned(),
        path if path == name || path.ends_with(&format!(".{name}")) => path.to_owned(),
        path => format!("{path}.{name}"),
    };
    if let Some(name) = named("unknown field `") {
        return Error::argument(inside(&name), "no such member; wasm/README.md lists them");
    }
    if let Some(name) = named("missing field `") {
        return Error::argument(inside(&name), "missing");
    }
    if let Some(name) = named("duplicate field `") {
        return Error::argument(inside(&name), "given twice");
    }
    let expected = message.rsplit_once("expected ").map_or("the documented shape", |(_, expected)| expected);
    Error::argument(path, format!("expected {expected}"))
}

/// The part of a path that is made of names like ours: what else a request has for names is not repeated.
fn path_of_members(path: &str) -> String {
    let plain = |part: &&str| !part.is_empty() && member_name(&part.replace(['[', ']'], "_")) != STRANGE_NAME;
    path.split('.').take_while(plain).collect::<Vec<_>>().join(".")
}

const STRANGE_NAME: &str = "(a name that is none of ours)";

/// A member's name as the request spelled it, told only if it looks like one.
fn member_name(name: &str) -> String {
    let looks_like_one =
        name.len() <= 40 && name.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'_');
    if looks_like_one { name.to_owned() } else { STRANGE_NAME.to_owned() }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClientKeyArgs {
    client_address: String,
}

#[derive(Serialize)]
struct ClientKeyAnswer {
    client_key: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitArgs {
    rules: Vec<limit::Rule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyArgs {
    key: String,
}

#[derive(Serialize)]
struct KeyAnswer {
    key_id: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OpenArgs {
    key: String,
    mail_id: String,
    sealed: Base64,
}

#[derive(Serialize)]
struct OpenAnswer {
    envelope_from: String,
    envelope_to: String,
    message: Base64,
}

fn open(args: &OpenArgs) -> Result<OpenAnswer, Error> {
    let stored = SealingKey::derive(&args.key)?.open(&args.mail_id, &args.sealed.0)?;
    Ok(OpenAnswer {
        envelope_from: stored.envelope_from,
        envelope_to: stored.envelope_to,
        message: Base64(stored.message),
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DigestArgs {
    token: String,
}

#[derive(Serialize)]
struct DigestAnswer {
    digest: Base64,
}

#[cfg(test)]
#[path = "dispatch_tests.rs"]
mod tests;

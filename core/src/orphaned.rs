//! The mail to the admins when the relay's plugin is gone, and the command in it.

use serde::{Deserialize, Serialize};

use crate::account_mail::{ID, SEED, mail_id};
use crate::entropy::Entropy;
use crate::mail::{Letter, WayBack, compose, locale};
use crate::seal::{self, SealingKey, Stored};
use crate::wire::Base64;
use crate::{Error, Site};

/// Octets of entropy that `compose_orphaned` takes.
pub(crate) const ENTROPY: usize = SEED + ID + seal::ENTROPY;

/// Long enough for a mail server that is away overnight.
const LIFETIME_MS: i64 = 48 * 3_600_000;

/// What stands in the command where the password belongs.
const PLACEHOLDER: &str = "PASSWORD";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Args {
    to: String,
    locale: String,
    since: i64,
    original: Option<Original>,
    site: Site,
    key: String,
}

/// Mattermost's own settings from before the relay, as it saves them, less the password.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Original {
    server: String,
    port: String,
    security: String,
    auth: bool,
    username: String,
    skip_verification: bool,
}

#[derive(Serialize)]
pub(crate) struct Answer {
    id: String,
    message_id: String,
    masked_to: String,
    locale: String,
    size: usize,
    sealed: Base64,
    key_id: String,
    expires_at: i64,
}

/// The operation `compose_orphaned`.
pub(crate) fn compose_orphaned(args: &Args, now: i64, mut entropy: Entropy<'_>) -> Result<Answer, Error> {
    let key = SealingKey::derive(&args.key)?;
    let seed = entropy.take::<SEED>()?;
    let id = mail_id(now, entropy.take::<ID>()?);
    let nonce = entropy.take::<{ seal::ENTROPY }>()?;
    let command = args.original.as_ref().map(command).transpose()?;
    let way_back = match (&args.original, &command) {
        (Some(original), Some(command)) => Some(WayBack {
            command,
            password_of: original.auth.then_some((original.username.as_str(), original.server.as_str())),
        }),
        _ => None,
    };
    let letter = Letter::Orphaned { since_ms: args.since, way_back };
    let locale = locale::resolve(&args.locale, &args.site.default_locale);
    let composed = compose(&letter, &args.to, locale, &args.site, now, &seed)?;
    let stored = Stored {
        envelope_from: composed.envelope_from,
        envelope_to: composed.envelope_to,
        message: composed.message,
    };
    let sealed = key.seal(&id, &stored, nonce)?;
    Ok(Answer {
        id,
        message_id: composed.message_id,
        masked_to: composed.masked_to,
        locale: composed.locale,
        size: stored.message.len(),
        sealed: Base64(sealed),
        key_id: key.id(),
        expires_at: now.saturating_add(LIFETIME_MS),
    })
}

/// The seven settings at once, so that Mattermost never has half of them: one line for a POSIX shell. `printf` and not
/// `echo`, which some shells let read backslashes.
fn command(original: &Original) -> Result<String, Error> {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Patch<'a> {
        email_settings: Seven<'a>,
    }
    #[derive(Serialize)]
    struct Seven<'a> {
        #[serde(rename = "SMTPServer")]
        server: &'a str,
        #[serde(rename = "SMTPPort")]
        port: &'a str,
        #[serde(rename = "ConnectionSecurity")]
        security: &'a str,
        #[serde(rename = "EnableSMTPAuth")]
        auth: bool,
        #[serde(rename = "SMTPUsername")]
        username: &'a str,
        #[serde(rename = "SMTPPassword")]
        password: &'a str,
        #[serde(rename = "SkipServerCertificateVerification")]
        skip_verification: bool,
    }
    let patch = Patch {
        email_settings: Seven {
            server: &original.server,
            port: &original.port,
            security: &original.security,
            auth: original.auth,
            username: &original.username,
            password: if original.auth { PLACEHOLDER } else { "" },
            skip_verification: original.skip_verification,
        },
    };
    let json =
        serde_json::to_string(&patch).map_err(|_| Error::internal("a command could not be written"))?;
    Ok(format!("printf %s '{}' | mmctl --local config patch /dev/stdin", json.replace('\'', "'\\''")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn original() -> Original {
        Original {
            server: "smtp.example.com".into(),
            port: "587".into(),
            security: "STARTTLS".into(),
            auth: true,
            username: "mm".into(),
            skip_verification: false,
        }
    }

    #[test]
    fn the_command_names_all_seven_and_no_password() {
        assert_eq!(
            command(&original()).unwrap(),
            "printf %s '{\"EmailSettings\":{\"SMTPServer\":\"smtp.example.com\",\"SMTPPort\":\"587\",\
             \"ConnectionSecurity\":\"STARTTLS\",\"EnableSMTPAuth\":true,\"SMTPUsername\":\"mm\",\
             \"SMTPPassword\":\"PASSWORD\",\"SkipServerCertificateVerification\":false}}' \
             | mmctl --local config patch /dev/stdin"
        );
    }

    #[test]
    fn no_setting_leaves_its_quotes() {
        let hostile = Original { username: "o'brien'; rm -rf \"$HOME\" `id` \\".into(), ..original() };
        let line = command(&hostile).unwrap();
        let quoted = line.strip_prefix("printf %s '").unwrap();
        let (json, _) = quoted.split_once("' | mmctl").unwrap();
        // What the shell makes of it: every quote of the value's own is closed, escaped and opened again.
        assert!(!json.replace("'\\''", "").contains('\''), "{line}");
        let read: serde_json::Value = serde_json::from_str(&json.replace("'\\''", "'")).unwrap();
        assert_eq!(read["EmailSettings"]["SMTPUsername"], hostile.username.as_str());
    }
}

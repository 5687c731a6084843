//! Mattermost's `EmailSettings` as a connection, and what `email/test` was sent.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::wire::Base64;
use crate::{AppError, Connection, Error, Mechanism, Security, TlsVersion, app_error};

/// `model.FakeSetting`: what Mattermost's API shows in place of a saved secret.
pub(crate) const PLACEHOLDER: &str = "********************************";

/// What Mattermost saves where no server was set (`EmailSMTPDefaultServer`, `EmailSMTPDefaultPort`).
const UNSET_SERVER: (&str, &str) = ("localhost", "10025");

const DEFAULT_TIMEOUT_S: i64 = 10;
const MAX_TIMEOUT_S: i64 = 300;

/// What Mattermost itself would try comes first, as that is what the admin's server is known to take.
const PASSWORD_MECHANISMS: [Mechanism; 4] =
    [Mechanism::Plain, Mechanism::Login, Mechanism::ScramSha256, Mechanism::CramMd5];

/// The members that a connection is made of.
const MEMBERS: [&str; 11] = [
    "FeedbackName",
    "FeedbackEmail",
    "ReplyToAddress",
    "EnableSMTPAuth",
    "SMTPUsername",
    "SMTPPassword",
    "SMTPServer",
    "SMTPPort",
    "SMTPServerTimeout",
    "ConnectionSecurity",
    "SkipServerCertificateVerification",
];

/// An `EmailSettings` object. As in Go, a member's name matches in any case, a `null` or missing one is the
/// zero value, and so is one of the wrong type.
struct EmailSettings<'a>(&'a Map<String, Value>);

impl<'a> EmailSettings<'a> {
    fn member(&self, name: &str) -> &'a Value {
        static NULL: Value = Value::Null;
        member(self.0, name).unwrap_or(&NULL)
    }

    fn text(&self, name: &str) -> &'a str {
        self.member(name).as_str().unwrap_or_default()
    }

    fn flag(&self, name: &str) -> bool {
        self.member(name).as_bool().unwrap_or_default()
    }

    /// The connection; `Err` is the member that cannot work and its mend.
    fn connection(&self, password: &str) -> Result<Connection, (&'static str, String)> {
        let server = self.text("SMTPServer").trim();
        for (name, text) in [("SMTPServer", server), ("SMTPUsername", self.text("SMTPUsername"))] {
            if text.chars().any(char::is_control) {
                return Err((name, format!("{name} has control characters; type it again")));
            }
        }
        if server.contains(char::is_whitespace) {
            return Err((
                "SMTPServer",
                "SMTPServer has a space in it; give a host name or an address".into(),
            ));
        }
        let port = match self.text("SMTPPort").trim().parse::<u16>() {
            Ok(port) if port > 0 => port,
            _ => return Err(("SMTPPort", "SMTPPort is not a number from 1 to 65535".into())),
        };
        let security = match self.text("ConnectionSecurity") {
            // `PLAIN` is what Mattermost once saved for none.
            "" | "PLAIN" => Security::None,
            "TLS" => Security::Tls,
            "STARTTLS" => Security::Starttls,
            _ => {
                return Err((
                    "ConnectionSecurity",
                    "ConnectionSecurity is none of \"\", TLS and STARTTLS".into(),
                ));
            }
        };
        let timeout_s = match self.member("SMTPServerTimeout").as_i64().unwrap_or_default() {
            ..=0 => DEFAULT_TIMEOUT_S,
            seconds => seconds.min(MAX_TIMEOUT_S),
        };
        Ok(Connection {
            name: "mattermost".to_owned(),
            server: server.to_owned(),
            port,
            security,
            verify_certificate: !self.flag("SkipServerCertificateVerification"),
            min_tls: TlsVersion::V12,
            ca: String::new(),
            pin: String::new(),
            ehlo_name: String::new(),
            envelope_sender: String::new(),
            auth: if self.flag("EnableSMTPAuth") { PASSWORD_MECHANISMS.to_vec() } else { Vec::new() },
            username: self.text("SMTPUsername").to_owned(),
            password: password.to_owned(),
            oauth: None,
            timeout_ms: timeout_s * 1_000,
        })
    }

    /// Go's `checkHasNilFields`. Which members there are depends on the server's version, so those that we
    /// read must be there, and those that its current settings have.
    fn lacks_members(&self, current: &EmailSettings<'_>) -> bool {
        let theirs = current.0.iter().filter(|(_, value)| !value.is_null()).map(|(name, _)| name.as_str());
        MEMBERS.into_iter().chain(theirs).any(|name| self.member(name).is_null())
    }
}

/// A member by its name, exact or else in any case, as Go's decoder finds it.
fn member<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    object
        .get(name)
        .or_else(|| object.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TestArgs {
    body: Base64,
    too_large: bool,
    current: Map<String, Value>,
}

#[derive(Serialize, Default)]
pub(crate) struct TestAnswer {
    connection: Option<Connection>,
    from: Option<From>,
    app_error: Option<AppError>,
}

#[derive(Serialize)]
struct From {
    from_address: String,
    from_name: String,
    reply_to: String,
}

/// The operation `read_test`: Mattermost's checks, in its order.
pub(crate) fn read_test(args: &TestArgs) -> TestAnswer {
    match test(args) {
        Ok((connection, from)) => {
            TestAnswer { connection: Some(connection), from: Some(from), app_error: None }
        }
        Err(app_error) => TestAnswer { app_error: Some(app_error), ..TestAnswer::default() },
    }
}

fn test(args: &TestArgs) -> Result<(Connection, From), AppError> {
    if args.too_large {
        return Err(app_error::body_too_large());
    }
    let current = EmailSettings(&args.current);
    let posted = posted(&args.body.0);
    let settings = match &posted {
        None => EmailSettings(&args.current),
        Some(posted) => {
            let posted = EmailSettings(posted);
            if posted.lacks_members(&current) {
                return Err(app_error::email_settings_nil());
            }
            posted
        }
    };
    if settings.text("SMTPServer").is_empty() {
        return Err(app_error::missing_server());
    }
    let mut password = settings.text("SMTPPassword");
    if password == PLACEHOLDER {
        let same = |name| settings.text(name) == current.text(name);
        if !(same("SMTPServer") && same("SMTPPort") && same("SMTPUsername")) {
            return Err(app_error::reenter_password());
        }
        password = current.text("SMTPPassword");
    }
    let connection = settings.connection(password).map_err(|(_, mend)| app_error::test_failed(&mend))?;
    let from = From {
        from_address: settings.text("FeedbackEmail").to_owned(),
        from_name: settings.text("FeedbackName").to_owned(),
        reply_to: settings.text("ReplyToAddress").to_owned(),
    };
    Ok((connection, from))
}

/// The posted configuration's `EmailSettings`; `None` when what was posted is no JSON or `null`. Any other
/// JSON is a configuration, if one without members.
fn posted(body: &[u8]) -> Option<Map<String, Value>> {
    let settings = match serde_json::from_slice(body).ok()? {
        Value::Null => return None,
        Value::Object(config) => match member(&config, "EmailSettings") {
            Some(Value::Object(settings)) => settings.clone(),
            _ => Map::new(),
        },
        _ => Map::new(),
    };
    Some(settings)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConnectionArgs {
    settings: Map<String, Value>,
}

#[derive(Serialize)]
pub(crate) struct ConnectionAnswer {
    connection: Option<Connection>,
}

/// The operation `mattermost_connection`. A setting that cannot work is [`Error::InvalidArgument`] on it.
pub(crate) fn mattermost_connection(args: &ConnectionArgs) -> Result<ConnectionAnswer, Error> {
    let settings = EmailSettings(&args.settings);
    let server = (settings.text("SMTPServer").trim(), settings.text("SMTPPort").trim());
    if server.0.is_empty() || server == UNSET_SERVER {
        return Ok(ConnectionAnswer { connection: None });
    }
    let connection = settings
        .connection(settings.text("SMTPPassword"))
        .map_err(|(name, mend)| Error::argument(format!("settings.{name}"), mend))?;
    Ok(ConnectionAnswer { connection: Some(connection) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn saved() -> Value {
        json!({
            "FeedbackName": "Acme", "FeedbackEmail": "noreply@example.com", "ReplyToAddress": "help@example.com",
            "EnableSMTPAuth": true, "SMTPUsername": "user", "SMTPPassword": "saved", "SMTPServer": "smtp.example.com",
            "SMTPPort": "587", "SMTPServerTimeout": 10, "ConnectionSecurity": "STARTTLS",
            "SkipServerCertificateVerification": false, "RequireEmailVerification": true, "PushNotificationServer": null,
        })
    }

    fn with(change: &Value) -> Value {
        let mut settings = saved();
        for (name, value) in change.as_object().unwrap() {
            settings[name] = value.clone();
        }
        settings
    }

    fn answer(body: &str) -> TestAnswer {
        let current = saved().as_object().unwrap().clone();
        read_test(&TestArgs { body: Base64(body.as_bytes().to_vec()), too_large: false, current })
    }

    fn check_error(body: &str, status: u16, id: &str) {
        let answer = answer(body);
        let error = answer.app_error.unwrap_or_else(|| panic!("{body} was taken"));
        assert_eq!((error.status, error.id.as_str()), (status, id), "{body}: {}", error.message);
        assert!(answer.connection.is_none() && answer.from.is_none());
    }

    fn check_password(body: &str, expected: &str) {
        let answer = answer(body);
        let connection = answer.connection.unwrap_or_else(|| panic!("{body}: {:?}", answer.app_error));
        assert_eq!(connection.password, expected, "{body}");
    }

    fn config(change: &Value) -> String {
        json!({"EmailSettings": with(change), "ServiceSettings": {"SiteURL": "x"}}).to_string()
    }

    #[test]
    fn no_json_means_the_current_settings() {
        for body in ["", "null", "{", "not json", "{\"EmailSettings\":"] {
            check_password(body, "saved");
        }
    }

    #[test]
    fn unset_members() {
        const NIL: &str = "api.file.test_connection_email_settings_nil.app_error";
        for body in [
            "{}",
            "[]",
            "7",
            "\"x\"",
            "{\"EmailSettings\":null}",
            "{\"EmailSettings\":{}}",
            "{\"EmailSettings\":[]}",
        ] {
            check_error(body, 400, NIL);
        }
        check_error("{\"EmailSettings\":{\"SMTPServer\":\"\",\"SMTPPort\":\"25\"}}", 400, NIL);
        check_error(&config(&json!({"SMTPPort": null})), 400, NIL);
        check_error(&config(&json!({"RequireEmailVerification": null})), 400, NIL);
        check_password(&config(&json!({"PushNotificationServer": null})), "saved");
    }

    #[test]
    fn the_server_and_the_placeholder() {
        check_error(&config(&json!({"SMTPServer": ""})), 400, "api.admin.test_email.missing_server");
        check_error(&config(&json!({"SMTPServer": 5})), 400, "api.admin.test_email.missing_server");
        for changed in
            [json!({"SMTPServer": "evil.example"}), json!({"SMTPPort": "25"}), json!({"SMTPUsername": "x"})]
        {
            let mut change = changed.clone();
            change["SMTPPassword"] = PLACEHOLDER.into();
            check_error(&config(&change), 400, "api.admin.test_email.reenter_password");
            check_password(&config(&changed), "saved");
        }
        check_password(&config(&json!({"SMTPPassword": PLACEHOLDER})), "saved");
        check_password(&config(&json!({"SMTPPassword": PLACEHOLDER, "ConnectionSecurity": "TLS"})), "saved");
        check_password(&config(&json!({"SMTPPassword": "new"})), "new");
        check_password(&config(&json!({"SMTPPassword": ""})), "");
        check_password(
            &config(&json!({"SMTPPassword": "new"})).replace("EmailSettings", "emailsettings"),
            "new",
        );
    }

    #[test]
    fn settings_that_cannot_work() {
        const FAILED: &str = "app.admin.test_email.failure";
        for change in [
            json!({"SMTPPort": "0"}),
            json!({"SMTPPort": ""}),
            json!({"SMTPPort": "smtp"}),
            json!({"SMTPPort": "65536"}),
            json!({"SMTPPort": "-1"}),
            json!({"ConnectionSecurity": "tls"}),
            json!({"ConnectionSecurity": "SSL"}),
            json!({"SMTPServer": "a b"}),
            json!({"SMTPServer": "a\r\nb"}),
            json!({"SMTPUsername": "a\0b"}),
        ] {
            check_error(&config(&change), 500, FAILED);
        }
    }

    #[test]
    fn too_large() {
        let args = TestArgs { body: Base64(Vec::new()), too_large: true, current: Map::new() };
        assert_eq!(read_test(&args).app_error.unwrap().status, 413);
    }

    #[test]
    fn connections() {
        let connection = |settings: &Value| {
            mattermost_connection(&ConnectionArgs { settings: settings.as_object().unwrap().clone() })
                .map(|answer| answer.connection)
        };
        for unset in [
            json!({}),
            json!({"SMTPServer": null}),
            json!({"SMTPServer": ""}),
            json!({"SMTPServer": "localhost", "SMTPPort": "10025"}),
        ] {
            assert!(connection(&unset).unwrap().is_none(), "{unset}");
        }
        let found = connection(&saved()).unwrap().unwrap();
        assert!(
            found.verify_certificate
                && found.auth[0] == Mechanism::Plain
                && found.security == Security::Starttls
        );
        assert_eq!((found.server.as_str(), found.port, found.timeout_ms), ("smtp.example.com", 587, 10_000));

        let bare = connection(&json!({"SMTPServer": "localhost", "SMTPPort": "25"})).unwrap().unwrap();
        assert!(bare.auth.is_empty() && bare.security == Security::None && bare.verify_certificate);
        assert_eq!(bare.timeout_ms, 10_000);

        let seconds =
            |n: i64| connection(&with(&json!({"SMTPServerTimeout": n}))).unwrap().unwrap().timeout_ms;
        assert_eq!(
            (seconds(-5), seconds(0), seconds(3), seconds(i64::MAX)),
            (10_000, 10_000, 3_000, 300_000)
        );

        let error = connection(&with(&json!({"SMTPPort": "x"}))).err().unwrap();
        assert_eq!((error.code(), error.field()), ("invalid_argument", "settings.SMTPPort"));
    }

    proptest! {
        #[test]
        fn any_body_is_answered(body in ".{0,200}") {
            let answer = answer(&body);
            prop_assert!(answer.connection.is_some() != answer.app_error.is_some());
        }
    }
}

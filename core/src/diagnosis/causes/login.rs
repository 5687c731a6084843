//! Logging in (RFC 4954).

use super::Cause;
use crate::Step;

pub(super) const CAUSES: &[Cause] = &[
    Cause::fails(
        "login_refused",
        "the server does not take the user name and password",
        |v| v.at(&[Step::Auth]) && v.code(&[535]),
        "The server does not take this user name and password. Type both again; the user name is often the whole address, \
         and many providers want an app password or an API key in place of the account's password.",
    ),
    Cause::fails(
        "login_demanded",
        "the server takes mail only after a login, and none is set",
        |v| {
            v.at(&[Step::MailFrom, Step::RcptTo, Step::Data, Step::FinalDot])
                && v.code(&[530])
                && !v.logs_in()
        },
        "The server wants a login. Enable SMTP authentication, and give a user name and a password.",
    ),
];

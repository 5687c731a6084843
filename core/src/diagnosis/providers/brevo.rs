//! Brevo, once Sendinblue. `docs/providers/` says the same for people.

use super::Cause;

pub(super) const CAUSES: &[Cause] = &[
    Cause::fails(
        "brevo_login",
        "Brevo has no such SMTP login; an API key is none, nor is the account's password",
        |v| v.code(&[535]) && v.server_in(&["brevo.com", "sendinblue.com"]),
        "Brevo has no such SMTP login. An API key is none, nor is the account's password. Take both from \
         Settings > SMTP & API > SMTP: the login shown there (…@smtp-brevo.com) and an SMTP key (xsmtpsib-…).",
    ),
    Cause::fails(
        "brevo_ip",
        "Brevo takes this key only from addresses that you have listed, and this server's is not",
        |v| v.code(&[525, 535]) && v.says(&["unauthorized ip"]),
        "Brevo takes this key only from addresses that you have listed, and this server's is not. Add its \
         public address (IPv6 too, where the server has one) under Settings > Security > Authorized IPs, or \
         switch the blocking off for SMTP keys.",
    ),
    Cause::fails(
        "brevo_not_activated",
        "login and sender are good, but Brevo has not yet opened this account for transactional mail",
        |v| v.says(&["smtp account is not yet activated"]),
        "Login and sender are good, but Brevo has not yet opened this account for transactional mail. Write \
         to Brevo's support (the reply names the address) and ask for activation; it takes a working day.",
    ),
    Cause::fails(
        "brevo_not_logged_in",
        "Brevo wants a login, and there was none that it took",
        |v| v.code(&[502, 530]) && v.says(&["please authenticate first"]),
        "Brevo wants a login, and there was none that it took. Set the SMTP login and an SMTP key, and Login \
         to LOGIN.",
    ),
];

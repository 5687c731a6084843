//! An Exchange of one's own. `docs/providers/` says the same for people.

use super::Cause;

pub(super) const CAUSES: &[Cause] = &[
    Cause::fails(
        "exchange_anonymous",
        "your Exchange wants a login on this receive connector",
        |v| v.says(&["client was not authenticated"]),
        "Your Exchange wants a login on this receive connector. Set a user name and password, on port 587 \
         (Client Frontend), or let a connector with the permission group Anonymous users take this server's \
         address on port 25.",
    ),
    Cause::fails(
        "exchange_relay",
        "your Exchange takes mail from here only for its own domains",
        |v| v.says(&["unable to relay"]) && v.greeting().contains("microsoft"),
        "Your Exchange takes mail from here only for its own domains. Log in on port 587, or give the receive \
         connector for this server the right to relay: Get-ReceiveConnector <name> | Add-ADPermission -User \
         'NT AUTHORITY\\ANONYMOUS LOGON' -ExtendedRights 'Ms-Exch-SMTP-Accept-Any-Recipient'.",
    ),
];

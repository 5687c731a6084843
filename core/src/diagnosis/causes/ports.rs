//! Another service than the one that was meant is behind the port.

use super::Cause;
use crate::diagnosis::view::View;
use crate::{Failure, Security, Step};

fn waits_for_tls(v: &View<'_>) -> bool {
    v.at(&[Step::Greeting])
        && !v.security(Security::Tls)
        && (v.failed(Failure::Timeout) || v.failed(Failure::Closed) || v.failed(Failure::Reset))
}

pub(super) const CAUSES: &[Cause] = &[
    Cause::fails(
        "tls_on_a_plain_port",
        "TLS was spoken to a port that begins in plain text, as 587 and 25 do",
        |v| v.at(&[Step::Tls]) && v.hears(&["220"]),
        "{server} begins in plain text. Choose STARTTLS as connection security for this port, or port 465 with TLS.",
    ),
    Cause::fails(
        "plain_on_a_tls_port",
        "plain text was spoken to a port that begins with TLS, as 465 does",
        |v| waits_for_tls(v) && v.port(&[465, 2465, 8465]),
        "On {port} the server waits for TLS from the first byte. Choose TLS as connection security, or port 587 with \
         STARTTLS.",
    ),
];

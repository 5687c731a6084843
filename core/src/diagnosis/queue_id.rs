//! The name by which a server's own log knows a mail, read from its reply to the final dot.
//!
//! There is no standard for it. What follows are the forms of the servers named at each.

/// The queue id in a reply's text, or `None` where none of the known forms is there.
pub(crate) fn queue_id(text: &str) -> Option<String> {
    let text = text.replace(['\r', '\n'], " ");
    let id = after(&text, "queued as ") // Postfix (smtpd.c), Haraka, SendGrid, Brevo, hMailServer
        .or_else(|| after(&text, "queued with id ")) // Stalwart
        .or_else(|| after(&text, "InternalId=")) // Exchange: 2.6.0 <…> [InternalId=1, Hostname=…] Queued mail
        .or_else(|| after(&text, " id=")) // Exim (smtp_in.c): OK id=1rX2Y3-0000ab-Cd
        .or_else(|| parenthesised(&text, "Queued (")) // Haraka
        .or_else(|| parenthesised(&text, "message queued ("))
        .or_else(|| gmail(&text))
        .or_else(|| before(&text, " Message accepted for delivery")) // sendmail, OpenSMTPD
        .or_else(|| after(&text, " qp ")) // qmail: ok 1700000000 qp 4711
        .or_else(|| bare(&text))?;
    let id = id.trim_matches(|c: char| "<>[](),;.\"'".contains(c));
    let fits = (4..=120).contains(&id.len()) && id.chars().all(|c| c.is_ascii_graphic());
    fits.then(|| id.to_owned())
}

fn find(text: &str, mark: &str) -> Option<usize> {
    text.to_ascii_lowercase().find(&mark.to_ascii_lowercase())
}

fn after<'a>(text: &'a str, mark: &str) -> Option<&'a str> {
    text.get(find(text, mark)? + mark.len()..)?.split([' ', ',', ']']).next()
}

fn parenthesised<'a>(text: &'a str, mark: &str) -> Option<&'a str> {
    let inside = text.get(find(text, mark)? + mark.len()..)?.split_once(')')?.0;
    (!inside.contains(' ')).then_some(inside)
}

fn before<'a>(text: &'a str, mark: &str) -> Option<&'a str> {
    let word = text.get(..find(text, mark)?)?.rsplit(' ').next()?;
    word.bytes().any(|octet| octet.is_ascii_digit()).then_some(word)
}

/// Gmail: `2.0.0 OK  1700000000 d9443c01a7336-1c9d5b0f4c2sm123.12 - gsmtp`.
fn gmail(text: &str) -> Option<&str> {
    text.trim_end().strip_suffix(" - gsmtp")?.rsplit(' ').next()
}

/// Amazon SES, SparkPost and others: `Ok 0100018b2f7e7c2a-1f2e3d4c-000000`.
fn bare(text: &str) -> Option<&str> {
    let mut words = text.split_whitespace().skip_while(|word| word.starts_with("2.")).peekable();
    words.next_if(|word| word.eq_ignore_ascii_case("ok") || word.eq_ignore_ascii_case("ok:"))?;
    let id = words.next()?;
    let looks_like_one = id.len() >= 12 && id.bytes().any(|octet| octet.is_ascii_digit());
    (looks_like_one && words.next().is_none()).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queue_ids() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(queue_id(text).as_deref(), expected, "{text:?}");
        };
        check("2.0.0 Ok: queued as 4SXyz12AbczQ1", Some("4SXyz12AbczQ1"));
        check("2.0.0 from MTA(smtp:[127.0.0.1]:10025): 250 2.0.0 Ok: queued as 4SXyz1", Some("4SXyz1"));
        check("OK id=1rX2Y3-0000ab-Cd", Some("1rX2Y3-0000ab-Cd"));
        check("Ok: queued as wFz8c2-jRRa1Tt0ZXWQzXg", Some("wFz8c2-jRRa1Tt0ZXWQzXg"));
        check(
            "2.6.0 <a@b.example> [InternalId=12345678901, Hostname=AM0.EURPRD.PROD.OUTLOOK.COM] 8541 bytes in 0.201, \
             41.3 KB/sec Queued mail for delivery",
            Some("12345678901"),
        );
        check(
            "2.0.0 OK  1697032190 d9443c01a7336-1c9d5b0f4c2sm1234567plb.12 - gsmtp",
            Some("d9443c01a7336-1c9d5b0f4c2sm1234567plb.12"),
        );
        check(
            "Ok 0100018b2f7e7c2a-1f2e3d4c-1111-2222-3333-444455556666-000000",
            Some("0100018b2f7e7c2a-1f2e3d4c-1111-2222-3333-444455556666-000000"),
        );
        check("2.0.0 51GAbcd0123456 Message accepted for delivery", Some("51GAbcd0123456"));
        check("ok 1697032190 qp 12345", Some("12345"));
        check("2.0.0 Message queued with id 1a2b3c4d.", Some("1a2b3c4d"));
        check("Message Queued (0A1B2C3D-4E5F.1)", Some("0A1B2C3D-4E5F.1"));
        check("OK: queued as <20231011@smtp-relay.example.com>", Some("20231011@smtp-relay.example.com"));
        check("Queued (0.123 seconds)", None);
        check("Great success", None);
        check("OK", None);
        check("2.0.0 Ok", None);
        check("Ok thank you very much", None);
        check("", None);
        check("queued as ", None);
        check(&format!("queued as {}", "x".repeat(300)), None);
        check("Ünï queued as 1234é", None);
    }
}

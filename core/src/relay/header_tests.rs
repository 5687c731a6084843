use super::*;

const SEED: [u8; 32] = [3; 32];

fn check(header: &str, change: impl FnOnce(&mut Repair<'_>), expected: &str) {
    let (fields, at) = fields(header.as_bytes()).unwrap();
    assert_eq!(at, header.len());
    let recipients = ["anna@example.com".to_owned()];
    let message_id = MessageId::under("example.com", &fields, &SEED);
    let mut repair = Repair {
        from: "noreply@example.com",
        has_from: true,
        has_to: true,
        cc_is_served: true,
        has_date: true,
        recipients: &recipients,
        date: "Tue, 24 Nov 2026 11:08:00 +0000",
        message_id: &message_id,
        bulk: true,
        encoding: None,
    };
    change(&mut repair);
    let out = String::from_utf8(repaired(&fields, &repair)).unwrap();
    assert_eq!(out, format!("{}\r\n", expected.replace('\n', "\r\n")), "{header}");
}

const GOOD: &str = "From: \"A\" <noreply@example.com>\nTo: anna@example.com\nSubject: x\nDate: Tue, 24 Nov 2026 10:00:00 +0000\n\
                    Message-ID: <a.1@example.com>\nMIME-Version: 1.0\nAuto-Submitted: auto-generated\nX-Auto-Response-Suppress: All\n";

fn good_and(more: &str) -> String {
    format!("{GOOD}{more}").replace('\n', "\r\n")
}

#[test]
fn a_good_header_stays_as_it_is() {
    check(&good_and(""), |_| (), GOOD);
    check(
        &good_and("Precedence: bulk\nX-Own:  a\n\tb\n"),
        |_| (),
        &format!("{GOOD}Precedence: bulk\nX-Own:  a\n\tb\n"),
    );
}

#[test]
fn what_must_be_there_once_is_there_once() {
    check(
        "X: y\r\n",
        |_| (),
        "X: y\nFrom: <noreply@example.com>\nTo: <anna@example.com>\nSubject: (no subject)\n\
         Date: Tue, 24 Nov 2026 11:08:00 +0000\nMessage-ID: <7855d5410f2a544cde31777f3248b1b6@example.com>\nMIME-Version: 1.0\n\
         Auto-Submitted: auto-generated\nX-Auto-Response-Suppress: All\n",
    );
    check(
        &good_and(
            "from: b@example.com\nTO: c@example.com\nsubject: z\nDate: x\nMessage-Id: <b@c>\nAuto-Submitted: no\n",
        ),
        |_| (),
        GOOD,
    );
}

#[test]
fn what_does_not_leave() {
    check(
        &good_and("X-SMTPAPI: {\"category\": \"x\"}\nReceived: from a\n\tby b\nBcc: x@example.com\n"),
        |_| (),
        GOOD,
    );
    check(&good_and("X-Host: mm-1.prod.internal\n"), |_| (), GOOD);
    check(&good_and("X-Host: http://10.0.0.7:8065/\n"), |_| (), GOOD);
    check(&good_and("X-Host: LOCALHOST\n"), |_| (), GOOD);
    check(
        &good_and("X-Host: chat.example.com, localhosts\n"),
        |_| (),
        &format!("{GOOD}X-Host: chat.example.com, localhosts\n"),
    );
    check(&good_and("CC: b@example.com\n"), |repair| repair.cc_is_served = false, GOOD);
    check(&good_and("CC: b@example.com\n"), |_| (), &format!("{GOOD}CC: b@example.com\n"));
    check(&good_and("Precedence: bulk\n"), |repair| repair.bulk = false, GOOD);
}

#[test]
fn names_move_together() {
    let given = GOOD.replace("<a.1@example.com>", "<post1@chat.example.com>");
    check(
        &format!(
            "{given}In-Reply-To: <root1@chat.example.com>\nReferences: <a@b> <root1@chat.example.com>\n"
        )
        .replace('\n', "\r\n"),
        |_| (),
        &format!(
            "{}In-Reply-To: <root1@example.com>\nReferences: <a@b> <root1@example.com>\n",
            GOOD.replace("<a.1@example.com>", "<post1@example.com>")
        ),
    );
    let made = "<7855d5410f2a544cde31777f3248b1b6@example.com>";
    for bad in ["", "x", "<@chat.example.com>", "<a b@c>", "<a..b@c>", "<a@b", "<a\u{e4}@b>"] {
        check(
            &GOOD.replace("<a.1@example.com>", bad).replace('\n', "\r\n"),
            |_| (),
            &GOOD.replace("<a.1@example.com>", made),
        );
    }
    // Mattermost's own, when it does not know its SiteURL.
    check(&GOOD.replace("<a.1@example.com>", "<a.1@>").replace('\n', "\r\n"), |_| (), GOOD);
}

#[test]
fn long_lines_are_folded_or_encoded() {
    for (field, kept) in [
        (format!("X-Long: {}", "word ".repeat(300)), true),
        (format!("References: {}", "<a@b> ".repeat(300)), true),
        (format!("Reply-To: {}b@example.com", "a@example.com,".repeat(100)), true),
        (format!("X-Long: {}", "x".repeat(3000)), false),
    ] {
        let header = good_and(&format!("{field}\n"));
        let (split, _) = fields(header.as_bytes()).unwrap();
        let mut out = Vec::new();
        keep(&mut out, split.last().unwrap());
        let out = String::from_utf8(out).unwrap();
        assert!(out.lines().all(|line| line.len() <= MAX_LINE), "{out}");
        assert!(out.ends_with("\r\n"));
        if kept {
            let squeezed = |text: &str| text.split_whitespace().collect::<String>();
            assert_eq!(squeezed(&out), squeezed(&field));
        } else {
            assert!(out.starts_with("X-Long: =?utf-8?b?"), "{out}");
        }
    }
}

#[test]
fn what_is_no_header() {
    for text in [
        " a: b\r\n\r\n",
        "a\r\n\r\n",
        ": b\r\n",
        "a b: c\r\n",
        "a : b\r\n",
        "a: b",
        "\u{e4}: b\r\n",
        "From x\r\na: b\r\n",
    ] {
        assert!(fields(text.as_bytes()).is_none(), "{text:?}");
    }
    let (found, at) = fields(b"a: b\r\n c\r\nd:\r\n\r\nbody: x\r\n").unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!((found[0].value().as_str(), found[1].value().as_str(), at), ("b c", "", 16));
}

#[test]
fn domains() {
    assert_eq!(domain_of("a@Example.com").as_deref(), Some("example.com"));
    assert_eq!(domain_of("a@b\u{fc}cher.example").as_deref(), Some("xn--bcher-kva.example"));
    assert_eq!(domain_of("a"), None);
    assert_eq!(domain_of("a@"), None);
    assert_eq!(domain_of("a@b>c"), None);
}

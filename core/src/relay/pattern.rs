//! Subjects as Mattermost's translations have them: text with Go's holes, `[{{ .SiteName }}] Reset your password`.

/// Whether `subject` can be what `pattern` becomes: a hole holds anything, all else stands as it is. White space at
/// either end, and how much of it between words, is free: a folded header does not keep it.
///
/// A pattern without a letter outside its holes says nothing, and no subject is it.
pub(super) fn fits(subject: &str, pattern: &str) -> bool {
    let subject = squeezed(subject);
    let literals = literals(pattern);
    if !literals.iter().any(|literal| literal.chars().any(char::is_alphabetic)) {
        return false;
    }
    let [first, middle @ ..] = literals.as_slice() else { return false };
    let Some((last, middle)) = middle.split_last() else { return subject == first.trim() };
    let Some(mut rest) =
        subject.strip_prefix(first.trim_start()).and_then(|rest| rest.strip_suffix(last.trim_end()))
    else {
        return false;
    };
    for literal in middle {
        let Some(at) = rest.find(literal.as_str()) else { return false };
        rest = rest.get(at + literal.len()..).unwrap_or_default();
    }
    true
}

/// How many characters of a pattern stand as they are: of several that fit, the longest says most.
pub(super) fn weight(pattern: &str) -> usize {
    literals(pattern).iter().map(|literal| literal.chars().count()).sum()
}

/// What stands between the holes; one more than there are holes.
fn literals(pattern: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut rest = pattern;
    while let Some((before, hole)) = rest.split_once("{{")
        && let Some((_, after)) = hole.split_once("}}")
    {
        out.push(before);
        rest = after;
    }
    out.push(rest);
    let last = out.len() - 1;
    let keep_ends = |(at, text): (usize, &str)| {
        let inner = squeezed(text);
        let before = if at > 0 && text.starts_with(char::is_whitespace) { " " } else { "" };
        let after =
            if at < last && text.ends_with(char::is_whitespace) && !inner.is_empty() { " " } else { "" };
        format!("{before}{inner}{after}")
    };
    out.into_iter().enumerate().map(keep_ends).collect()
}

fn squeezed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(pattern: &str, subject: &str, expected: bool) {
        assert_eq!(fits(subject, pattern), expected, "{pattern:?} {subject:?}");
    }

    #[test]
    fn holes() {
        let reset = "[{{ .SiteName }}] Reset your password";
        check(reset, "[Acme Chat] Reset your password", true);
        check(reset, "[] Reset your password", true);
        check(reset, "[a] b [c] Reset your password", true);
        check(reset, " [Acme]  Reset your\tpassword ", true);
        check(reset, "[Acme Chat] Reset your password!", false);
        check(reset, "Re: [Acme Chat] Reset your password", false);
        check(reset, "[Acme Chat] reset your password", false);
        check(reset, "[Acme ChatReset your password", false);
        check("[{{.SiteName}}] You joined {{ .ServerURL }}", "[A] You joined chat.example.com", true);
        check("[{{.SiteName}}] You joined {{ .ServerURL }}", "[A] You left chat.example.com", false);
        check(
            "[{{ .SiteName }}] {{ .ServerURL }}に参加しました",
            "[Acme] chat.example.comに参加しました",
            true,
        );
        check("{{.A}} to {{.B}} to {{.C}}", "x to y to z", true);
        check("{{.A}} to {{.B}} to {{.C}}", "x to y", false);
        check("Your license is up for renewal", "Your license is up for renewal", true);
        check("Your license is up for renewal", "Your license is up", false);
    }

    #[test]
    fn patterns_that_say_nothing() {
        for pattern in ["", " ", "{{ .X }}", "[{{ .X }}] {{.Y}}", "{{", "}}", "{{}}{{}}"] {
            check(pattern, "[a] b", false);
            check(pattern, "", false);
        }
        check("{{ never closed", "{{ never closed", true);
    }

    #[test]
    fn a_prefix_and_a_suffix_do_not_overlap() {
        check("ab{{.X}}bc", "abc", false);
        check("ab{{.X}}bc", "abbc", true);
    }

    proptest! {
        #[test]
        fn what_a_pattern_becomes_fits_it(site in "[a-zA-Zäあ {}\\[\\]]{0,12}", name in "[a-zあ]\\PC{0,10}[a-z.]") {
            let pattern = "[{{ .SiteName }}] {{.Sender}} invited you";
            let subject = format!("[{site}] {name} invited you");
            prop_assert!(fits(&subject, pattern));
        }

        #[test]
        fn never_panics(pattern in "[{}a \\[\\]あ.]{0,30}", subject in "\\PC{0,30}") {
            fits(&subject, &pattern);
        }
    }
}

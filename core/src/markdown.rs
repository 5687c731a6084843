//! Foreign words inside Markdown that Mattermost or Slack shows: they name nobody, link nowhere and end no line.

use crate::outcome::one_line;

/// Octets that are shown of them.
const MAX_OCTETS: usize = 300;

/// A code span, in which neither reads mentions, links or emphasis. What would end the span or a table's cell, and what
/// Slack reads even there (`<!channel>`), is put as something that looks like it.
pub(crate) fn code(text: &str) -> String {
    code_at_most(text, MAX_OCTETS)
}

/// The same, of about that many octets.
pub(crate) fn code_at_most(text: &str, octets: usize) -> String {
    let mut inner = String::new();
    for c in one_line(text).chars() {
        inner.push(match c {
            '`' => '\'',
            '|' => '¦',
            '<' => '‹',
            '>' => '›',
            other => other,
        });
        if inner.len() > octets {
            inner.push('…');
            break;
        }
    }
    if inner.is_empty() { String::new() } else { format!("`{inner}`") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leaves_the_span() {
        let check = |text: &str, expected: &str| assert_eq!(code(text), expected, "{text}");
        check("535 5.7.8 refused", "`535 5.7.8 refused`");
        check("a ` @all `` b", "`a ' ***@all '' b`");
        check("x | y\r\n| z\n# title\u{202e}", "`x ¦ y ¦ z # title`");
        check("<!channel> [mend](https://evil.example)", "`‹!channel› [mend](https://evil.example)`");
        check("\u{1b}[31m \u{200b}", "`[31m`");
        check("", "");
        check(" \n", "");
        let long = code(&"ä".repeat(1_000));
        assert!(long.len() < 320 && long.ends_with("…`"), "{long}");
    }
}

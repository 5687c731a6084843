//! A posted form (`application/x-www-form-urlencoded`, the URL standard's section 5.1).

/// Members that a landing page's form has at most; more is not a browser's.
const MAX_MEMBERS: usize = 16;

/// The members of a form by name.
///
/// Secret: it holds a token and a new password.
pub(crate) struct Form(Vec<(String, String)>);

impl Form {
    /// Reads a body; `None` when an escape is cut short, the text is not UTF-8, a name comes twice, or there
    /// are more members than any form of ours has. A password must never be guessed at, so nothing is mended.
    pub(crate) fn parse(body: &[u8]) -> Option<Self> {
        let mut members: Vec<(String, String)> = Vec::new();
        for pair in body.split(|octet| *octet == b'&').filter(|pair| !pair.is_empty()) {
            let at = pair.iter().position(|octet| *octet == b'=').unwrap_or(pair.len());
            let (name, value) = pair.split_at_checked(at)?;
            let (name, value) = (unescape(name)?, unescape(value.strip_prefix(b"=").unwrap_or_default())?);
            if members.len() == MAX_MEMBERS || members.iter().any(|(known, _)| *known == name) {
                return None;
            }
            members.push((name, value));
        }
        Some(Self(members))
    }

    /// A member's value; empty where there is none.
    pub(crate) fn value(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }
}

fn unescape(text: &[u8]) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((octet, after)) = rest.split_first() {
        rest = after;
        match octet {
            b'+' => out.push(b' '),
            b'%' => {
                let (digits, after) = rest.split_first_chunk::<2>()?;
                let [high, low] = digits.map(|digit| char::from(digit).to_digit(16));
                out.push(u8::try_from(high? * 16 + low?).ok()?);
                rest = after;
            }
            other => out.push(*other),
        }
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(body: &str, expected: Option<&[(&str, &str)]>) {
        let found = Form::parse(body.as_bytes()).map(|form| form.0);
        let expected = expected
            .map(|pairs| pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect::<Vec<_>>());
        assert!(found == expected, "{body:?}");
    }

    #[test]
    fn table() {
        check("", Some(&[]));
        check("&&", Some(&[]));
        check("a=b", Some(&[("a", "b")]));
        check("a=b&c=d", Some(&[("a", "b"), ("c", "d")]));
        check("a", Some(&[("a", "")]));
        check("a=", Some(&[("a", "")]));
        check("=b", Some(&[("", "b")]));
        check("a=b=c", Some(&[("a", "b=c")]));
        check("a=b+c%20d%2B", Some(&[("a", "b c d+")]));
        check("a=%C3%A4%e3%81%82", Some(&[("a", "äあ")]));
        check("a=ä", Some(&[("a", "ä")]));
        check("a=%00", Some(&[("a", "\0")]));
        check("a=1&a=2", None);
        check("a=1&%61=2", None);
        check("a=%", None);
        check("a=%4", None);
        check("a=%zz", None);
        check("a=%+1", None);
        check("a=%ff", None);
        check(&(0..17).map(|n| format!("a{n}=&")).collect::<String>(), None);
        assert!(Form::parse(b"a=\xff").is_none());
    }

    proptest! {
        #[test]
        fn never_panics(body in proptest::collection::vec(any::<u8>(), 0..400)) {
            if let Some(form) = Form::parse(&body) {
                prop_assert!(form.0.len() <= MAX_MEMBERS);
            }
        }

        #[test]
        fn any_password_comes_through(password in "\\PC{0,80}") {
            let escaped: String = password.bytes().map(|octet| format!("%{octet:02X}")).collect();
            let form = Form::parse(format!("token=x&new_password={escaped}").as_bytes()).unwrap();
            prop_assert_eq!(form.value("new_password"), password);
        }
    }
}

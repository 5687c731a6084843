//! The colours of mails and pages, light and dark. Templates have no other; a test computes every contrast.

/// One scheme. Values are CSS hex colours.
pub(crate) struct Scheme {
    /// Behind everything.
    pub(crate) page: &'static str,
    /// Behind the text.
    pub(crate) card: &'static str,
    /// Around the card; decoration.
    pub(crate) edge: &'static str,
    /// Around an input: must be seen.
    pub(crate) field: &'static str,
    pub(crate) text: &'static str,
    pub(crate) muted: &'static str,
    pub(crate) link: &'static str,
    pub(crate) button: &'static str,
    pub(crate) label: &'static str,
    /// Behind a notice, and its words.
    pub(crate) notice: &'static str,
    pub(crate) alarm: &'static str,
}

pub(crate) const LIGHT: Scheme = Scheme {
    page: "#f2f4f8",
    card: "#ffffff",
    edge: "#dde1ea",
    field: "#6f7a90",
    text: "#1b2230",
    muted: "#566074",
    link: "#1c58d9",
    button: "#1c58d9",
    label: "#ffffff",
    notice: "#fdecec",
    alarm: "#9f1c1c",
};

pub(crate) const DARK: Scheme = Scheme {
    page: "#14171d",
    card: "#1f232b",
    edge: "#343b48",
    field: "#8a94a8",
    text: "#e8eaf0",
    muted: "#adb4c3",
    link: "#8db4ff",
    button: "#8db4ff",
    label: "#0e1a33",
    notice: "#3a1f22",
    alarm: "#ffb4b0",
};

impl Scheme {
    /// Name and value of each colour, for the templates.
    pub(crate) fn entries(&self) -> [(&'static str, &'static str); 11] {
        [
            ("page", self.page),
            ("card", self.card),
            ("edge", self.edge),
            ("field", self.field),
            ("text", self.text),
            ("muted", self.muted),
            ("link", self.link),
            ("button", self.button),
            ("label", self.label),
            ("notice", self.notice),
            ("alarm", self.alarm),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance and contrast ratio of WCAG 2.2.
    fn contrast(a: &str, b: &str) -> f64 {
        let luminance = |hex: &str| {
            let channel = |at: usize| {
                let value = f64::from(u8::from_str_radix(&hex[at..at + 2], 16).unwrap()) / 255.0;
                if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
            };
            0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
        };
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn the_formula_gives_the_known_ratios() {
        assert!((contrast("#000000", "#ffffff") - 21.0).abs() < 0.001);
        assert!((contrast("#777777", "#ffffff") - 4.478).abs() < 0.001);
    }

    #[test]
    fn every_pair_can_be_read() {
        for (name, s) in [("light", LIGHT), ("dark", DARK)] {
            for (what, front, back) in [
                ("text on the card", s.text, s.card),
                ("muted on the card", s.muted, s.card),
                ("muted on the page", s.muted, s.page),
                ("text on the page", s.text, s.page),
                ("link on the card", s.link, s.card),
                ("link on the page", s.link, s.page),
                ("a button's label", s.label, s.button),
                ("a notice", s.alarm, s.notice),
            ] {
                let ratio = contrast(front, back);
                assert!(ratio >= 4.5, "{name}: {what} has {ratio:.2}:1");
            }
            for (what, front, back) in [
                ("a button", s.button, s.card),
                ("a field", s.field, s.card),
                ("a notice's edge", s.alarm, s.card),
            ] {
                let ratio = contrast(front, back);
                assert!(ratio >= 3.0, "{name}: {what} has {ratio:.2}:1");
            }
        }
    }
}

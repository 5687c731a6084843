//! Tag lists, `a=b; c=d`, as DKIM (RFC 6376, section 3.2) and DMARC (RFC 9989, section 4.8) write their records.

/// The tags in their order, names as they are written, values without the spaces around them.
pub(super) struct Tags<'a>(Vec<(&'a str, &'a str)>);

/// No record in use has half as many.
const MAX_TAGS: usize = 40;

impl<'a> Tags<'a> {
    /// # Errors
    /// What is wrong, as words that follow "the record".
    pub(super) fn read(text: &'a str) -> Result<Self, String> {
        let mut tags: Vec<(&str, &str)> = Vec::new();
        for part in text.split(';') {
            let part = part.trim_matches(|c: char| c.is_ascii_whitespace());
            if part.is_empty() {
                continue;
            }
            let Some((name, value)) = part.split_once('=') else {
                return Err(format!("has “{}”, which is no tag=value", super::step::quoted(part)));
            };
            let name = name.trim_end_matches(|c: char| c.is_ascii_whitespace());
            let good = name.starts_with(|c: char| c.is_ascii_alphabetic())
                && name.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'_');
            if !good {
                return Err(format!("has a tag named “{}”, which is no name", super::step::quoted(name)));
            }
            if tags.iter().any(|(known, _)| *known == name) {
                return Err(format!("has the tag {} twice", super::step::quoted(name)));
            }
            if tags.len() == MAX_TAGS {
                return Err(format!("has more than {MAX_TAGS} tags"));
            }
            tags.push((name, value.trim_matches(|c: char| c.is_ascii_whitespace())));
        }
        Ok(Self(tags))
    }

    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    pub(super) fn first(&self) -> Option<(&'a str, &'a str)> {
        self.0.first().copied()
    }
}

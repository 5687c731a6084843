//! Whom to trust: authorities as PEM, and the pin of a server's key.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::Reader;

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// Certificates as PEM (RFC 7468), each on lines of its own and nothing else; empty for none.
pub(super) fn authorities(reader: &mut Reader, field: &str) -> String {
    if reader.unresolved(field) {
        return String::new();
    }
    let text = reader.text(field).to_owned();
    if text.is_empty() {
        return text;
    }
    if text.contains("PRIVATE KEY-----") {
        reader.problem(field, format!("{field} has a private key in it; only the authority's certificate belongs there, and the key is now known to whoever sees the settings"));
        return String::new();
    }
    let Some(pem) = certificates(&text) else {
        reader.problem(
            field,
            format!("{field} is no PEM certificate; paste the authority's, from {BEGIN} to {END}"),
        );
        return String::new();
    };
    pem
}

/// `None` where there is none, or one that is broken.
fn certificates(text: &str) -> Option<String> {
    let mut pem = String::new();
    for block in text.split(BEGIN).skip(1) {
        // A console's field may have lost its line breaks.
        let body: String = block.split_once(END)?.0.split_whitespace().collect();
        let der = STANDARD.decode(&body).ok()?;
        // A SEQUENCE with a length of its own in front (X.690 section 8.1): what is shorter is no certificate.
        if der.len() < 64 || der.first() != Some(&0x30) || der.get(1).is_none_or(|length| length & 0x80 == 0)
        {
            return None;
        }
        pem.push_str(BEGIN);
        for line in body.as_bytes().chunks(64) {
            pem.push('\n');
            pem.push_str(&String::from_utf8_lossy(line));
        }
        let _ = write!(pem, "\n{END}\n");
    }
    (!pem.is_empty()).then_some(pem)
}

/// SHA-256 of a SubjectPublicKeyInfo, as the tools write it: hex with or without colons, or base64, with the hash's name
/// before it or not. 64 hex digits, or empty.
pub(super) fn pin(reader: &mut Reader, field: &str) -> String {
    let text = reader.text(field).to_owned();
    if text.is_empty() {
        return text;
    }
    digest(&text).unwrap_or_else(|| {
        reader.problem(field, format!("{field} is the SHA-256 of the server's public key, as 64 hex digits or in base64; the steps of a test show it"));
        String::new()
    })
}

fn digest(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    let named =
        ["sha256:", "sha256//", "sha256/", "sha-256:"].into_iter().find(|prefix| lower.starts_with(prefix));
    let text = text.get(named.map_or(0, str::len)..)?.trim();
    let hex: String = text.chars().filter(|c| !matches!(c, ':' | ' ')).collect();
    if hex.len() == 64 && hex.bytes().all(|octet| octet.is_ascii_hexdigit()) {
        return Some(hex.to_ascii_lowercase());
    }
    let octets = STANDARD.decode(text).ok().filter(|octets| octets.len() == 32)?;
    Some(octets.iter().fold(String::new(), |mut hex, octet| {
        let _ = write!(hex, "{octet:02x}");
        hex
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins() {
        let hex = "00ff".repeat(16);
        for text in [
            hex.clone(),
            hex.to_uppercase(),
            format!("sha256:{hex}"),
            format!("SHA256:{}", ["00", "FF"].repeat(16).join(":")),
            STANDARD.encode([0, 255].repeat(16)),
            format!("sha256//{}", STANDARD.encode([0, 255].repeat(16))),
        ] {
            assert_eq!(digest(&text).as_deref(), Some(hex.as_str()), "{text}");
        }
        for text in ["", "00ff", "sha256:", "sha1:00ff", &"zz".repeat(32), "é", &STANDARD.encode([0; 31])] {
            assert_eq!(digest(text), None, "{text}");
        }
    }

    #[test]
    fn pem() {
        let body = STANDARD.encode([[0x30, 0x82].as_slice(), &[7; 100]].concat());
        let clean = certificates(&format!("{BEGIN}{body}{END}")).unwrap();
        assert_eq!(certificates(&clean).as_deref(), Some(clean.as_str()));
        let two = certificates(&format!(
            "Subject: CA\r\n{BEGIN}\r\n{body}\r\n{END}\r\nother\n{BEGIN} {body} {END}"
        ))
        .unwrap();
        assert_eq!(two, format!("{clean}{clean}"));
        for text in [
            "x",
            BEGIN,
            &format!("{BEGIN}\n!\n{END}"),
            &format!("{BEGIN}\n{END}"),
            &format!("{BEGIN}\nMDA=\n{END}"),
            &format!("{clean}{BEGIN}"),
        ] {
            assert_eq!(certificates(text), None, "{text}");
        }
    }
}

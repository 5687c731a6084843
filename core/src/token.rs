//! Tokens of recovery links: minted from entropy, kept as a digest only (S4, S5).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};

use crate::mail::Base;
use crate::{Error, Purpose};

/// Octets of entropy in a token: 256 bits.
pub const ENTROPY: usize = 32;

/// Characters of a token as it stands in a link.
pub const LENGTH: usize = 43;

/// The token of a link: 43 characters of unpadded base64url (RFC 4648 section 5).
///
/// Secret: whoever has it may set the account's password. It has neither `Debug` nor `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// Mints a token from 32 octets of the operating system's generator.
    ///
    /// Fails closed with [`Error::EntropyMissing`] when all octets are equal, as a stub's would be.
    ///
    /// ```
    /// use postroom_core::token::Token;
    /// let token = Token::mint(&std::array::from_fn(|i| i as u8))?;
    /// assert_eq!(token.reveal(), "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8");
    /// assert!(Token::mint(&[0; 32]).is_err());
    /// # Ok::<(), postroom_core::Error>(())
    /// ```
    pub fn mint(entropy: &[u8; ENTROPY]) -> Result<Self, Error> {
        let [first, rest @ ..] = entropy;
        if rest.iter().all(|byte| byte == first) {
            return Err(Error::EntropyMissing { needed: ENTROPY, given: ENTROPY });
        }
        Ok(Self(URL_SAFE_NO_PAD.encode(entropy)))
    }

    /// Reads a token that came in with a link or a form.
    ///
    /// Exactly the spelling that [`Token::mint`] makes is taken, so that one token has one digest: cut,
    /// doubled, padded and non-canonical spellings are [`Error::InvalidToken`].
    ///
    /// ```
    /// use postroom_core::token::Token;
    /// assert!(Token::parse("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8").is_ok());
    /// assert!(Token::parse("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9").is_err()); // stray low bits
    /// assert!(Token::parse("x").is_err());
    /// ```
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut octets = [0; ENTROPY];
        let decoded = (text.len() == LENGTH).then(|| URL_SAFE_NO_PAD.decode_slice(text, &mut octets));
        match decoded {
            Some(Ok(ENTROPY)) => Ok(Self(text.to_owned())),
            _ => Err(Error::InvalidToken),
        }
    }

    /// SHA-256 of the token's 43 characters: all that is ever stored.
    ///
    /// A slow hash would add nothing: there are 2^256 tokens to try.
    ///
    /// ```
    /// use postroom_core::token::Token;
    /// let token = Token::mint(&std::array::from_fn(|i| i as u8))?;
    /// assert_eq!(token.digest().len(), 32);
    /// # Ok::<(), postroom_core::Error>(())
    /// ```
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let mut out = [0; 32];
        out.copy_from_slice(digest(&SHA256, self.0.as_bytes()).as_ref());
        out
    }

    /// The link to mail: the site's URL, the plugin's page, the token. Secret. It starts at the configured
    /// SiteURL, whatever a request's headers say (S15).
    ///
    /// ```
    /// use postroom_core::{Purpose, mail::Base, token::Token};
    /// let base = Base::parse("https://chat.example.com/sub/")?;
    /// let token = Token::mint(&std::array::from_fn(|i| i as u8))?;
    /// assert_eq!(
    ///     token.link(Purpose::Reset, &base),
    ///     "https://chat.example.com/sub/plugins/postroom/reset?token=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
    /// );
    /// # Ok::<(), postroom_core::Error>(())
    /// ```
    #[must_use]
    pub fn link(&self, purpose: Purpose, base: &Base) -> String {
        let page = match purpose {
            Purpose::Reset => "reset",
            Purpose::Verify => "verify",
        };
        base.join(&format!("/plugins/postroom/{page}?token={}", self.0))
    }

    /// The token itself, for a form's hidden field. Secret.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const GOOD: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

    fn check(text: &str, accepted: bool) {
        assert_eq!(Token::parse(text).is_ok(), accepted, "{text:?}");
    }

    #[test]
    fn takes_one_spelling_only() {
        check(GOOD, true);
        check("", false);
        check(&GOOD[..42], false);
        check(&GOOD[1..], false);
        check(&format!("{GOOD}A"), false);
        check(&format!("{GOOD}="), false);
        check(&format!("{GOOD}{GOOD}"), false);
        check(&format!(" {}", &GOOD[1..]), false);
        check(&format!("+{}", &GOOD[1..]), false);
        check(&format!("/{}", &GOOD[1..]), false);
        check(&format!("-{}", &GOOD[1..]), true);
        check(&format!("_{}", &GOOD[1..]), true);
        check(&format!("\0{}", &GOOD[1..]), false);
        check(&format!("é{}", &GOOD[2..]), false);
        check(&GOOD.replace("8", "9"), false);
    }

    #[test]
    fn digest_is_sha256_of_the_text() {
        // printf AAECAwQF…Hh8 | sha256sum
        let hex: String =
            Token::parse(GOOD).unwrap().digest().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, include_str!("../tests/golden/token.sha256").trim());
    }

    /// A small, fast generator (`SplitMix64`) stands in for the operating system's.
    fn splitmix(state: &mut u64) -> u64 {
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    #[test]
    fn a_million_tokens_do_not_repeat() {
        let mut state = 1;
        let mut seen = HashSet::with_capacity(1_000_000);
        for _ in 0..1_000_000 {
            let mut entropy = [0; ENTROPY];
            for chunk in entropy.chunks_mut(8) {
                chunk.copy_from_slice(&splitmix(&mut state).to_le_bytes());
            }
            let token = Token::mint(&entropy).unwrap();
            assert_eq!(token.reveal().len(), LENGTH);
            assert!(seen.insert(token.digest()), "a token repeated");
        }
    }
}

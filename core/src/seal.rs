//! Stored mails are sealed: AES-256-GCM under a key derived from Mattermost's `AtRestEncryptKey` (S6, R27).
//!
//! A sealed mail is `1 | key id (4) | nonce (12) | ciphertext | tag (16)`. The plaintext is a frame of three fields, each
//! a big-endian `u32` length and that many octets: envelope sender, envelope recipient, message. The mail's
//! id is authenticated with it, so that a body moved to another row does not open. The key id tells what key
//! sealed it: to AES-GCM, a wrong key and an altered mail look the same.
//!
//! Where it makes it shorter, the frame is compressed before (LZ4's block format after a little-endian `u32` length;
//! version 3): a mail's HTML shrinks to a quarter, and with it what AES costs in WebAssembly and what the database keeps.
//! A frame's length thus tells how repetitive the mail is, which its size and kind tell anybody who sees the row.
//!
//! The service's own secrets (the relay's certificate and credentials, S29) are sealed alike, with version 2 and their
//! name in the mail id's place, so that neither opens as the other.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, KeyType, Salt};

use crate::Error;

/// Octets of entropy that one sealing takes.
pub const ENTROPY: usize = NONCE_LEN;

/// Mattermost makes 32 characters; a shorter one was typed by hand.
const KEY_MIN_CHARS: usize = 32;
const VERSION: u8 = 1;
const VERSION_SECRET: u8 = 2;
const VERSION_COMPRESSED: u8 = 3;
/// Longer mails have pictures in them, which don't shrink, and a copy more would not be small.
const COMPRESSED_MAX: usize = 1 << 20;
const SALT: &[u8] = b"postroom/v1";
const INFO_SEAL: &[u8] = b"postroom/v1/seal/aes-256-gcm";
const INFO_KEY_ID: &[u8] = b"postroom/v1/key-id";
const KEY_ID_LEN: usize = 4;

/// A mail as it is stored: envelope and message. Secret, as it holds a live link.
#[derive(Clone, PartialEq, Eq)]
pub struct Stored {
    /// Envelope sender.
    pub envelope_from: String,
    /// Envelope recipient.
    pub envelope_to: String,
    /// The message, headers and body, CRLF line ends.
    pub message: Vec<u8>,
}

/// The key that mails are sealed with. Secret.
pub struct SealingKey {
    aead: LessSafeKey,
    id: [u8; KEY_ID_LEN],
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

impl SealingKey {
    /// Derives the key by HKDF-SHA256 (RFC 5869) from `SqlSettings.AtRestEncryptKey`.
    ///
    /// Empty or shorter than 32 characters is [`Error::InvalidArgument`] on `key`.
    ///
    /// ```
    /// use postroom_core::seal::SealingKey;
    /// let key = SealingKey::derive("0123456789abcdefghijklmnopqrstuv")?;
    /// assert_eq!(key.id().len(), 8);
    /// assert_eq!(SealingKey::derive("short").err().map(|e| e.code()), Some("invalid_argument"));
    /// # Ok::<(), postroom_core::Error>(())
    /// ```
    pub fn derive(at_rest_encrypt_key: &str) -> Result<Self, Error> {
        let chars = at_rest_encrypt_key.chars().count();
        if chars == 0 {
            return Err(Error::argument(
                "key",
                "SqlSettings.AtRestEncryptKey is empty; set it to 32 random characters and restart Mattermost",
            ));
        }
        if chars < KEY_MIN_CHARS {
            return Err(Error::argument(
                "key",
                "SqlSettings.AtRestEncryptKey is shorter than 32 characters; set it to 32 random characters and \
                 restart Mattermost",
            ));
        }
        let secret = Salt::new(HKDF_SHA256, SALT).extract(at_rest_encrypt_key.as_bytes());
        let failed = |_| Error::internal("HKDF refused its parameters");
        let mut id = [0; KEY_ID_LEN];
        secret
            .expand(&[INFO_KEY_ID], Length(KEY_ID_LEN))
            .and_then(|okm| okm.fill(&mut id))
            .map_err(failed)?;
        let aead = secret.expand(&[INFO_SEAL], &AES_256_GCM).map_err(failed)?;
        Ok(Self { aead: LessSafeKey::new(UnboundKey::from(aead)), id })
    }

    /// Eight hex digits that tell this key from another, and tell nothing about it.
    #[must_use]
    pub fn id(&self) -> String {
        self.id.iter().map(|octet| format!("{octet:02x}")).collect()
    }

    /// Seals a mail for the row `mail_id`. `nonce` is fresh entropy, never used twice with this key.
    ///
    /// ```
    /// # use postroom_core::seal::{SealingKey, Stored};
    /// let key = SealingKey::derive("0123456789abcdefghijklmnopqrstuv")?;
    /// let mail = Stored { envelope_from: "a@b.c".into(), envelope_to: "d@e.f".into(), message: vec![1, 2, 3] };
    /// let sealed = key.seal("id", &mail, [7; 12])?;
    /// assert!(key.open("id", &sealed)? == mail);
    /// assert_eq!(key.open("another id", &sealed).err().map(|e| e.code()), Some("corrupt"));
    /// # Ok::<(), postroom_core::Error>(())
    /// ```
    pub fn seal(&self, mail_id: &str, mail: &Stored, nonce: [u8; ENTROPY]) -> Result<Vec<u8>, Error> {
        let fields = [mail.envelope_from.as_bytes(), mail.envelope_to.as_bytes(), &mail.message];
        let plain_len: usize = fields.iter().map(|field| 4 + field.len()).sum();
        let mut plain = Vec::with_capacity(plain_len + AES_256_GCM.tag_len());
        for field in fields {
            let len =
                u32::try_from(field.len()).map_err(|_| Error::argument("message", "longer than 4 GB"))?;
            plain.extend_from_slice(&len.to_be_bytes());
            plain.extend_from_slice(field);
        }
        if plain.len() <= COMPRESSED_MAX {
            let compressed = lz4_flex::block::compress_prepend_size(&plain);
            if compressed.len() < plain.len() {
                return self.encrypt(VERSION_COMPRESSED, mail_id, compressed, nonce);
            }
        }
        self.encrypt(VERSION, mail_id, plain, nonce)
    }

    /// Opens what [`SealingKey::seal`] made. [`Error::WrongKey`] when it was sealed under another key,
    /// [`Error::Corrupt`] when it was altered, cut, or belongs to another row.
    pub fn open(&self, mail_id: &str, sealed: &[u8]) -> Result<Stored, Error> {
        let plain = if sealed.first() == Some(&VERSION_COMPRESSED) {
            let compressed = self.decrypt(VERSION_COMPRESSED, mail_id, sealed)?;
            let (len, _) = lz4_flex::block::uncompressed_size(&compressed).map_err(|_| Error::Corrupt)?;
            if len > COMPRESSED_MAX {
                return Err(Error::Corrupt);
            }
            lz4_flex::block::decompress_size_prepended(&compressed).map_err(|_| Error::Corrupt)?
        } else {
            self.decrypt(VERSION, mail_id, sealed)?
        };
        let (envelope_from, rest) = field(&plain)?;
        let (envelope_to, rest) = field(rest)?;
        let (message, rest) = field(rest)?;
        if !rest.is_empty() {
            return Err(Error::Corrupt);
        }
        let text = |octets: &[u8]| String::from_utf8(octets.to_vec()).map_err(|_| Error::Corrupt);
        Ok(Stored {
            envelope_from: text(envelope_from)?,
            envelope_to: text(envelope_to)?,
            message: message.to_vec(),
        })
    }

    /// Seals a secret of the service's own under its name. `nonce` is as in [`SealingKey::seal`].
    pub fn seal_secret(&self, name: &str, secret: &[u8], nonce: [u8; ENTROPY]) -> Result<Vec<u8>, Error> {
        self.encrypt(VERSION_SECRET, name, secret.to_vec(), nonce)
    }

    /// Opens what [`SealingKey::seal_secret`] made; errors as of [`SealingKey::open`].
    ///
    /// ```
    /// # use postroom_core::seal::SealingKey;
    /// let key = SealingKey::derive("0123456789abcdefghijklmnopqrstuv")?;
    /// let sealed = key.seal_secret("relay", b"secret", [7; 12])?;
    /// assert_eq!(key.open_secret("relay", &sealed)?, b"secret");
    /// assert_eq!(key.open_secret("another", &sealed).err().map(|e| e.code()), Some("corrupt"));
    /// # Ok::<(), postroom_core::Error>(())
    /// ```
    pub fn open_secret(&self, name: &str, sealed: &[u8]) -> Result<Vec<u8>, Error> {
        self.decrypt(VERSION_SECRET, name, sealed)
    }

    fn encrypt(
        &self,
        version: u8,
        name: &str,
        mut plain: Vec<u8>,
        nonce: [u8; ENTROPY],
    ) -> Result<Vec<u8>, Error> {
        self.aead
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                self.aad(version, name),
                &mut plain,
            )
            .map_err(|_| Error::internal("AES-GCM refused to seal"))?;
        let mut sealed = Vec::with_capacity(1 + KEY_ID_LEN + NONCE_LEN + plain.len());
        sealed.push(version);
        sealed.extend_from_slice(&self.id);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(&plain);
        Ok(sealed)
    }

    fn decrypt(&self, version: u8, name: &str, sealed: &[u8]) -> Result<Vec<u8>, Error> {
        let (&first, rest) = sealed.split_first().ok_or(Error::Corrupt)?;
        if first != version {
            return Err(Error::Corrupt);
        }
        let (id, rest) = rest.split_first_chunk::<KEY_ID_LEN>().ok_or(Error::Corrupt)?;
        if *id != self.id {
            return Err(Error::WrongKey);
        }
        let (nonce, ciphertext) = rest.split_first_chunk::<NONCE_LEN>().ok_or(Error::Corrupt)?;
        let mut buffer = ciphertext.to_vec();
        let plain_len = self
            .aead
            .open_in_place(Nonce::assume_unique_for_key(*nonce), self.aad(version, name), &mut buffer)
            .map_err(|_| Error::Corrupt)?
            .len();
        buffer.truncate(plain_len);
        Ok(buffer)
    }

    fn aad(&self, version: u8, name: &str) -> Aad<Vec<u8>> {
        let mut aad = Vec::with_capacity(1 + KEY_ID_LEN + name.len());
        aad.push(version);
        aad.extend_from_slice(&self.id);
        aad.extend_from_slice(name.as_bytes());
        Aad::from(aad)
    }
}

/// Takes one length-prefixed field off the front of a frame.
fn field(frame: &[u8]) -> Result<(&[u8], &[u8]), Error> {
    let (len, rest) = frame.split_first_chunk::<4>().ok_or(Error::Corrupt)?;
    let len = usize::try_from(u32::from_be_bytes(*len)).map_err(|_| Error::Corrupt)?;
    rest.split_at_checked(len).ok_or(Error::Corrupt)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: &str = "0123456789abcdefghijklmnopqrstuv";

    fn mail() -> Stored {
        Stored {
            envelope_from: "noreply@example.com".into(),
            envelope_to: "anna@example.com".into(),
            message: b"Subject: x\r\n\r\nbody\r\n".to_vec(),
        }
    }

    fn repetitive(len: usize) -> Stored {
        Stored {
            message: b"<td style=\"padding:0\">\r\n".iter().copied().cycle().take(len).collect(),
            ..mail()
        }
    }

    #[test]
    fn what_repeats_itself_is_sealed_short() {
        let key = SealingKey::derive(KEY).unwrap();
        for len in [500, 30_000, COMPRESSED_MAX - 100, COMPRESSED_MAX + 1] {
            let stored = repetitive(len);
            let sealed = key.seal("id", &stored, [9; ENTROPY]).unwrap();
            assert!(key.open("id", &sealed).unwrap() == stored);
            let compressed = len < COMPRESSED_MAX;
            assert_eq!(
                (sealed[0], sealed.len() < len / 3),
                (if compressed { 3 } else { 1 }, compressed),
                "{len}"
            );
            for at in 0..200.min(sealed.len()) {
                let mut altered = sealed.clone();
                altered[at] ^= 1;
                assert!(key.open("id", &altered).is_err(), "octet {at}");
            }
        }
    }

    /// Rows of before compression open as they did.
    #[test]
    fn an_uncompressed_frame_opens() {
        let key = SealingKey::derive(KEY).unwrap();
        let mut frame = Vec::new();
        for field in [mail().envelope_from.as_bytes(), mail().envelope_to.as_bytes(), &mail().message] {
            frame.extend_from_slice(&u32::try_from(field.len()).unwrap().to_be_bytes());
            frame.extend_from_slice(field);
        }
        let sealed = key.encrypt(VERSION, "id", frame, [9; ENTROPY]).unwrap();
        assert!(key.open("id", &sealed).unwrap() == mail());
        let bomb = [&u32::MAX.to_le_bytes()[..], &[0xff; 40]].concat();
        let sealed = key.encrypt(VERSION_COMPRESSED, "id", bomb, [9; ENTROPY]).unwrap();
        assert_eq!(code(key.open("id", &sealed)), "corrupt");
    }

    fn code(result: Result<Stored, Error>) -> &'static str {
        result.err().map_or("ok", |error| error.code())
    }

    #[test]
    fn any_altered_octet_is_noticed() {
        let key = SealingKey::derive(KEY).unwrap();
        let sealed = key.seal("id", &mail(), [9; ENTROPY]).unwrap();
        assert_eq!(code(key.open("id", &sealed)), "ok");
        for at in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[at] ^= 1;
            let expected = if (1..=KEY_ID_LEN).contains(&at) { "wrong_key" } else { "corrupt" };
            assert_eq!(code(key.open("id", &altered)), expected, "octet {at}");
            assert_eq!(code(key.open("id", &sealed[..at])), "corrupt", "cut to {at}");
        }
    }

    #[test]
    fn another_key_is_told_from_an_altered_mail() {
        let key = SealingKey::derive(KEY).unwrap();
        let other = SealingKey::derive("0123456789abcdefghijklmnopqrstuw").unwrap();
        assert_ne!(key.id(), other.id());
        let sealed = key.seal("id", &mail(), [9; ENTROPY]).unwrap();
        assert_eq!(code(other.open("id", &sealed)), "wrong_key");
        assert_eq!(code(key.open("di", &sealed)), "corrupt");
    }

    #[test]
    fn a_secret_and_a_mail_do_not_open_as_each_other() {
        let key = SealingKey::derive(KEY).unwrap();
        let mail = key.seal("id", &mail(), [9; ENTROPY]).unwrap();
        assert_eq!(key.open_secret("id", &mail).err().unwrap().code(), "corrupt");
        let mut secret = key.seal_secret("id", b"secret", [9; ENTROPY]).unwrap();
        assert_eq!(code(key.open("id", &secret)), "corrupt");
        secret[0] = VERSION;
        assert_eq!(code(key.open("id", &secret)), "corrupt", "the version is authenticated");
    }

    #[test]
    fn holds_nothing_readable() {
        let sealed = SealingKey::derive(KEY).unwrap().seal("id", &mail(), [9; ENTROPY]).unwrap();
        assert!(!sealed.windows(4).any(|window| window == b"anna" || window == b"body"));
    }

    #[test]
    fn a_weak_key_is_refused_with_the_mend() {
        for key in ["", "x", &KEY[..31]] {
            let error = SealingKey::derive(key).err().unwrap();
            assert_eq!((error.code(), error.field()), ("invalid_argument", "key"));
            assert!(error.to_string().contains("32 random characters"));
        }
    }

    proptest! {
        #[test]
        fn opens_what_was_sealed(
            from in ".{0,40}", to in ".{0,40}", message in proptest::collection::vec(any::<u8>(), 0..2000),
            id in ".{0,40}", nonce in any::<[u8; ENTROPY]>(),
        ) {
            let key = SealingKey::derive(KEY).unwrap();
            let mail = Stored { envelope_from: from, envelope_to: to, message };
            let sealed = key.seal(&id, &mail, nonce).unwrap();
            prop_assert!(key.open(&id, &sealed).unwrap() == mail);
        }

        #[test]
        fn never_panics_on_noise(noise in proptest::collection::vec(any::<u8>(), 0..200)) {
            let key = SealingKey::derive(KEY).unwrap();
            prop_assert!(key.open("id", &noise).is_err());
        }
    }
}

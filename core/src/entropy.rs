//! Entropy comes in with the request; this hands it out once and fails closed when there is too little.

use crate::Error;

/// The request's entropy, handed out from the front.
///
/// Secret: tokens and nonces are made of it.
#[derive(Clone)]
pub(crate) struct Entropy<'a> {
    left: &'a [u8],
}

impl<'a> Entropy<'a> {
    /// Takes the request's entropy for an operation that needs `needed` octets.
    ///
    /// Fails closed (S4) when there are fewer, and when all of those needed are equal: a host whose generator
    /// is a stub hands out zeros, which chance never does.
    pub(crate) fn new(bytes: &'a [u8], needed: usize) -> Result<Self, Error> {
        let missing = Error::EntropyMissing { needed, given: bytes.len() };
        let left = bytes.get(..needed).ok_or(missing.clone())?;
        match left.split_first() {
            Some((first, rest)) if rest.iter().all(|byte| byte == first) => Err(missing),
            _ => Ok(Self { left }),
        }
    }

    /// The next `N` octets. Asking for more than [`Entropy::new`] was told is a fault in the core.
    pub(crate) fn take<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (taken, left) = self
            .left
            .split_first_chunk::<N>()
            .ok_or_else(|| Error::internal("more entropy used than declared"))?;
        self.left = left;
        Ok(*taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], needed: usize, accepted: bool) {
        assert_eq!(Entropy::new(bytes, needed).is_ok(), accepted, "{} of {needed}", bytes.len());
    }

    #[test]
    fn fails_closed() {
        let good: Vec<u8> = (0..96).collect();
        check(&[], 0, true);
        check(&[], 8, false);
        check(&good[..7], 8, false);
        check(&good[..8], 8, true);
        check(&good, 96, true);
        check(&good, 97, false);
        check(&[0; 96], 96, false);
        check(&[0xff; 96], 96, false);
        check(&[0; 8], 0, true);
        let zeros_then_good: Vec<u8> = [0; 32].into_iter().chain(0..64).collect();
        check(&zeros_then_good, 32, false);
    }

    #[test]
    fn hands_each_octet_out_once() {
        let bytes: Vec<u8> = (0..8).collect();
        let mut entropy = Entropy::new(&bytes, 8).unwrap();
        assert_eq!(entropy.take::<3>().unwrap(), [0, 1, 2]);
        assert_eq!(entropy.take::<5>().unwrap(), [3, 4, 5, 6, 7]);
        assert_eq!(entropy.take::<1>().unwrap_err().code(), "internal");
    }
}

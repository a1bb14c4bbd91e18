//! Key material of a fixed size: zeroised when dropped, never cloned, never serialised, never printed.

use std::fmt;
use subtle::{Choice, ConstantTimeEq};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// `N` secret bytes.
///
/// There is no `Clone`, no `Copy`, no `Serialize`: a second copy has to be written out by hand, where a
/// reviewer sees it. Moving a `Secret` may leave bytes behind on the stack; core dumps are off and pages
/// are locked in `serve` for that reason.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Secret<const N: usize>([u8; N]);

impl<const N: usize> Secret<N> {
    /// Takes bytes that are already secret. The caller zeroises its own copy, if one stays.
    pub fn new(bytes: [u8; N]) -> Self {
        Self(bytes)
    }

    /// Zeros, then whatever `fill` writes: no intermediate copy.
    pub fn filled(fill: impl FnOnce(&mut [u8; N])) -> Self {
        let mut secret = Self([0; N]);
        fill(&mut secret.0);
        secret
    }

    /// Copies a slice of exactly `N` bytes; `None` for any other length.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        (bytes.len() == N).then(|| Self::filled(|own| own.copy_from_slice(bytes)))
    }

    /// The bytes, for `crypto` and for root providers. Never log, format or store them.
    pub fn expose(&self) -> &[u8; N] {
        &self.0
    }
}

impl<const N: usize> ConstantTimeEq for Secret<N> {
    fn ct_eq(&self, other: &Self) -> Choice {
        self.0.ct_eq(&other.0)
    }
}

/// In constant time.
impl<const N: usize> PartialEq for Secret<N> {
    fn eq(&self, other: &Self) -> bool {
        self.ct_eq(other).into()
    }
}

impl<const N: usize> Eq for Secret<N> {}

impl<const N: usize> fmt::Debug for Secret<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing_of_the_bytes() {
        assert_eq!(format!("{:?}", Secret::new([0xAB; 32])), "[secret]");
        assert_eq!(format!("{:#?}", Some(Secret::new([7; 4]))), "Some(\n    [secret],\n)");
    }

    #[test]
    fn equals_byte_by_byte() {
        let mut other = [9; 32];
        assert_eq!(Secret::new([9; 32]), Secret::new(other));
        other[31] ^= 1;
        assert_ne!(Secret::new([9; 32]), Secret::new(other));
    }

    #[test]
    fn takes_only_slices_of_its_own_length() {
        assert!(Secret::<16>::from_slice(&[1; 15]).is_none());
        assert!(Secret::<16>::from_slice(&[1; 17]).is_none());
        assert_eq!(Secret::<16>::from_slice(&[1; 16]), Some(Secret::new([1; 16])));
    }

    #[test]
    fn zeroises_its_bytes() {
        let mut secret = Secret::new([0xFF; 32]);
        secret.zeroize();
        assert_eq!(secret.expose(), &[0; 32]);
        fn zeroised_on_drop<T: ZeroizeOnDrop>(_: &T) {}
        zeroised_on_drop(&secret);
    }
}

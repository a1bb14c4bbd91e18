//! Random bytes, from the thread's CSPRNG (ChaCha, seeded and reseeded by the operating system).

use crate::secret::Secret;

/// `N` random bytes that need not stay secret: nonces, tokens.
///
/// Where the operating system gives no entropy at all the thread stops: there is nothing safe to go on with.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::fill(&mut bytes);
    bytes
}

/// `N` random secret bytes.
pub fn random_secret<const N: usize>() -> Secret<N> {
    Secret::filled(|bytes| rand::fill(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn does_not_repeat_within_ten_thousand_nonces() {
        let seen: HashSet<[u8; 12]> = (0..10_000).map(|_| random()).collect();
        assert_eq!(seen.len(), 10_000);
    }

    #[test]
    fn threads_draw_from_streams_of_their_own() {
        let draw = || std::thread::spawn(random::<32>).join().unwrap();
        assert_ne!(draw(), draw());
        assert_ne!(random_secret::<32>(), random_secret::<32>());
    }

    #[test]
    fn sets_every_bit_at_some_time() {
        let or = (0..200).map(|_| random::<32>()).fold([0; 32], |mut or, bytes| {
            or.iter_mut().zip(bytes).for_each(|(or, byte)| *or |= byte);
            or
        });
        assert_eq!(or, [0xFF; 32]);
    }
}

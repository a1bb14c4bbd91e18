//! Numbers, which may come in pieces.

/// How far a number has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Number {
    Minus,
    Zero,
    Whole,
    Point,
    Fraction,
    E,
    Sign,
    Exponent,
}

impl Number {
    #[inline]
    fn next(self, byte: u8) -> Option<Self> {
        use Number::*;
        Some(match (self, byte) {
            (Minus, b'0') => Zero,
            (Minus, b'1'..=b'9') | (Whole, b'0'..=b'9') => Whole,
            (Zero | Whole, b'.') => Point,
            (Point | Fraction, b'0'..=b'9') => Fraction,
            (Zero | Whole | Fraction, b'e' | b'E') => E,
            (E, b'+' | b'-') => Sign,
            (E | Sign | Exponent, b'0'..=b'9') => Exponent,
            _ => return None,
        })
    }

    /// Moves over what belongs to the number.
    #[inline]
    pub(super) fn run(mut self, buf: &[u8], mut at: usize) -> (Self, usize) {
        while let Some(&byte) = buf.get(at) {
            if matches!(self, Self::Whole | Self::Fraction | Self::Exponent) && byte.is_ascii_digit() {
                at += 1;
                continue;
            }
            match self.next(byte) {
                Some(next) => self = next,
                None => break,
            }
            at += 1;
        }
        (self, at)
    }

    /// Whether it may end here.
    #[inline]
    pub(super) fn complete(self) -> bool {
        matches!(self, Self::Zero | Self::Whole | Self::Fraction | Self::Exponent)
    }
}

//! A read or write buffer: bytes between `start` and `end` of a vector that is initialised once.

/// Smallest size of a buffer: most statements and their answers fit.
const SMALL: usize = 8 * 1024;
/// Size that a buffer grows to when reads keep filling it.
const LARGE: usize = 128 * 1024;

/// Bytes that were read and not yet used, or made and not yet written.
#[derive(Default)]
pub struct Buffer {
    data: Vec<u8>,
    start: usize,
    end: usize,
    /// What a writer is appending; kept apart, so that `data` stays initialised to its length.
    made: Vec<u8>,
}

impl Buffer {
    /// What it holds.
    pub fn bytes(&self) -> &[u8] {
        &self.data[self.start..self.end]
    }

    /// What it holds, to be changed in place.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.data[self.start..self.end]
    }

    /// How many bytes it holds.
    pub fn len(&self) -> usize {
        self.end - self.start
    }

    /// Holds nothing.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Drops the first `n` bytes.
    pub fn consume(&mut self, n: usize) {
        self.start += n.min(self.len());
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        }
    }

    /// Keeps the first `n` bytes only.
    pub fn truncate(&mut self, n: usize) {
        self.end = self.end.min(self.start + n);
    }

    /// Room to read into; grows where the last read filled the buffer.
    pub fn spare(&mut self) -> &mut [u8] {
        if self.data.is_empty() {
            self.data.resize(SMALL, 0);
        }
        if self.end == self.data.len() && self.start > 0 {
            self.data.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == self.data.len() {
            let size = (self.data.len() * 2).max(SMALL);
            self.data.resize(size, 0);
        }
        &mut self.data[self.end..]
    }

    /// `n` bytes of [`Buffer::spare`] were filled.
    pub fn filled(&mut self, n: usize) {
        self.end = (self.end + n).min(self.data.len());
        // A read that fills a small buffer announces a bulk result: fewer, larger reads from here.
        if self.end == self.data.len() && self.data.len() < LARGE {
            self.data.resize(LARGE, 0);
        }
    }

    /// Makes room so that a message of `total` bytes can be held whole.
    pub fn reserve(&mut self, total: usize) {
        if self.start > 0 && self.start + total > self.data.len() {
            self.data.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.data.len() < total {
            self.data.resize(total, 0);
        }
    }

    /// Gives back the memory of an outsized message.
    pub fn shrink(&mut self) {
        if self.is_empty() && self.data.len() > LARGE {
            self.data = Vec::new();
        }
    }

    /// Appends bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.end + bytes.len() > self.data.len() {
            if self.start > 0 {
                self.data.copy_within(self.start..self.end, 0);
                self.end -= self.start;
                self.start = 0;
            }
            if self.end + bytes.len() > self.data.len() {
                let size = (self.end + bytes.len()).next_power_of_two().max(SMALL);
                self.data.resize(size, 0);
            }
        }
        self.data[self.end..self.end + bytes.len()].copy_from_slice(bytes);
        self.end += bytes.len();
    }

    /// Moves the first `n` bytes of `other` here; whole buffers change places instead of being copied.
    pub fn take_from(&mut self, other: &mut Self, n: usize) {
        if self.is_empty() && n == other.len() {
            std::mem::swap(&mut self.data, &mut other.data);
            (self.start, self.end) = (other.start, other.end);
            (other.start, other.end) = (0, 0);
            return;
        }
        self.push(&other.bytes()[..n]);
        other.consume(n);
    }

    /// Lets a writer append to the end as to a vector.
    pub fn append_with<R>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        let mut made = std::mem::take(&mut self.made);
        let result = write(&mut made);
        self.push(&made);
        made.clear();
        if made.capacity() <= LARGE {
            self.made = made;
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_order_through_growth_and_consumption() {
        let mut buffer = Buffer::default();
        let mut expected = Vec::new();
        for i in 0..50_000_u32 {
            let bytes = i.to_be_bytes();
            buffer.push(&bytes);
            expected.extend_from_slice(&bytes);
            if i % 3 == 0 {
                assert_eq!(&buffer.bytes()[..4], &expected[..4]);
                buffer.consume(4);
                expected.drain(..4);
            }
        }
        assert_eq!(buffer.bytes(), expected);
    }

    #[test]
    fn whole_buffers_change_places() {
        let (mut from, mut to) = (Buffer::default(), Buffer::default());
        from.push(b"abc");
        to.take_from(&mut from, 3);
        assert_eq!((to.bytes(), from.len()), (&b"abc"[..], 0));
        from.push(b"defg");
        to.take_from(&mut from, 2);
        assert_eq!((to.bytes(), from.bytes()), (&b"abcde"[..], &b"fg"[..]));
    }

    #[test]
    fn appends_like_a_vector() {
        let mut buffer = Buffer::default();
        buffer.push(b"ab");
        buffer.consume(1);
        buffer.append_with(|v| v.extend_from_slice(b"cd"));
        buffer.push(b"e");
        assert_eq!(buffer.bytes(), b"bcde");
    }
}

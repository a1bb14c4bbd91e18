//! Multipart bodies, part by part as they stream (RFC 2046 §5.1, RFC 7578): strictly, since readers differ about
//! everything else.

use memchr::memmem;

/// Longest head of a part.
const HEAD: usize = 16 << 10;

/// The body is malformed, or readers may differ about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// What comes next in a body. Together the bytes of all events are the body.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A part begins: its delimiter and head as they stand.
    Part { raw: Vec<u8>, head: Head },
    /// More of its value.
    Data(Vec<u8>),
    /// Its value is complete.
    End,
    /// The closing delimiter.
    Close(Vec<u8>),
}

/// A part's head.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Head {
    /// `name` of its Content-Disposition.
    pub(super) name: Option<String>,
    /// Whether it has a file name.
    pub(super) file: bool,
    /// `Content-Range`.
    pub(super) range: Option<String>,
    /// `Content-Type`.
    pub(super) kind: Option<String>,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    /// Before the first delimiter.
    Start,
    /// After a delimiter: its line's end, then the head.
    Head,
    Data,
    Closed,
}

/// Reads a body in chunks.
pub(super) struct Parser {
    delimiter: Vec<u8>,
    buf: Vec<u8>,
    state: State,
}

impl Parser {
    pub(super) fn new(boundary: &str) -> Self {
        Self { delimiter: format!("\r\n--{boundary}").into_bytes(), buf: Vec::new(), state: State::Start }
    }

    pub(super) fn feed(&mut self, chunk: &[u8]) -> Result<Vec<Event>, Malformed> {
        self.buf.extend_from_slice(chunk);
        let mut events = Vec::new();
        while let Some(event) = self.next()? {
            events.extend(event);
        }
        Ok(events)
    }

    /// The body has ended.
    pub(super) fn finish(&self) -> Result<(), Malformed> {
        if self.state == State::Closed { Ok(()) } else { Err(Malformed) }
    }

    /// One step; none where more bytes are needed.
    fn next(&mut self) -> Result<Option<Vec<Event>>, Malformed> {
        match self.state {
            State::Start => {
                // No preamble: nothing reads it.
                let first = &self.delimiter[2..];
                let n = first.len().min(self.buf.len());
                if self.buf[..n] != first[..n] {
                    return Err(Malformed);
                }
                if n < first.len() {
                    return Ok(None);
                }
                self.state = State::Head;
                Ok(Some(Vec::new()))
            }
            State::Head => self.head(),
            State::Data => {
                if let Some(at) = self.delimited()? {
                    let data: Vec<u8> = self.buf.drain(..at).collect();
                    self.state = State::Head;
                    let data = (!data.is_empty()).then_some(Event::Data(data));
                    return Ok(Some(data.into_iter().chain([Event::End]).collect()));
                }
                // The end may be a delimiter's beginning.
                let ready = self.buf.len().saturating_sub(self.delimiter.len() - 1);
                if ready == 0 {
                    return Ok(None);
                }
                let data = self.buf.drain(..ready).collect();
                Ok(Some(vec![Event::Data(data)]))
            }
            State::Closed => match self.buf.as_slice() {
                [] => Ok(None),
                // A line's end after the closing delimiter is usual; anything else is read by some only.
                b"\r" => Ok(None),
                b"\r\n" => {
                    let end = std::mem::take(&mut self.buf);
                    Ok(Some(vec![Event::Close(end)]))
                }
                _ => Err(Malformed),
            },
        }
    }

    /// Where a value ends. A boundary never stands within a part (RFC 2046 §5.1.1): some readers end the part at one that
    /// follows another line break, or none.
    fn delimited(&self) -> Result<Option<usize>, Malformed> {
        let (line, boundary) = self.delimiter.split_at(2);
        let Some(at) = memmem::find(&self.buf, boundary) else { return Ok(None) };
        let before = self.buf.get(..at).and_then(|before| before.strip_suffix(line));
        before.map(|data| Some(data.len())).ok_or(Malformed)
    }

    /// After a delimiter, which the buffer begins with (the first without its line break).
    fn head(&mut self) -> Result<Option<Vec<Event>>, Malformed> {
        let start =
            if self.buf.starts_with(b"\r\n") { self.delimiter.len() } else { self.delimiter.len() - 2 };
        let Some(after) = self.buf.get(start..).filter(|after| after.len() >= 2) else { return Ok(None) };
        if after.starts_with(b"--") {
            let close = self.buf.drain(..start + 2).collect();
            self.state = State::Closed;
            return Ok(Some(vec![Event::Close(close)]));
        }
        if !after.starts_with(b"\r\n") {
            return Err(Malformed);
        }
        let Some(end) = memmem::find(after, b"\r\n\r\n") else {
            return if after.len() > HEAD { Err(Malformed) } else { Ok(None) };
        };
        let head = head(after.get(2..end + 2).unwrap_or_default())?;
        let raw = self.buf.drain(..start + end + 4).collect();
        self.state = State::Data;
        // An empty value is followed by its delimiter at once.
        Ok(Some(vec![Event::Part { raw, head }]))
    }
}

fn head(block: &[u8]) -> Result<Head, Malformed> {
    let mut head = Head::default();
    let mut disposed = false;
    let text = std::str::from_utf8(block).map_err(|_| Malformed)?;
    for line in text.split("\r\n").filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').ok_or(Malformed)?;
        if line.starts_with([' ', '\t']) || name.contains([' ', '\t']) || line.contains(['\r', '\n', '\0']) {
            return Err(Malformed);
        }
        match name.to_ascii_lowercase().as_str() {
            "content-disposition" => {
                if std::mem::replace(&mut disposed, true) {
                    return Err(Malformed);
                }
                disposition(value.trim(), &mut head)?;
            }
            "content-transfer-encoding"
                if !matches!(value.trim().to_ascii_lowercase().as_str(), "binary" | "8bit" | "7bit") =>
            {
                return Err(Malformed);
            }
            "content-type" => head.kind = Some(value.trim().to_owned()),
            "content-range" => head.range = Some(value.trim().to_owned()),
            // Some readers look for it anywhere.
            name if name.contains("disposition") || value.to_ascii_lowercase().contains("disposition") => {
                return Err(Malformed);
            }
            _ => {}
        }
    }
    Ok(head)
}

/// `form-data; name="x"; filename="y"`, and nothing else: some readers look for `name=` in whatever stands there.
fn disposition(value: &str, head: &mut Head) -> Result<(), Malformed> {
    let mut rest = value.strip_prefix("form-data").ok_or(Malformed)?.trim_start();
    while let Some(after) = rest.strip_prefix(';') {
        let (name, after) = after.trim_start().split_once('=').ok_or(Malformed)?;
        let Param { text, escaped, after } = param(after)?;
        let lower = text.to_ascii_lowercase();
        if lower.contains("name=")
            || lower.contains("name*")
            || text.contains(|c: char| c.is_control() && !"\r\n\t".contains(c))
        {
            return Err(Malformed);
        }
        match name.trim().to_ascii_lowercase().as_str() {
            // Readers differ about what a backslash escapes, and some decode words (RFC 2047).
            // Some readers take the file's name or type for one that is empty.
            "name" if escaped || text.is_empty() || text.contains("=?") => return Err(Malformed),
            "name" if head.name.replace(text).is_some() => return Err(Malformed),
            "name" => {}
            // Readers differ about which of the names counts, and about pieces of one (RFC 2231).
            name if name.starts_with("name*") => return Err(Malformed),
            name if name == "filename" || name.starts_with("filename*") => head.file = true,
            "size" | "creation-date" | "modification-date" | "read-date" => {}
            _ => return Err(Malformed),
        }
        rest = after.trim_start();
    }
    if rest.is_empty() { Ok(()) } else { Err(Malformed) }
}

/// A parameter's value.
struct Param<'t> {
    text: String,
    /// A backslash stands in it before something that needs none.
    escaped: bool,
    /// What follows it.
    after: &'t str,
}

/// Reads a parameter's value. Browsers escape a quote as `%22`, others with a backslash.
fn param(text: &str) -> Result<Param<'_>, Malformed> {
    let text = text.trim_start();
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(';').unwrap_or(text.len());
        let value = text[..end].trim();
        // Some readers know quotes of the other kind, too.
        let escaped = value.contains(['"', '\'', '\\', ' ', '\t']);
        return Ok(Param { text: value.to_owned(), escaped, after: &text[end..] });
    };
    let (mut value, mut escaped) = (String::new(), false);
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => {
                let text = value.replace("%22", "\"").replace("%0D", "\r").replace("%0A", "\n");
                return Ok(Param { text, escaped, after: &quoted[at + 1..] });
            }
            '\\' => match chars.next() {
                Some((_, c @ ('"' | '\\'))) => value.push(c),
                // A path of an old browser.
                Some((_, c)) => {
                    escaped = true;
                    value.extend(['\\', c]);
                }
                None => return Err(Malformed),
            },
            c => value.push(c),
        }
    }
    Err(Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BODY: &[u8] = b"--xy\r\nContent-Disposition: form-data; name=\"user\"\r\n\r\n7\r\n--xy\r\n\
        content-disposition: form-data; name=\"a\\\"b%22\"; filename=\"c;d.jpg\"\r\nContent-Type: image/jpeg\r\n\r\n\r\n--x\r\n-\r\n--xy\r\n\
        Content-Disposition: form-data; name=empty\r\n\r\n\r\n--xy--\r\n";

    /// Name, whether it is a file, and value of each part; and all bytes.
    type Read = (Vec<(Option<String>, bool, Vec<u8>)>, Vec<u8>);

    fn read(body: &[u8], size: usize) -> Result<Read, Malformed> {
        let mut parser = Parser::new("xy");
        let (mut parts, mut all) = (Vec::new(), Vec::new());
        for chunk in body.chunks(size) {
            for event in parser.feed(chunk)? {
                match event {
                    Event::Part { raw, head } => {
                        all.extend(raw);
                        parts.push((head.name, head.file, Vec::new()));
                    }
                    Event::Data(data) => {
                        all.extend(&data);
                        parts.last_mut().unwrap().2.extend(data);
                    }
                    Event::End => {}
                    Event::Close(raw) => all.extend(raw),
                }
            }
        }
        parser.finish()?;
        Ok((parts, all))
    }

    #[test]
    fn parts_are_read_however_they_are_cut() {
        for size in 1..BODY.len() {
            let (parts, all) = read(BODY, size).unwrap();
            assert_eq!(all, BODY);
            assert_eq!(
                parts,
                [
                    (Some("user".into()), false, b"7".to_vec()),
                    (Some("a\"b\"".into()), true, b"\r\n--x\r\n-".to_vec()),
                    (Some("empty".into()), false, vec![]),
                ]
            );
        }
    }

    #[test]
    fn what_readers_differ_about_is_refused() {
        let part = |head: &str| format!("--xy\r\n{head}\r\n\r\nv\r\n--xy--");
        let within =
            |value: &str| format!("--xy\r\nContent-Disposition: form-data; name=a\r\n\r\n{value}\r\n--xy--");
        for body in [
            "preamble\r\n--xy\r\n\r\n\r\n--xy--".to_owned(),
            "--xy \r\n\r\nv\r\n--xy--".into(),
            "--xy\n\nv\n--xy--".into(),
            "--xy\r\n\r\nv\r\n--xy--\r\nepilogue".into(),
            "--xy\r\n\r\nv".into(),
            part("Content-Disposition: form-data; name=a; name=b"),
            part("Content-Disposition: form-data; name=a\r\nContent-Disposition: form-data; name=b"),
            part("Content-Disposition: form-data; name*=utf-8''a"),
            part("Content-Disposition: form-data; name=x; name*0=a"),
            part("Content-Disposition: form-data; name=x; name*1*=a"),
            part("Content-Disposition: form-data; name=x; foo=\"; name=email\""),
            part("Content-Disposition: form-data; x-name=email; name=x"),
            part("Content-Disposition: form-data; filename=\"; name=email\"; name=x"),
            part("Content-Disposition: form-data; name=\"\"; filename=email"),
            part("Content-Disposition: form-data; name=\"\u{1f}email\""),
            part("X-Content-Disposition: form-data; name=email\r\nContent-Disposition: form-data; name=x"),
            part("X: Content-Disposition: form-data; name=email\r\nContent-Disposition: form-data; name=x"),
            part("Content-Disposition: attachment; name=a"),
            part("Content-Disposition : form-data; name=a"),
            part("Content-Disposition: form-data;\r\n name=a"),
            part("Content-Disposition: form-data; name=\"a"),
            part("Content-Disposition: form-data; name=\"em\\ail\""),
            part("Content-Disposition: form-data; name=em\\ail"),
            part("Content-Disposition: form-data; name='email'"),
            part("Content-Disposition: form-data; name=\"=?utf-8?Q?email?=\""),
            part("Content-Transfer-Encoding: base64"),
            part("x\u{0}: y"),
            within("a\n--xy\nb"),
            within("a\n--xy\r\nb"),
            within("a\r--xy\rb"),
            within("a--xy"),
            within("--xy\r\nb"),
        ] {
            for size in [1, 2, 5, 1000] {
                assert_eq!(read(body.as_bytes(), size), Err(Malformed), "{body:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(body: Vec<u8>, size in 1usize..20) {
            let _ = read(&body, size);
            let _ = read(&[b"--xy\r\n", &body[..]].concat(), size);
        }
    }
}

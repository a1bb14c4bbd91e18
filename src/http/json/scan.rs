//! The scanner: strict JSON, chunk by chunk, telling where declared places lie.

use super::member::{declared, is_cut};
use super::number::Number;
use super::skip::{self, plain};
use super::text;
use super::tree::{Leaf, NONE, Node, NodeId, Tree};
use std::sync::Arc;

/// Why a body is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::http) enum Wrong {
    /// Not RFC 8259.
    #[error("the body is not valid JSON")]
    Syntax,
    /// Nested deeper than the limit.
    #[error("the body is nested too deeply")]
    Depth,
    /// A member that the policy names, twice in one object: readers differ in which one counts.
    #[error("a declared member stands twice in one object")]
    Duplicate,
    /// A member that some readers take for a declared one: in other case, cut off by a NUL, or where others inherit from.
    #[error("a member is spelled so that some readers take it for a declared one")]
    Spelling,
    /// An object where items are declared, an array where members are, or in their place what some readers make them of.
    #[error("the body has another shape than the policy declares")]
    Shape,
}

/// What the scanner found, by offset in the buffer that it was run on.
pub(in crate::http) trait Sink {
    /// A value at a declared place.
    fn leaf(&mut self, leaf: Leaf, start: usize, end: usize);
    /// An item begins.
    fn begin(&mut self);
    /// An item has ended.
    fn end(&mut self);
    /// The document has ended.
    fn done(&mut self);
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// A value.
    Value,
    /// The first item of an array, or its end.
    ItemOrEnd,
    /// The first member of an object, or its end.
    NameOrEnd,
    /// A member.
    Name,
    Colon,
    /// A comma or an end.
    Next,
    /// The document is complete.
    Done,
    /// Inside a member's name.
    InName,
    InString,
    InNumber(Number),
    /// Inside `true`, `false` or `null`: what is left of it.
    InWord(&'static [u8]),
}

/// An open array or object.
#[derive(Debug, Clone, Copy)]
struct Frame {
    node: NodeId,
    array: bool,
    /// Items so far.
    items: u32,
    /// Declared members so far, by their number.
    seen: u64,
}

/// The scanner. It keeps its place between chunks.
#[derive(Debug)]
pub(in crate::http) struct Scanner {
    tree: Arc<Tree>,
    state: State,
    stack: Vec<Frame>,
    /// The node of the value that is being read, or comes next.
    node: NodeId,
    /// Where the declared value began.
    start: usize,
    /// The declared value is an array or object, at that depth.
    within: Option<usize>,
    /// Where the name began.
    name: usize,
    /// The name holds an escape.
    escaped: bool,
    /// Text begins where members or items are declared: an id may stand for them, but not their JSON, which some read.
    text: bool,
    /// Within an escape: 5 after the backslash, 4 to 1 hexadecimal digits to come.
    escape: u8,
    begun: bool,
    /// A value may be skipped as a whole: none was found to go on beyond the buffer.
    whole: bool,
    settings: Settings,
}

/// How strict to be.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) struct Settings {
    pub(in crate::http) depth: usize,
    /// One document a line.
    pub(in crate::http) lines: bool,
    /// Refuse other shapes and spellings than those declared: what is written.
    pub(in crate::http) exact: bool,
}

impl Scanner {
    pub(in crate::http) fn new(tree: Arc<Tree>, settings: Settings) -> Self {
        Self { stack: Vec::with_capacity(8), ..Self::with(tree, settings) }
    }

    fn with(tree: Arc<Tree>, settings: Settings) -> Self {
        Self {
            tree,
            state: State::Value,
            stack: Vec::new(),
            node: Tree::ROOT,
            start: 0,
            within: None,
            name: 0,
            escaped: false,
            text: false,
            escape: 0,
            begun: false,
            whole: true,
            settings,
        }
    }

    /// Begins anew, as a new one does, with the same tree.
    pub(in crate::http) fn renew(&mut self, settings: Settings) {
        let stack = std::mem::take(&mut self.stack);
        *self = Self { stack, ..Self::with(Arc::clone(&self.tree), settings) };
        self.stack.clear();
    }

    /// From where on the buffer is needed again; `None` when all of it was understood.
    pub(in crate::http) fn hold(&self) -> Option<usize> {
        if self.within.is_some() {
            return Some(self.start);
        }
        match self.state {
            State::InName if self.tracked() => Some(self.name),
            State::InString | State::InNumber(_) | State::InWord(_) if self.leaf(self.node).is_some() => {
                Some(self.start)
            }
            _ => None,
        }
    }

    /// The first `n` bytes of the buffer were taken away.
    pub(in crate::http) fn shift(&mut self, n: usize) {
        self.start = self.start.saturating_sub(n);
        self.name = self.name.saturating_sub(n);
    }

    fn leaf(&self, node: NodeId) -> Option<Leaf> {
        self.tree.node(node)?.leaf
    }

    /// Whether members of the innermost object are looked at.
    fn tracked(&self) -> bool {
        self.stack.last().is_some_and(|frame| frame.node != NONE)
    }

    /// Reads `buf` from `at` on, to its end.
    pub(in crate::http) fn run(
        &mut self,
        buf: &[u8],
        mut at: usize,
        sink: &mut impl Sink,
    ) -> Result<(), Wrong> {
        self.whole = true;
        while let Some(&byte) = buf.get(at) {
            match self.state {
                State::InString if self.text => match byte {
                    b' ' => at += 1,
                    b'{' | b'[' | b'\\' => return Err(Wrong::Shape),
                    _ => self.text = false,
                },
                State::InString => match self.string(buf, at)? {
                    Some(end) => {
                        at = end;
                        self.value_end(end, sink);
                    }
                    None => return Ok(()),
                },
                State::InName => match self.string(buf, at)? {
                    Some(end) => {
                        self.member(&buf[self.name.min(end)..end])?;
                        at = end;
                        self.state = State::Colon;
                    }
                    None => return Ok(()),
                },
                State::InNumber(number) => {
                    let (number, end) = number.run(buf, at);
                    at = end;
                    self.state = State::InNumber(number);
                    if end < buf.len() {
                        if !number.complete() {
                            return Err(Wrong::Syntax);
                        }
                        self.value_end(at, sink);
                    }
                }
                State::InWord([]) => self.value_end(at, sink),
                State::InWord([next, rest @ ..]) => {
                    if byte != *next {
                        return Err(Wrong::Syntax);
                    }
                    at += 1;
                    self.state = State::InWord(rest);
                    if rest.is_empty() {
                        self.value_end(at, sink);
                    }
                }
                State::Name | State::NameOrEnd if byte == b'"' => at = self.members(buf, at, sink)?,
                State::Value | State::ItemOrEnd if byte > b' ' && byte != b']' => {
                    at = self.value(buf, at, sink)?;
                }
                _ => {
                    match byte {
                        b' ' | b'\t' | b'\r' => {}
                        b'\n' if !self.settings.lines => {}
                        b'\n' => self.line()?,
                        b':' if self.state == State::Colon => self.state = State::Value,
                        b',' if self.state == State::Next => self.comma(),
                        b'}' | b']' => self.close(byte == b']', at + 1, sink)?,
                        _ => return Err(Wrong::Syntax),
                    }
                    at += 1;
                }
            }
        }
        Ok(())
    }

    /// The body has ended; a number may end with it.
    pub(in crate::http) fn finish(&mut self, end: usize, sink: &mut impl Sink) -> Result<(), Wrong> {
        if let State::InNumber(number) = self.state {
            if !number.complete() {
                return Err(Wrong::Syntax);
            }
            self.value_end(end, sink);
        }
        match self.state {
            State::Done => {
                if !self.settings.lines {
                    return Ok(());
                }
                self.line()
            }
            // No body at all, or nothing after the last line.
            State::Value if self.stack.is_empty() && !self.begun => Ok(()),
            _ => Err(Wrong::Syntax),
        }
    }

    /// A line has ended: it holds a whole document, or nothing.
    fn line(&mut self) -> Result<(), Wrong> {
        match self.state {
            State::Done => {
                self.state = State::Value;
                self.node = Tree::ROOT;
                self.begun = false;
                Ok(())
            }
            State::Value if self.stack.is_empty() && !self.begun => Ok(()),
            _ => Err(Wrong::Syntax),
        }
    }

    /// A member's name begins; gives where reading goes on. Members that are whole, and hold nothing declared but
    /// themselves, are read one after another; what is not is left to the other states.
    fn members(&mut self, buf: &[u8], mut at: usize, sink: &mut impl Sink) -> Result<usize, Wrong> {
        let levels = self.settings.depth.saturating_sub(self.stack.len());
        let known = self.stack.last_mut().and_then(|frame| Some((self.tree.node(frame.node)?, frame)));
        // A line break would end a line.
        let Some((node, frame)) = known.filter(|_| !self.settings.lines) else { return self.name(buf, at) };
        loop {
            let from = at + 1;
            let end = from + plain(buf.get(from..).unwrap_or_default());
            if buf.get(end) != Some(&b'"') || buf.get(end + 1) != Some(&b':') {
                return self.name(buf, at);
            }
            let name = buf.get(from..end).unwrap_or_default();
            let child = declared(&self.tree, node, name, &mut frame.seen, self.settings.exact)?;
            let inner = self.tree.node(child);
            at = skip::blank(buf, end + 2);
            let value = match buf.get(at) {
                // Text where members or items are declared: the other states refuse it.
                Some(b'"') if self.settings.exact && inner.is_some_and(Node::holds) => None,
                Some(b'"') => skip::string(buf, at + 1),
                Some(_) if self.whole && inner.is_none_or(|inner| !inner.inner()) => {
                    let end = skip::value(buf, at, levels);
                    // What holds on to the end is read once more, and no oftener.
                    self.whole = end.is_some();
                    end
                }
                _ => None,
            };
            let Some(end) = value else {
                (self.node, self.state) = (child, State::Value);
                return Ok(at);
            };
            if let Some(leaf) = inner.and_then(|inner| inner.leaf) {
                sink.leaf(leaf, at, end);
            }
            at = skip::blank(buf, end);
            if buf.get(at) != Some(&b',') {
                self.state = State::Next;
                return Ok(at);
            }
            at = skip::blank(buf, at + 1);
            if buf.get(at) != Some(&b'"') {
                self.state = State::Name;
                return Ok(at);
            }
        }
    }

    /// A member's name begins; gives where reading goes on. Most names are whole, without escapes, and followed by a colon.
    fn name(&mut self, buf: &[u8], at: usize) -> Result<usize, Wrong> {
        self.name = at;
        self.escaped = false;
        let end = at + 1 + plain(&buf[at + 1..]);
        if buf.get(end) != Some(&b'"') {
            self.state = State::InName;
            return Ok(at + 1);
        }
        self.member(&buf[at..=end])?;
        if buf.get(end + 1) == Some(&b':') {
            self.state = State::Value;
            return Ok(end + 2);
        }
        self.state = State::Colon;
        Ok(end + 1)
    }

    /// A value begins; gives where reading goes on. Most are whole.
    fn value(&mut self, buf: &[u8], at: usize, sink: &mut impl Sink) -> Result<usize, Wrong> {
        if self.whole && self.node == NONE && !self.settings.lines {
            let levels = self.settings.depth.saturating_sub(self.stack.len());
            if let Some(end) = skip::value(buf, at, levels) {
                self.begun = true;
                self.value_end(end, sink);
                return Ok(end);
            }
            // What holds on to the end is read once more, and no oftener.
            self.whole = false;
        }
        self.open(buf[at], at, sink)?;
        let end = match self.state {
            State::InString if self.text => return Ok(at + 1),
            State::InString => {
                let end = at + 1 + plain(&buf[at + 1..]);
                if buf.get(end) != Some(&b'"') {
                    return Ok(at + 1);
                }
                end + 1
            }
            State::InWord(rest) if buf[at + 1..].starts_with(rest) => at + 1 + rest.len(),
            _ => return Ok(at + 1),
        };
        self.value_end(end, sink);
        Ok(end)
    }

    /// Moves over a string's inside; gives the offset after its closing quote.
    fn string(&mut self, buf: &[u8], mut at: usize) -> Result<Option<usize>, Wrong> {
        loop {
            while self.escape > 0 {
                let Some(&byte) = buf.get(at) else { return Ok(None) };
                at += 1;
                self.escape = match (self.escape, byte) {
                    (5, b'u') => 4,
                    (5, b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 0,
                    (1..=4, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => self.escape - 1,
                    _ => return Err(Wrong::Syntax),
                };
            }
            at += plain(&buf[at..]);
            match buf.get(at) {
                None => return Ok(None),
                Some(b'"') => return Ok(Some(at + 1)),
                Some(b'\\') => {
                    self.escaped = true;
                    self.escape = 5;
                    at += 1;
                }
                // A control character.
                Some(_) => return Err(Wrong::Syntax),
            }
        }
    }

    /// A value begins.
    fn open(&mut self, byte: u8, at: usize, sink: &mut impl Sink) -> Result<(), Wrong> {
        self.begun = true;
        if self.node != NONE
            && let Some(node) = self.tree.node(self.node)
        {
            if node.scope {
                sink.begin();
            }
            if node.leaf.is_some() {
                self.start = at;
            }
            if self.settings.exact && node.holds() {
                // Some readers make a list of it. Null, and true or false, hold no value.
                if matches!(byte, b'"' | b'-' | b'0'..=b'9') && self.tree.has_values(node) {
                    return Err(Wrong::Shape);
                }
                self.text = byte == b'"';
            }
        }
        match byte {
            b'{' | b'[' => self.enter(byte == b'[')?,
            b'"' => self.state = State::InString,
            b'-' => self.state = State::InNumber(Number::Minus),
            b'0' => self.state = State::InNumber(Number::Zero),
            b'1'..=b'9' => self.state = State::InNumber(Number::Whole),
            b't' => self.state = State::InWord(b"rue"),
            b'f' => self.state = State::InWord(b"alse"),
            b'n' => self.state = State::InWord(b"ull"),
            _ => return Err(Wrong::Syntax),
        }
        Ok(())
    }

    fn enter(&mut self, array: bool) -> Result<(), Wrong> {
        if self.stack.len() >= self.settings.depth {
            return Err(Wrong::Depth);
        }
        let mut node = self.node;
        if node != NONE
            && let Some(known) = self.tree.node(node)
        {
            if known.leaf.is_some() {
                if self.within.is_none() {
                    self.within = Some(self.stack.len());
                }
            } else if known.inner() && self.settings.exact {
                let fits = if array { known.items() } else { known.members() };
                if !fits {
                    return Err(Wrong::Shape);
                }
            }
            // What isn't declared further in is not looked at. An item's end is still told.
            if !known.inner() && !known.scope && known.leaf.is_none() {
                node = NONE;
            }
        }
        self.stack.push(Frame { node, array, items: 0, seen: 0 });
        if array {
            self.item();
            self.state = State::ItemOrEnd;
        } else {
            self.state = State::NameOrEnd;
        }
        Ok(())
    }

    /// The next value is the innermost array's next item.
    fn item(&mut self) {
        let Some(frame) = self.stack.last_mut() else { return };
        let number = frame.items;
        frame.items = frame.items.saturating_add(1);
        let parent = frame.node;
        self.node = match parent {
            NONE => NONE,
            parent => self.tree.node(parent).map_or(NONE, |node| node.item(number)),
        };
    }

    fn comma(&mut self) {
        match self.stack.last() {
            Some(frame) if frame.array => {
                self.item();
                self.state = State::Value;
            }
            _ => self.state = State::Name,
        }
    }

    fn close(&mut self, array: bool, end: usize, sink: &mut impl Sink) -> Result<(), Wrong> {
        let empty = if array { State::ItemOrEnd } else { State::NameOrEnd };
        if self.state != State::Next && self.state != empty {
            return Err(Wrong::Syntax);
        }
        match self.stack.pop() {
            Some(frame) if frame.array == array => {
                self.node = frame.node;
                if self.within == Some(self.stack.len()) {
                    self.within = None;
                }
                self.value_end(end, sink);
                Ok(())
            }
            _ => Err(Wrong::Syntax),
        }
    }

    fn value_end(&mut self, end: usize, sink: &mut impl Sink) {
        if self.node != NONE
            && let Some(node) = self.tree.node(self.node)
        {
            if let Some(leaf) = node.leaf {
                sink.leaf(leaf, self.start, end);
            }
            if node.scope {
                sink.end();
            }
        }
        if self.stack.is_empty() {
            self.state = State::Done;
            sink.done();
        } else {
            self.state = State::Next;
        }
    }

    /// The member of that raw name comes next.
    fn member(&mut self, raw: &[u8]) -> Result<(), Wrong> {
        let escaped = std::mem::take(&mut self.escaped);
        let Some(frame) = self.stack.last_mut() else { return Err(Wrong::Syntax) };
        if frame.node == NONE {
            self.node = NONE;
            return Ok(());
        }
        let Some(node) = self.tree.node(frame.node) else { return Err(Wrong::Syntax) };
        let decoded;
        let name: &[u8] = if escaped {
            // Half a character can't be part of a declared name.
            decoded = text::decode(raw);
            decoded.as_deref().map_or(b"", str::as_bytes)
        } else {
            raw.get(1..raw.len() - 1).unwrap_or_default()
        };
        if escaped && name.is_empty() && raw.len() > 2 {
            self.node = node.other;
            return Ok(());
        }
        if escaped && self.settings.exact && is_cut(node, name) {
            return Err(Wrong::Spelling);
        }
        self.node = declared(&self.tree, node, name, &mut frame.seen, self.settings.exact)?;
        Ok(())
    }
}

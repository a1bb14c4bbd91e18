//! Sets of characters.

use super::super::collation::{Class, Ctype};
use super::escape::Shorthand;
use hashbrown::HashMap;
use parking_lot::Mutex;
use regex_syntax::hir::{ClassUnicode, ClassUnicodeRange, Hir};
use std::sync::{Arc, LazyLock};

/// Of all characters of a locale's kind, which are of the class: looked up once, since there are a million.
type Known = Mutex<HashMap<(u8, Class), Arc<ClassUnicode>>>;

static KNOWN: LazyLock<Known> = LazyLock::new(Known::default);

fn provider(ctype: &Ctype) -> u8 {
    match ctype {
        Ctype::Ascii => 0,
        Ctype::Libc { .. } => 1,
        Ctype::Icu(_) => 2,
        Ctype::BuiltinSimple => 3,
        Ctype::BuiltinFull => 4,
    }
}

/// The members of a class.
pub(super) fn class(class: Class, ctype: &Ctype) -> ClassUnicode {
    let key = (provider(ctype), class);
    if let Some(set) = KNOWN.lock().get(&key) {
        return ClassUnicode::clone(set);
    }
    let set = ClassUnicode::new(ctype.members(class).into_iter().map(|(a, b)| ClassUnicodeRange::new(a, b)));
    KNOWN.lock().insert(key, Arc::new(set.clone()));
    set
}

/// A class with an escape of its own.
pub(super) fn shorthand(shorthand: Shorthand, negated: bool, ctype: &Ctype) -> ClassUnicode {
    let mut set = match shorthand {
        Shorthand::Class(of) => class(of, ctype),
        Shorthand::Word => {
            let mut set = class(Class::Alnum, ctype);
            set.push(ClassUnicodeRange::new('_', '_'));
            set
        }
    };
    if negated {
        set.negate();
    }
    set
}

/// The characters from the one to the other.
pub(super) fn range(from: char, to: char) -> ClassUnicode {
    ClassUnicode::new([ClassUnicodeRange::new(from, to)])
}

/// One character; without regard to case its two forms.
pub(super) fn one(c: Option<char>, ignore_case: bool, ctype: &Ctype) -> ClassUnicode {
    let Some(c) = c else { return ClassUnicode::empty() };
    if !ignore_case {
        return range(c, c);
    }
    let mut set = range(ctype.lower_char(c), ctype.lower_char(c));
    let upper = ctype.upper_char(c);
    set.push(ClassUnicodeRange::new(upper, upper));
    set
}

/// All characters, or all but the newline.
pub(super) fn any(but_newline: bool) -> ClassUnicode {
    let mut set = if but_newline { range('\n', '\n') } else { ClassUnicode::empty() };
    set.negate();
    set
}

pub(super) fn hir(set: ClassUnicode) -> Hir {
    Hir::class(regex_syntax::hir::Class::Unicode(set))
}

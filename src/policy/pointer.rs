//! JSON pointers as the policy writes them: RFC 6901, with `*` for every item of an array and `**` for any depth.

use super::model::{Pointer, Step};
use std::fmt;

impl Pointer {
    /// Reads a pointer. `*` alone is every item, `**` any depth; members of those names are written `~2` and `~2~2`.
    ///
    /// # Errors
    /// A sentence saying what is expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let Some(rest) = text.strip_prefix('/') else {
            return Err(format!("\"{text}\" is no pointer: it starts with \"/\", as in \"/profile/email\""));
        };
        rest.split('/').map(|part| step(text, part)).collect::<Result<_, _>>().map(Self)
    }

    /// How many arrays lie on its way.
    pub fn stars(&self) -> usize {
        self.0.iter().filter(|step| **step == Step::Each).count()
    }

    /// Whether it reaches any depth.
    pub fn is_deep(&self) -> bool {
        self.0.contains(&Step::Deep)
    }

    /// The steps up to and with its last `*`: the item that it stands in.
    pub fn item(&self) -> &[Step] {
        let end = self.0.iter().rposition(|step| *step == Step::Each).map_or(0, |at| at + 1);
        &self.0[..end]
    }
}

fn step(text: &str, part: &str) -> Result<Step, String> {
    match part {
        "*" => return Ok(Step::Each),
        "**" => return Ok(Step::Deep),
        _ => {}
    }
    let mut name = String::with_capacity(part.len());
    let mut chars = part.chars();
    while let Some(c) = chars.next() {
        name.push(match c {
            '~' => match chars.next() {
                Some('0') => '~',
                Some('1') => '/',
                Some('2') => '*',
                _ => {
                    return Err(format!(
                        "\"{text}\": \"~\" is written ~0, \"/\" ~1 and a member named \"*\" ~2"
                    ));
                }
            },
            c => c,
        });
    }
    Ok(Step::Key(name.into()))
}

/// As the policy writes it.
impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.0 {
            match step {
                Step::Each => f.write_str("/*")?,
                Step::Deep => f.write_str("/**")?,
                Step::Key(name) if matches!(&**name, "*" | "**") => {
                    write!(f, "/{}", name.replace('*', "~2"))?;
                }
                Step::Key(name) => write!(f, "/{}", name.replace('~', "~0").replace('/', "~1"))?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_is_read_and_printed_as_it_was_written() {
        for text in
            ["", "/", "/email", "/*/email", "/data/*/a~1b/~0", "/~2", "/~2~2", "/**/x", "/a*b", "/0/x"]
        {
            assert_eq!(Pointer::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Pointer::parse("/a~1b/*").unwrap().0, [Step::Key("a/b".into()), Step::Each]);
    }

    #[test]
    fn other_spellings_are_refused() {
        for text in ["email", "#/email", "/a~", "/a~3", "$.email"] {
            assert!(Pointer::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_value_stands_in_the_innermost_item() {
        let pointer = Pointer::parse("/data/*/phones/*/number").unwrap();
        assert_eq!(pointer.stars(), 2);
        assert_eq!(Pointer(pointer.item().to_vec()).to_string(), "/data/*/phones/*");
        assert!(Pointer::parse("/email").unwrap().item().is_empty());
    }
}

//! The invented HR directory: always the same people, from a fixed seed.

use super::words::{
    BIO_END, BIO_MIDDLE, BIO_START, CITIES, COMMENTS, EMOJI, FIRST_NAMES, JOBS, LAST_NAMES, SEARCHES, SKILLS,
    STREETS,
};
use jiff::civil::Date;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use std::collections::HashMap;

/// The seed of the directory: change it and every person is another one.
const SEED: u64 = 0x0050_6172_6176_656E;

/// How many different posts the comments stand under.
pub(super) const POSTS: i32 = 120;

/// The post under which the demo's main character comments, with others.
pub(super) const TOLD_POST: i32 = 7;

/// One invented person, with all that the directory keeps about them.
pub(super) struct Person {
    pub(super) last_name: String,
    pub(super) first_name: String,
    pub(super) email: String,
    pub(super) birth_date: Option<Date>,
    pub(super) arrival_date: Option<Date>,
    pub(super) job_title: Option<String>,
    pub(super) skills: Option<Value>,
    pub(super) biography: Option<String>,
    pub(super) photo: Option<Vec<u8>>,
    /// (`home` or `work`, address).
    pub(super) addresses: Vec<(&'static str, String)>,
    /// (`mobile` or `work`, number).
    pub(super) phones: Vec<(&'static str, String)>,
    /// (network, URL).
    pub(super) links: Vec<(&'static str, String)>,
    /// (post, text).
    pub(super) comments: Vec<(i32, String)>,
    pub(super) searches: Vec<String>,
}

impl Person {
    /// How many values of this person the gateway protects (those that are not NULL).
    pub(super) fn fields(&self) -> usize {
        let optional = [
            self.birth_date.is_some(),
            self.arrival_date.is_some(),
            self.job_title.is_some(),
            self.skills.is_some(),
            self.biography.is_some(),
            self.photo.is_some(),
        ];
        3 + optional.iter().filter(|there| **there).count() + self.rows()
    }

    /// Rows in the tables beside `people`.
    pub(super) fn rows(&self) -> usize {
        self.addresses.len()
            + self.phones.len()
            + self.links.len()
            + self.comments.len()
            + self.searches.len()
    }

    /// Values so particular that finding one in a file means that it leaked there.
    pub(super) fn telling(&self) -> impl Iterator<Item = &str> {
        let texts =
            self.addresses.iter().chain(&self.phones).chain(&self.links).map(|(_, text)| text.as_str());
        texts.chain(self.biography.as_deref()).chain([self.email.as_str()])
    }
}

/// `count` people, always the same ones.
pub(super) fn people(count: usize) -> Vec<Person> {
    let mut rng = StdRng::seed_from_u64(SEED);
    let mut taken = HashMap::new();
    (0..count).map(|_| person(&mut rng, &mut taken)).collect()
}

/// The one whose story the demo tells.
pub(super) fn heroine() -> Person {
    let photo = photo(&mut StdRng::seed_from_u64(SEED ^ 1), 1_400);
    Person {
        last_name: "Lefèvre-N’Diaye".into(),
        first_name: "Zoë".into(),
        email: "zoe.lefevre@paravent.example".into(),
        birth_date: Some(jiff::civil::date(1987, 3, 14)),
        arrival_date: Some(jiff::civil::date(2019, 9, 2)),
        job_title: Some("Responsable éditoriale".into()),
        skills: Some(json!(["rédaction", "typographie", "gestion de projet"])),
        biography: Some(
            "Née à Saint-Étienne, passée par Dakar et Montréal. Relit tout deux fois, sauf les recettes. 🥐📚".into(),
        ),
        photo: Some(photo),
        addresses: vec![("home", "14 bis, rue des Tanneurs, 42000 Saint-Étienne".into())],
        phones: vec![("mobile", "+33 6 39 98 14 87".into()), ("work", "+33 4 65 71 20 19".into())],
        links: vec![("mastodon", "https://social.example/@zoe.lefevre".into())],
        comments: vec![
            (TOLD_POST, "Bravo à l’équipe ! Je passe demain avec des croissants 🥐".into()),
            (11, "Ma fille est née mardi, je reprends en septembre.".into()),
        ],
        searches: vec!["congé parental".into(), "mutuelle ayant droit".into()],
    }
}

fn person(rng: &mut StdRng, taken: &mut HashMap<String, u32>) -> Person {
    let first_name = pick(rng, FIRST_NAMES).to_owned();
    let mut last_name = pick(rng, LAST_NAMES).to_owned();
    if rng.random_ratio(1, 8) {
        last_name = format!("{last_name}-{}", pick(rng, LAST_NAMES));
    }
    let email = email(&first_name, &last_name, taken);
    let handle = email.split('@').next().unwrap_or_default().to_owned();
    Person {
        birth_date: maybe(rng, 9, |rng| date(rng, 1959, 2004)),
        arrival_date: maybe(rng, 19, |rng| date(rng, 1995, 2025)),
        job_title: maybe(rng, 9, |rng| pick(rng, JOBS).to_owned()),
        skills: maybe(rng, 6, skills),
        biography: maybe(rng, 4, biography),
        photo: maybe(rng, 2, |rng| {
            let size = rng.random_range(300..2_500);
            photo(rng, size)
        }),
        addresses: some(rng, 1, 2, |rng, i| (["home", "work"][i % 2], address(rng))),
        phones: some(rng, 0, 2, |rng, i| (["mobile", "work"][i % 2], phone(rng, i))),
        links: some(rng, 0, 2, |_, i| match i {
            0 => ("linkedin", format!("https://linkedin.example/in/{handle}")),
            _ => ("mastodon", format!("https://social.example/@{handle}")),
        }),
        comments: some(rng, 0, 3, |rng, _| (rng.random_range(1..=POSTS), comment(rng))),
        searches: some(rng, 0, 3, |rng, _| pick(rng, SEARCHES).to_owned()),
        last_name,
        first_name,
        email,
    }
}

fn pick<'a>(rng: &mut StdRng, words: &[&'a str]) -> &'a str {
    words[rng.random_range(0..words.len())]
}

/// A value, or NULL once in `often + 1` times.
fn maybe<T>(rng: &mut StdRng, often: u32, make: impl FnOnce(&mut StdRng) -> T) -> Option<T> {
    rng.random_ratio(often, often + 1).then(|| make(rng))
}

fn some<T>(
    rng: &mut StdRng,
    least: usize,
    most: usize,
    mut make: impl FnMut(&mut StdRng, usize) -> T,
) -> Vec<T> {
    let count = rng.random_range(least..=most);
    (0..count).map(|i| make(rng, i)).collect()
}

fn date(rng: &mut StdRng, from: i16, to: i16) -> Date {
    jiff::civil::date(rng.random_range(from..=to), rng.random_range(1..=12), rng.random_range(1..=28))
}

fn skills(rng: &mut StdRng) -> Value {
    Value::from(some(rng, 1, 5, |rng, _| pick(rng, SKILLS)))
}

/// Mostly two sentences; one in thirty runs over pages.
fn biography(rng: &mut StdRng) -> String {
    let sentences = if rng.random_ratio(1, 30) { rng.random_range(60..220) } else { rng.random_range(1..3) };
    let mut text =
        format!("{} {}.", pick(rng, BIO_START), pick(rng, CITIES).split_once(' ').unwrap_or_default().1);
    for i in 0..sentences {
        text.push(if i % 12 == 11 { '\n' } else { ' ' });
        text.push_str(pick(rng, BIO_MIDDLE));
        text.push(' ');
        text.push_str(pick(rng, BIO_END));
    }
    if rng.random_ratio(1, 4) {
        text.push(' ');
        text.push_str(pick(rng, EMOJI));
    }
    // A number of one's own, so that each biography is told from all others.
    text.push_str(&format!(" (fiche {})", rng.random_range(100_000..1_000_000)));
    text
}

/// Bytes that begin as a PNG does.
fn photo(rng: &mut StdRng, size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    rng.fill(&mut bytes[..]);
    bytes[..8].copy_from_slice(b"\x89PNG\r\n\x1a\n");
    bytes
}

fn address(rng: &mut StdRng) -> String {
    let bis = if rng.random_ratio(1, 12) { " bis" } else { "" };
    format!("{}{bis}, {}, {}", rng.random_range(1..240), pick(rng, STREETS), pick(rng, CITIES))
}

/// A number from the ranges that France sets aside for fiction.
fn phone(rng: &mut StdRng, i: usize) -> String {
    let (a, b) = (rng.random_range(0..100), rng.random_range(0..100));
    if i == 0 { format!("+33 6 39 98 {a:02} {b:02}") } else { format!("+33 4 65 71 {a:02} {b:02}") }
}

fn comment(rng: &mut StdRng) -> String {
    let text = pick(rng, COMMENTS);
    if rng.random_ratio(1, 3) { format!("{text} {}", pick(rng, EMOJI)) } else { text.to_owned() }
}

/// An address of its own for everyone: a namesake gets a number.
fn email(first: &str, last: &str, taken: &mut HashMap<String, u32>) -> String {
    let name = format!("{}.{}", plain(first), plain(last));
    let count = taken.entry(name.clone()).or_insert(0);
    *count += 1;
    let number = if *count > 1 { count.to_string() } else { String::new() };
    format!("{name}{number}@paravent.example")
}

/// Lower case, without accents or signs.
fn plain(name: &str) -> String {
    let mut out = String::new();
    for c in name.to_lowercase().chars() {
        match c {
            'é' | 'è' | 'ê' | 'ë' => out.push('e'),
            'à' | 'â' | 'ä' => out.push('a'),
            'î' | 'ï' => out.push('i'),
            'ô' | 'ö' => out.push('o'),
            'ù' | 'û' | 'ü' => out.push('u'),
            'ç' => out.push('c'),
            'ÿ' => out.push('y'),
            'œ' => out.push_str("oe"),
            'æ' => out.push_str("ae"),
            c if c.is_ascii_alphanumeric() => out.push(c),
            _ => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn makes_the_same_people_every_time() {
        let (one, two) = (people(300), people(300));
        assert!(
            one.iter()
                .zip(&two)
                .all(|(a, b)| a.email == b.email && a.photo == b.photo && a.phones == b.phones)
        );
    }

    #[test]
    fn gives_everyone_an_email_of_their_own() {
        let people = people(2_500);
        let emails: HashSet<_> = people.iter().map(|p| p.email.as_str()).collect();
        assert_eq!(emails.len(), people.len());
        assert!(emails.iter().all(|e| e.is_ascii() && !e.contains(' ')));
        assert!(!emails.contains(heroine().email.as_str()));
    }

    #[test]
    fn holds_what_is_hard_accents_nulls_emoji_and_long_texts() {
        let people = people(2_000);
        assert!(people.iter().any(|p| p.last_name.contains('è')));
        assert!(people.iter().any(|p| p.birth_date.is_none()) && people.iter().any(|p| p.photo.is_none()));
        assert!(
            people
                .iter()
                .flat_map(|p| &p.comments)
                .any(|(_, text)| text.chars().any(|c| c as u32 > 0x1_0000))
        );
        assert!(people.iter().filter_map(|p| p.biography.as_deref()).any(|b| b.len() > 8_000));
        assert!(people.iter().any(|p| p.biography.as_deref().is_some_and(|b| b.contains('\n'))));
    }
}

//! Whose data was opened: the answer to a breach.

use super::entry::event;
use super::verify::Walk;
use super::{Broken, Entry, Principal};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use utoipa::ToSchema;

/// What is asked for. Times are RFC 3339 in UTC, as the log writes them: they compare as text.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Not before.
    pub from: Option<String>,
    /// Not after.
    pub to: Option<String>,
    /// Only this database user, application, or principal of the admin API.
    pub principal: Option<String>,
    /// Only this field.
    pub field: Option<String>,
}

/// Whose data was opened.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct Report {
    /// As asked.
    pub from: Option<String>,
    /// As asked.
    pub to: Option<String>,
    /// Everybody whose data was opened, by stand-in.
    pub people: Vec<PersonReport>,
    /// Everybody who opened something.
    pub principals: Vec<String>,
    /// Values that were opened, in batches that overlap the time asked for (of any field).
    pub values: u64,
    /// Keys whose subjects were erased within a moment of the opening: whose they were, nobody can tell.
    pub erased_at_once: u64,
    /// Entries that were read.
    pub entries: u64,
    /// The newest entry read: number and hash.
    pub head: (u64, String),
    /// What this report can't know.
    pub uncertainty: Vec<String>,
}

/// One person's part.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct PersonReport {
    /// What the log calls the person.
    pub stand_in: String,
    /// The person's class, where the person is known still.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub class: Option<String>,
    /// The person's id, where the person is known still.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub id: Option<String>,
    /// Each field that was opened.
    pub fields: BTreeMap<String, FieldReport>,
}

/// One field of one person.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct FieldReport {
    /// Not opened before, within the time asked for.
    pub first: String,
    /// Not opened after.
    pub last: String,
    /// By whom, and through what.
    pub by: BTreeSet<String>,
}

/// Reads the log.
///
/// # Errors
/// [`Broken`]: a log that doesn't hold together tells nothing.
pub fn report(path: &Path, filter: &Filter) -> Result<Report, Broken> {
    let mut gathered = Gathered::default();
    let mut walk = Walk::of_all(path)?;
    let mut report = Report { from: filter.from.clone(), to: filter.to.clone(), ..Report::default() };
    while let Some(entry) = walk.next_entry()? {
        report.entries += 1;
        gathered.take(entry, filter, &mut report);
    }
    let (sequence, hash, _) = walk.end();
    report.head = (sequence, hex::encode(hash));
    gathered.end(report, filter, walk.is_cut())
}

#[derive(Default)]
struct Gathered {
    people: BTreeMap<String, BTreeMap<String, FieldReport>>,
    principals: BTreeSet<String>,
    /// One stand-in that went on as another.
    links: HashMap<String, String>,
    /// Times of starts after a run that did not stop in order.
    unclean: Vec<String>,
    first: Option<String>,
    last: Option<String>,
}

impl Gathered {
    fn take(&mut self, entry: Entry, filter: &Filter, report: &mut Report) {
        self.first.get_or_insert_with(|| entry.time.clone());
        self.last = Some(entry.time.clone());
        match entry.event.as_str() {
            event::OPENED => self.opened(entry, filter, report),
            event::LINKED => {
                if let (Some(before), Some(after)) = (entry.before, entry.after) {
                    self.links.insert(before, after);
                }
            }
            event::STARTED if entry.unclean == Some(true) && within(&entry.time, &entry.time, filter) => {
                self.unclean.push(entry.time);
            }
            _ => {}
        }
    }

    fn opened(&mut self, entry: Entry, filter: &Filter, report: &mut Report) {
        let (Some(by), Some(from), Some(until)) = (entry.by, entry.from, entry.until) else { return };
        let asked = filter.principal.as_deref();
        let named = asked.is_none_or(|p| p == &*by.user || p == &*by.application);
        if !named || !within(&from, &until, filter) {
            return;
        }
        let who = told(&by);
        let wanted = |field: &String| filter.field.as_ref().is_none_or(|asked| asked == field);
        let mut any = false;
        for group in entry.opened {
            for field in group.fields.iter().filter(|field| wanted(field)) {
                for subject in &group.subjects {
                    any = true;
                    let fields = self.people.entry(subject.clone()).or_default();
                    note(fields.entry(field.clone()).or_default(), &from, &until, &who);
                }
            }
        }
        for erased in entry.erased.iter().filter(|erased| erased.fields.iter().any(wanted)) {
            any = true;
            report.erased_at_once += erased.keys;
        }
        if any || entry.values.is_some() && filter.field.is_none() {
            report.values += entry.values.unwrap_or(0);
            self.principals.insert(who);
        }
    }

    fn end(mut self, mut report: Report, filter: &Filter, cut: bool) -> Result<Report, Broken> {
        let people = std::mem::take(&mut self.people);
        let mut joined: BTreeMap<String, BTreeMap<String, FieldReport>> = BTreeMap::new();
        for (stand_in, fields) in people {
            let known = joined.entry(self.newest(stand_in)).or_default();
            for (name, field) in fields {
                let into = known.entry(name).or_default();
                for who in &field.by {
                    note(into, &field.first, &field.last, who);
                }
            }
        }
        let person = |(stand_in, fields)| PersonReport { stand_in, class: None, id: None, fields };
        report.people = joined.into_iter().map(person).collect();
        report.uncertainty = self.uncertainty(filter, cut, report.erased_at_once);
        report.principals = self.principals.into_iter().collect();
        Ok(report)
    }

    /// The stand-in that this one goes by now.
    fn newest(&self, mut stand_in: String) -> String {
        // A chain of re-keyings; never a circle, but a damaged log must not hang a report.
        for _ in 0..1000 {
            match self.links.get(&stand_in) {
                Some(next) => stand_in.clone_from(next),
                None => break,
            }
        }
        stand_in
    }

    fn uncertainty(&self, filter: &Filter, cut: bool, erased: u64) -> Vec<String> {
        let mut told = vec![
            "times are those of the entry's first and last batch: values were opened at or between them"
                .to_owned(),
            "opened means sent to that principal; what it did with it is not known here".to_owned(),
        ];
        if let (Some(asked), Some(first)) = (&filter.from, &self.first)
            && asked < first
        {
            told.push(format!("the log begins at {first}: what was opened before is not known"));
        }
        if let (Some(asked), Some(last)) = (&filter.to, &self.last)
            && asked > last
        {
            told.push(format!("the newest entry is of {last}"));
        }
        for time in &self.unclean {
            told.push(format!("the run before {time} did not stop in order: its last moment may be missing"));
        }
        if cut {
            told.push("the last line was cut short by a crash".to_owned());
        }
        if erased > 0 {
            told.push(format!(
                "{erased} keys belonged to people who were erased within a moment of the opening"
            ));
        }
        told
    }
}

fn within(from: &str, until: &str, filter: &Filter) -> bool {
    filter.from.as_deref().is_none_or(|asked| until >= asked)
        && filter.to.as_deref().is_none_or(|asked| from <= asked)
}

fn note(field: &mut FieldReport, from: &str, until: &str, who: &str) {
    if field.first.is_empty() || from < field.first.as_str() {
        from.clone_into(&mut field.first);
    }
    if until > field.last.as_str() {
        until.clone_into(&mut field.last);
    }
    if !field.by.contains(who) {
        field.by.insert(who.to_owned());
    }
}

/// A principal in one line.
fn told(by: &Principal) -> String {
    let mut text = by.user.to_string();
    for (word, part) in
        [("as", &by.application), ("from", &by.client), ("in", &by.database), ("via", &by.via)]
    {
        if !part.is_empty() {
            text.push_str(&format!(" {word} {part}"));
        }
    }
    text
}

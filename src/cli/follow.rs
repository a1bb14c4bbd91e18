//! A job of a running gateway, followed with a bar.

use super::Stop;
use super::remote::Remote;
use crate::jobs::Jobs;
use hyper::Method;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

/// Looks at a waiting job before it is believed: the first may find what it waited for before it was asked again.
const LOOKS: u32 = 10;

/// How a job was left.
pub(super) enum Ended {
    /// It is over.
    Done(Value),
    /// Somebody has to do this first.
    Waiting(String),
}

/// Follows a job to its end, or to what it waits for.
pub(super) fn to_the_end(remote: &Remote, mut job: Value) -> Result<Ended, Stop> {
    let path = format!("/v1/jobs/{}", text(&job, "id"));
    let bar = bar();
    let mut waits = 0;
    let ended = loop {
        show(&bar, &job);
        match text(&job, "state") {
            "done" => break Ended::Done(job),
            "waiting" if waits > LOOKS => break Ended::Waiting(text(&job, "detail").to_owned()),
            "waiting" => waits += 1,
            _ => waits = 0,
        }
        std::thread::sleep(Jobs::LOOK_AGAIN);
        job = remote.ask(Method::GET, &path)?;
    };
    bar.finish_and_clear();
    Ok(ended)
}

/// On standard error, and only on a terminal.
fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{msg:10} [{bar:40}] {human_pos}/{human_len} {per_sec} {eta}");
    let bar = ProgressBar::new(0);
    style.map_or(bar.clone(), |style| bar.with_style(style.progress_chars("=> ")))
}

fn show(bar: &ProgressBar, job: &Value) {
    let (done, total) = (job["done"].as_u64().unwrap_or(0), job["total"].as_u64().unwrap_or(0));
    bar.set_message(text(job, "stage").to_owned());
    bar.set_length(total.max(done));
    bar.set_position(done);
}

/// A member that is a text.
pub(super) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

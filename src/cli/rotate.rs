//! `paravent keys list|rotate|destroy` of a running gateway.

use super::remote::Remote;
use super::{Stop, say, say_error};
use crate::jobs::Jobs;
use hyper::Method;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

pub(super) fn list(remote: &Remote) -> Result<(), Stop> {
    let answer = remote.ask(Method::GET, "/v1/keys")?;
    for key in answer["keys"].as_array().map(Vec::as_slice).unwrap_or_default() {
        let made = key["created"].as_str().map(|made| format!(", made {made}")).unwrap_or_default();
        say(&format!(
            "generation {}, {}{made}, {} dependents",
            key["generation"],
            text(key, "state"),
            key["dependents"]
        ))?;
    }
    Ok(())
}

pub(super) fn destroy(remote: &Remote, generation: u32) -> Result<(), Stop> {
    remote.ask(Method::DELETE, &format!("/v1/keys/{generation}"))?;
    say(&format!("generation {generation} is destroyed"))
}

/// Asks for a rotation, and follows it to its end (or to what it waits for).
pub(super) fn rotate(remote: &Remote, no_wait: bool) -> Result<(), Stop> {
    let mut job = remote.ask(Method::POST, "/v1/keys/rotate")?;
    let id = text(&job, "id").to_owned();
    say(&id)?;
    if no_wait {
        return Ok(());
    }
    let bar = bar();
    let mut waits = 0;
    loop {
        show(&bar, &job);
        match text(&job, "state") {
            "done" => break,
            // The first look may find what it waited for before it was asked again.
            "waiting" if waits > 10 => {
                bar.finish_and_clear();
                say_error(&format!("the rotation waits: {}", text(&job, "detail")));
                return Err(Stop::failed("the old generation is not destroyed yet"));
            }
            "waiting" => waits += 1,
            _ => waits = 0,
        }
        std::thread::sleep(Jobs::LOOK_AGAIN);
        job = remote.ask(Method::GET, &format!("/v1/jobs/{id}"))?;
    }
    bar.finish_and_clear();
    say(&format!("generation {} is active, generation {} is destroyed", job["to"], job["from"]))
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

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

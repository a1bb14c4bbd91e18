//! `paravent keys list|rotate|destroy` of a running gateway.

use super::follow::{self, Ended, text};
use super::remote::Remote;
use super::{Stop, say, say_error};
use hyper::Method;
use serde_json::Value;

pub(super) fn list(remote: &Remote) -> Result<(), Stop> {
    let answer: Value = remote.ask(Method::GET, "/v1/keys")?;
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
    let job = remote.ask(Method::POST, "/v1/keys/rotate")?;
    say(text(&job, "id"))?;
    if no_wait {
        return Ok(());
    }
    match follow::to_the_end(remote, job)? {
        Ended::Done(job) => {
            say(&format!("generation {} is active, generation {} is destroyed", job["to"], job["from"]))
        }
        Ended::Waiting(why) => {
            say_error(&format!("the rotation waits: {why}"));
            Err(Stop::failed("the old generation is not destroyed yet"))
        }
    }
}

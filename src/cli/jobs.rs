//! `paravent jobs list|resume`, through the admin API.

use super::args::JobsCommand;
use super::follow::text;
use super::remote::Remote;
use super::{Stop, say};
use crate::fault::Exit;
use hyper::Method;

pub(super) fn run(command: JobsCommand) -> Result<Exit, Stop> {
    let answer = match command {
        JobsCommand::List(api) => Remote::of(api)?.ask(Method::GET, "/v1/jobs")?,
        JobsCommand::Resume(api) => Remote::of(api)?.ask(Method::POST, "/v1/jobs/resume")?,
    };
    for job in answer["jobs"].as_array().map(Vec::as_slice).unwrap_or_default() {
        let detail = match text(job, "detail") {
            "" => String::new(),
            detail => format!(": {detail}"),
        };
        say(&format!(
            "{} {} {} {}{detail}",
            text(job, "id"),
            text(job, "kind"),
            text(job, "state"),
            text(job, "stage")
        ))?;
    }
    Ok(Exit::Done)
}

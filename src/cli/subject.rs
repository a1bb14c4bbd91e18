//! `paravent subject show|erase|export|restrict|release|rekey|unsettled`, through the admin API.

use super::args::{Api, SubjectArgs, SubjectCommand};
use super::follow::{self, Ended, text};
use super::remote::Remote;
use super::{Stop, say};
use crate::admin::client::segment;
use crate::fault::Exit;
use hyper::Method;

pub(super) fn run(command: SubjectCommand) -> Result<Exit, Stop> {
    let (method, action, subject, ground) = match command {
        SubjectCommand::Show(subject) => (Method::GET, "", subject, None),
        SubjectCommand::Erase { subject, ground } => (Method::DELETE, "", subject, ground),
        SubjectCommand::Export(subject) => (Method::GET, "/export", subject, None),
        SubjectCommand::Restrict(subject) => (Method::POST, "/restrict", subject, None),
        SubjectCommand::Release(subject) => (Method::POST, "/release", subject, None),
        SubjectCommand::Rekey { subject, no_wait } => return rekey(subject, no_wait),
        SubjectCommand::Unsettled(api) => return unsettled(api),
    };
    let path =
        with(path(&subject, action), &[("realm", subject.realm.as_deref()), ("ground", ground.as_deref())]);
    ask(subject.api, method, &path)
}

fn path(subject: &SubjectArgs, action: &str) -> String {
    format!("/v1/subjects/{}/{}{action}", segment(&subject.class), segment(&subject.id))
}

/// A line for each creation, oldest first.
fn unsettled(api: Api) -> Result<Exit, Stop> {
    let answer = Remote::of(api)?.ask(Method::GET, "/v1/unsettled")?;
    for one in answer["creations"].as_array().map(Vec::as_slice).unwrap_or_default() {
        let class = Some(text(one, "class")).filter(|class| !class.is_empty()).unwrap_or("-");
        let (id, made_at, listener) = (text(one, "id"), text(one, "made_at"), text(one, "listener"));
        let (age, keys) = (one["age_seconds"].as_u64(), one["keys"].as_u64());
        let (age, keys) = (age.unwrap_or_default(), keys.unwrap_or_default());
        say(&format!("{id} {class} {listener} {made_at} ({age} s ago, {keys} keys)"))?;
    }
    Ok(Exit::Done)
}

/// Follows the job to its end, or to what it waits for.
fn rekey(subject: SubjectArgs, no_wait: bool) -> Result<Exit, Stop> {
    let path = with(path(&subject, "/rekey"), &[("realm", subject.realm.as_deref())]);
    let remote = Remote::of(subject.api)?;
    let job = remote.ask(Method::POST, &path)?;
    if no_wait {
        say(&job.to_string())?;
        return Ok(Exit::Done);
    }
    match follow::to_the_end(&remote, job)? {
        Ended::Done(job) => {
            say(&job.to_string())?;
            Ok(Exit::Done)
        }
        Ended::Waiting(why) => Err(Stop::failed(format!("the re-keying waits: {why}"))),
    }
}

/// One request; its answer on stdout.
pub(super) fn ask(api: Api, method: Method, path: &str) -> Result<Exit, Stop> {
    say(&Remote::of(api)?.text(method, path)?)?;
    Ok(Exit::Done)
}

/// A path with those parameters that are given.
pub(super) fn with(path: String, parameters: &[(&str, Option<&str>)]) -> String {
    let given: Vec<String> = parameters
        .iter()
        .filter_map(|(name, value)| value.map(|value| format!("{name}={}", segment(value))))
        .collect();
    if given.is_empty() { path } else { format!("{path}?{}", given.join("&")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_parameters_are_escaped() {
        let path = || format!("/v1/subjects/person/{}", segment("a/b"));
        assert_eq!(with(path(), &[("realm", None), ("ground", None)]), "/v1/subjects/person/a%2Fb");
        assert_eq!(
            with(path(), &[("realm", Some("é")), ("ground", Some("art. 17 & co"))]),
            "/v1/subjects/person/a%2Fb?realm=%C3%A9&ground=art.%2017%20%26%20co"
        );
    }
}

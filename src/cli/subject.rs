//! `paravent subject show|erase|export|restrict|release`, through the admin API.

use super::args::{Api, SubjectCommand};
use super::remote::{problem, stop};
use super::{Stop, block_on, say};
use crate::admin::client::{Client, segment};
use crate::fault::Exit;
use hyper::Method;

pub(super) fn run(command: SubjectCommand) -> Result<Exit, Stop> {
    let (method, action, subject, ground) = match command {
        SubjectCommand::Show(subject) => (Method::GET, "", subject, None),
        SubjectCommand::Erase { subject, ground } => (Method::DELETE, "", subject, ground),
        SubjectCommand::Export(subject) => (Method::GET, "/export", subject, None),
        SubjectCommand::Restrict(subject) => (Method::POST, "/restrict", subject, None),
        SubjectCommand::Release(subject) => (Method::POST, "/release", subject, None),
    };
    let path = format!("/v1/subjects/{}/{}{action}", segment(&subject.class), segment(&subject.id));
    let path = with(path, &[("realm", subject.realm.as_deref()), ("ground", ground.as_deref())]);
    ask(&subject.api, method, &path)
}

/// One request; its answer on stdout.
pub(super) fn ask(api: &Api, method: Method, path: &str) -> Result<Exit, Stop> {
    let token = std::env::var("PARAVENT_ADMIN_TOKEN")
        .map_err(|_| Stop::usage("PARAVENT_ADMIN_TOKEN holds no token; `paravent admin token` makes one"))?;
    let client = Client::new(&api.admin, token, api.ca.clone()).map_err(stop)?;
    let answer = block_on(async { client.send(method, path).await.map_err(stop) })?;
    if answer.status == 200 {
        say(&answer.body)?;
        return Ok(Exit::Done);
    }
    Err(Stop::failed(problem(answer.status, &answer.body)))
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

    #[test]
    fn a_problem_is_told_in_one_line() {
        let body = r#"{"type":"docs/errors.md#x","title":"No","status":403,"detail":"why"}"#;
        assert_eq!(problem(403, body), "No: why (403, docs/errors.md#x)");
        assert_eq!(problem(502, "<html>"), "the admin API answered 502");
    }
}

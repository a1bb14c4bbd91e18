//! `paravent subject show|erase`, through the admin API.

use super::args::{SubjectArgs, SubjectCommand};
use super::remote::{problem, stop};
use super::{Stop, block_on, say};
use crate::admin::client::{Client, segment};
use crate::fault::Exit;
use hyper::Method;

pub(super) fn run(command: SubjectCommand) -> Result<Exit, Stop> {
    let (method, subject, ground) = match command {
        SubjectCommand::Show(subject) => (Method::GET, subject, None),
        SubjectCommand::Erase { subject, ground } => (Method::DELETE, subject, ground),
    };
    let token = std::env::var("PARAVENT_ADMIN_TOKEN")
        .map_err(|_| Stop::usage("PARAVENT_ADMIN_TOKEN holds no token; `paravent admin token` makes one"))?;
    let client = Client::new(&subject.admin, token, subject.ca.clone()).map_err(stop)?;
    let path = path(&subject, ground.as_deref());
    let answer = block_on(async { client.send(method, &path).await.map_err(stop) })?;
    if answer.status == 200 {
        say(&answer.body)?;
        return Ok(Exit::Done);
    }
    Err(Stop::failed(problem(answer.status, &answer.body)))
}

fn path(subject: &SubjectArgs, ground: Option<&str>) -> String {
    let parameters: Vec<String> = [("realm", subject.realm.as_deref()), ("ground", ground)]
        .into_iter()
        .filter_map(|(name, value)| value.map(|value| format!("{name}={}", segment(value))))
        .collect();
    let path = format!("/v1/subjects/{}/{}", segment(&subject.class), segment(&subject.id));
    if parameters.is_empty() { path } else { format!("{path}?{}", parameters.join("&")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(class: &str, id: &str, realm: Option<&str>) -> SubjectArgs {
        let text = str::to_owned;
        SubjectArgs {
            class: text(class),
            id: text(id),
            realm: realm.map(text),
            admin: String::new(),
            ca: None,
        }
    }

    #[test]
    fn ids_and_parameters_are_escaped() {
        assert_eq!(path(&subject("person", "42", None), None), "/v1/subjects/person/42");
        assert_eq!(
            path(&subject("person", "a/b", Some("é")), Some("art. 17 & co")),
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

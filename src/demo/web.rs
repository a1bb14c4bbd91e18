//! The act in which the directory is reached through its HTTP API, and what an erasure means there.

use super::Result;
use super::acts::Stage;
use super::api::read;
use super::show::{self, act, check, say, sql};
use serde_json::Value;

/// One request through the gateway, one around it, and a search by e-mail.
pub(super) async fn same_person(stage: &Stage) -> Result<()> {
    act(8, "The same directory, through an HTTP API");
    say(
        "A small API reads this database. In front of it, the same `paravent serve` has an [[http]] listener: same \
         fields, same keys, no change in the API.",
    );
    let path = format!("/people/{}", stage.id);
    sql(&format!("GET {path}"));
    let (clear, sealed) = (read(stage.gateway.http, &path).await?.1, read(stage.api.address, &path).await?.1);
    show::members(("through the gateway", &clear), ("around it", &sealed));
    let heroine = &stage.heroine;
    check(
        clear["last_name"] == heroine.last_name.as_str() && clear["email"] == heroine.email.as_str(),
        "what was written through SQL is read through HTTP, in clear",
    )?;
    let hidden =
        ["last_name", "first_name", "email", "job_title"].iter().all(|name| sealed[*name] != clear[*name]);
    check(
        hidden && sealed["active"] == clear["active"],
        "the API itself never has a clear value in its hands",
    )?;
    let path = format!("/people?email={}", heroine.email.replace('@', "%40"));
    sql(&format!("GET {path}"));
    let (status, found) = read(stage.gateway.http, &path).await?;
    let hers = found.as_array().is_some_and(|list| list.len() == 1) && found[0]["id"] == clear["id"];
    check(status == 200 && hers, "the address in the URL reaches the API as its token, and finds her")
}

/// She is gone there, too.
pub(super) async fn is_erased(stage: &Stage) -> Result<()> {
    let (_, person) = read(stage.gateway.http, &format!("/people/{}", stage.id)).await?;
    let empty = |name: &str| matches!(&person[name], Value::Null) || person[name] == "";
    check(
        ["last_name", "first_name", "email", "job_title"].into_iter().all(empty) && person["active"] == true,
        "through HTTP: every field of hers is empty",
    )
}

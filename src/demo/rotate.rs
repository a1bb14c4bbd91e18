//! The act in which an erasure becomes final.

use super::acts::{Stage, is_erased};
use super::show::{self, act, check, say, sql};
use super::{DemoError, Result, admin, io_error};
use hyper::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// How long the rotation may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// Rotates the root key, and shows the receipt at its last stage.
pub(super) async fn to_the_end(stage: &Stage, receipt: &str) -> Result<()> {
    act(12, "The root key is rotated, and the erasure is final");
    say(
        "Whoever kept a copy of the keystore from before still holds her wrapped secrets, and the root key opens them. So \
         that root key goes: everybody else's secrets are wrapped again under a new one, a backup is made and verified, \
         and the old one is destroyed. The application goes on meanwhile.",
    );
    sql("POST /v1/keys/rotate");
    let begun = Instant::now();
    let (_, mut job) = admin::operate(&stage.gateway, Method::POST, "/v1/keys/rotate").await?;
    let path = format!("/v1/jobs/{}", job["id"].as_str().unwrap_or_default());
    job = until(stage, &path, |job| job["state"] == "done").await?;
    check(
        job["from"] == 1 && job["to"] == 2,
        &format!(
            "in {:.1} s: generation 2 is active, generation 1 is destroyed",
            begun.elapsed().as_secs_f64()
        ),
    )?;
    let keys =
        std::fs::read_to_string(stage.gateway.home().join("keys")).map_err(io_error("reading the keys"))?;
    let left: Vec<&str> = keys.lines().filter_map(|line| line.split(' ').next()).collect();
    check(left == ["2"], "the key file holds the new root key only; the old line was overwritten")?;
    let path = format!("/v1/receipts/{receipt}");
    sql(&format!("GET {path}"));
    let last = until(stage, &path, |receipt| receipt["stage"] == "final").await?;
    show::json(&json!({
        "stage": last["stage"], "finality": last["finality"], "times": last["times"], "swept": last["swept"],
        "not_covered": last["not_covered"].as_array().into_iter().flatten().map(|n| n["what"].clone()).collect::<Vec<_>>(),
    }));
    check(
        last["finality"] == "operator-attested",
        "her receipt moved on by itself: swept out of the tables, and final, on the word of who keeps the key file",
    )?;
    is_erased(stage, &stage.app, "after the rotation").await
}

/// Asks until the answer is as it should be.
async fn until(stage: &Stage, path: &str, there: impl Fn(&Value) -> bool) -> Result<Value> {
    let begun = Instant::now();
    loop {
        let (_, answer) = admin::call(&stage.gateway, Method::GET, path).await?;
        if there(&answer) {
            return Ok(answer);
        }
        if begun.elapsed() > PATIENCE {
            return Err(DemoError::Broken(format!("{path} comes to its end; it is {answer}")));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

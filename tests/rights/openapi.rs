//! The running API against its own description: schemathesis, as it comes.

use crate::support::World;
use crate::support::python::python;
use std::process::Command;

/// Requests that are sent to each operation at most.
const EXAMPLES: &str = "40";

#[test]
fn schemathesis_finds_no_failure_and_no_answer_outside_the_description() {
    let mut world = World::new();
    world.people(&["Ana", "Bea"]);
    let python = python("schemathesis", "schemathesis>=4,<5\n");
    let tool = python.parent().unwrap().join("st");
    for role in ["privacy", "operator", "auditor"] {
        let url = world.gateway.admin_url();
        let out = Command::new(&tool)
            .current_dir(world.gateway.home.path("."))
            .args(["run", &format!("{url}/openapi.json"), "--url", &url])
            .args(["--header", &format!("Authorization: Bearer {}", world.gateway.home.token(role))])
            .args(["--max-examples", EXAMPLES, "--seed", "1", "--no-color"])
            // A backup is written wherever on this machine the request says.
            .args(["--exclude-path", "/v1/keystore/backup"])
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "as {role}:\n{text}");
    }
    assert!(world.gateway.alive());
}

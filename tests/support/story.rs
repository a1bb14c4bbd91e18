//! One story for all drivers (`story/steps.txt`): a small program for each tells it to a clear copy, directly, and to
//! the protected tables through the gateway. What it prints must be the same, line by line.

use super::World;
use super::canary::assert_absent;
use super::postgres::Options;
use serde_json::Value;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// By these every personal value of the stories can be told.
const PERSONAL: &[&[u8]] = &[
    b"canari@x.example",
    b"-canari",
    b"canari-",
    b"-Canari",
    b"1987-03-29",
    b"48213.57",
    b"9007199254740993",
    b"6fa459ea-ee8a-4ca4-894e-db77e160355e",
    b"\x00\xff\xca\xfe\xc0\xff\xee\x5c\x27",
    "d'Orléans".as_bytes(),
    b"bien trop long",
    b"2020-13-45",
];

/// A file or folder of the stories.
pub fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/story").join(name)
}

/// Tells the story in each mode: `program` is followed by the steps' file, port, database and mode.
pub fn tell(exercised: &str, modes: &[&str], program: impl Fn() -> Command) {
    tell_with(exercised, modes, |port, database, mode| {
        let mut command = program();
        command.arg(path("steps.txt")).args([&port.to_string(), database, mode]);
        output(command)
    });
}

/// The same with a story of the program's own, as ORMs have: the steps are written in their terms.
pub fn tell_own(exercised: &str, modes: &[&str], program: impl Fn() -> Command) {
    let run = |port: u16, database: &str, mode: &str| {
        let mut command = program();
        command.args([&port.to_string(), database, mode]);
        output(command)
    };
    told(exercised, modes, run, |direct| assert!(direct.len() > 20, "the story ends early"));
}

/// What a program prints; it must end well.
pub fn output(mut command: Command) -> String {
    let out = command.output().unwrap();
    let (text, error) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(
        out.status.success(),
        "{command:?} failed after:\n{}\n{error}",
        text.lines().last().unwrap_or("")
    );
    text.into_owned()
}

/// The story for what is no program of its own.
pub fn tell_with(exercised: &str, modes: &[&str], run: impl Fn(u16, &str, &str) -> String) {
    let steps = std::fs::read_to_string(path("steps.txt")).unwrap();
    let steps = steps.lines().filter(|line| line.starts_with("# ")).count();
    told(exercised, modes, run, |direct| {
        assert!(steps > 50 && direct.len() > steps, "the story ends early: {:?}", direct.last());
    });
}

fn told(exercised: &str, modes: &[&str], run: impl Fn(u16, &str, &str) -> String, whole: impl Fn(&[Value])) {
    let mut driver = None;
    for mode in modes {
        let world = World::with(&Options { log_all: true, ..Options::default() });
        // COPY without ids: the gateway draws them on its own login.
        world.direct().rows("GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO paravent");
        // In clear the server is not to show its parameters: the gateway takes an error's context away.
        world.direct().rows("ALTER DATABASE clear SET log_parameter_max_length_on_error = 0");
        let through = lines(&run(world.gateway.port(), "app", mode));
        for (place, bytes) in [
            ("the database", world.pg.dump("app").into_bytes()),
            ("the server's log", world.pg.log().into_bytes()),
            ("the gateway's log", world.gateway.log()),
        ] {
            assert_absent(place, &bytes, PERSONAL);
        }
        for (file, bytes) in world.gateway.home.stored_files() {
            assert_absent(&file.display().to_string(), &bytes, PERSONAL);
        }
        let direct = lines(&run(world.pg.port(), "clear", mode));
        assert!(world.pg.log().contains("canari@x.example"), "what was sent in clear would be found");
        whole(&direct);
        compare(mode, &direct, &through);
        driver = Some(direct[0].clone());
    }
    let driver = driver.expect("at least one mode");
    let word =
        |name: &str| driver[name].as_str().unwrap_or_else(|| panic!("a {name} in {driver}")).to_owned();
    record(&word("driver"), &word("version"), exercised);
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

/// All steps of the file, and those of the driver's own, answered alike.
fn compare(mode: &str, direct: &[Value], through: &[Value]) {
    let mut different = String::new();
    for (one, other) in direct.iter().zip(through) {
        let step = one["step"].as_str().unwrap_or("the driver");
        let (_, allowed) = step.split_once(" ! ").unwrap_or((step, ""));
        let alike = match allowed {
            // An ORM may keep the hint to itself.
            "refused" => {
                let text = other.to_string();
                one.get("error").is_none() && text.contains("0A000") && text.contains("paravent: ")
            }
            "value" => code(one).is_some() && code(one) == code(other),
            "detail" => code(one).is_some() && without_detail(one) == without_detail(other),
            "" => one == other,
            _ => panic!("what may differ in `{step}`?"),
        };
        if !alike {
            write!(different, "\n`{step}`\n  direct:  {one}\n  through: {other}\n").unwrap();
        }
    }
    assert!(different.is_empty(), "{mode}:\n{different}");
    assert_eq!(direct.len(), through.len(), "{mode}");
}

/// The SQLSTATE of an answer that is an error.
fn code(line: &Value) -> Option<&str> {
    line.pointer("/error/code").or_else(|| line.pointer("/answer/error/code"))?.as_str()
}

/// Without the DETAIL, which some drivers put into the message.
fn without_detail(line: &Value) -> Value {
    let mut line = line.clone();
    let error = if line.get("error").is_some() { "/error" } else { "/answer/error" };
    if let Some(error) = line.pointer_mut(error).and_then(Value::as_object_mut) {
        error.remove("detail");
        if let Some(Value::String(message)) = error.get_mut("message") {
            message.truncate(message.find("DETAIL:").unwrap_or(message.len()));
            message.truncate(message.trim_end().len());
        }
    }
    line
}

/// A line of the table that `make test-clients` prints. README has it as well, but for the version.
pub fn record(driver: &str, version: &str, exercised: &str) {
    let readme = include_str!("../../README.md");
    let known = readme.lines().any(|l| l.starts_with(&format!("| {driver} |")) && l.contains(exercised));
    assert!(known, "README's table of clients has no line `| {driver} | … | {exercised} |`");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clients");
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join(driver.replace(['/', ' '], "-"));
    std::fs::write(file, format!("| {driver} | {version} | {exercised} | same as direct |\n")).unwrap();
}

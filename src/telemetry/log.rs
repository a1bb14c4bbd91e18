//! Log lines: `tracing`, to stderr (stdout belongs to `listening …` lines and command output).

use tracing::{Level, Metadata};
use tracing_subscriber::filter::{FilterExt as _, filter_fn};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum LogFormat {
    /// One line a person reads.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// Libraries whose finer lines hold what passes through them: frames, header fields, names.
const QUIET: [&str; 6] = ["h2", "hyper", "hyper_util", "rustls", "tokio_rustls", "tower"];

/// Whether lines of that kind may be written, whatever the filter asks for.
fn is_fit(metadata: &Metadata<'_>) -> bool {
    *metadata.level() <= Level::WARN || !is_quiet(metadata.target())
}

fn is_quiet(target: &str) -> bool {
    target.split("::").next().is_some_and(|library| QUIET.contains(&library))
}

/// Starts logging for the whole process. `filter` is `tracing_subscriber`'s directive syntax, such as
/// `info` or `paravent::pg=debug,audit=info`.
///
/// # Errors
/// A sentence when the filter doesn't parse. A second start in one process changes nothing.
pub fn start(filter: &str, format: LogFormat) -> Result<(), String> {
    let filter =
        EnvFilter::try_new(filter).map_err(|error| format!("the log filter does not parse: {error}"))?;
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()));
    let lines = match format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().boxed(),
    };
    let filter = filter.and(filter_fn(is_fit));
    // The only error is that a subscriber is already set.
    let _ = tracing_subscriber::registry().with(lines.with_filter(filter)).try_init();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_filter_reaches_the_finer_lines_of_a_library_that_sees_what_passes() {
        for target in ["h2", "h2::server", "hyper::proto::h1", "tower::buffer"] {
            assert!(is_quiet(target), "{target}");
        }
        for target in ["paravent::http", "h2o", "audit"] {
            assert!(!is_quiet(target), "{target}");
        }
    }

    #[test]
    fn a_filter_that_does_not_parse_is_said_so() {
        assert!(start("paravent=loudest", LogFormat::Text).unwrap_err().contains("does not parse"));
    }
}

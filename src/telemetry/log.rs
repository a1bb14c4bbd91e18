//! Log lines: `tracing`, to stderr (stdout belongs to `listening …` lines and command output).

use tracing_subscriber::EnvFilter;

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
const QUIET: [&str; 6] =
    ["h2=warn", "hyper=warn", "hyper_util=warn", "rustls=warn", "tokio_rustls=warn", "tower=warn"];

/// Starts logging for the whole process. `filter` is `tracing_subscriber`'s directive syntax, such as
/// `info` or `paravent::pg=debug,audit=info`.
///
/// # Errors
/// A sentence when the filter doesn't parse. A second start in one process changes nothing.
pub fn start(filter: &str, format: LogFormat) -> Result<(), String> {
    let mut filter =
        EnvFilter::try_new(filter).map_err(|error| format!("the log filter does not parse: {error}"))?;
    // More exact than a level for all, and put in place of what was asked for the library itself.
    for quiet in QUIET {
        filter = filter.add_directive(quiet.parse().map_err(|error| format!("{quiet}: {error}"))?);
    }
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()));
    // The only error is that a subscriber is already set.
    let _ = match format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_does_not_parse_is_said_so() {
        assert!(start("paravent=loudest", LogFormat::Text).unwrap_err().contains("does not parse"));
    }
}

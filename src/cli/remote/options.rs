//! Whom to ask, and how.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use jangada::actors::Consistency;
use jangada::client::{self, DEFAULT_ENDPOINTS, Endpoint, Rule};
use tokio::signal::unix::{SignalKind, signal as on};
use uuid::Uuid;

use super::failure::Failure;

#[derive(Args)]
#[command(next_help_heading = "Whom to ask, and how")]
pub(super) struct Options {
    /// The servers to ask, until one answers: some of the cluster's, as `http://HOST:PORT`
    /// [default: http://127.0.0.1:3001 to 3005]
    #[arg(long, value_name = "URL,...", env = "JANGADA_ENDPOINTS", value_delimiter = ',')]
    endpoints: Vec<Endpoint>,
    /// The certificate of the authority that vouches for the servers, for `https`
    #[arg(long, value_name = "FILE", env = "JANGADA_CACERT")]
    cacert: Option<PathBuf>,
    /// The file whose first line is the token to show them [default: what JANGADA_TOKEN says]
    #[arg(long, value_name = "FILE", env = "JANGADA_TOKEN_FILE")]
    token_file: Option<PathBuf>,
    /// For how long to go on trying, as in `500ms`, `30s`, `2m`; what moves is not cut off
    #[arg(long, value_name = "TIME", env = "JANGADA_TIMEOUT", default_value = "30s",
          value_parser = parse_duration)]
    timeout: Duration,
    /// What to print on standard output: words for a person, or JSON for a program
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Output::Table)]
    pub(super) output: Output,
    /// Say nothing on standard error but what goes wrong
    #[arg(short, long)]
    pub(super) quiet: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    Table,
    Json,
}

/// What a read may miss.
#[derive(Args)]
pub(super) struct Reads {
    /// What may be missing: nothing; nothing while clocks are sound; or whatever the server lacks
    #[arg(long, value_enum, value_name = "LEVEL", default_value_t = Level::Linearizable)]
    consistency: Level,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Level {
    Linearizable,
    Lease,
    Stale,
}

/// What must hold for a change.
#[derive(Args)]
pub(super) struct If {
    /// Only if the file has this revision; 0 if there must be none of the name; UUID.N if it must be
    /// this very file, as `stat` shows it
    #[arg(long, value_name = "N", value_parser = parse_rule)]
    if_revision: Option<Rule>,
}

impl If {
    pub(super) fn rule(&self) -> Rule {
        self.if_revision.unwrap_or_default()
    }
}

impl Reads {
    pub(super) fn consistency(&self) -> Consistency {
        match self.consistency {
            Level::Linearizable => Consistency::Linearizable,
            Level::Lease => Consistency::Lease,
            Level::Stale => Consistency::Stale,
        }
    }
}

impl Options {
    /// Whether nobody said whom to ask.
    pub(super) fn asks_everywhere(&self) -> bool {
        self.endpoints.is_empty()
    }

    pub(super) fn client(&self) -> Result<client::Options, Failure> {
        let everywhere = || DEFAULT_ENDPOINTS.split(',').filter_map(|text| text.parse().ok());
        let endpoints = match self.asks_everywhere() {
            true => everywhere().collect(),
            false => self.endpoints.clone(),
        };
        let token = match &self.token_file {
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))?;
                Some(text.lines().next().unwrap_or_default().trim().to_owned())
            }
            None => std::env::var("JANGADA_TOKEN").ok().filter(|token| !token.is_empty()),
        };
        let (authority, timeout) = (self.cacert.clone(), self.timeout);
        Ok(client::Options { endpoints, authority, token, timeout })
    }
}

/// Waits for a signal that ends the program, and returns its number.
pub(super) async fn signal() -> io::Result<u8> {
    let mut interrupt = on(SignalKind::interrupt())?;
    let mut terminate = on(SignalKind::terminate())?;
    Ok(tokio::select! {
        _ = interrupt.recv() => 2,
        _ = terminate.recv() => 15,
    })
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no time: write it like 500ms, 30s or 2m");
    let units = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)];
    let (number, unit) = units
        .iter()
        .find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, *factor)))
        .ok_or_else(wrong)?;
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let milliseconds = number.checked_mul(unit).filter(|it| (1..=86_400_000).contains(it));
    milliseconds
        .map(Duration::from_millis)
        .ok_or_else(|| format!("`{text}` is too long or too short: from 1ms to 24h will do"))
}

fn parse_rule(text: &str) -> Result<Rule, String> {
    let wrong = || format!("`{text}` is no revision: write a number, or UUID.NUMBER");
    match text.split_once('.') {
        Some((uuid, revision)) => {
            let uuid = Uuid::try_parse(uuid).map_err(|_| wrong())?;
            Ok(Rule::Version(uuid, revision.parse().map_err(|_| wrong())?))
        }
        None => match text.parse().map_err(|_| wrong())? {
            0 => Ok(Rule::Absent),
            revision => Ok(Rule::Revision(revision)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_revisions_are_read() {
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("2m"), Ok(Duration::from_secs(120)));
        for wrong in ["", "5", "s", "-1s", "1.5s", "0s", "25h", "99999999999999999999s"] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
        assert_eq!(parse_rule("0"), Ok(Rule::Absent));
        assert_eq!(parse_rule("7"), Ok(Rule::Revision(7)));
        let version = "4f4c0f3a-0000-4000-8000-000000000001.3";
        assert!(matches!(parse_rule(version), Ok(Rule::Version(_, 3))));
        assert!(parse_rule("x.1").is_err() && parse_rule("-1").is_err());
    }
}

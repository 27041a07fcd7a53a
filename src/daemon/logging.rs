//! What a server writes to standard error: lines for people, or JSON for programs.

use std::io::{self, Write};

use env_logger::fmt::Formatter;
use log::kv::{self, Key, Value, VisitSource};
use serde_json::{Map, json};

use super::config::LogFormat;
use crate::actors::{Event, EventKind, Recorder};

/// Begins to log: what `filter` (a level, or what `RUST_LOG` has) lets through.
pub fn start(filter: &str, format: LogFormat) {
    let mut builder = env_logger::Builder::new();
    builder.parse_filters(filter);
    builder.format(match format {
        LogFormat::Text => text,
        LogFormat::Json => json_line,
    });
    // Whoever began before has its way.
    let _ = builder.try_init();
}

fn text(out: &mut Formatter, record: &log::Record<'_>) -> io::Result<()> {
    let style = out.default_level_style(record.level());
    let (time, level) = (out.timestamp_millis(), record.level());
    write!(out, "{time} {style}{level:<5}{style:#} {}", record.args())?;
    let mut pairs = Pairs(out, Ok(()));
    let _ = record.key_values().visit(&mut pairs);
    pairs.1?;
    writeln!(out)
}

/// Writes what belongs to a line behind it, as in `term=4`.
struct Pairs<'a>(&'a mut Formatter, io::Result<()>);

impl<'kvs> VisitSource<'kvs> for Pairs<'_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), kv::Error> {
        let text = value.to_string();
        let quoted = text.is_empty() || text.contains([' ', '"', '\n']);
        let written = match quoted {
            true => write!(self.0, " {key}={text:?}"),
            false => write!(self.0, " {key}={text}"),
        };
        self.1 = std::mem::replace(&mut self.1, Ok(())).and(written);
        Ok(())
    }
}

fn json_line(out: &mut Formatter, record: &log::Record<'_>) -> io::Result<()> {
    let mut line = Map::new();
    line.insert("time".to_owned(), json!(out.timestamp_micros().to_string()));
    line.insert("level".to_owned(), json!(record.level().as_str().to_lowercase()));
    line.insert("target".to_owned(), json!(record.target()));
    line.insert("message".to_owned(), json!(record.args().to_string()));
    let _ = record.key_values().visit(&mut Members(&mut line));
    writeln!(out, "{}", serde_json::Value::Object(line))
}

/// Adds what belongs to a line as members; numbers and truth values stay what they are.
struct Members<'a>(&'a mut Map<String, serde_json::Value>);

impl<'kvs> VisitSource<'kvs> for Members<'_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), kv::Error> {
        let value = match (value.to_u64(), value.to_f64(), value.to_bool()) {
            (Some(number), ..) => json!(number),
            (_, Some(number), _) => json!(number),
            (.., Some(truth)) => json!(truth),
            _ => json!(value.to_string()),
        };
        self.0.insert(key.as_str().to_owned(), value);
        Ok(())
    }
}

/// Logs every event of a server from now on.
pub(super) fn follow(recorder: &Recorder) {
    recorder.watch(log_event);
}

fn log_event(Event { kind, .. }: &Event) {
    match kind {
        EventKind::Failed { server, .. } | EventKind::Diverged { server, .. } => {
            log::error!(server = server.0; "{kind}");
        }
        EventKind::Violated(_) => log::error!("{kind}"),
        EventKind::Torn { server, .. } | EventKind::HandoverAborted { server, .. } => {
            log::warn!(server = server.0; "{kind}");
        }
        EventKind::Became { server, role, term, leader, .. } => {
            let leader = leader.map_or(0, |leader| leader.0);
            log::info!(server = server.0, role:% = role, term = term.0, leader; "{kind}");
        }
        EventKind::Started(server) | EventKind::Ended { server, .. } => {
            log::info!(server = server.0; "{kind}");
        }
        EventKind::Configured { server, at, .. } => {
            log::info!(server = server.0, index = at.0; "{kind}");
        }
        EventKind::Snapshotted { server, last_included }
        | EventKind::Installed { server, last_included, .. } => {
            log::info!(server = server.0, index = last_included.index.0; "{kind}");
        }
        EventKind::Applied { .. } => log::debug!("{kind}"),
        _ => log::info!("{kind}"),
    }
}

//! `jangada watch`: changes as they happen.

use std::io::{self, Write};

use clap::Args;
use jangada::client::{Change, Client};

use super::{Failure, Screen, Verb};

#[derive(Args)]
pub(crate) struct Watch {
    /// Only files whose names begin so
    #[arg(default_value = "", hide_default_value = true)]
    prefix: String,
    /// The changes behind this log index [default: from now on]
    #[arg(long, value_name = "INDEX")]
    from: Option<u64>,
    /// End after so many changes
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
}

impl Verb for Watch {
    /// Every change is written as it comes: in JSON, one a line.
    async fn run(&self, client: &Client, screen: &Screen) -> Result<(), Failure> {
        let mut watch = client.watch(self.from, &self.prefix).await?;
        let mut out = screen.out();
        let mut told = 0;
        while self.limit.is_none_or(|limit| told < limit) {
            let change = watch.next().await?;
            if screen.is_json() {
                serde_json::to_writer(&mut out, &change).map_err(io::Error::from)?;
                writeln!(out)?;
            } else {
                writeln!(out, "{}", line(&change))?;
            }
            out.flush()?;
            told += 1;
        }
        Ok(())
    }
}

fn line(change: &Change) -> String {
    let Change { index, kind, name, revision, .. } = change;
    let more = match change {
        Change { from: Some(from), .. } => format!(", it was {from}"),
        Change { added: Some(added), .. } => format!(", {added} bytes more"),
        Change { size: Some(size), .. } => format!(", {size} bytes"),
        _ => String::new(),
    };
    format!("{index:>8}  {kind:<8}  {name} (revision {revision}{more})")
}

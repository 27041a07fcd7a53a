//! Names: ls, rm, mv, stat.

use std::io::{self, Write};

use clap::Args;
use jangada::client::{Client, Error};

use super::failure::{Failure, code_of};
use super::options::{If, Reads};
use super::{Screen, Verb};

#[derive(Args)]
pub(crate) struct Ls {
    /// Only names that begin so
    #[arg(default_value = "", hide_default_value = true)]
    prefix: String,
    /// The names alone, one a line
    #[arg(long)]
    names: bool,
    #[command(flatten)]
    reads: Reads,
}

#[derive(Args)]
pub(crate) struct Rm {
    /// The files
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    #[command(flatten)]
    condition: If,
}

#[derive(Args)]
pub(crate) struct Mv {
    /// The name it has
    old: String,
    /// The name it gets, which no file has
    new: String,
    #[command(flatten)]
    condition: If,
}

#[derive(Args)]
pub(crate) struct Stat {
    /// The file
    name: String,
    /// The file as it was when this log entry had been applied
    #[arg(long, value_name = "INDEX")]
    at: Option<u64>,
    #[command(flatten)]
    reads: Reads,
}

impl Verb for Ls {
    /// Page by page, however many there are.
    async fn run(&self, client: &Client, screen: &Screen) -> Result<(), Failure> {
        let mut list = client.list(&self.prefix, self.reads.consistency());
        let mut out = screen.out();
        let (mut first, json) = (true, screen.is_json() && !self.names);
        loop {
            let files = list.next().await?;
            if first && json {
                write!(out, "[")?;
            } else if first && !self.names && !files.is_empty() {
                writeln!(out, "{:>12}  {:>8}  NAME", "SIZE", "REVISION")?;
            }
            if files.is_empty() {
                break;
            }
            for file in files {
                if self.names {
                    writeln!(out, "{}", file.name)?;
                } else if json {
                    out.write_all(if first { b"\n" } else { b",\n" })?;
                    serde_json::to_writer(&mut out, &file).map_err(io::Error::from)?;
                } else {
                    writeln!(out, "{:>12}  {:>8}  {}", file.size, file.revision, file.name)?;
                }
                first = false;
            }
        }
        if json {
            writeln!(out, "{}]", if first { "" } else { "\n" })?;
        }
        out.flush()?;
        Ok(())
    }
}

impl Verb for Rm {
    /// What cannot be deleted does not keep the others.
    async fn run(&self, client: &Client, screen: &Screen) -> Result<(), Failure> {
        let mut failed = None;
        for name in &self.names {
            match client.delete(name, self.condition.rule()).await {
                Ok(()) => screen.say(format!("deleted {name}")),
                // Nobody is there for the others either.
                Err(error @ (Error::Unavailable(_) | Error::Silence { .. })) => {
                    return Err(error.into());
                }
                Err(error) => {
                    super::super::complain(&format!("jangada: {name}: {error}"));
                    failed.get_or_insert(code_of(&error));
                }
            }
        }
        failed.map_or(Ok(()), |code| Err(Failure::Told(code)))
    }
}

impl Verb for Mv {
    async fn run(&self, client: &Client, screen: &Screen) -> Result<(), Failure> {
        let done = client.rename(&self.old, &self.new, self.condition.rule()).await?;
        let revision = done.revision;
        screen.show(&done, format!("{} is now {}, revision {revision}", self.old, self.new))?;
        Ok(())
    }
}

impl Verb for Stat {
    async fn run(&self, client: &Client, screen: &Screen) -> Result<(), Failure> {
        let file = client.stat(&self.name, self.at, self.reads.consistency()).await?;
        if screen.is_json() {
            screen.print_json(&file)?;
            return Ok(());
        }
        let mut out = screen.out();
        writeln!(out, "name      {}", file.name)?;
        writeln!(out, "size      {}", file.size)?;
        if let Some(hash) = &file.hash {
            writeln!(out, "blake3    {hash}")?;
        }
        writeln!(out, "revision  {}", file.revision)?;
        writeln!(out, "version   {}", file.version())?;
        writeln!(out, "index     {}", file.index)?;
        out.flush()?;
        Ok(())
    }
}

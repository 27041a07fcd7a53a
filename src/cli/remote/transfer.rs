//! Contents in and out: put, append, get, cat.

use std::fs;
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use clap::Args;
use jangada::client::{Client, Content, Download, Error, Reading, Rule};

use super::options::{If, Reads};
use super::{Failure, Screen, Verb};

/// What is sent: a file, or standard input.
#[derive(Args)]
struct Source {
    /// The file to read, or `-` for standard input
    #[arg(value_name = "FILE")]
    path: PathBuf,
    #[arg(skip)]
    content: Option<Content>,
}

#[derive(Args)]
pub(crate) struct Put {
    #[command(flatten)]
    source: Source,
    /// The name to store it under [default: the last part of FILE]
    name: Option<String>,
    /// Only if no file has the name
    #[arg(long, conflicts_with = "if_revision")]
    no_replace: bool,
    #[command(flatten)]
    condition: If,
}

#[derive(Args)]
pub(crate) struct Append {
    /// The file to add to
    name: String,
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    condition: If,
}

/// What is read.
#[derive(Args)]
struct Part {
    /// The file as it was when this log entry had been applied
    #[arg(long, value_name = "INDEX")]
    at: Option<u64>,
    /// The bytes from A up to and without B; `A..` up to the end, `..B` from the beginning
    #[arg(long, value_name = "A..B", value_parser = parse_range)]
    range: Option<Range<u64>>,
    #[command(flatten)]
    reads: Reads,
}

#[derive(Args)]
pub(crate) struct Get {
    /// The file
    name: String,
    /// Where to: a file, a folder, or `-` for standard output [default: the last part of NAME]
    dest: Option<PathBuf>,
    #[command(flatten)]
    part: Part,
}

#[derive(Args)]
pub(crate) struct Cat {
    /// The files, one after the other
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    #[command(flatten)]
    part: Part,
}

/// What stands for standard input and output.
const STANDARD: &str = "-";

impl Source {
    /// Standard input is read to its end before anything is asked, so that it can be sent again.
    fn prepare(&mut self) -> Result<(), Failure> {
        self.content = Some(if self.path == Path::new(STANDARD) {
            Content::of_reader(io::stdin().lock(), "standard input")?
        } else {
            Content::of_file(&self.path)?
        });
        Ok(())
    }

    fn content(&self) -> &Content {
        self.content.as_ref().expect("invariant: prepared before it is run")
    }
}

impl Verb for Put {
    fn prepare(&mut self) -> Result<(), Failure> {
        if self.name.is_none() {
            let last =
                self.source.path.file_name().filter(|_| self.source.path != Path::new(STANDARD));
            let last = last.ok_or_else(|| {
                Failure::Usage("say under which name to store it: jangada put FILE NAME".to_owned())
            })?;
            let text = last.to_str().ok_or_else(|| {
                Failure::Usage(format!("{} is no UTF-8: give a NAME", last.display()))
            })?;
            self.name = Some(text.to_owned());
        }
        self.source.prepare()
    }

    async fn run(&self, client: &Client, screen: &Screen) -> Result<(), Failure> {
        let name = self.name.as_deref().unwrap_or_default();
        let content = self.source.content();
        let rule = if self.no_replace { Rule::Absent } else { self.condition.rule() };
        let bar = screen.bytes(name, content.size());
        let shown = bar.clone();
        let stored = client.put(name, content, rule, move |sent| shown.set_position(sent)).await;
        bar.finish_and_clear();
        let file = stored?;
        let (size, revision) = (file.size, file.revision);
        let word = if file.replaced.is_some() { "replaced" } else { "stored" };
        screen.show(&file, format!("{word} {name}: {size} bytes, revision {revision}"))?;
        Ok(())
    }
}

impl Verb for Append {
    fn prepare(&mut self) -> Result<(), Failure> {
        self.source.prepare()
    }

    async fn run(&self, client: &Client, screen: &Screen) -> Result<(), Failure> {
        let (name, content) = (&self.name, self.source.content());
        let bar = screen.bytes(name, content.size());
        let shown = bar.clone();
        let progress = move |sent| shown.set_position(sent);
        let done = client.append(name, content, self.condition.rule(), progress).await;
        bar.finish_and_clear();
        let done = done?;
        let (added, size, revision) = (done.added, done.size, done.revision);
        let message = format!("appended to {name}: {added} bytes, now {size}, revision {revision}");
        screen.show(&done, message)?;
        Ok(())
    }
}

impl Part {
    fn reading(&self) -> Reading {
        let (at, range) = (self.at, self.range.clone());
        Reading { at, range, consistency: self.reads.consistency(), version: None }
    }
}

impl Verb for Get {
    async fn run(&self, client: &Client, screen: &Screen) -> Result<(), Failure> {
        let last = self.name.rsplit('/').next().unwrap_or(&self.name);
        let dest = match &self.dest {
            Some(dest) if dest == Path::new(STANDARD) => {
                return print(client, screen, &self.name, self.part.reading()).await;
            }
            Some(dest) if dest.is_dir() => dest.join(last),
            Some(dest) => dest.clone(),
            None => PathBuf::from(last),
        };
        let failed = |error| Error::Local { what: dest.display().to_string(), error };
        let mut download = client.read(&self.name, self.part.reading()).await?;
        let folder = match dest.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        // It is not there before all of it is.
        let mut file = tempfile::Builder::new()
            .prefix(".jangada-")
            .permissions(permissions(&dest))
            .tempfile_in(folder)
            .map_err(failed)?;
        let bar = screen.bytes(&self.name, download.length());
        copy(&mut download, file.as_file_mut(), |length| bar.inc(length)).await?.map_err(failed)?;
        bar.finish_and_clear();
        file.as_file().sync_all().map_err(failed)?;
        file.persist(&dest).map_err(|error| failed(error.error))?;
        let (length, hash) = (download.length(), download.hash());
        let told = serde_json::json!({
            "name": self.name, "path": dest, "size": length, "hash": hash.to_string(),
        });
        screen.show(&told, format!("{} is in {}: {length} bytes", self.name, dest.display()))?;
        Ok(())
    }
}

impl Verb for Cat {
    async fn run(&self, client: &Client, screen: &Screen) -> Result<(), Failure> {
        for name in &self.names {
            print(client, screen, name, self.part.reading()).await?;
        }
        Ok(())
    }
}

/// Writes a content to standard output.
async fn print(
    client: &Client,
    screen: &Screen,
    name: &str,
    reading: Reading,
) -> Result<(), Failure> {
    let mut download = client.read(name, reading).await?;
    let mut out = screen.out();
    copy(&mut download, &mut out, |_| {}).await??;
    out.flush()?;
    Ok(())
}

/// Writes what comes, and tells how much that was each time.
async fn copy(
    download: &mut Download<'_>,
    to: &mut impl Write,
    told: impl Fn(u64),
) -> Result<io::Result<()>, Error> {
    while let Some(bytes) = download.next().await? {
        if let Err(error) = to.write_all(&bytes) {
            return Ok(Err(error));
        }
        told(bytes.len() as u64);
    }
    Ok(Ok(()))
}

/// Those of the file that is there; else for everybody, as far as the process's mask lets it.
fn permissions(dest: &Path) -> fs::Permissions {
    use std::os::unix::fs::PermissionsExt;
    let there = fs::metadata(dest).ok().filter(fs::Metadata::is_file);
    there.map_or_else(|| fs::Permissions::from_mode(0o666), |there| there.permissions())
}

fn parse_range(text: &str) -> Result<Range<u64>, String> {
    let wrong = || format!("`{text}` is no range: write it like 0..100, 100.. or ..100");
    let (start, end) = text.split_once("..").ok_or_else(wrong)?;
    let number = |text: &str, open: u64| match text {
        "" => Ok(open),
        text => text.parse().map_err(|_| wrong()),
    };
    let range = number(start, 0)?..number(end, u64::MAX)?;
    if range.is_empty() { Err(format!("`{text}` holds no byte")) } else { Ok(range) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_half_open() {
        assert_eq!(parse_range("3..7"), Ok(3..7));
        assert_eq!(parse_range("3.."), Ok(3..u64::MAX));
        assert_eq!(parse_range("..7"), Ok(0..7));
        for wrong in ["", "3", "7..3", "3..3", "a..b", "-1..2"] {
            assert!(parse_range(wrong).is_err(), "{wrong}");
        }
    }
}

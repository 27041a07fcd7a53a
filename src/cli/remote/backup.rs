//! `jangada backup` and `jangada restore`.

use std::path::PathBuf;

use clap::Args;
use jangada::client::Client;
use serde_json::json;

use super::{Failure, Screen, Verb};

#[derive(Args)]
pub(crate) struct Backup {
    /// The folder, which is new or empty
    dir: PathBuf,
}

#[derive(Args)]
pub(crate) struct Restore {
    /// The folder of a backup
    dir: PathBuf,
    /// Put the backup's files in the place of those that have their names
    #[arg(long)]
    replace: bool,
}

impl Verb for Backup {
    async fn run(&self, client: &Client, screen: &Screen) -> Result<(), Failure> {
        let bar = screen.files("backup");
        let done = client.backup(&self.dir, |done, of, _| {
            bar.set_length(of as u64);
            bar.set_position(done as u64);
        });
        let done = done.await;
        bar.finish_and_clear();
        let backup = done?;
        let (count, index, dir) = (backup.files.len(), backup.index, self.dir.display());
        let bytes: u64 = backup.files.iter().map(|file| file.size).sum();
        let told = json!({ "index": index, "files": count, "bytes": bytes });
        screen.show(
            &told,
            format!("{count} files as of index {index}, {bytes} bytes, are in {dir}"),
        )?;
        Ok(())
    }
}

impl Verb for Restore {
    async fn run(&self, client: &Client, screen: &Screen) -> Result<(), Failure> {
        let bar = screen.files("restore");
        let done = client.restore(&self.dir, self.replace, |done, of, _| {
            bar.set_length(of as u64);
            bar.set_position(done as u64);
        });
        let done = done.await;
        bar.finish_and_clear();
        let restored = done?;
        let (stored, present) = (restored.stored, restored.present);
        screen.show(&restored, format!("{stored} files restored; {present} were there already"))?;
        Ok(())
    }
}

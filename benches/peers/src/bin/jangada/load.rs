//! A large file on its way into three servers.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use bytes::Bytes;
use jangada::actors::Source;
use jangada::files::CHUNK_BYTES;
use jangada_peers::{LoadReport, cpu_seconds, peak_bytes};

use crate::FILE;
use crate::cluster::{SERVERS, in_system, options, same_everywhere, start};

/// Reads a file of the host chunk by chunk.
struct Chunks(File);

impl Source for Chunks {
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        let mut chunk = Vec::with_capacity(CHUNK_BYTES);
        (&self.0).take(CHUNK_BYTES as u64).read_to_end(&mut chunk)?;
        Ok((!chunk.is_empty()).then(|| chunk.into()))
    }
}

async fn load(path: &Path, bytes: u64) -> Result<LoadReport, String> {
    let (sandbox, _) = start(options(SERVERS)).await?;
    let client = sandbox.client();
    let (began, cpu) = (Instant::now(), cpu_seconds());
    let source = Chunks(File::open(path).map_err(|error| format!("cannot read: {error}"))?);
    let loaded = client.load(FILE, bytes, source, false, |_| {}).await;
    loaded.map_err(|error| error.to_string())?;
    same_everywhere(&sandbox, &client, bytes).await?;
    Ok(LoadReport {
        bytes,
        load_seconds: began.elapsed().as_secs_f64(),
        load_cpu_seconds: cpu_seconds() - cpu,
        copy_seconds: 0.0,
        peak_bytes: peak_bytes(),
    })
}

/// A file of bytes that no file system could store shorter.
fn generate(path: &Path, bytes: u64) -> io::Result<()> {
    let mut file = File::create(path)?;
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut chunk = vec![0; CHUNK_BYTES];
    for _ in 0..bytes / CHUNK_BYTES as u64 {
        for word in chunk.chunks_exact_mut(8) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            word.copy_from_slice(&state.to_le_bytes());
        }
        file.write_all(&chunk)?;
    }
    // What is still to be written to disk would slow the measurement down.
    file.sync_all()
}

/// Copies in pieces of 1 MiB: a file system that shares blocks would not copy at all.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let (mut source, mut target) = (File::open(from)?, File::create(to)?);
    let mut piece = vec![0; 1 << 20];
    loop {
        let length = source.read(&mut piece)?;
        if length == 0 {
            return target.sync_all();
        }
        target.write_all(&piece[..length])?;
    }
}

pub fn load_and_copy(mebibytes: u64, folder: Option<PathBuf>) -> Result<LoadReport, String> {
    let folder = folder.unwrap_or_else(std::env::temp_dir);
    let failed = |error: io::Error| format!("{}: {error}", folder.display());
    let place = tempfile::tempdir_in(&folder).map_err(failed)?;
    let (path, bytes) = (place.path().join(FILE), mebibytes << 20);
    generate(&path, bytes).map_err(failed)?;
    let mut report = in_system(load(&path, bytes))?;
    let began = Instant::now();
    for number in 1..=SERVERS {
        copy(&path, &place.path().join(format!("copy{number}"))).map_err(failed)?;
    }
    report.copy_seconds = began.elapsed().as_secs_f64();
    Ok(report)
}

//! A content on its way in.

use std::ops::Range;

use awc::http::header::{IF_MATCH, RANGE};
use bytes::Bytes;
use uuid::Uuid;

use super::call::{Answer, Client, Request};
use super::error::Error;
use super::files::{self, path, query};
use crate::actors::Consistency;

/// What of a file is read.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// As it was when this entry had been applied; else as it is.
    pub at: Option<u64>,
    /// These bytes, of those that there are; else all. The end may be open: `u64::MAX`.
    pub range: Option<Range<u64>>,
    /// What it may miss.
    pub consistency: Consistency,
    /// Only if it is this file in this revision.
    pub version: Option<(Uuid, u64)>,
}

/// A content that is being read. What breaks off is gone on with, at another server if need be.
pub struct Download<'a> {
    client: &'a Client,
    name: String,
    reading: Reading,
    answer: Answer,
    /// The ETag of the version that is read.
    tag: String,
    /// The bytes of the file that are still to come.
    left: Range<u64>,
    /// What the content should hash to, if all of it is read and that is known.
    expected: Option<String>,
    hasher: blake3::Hasher,
    length: u64,
    /// It broke off so often since the last byte.
    broken: u32,
}

/// How often in a row an answer may break off without a byte.
const MAX_BROKEN: u32 = 5;

impl Client {
    /// Begins to read a file.
    ///
    /// # Errors
    /// As [`Error`] says.
    pub async fn read(&self, name: &str, reading: Reading) -> Result<Download<'_>, Error> {
        let tag = reading.version.map(|(uuid, revision)| format!("\"{uuid}.{revision}\""));
        let range = reading.range.clone();
        let answer = self.call(request(name, &reading, range.as_ref(), tag.as_deref())).await?;
        let confused = |reason: &str| {
            let (endpoint, reason) = (answer.endpoint.clone(), reason.to_owned());
            Error::Confused { endpoint, reason }
        };
        let tag = answer.header("etag").ok_or_else(|| confused("there is no ETag"))?.to_owned();
        let length = answer.header("content-length").and_then(|length| length.parse().ok());
        let length: u64 = length.ok_or_else(|| confused("there is no length"))?;
        let first = reading.range.as_ref().map_or(0, |range| range.start);
        let left = first..first.saturating_add(length);
        let hash = answer.header("x-jangada-hash").filter(|_| reading.range.is_none());
        Ok(Download {
            client: self,
            name: name.to_owned(),
            tag,
            left,
            expected: hash.map(str::to_owned),
            hasher: blake3::Hasher::new(),
            length,
            broken: 0,
            reading,
            answer,
        })
    }
}

impl Download<'_> {
    /// How many bytes will have come in the end.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The hash of what has come.
    pub fn hash(&self) -> blake3::Hash {
        self.hasher.finalize()
    }

    /// The next bytes; `None` at the end, when all came and its hash is right.
    ///
    /// # Errors
    /// The file changed meanwhile and what is lacking is gone, no server answers, or what came is
    /// not what was stored.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        while !self.left.is_empty() {
            let reason = match self.answer.chunk(self.client.silence()).await {
                Ok(Some(bytes)) if bytes.len() as u64 <= self.left.end - self.left.start => {
                    if bytes.is_empty() {
                        continue;
                    }
                    self.left.start += bytes.len() as u64;
                    self.hasher.update(&bytes);
                    self.broken = 0;
                    return Ok(Some(bytes));
                }
                Ok(Some(_)) => "more came than was announced".to_owned(),
                Ok(None) => "it ended too soon".to_owned(),
                Err(reason) => reason,
            };
            self.broken += 1;
            if self.broken > MAX_BROKEN {
                return Err(Error::Unavailable(format!("{}: {reason}", self.answer.endpoint)));
            }
            log::debug!("{}: {reason}; going on at {}", self.name, self.left.start);
            let left = Some(&self.left);
            let request = request(&self.name, &self.reading, left, Some(&self.tag));
            self.answer = self.client.call(request).await?;
        }
        match &self.expected {
            Some(expected) if *expected != self.hash().to_string() => {
                let reason =
                    format!("{}: its hash is {} and should be {expected}", self.name, self.hash());
                Err(Error::Damaged(reason))
            }
            _ => Ok(None),
        }
    }
}

/// The request for some bytes of a version.
fn request(
    name: &str,
    reading: &Reading,
    range: Option<&Range<u64>>,
    tag: Option<&str>,
) -> Request {
    let at = reading.at.map(|at| at.to_string());
    let query = query(&[("at", at), files::reading(reading.consistency)]);
    let mut request = Request::get(format!("{}{query}", path(name)));
    if let Some(tag) = tag {
        request = request.header(IF_MATCH, tag);
    }
    match range {
        Some(range) if range.end == u64::MAX => {
            request.header(RANGE, format!("bytes={}-", range.start))
        }
        Some(range) => request.header(RANGE, format!("bytes={}-{}", range.start, range.end - 1)),
        None => request,
    }
}

//! Files: put, append, rename, delete, stat, list.

use std::fmt::Write;
use std::rc::Rc;

use awc::http::Method;
use awc::http::header::{IF_MATCH, IF_NONE_MATCH};
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use super::body::Progress;
use super::call::{Answer, Client, Request};
use super::content::Content;
use super::error::Error;
use crate::actors::Consistency;

/// A file, as a server tells it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FileInfo {
    /// Its identity, which never changes.
    pub uuid: Uuid,
    /// Its name.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// The blake3 hash of its content, in hexadecimal. Not told of versions of the past.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// How often it was created, appended to or renamed: 1 when new.
    pub revision: u64,
    /// The log index of its last change.
    pub index: u64,
    /// The file that had the name before, and is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced: Option<Uuid>,
}

/// What an append did.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Appended {
    /// The file.
    pub uuid: Uuid,
    /// Its name.
    pub name: String,
    /// Its size now, in bytes.
    pub size: u64,
    /// Its revision now.
    pub revision: u64,
    /// Bytes added.
    pub added: u64,
    /// The log index of the change.
    pub index: u64,
}

/// What a rename did.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Renamed {
    /// The file.
    pub uuid: Uuid,
    /// The name it had.
    pub from: String,
    /// Its name now.
    pub name: String,
    /// Its revision now.
    pub revision: u64,
    /// The log index of the change.
    pub index: u64,
}

/// Files, page by page: see [`Client::list`].
pub struct FileList<'a> {
    client: &'a Client,
    prefix: String,
    consistency: Consistency,
    after: Option<String>,
    over: bool,
    /// The log index that the first page includes, and the one that the last does.
    indices: Option<(u64, u64)>,
}

/// A page, as a server tells it.
#[derive(Deserialize)]
struct Page {
    files: Vec<FileInfo>,
    next: Option<String>,
    index: u64,
}

/// What must hold for a change to be made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Rule {
    /// Nothing.
    #[default]
    Always,
    /// No file has the name.
    Absent,
    /// The file has this revision.
    Revision(u64),
    /// The file is this one, and has this revision.
    Version(Uuid, u64),
}

/// Files of a page.
const PAGE: usize = 500;

impl FileInfo {
    /// Its version, as servers name it.
    pub fn version(&self) -> String {
        format!("{}.{}", self.uuid, self.revision)
    }
}

impl Client {
    /// Stores a content under a name, in the place of what had it. `progress` is told how many bytes
    /// have left.
    ///
    /// # Errors
    /// As [`Error`] says: `name_exists` or `precondition_failed` if the rule does not hold.
    pub async fn put(
        &self,
        name: &str,
        content: &Content,
        rule: Rule,
        progress: impl Fn(u64) + 'static,
    ) -> Result<FileInfo, Error> {
        let target = match rule {
            Rule::Absent => format!("{}?replace=false", path(name)),
            _ => path(name),
        };
        let request = Request::change(Method::PUT, target);
        let request = match rule {
            Rule::Absent => request,
            rule => self.under(request, name, rule).await?,
        };
        let progress: Progress = Rc::new(progress);
        let answer = self.call(request.content(content, progress)).await?;
        let sent = answer.sent.to_string();
        let stored: FileInfo = answer.json().await?;
        if stored.hash.as_ref().is_some_and(|hash| *hash != sent) {
            let what = content.what();
            let reason = format!("{name}: what was stored is not what was read from {what}");
            return Err(Error::Damaged(reason));
        }
        Ok(stored)
    }

    /// Adds a content at the end of a file.
    ///
    /// # Errors
    /// As [`Error`] says.
    pub async fn append(
        &self,
        name: &str,
        content: &Content,
        rule: Rule,
        progress: impl Fn(u64) + 'static,
    ) -> Result<Appended, Error> {
        let request = Request::change(Method::POST, format!("{}/append", path(name)));
        let request = self.under(request, name, rule).await?;
        let progress: Progress = Rc::new(progress);
        self.call(request.content(content, progress)).await?.json().await
    }

    /// Gives a file another name, which no file has.
    ///
    /// # Errors
    /// As [`Error`] says.
    pub async fn rename(&self, name: &str, to: &str, rule: Rule) -> Result<Renamed, Error> {
        let request = Request::change(Method::POST, format!("{}/rename", path(name)));
        let request = self.under(request, name, rule).await?;
        self.call(request.json(&json!({ "to": to }))).await?.json().await
    }

    /// Deletes a file.
    ///
    /// # Errors
    /// As [`Error`] says.
    pub async fn delete(&self, name: &str, rule: Rule) -> Result<(), Error> {
        let request = Request::change(Method::DELETE, path(name));
        let request = self.under(request, name, rule).await?;
        self.call(request).await.map(|_| ())
    }

    /// A file; or as it was when the entry `at` had been applied.
    ///
    /// # Errors
    /// As [`Error`] says.
    pub async fn stat(
        &self,
        name: &str,
        at: Option<u64>,
        consistency: Consistency,
    ) -> Result<FileInfo, Error> {
        let query = query(&[("at", at.map(|at| at.to_string())), reading(consistency)]);
        self.call(Request::get(format!("{}/stat{query}", path(name)))).await?.json().await
    }

    /// The files whose names begin so, by name.
    pub fn list(&self, prefix: &str, consistency: Consistency) -> FileList<'_> {
        FileList {
            client: self,
            prefix: prefix.to_owned(),
            consistency,
            after: before(prefix),
            over: false,
            indices: None,
        }
    }

    /// The request, under a rule.
    async fn under(&self, request: Request, name: &str, rule: Rule) -> Result<Request, Error> {
        Ok(match rule {
            Rule::Always => request,
            Rule::Absent => request.header(IF_NONE_MATCH, "*"),
            Rule::Version(uuid, revision) => {
                request.header(IF_MATCH, format!("\"{uuid}.{revision}\""))
            }
            Rule::Revision(revision) => {
                // A revision is one of a file: of the one that has the name now.
                let uuid = match self.stat(name, None, Consistency::Linearizable).await {
                    Ok(file) => file.uuid,
                    Err(error) => return Err(error),
                };
                request.header(IF_MATCH, format!("\"{uuid}.{revision}\""))
            }
        })
    }
}

impl FileList<'_> {
    /// The next files; none at the end.
    ///
    /// # Errors
    /// As [`Error`] says.
    pub async fn next(&mut self) -> Result<Vec<FileInfo>, Error> {
        while !self.over {
            let limit = Some(PAGE.to_string());
            let after = self.after.clone();
            let query = query(&[("after", after), ("limit", limit), reading(self.consistency)]);
            let answer: Answer =
                self.client.call(Request::get(format!("/v1/files{query}"))).await?;
            let Page { files, next, index } = answer.json().await?;
            self.indices = Some((self.indices.map_or(index, |(first, _)| first), index));
            let prefix = self.prefix.as_str();
            let beyond = |name: &str| name > prefix && !name.starts_with(prefix);
            self.over = next.is_none() || files.last().is_some_and(|file| beyond(&file.name));
            self.after = next;
            let here: Vec<_> =
                files.into_iter().filter(|file| file.name.starts_with(prefix)).collect();
            if !here.is_empty() {
                return Ok(here);
            }
        }
        Ok(Vec::new())
    }

    /// The log indices that the first page and the last one include, once there is one.
    pub(super) fn indices(&self) -> Option<(u64, u64)> {
        self.indices
    }
}

/// The path of a file.
pub(super) fn path(name: &str) -> String {
    format!("/v1/files/{}", encode(name))
}

/// The parameter that says what a read may miss.
pub(super) fn reading(consistency: Consistency) -> (&'static str, Option<String>) {
    let word = match consistency {
        Consistency::Linearizable => None,
        Consistency::Lease => Some("lease"),
        Consistency::Stale => Some("stale"),
    };
    ("consistency", word.map(str::to_owned))
}

/// A query of those parameters that have a value.
pub(super) fn query(parameters: &[(&str, Option<String>)]) -> String {
    let mut query = String::new();
    for (name, value) in parameters {
        if let Some(value) = value {
            let mark = if query.is_empty() { '?' } else { '&' };
            let _ = write!(query, "{mark}{name}={}", encode(value));
        }
    }
    query
}

/// Percent-encodes everything but letters, digits and `-._~`, a `/` too: what is behind one may mean
/// something in a path.
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// A text below all that begin with the prefix, and below few others.
fn before(prefix: &str) -> Option<String> {
    let (place, last) = prefix.char_indices().next_back()?;
    let lower = match u32::from(last) {
        0xe000 => Some('\u{d7ff}'),
        code => code.checked_sub(1).and_then(char::from_u32),
    };
    let front = &prefix[..place];
    Some(match lower {
        Some(lower) => format!("{front}{lower}\u{10ffff}"),
        None => front.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_is_one_segment() {
        assert_eq!(path("a b/stat"), "/v1/files/a%20b%2Fstat");
        assert_eq!(path("é%"), "/v1/files/%C3%A9%25");
        let some = |text: &str| Some(text.to_owned());
        let parts = [("a", some("1&2")), ("b", None), ("c", some("x"))];
        assert_eq!(query(&parts), "?a=1%262&c=x");
        assert_eq!(query(&[("b", None)]), "");
    }

    proptest! {
        #[test]
        fn what_begins_with_the_prefix_is_behind(prefix in "\\PC{1,8}", rest in "\\PC{0,8}") {
            let before = before(&prefix).unwrap();
            prop_assert!(before < prefix);
            let behind = prefix + &rest;
            prop_assert!(before < behind);
        }
    }
}

//! Changes of files, as they happen.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::call::{Answer, Client, Request};
use super::error::Error;
use super::files::query;
use crate::actors::Consistency;

/// A change of a file, as a server tells it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Change {
    /// The log index of the entry that made it.
    pub index: u64,
    /// `created`, `appended`, `renamed` or `deleted`.
    pub kind: String,
    /// The file.
    pub uuid: Uuid,
    /// Its name afterwards, or when it was deleted.
    pub name: String,
    /// Its revision afterwards, or when it was deleted.
    pub revision: u64,
    /// Its size afterwards, or when it was deleted, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Bytes that were added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub added: Option<u64>,
    /// The name that it had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The file that had the name before, and is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced: Option<Uuid>,
}

/// The changes behind an index, each told once, in order, whichever server tells it: see
/// [`Client::watch`].
pub struct Watch<'a> {
    client: &'a Client,
    prefix: String,
    answer: Option<Answer>,
    events: Events,
    /// All changes up to here were told.
    told: u64,
    /// And so many of those of this index.
    part: (u64, usize),
    /// So many of the index that comes next were told before the connection broke off.
    skip: (u64, usize),
}

/// What a watch has come to.
#[derive(Debug)]
pub(super) enum News {
    Change(Box<Change>),
    /// There is nothing new up to this index.
    Nothing(u64),
}

/// Server-sent events, put together from pieces.
#[derive(Default)]
struct Events {
    buffer: Vec<u8>,
}

#[derive(PartialEq, Eq, Debug, Default)]
struct Event {
    id: Option<u64>,
    kind: String,
    data: String,
}

/// What a server that is forgetful says.
#[derive(Deserialize)]
struct Gone {
    first: u64,
}

/// A server that has nothing to say says so three times as often.
const SILENCE: std::time::Duration = std::time::Duration::from_secs(30);
/// An event has fewer bytes.
const MAX_EVENT: usize = 1 << 20;

impl Client {
    /// The changes of files whose names begin so, behind an index, or from now on.
    ///
    /// # Errors
    /// As [`Error`] says.
    pub async fn watch(&self, from: Option<u64>, prefix: &str) -> Result<Watch<'_>, Error> {
        let told = match from {
            Some(from) => from,
            None => {
                let mut files = self.list("", Consistency::Linearizable);
                files.next().await?;
                files.indices().map_or(0, |(first, _)| first)
            }
        };
        let prefix = prefix.to_owned();
        let (answer, events) = (None, Events::default());
        Ok(Watch { client: self, prefix, answer, events, told, part: (0, 0), skip: (0, 0) })
    }
}

impl Watch<'_> {
    /// The next change. Waits until there is one, as long as a server answers.
    ///
    /// # Errors
    /// No server answers, or the changes that come next are forgotten.
    pub async fn next(&mut self) -> Result<Change, Error> {
        loop {
            if let News::Change(change) = self.news().await? {
                return Ok(*change);
            }
        }
    }

    /// The next that is said.
    pub(super) async fn news(&mut self) -> Result<News, Error> {
        loop {
            while let Some(event) = self.events.next() {
                if let Some(news) = self.tell(&event)? {
                    return Ok(news);
                }
            }
            let answer = match &mut self.answer {
                Some(answer) => answer,
                none => {
                    let from = Some(self.told.to_string());
                    let prefix = Some(self.prefix.clone()).filter(|prefix| !prefix.is_empty());
                    let query = query(&[("from", from), ("prefix", prefix)]);
                    let answer =
                        self.client.call(Request::get(format!("/v1/watch{query}"))).await?;
                    self.skip = self.part;
                    self.events = Events::default();
                    none.insert(answer)
                }
            };
            match answer.chunk(SILENCE).await {
                Ok(Some(bytes)) if self.events.buffer.len() < MAX_EVENT => {
                    self.events.buffer.extend_from_slice(&bytes);
                }
                Ok(_) => self.answer = None,
                Err(reason) => {
                    log::debug!("{}: {reason}; going on behind {}", answer.endpoint, self.told);
                    self.answer = None;
                }
            }
        }
    }

    fn tell(&mut self, event: &Event) -> Result<Option<News>, Error> {
        let confused = |reason: String, answer: &Option<Answer>| match answer {
            Some(answer) => Error::Confused { endpoint: answer.endpoint.clone(), reason },
            None => Error::Damaged(reason),
        };
        if event.kind == "gone" {
            let gone: Gone = serde_json::from_str(&event.data)
                .map_err(|error| confused(error.to_string(), &self.answer))?;
            return Err(Error::Gone { first: gone.first });
        }
        if event.data.is_empty() {
            let Some(id) = event.id else { return Ok(None) };
            self.told = self.told.max(id);
            return Ok(Some(News::Nothing(self.told)));
        }
        let change: Change = serde_json::from_str(&event.data)
            .map_err(|error| confused(error.to_string(), &self.answer))?;
        // The changes of an entry have one index, which is their id once the last of them is told.
        if self.skip.0 == change.index && self.skip.1 > 0 {
            self.skip.1 -= 1;
            return Ok(None);
        }
        self.part = match event.id {
            Some(id) => {
                self.told = self.told.max(id);
                (0, 0)
            }
            None if self.part.0 == change.index => (change.index, self.part.1 + 1),
            None => (change.index, 1),
        };
        Ok(Some(News::Change(Box::new(change))))
    }
}

impl Events {
    /// The next event that has come in full.
    fn next(&mut self) -> Option<Event> {
        let end = self.buffer.windows(2).position(|pair| pair == b"\n\n")?;
        let rest = self.buffer.split_off(end + 2);
        let text = String::from_utf8_lossy(&std::mem::replace(&mut self.buffer, rest)).into_owned();
        let mut event = Event::default();
        for line in text.lines() {
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "id" => event.id = value.parse().ok(),
                "event" => value.clone_into(&mut event.kind),
                "data" => event.data.push_str(value),
                _ => {}
            }
        }
        Some(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_put_together_from_any_pieces() {
        let text =
            b"data: {\"a\":1}\n\n: nothing new\nid: 7\n\nid: 8\nevent: gone\ndata: x\n\nid: 9";
        for piece in 1..text.len() {
            let mut events = Events::default();
            let mut all = Vec::new();
            for part in text.chunks(piece) {
                events.buffer.extend_from_slice(part);
                while let Some(event) = events.next() {
                    all.push((event.id, event.kind, event.data));
                }
            }
            let event = |id, kind: &str, data: &str| (id, kind.to_owned(), data.to_owned());
            let expected =
                [event(None, "", "{\"a\":1}"), event(Some(7), "", ""), event(Some(8), "gone", "x")];
            assert_eq!(all, expected);
        }
    }
}

//! The session table: what makes a request exactly-once (Raft thesis, section 6.3).

use std::collections::BTreeMap;

use bytes::Bytes;

use super::command::Request;
use super::limits::Limits;
use super::refusal::Refusal;

/// One client's session.
#[derive(Debug)]
pub(super) struct Session {
    /// The log index of the last request that named it.
    last_used: u64,
    /// The client has the answers to all requests below this serial number.
    acknowledged: u64,
    /// The answers to the others, by serial number.
    replies: BTreeMap<u64, Bytes>,
}

/// What the table says of a request.
#[derive(Debug)]
pub(super) enum Admission<'a> {
    /// It is new: carry it out and record the answer here.
    New(&'a mut Session),
    /// It was applied before, with this answer.
    Applied(Bytes),
}

/// All sessions, by id. Log order decides everything, so the table is the same on all servers.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    sessions: BTreeMap<u64, Session>,
}

impl Session {
    pub(super) fn record(&mut self, serial: u64, reply: Bytes) {
        self.replies.insert(serial, reply);
    }

    fn acknowledge(&mut self, below: u64) {
        self.acknowledged = self.acknowledged.max(below);
        while let Some(first) = self.replies.first_entry()
            && *first.key() < self.acknowledged
        {
            first.remove();
        }
    }
}

impl Sessions {
    pub(super) fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Opens the session `index`. Answers which one had to go to make room: the least recently
    /// used.
    pub(super) fn open(&mut self, index: u64, limits: &Limits) -> Option<u64> {
        let mut expired = None;
        if self.sessions.len() >= limits.sessions {
            let oldest = self.sessions.iter().min_by_key(|(_, session)| session.last_used);
            expired = oldest.map(|(&id, _)| id);
        }
        if let Some(id) = expired {
            self.sessions.remove(&id);
        }
        let session = Session { last_used: index, acknowledged: 0, replies: BTreeMap::new() };
        self.sessions.insert(index, session);
        expired
    }

    /// Closes a session.
    ///
    /// # Errors
    /// There is none with this id.
    pub(super) fn close(&mut self, session: u64) -> Result<(), Refusal> {
        match self.sessions.remove(&session) {
            Some(_) => Ok(()),
            None => Err(Refusal::SessionExpired { session }),
        }
    }

    /// Looks the request up, after dropping the answers it acknowledges.
    ///
    /// # Errors
    /// The session is unknown or full, or the request itself was acknowledged.
    pub(super) fn admit(
        &mut self,
        index: u64,
        request: &Request,
        limits: &Limits,
    ) -> Result<Admission<'_>, Refusal> {
        let Request { session: id, serial, acknowledged, .. } = *request;
        let session = self.sessions.get_mut(&id).ok_or(Refusal::SessionExpired { session: id })?;
        session.last_used = index;
        session.acknowledge(acknowledged);
        if serial < session.acknowledged {
            let acknowledged = session.acknowledged;
            return Err(Refusal::AlreadyAcknowledged { serial, acknowledged });
        }
        if let Some(reply) = session.replies.get(&serial) {
            return Ok(Admission::Applied(reply.clone()));
        }
        if session.replies.len() >= limits.unacknowledged {
            return Err(Refusal::TooManyUnacknowledged { limit: limits.unacknowledged as u64 });
        }
        Ok(Admission::New(session))
    }
}

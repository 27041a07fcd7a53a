//! The session table: what makes a request exactly-once (Raft thesis, section 6.3).

use std::collections::{BTreeMap, VecDeque};
use std::mem;
use std::sync::Arc;

use super::command::Request;
use super::limits::Limits;
use super::refusal::Refusal;
use super::reply::Encoded;
use super::sum;
use crate::museum::{Bug, on};

/// One client's session.
#[derive(Clone, Debug)]
pub(super) struct Session {
    /// The log index of the last request that named it.
    pub(super) last_used: u64,
    /// The client has the answers to all requests below this serial number.
    pub(super) acknowledged: u64,
    /// The answers to the others, by serial number, ascending. Most sessions keep one, and a queue
    /// keeps its memory.
    replies: VecDeque<Kept>,
    /// The sums of `replies`, added up.
    replies_sum: u64,
    /// What the session adds to the sum of the state.
    sum: u64,
}

/// An answer that is kept.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) serial: u64,
    pub(super) reply: Encoded,
    /// What it adds to the sum of the session.
    sum: u64,
}

/// What the table says of a request.
#[derive(Debug)]
pub(super) enum Admission<'a> {
    /// It is new: carry it out and record the answer here.
    New(Admitted<'a>),
    /// It was applied before, with this answer.
    Applied(Encoded),
}

/// The session of a request that is being carried out.
#[derive(Debug)]
pub(super) struct Admitted<'a> {
    id: u64,
    session: &'a mut Session,
    sum: &'a mut u64,
}

/// All sessions, by id. Log order decides everything, so the table is the same on all servers. A
/// copy shares all sessions with the original, until they are written to.
#[derive(Clone, Debug, Default)]
pub(super) struct Sessions {
    sessions: BTreeMap<u64, Arc<Session>>,
    /// The sums of all sessions, added up.
    sum: u64,
}

impl Session {
    /// A session without answers.
    pub(super) fn new(last_used: u64, acknowledged: u64) -> Self {
        Self { last_used, acknowledged, replies: VecDeque::new(), replies_sum: 0, sum: 0 }
    }

    fn record(&mut self, serial: u64, reply: Encoded) {
        let sum = sum::mix(serial, sum::of(&reply));
        self.replies_sum = self.replies_sum.wrapping_add(sum);
        let kept = Kept { serial, reply, sum };
        match self.place_of(serial) {
            Ok(place) => {
                let before = mem::replace(&mut self.replies[place], kept);
                self.replies_sum = self.replies_sum.wrapping_sub(before.sum);
            }
            Err(last) if last == self.replies.len() => self.replies.push_back(kept),
            Err(place) => self.replies.insert(place, kept),
        }
    }

    fn place_of(&self, serial: u64) -> Result<usize, usize> {
        self.replies.binary_search_by_key(&serial, |kept| kept.serial)
    }

    /// The answers that are kept, by serial number.
    pub(super) fn replies(&self) -> &VecDeque<Kept> {
        &self.replies
    }

    fn acknowledge(&mut self, below: u64) {
        self.acknowledged = self.acknowledged.max(below);
        while let Some(first) = self.replies.front()
            && first.serial < self.acknowledged
        {
            self.replies_sum = self.replies_sum.wrapping_sub(first.sum);
            self.replies.pop_front();
        }
    }

    /// Sums the session up anew, as part of `total`.
    fn sum_up(&mut self, id: u64, total: &mut u64) {
        let before = self.sum;
        self.sum = sum::of_words(&[id, self.last_used, self.acknowledged, self.replies_sum]);
        *total = total.wrapping_sub(before).wrapping_add(self.sum);
    }
}

impl Admitted<'_> {
    /// Keeps the answer to the request.
    pub(super) fn record(self, serial: u64, reply: Encoded) {
        self.session.record(serial, reply);
        self.session.sum_up(self.id, self.sum);
    }
}

impl Sessions {
    pub(super) fn len(&self) -> usize {
        self.sessions.len()
    }

    /// A number that is equal where all sessions are.
    pub(super) fn sum(&self) -> u64 {
        self.sum
    }

    /// The session with the lowest id.
    pub(super) fn first(&self) -> Option<(u64, &Session)> {
        self.sessions.first_key_value().map(|(&id, session)| (id, &**session))
    }

    /// Drops the session with the lowest id.
    pub(super) fn pop_first(&mut self) {
        if let Some((&id, _)) = self.sessions.first_key_value() {
            self.remove(id);
        }
    }

    /// Adds an answer to the session with the highest id.
    pub(super) fn restore_reply(&mut self, serial: u64, reply: &[u8]) {
        if let Some(mut last) = self.sessions.last_entry() {
            let id = *last.key();
            let session = Arc::make_mut(last.get_mut());
            Admitted { id, session, sum: &mut self.sum }.record(serial, Encoded::from_slice(reply));
        }
    }

    /// Adds a session that is not there.
    pub(super) fn insert(&mut self, id: u64, mut session: Session) {
        session.sum_up(id, &mut self.sum);
        self.sessions.insert(id, Arc::new(session));
    }

    fn remove(&mut self, id: u64) -> Option<Arc<Session>> {
        let session = self.sessions.remove(&id)?;
        self.sum = self.sum.wrapping_sub(session.sum);
        Some(session)
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
            self.remove(id);
        }
        self.insert(index, Session::new(index, 0));
        expired
    }

    /// Closes a session.
    ///
    /// # Errors
    /// There is none with this id.
    pub(super) fn close(&mut self, session: u64) -> Result<(), Refusal> {
        match self.remove(session) {
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
        let session = Arc::make_mut(session);
        session.last_used = index;
        session.acknowledge(acknowledged);
        let known = session.place_of(serial).ok().filter(|_| !on(Bug::AppliesRetries));
        let admission = if serial < session.acknowledged {
            let acknowledged = session.acknowledged;
            Err(Refusal::AlreadyAcknowledged { serial, acknowledged })
        } else if let Some(place) = known {
            Ok(Admission::Applied(session.replies[place].reply.clone()))
        } else if session.replies.len() >= limits.unacknowledged {
            Err(Refusal::TooManyUnacknowledged { limit: limits.unacknowledged as u64 })
        } else {
            // It is summed up with the answer.
            return Ok(Admission::New(Admitted { id, session, sum: &mut self.sum }));
        };
        session.sum_up(id, &mut self.sum);
        admission
    }
}

#[cfg(test)]
mod tests {
    use smallvec::smallvec;

    use super::super::testing::append;
    use super::*;

    const SMALL: fn() -> Limits = || Limits { sessions: 2, unacknowledged: 2, ..Limits::default() };

    fn request(session: u64, serial: u64, acknowledged: u64) -> Request {
        Request { session, serial, acknowledged, command: append("a") }
    }

    /// Admits a request and records an answer if it is new.
    fn apply(
        sessions: &mut Sessions,
        index: u64,
        request: &Request,
    ) -> Result<Option<Encoded>, Refusal> {
        match sessions.admit(index, request, &SMALL())? {
            Admission::Applied(reply) => Ok(Some(reply)),
            Admission::New(session) => {
                session.record(request.serial, Encoded::from_slice(&[request.serial as u8]));
                Ok(None)
            }
        }
    }

    fn table() -> Sessions {
        let mut sessions = Sessions::default();
        sessions.open(1, &SMALL());
        sessions
    }

    #[test]
    fn an_applied_serial_is_answered_from_the_table() {
        let mut sessions = table();
        assert_eq!(apply(&mut sessions, 2, &request(1, 8, 0)), Ok(None));
        // A lower one that comes later is new: requests may overtake each other.
        assert_eq!(apply(&mut sessions, 3, &request(1, 5, 0)), Ok(None));
        assert_eq!(apply(&mut sessions, 4, &request(1, 8, 0)), Ok(Some(smallvec![8])));
        assert_eq!(apply(&mut sessions, 5, &request(1, 5, 0)), Ok(Some(smallvec![5])));
    }

    #[test]
    fn acknowledged_answers_are_dropped_and_their_serials_refused() {
        let mut sessions = table();
        apply(&mut sessions, 2, &request(1, 1, 0)).unwrap();
        apply(&mut sessions, 3, &request(1, 2, 2)).unwrap();
        assert_eq!(sessions.sessions[&1].replies.len(), 1);
        let refused = Err(Refusal::AlreadyAcknowledged { serial: 1, acknowledged: 2 });
        // An older request repeats an older acknowledgement, which takes nothing back.
        assert_eq!(apply(&mut sessions, 4, &request(1, 1, 0)), refused);
        assert_eq!(apply(&mut sessions, 5, &request(1, 2, 0)), Ok(Some(smallvec![2])));
    }

    #[test]
    fn a_full_session_refuses_until_answers_are_acknowledged() {
        let mut sessions = table();
        apply(&mut sessions, 2, &request(1, 1, 0)).unwrap();
        apply(&mut sessions, 3, &request(1, 2, 0)).unwrap();
        let full = Err(Refusal::TooManyUnacknowledged { limit: 2 });
        assert_eq!(apply(&mut sessions, 4, &request(1, 3, 0)), full);
        assert_eq!(apply(&mut sessions, 5, &request(1, 1, 0)), Ok(Some(smallvec![1])));
        assert_eq!(apply(&mut sessions, 6, &request(1, 3, 2)), Ok(None));
    }

    #[test]
    fn the_least_recently_used_session_expires() {
        let mut sessions = table();
        assert_eq!(sessions.open(2, &SMALL()), None);
        apply(&mut sessions, 3, &request(1, 1, 0)).unwrap();
        assert_eq!(sessions.open(4, &SMALL()), Some(2));
        let expired = Err(Refusal::SessionExpired { session: 2 });
        assert_eq!(apply(&mut sessions, 5, &request(2, 1, 0)), expired);
        // A retry counts as use.
        apply(&mut sessions, 6, &request(1, 1, 0)).unwrap();
        assert_eq!(sessions.open(7, &SMALL()), Some(4));
        assert_eq!(sessions.len(), 2);
    }

    #[test]
    fn a_closed_session_is_unknown() {
        let mut sessions = table();
        assert_eq!(sessions.close(1), Ok(()));
        assert_eq!(sessions.close(1), Err(Refusal::SessionExpired { session: 1 }));
        assert!(apply(&mut sessions, 2, &request(1, 1, 0)).is_err());
    }
}

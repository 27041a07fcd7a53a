//! A request of a session is carried out once, however often it is in the log (section 8; thesis,
//! section 6.3).

use std::collections::BTreeMap;

use super::violation::{Check, Property};
use crate::raft::{Index, ServerId};

/// Where in the log each request was carried out, of the last [`SESSIONS`] sessions with their
/// last [`REQUESTS`] serial numbers. Every server carries it out there, again in each life.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct SessionsApplyOnce {
    sessions: BTreeMap<u64, BTreeMap<u64, Index>>,
}

const SESSIONS: usize = 1024;
const REQUESTS: usize = 1024;

impl SessionsApplyOnce {
    /// What was carried out behind `index` was not, as it turned out.
    pub(super) fn forget_behind(&mut self, index: Index) {
        for requests in self.sessions.values_mut() {
            requests.retain(|_, at| *at <= index);
        }
    }

    /// A server carries a request out: its session and serial number.
    pub(super) fn carried_out(
        &mut self,
        server: ServerId,
        index: Index,
        (session, serial): (u64, u64),
    ) -> Check {
        let requests = self.sessions.entry(session).or_default();
        let first = *requests.entry(serial).or_insert(index);
        if requests.len() > REQUESTS {
            requests.pop_first();
        }
        if self.sessions.len() > SESSIONS {
            self.sessions.pop_first();
        }
        Property::SessionsApplyOnce.holds(first == index, || {
            format!(
                "{server} carries request {serial} of session {session} out at {index}, and it \
                 was carried out at {first}"
            )
        })
    }
}

//! How a client reaches the servers.

use super::call::Call;
use crate::raft::ServerId;

/// A way to the servers of one cluster.
pub(crate) trait Way {
    /// Brings a call to a server's door. The call is answered, or its reply dropped.
    fn call(&self, to: ServerId, call: Call);

    /// Every server, running or not.
    fn servers(&self) -> Vec<ServerId>;

    /// How many servers run, and how many there are, as far as it is known.
    fn up(&self) -> (usize, usize);

    /// Who leads, as far as it is known.
    fn leader(&self) -> Option<ServerId>;

    /// Whom to ask who has not asked anybody before.
    fn first(&self) -> ServerId {
        ServerId(1)
    }
}

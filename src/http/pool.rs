//! The clients of one worker.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use crate::actors::Client;

/// Makes a client, on the thread that it is to live on.
pub(super) type MakeClient = Arc<dyn Fn() -> Client + Send + Sync>;

/// The clients of one worker: a session each, and enough of them that none has more requests under
/// way than its session keeps answers.
pub(super) struct Pool {
    make: MakeClient,
    patience: Duration,
    clients: RefCell<Vec<Client>>,
}

/// Most clients of one worker: some 3,000 changes under way at once.
const MAX_CLIENTS: usize = 16;

impl Pool {
    pub(super) fn new(make: MakeClient, patience: Duration) -> Self {
        Self { make, patience, clients: RefCell::default() }
    }

    /// A client for a question: those need no session.
    pub(super) fn reader(&self) -> Client {
        let mut clients = self.clients.borrow_mut();
        if clients.is_empty() {
            clients.push(self.another());
        }
        clients[0].clone()
    }

    /// A client for a change; `None` if too many are under way.
    pub(super) fn writer(&self) -> Option<Client> {
        let mut clients = self.clients.borrow_mut();
        if let Some(free) = clients.iter().find(|client| !client.crowded()) {
            return Some(free.clone());
        }
        if clients.len() == MAX_CLIENTS {
            return None;
        }
        let client = self.another();
        clients.push(client.clone());
        Some(client)
    }

    fn another(&self) -> Client {
        let client = (self.make)();
        client.set_patience(self.patience);
        client
    }
}

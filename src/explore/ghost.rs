//! What must hold.

use std::collections::BTreeMap;

use super::packet::Entry;
use crate::raft::{Index, ServerId, Term};

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Fact {
    Led { server: ServerId, term: Term, log: Vec<Entry> },
    Committed { server: ServerId, log: Vec<Entry> },
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Violation {
    pub(crate) property: &'static str,
    pub(crate) text: String,
}

#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Monitor {
    leaders: BTreeMap<Term, ServerId>,
    committed: Vec<Entry>,
}

impl Monitor {
    pub(crate) fn observe(&mut self, fact: &Fact) -> Result<(), Violation> {
        match fact {
            Fact::Led { server, term, log } => {
                let first = *self.leaders.entry(*term).or_insert(*server);
                if first != *server {
                    let text = format!("{first} and {server} both lead term {term}");
                    return Err(Violation { property: "election safety", text });
                }
                if !log.starts_with(&self.committed) {
                    let text = format!("{server} leads term {term} without what is committed");
                    return Err(Violation { property: "leader completeness", text });
                }
            }
            Fact::Committed { server, log } => {
                let common = log.len().min(self.committed.len());
                if log[..common] != self.committed[..common] {
                    let index = Index(common as u64);
                    let text = format!("{server} commits another log up to {index}");
                    return Err(Violation { property: "state machine safety", text });
                }
                if log.len() > common {
                    self.committed.clone_from(log);
                }
            }
        }
        Ok(())
    }
}

//! A server whose state differs from that of the others is found, named and taken out of service.

use std::cell::Cell;
use std::rc::Rc;

use bytes::Bytes;
use jangada::actors::{Condition, EventKind, Machine, Sandbox, SandboxOptions};
use jangada::raft::{Index, ServerId};

use crate::support::*;

/// Adds up what it is told; but one of them errs at one entry.
struct Sum {
    sum: u64,
    errs_at: Option<Index>,
}

impl Machine for Sum {
    fn apply(&mut self, index: Index, command: &Bytes) -> Bytes {
        self.sum += command.len() as u64 + u64::from(self.errs_at == Some(index));
        Bytes::new()
    }

    fn query(&self, _: &Bytes) -> Bytes {
        Bytes::copy_from_slice(&self.sum.to_le_bytes())
    }

    fn digest(&self) -> [u8; 32] {
        blake3::hash(&self.sum.to_le_bytes()).into()
    }

    fn state_hash(&self) -> Option<u64> {
        Some(self.sum)
    }

    fn describe(&self, _: &Bytes) -> String {
        "add".to_owned()
    }
}

/// Runs five servers of which the `erring`th of the first lives errs at entry 20.
fn with_one_that_errs(erring: u64, test: impl AsyncFnOnce(&Sandbox)) {
    let made = Rc::new(Cell::new(0));
    // The monitor would stop at once what is to be seen here.
    let options = SandboxOptions { monitor: false, ..SandboxOptions::default() };
    let options = options.with_machine(move || {
        made.set(made.get() + 1);
        Sum { sum: 0, errs_at: (made.get() == erring).then_some(Index(20)) }
    });
    cluster_of(options, test);
}

async fn add(sandbox: &Sandbox, count: usize) {
    for number in 0..count {
        let leader = leader(sandbox).await;
        let proposer = sandbox.proposer(leader).unwrap();
        let command = Bytes::from(vec![0; number + 1]);
        if proposer.propose(command).await.is_err() {
            sleep(ms(10)).await;
        }
    }
    sleep(ms(1000)).await;
}

fn diverged(sandbox: &Sandbox) -> Vec<(ServerId, Index)> {
    let events = sandbox.events().latest(usize::MAX);
    let diverged = events.iter().filter_map(|event| match event.kind {
        EventKind::Diverged { server, index } => Some((server, index)),
        _ => None,
    });
    diverged.collect()
}

#[test]
fn equal_states_are_left_alone() {
    with_one_that_errs(0, async |sandbox| {
        add(sandbox, 100).await;
        assert_eq!(diverged(sandbox), []);
    });
}

#[test]
fn whoever_differs_is_out_of_service_and_the_first_entry_is_named() {
    for erring in 1..=5 {
        with_one_that_errs(erring, async |sandbox| {
            add(sandbox, 100).await;
            let server = ServerId(erring);
            assert_eq!(diverged(sandbox), [(server, Index(20))]);
            let status = sandbox.status().await.unwrap();
            assert_eq!(status.server(server).unwrap().condition, Condition::Failed);
            let why = status.server(server).unwrap().failure.as_ref().unwrap().to_string();
            assert!(why.contains("from entry 20 on"), "{why}");
        });
    }
}

//! How a server starts: from what its disk kept, and from nothing else.

use std::time::Duration;

use actix::{Actor, AsyncContext};
use rand_chacha::ChaCha8Rng;

use super::SnapshotPolicy;
use super::call::Inbox;
use super::clock::{Clock, LocalClock};
use super::network::{Life, Network, Running};
use super::record::{EventKind, Recorder};
use super::server::{Parts, Server};
use super::state_machine::{Machine, StateMachine};
use crate::blackbox::BlackBox;
use crate::invariants::{Fact, Stamp};
use crate::raft::{Index, Node, Options, Persistent, ServerId};
use crate::storage::{Recovered, Storage};

/// What a server starts with.
pub(crate) struct Launch {
    pub(crate) id: ServerId,
    pub(crate) options: Options,
    pub(crate) policy: SnapshotPolicy,
    pub(crate) storage: Box<dyn Storage>,
    pub(crate) network: Network,
    pub(crate) recorder: Recorder,
    pub(crate) clock: Clock,
    /// The clock that the server goes by.
    pub(crate) local: LocalClock,
    pub(crate) luck: ChaCha8Rng,
    /// The empty state machine.
    pub(crate) machine: Box<dyn Machine>,
    /// How long it takes for a batch.
    pub(crate) pace: Option<Duration>,
    /// Records what enters its node.
    pub(crate) black_box: Option<BlackBox>,
}

/// Starts a server. It is not plugged in yet.
pub(crate) fn launch(launch: Launch) -> Running {
    let Launch { id, options, policy, storage, network, recorder, clock, local, .. } = launch;
    let Launch { mut luck, machine, pace, mut black_box, .. } = launch;
    let now = local.at(clock.now());
    let mut draw = || rand::Rng::next_u64(&mut luck);
    let Recovered { persistent, torn } = storage.load();
    if let Some(tail) = torn {
        recorder.record(EventKind::Torn { server: id, tail });
    }
    tell_started(&recorder, id, &*storage, &persistent);
    let base = persistent.base.index;
    let node = Node::new(id, options, persistent, now, &mut draw);
    if let Some(black_box) = &mut black_box {
        black_box.begin(now, &node, &storage.read(base, Index(u64::MAX), u64::MAX));
    }
    let (life, inbox) = (Life::default(), Inbox::new());
    let (life_of_server, inbox_of_server) = (life.clone(), inbox.clone());
    let state = (machine, storage.chunks());
    let mut state_machine = None;
    let address = Server::create(|ctx| {
        let (to_server, alarm) = (ctx.address(), recorder.clone());
        let life = life_of_server;
        let machine = StateMachine::new(id, state, to_server, life.clone(), alarm, pace).start();
        state_machine = Some(machine.clone());
        let inbox = inbox_of_server;
        Server::new(Parts {
            id,
            node,
            storage,
            network,
            recorder,
            clock,
            local,
            life,
            luck,
            machine,
            inbox,
            policy,
            black_box,
        })
    });
    let machine = state_machine.expect("invariant: an actor is made before its address is");
    Running { address, machine, inbox, life }
}

fn tell_started(recorder: &Recorder, server: ServerId, storage: &dyn Storage, kept: &Persistent) {
    if recorder.monitors() {
        let Persistent { current_term: term, voted_for, base, recovering, .. } = *kept;
        let entries = storage.read(base.index, Index(u64::MAX), u64::MAX);
        let log: Vec<_> = entries.iter().map(Stamp::of).collect();
        recorder.tell(&Fact::Started {
            server,
            term,
            voted_for,
            snapshot: kept.snapshot.last_included.index,
            configuration: (kept.snapshot.configured_at, &kept.snapshot.configuration),
            base,
            log: &log,
            recovering,
        });
    }
}

use std::collections::BTreeMap;

use tokio::sync::oneshot;

use super::*;
use crate::actors::{ClockKind, run};
use crate::files::FileStore;
use crate::net::{Audit, Cargo, Consistency, Request};
use crate::raft::{Configuration, Message, Persistent};
use crate::storage::MemoryDisk;

/// Carries packets between servers of one thread.
#[derive(Default)]
struct Hub(Mutex<BTreeMap<ServerId, Door>>);

struct Wire {
    from: ServerId,
    hub: Arc<Hub>,
}

impl Wire {
    fn door(&self, id: ServerId) -> Option<Door> {
        self.hub.0.lock().unwrap().get(&id).cloned()
    }
}

impl Outlet for Wire {
    fn message(&self, to: ServerId, message: Message, cargo: Cargo) {
        if let Some(door) = self.door(to) {
            door.deliver(Delivery::Message { from: self.from, message, cargo });
        }
    }

    fn audit(&self, to: ServerId, audit: Audit) {
        if let Some(door) = self.door(to) {
            door.deliver(Delivery::Audit { from: self.from, audit });
        }
    }

    fn call(&self, to: ServerId, number: u64, request: Request) -> Result<(), CallError> {
        let door = self.door(to).ok_or(CallError::Unreachable)?;
        let (reply, answer) = oneshot::channel();
        door.take(Call { request, reply: reply.into() });
        let home = self.door(self.from).ok_or(CallError::Unreachable)?;
        actix_rt::spawn(async move {
            let answer = answer.await.unwrap_or(Err(CallError::Unknown));
            home.deliver(Delivery::Answer { from: to, number, answer });
        });
        Ok(())
    }
}

const VOTERS: [ServerId; 3] = [ServerId(1), ServerId(2), ServerId(3)];

fn start(hub: &Arc<Hub>, id: ServerId, founding: &Persistent) -> Standalone {
    let server = Standalone::start(StandaloneOptions {
        id,
        cluster: Uuid::from_u128(7),
        seed: id.0,
        raft: raft::Options::default(),
        snapshots: SnapshotPolicy::default(),
        storage: Box::new(MemoryDisk::new(founding)),
        machine: Rc::new(|| Box::new(FileStore::default())),
        meter: None,
        black_box: None,
    });
    hub.0.lock().unwrap().insert(id, server.door());
    server.connect(Arc::new(Wire { from: id, hub: hub.clone() }));
    server
}

fn three(hub: &Arc<Hub>) -> Vec<Standalone> {
    let founding = Persistent::founding(Configuration::new(VOTERS));
    VOTERS.iter().map(|id| start(hub, *id, &founding)).collect()
}

async fn until(clock: Clock, what: &str, condition: impl AsyncFn() -> bool) {
    let waiting = async {
        while !condition().await {
            clock.sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waiting).await.expect(what);
}

fn leader(servers: &[Standalone]) -> Option<ServerId> {
    servers.iter().find_map(|server| server.door().roster().leader)
}

#[test]
fn a_client_at_any_door_writes_and_reads() {
    run(ClockKind::Virtual, async {
        let hub = Arc::new(Hub::default());
        let servers = three(&hub);
        for (number, server) in servers.iter().enumerate() {
            let client = server.door().client();
            let name = format!("{number}.txt");
            client.load_bytes(&name, format!("by way of {number}")).await.unwrap();
        }
        let client = servers[0].door().client();
        assert_eq!(client.list().await.unwrap().len(), 3);
        assert_eq!(client.read_bytes("2.txt").await.unwrap(), "by way of 2");
        // Every server has it in the end.
        let stale = Consistency::Stale;
        for server in &servers {
            let own = server.door().client().at(server.door().id()).with(stale);
            let all = async || own.list().await.is_ok_and(|files| files.len() == 3);
            until(server.clock(), "all servers have all files", all).await;
        }
    })
    .unwrap();
}

#[test]
fn a_leader_that_stops_hands_over_and_clients_go_on() {
    run(ClockKind::Virtual, async {
        let hub = Arc::new(Hub::default());
        let mut servers = three(&hub);
        let clock = servers[0].clock();
        until(clock, "a leader", async || leader(&servers).is_some()).await;
        let old = leader(&servers).unwrap();
        let place = servers.iter().position(|server| server.door().id() == old).unwrap();
        let leaves = servers.remove(place);
        let began = clock.now();
        leaves.leave(Duration::from_secs(5)).await;
        leaves.end(Duration::from_secs(5)).await;
        hub.0.lock().unwrap().remove(&old);
        // Sooner than an election timeout: the next leader was told to stand.
        assert!(clock.now().since(began) < Duration::from_millis(140));
        let client = servers[0].door().client();
        client.load_bytes("a.txt", "a").await.unwrap();
        assert_ne!(leader(&servers), Some(old));
        assert!(leaves.door().observe().await.is_none());
    })
    .unwrap();
}

/// A cut link lets nothing through, and its server finds out by check-quorum.
#[test]
fn links_obey_their_rules() {
    run(ClockKind::Virtual, async {
        let hub = Arc::new(Hub::default());
        let servers = three(&hub);
        let clock = servers[0].clock();
        until(clock, "a leader", async || leader(&servers).is_some()).await;
        let old = leader(&servers).unwrap();
        let cut = LinkRule { cut: true, ..LinkRule::default() };
        for server in &servers {
            for to in VOTERS {
                let own = server.door().id();
                if (own == old) != (to == old) {
                    server.set_link(to, cut);
                }
            }
        }
        let other = servers.iter().find(|server| server.door().id() != old).unwrap();
        let next = async || other.door().roster().leader.is_some_and(|leader| leader != old);
        until(clock, "another leader", next).await;
        let cut_off = servers.iter().find(|server| server.door().id() == old).unwrap();
        let knows = async || cut_off.door().roster().leader.is_none();
        until(clock, "the old leader steps down", knows).await;
    })
    .unwrap();
}

#[test]
fn a_call_whose_server_is_gone_is_answered_at_once() {
    run(ClockKind::Virtual, async {
        let hub = Arc::new(Hub::default());
        let alone = start(&hub, ServerId(1), &Persistent::founding(Configuration::new(VOTERS)));
        let client = alone.door().client().at(ServerId(2));
        let began = alone.clock().now();
        assert!(client.touch().await.unwrap_err().to_string().contains("S2 is down"));
        assert_eq!(alone.clock().now(), began);
        assert_eq!(alone.door().0.away.len(), 0);
    })
    .unwrap();
}

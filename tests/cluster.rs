//! The actors in virtual time: what a person would try by hand.

use std::time::Duration;

use bytes::Bytes;
use jangada::actors::{ClockKind, Order, Sandbox, SandboxOptions, Servers, run};
use jangada::raft::ServerId;

fn only(server: ServerId) -> Servers {
    Servers::Only(vec![server])
}

#[test]
fn files_survive_the_crash_of_their_leader() {
    run(ClockKind::Virtual, async {
        let sandbox = Sandbox::start(SandboxOptions::default());
        let leader = sandbox.wait_for_leader(Duration::from_secs(2)).await.unwrap();
        let client = sandbox.client();
        let content = Bytes::from(vec![7u8; 3_000_000]);
        client.load("a.bin", content.len() as u64, content.clone(), false, |_| {}).await.unwrap();
        sandbox.order(Order::Crash(only(leader))).await.unwrap();
        client.append("a.bin", 2, Bytes::from_static(b"hi"), |_| {}).await.unwrap();
        let mut read = Vec::new();
        let sink = |bytes: &[u8]| {
            read.extend_from_slice(bytes);
            Ok(())
        };
        client.read("a.bin", sink).await.unwrap();
        assert_eq!(read, [&content[..], b"hi"].concat());
        sandbox.order(Order::Recover(only(leader))).await.unwrap();
        sandbox.clock().sleep(Duration::from_secs(1)).await;
        let states = sandbox.states().await.unwrap();
        assert_eq!(states.len(), 5);
        assert!(states.iter().all(|state| (state.1, state.2) == (states[0].1, states[0].2)));
        for event in sandbox.events().latest(100) {
            println!("{event}");
        }
    })
    .unwrap();
}

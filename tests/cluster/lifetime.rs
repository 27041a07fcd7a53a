//! Nothing runs on behind a sandbox that has ended.

use std::cell::Cell;
use std::io::{self, Write};
use std::rc::Rc;

use jangada::actors::{ClockKind, Order, OrderError, Sandbox, SandboxOptions, Servers, run};
use jangada::files::FileStore;
use jangada::raft::ServerId;

use crate::support::*;

/// A trace that says when the last of those who write it is gone: every server, the network and
/// the supervisor hold it.
struct LastOne(Rc<Cell<bool>>);

impl Write for LastOne {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for LastOne {
    fn drop(&mut self) {
        self.0.set(true);
    }
}

fn watched() -> (SandboxOptions, Rc<Cell<bool>>, Rc<()>) {
    let (gone, machines) = (Rc::new(Cell::new(false)), Rc::new(()));
    let trace: Box<dyn Write> = Box::new(LastOne(gone.clone()));
    let token = machines.clone();
    let options = SandboxOptions { trace: Some(trace), ..SandboxOptions::default() };
    let options = options.with_machine(move || {
        let _kept_by_the_factory = &token;
        FileStore::default()
    });
    (options, gone, machines)
}

#[test]
fn after_the_end_no_actor_lives() {
    let troubles: [&[Order]; 4] = [
        &[],
        &[Order::Pause(Servers::Leader), Order::DiskStall(Servers::All)],
        &[Order::Speed { servers: Servers::All, latency: ms(3_600_000) }],
        &[Order::Delay {
            from: Servers::All,
            to: Servers::All,
            latency: ms(3_600_000),
            jitter: ms(0),
        }],
    ];
    for trouble in troubles {
        run(ClockKind::Virtual, async {
            let (options, gone, machines) = watched();
            let sandbox = Sandbox::start(options);
            let client = journal(&sandbox).await;
            for trouble in trouble {
                order(&sandbox, trouble.clone()).await;
            }
            let writer = client.clone();
            let write = tokio::task::spawn_local(async move { append(&writer, "late").await });
            sleep(ms(100)).await;
            drop(client);
            let ended = tokio::time::Instant::now();
            sandbox.end().await;
            drop(sandbox);
            // Whoever still asks is answered.
            let _ = write.await.unwrap();
            sleep(ms(1)).await;
            assert!(gone.get(), "something still holds the recorder after {trouble:?}");
            assert_eq!(Rc::strong_count(&machines), 1, "the supervisor is still there");
            assert!(ended.elapsed() < ms(6000));
        })
        .unwrap();
    }
}

#[test]
fn a_sandbox_that_is_dropped_ends() {
    run(ClockKind::Virtual, async {
        let (options, gone, machines) = watched();
        let sandbox = Sandbox::start(options);
        leader(&sandbox).await;
        drop(sandbox);
        sleep(ms(1)).await;
        assert!(gone.get());
        assert_eq!(Rc::strong_count(&machines), 1);
    })
    .unwrap();
}

#[test]
fn crashed_servers_are_gone() {
    let made = Rc::new(Cell::new(0u32));
    let dropped = Rc::new(Cell::new(0u32));
    let counters = (made.clone(), dropped.clone());
    let options = SandboxOptions::default().with_machine(move || Counted::new(&counters));
    cluster_of(options, async |sandbox| {
        leader(sandbox).await;
        for _ in 0..10 {
            order(sandbox, Order::Crash(Servers::All)).await;
            order(sandbox, Order::Recover(Servers::All)).await;
            sleep(ms(1)).await;
        }
        assert_eq!((made.get(), dropped.get()), (55, 50));
    });
}

/// A state machine that counts how many of it there are.
struct Counted(Tally, Rc<Cell<u32>>);

impl Counted {
    fn new((made, dropped): &(Rc<Cell<u32>>, Rc<Cell<u32>>)) -> Self {
        made.set(made.get() + 1);
        Self(Tally::default(), dropped.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.1.set(self.1.get() + 1);
    }
}

impl jangada::actors::Machine for Counted {
    fn apply(&mut self, index: jangada::raft::Index, command: &bytes::Bytes) -> bytes::Bytes {
        self.0.apply(index, command)
    }

    fn query(&self, query: &bytes::Bytes) -> bytes::Bytes {
        self.0.query(query)
    }

    fn digest(&self) -> [u8; 32] {
        self.0.digest()
    }

    fn describe(&self, command: &bytes::Bytes) -> String {
        self.0.describe(command)
    }
}

#[test]
fn an_ended_sandbox_carries_out_no_order() {
    run(ClockKind::Virtual, async {
        let sandbox = Sandbox::start(SandboxOptions::default());
        let client = journal(&sandbox).await;
        sandbox.end().await;
        let asked = tokio::time::Instant::now();
        assert!(append(&client, "too late").await.is_err());
        assert!(asked.elapsed() < ms(100), "a client of an ended sandbox waits");
    })
    .unwrap();
    assert_eq!(OrderError::Ended.to_string(), "the sandbox has ended");
    assert_eq!(OrderError::Running(ServerId(3)).to_string(), "S3 runs already");
}

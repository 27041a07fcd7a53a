//! What every cluster test needs: a sandbox in virtual time, servers by number, one file to
//! append to.

use std::cell::RefCell;
use std::io::{self, Write};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use jangada::actors::{
    Client, ClientError, ClockKind, Condition, Done, EventKind, Machine, Order, Sandbox,
    SandboxOptions, ServerStatus, Servers, run,
};
use jangada::files::{Answer, Command};
use jangada::raft::{Index, RoleKind, ServerId};
use tokio::task::{JoinHandle, spawn_local, unconstrained};

/// The file that tests append to.
pub(crate) const FILE: &str = "journal";

/// Runs `test` on five servers with seed 0, in virtual time.
pub(crate) fn cluster(test: impl AsyncFnOnce(&Sandbox)) {
    cluster_of(SandboxOptions::default(), test);
}

/// Runs `test` on these servers, in virtual time, and sees to it that none of them died of a
/// broken invariant.
pub(crate) fn cluster_of(options: SandboxOptions, test: impl AsyncFnOnce(&Sandbox)) {
    run(ClockKind::Virtual, async {
        let sandbox = Sandbox::start(options);
        test(&sandbox).await;
        assert_sound(&sandbox).await;
        sandbox.end().await;
    })
    .unwrap();
}

/// The monitor saw nothing, and a server that runs answers: an actor that panicked does not.
pub(crate) async fn assert_sound(sandbox: &Sandbox) {
    if let Some(violation) = sandbox.violation() {
        panic!("{violation}");
    }
    for server in sandbox.status().await.unwrap().servers {
        let runs = matches!(server.condition, Condition::Running | Condition::Paused);
        assert_eq!(runs, server.role.is_some(), "{} died: {server:?}", server.id);
    }
}

pub(crate) fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

pub(crate) fn only(server: ServerId) -> Servers {
    Servers::Only(vec![server])
}

pub(crate) async fn sleep(duration: Duration) {
    tokio::time::sleep(duration).await;
}

/// Has an order carried out that must be possible.
pub(crate) async fn order(sandbox: &Sandbox, order: Order) {
    let said = order.to_string();
    sandbox.order(order).await.unwrap_or_else(|error| panic!("{said}: {error}"));
}

/// The leader, which must be there within two seconds.
pub(crate) async fn leader(sandbox: &Sandbox) -> ServerId {
    sandbox.wait_for_leader(ms(2000)).await.expect("a leader within two seconds")
}

/// The leader, which must not be `old` within two seconds.
pub(crate) async fn leader_after(sandbox: &Sandbox, old: ServerId) -> ServerId {
    for _ in 0..2000 {
        match sandbox.leader() {
            Some(leader) if leader != old => return leader,
            _ => sleep(ms(1)).await,
        }
    }
    panic!("{old} leads for two seconds, or nobody");
}

/// Every server but these.
pub(crate) fn others(sandbox_of: u64, but: &[ServerId]) -> Vec<ServerId> {
    (1..=sandbox_of).map(ServerId).filter(|id| !but.contains(id)).collect()
}

pub(crate) async fn server(sandbox: &Sandbox, id: ServerId) -> ServerStatus {
    sandbox.status().await.unwrap().server(id).cloned().expect("a server of this number")
}

/// How often a server was elected so far.
pub(crate) fn elections(sandbox: &Sandbox) -> usize {
    let elected =
        |kind: &EventKind| matches!(kind, EventKind::Became { role: RoleKind::Leader, .. });
    sandbox.events().latest(usize::MAX).iter().filter(|event| elected(&event.kind)).count()
}

/// A client for whom [`FILE`] is there.
pub(crate) async fn journal(sandbox: &Sandbox) -> Client {
    let client = sandbox.client();
    put(&client, FILE, Bytes::new()).await.unwrap();
    client
}

pub(crate) async fn put(client: &Client, name: &str, content: Bytes) -> Result<Done, ClientError> {
    client.load(name, content.len() as u64, content, false, |_| {}).await
}

/// Appends a line to [`FILE`].
pub(crate) async fn append(client: &Client, line: &str) -> Result<Done, ClientError> {
    let line = Bytes::from(format!("{line}\n"));
    client.append(FILE, line.len() as u64, line, |_| {}).await
}

/// The lines of [`FILE`].
pub(crate) async fn lines(client: &Client) -> Result<Vec<String>, ClientError> {
    let content = get(client, FILE).await?;
    Ok(String::from_utf8(content).unwrap().lines().map(str::to_owned).collect())
}

pub(crate) async fn get(client: &Client, name: &str) -> Result<Vec<u8>, ClientError> {
    let mut content = Vec::new();
    let sink = |bytes: &[u8]| {
        content.extend_from_slice(bytes);
        Ok(())
    };
    client.read(name, sink).await?;
    Ok(content)
}

/// Begins `count` calls in one moment: every one is on its way before anybody handles the first.
pub(crate) async fn at_once<T: 'static, F: Future<Output = T> + 'static>(
    count: usize,
    call: impl Fn() -> F,
) -> Vec<JoinHandle<T>> {
    let mut calls: Vec<Pin<Box<dyn Future<Output = T>>>> = Vec::with_capacity(count);
    calls.extend((0..count).map(|_| Box::pin(unconstrained(call())) as _));
    std::future::poll_fn(|context| {
        let begin = |mut call: Pin<Box<dyn Future<Output = T>>>| match call.as_mut().poll(context) {
            Poll::Ready(value) => spawn_local(std::future::ready(value)),
            Poll::Pending => spawn_local(call),
        };
        Poll::Ready(std::mem::take(&mut calls).into_iter().map(begin).collect())
    })
    .await
}

/// Waits until every server runs and has applied the same entries, to the same state.
pub(crate) async fn assert_converges(sandbox: &Sandbox, servers: usize) {
    let mut states = Vec::new();
    for _ in 0..500 {
        states = sandbox.states().await.unwrap();
        let equal =
            |pair: &[(_, Index, [u8; 32])]| (pair[0].1, pair[0].2) == (pair[1].1, pair[1].2);
        if states.len() == servers && states.windows(2).all(equal) {
            return;
        }
        sleep(ms(10)).await;
    }
    panic!("the servers have not come to one state in five seconds: {states:?}");
}

/// A trace in memory.
#[derive(Clone, Default)]
pub(crate) struct Trace(Rc<RefCell<Vec<u8>>>);

impl Trace {
    /// What was written since the last look.
    pub(crate) fn take(&self) -> Vec<u8> {
        self.0.take()
    }
}

impl Write for Trace {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A state machine that only counts, behind the same client: every command is answered alike.
#[derive(Default)]
pub(crate) struct Tally(u64);

impl Machine for Tally {
    fn apply(&mut self, index: Index, _: &Bytes) -> Bytes {
        self.0 += 1;
        encode(Answer::SessionOpened { session: index.0 })
    }

    fn query(&self, _: &Bytes) -> Bytes {
        encode(Answer::SessionOpened { session: self.0 })
    }

    fn digest(&self) -> [u8; 32] {
        let mut digest = [0; 32];
        digest[..8].copy_from_slice(&self.0.to_le_bytes());
        digest
    }

    fn describe(&self, _: &Bytes) -> String {
        "command".to_owned()
    }
}

fn encode(answer: Answer) -> Bytes {
    postcard::to_stdvec(&Ok::<_, jangada::files::Refusal>(answer)).unwrap().into()
}

/// A command for a [`Tally`].
pub(crate) fn any_command() -> Command {
    Command::Delete { file: String::new() }
}

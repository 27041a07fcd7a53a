use std::fmt;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use clap::{Parser, ValueEnum};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::{Args, Measured, Meter, WARM_UP, report};

/// A system that runs on tokio. The value is its leader, as clients reach it.
pub trait Peer: Clone + Send + Sync + 'static {
    /// Name and version.
    const SYSTEM: &str;

    /// The arrangement to expect most writes of with so many clients, on two idle cores.
    fn best_threads(clients: u32) -> Threads;

    /// Starts three servers, which take a snapshot and shorten their log every `log_limit`
    /// commands, and waits until one of them leads.
    fn start(log_limit: u64) -> impl Future<Output = Result<Cluster<Self>, String>> + Send;

    /// Writes `command`; returns when the leader has applied it.
    fn write(&self, command: Command) -> impl Future<Output = Result<(), String>> + Send;

    /// Reads what the state machine has counted, linearizably.
    fn read(&self, by: By) -> impl Future<Output = Result<u64, String>> + Send;
}

/// Three servers.
pub struct Cluster<P> {
    /// The leader, as clients reach it.
    pub leader: P,
    /// What the state machine of each server has counted.
    pub counts: Vec<Arc<AtomicU64>>,
}

/// An opaque command. Its bytes are shared by the logs of the three servers.
#[derive(Clone)]
pub struct Command(Arc<[u8]>);

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// How a leader makes sure that it still leads when it is read from.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum By {
    /// By a round of heartbeats
    Index,
    /// By its lease
    Lease,
}

/// Where the tasks of servers and clients run.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Threads {
    /// Servers and clients on one thread
    One,
    /// Servers and clients on two threads, which share the work
    Two,
    /// Servers on one thread, clients on another
    Split,
}

impl Threads {
    fn describe(self) -> &'static str {
        match self {
            Self::One => "tokio, a task a client, servers and clients on one thread",
            Self::Two => "tokio, a task a client, servers and clients on two shared threads",
            Self::Split => "tokio, a task a client, servers on one thread, clients on another",
        }
    }

    /// The runtimes of servers and clients; one for both if the clients have none of their own.
    fn runtimes(self) -> io::Result<(Runtime, Option<Runtime>)> {
        let workers =
            |count| Builder::new_multi_thread().worker_threads(count).enable_time().build();
        Ok(match self {
            Self::One => (Builder::new_current_thread().enable_time().build()?, None),
            Self::Two => (workers(2)?, None),
            Self::Split => (workers(1)?, Some(workers(1)?)),
        })
    }
}

/// Measures the writes of three servers in one process.
#[derive(Debug, Parser)]
struct Cli {
    #[command(flatten)]
    args: Args,
    /// Where servers and clients run [default: by the number of clients]
    #[arg(long, value_enum)]
    arrangement: Option<Threads>,
    /// Reads instead of writes, after one write
    #[arg(long, value_enum)]
    reads: Option<By>,
}

/// A peer's whole program: measures as the command line says and prints the report.
///
/// # Errors
/// A write failed, or the three servers do not agree with what was answered.
pub fn run<P: Peer>() -> Result<(), String> {
    let Cli { args, arrangement, reads } = Cli::parse();
    let threads = arrangement.unwrap_or_else(|| P::best_threads(args.clients));
    let (servers, clients) = threads.runtimes().map_err(|error| format!("no threads: {error}"))?;
    let cluster = servers.block_on(P::start(args.log_limit()))?;

    // Spawned, so that the clients' side is on the workers and not on this thread beside them.
    let clients = clients.as_ref().unwrap_or(&servers);
    let measured = clients.spawn(measure(args, reads, cluster.leader));
    let (measured, writes) = clients.block_on(joined(measured))?;
    servers.block_on(applied_everywhere(writes, &cluster.counts))?;
    report(P::SYSTEM, threads.describe(), &args, &measured);
    Ok(())
}

/// Runs the clients in a closed loop, a task each. Returns what was measured after the warm-up,
/// and the number of all writes answered, before and after included.
async fn measure<P: Peer>(
    args: Args,
    reads: Option<By>,
    leader: P,
) -> Result<(Measured, u64), String> {
    let content = vec![7; args.bytes as usize];
    let Some(by) = reads else {
        let write = move |leader: P| {
            let command = Command(content.as_slice().into());
            async move { leader.write(command).await }
        };
        return closed_loop(args, leader, write).await;
    };
    leader.write(Command(content.into())).await?;
    let read = move |leader: P| async move {
        match leader.read(by).await? {
            1 => Ok(()),
            count => Err(format!("the count is 1, and {count} was read")),
        }
    };
    let (measured, _) = closed_loop(args, leader, read).await?;
    Ok((measured, 1))
}

/// Returns the number of all answers, too.
async fn closed_loop<P, F, A>(args: Args, leader: P, ask: F) -> Result<(Measured, u64), String>
where
    P: Peer,
    F: Fn(P) -> A + Clone + Send + 'static,
    A: Future<Output = Result<(), String>> + Send,
{
    let stop = Arc::new(AtomicBool::new(false));
    let answered: Arc<[AtomicU64]> = (0..args.clients).map(|_| AtomicU64::new(0)).collect();
    let total = || answered.iter().map(|count| count.load(Relaxed)).sum::<u64>();

    let clients: Vec<_> = (0..answered.len())
        .map(|id| {
            let (stop, answered) = (stop.clone(), answered.clone());
            let (leader, ask) = (leader.clone(), ask.clone());
            tokio::spawn(async move {
                let mut answers = 0;
                while !stop.load(Relaxed) {
                    ask(leader.clone()).await?;
                    answers += 1;
                    answered[id].store(answers, Relaxed);
                }
                Ok(())
            })
        })
        .collect();

    sleep(WARM_UP).await;
    let meter = Meter::start(total());
    sleep(args.duration()).await;
    let measured = meter.stop(total());
    stop.store(true, Relaxed);
    for client in clients {
        joined(client).await?;
    }
    Ok((measured, total()))
}

async fn joined<T>(task: JoinHandle<Result<T, String>>) -> Result<T, String> {
    task.await.map_err(|error| format!("a client task ended early: {error}"))?
}

/// Waits until every state machine has counted exactly `writes`, at most 10 s.
async fn applied_everywhere(writes: u64, counts: &[Arc<AtomicU64>]) -> Result<(), String> {
    let since = Instant::now();
    loop {
        let applied: Vec<u64> = counts.iter().map(|count| count.load(Relaxed)).collect();
        if applied.iter().all(|&count| count == writes) {
            return Ok(());
        }
        if since.elapsed() > Duration::from_secs(10) {
            return Err(format!("{writes} writes were answered, the servers applied {applied:?}"));
        }
        sleep(Duration::from_millis(5)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone)]
    struct Count(Arc<AtomicU64>);

    impl Peer for Count {
        const SYSTEM: &str = "a count";

        fn best_threads(_clients: u32) -> Threads {
            Threads::One
        }

        async fn start(_log_limit: u64) -> Result<Cluster<Self>, String> {
            let count = Arc::new(AtomicU64::new(0));
            Ok(Cluster { leader: Self(count.clone()), counts: vec![count] })
        }

        async fn write(&self, _command: Command) -> Result<(), String> {
            sleep(Duration::from_millis(1)).await;
            self.0.fetch_add(1, Relaxed);
            Ok(())
        }

        async fn read(&self, _by: By) -> Result<u64, String> {
            Ok(self.0.load(Relaxed))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn every_write_is_counted_and_a_missing_one_is_noticed() {
        let cluster = Count::start(1).await.unwrap();
        let args = Args { clients: 3, bytes: 16, seconds: 0.01 };
        let (_, writes) = measure(args, None, cluster.leader).await.unwrap();
        assert!(writes > 3 * 500, "{writes}");
        applied_everywhere(writes, &cluster.counts).await.unwrap();
        let error = applied_everywhere(writes + 1, &cluster.counts).await.unwrap_err();
        assert!(error.contains(&format!("applied [{writes}]")), "{error}");
    }
}

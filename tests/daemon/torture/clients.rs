//! Clients that use the files over HTTP, each on a thread of its own, and what they were told.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use jangada::actors::Consistency;
use jangada::client::{self, Client, Content, Endpoint, Error, Options, Reading, Rule};
use jangada::invariants::{self, History, Operation, Outcome, check_linearizable};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{CLIENTS, SMALL_DISK};
use crate::process::{Cluster, until};

/// How long a client tries something.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Milliseconds that a client rests at the most, so that histories stay small enough to check.
const REST: u64 = 25;
/// Bytes of what is stored so that a disk runs out of room, and how often that is done at the most.
const BURDEN: usize = 3 << 20;
const BURDENS: u64 = 12;
/// Files that clients replace, rename and delete, in every round.
const FILES: u64 = 4;

/// All clients, at work.
pub(super) struct Crowd {
    book: Arc<Book>,
    endpoints: Vec<Endpoint>,
    clients: Vec<JoinHandle<()>>,
    /// Histories that are being checked.
    checks: Mutex<Vec<JoinHandle<()>>>,
}

/// What clients did and were told.
struct Book {
    began: Instant,
    pages: Mutex<Pages>,
    answered: AtomicU64,
    ends: AtomicBool,
}

#[derive(Default)]
struct Pages {
    round: u64,
    /// The histories of the rounds that are not checked yet, and how many calls of each are open.
    rounds: BTreeMap<u64, (History, u64)>,
    ledgers: Ledgers,
}

/// The files that are appended to and nothing else, and what became of every line.
#[derive(Clone, Default)]
pub(super) struct Ledgers {
    /// The ledger, and whether the append was acknowledged; if not, nobody knows.
    pub(super) lines: BTreeMap<String, (String, bool)>,
    pub(super) tally: Tally,
}

/// What came of all calls.
#[derive(Clone, Copy, Default)]
pub(super) struct Tally {
    calls: u64,
    writes: u64,
    reads: u64,
    refused: u64,
    not_done: u64,
    unknown: u64,
    rounds: u64,
}

impl Crowd {
    /// Has all clients begin.
    pub(super) fn gather(cluster: &Cluster, seed: u64) -> Self {
        let endpoints: Vec<Endpoint> =
            cluster.running().into_iter().map(|id| endpoint(cluster, id)).collect();
        let book = Arc::new(Book {
            began: Instant::now(),
            pages: Mutex::default(),
            answered: AtomicU64::new(0),
            ends: AtomicBool::new(false),
        });
        let clients = (0..CLIENTS).map(|number| {
            let (book, mut endpoints) = (Arc::clone(&book), endpoints.clone());
            let first = number as usize % endpoints.len();
            endpoints.rotate_left(first);
            let mut luck = ChaCha8Rng::seed_from_u64(seed);
            luck.set_stream(1 + number);
            std::thread::spawn(move || {
                client::run(async {
                    let client = client_of(endpoints);
                    Worker { number, client, luck, book, turn: 0 }.work().await;
                });
            })
        });
        Self { clients: clients.collect(), endpoints, book, checks: Mutex::default() }
    }

    /// Has clients store more than fits into what a server has set aside, so that one without room
    /// has to wait for it. Returns whether it does.
    pub(super) fn burden(&self, cluster: &Cluster) -> bool {
        let full = || {
            let (_, metrics) = cluster.get(SMALL_DISK.0, "/metrics")?;
            metrics
                .lines()
                .find_map(|line| line.strip_prefix("jangada_disk_full "))
                .map(|it| it == "1")
        };
        client::run(async {
            let client = client_of(self.endpoints.clone());
            let much = Content::of_bytes(vec![b'.'; BURDEN]);
            for _ in 0..BURDENS {
                // It may well be refused for want of room.
                let _ = client.put("burden", &much, Rule::Always, |_| {}).await;
                if full() == Some(true) {
                    return true;
                }
            }
            false
        })
    }

    /// Waits until so many more calls were answered.
    pub(super) fn goes_on(&self, more: u64) {
        let wanted = self.book.answered.load(Ordering::Relaxed) + more;
        until("clients are answered", || {
            (self.book.answered.load(Ordering::Relaxed) >= wanted).then_some(())
        });
    }

    /// Has the clients go on with other files, and the history of the former ones checked.
    pub(super) fn next_round(&self) {
        let round = {
            let pages = &mut *self.book.pages();
            pages.ledgers.tally.rounds += 1;
            pages.round += 1;
            pages.round - 1
        };
        until("the calls of the round end", || {
            let open = self.book.pages().rounds.get(&round).map_or(0, |(_, open)| *open);
            (open == 0).then_some(())
        });
        let history = client::run(async {
            let client = client_of(self.endpoints.clone());
            let mut worker = Worker {
                number: CLIENTS,
                client,
                luck: ChaCha8Rng::seed_from_u64(round),
                book: Arc::clone(&self.book),
                turn: 0,
            };
            for file in 0..FILES {
                worker.read(round, name(round, file)).await;
            }
            worker.read(round, ledger(round)).await;
            self.book.pages().rounds.remove(&round).map(|(history, _)| history)
        });
        let history = history.expect("there were calls");
        let check = std::thread::spawn(move || {
            if let Err(error) = check_linearizable(&history) {
                let path = std::env::temp_dir().join(format!("jangada-history-{round}.jsonl"));
                let mut file = std::fs::File::create(&path).expect("a file");
                history.write_lines(&mut file).expect("it can be written");
                panic!("round {round}, kept in {}: {error}", path.display());
            }
        });
        self.checks.lock().expect("nobody panicked").push(check);
        self.look_at_checks(false);
    }

    /// Fails if a check has.
    fn look_at_checks(&self, all: bool) {
        let mut checks = self.checks.lock().expect("nobody panicked");
        let (done, open) = checks.drain(..).partition(|check| all || check.is_finished());
        *checks = open;
        let done: Vec<JoinHandle<()>> = done;
        for check in done {
            check.join().expect("the history is linearizable");
        }
    }

    /// What came of all calls so far.
    pub(super) fn tally(&self) -> Tally {
        self.book.pages().ledgers.tally
    }

    /// Ends the clients, and the checks.
    pub(super) fn disperse(self) -> Ledgers {
        self.book.ends.store(true, Ordering::Relaxed);
        self.look_at_checks(true);
        for client in self.clients {
            client.join().expect("no client panicked");
        }
        self.book.pages().ledgers.clone()
    }
}

/// One client.
struct Worker {
    number: u64,
    client: Client,
    luck: ChaCha8Rng,
    book: Arc<Book>,
    turn: u64,
}

impl Worker {
    async fn work(mut self) {
        while !self.book.ends.load(Ordering::Relaxed) {
            self.turn += 1;
            let round = self.book.pages().round;
            self.command(round).await;
            let rest = self.below(REST);
            tokio::time::sleep(Duration::from_millis(rest)).await;
        }
    }

    async fn command(&mut self, round: u64) {
        let file = name(round, self.below(FILES));
        let line = format!("{}.{}\n", self.number, self.turn);
        let text = || invariants::Content(line.clone().into());
        let bytes = Content::of_bytes(line.clone());
        match self.below(100) {
            0..30 => self.enter(round, line).await,
            30..50 => {
                let operation = Operation::Append { name: file.clone(), content: text() };
                let call = self.begin(round, operation);
                let done = self.client.append(&file, &bytes, Rule::Always, |_| {}).await;
                self.end(call, done.map(|_| Outcome::Done));
            }
            50..76 => self.read(round, file).await,
            76..88 => {
                let replace = self.below(2) == 0;
                let rule = if replace { Rule::Always } else { Rule::Absent };
                let content = text();
                let operation = Operation::Create { name: file.clone(), content, replace };
                let call = self.begin(round, operation);
                let done = self.client.put(&file, &bytes, rule, |_| {}).await;
                self.end(call, done.map(|_| Outcome::Done));
            }
            88..94 => {
                let call = self.begin(round, Operation::Delete { name: file.clone() });
                let done = self.client.delete(&file, Rule::Always).await;
                self.end(call, done.map(|()| Outcome::Done));
            }
            _ => {
                let to = name(round, self.below(FILES));
                if file == to {
                    return;
                }
                let operation = Operation::Rename { from: file.clone(), to: to.clone() };
                let call = self.begin(round, operation);
                let done = self.client.rename(&file, &to, Rule::Always).await;
                self.end(call, done.map(|_| Outcome::Done));
            }
        }
    }

    /// Adds a line to the ledger of the round, which the first who comes makes.
    async fn enter(&mut self, round: u64, line: String) {
        let (name, content) = (ledger(round), Content::of_bytes(line.clone()));
        let kept = invariants::Content(line.clone().into());
        let call = self.begin(round, Operation::Append { name: name.clone(), content: kept });
        let done = self.client.append(&name, &content, Rule::Always, |_| {}).await;
        let outcome = self.end(call, done.map(|_| Outcome::Done));
        match outcome {
            Outcome::Done | Outcome::Unknown => {
                let acknowledged = outcome == Outcome::Done;
                self.book.pages().ledgers.lines.insert(line, (name, acknowledged));
            }
            Outcome::NoSuchFile => {
                let empty = invariants::Content::default();
                let operation =
                    Operation::Create { name: name.clone(), content: empty, replace: false };
                let call = self.begin(round, operation);
                let nothing = Content::of_bytes("");
                let done = self.client.put(&name, &nothing, Rule::Absent, |_| {}).await;
                self.end(call, done.map(|_| Outcome::Done));
            }
            _ => {}
        }
    }

    async fn read(&mut self, round: u64, name: String) {
        let call = self.begin(round, Operation::Read { name: name.clone() });
        let seen = content(&self.client, &name, Consistency::Linearizable).await;
        self.end(call, seen.map(|bytes| Outcome::Observed(invariants::Content(bytes.into()))));
    }

    fn begin(&self, round: u64, operation: Operation) -> (u64, invariants::PendingCall) {
        let pages = &mut *self.book.pages();
        let (history, open) = pages.rounds.entry(round).or_default();
        *open += 1;
        pages.ledgers.tally.calls += 1;
        (round, history.invoke(self.number, operation, self.book.now()))
    }

    fn end(
        &self,
        (round, call): (u64, invariants::PendingCall),
        done: Result<Outcome, Error>,
    ) -> Outcome {
        let outcome = done.unwrap_or_else(|error| outcome_of(&error));
        let pages = &mut *self.book.pages();
        let (history, open) = pages.rounds.get_mut(&round).expect("the round is open");
        *open -= 1;
        history.answer(call, outcome.clone(), self.book.now());
        let tally = &mut pages.ledgers.tally;
        match outcome {
            Outcome::Done => tally.writes += 1,
            Outcome::Observed(_) => tally.reads += 1,
            Outcome::NoSuchFile | Outcome::NameExists => tally.refused += 1,
            Outcome::NotDone => tally.not_done += 1,
            Outcome::Unknown => tally.unknown += 1,
        }
        if !matches!(outcome, Outcome::Unknown | Outcome::NotDone) {
            self.book.answered.fetch_add(1, Ordering::Relaxed);
        }
        outcome
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.luck.next_u64() % limit
    }
}

impl Book {
    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().expect("no client panicked")
    }

    fn now(&self) -> u64 {
        self.began.elapsed().as_nanos() as u64
    }
}

/// Where a server serves HTTP.
pub(super) fn endpoint(cluster: &Cluster, id: u64) -> Endpoint {
    cluster.http(id).parse().expect("an address")
}

/// A client that asks these servers.
pub(super) fn client_of(endpoints: Vec<Endpoint>) -> Client {
    let options = Options { endpoints, authority: None, token: None, timeout: TIMEOUT };
    Client::new(options).expect("a client")
}

/// What a file holds; its hash is checked.
pub(super) async fn content(
    client: &Client,
    name: &str,
    consistency: Consistency,
) -> Result<Vec<u8>, Error> {
    let reading = Reading { consistency, ..Reading::default() };
    let mut download = client.read(name, reading).await?;
    let mut content = Vec::new();
    while let Some(bytes) = download.next().await? {
        content.extend_from_slice(&bytes);
    }
    Ok(content)
}

/// The file of a round that has this number.
fn name(round: u64, file: u64) -> String {
    format!("{round}/{file}")
}

/// The file of a round that nobody replaces, renames or deletes.
fn ledger(round: u64) -> String {
    format!("{round}/ledger")
}

/// What an error says about the call's effect.
fn outcome_of(error: &Error) -> Outcome {
    match (error, error.code()) {
        (_, "no_such_file") => Outcome::NoSuchFile,
        (_, "name_exists") => Outcome::NameExists,
        (Error::Refused(_) | Error::Unavailable(_) | Error::Silence { .. }, _) => Outcome::NotDone,
        // The answer of a success that broke off.
        (Error::Unknown(_) | Error::Confused { .. }, _) => Outcome::Unknown,
        (error, _) => panic!("{error}"),
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { calls, writes, reads, refused, not_done, unknown, rounds } = self;
        write!(
            f,
            "{calls} calls: {writes} writes and {reads} reads acknowledged, {refused} refused, \
             {not_done} not done, {unknown} unknown; {rounds} histories"
        )
    }
}

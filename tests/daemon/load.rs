//! Clients that write and read over the native port, and what they were told.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use jangada::actors::{Client, ClientError, ClockKind, Connection, run};
use jangada::files::Refusal;
use jangada::invariants::{Content, History, Operation, Outcome, check_linearizable};
use jangada::net::{PeersConfig, Role};
use tokio::time::{Duration, Instant};

use crate::process::{Cluster, PATIENCE};

/// The files of a load.
const FILES: [&str; 2] = ["f0", "f1"];

/// Clients that append to and read two files.
pub(crate) struct Load {
    record: Rc<Record>,
    workers: Vec<tokio::task::JoinHandle<()>>,
    client: Client,
}

/// What clients did, and what came of it.
struct Record {
    history: RefCell<History>,
    began: Instant,
    /// Operations that were answered.
    answered: Cell<u64>,
    ends: Cell<bool>,
}

/// Connects to every server of a cluster.
pub(crate) async fn connect(cluster: &Cluster) -> Connection {
    let uuid = cluster.uuid.parse().expect("a uuid");
    let mut config = PeersConfig::new(uuid, Role::Client("test".to_owned()), cluster.security());
    config.peers = cluster.addresses();
    config.seed = uuid::Uuid::new_v4().as_u64_pair().0;
    Connection::open(config).await.expect("a client does not listen")
}

/// A client that waits for as long as anything may take.
pub(crate) async fn patient(cluster: &Cluster) -> Client {
    let client = connect(cluster).await.client();
    client.set_patience(PATIENCE);
    client
}

/// Runs a test in a runtime of its own.
pub(crate) fn with_runtime<T>(test: impl Future<Output = T>) -> T {
    run(ClockKind::Real, test).expect("a runtime")
}

impl Load {
    /// Makes the files, and has so many clients use them until the load [`end`](Self::end)s. Every
    /// append is of other bytes, so that each can be told from all others.
    pub(crate) async fn begin(cluster: &Cluster, clients: u64) -> Self {
        let connection = connect(cluster).await;
        let record = Rc::new(Record {
            history: RefCell::default(),
            began: Instant::now(),
            answered: Cell::new(0),
            ends: Cell::new(false),
        });
        let workers = (0..clients).map(|number| {
            let client = connection.client();
            client.set_patience(Duration::from_secs(10));
            actix_rt::spawn(record.clone().work(number, client))
        });
        let workers = workers.collect();
        let client = connection.client();
        client.set_patience(PATIENCE);
        for name in FILES {
            record.create(&client, name).await;
        }
        Self { record, workers, client }
    }

    /// Waits until so many more operations were answered.
    pub(crate) async fn goes_on(&self, more: u64) {
        let answered = &self.record.answered;
        let wanted = answered.get() + more;
        let deadline = Instant::now() + PATIENCE;
        while answered.get() < wanted {
            assert!(Instant::now() < deadline, "clients are not answered any more");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Kills the leader with -9 and starts it again, so many times; so many operations are answered
    /// before and after.
    pub(crate) async fn kill_leaders(&self, cluster: &mut Cluster, times: usize, between: u64) {
        for _ in 0..times {
            self.goes_on(between).await;
            let leader = cluster.leader();
            cluster.kill(leader);
            self.goes_on(between).await;
            cluster.serve(leader, &[]);
        }
        self.goes_on(between).await;
    }

    /// Ends the load, reads what there is, and checks that all answers make one history: nothing
    /// that was acknowledged is lost or doubled, no read saw anything else.
    pub(crate) async fn end(self) -> String {
        let Self { record, workers, client } = self;
        record.ends.set(true);
        for worker in workers {
            worker.await.expect("the client did not panic");
        }
        for name in FILES {
            record.read(1001, &client, name).await;
        }
        let checked = check_linearizable(&record.history.borrow());
        checked.unwrap_or_else(|error| panic!("{error}")).to_string()
    }
}

impl Record {
    async fn work(self: Rc<Self>, number: u64, client: Client) {
        let mut round = 0u64;
        while !self.ends.get() {
            round += 1;
            let name = format!("f{}", (number + round) % 2);
            match round % 4 {
                0 => self.read(number, &client, &name).await,
                _ => self.append(number, &client, &name, format!("{number}.{round} ")).await,
            }
        }
    }

    async fn create(&self, client: &Client, name: &str) {
        let operation = Operation::Create {
            name: name.to_owned(),
            content: Content::default(),
            replace: false,
        };
        let call = self.history.borrow_mut().invoke(1000, operation, self.now());
        let done = client.load_bytes(name, "").await;
        self.told(call, outcome(done.map(|_| Outcome::Done)));
    }

    async fn append(&self, number: u64, client: &Client, name: &str, text: String) {
        let content = Content(text.clone().into());
        let operation = Operation::Append { name: name.to_owned(), content };
        let call = self.history.borrow_mut().invoke(number, operation, self.now());
        let done = client.append_bytes(name, text).await;
        self.told(call, outcome(done.map(|_| Outcome::Done)));
    }

    async fn read(&self, number: u64, client: &Client, name: &str) {
        let operation = Operation::Read { name: name.to_owned() };
        let call = self.history.borrow_mut().invoke(number, operation, self.now());
        let read = client.read_bytes(name).await;
        self.told(call, outcome(read.map(|bytes| Outcome::Observed(Content(bytes)))));
    }

    fn told(&self, call: jangada::invariants::PendingCall, outcome: Outcome) {
        if !matches!(outcome, Outcome::Unknown | Outcome::NotDone) {
            self.answered.set(self.answered.get() + 1);
        }
        self.history.borrow_mut().answer(call, outcome, self.now());
    }

    fn now(&self) -> u64 {
        self.began.elapsed().as_nanos() as u64
    }
}

fn outcome(result: Result<Outcome, ClientError>) -> Outcome {
    match result {
        Ok(outcome) => outcome,
        Err(ClientError::Refused(Refusal::NoSuchFile { .. })) => Outcome::NoSuchFile,
        Err(ClientError::Refused(Refusal::NameExists { .. })) => Outcome::NameExists,
        Err(ClientError::NotDone(_)) => Outcome::NotDone,
        Err(ClientError::Unknown) => Outcome::Unknown,
        Err(error) => panic!("{error}"),
    }
}

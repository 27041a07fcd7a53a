//! What is measured: systems in their arrangements, and how much they are given to do.

/// A system in one of its arrangements.
#[derive(Debug)]
pub struct Contender {
    /// The system, as the table names it.
    pub system: &'static str,
    /// The arrangement, in few words.
    pub arrangement: &'static str,
    /// Whether it has one thread: then it uses less than a core only if others take it.
    pub one_thread: bool,
    program: &'static str,
    arguments: &'static [&'static str],
}

/// The system that is compared with all others.
pub const JANGADA: &str = "jangada";

/// All of them. Of several arrangements of one system, the table shows the best.
pub const CONTENDERS: [Contender; 9] = [
    Contender::new(JANGADA, "one thread", true, "jangada", &["writes"]),
    openraft("openraft 0.9", "peer-openraft09", ONE),
    openraft("openraft 0.9", "peer-openraft09", TWO),
    openraft("openraft 0.9", "peer-openraft09", SPLIT),
    openraft(OPENRAFT, "peer-openraft010", ONE),
    openraft(OPENRAFT, "peer-openraft010", TWO),
    openraft(OPENRAFT, "peer-openraft010", SPLIT),
    raft("raft 0.7 batch", "one thread, batches", &["--arrangement", "batch"]),
    raft("raft 0.7 calls", "one thread, calls", &["--arrangement", "calls"]),
];

/// The peer whose opaque writes stand beside jangada's appends to a file.
pub const OPENRAFT: &str = "openraft 0.10";

type Threads = (&'static str, bool, &'static [&'static str]);
const ONE: Threads = ("one thread", true, &["--arrangement", "one"]);
const TWO: Threads = ("two threads", false, &["--arrangement", "two"]);
const SPLIT: Threads = ("clients apart", false, &["--arrangement", "split"]);

impl Contender {
    const fn new(
        system: &'static str,
        arrangement: &'static str,
        one_thread: bool,
        program: &'static str,
        arguments: &'static [&'static str],
    ) -> Self {
        Self { system, arrangement, one_thread, program, arguments }
    }
}

const fn openraft(system: &'static str, program: &'static str, threads: Threads) -> Contender {
    let (arrangement, one_thread, arguments) = threads;
    Contender::new(system, arrangement, one_thread, program, arguments)
}

const fn raft(
    system: &'static str,
    arrangement: &'static str,
    arguments: &'static [&'static str],
) -> Contender {
    Contender::new(system, arrangement, true, "peer-raft07", arguments)
}

/// A part of the measurements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Section {
    /// Opaque writes, appends to a file, a large file's load
    Writes,
    /// Linearizable reads
    Reads,
    /// Crashes of a leader, and hand-overs
    Failover,
    /// Appends while snapshots are taken and sent
    Snapshots,
    /// A server that starts again with a long log
    Restart,
}

/// What the clients do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Work {
    /// Opaque commands, to so many servers.
    Writes { servers: u64 },
    /// Appends to a file of jangada.
    Appends,
    /// Linearizable reads, by a round of heartbeats or by the leader's lease.
    Reads { lease: bool },
}

/// One measurement that is made in every round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Run {
    /// Who, as a place in [`CONTENDERS`].
    pub contender: usize,
    /// Does what,
    pub work: Work,
    /// for how many clients,
    pub clients: u32,
    /// with how many bytes each time.
    pub bytes: u32,
}

/// Servers, unless their number is what is compared.
pub const SERVERS: u64 = 3;
/// Bytes of a command, unless their number is what is compared.
pub const BYTES: u32 = 16;
/// Clients, unless their number is what is compared.
pub const CLIENTS: u32 = 64;

/// Shortest and longest election timeout and heartbeat, in milliseconds.
pub type Timing = [u64; 3];

/// All that is measured.
#[derive(Debug)]
pub struct Plan {
    /// Its parts; all of them if there are none.
    pub sections: Vec<Section>,
    /// How often each is measured.
    pub rounds: u32,
    /// Length of one measurement, after the warm-up.
    pub seconds: f64,
    /// The measurements of a round.
    pub runs: Vec<Run>,
    /// Size of the file that is loaded.
    pub mebibytes: u64,
    /// Numbers of clients that write.
    pub clients: &'static [u32],
    /// Sizes of commands beside [`BYTES`].
    pub sizes: &'static [u32],
    /// Numbers of servers, [`SERVERS`] among them.
    pub servers: &'static [u64],
    /// Numbers of clients that append.
    pub appenders: &'static [u32],
    /// Numbers of clients that read.
    pub readers: &'static [u32],
    /// How often a leader crashes, and hands over.
    pub outages: u32,
    /// With which timings.
    pub timings: &'static [Timing],
    /// For how many milliseconds a message is on its way.
    pub latencies: &'static [u64],
    /// Numbers of clients that append beside snapshots.
    pub beside_snapshots: &'static [u32],
    /// Entries of the log of a server that starts again.
    pub entries: u64,
}

const TIMINGS: [Timing; 6] = [
    [150, 350, 50],
    [150, 300, 50],
    [150, 300, 30],
    [100, 200, 30],
    [300, 600, 100],
    [1000, 2000, 250],
];

impl Plan {
    /// Everything, in less than half an hour.
    pub fn full(sections: &[Section]) -> Self {
        let clients = &[1, 64, 256, 1024, 4096];
        Self {
            sections: sections.to_vec(),
            rounds: 5,
            seconds: 1.0,
            runs: Vec::new(),
            mebibytes: 1024,
            clients,
            sizes: &[100, 4096],
            servers: &[1, 3, 5, 7, 9],
            appenders: clients,
            readers: &[1, 16, 64, 256, 1024, 4096],
            outages: 1000,
            timings: &TIMINGS,
            latencies: &[1, 10],
            beside_snapshots: &[1, 64],
            entries: 1_000_000,
        }
        .with_runs()
    }

    /// What matters most, in less than four minutes.
    pub fn quick(sections: &[Section]) -> Self {
        Self {
            sections: sections.to_vec(),
            rounds: 3,
            seconds: 0.25,
            runs: Vec::new(),
            mebibytes: 64,
            clients: &[1, 64, 1024],
            sizes: &[],
            servers: &[1, 3, 9],
            appenders: &[1, 64],
            readers: &[1, 64],
            outages: 100,
            timings: &TIMINGS[..1],
            latencies: &[10],
            beside_snapshots: &[64],
            entries: 200_000,
        }
        .with_runs()
    }

    /// Whether this part is to be measured.
    pub fn includes(&self, section: Section) -> bool {
        self.sections.is_empty() || self.sections.contains(&section)
    }

    fn with_runs(mut self) -> Self {
        if self.includes(Section::Writes) {
            self.add_writes();
        }
        if self.includes(Section::Reads) {
            self.add_reads();
        }
        self
    }

    fn add_writes(&mut self) {
        let writes = Work::Writes { servers: SERVERS };
        let by_clients = self.clients.iter().map(|clients| (*clients, BYTES));
        let by_size = self.sizes.iter().map(|bytes| (CLIENTS, *bytes));
        for (clients, bytes) in by_clients.chain(by_size) {
            let run = |contender| Run { contender, work: writes, clients, bytes };
            self.runs.extend((0..CONTENDERS.len()).map(run));
        }
        let by_jangada = |work, clients| Run { contender: 0, work, clients, bytes: BYTES };
        let others = self.servers.iter().filter(|servers| **servers != SERVERS);
        let others = others.map(|servers| Work::Writes { servers: *servers });
        self.runs.extend(others.map(|work| by_jangada(work, CLIENTS)));
        let appenders = self.appenders.iter();
        self.runs.extend(appenders.map(|clients| by_jangada(Work::Appends, *clients)));
    }

    fn add_reads(&mut self) {
        for (clients, lease) in self.readers.iter().flat_map(|it| [(it, false), (it, true)]) {
            let work = Work::Reads { lease };
            let can = |it: &Contender| {
                it.system == JANGADA
                    || it.system.starts_with(if lease { OPENRAFT } else { "openraft" })
            };
            let able = (0..CONTENDERS.len()).filter(|place| can(&CONTENDERS[*place]));
            let run = |contender| Run { contender, work, clients: *clients, bytes: BYTES };
            self.runs.extend(able.map(run));
        }
    }

    /// The program that loads a file, and its arguments.
    pub fn load_command_line(&self) -> Vec<String> {
        ["jangada", "load", "--mebibytes", &self.mebibytes.to_string()].map(str::to_owned).to_vec()
    }
}

impl Run {
    /// The system in its arrangement.
    pub fn contender(&self) -> &'static Contender {
        &CONTENDERS[self.contender]
    }

    /// The program and its arguments.
    pub fn command_line(&self, seconds: f64) -> Vec<String> {
        let Contender { system, program, arguments, .. } = self.contender();
        let mut line = vec![(*program).to_owned()];
        let mut add = |words: &[&str]| line.extend(words.iter().map(|word| (*word).to_owned()));
        match self.work {
            Work::Writes { .. } => add(arguments),
            Work::Appends => add(&["appends"]),
            Work::Reads { lease } => {
                let by = if lease { "lease" } else { "index" };
                match *system == JANGADA {
                    true => add(&["reads", "--by", by]),
                    false => {
                        add(arguments);
                        add(&["--reads", by]);
                    }
                }
            }
        }
        if let Work::Writes { servers } = self.work
            && *system == JANGADA
        {
            add(&["--servers", &servers.to_string()]);
        }
        // Jangada keeps its whole log in memory: large commands for a second would fill it.
        let seconds = if self.bytes > 1024 { seconds.min(0.25) } else { seconds };
        add(&["--clients", &self.clients.to_string(), "--bytes", &self.bytes.to_string()]);
        add(&["--seconds", &seconds.to_string()]);
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_run_is_planned_once_and_has_a_command_line() {
        for plan in [Plan::full(&[]), Plan::quick(&[])] {
            let mut runs = plan.runs.clone();
            runs.sort();
            runs.dedup();
            assert_eq!(runs.len(), plan.runs.len());
        }
        let run = |contender, work| Run { contender, work, clients: 8, bytes: 4096 };
        let line = run(0, Work::Writes { servers: 5 }).command_line(1.0).join(" ");
        let expected = "jangada writes --servers 5 --clients 8 --bytes 4096 --seconds 0.25";
        assert_eq!(line, expected);
        let line = run(8, Work::Writes { servers: 3 }).command_line(0.1).join(" ");
        let expected = "peer-raft07 --arrangement calls --clients 8 --bytes 4096 --seconds 0.1";
        assert_eq!(line, expected);
        let line = run(4, Work::Reads { lease: true }).command_line(1.0).join(" ");
        assert!(line.starts_with("peer-openraft010 --arrangement one --reads lease --c"), "{line}");
        assert!(run(0, Work::Appends).command_line(1.0).join(" ").starts_with("jangada appends"));
    }
}

//! How long nothing is acknowledged when a leader crashes, or hands over: in virtual time, so that
//! a thousand of them take seconds, and nothing else on the machine matters.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use jangada::actors::{ClockKind, Order, Sandbox, SandboxOptions, Servers, run};
use jangada::raft::{self, RoleKind, ServerId, Term, Time, Timing};
use jangada_peers::{ElectionsReport, Spread};
use tokio::task::spawn_local;

/// Servers; with one down, four are left, of which three must agree.
const SERVERS: u64 = 5;
/// Writers try so often while a message is on its way.
const TRIES: u32 = 20;
/// What must pass when a leader crashes, once a server has noticed: pre-vote, vote, commit.
const FAILOVER_ROUND_TRIPS: f64 = 3.0;
/// What must pass when a leader hands over: its order goes one way, the votes both ways, and the
/// first commit both ways; its own last commit takes both ways from the same moment.
const HANDOVER_ROUND_TRIPS: f64 = 1.5;

/// What is repeated, how often, and how slow the network is.
pub struct Setting {
    pub timing: Timing,
    /// A message's, one way.
    pub latency: Duration,
    pub count: u32,
    /// What every random draw comes from.
    pub seed: u64,
}

/// What was measured of each outage.
#[derive(Default)]
struct Outages {
    outages: Vec<Duration>,
    floors: Vec<Duration>,
    clients: Vec<Duration>,
    split: u32,
}

/// Crashes leaders.
///
/// # Errors
/// Nobody took over, or an order was refused.
pub fn failovers(setting: &Setting) -> Result<ElectionsReport, String> {
    virtually(async {
        let sandbox = setting.sandbox().await?;
        let mut outages = Outages::default();
        let client = sandbox.client();
        for number in 0..setting.count {
            let (old, term) = setting.settle(&sandbox, number).await?;
            client.touch().await.map_err(|error| error.to_string())?;
            setting.phase(&sandbox, number).await;
            let began = sandbox.clock().now();
            order(&sandbox, Order::Crash(old.into())).await?;
            let waiting = spawn_local({
                let (client, clock) = (client.clone(), sandbox.clock());
                async move { client.touch().await.map(|()| clock.now().since(began)) }
            });
            // What the leader sent before it crashed has arrived by now, and set timers anew.
            sandbox.clock().sleep(setting.latency).await;
            let timeout = least_timeout(&sandbox).await?;
            let round_trips = setting.latency.mul_f64(2.0 * FAILOVER_ROUND_TRIPS);
            outages.floors.push(setting.latency + timeout + round_trips);

            outages.outages.push(setting.next_write(&sandbox, old).await?.since(began));
            let (_, latest) = leader(&sandbox).await?;
            outages.split += u32::from(latest.0 > term.0 + 1);
            let client =
                waiting.await.map_err(|error| format!("a client's task ended: {error}"))?;
            outages.clients.push(client.map_err(|error| error.to_string())?);
            order(&sandbox, Order::Recover(old.into())).await?;
        }
        Ok(setting.report(outages))
    })
}

/// Has leaders hand over to each of the others in turn.
///
/// # Errors
/// Nobody took over, or an order was refused.
pub fn handovers(setting: &Setting) -> Result<ElectionsReport, String> {
    virtually(async {
        let sandbox = Rc::new(setting.sandbox().await?);
        let mut outages = Outages::default();
        for number in 0..setting.count {
            let (old, term) = setting.settle(&sandbox, number).await?;
            let to = ServerId((old.0 + u64::from(number) % (SERVERS - 1)) % SERVERS + 1);
            let (stop, answers) = (Rc::new(Cell::new(false)), Rc::default());
            let writers = spawn_local(write_on(
                sandbox.clone(),
                setting.latency / TRIES,
                stop.clone(),
                Rc::clone(&answers),
            ));
            setting.phase(&sandbox, number).await;
            order(&sandbox, Order::Transfer(Some(to))).await?;
            sandbox.clock().sleep(setting.latency * 20).await;
            stop.set(true);
            writers.await.map_err(|error| format!("the writers' task ended: {error}"))?;
            let (new, latest) = leader(&sandbox).await?;
            if new != to {
                return Err(format!("{old} was to hand over to {to}, and {new} leads"));
            }
            outages.split += u32::from(latest.0 > term.0 + 1);
            let answers: &RefCell<Vec<Time>> = &answers;
            let gaps = answers.borrow();
            let gaps = gaps.windows(2).map(|pair| pair[1].since(pair[0]));
            outages.outages.push(gaps.max().ok_or("no write was acknowledged")?);
            outages.floors.push(setting.latency.mul_f64(2.0 * HANDOVER_ROUND_TRIPS));
        }
        Ok(setting.report(outages))
    })
}

/// Writes to whoever leads, again and again, without waiting for answers, and notes when they came.
async fn write_on(
    sandbox: Rc<Sandbox>,
    pause: Duration,
    stop: Rc<Cell<bool>>,
    answers: Rc<RefCell<Vec<Time>>>,
) {
    let clock = sandbox.clock();
    while !stop.get() {
        if let Some(proposer) = sandbox.leader().and_then(|leader| sandbox.proposer(leader)) {
            let answers = answers.clone();
            spawn_local(async move {
                if proposer.propose(Bytes::from_static(b"a write")).await.is_ok() {
                    answers.borrow_mut().push(clock.now());
                }
            });
        }
        clock.sleep(pause).await;
    }
}

impl Setting {
    async fn sandbox(&self) -> Result<Sandbox, String> {
        let raft = raft::Options { timing: self.timing, ..raft::Options::default() };
        let (record_commands, monitor) = (false, false);
        let (servers, seed) = (SERVERS, self.seed);
        let sandbox = Sandbox::start(SandboxOptions {
            servers,
            seed,
            raft,
            record_commands,
            monitor,
            ..SandboxOptions::default()
        });
        let (from, to) = (Servers::All, Servers::All);
        let (latency, jitter) = (self.latency, Duration::ZERO);
        order(&sandbox, Order::Delay { from, to, latency, jitter }).await?;
        Ok(sandbox)
    }

    /// Waits until every server runs, follows the same leader and has what it has. Returns the
    /// leader and its term.
    async fn settle(&self, sandbox: &Sandbox, number: u32) -> Result<(ServerId, Term), String> {
        let settled = sandbox.wait_until(Duration::from_secs(60), |status| {
            let Some(leader) = status.leader() else { return false };
            let last = leader.last_log;
            status.servers.iter().all(|server| {
                let leads = server.leads() || server.leader == Some(leader.id);
                server.is_up()
                    && leads
                    && server.last_log == last
                    && server.commit_index == last.index
            })
        });
        settled.await.ok_or_else(|| format!("no quiet before outage {number}"))?;
        leader(sandbox).await
    }

    /// Waits until another moment between heartbeats.
    async fn phase(&self, sandbox: &Sandbox, number: u32) {
        /// The golden ratio: its multiples fall everywhere alike.
        const GOLDEN: f64 = 0.618_033_988_749_895;
        let share = (f64::from(number) * GOLDEN).fract();
        let heartbeats = self.timing.heartbeat.mul_f64(4.0 + share);
        sandbox.clock().sleep(heartbeats.max(self.latency * 4)).await;
    }

    /// When the next leader acknowledges a write that it was given at once.
    async fn next_write(&self, sandbox: &Sandbox, old: ServerId) -> Result<Time, String> {
        let clock = sandbox.clock();
        let patience = clock.now() + Duration::from_secs(60);
        while clock.now() < patience {
            let new = sandbox.leader().filter(|new| *new != old);
            if let Some(proposer) = new.and_then(|new| sandbox.proposer(new))
                && proposer.propose(Bytes::from_static(b"a write")).await.is_ok()
            {
                return Ok(clock.now());
            }
            clock.sleep(self.latency / TRIES).await;
        }
        Err(format!("nobody has taken over from {old} for 60 s"))
    }

    fn report(&self, outages: Outages) -> ElectionsReport {
        let milliseconds = |duration: Duration| duration.as_secs_f64() * 1e3;
        let Outages { outages, floors, clients, split } = outages;
        let excess =
            outages.iter().zip(&floors).map(|(outage, floor)| outage.saturating_sub(*floor));
        ElectionsReport {
            election_timeout_min: milliseconds(self.timing.election_timeout_min),
            election_timeout_max: milliseconds(self.timing.election_timeout_max),
            heartbeat: milliseconds(self.timing.heartbeat),
            round_trip: milliseconds(self.latency * 2),
            count: self.count,
            excess: Spread::of(excess.collect()),
            outage: Spread::of(outages),
            floor: Spread::of(floors),
            client: Spread::of(clients),
            split,
        }
    }
}

/// The time until the first follower notices that nobody leads.
async fn least_timeout(sandbox: &Sandbox) -> Result<Duration, String> {
    let status = sandbox.status().await.map_err(|error| error.to_string())?;
    let followers = status.servers.iter().filter(|it| it.role == Some(RoleKind::Follower));
    let least = followers.filter_map(|server| server.timer).min();
    least.ok_or_else(|| "no server follows".to_owned())
}

async fn leader(sandbox: &Sandbox) -> Result<(ServerId, Term), String> {
    let status = sandbox.status().await.map_err(|error| error.to_string())?;
    let leader = status.leader().ok_or("nobody leads")?;
    Ok((leader.id, leader.term))
}

async fn order(sandbox: &Sandbox, order: Order) -> Result<(), String> {
    sandbox.order(order).await.map_err(|error| error.to_string())
}

fn virtually<T>(main: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    run(ClockKind::Virtual, main).map_err(|error| format!("no runtime: {error}"))?
}

//! A hundred incidents, each with one order that caused it and several that did not.

use std::collections::BTreeSet;
use std::fmt::Write;

use jangada::raft::ServerId;
use jangada::replay::Until;
use jangada::script::Question;
use jangada::why::{Answer, Verdict, explain};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::run;

/// Incidents of each question.
const OF_EACH: u64 = 25;

/// A run, the line that caused what is asked about, and the question.
struct Incident {
    scenario: String,
    planted: usize,
    question: Question,
}

#[test]
fn of_a_hundred_incidents_the_planted_cause_is_named_and_nothing_else() {
    let kinds: [fn(Draw) -> Incident; 4] =
        [no_leader, lost_leadership, not_committed, refused_vote];
    let mut failures = String::new();
    let mut replays = 0;
    for number in 0..OF_EACH {
        for (kind, make) in kinds.iter().enumerate() {
            let seed = 4 * number + kind as u64;
            let incident = make(Draw::new(seed));
            let answer = incident.ask();
            replays += answer.replays;
            if let Err(why) = incident.judge(&answer) {
                writeln!(failures, "incident {seed}: {why}\n{}{answer}", incident.scenario)
                    .unwrap();
            }
            if std::env::var("SHOW_INCIDENTS").is_ok() {
                println!("---- {seed}\n{}{answer}", incident.scenario);
            }
        }
    }
    println!("{} incidents, {replays} replays", 4 * OF_EACH);
    assert!(failures.is_empty(), "{failures}");
}

impl Incident {
    fn ask(&self) -> Answer {
        let (timeline, end) = run(&self.scenario);
        let inquiry = jangada::script::Inquiry { question: self.question, at: None };
        explain(&timeline, &inquiry, end).unwrap()
    }

    fn judge(&self, answer: &Answer) -> Result<(), String> {
        let Verdict::Because(cause) = &answer.verdict else {
            return Err(format!("{:?} instead of line {}", answer.verdict, self.planted));
        };
        if cause.line != Some(self.planted) {
            return Err(format!("line {:?} instead of line {}", cause.line, self.planted));
        }
        if answer.chain.len() > 10 || !answer.chain.iter().any(|link| link.at == cause.at) {
            return Err("its chain is too long, or lacks the cause".to_owned());
        }
        if !answer.chain.is_sorted_by_key(|link| link.at) {
            return Err("its chain is out of order".to_owned());
        }
        Ok(())
    }
}

/// What one incident is drawn from: a cluster with a leader.
struct Draw {
    luck: ChaCha8Rng,
    lines: Vec<String>,
    servers: u64,
    leader: u64,
    /// The first of them takes part in the incident, the last is the victim of decoys.
    followers: Vec<u64>,
}

impl Draw {
    fn new(seed: u64) -> Self {
        let mut luck = ChaCha8Rng::seed_from_u64(seed);
        let servers = [3, 5][luck.next_u64() as usize % 2];
        let lines =
            vec![format!("servers {servers}"), format!("seed {seed}"), "wait leader".into()];
        let (timeline, end) = run(&lines.join("\n"));
        let (stage, _) = timeline.run(&BTreeSet::new(), Until::time(end)).unwrap();
        let leader = stage.sandbox().leader().unwrap().0;
        let followers = (1..=servers).filter(|id| *id != leader).collect();
        Self { luck, lines, servers, leader, followers }
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.luck.next_u64() % limit
    }

    fn wait(&mut self, min: u64, max: u64) {
        let millis = min + self.below(max - min + 1);
        self.lines.push(format!("wait {millis}ms"));
    }

    /// Orders of which nothing bad comes.
    fn decoys(&mut self, count: u64) {
        let (leader, last) = (self.leader, self.followers[self.followers.len() - 1]);
        let other = self.followers[0];
        for _ in 0..count {
            let decoy = match self.below(10) {
                0 => format!("delay {last} <-> {other} 5ms"),
                1 => format!("delay {leader} -> {last} 8ms jitter 4ms"),
                2 => format!("disk {last} 5ms"),
                3 => format!("duplicate 10% {leader} -> {last}"),
                4 => format!("reorder 10% {leader} -> {last}"),
                5 => format!("apply {last} 5ms"),
                6 => format!("loss 5% {last} <-> {other}"),
                7 => format!("speed {last} 15ms"),
                8 => format!("clock-rate {last} 1.02"),
                _ => format!("delay {last} -> {leader} 3ms"),
            };
            self.lines.push(decoy);
            self.wait(10, 60);
        }
    }

    /// What was over long before.
    fn old_decoys(&mut self) {
        let last = self.followers[self.followers.len() - 1];
        let (begin, end) = match self.below(3) {
            0 => (format!("crash {last}"), format!("recover {last}")),
            1 => (format!("pause {last}"), format!("resume {last}")),
            _ => (format!("disk {last} stall"), format!("disk {last} fast")),
        };
        self.lines.push(begin);
        self.wait(50, 100);
        self.lines.push(end);
        self.wait(1200, 1500);
    }

    /// Begins with decoys, plants the cause, goes on with decoys.
    fn plant(&mut self, cause: String, after: (u64, u64)) -> usize {
        self.wait(200, 400);
        self.old_decoys();
        let before = 1 + self.below(3);
        self.decoys(before);
        self.lines.push(cause);
        let planted = self.lines.len();
        if after.0 > 300 {
            self.wait(20, 60);
            self.decoys(1);
        }
        self.wait(after.0, after.1);
        planted
    }

    fn done(self, planted: usize, question: Question) -> Incident {
        Incident { scenario: self.lines.join("\n") + "\n", planted, question }
    }

    fn others(&self) -> String {
        self.list(&self.followers)
    }

    fn list(&self, servers: &[u64]) -> String {
        servers.iter().map(u64::to_string).collect::<Vec<_>>().join(",")
    }

    /// Enough followers to leave no majority.
    fn most_followers(&self) -> String {
        self.list(&self.followers[..self.servers as usize / 2 + 1])
    }

    /// Each server alone.
    fn alone(&self) -> String {
        let servers: Vec<String> = (1..=self.servers).map(|id| id.to_string()).collect();
        format!("partition {}", servers.join(" | "))
    }
}

fn no_leader(mut draw: Draw) -> Incident {
    let leader = draw.leader;
    let (cause, after) = match draw.below(7) {
        0 => (format!("crash {leader}"), (60, 90)),
        1 => (format!("pause {leader}"), (60, 90)),
        2 => ("stop all".to_owned(), (60, 90)),
        3 if draw.servers == 5 => (format!("crash {}", draw.most_followers()), (800, 1000)),
        4 => (draw.alone(), (800, 1000)),
        5 => ("loss 100% all -> all".to_owned(), (800, 1000)),
        _ => (format!("pause {}", draw.others()), (800, 1000)),
    };
    let planted = draw.plant(cause, after);
    draw.done(planted, Question::NoLeader)
}

fn lost_leadership(mut draw: Draw) -> Incident {
    let (leader, others) = (draw.leader, draw.others());
    let cause = match draw.below(11) {
        0 => format!("crash {leader}"),
        1 => format!("speed {leader} slow"),
        2 => format!("cut {leader} -> {others}"),
        3 => format!("cut {others} -> {leader}"),
        4 => format!("partition {leader} | {others}"),
        5 => format!("timeout {}", draw.followers[0]),
        6 => format!("loss 100% {leader} -> {others}"),
        7 => format!("delay {leader} <-> {others} 1s"),
        8 => "transfer".to_owned(),
        9 => format!("remove {leader}"),
        _ => format!("clock-jump {leader} +10s"),
    };
    let planted = draw.plant(cause, (800, 1200));
    draw.done(planted, Question::LostLeadership(ServerId(leader)))
}

fn not_committed(mut draw: Draw) -> Incident {
    let (leader, others) = (draw.leader, draw.others());
    draw.lines.push("clients 6 for 20s every 20ms".to_owned());
    let (cause, after) = match draw.below(7) {
        0 => (format!("crash {}", draw.list(&draw.followers)), (150, 250)),
        1 => (format!("cut {leader} -> {others}"), (110, 140)),
        2 => (format!("pause {others}"), (150, 250)),
        3 => (format!("disk {others} stall"), (150, 250)),
        4 => ("disk all stall".to_owned(), (150, 250)),
        5 => (draw.alone(), (150, 250)),
        _ => (format!("loss 100% {others} -> {leader}"), (150, 250)),
    };
    let planted = draw.plant(cause, after);
    let (timeline, end) = run(&draw.lines.join("\n"));
    let (stage, _) = timeline.run(&BTreeSet::new(), Until::time(end)).unwrap();
    let servers = stage.status().unwrap().servers;
    let committed = servers.iter().map(|server| server.commit_index).max().unwrap();
    draw.done(planted, Question::NotCommitted(committed.next()))
}

fn refused_vote(mut draw: Draw) -> Incident {
    let (leader, one) = (draw.leader, draw.followers[0]);
    let two = draw.followers[1];
    let (cause, voter) = match draw.below(7) {
        0 => (format!("cut {leader} -> {one}"), leader),
        1 => (format!("timeout {one},{two}"), two),
        2 => (format!("clock-jump {one} +5s"), two),
        3 => (format!("clock-rate {one} 20"), leader),
        4 => (format!("loss 100% {leader} -> {one}"), two),
        5 => (format!("delay {leader} -> {one} 2s"), two),
        _ => (format!("speed {one} slow"), leader),
    };
    let planted = draw.plant(cause, (600, 900));
    draw.done(planted, Question::RefusedVote(ServerId(voter)))
}

//! What is done to the processes, drawn from a seed.

use std::fmt;
use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::clients::Crowd;
use crate::process::Cluster;

/// Whoever kills, pauses and cuts.
pub(super) struct Tormentor {
    luck: ChaCha8Rng,
    tally: Torments,
}

/// What was done.
#[derive(Clone, Copy, Default)]
pub(super) struct Torments {
    kills: u64,
    of_leaders: u64,
    of_all: u64,
    while_starting: u64,
    pauses: u64,
    cuts: u64,
    bad_links: u64,
    snapshots: u64,
    full_disks: u64,
    /// Of these, how often the server had something to write that found no room.
    out_of_room: u64,
}

/// Something that goes on until it is taken back.
enum Disturbance {
    Nothing,
    Paused(u64),
    Links,
    FullDisk,
}

/// Calls that must be answered after everything was taken back.
const ANSWERS: u64 = 10;

impl Tormentor {
    pub(super) fn new(seed: u64) -> Self {
        Self { luck: ChaCha8Rng::seed_from_u64(seed), tally: Torments::default() }
    }

    /// One cycle: something is disturbed, servers are killed with -9 and started again.
    pub(super) fn torment(&mut self, cluster: &mut Cluster, crowd: &Crowd) {
        let disturbance = self.disturb(cluster, crowd);
        self.rest(150);
        let victims = self.victims(cluster);
        for id in &victims {
            cluster.kill(*id);
        }
        self.tally.kills += victims.len() as u64;
        self.rest(400);
        // Sometimes a server must start without room.
        let full = matches!(disturbance, Disturbance::FullDisk);
        let free_before = full && self.below(2) == 0;
        if free_before {
            cluster.fill_small_disk(false);
        }
        // Killed once more in the middle of recovery.
        if self.below(4) == 0 {
            cluster.spawn(victims[0], &[]);
            self.rest(60);
            cluster.kill(victims[0]);
            self.tally.kills += 1;
            self.tally.while_starting += 1;
        }
        for id in &victims {
            cluster.spawn(*id, &[]);
        }
        match disturbance {
            Disturbance::Paused(id) if !victims.contains(&id) => cluster.signal(id, "CONT"),
            Disturbance::Links => order(cluster, "heal"),
            _ => {}
        }
        for id in &victims {
            cluster.await_serving(*id);
        }
        if full && !free_before {
            cluster.fill_small_disk(false);
        }
        crowd.goes_on(ANSWERS);
        cluster.assert_all_run();
    }

    /// The leader, some server, several, or all.
    fn victims(&mut self, cluster: &Cluster) -> Vec<u64> {
        let mut servers = cluster.running();
        let count = match self.below(100) {
            0..35 => {
                let known = servers.iter().filter_map(|id| cluster.status_soon(*id));
                let led = known.max_by_key(|status| status["term"].as_u64());
                if let Some(leader) = led.and_then(|status| status["leader"].as_u64()) {
                    self.tally.of_leaders += 1;
                    return vec![leader];
                }
                1
            }
            35..65 => 1,
            65..80 => 2,
            80..92 => 3,
            _ => {
                self.tally.of_all += 1;
                servers.len() as u64
            }
        };
        let mut victims = Vec::new();
        for _ in 0..count {
            let place = self.below(servers.len() as u64) as usize;
            victims.push(servers.swap_remove(place));
        }
        victims
    }

    fn disturb(&mut self, cluster: &Cluster, crowd: &Crowd) -> Disturbance {
        let servers = cluster.running();
        let one = servers[self.below(servers.len() as u64) as usize];
        let other = servers[self.below(servers.len() as u64) as usize];
        let disturbance = match self.below(10) {
            0 | 1 => {
                cluster.signal(one, "STOP");
                self.tally.pauses += 1;
                Disturbance::Paused(one)
            }
            2 => {
                order(cluster, &format!("partition {one}"));
                self.tally.cuts += 1;
                Disturbance::Links
            }
            3 if one != other => {
                order(cluster, &format!("partition {one},{other}"));
                self.tally.cuts += 1;
                Disturbance::Links
            }
            4 => {
                order(cluster, &format!("cut {one} -> all"));
                self.tally.cuts += 1;
                Disturbance::Links
            }
            5 => {
                order(cluster, "loss 10%");
                order(cluster, "delay all -> all 5ms jitter 20ms");
                self.tally.bad_links += 1;
                Disturbance::Links
            }
            6 => {
                let taken = cluster.post_text(one, "/v1/cluster/snapshot", "");
                self.tally.snapshots += u64::from(taken.is_some());
                Disturbance::Nothing
            }
            7 if cluster.fill_small_disk(true) => {
                self.tally.full_disks += 1;
                self.tally.out_of_room += u64::from(crowd.burden(cluster));
                Disturbance::FullDisk
            }
            _ => Disturbance::Nothing,
        };
        if !matches!(disturbance, Disturbance::Nothing) {
            // Long enough for an election, sometimes.
            self.rest(900);
        }
        disturbance
    }

    fn rest(&mut self, most: u64) {
        std::thread::sleep(Duration::from_millis(self.below(most)));
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.luck.next_u64() % limit
    }

    pub(super) fn tally(&self) -> Torments {
        self.tally
    }
}

/// Gives an order to every server that runs. One that begins to start has no rules to take back.
fn order(cluster: &Cluster, order: &str) {
    for id in cluster.running() {
        if let Some((code, why)) = cluster.post_text(id, "/v1/chaos", order) {
            assert!((200..300).contains(&code), "S{id} refuses `{order}`: {why}");
        }
    }
}

impl fmt::Display for Torments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kills, of_leaders, of_all, while_starting, .. } = self;
        let Self { pauses, cuts, bad_links, snapshots, full_disks, out_of_room, .. } = self;
        write!(
            f,
            "{kills} processes killed with -9 ({of_leaders} times the leader, {of_all} times all at \
             once, {while_starting} times in recovery), {pauses} stopped with SIGSTOP, {cuts} cuts, \
             {bad_links} times bad links, {snapshots} snapshots, {full_disks} full disks ({out_of_room} \
             times something waited for room)"
        )
    }
}

//! What a server counts and measures, as OpenMetrics text. `docs/operations.md` lists all of it.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use super::control::Links;
use super::pulse::{Look, Pulse};
use crate::actors::{EventKind, Meter, Recorder};
use crate::blackbox;
use crate::net::{PeerStats, Peers};
use crate::raft::{Refusal, RoleKind};
use crate::storage::SYNC_BUCKETS;

/// What a server counts while it works. Clones count together.
#[derive(Clone, Debug)]
pub(super) struct Counts {
    apply: Histogram,
    applied: Counter,
    refusals: Family<Reason, Counter>,
    elections: Counter,
    terms_led: Counter,
    snapshots: Counter,
    installed: Counter,
    recording: Option<Arc<blackbox::Counters>>,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct Peer {
    peer: u64,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct Version {
    version: &'static str,
}

impl Counts {
    pub(super) fn new(recording: Option<Arc<blackbox::Counters>>) -> Self {
        // From 10 µs to 1.3 s.
        let apply = Histogram::new(exponential_buckets(1e-5, 2.0, 18));
        let (applied, refusals, elections) = Default::default();
        let (terms_led, snapshots, installed) = Default::default();
        Self { apply, applied, refusals, elections, terms_led, snapshots, installed, recording }
    }

    /// Counts what happens from now on.
    pub(super) fn follow(&self, recorder: &Recorder) {
        let counts = self.clone();
        recorder.watch(move |event| match &event.kind {
            EventKind::Became { role: RoleKind::Candidate, .. } => drop(counts.elections.inc()),
            EventKind::Became { role: RoleKind::Leader, .. } => drop(counts.terms_led.inc()),
            EventKind::Snapshotted { .. } => drop(counts.snapshots.inc()),
            EventKind::Installed { .. } => drop(counts.installed.inc()),
            _ => {}
        });
    }

    /// All metrics of the server, these and what is seen of it.
    pub(super) fn registry(&self, pulse: Pulse, links: Arc<OnceLock<Links>>) -> Registry {
        let Self { apply, applied, refusals, elections, .. } = self.clone();
        let Self { terms_led, snapshots, installed, recording, .. } = self.clone();
        let mut registry = Registry::with_prefix("jangada");
        registry.register("apply_seconds", "How long applying a batch of entries took", apply);
        registry.register("applied_entries", "Entries applied to the state", applied);
        registry.register("refusals", "Calls that were refused, by the reason", refusals);
        registry.register("elections", "Elections that the server stood in", elections);
        registry.register("terms_led", "Elections that the server won", terms_led);
        registry.register("snapshots", "Snapshots that the server took", snapshots);
        registry.register("snapshots_installed", "Snapshots got from a leader", installed);
        registry.register_collector(Box::new(Seen { pulse, links, recording }));
        registry
    }
}

impl Meter for Counts {
    fn applied(&self, entries: usize, took: Duration) {
        self.apply.observe(took.as_secs_f64());
        self.applied.inc_by(entries as u64);
    }

    fn refused(&self, refusal: Refusal) {
        let reason = match refusal {
            Refusal::NotLeader(_) => "not_leader",
            Refusal::ElectionRunning => "election_running",
            Refusal::NoQuorum { .. } => "no_quorum",
            Refusal::Busy => "busy",
            Refusal::HandingOver(_) => "handing_over",
            Refusal::DiskFull => "disk_full",
        };
        self.refusals.get_or_create(&Reason { reason }).inc();
    }
}

/// The metrics as text.
pub(super) fn encode(registry: &Registry) -> String {
    let mut out = String::new();
    // Writing to memory does not fail.
    let _ = text::encode(&mut out, registry);
    out
}

/// What is seen of the server by its latest look, and of its connections.
struct Seen {
    pulse: Pulse,
    links: Arc<OnceLock<Links>>,
    recording: Option<Arc<blackbox::Counters>>,
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seen")
    }
}

impl Collector for Seen {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let version = Version { version: env!("CARGO_PKG_VERSION") };
        let help = "The version that runs";
        let mut info = encoder.encode_descriptor("build", help, None, MetricType::Info)?;
        info.encode_info(&version)?;
        if let Some(look) = self.pulse.latest() {
            encode_look(&mut encoder, &look)?;
            encode_syncs(&mut encoder, &look)?;
            encode_lag(&mut encoder, &look)?;
        }
        if let Some(recording) = &self.recording {
            encode_recording(&mut encoder, recording)?;
        }
        match self.links.get() {
            Some(links) => encode_peers(&mut encoder, &links.peers),
            None => Ok(()),
        }
    }
}

fn encode_look(encoder: &mut DescriptorEncoder<'_>, look: &Look) -> fmt::Result {
    let raft = &look.seen.raft;
    let leads = u64::from(raft.role == RoleKind::Leader);
    let gauges = [
        ("raft_term", "The current term", raft.term.0),
        ("raft_is_leader", "1 if the server leads, else 0", leads),
        (
            "raft_leader",
            "The leader that the server knows, 0 if none",
            raft.leader.map_or(0, |it| it.0),
        ),
        ("raft_commit_index", "The last entry known to be committed", raft.commit_index.0),
        ("raft_applied_index", "The last entry applied to the state", look.seen.applied.0),
        ("raft_last_log_index", "The last entry of the log", raft.last_log.index.0),
        ("raft_durable_index", "The last entry on the server's own disk", raft.durable_index.0),
        ("raft_snapshot_index", "The last entry that the snapshot covers", raft.snapshot.0),
        ("raft_voters", "Members that vote", raft.configuration.voters().len() as u64),
        ("raft_recovering", "1 if a quorum has yet to recover the server", raft.recovering.into()),
        ("disk_full", "1 if something waits for room on the disk", look.full.into()),
        ("log_bytes", "Bytes of the log's files", look.sizes.log_bytes),
        ("snapshot_bytes", "Bytes of the snapshots' chunks", look.sizes.chunk_bytes),
    ];
    for (name, help, value) in gauges {
        let value = i64::try_from(value).unwrap_or(i64::MAX);
        encoder.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)?;
    }
    Ok(())
}

fn encode_recording(
    encoder: &mut DescriptorEncoder<'_>,
    recording: &blackbox::Counters,
) -> fmt::Result {
    let help = "Bytes of the recording's files";
    let bytes = i64::try_from(recording.bytes()).unwrap_or(i64::MAX);
    encoder
        .encode_descriptor("blackbox_bytes", help, None, MetricType::Gauge)?
        .encode_gauge(&bytes)?;
    let help = "Records that were left out, because the disk did not take them in time";
    let mut lost =
        encoder.encode_descriptor("blackbox_lost_records", help, None, MetricType::Counter)?;
    lost.encode_counter::<NoLabelSet, _, u64>(&recording.lost(), None)
}

fn encode_syncs(encoder: &mut DescriptorEncoder<'_>, look: &Look) -> fmt::Result {
    let bounds = SYNC_BUCKETS.iter().map(|micros| *micros as f64 / 1e6);
    let bounds = bounds.chain([f64::MAX]);
    let buckets: Vec<_> = bounds.zip(look.syncs.counts).collect();
    let (sum, count) = (look.syncs.total.as_secs_f64(), look.syncs.counts.iter().sum());
    let help = "How long batches of writes took, with their sync";
    let mut histogram =
        encoder.encode_descriptor("disk_sync_seconds", help, None, MetricType::Histogram)?;
    histogram.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
    let help = "Bytes written to the disk";
    let mut bytes =
        encoder.encode_descriptor("disk_written_bytes", help, None, MetricType::Counter)?;
    bytes.encode_counter::<NoLabelSet, _, u64>(&look.syncs.bytes, None)
}

/// How far the others are behind, as the leader sees it.
fn encode_lag(encoder: &mut DescriptorEncoder<'_>, look: &Look) -> fmt::Result {
    let raft = &look.seen.raft;
    if raft.peers.is_empty() {
        return Ok(());
    }
    let help = "Entries that a peer lacks on its disk, as the leader knows";
    let mut lag = encoder.encode_descriptor("peer_lag_entries", help, None, MetricType::Gauge)?;
    for peer in &raft.peers {
        let entries = (raft.last_log.index - peer.match_index) as i64;
        lag.encode_family(&Peer { peer: peer.id.0 })?.encode_gauge(&entries)?;
    }
    Ok(())
}

/// The name of a metric of a peer, what it means, and its value.
type Measure<T> = (&'static str, &'static str, fn(&PeerStats) -> T);

fn encode_peers(encoder: &mut DescriptorEncoder<'_>, peers: &Peers) -> fmt::Result {
    let known = peers.known().into_iter();
    let peers: Vec<_> = known.filter_map(|id| Some((id, peers.stats(id)?))).collect();
    let gauges: [Measure<Option<f64>>; 3] = [
        ("peer_connected", "1 with a connection to the peer, else 0", |stats| {
            Some(f64::from(u8::from(stats.connected.is_some())))
        }),
        ("peer_round_trip_seconds", "The latest round trip to the peer", |stats| {
            stats.round_trip.map(|it| it.as_secs_f64())
        }),
        ("peer_queue_bytes", "Bytes that wait to be written to the peer", |stats| {
            Some(stats.waiting as f64)
        }),
    ];
    for (name, help, value) in gauges {
        let mut gauge = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (id, stats) in &peers {
            if let Some(value) = value(stats) {
                gauge.encode_family(&Peer { peer: id.0 })?.encode_gauge(&value)?;
            }
        }
    }
    let counters: [Measure<u64>; 4] = [
        ("peer_received_bytes", "Bytes from the peer", |stats| stats.bytes_in),
        ("peer_sent_bytes", "Bytes to the peer", |stats| stats.bytes_out),
        ("peer_lost_messages", "Messages to the peer that were lost here", |it| it.dropped),
        ("peer_connections", "Connections made with the peer", |stats| stats.connections),
    ];
    for (name, help, value) in counters {
        let mut counter = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (id, stats) in &peers {
            let labels = Peer { peer: id.0 };
            counter
                .encode_family(&labels)?
                .encode_counter::<NoLabelSet, _, u64>(&value(stats), None)?;
        }
    }
    Ok(())
}

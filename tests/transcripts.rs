//! Transcripts of the protocol: in `tests/transcripts/` each file is a story that a person can
//! read, commands first and then what every server did, one line an event. A message shows when
//! it arrives (`->`) or is lost (`-x`).
//!
//! `UPDATE_GOLDENFILES=1 cargo test --test transcripts` writes the outputs anew; they are to be
//! read before they are kept.
//!
//! | command | what happens |
//! |---|---|
//! | `disk S1 term=3 vote=S2 log="1 1 3"` | before `cluster`: what a server kept |
//! | `cluster 3 [pre_vote=false] [check_quorum=false]` | servers start |
//! | `cluster 3 [entries=N] [window=N]` | N entries a message, N unanswered messages at most |
//! | `cluster 3 [kept=N]` | N entries before a snapshot stay in the log |
//! | `draw S1 40ms ...` | the next election timeouts of S1 are the shortest plus these |
//! | `wake S1` | the clock reaches the deadline of S1, and S1 alone notices |
//! | `pass 100ms`, `run 100ms` | everyone's deadlines come; `run` delivers messages at once |
//! | `deliver`, `round` | deliver until all is quiet; deliver what is in flight now |
//! | `deliver S1 S2`, `oldest S1 S2`, `newest S1 S2` | everything from S1 to S2; one of it |
//! | `network` | what is in flight |
//! | `lose [S1 S2]`, `double S1 S2` | lose messages; put a second copy of them in flight |
//! | `cut S1 S2`, `partition "S1 S2" S3`, `heal` | links, one way or between groups |
//! | `stall S1`, `persist S1`, `unstall S1` | hold the disk; let it do one write; let it go on |
//! | `crash S1 ...`, `start S1 ...`, `campaign S1` | an operator's orders |
//! | `join S4` | a server starts that the cluster does not know, or whose disk was lost |
//! | `propose S1 x y`, `read S1 [lease]` | clients' calls |
//! | `change S1 add S4`, `remove S2`, `learner S4` | S1 is told to change the members |
//! | `change S1 members "S1 S2"`, `priority S3 2` | the same |
//! | `handover S1 [S3]`, `snapshot S2` | S1 is to hand over; S2 takes a snapshot |
//! | `stall_apply S1`, `unstall_apply S1` | the state machine says nothing; says how far it is |
//! | `status [S1 ...]` | a line a server |

mod support;

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use goldenscript::{ArgumentConsumer, Command, Context};
use jangada::raft::{Change, Options, ServerId};
use support::cluster::{Cluster, Packet};
use support::disk::Disk;
use support::show::describe;

/// Makes a test of each transcript, and one that none is forgotten.
macro_rules! transcripts {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            let path = concat!("tests/transcripts/", stringify!($name));
            goldenscript::run(&mut Script::default(), path).expect("the script runs");
        })*

        #[test]
        fn every_transcript_is_run() {
            let folder = std::fs::read_dir("tests/transcripts").expect("the folder is there");
            let name = |file: std::io::Result<std::fs::DirEntry>| Some(file.ok()?.file_name());
            let mut there: Vec<_> = folder.filter_map(name).collect();
            there.sort();
            assert_eq!(there, [$(stringify!($name)),*]);
        }
    };
}

transcripts! {
    divergence_figure_7
    divergence_many_terms
    election_check_quorum
    election_forced
    election_lost_and_won_again
    election_pre_vote
    election_simple
    election_split_vote
    election_stickiness
    figure_8
    figure_8_with_an_entry_of_its_own_term
    handover_aborted
    handover_lagging
    handover_late
    handover_simple
    lease_and_forced_election
    lease_of_a_leader
    lease_of_a_silent_majority
    membership_change_taken_back
    membership_grow_and_shrink
    membership_joint_restart
    membership_refused
    membership_remove_a_dead_server
    membership_remove_a_follower
    membership_remove_the_leader
    partition_minority_leader
    partition_old_leader_returns
    reads_from_a_new_leader
    reads_of_a_deposed_leader
    reads_share_a_round
    recovery_from_a_quorum
    replication_doubled_and_reordered
    replication_lost_messages
    replication_pipeline
    replication_simple
    replication_slow_disk_of_a_follower
    replication_slow_disk_of_the_leader
    restart_after_the_vote_is_on_disk
    restart_before_the_vote_is_on_disk
    restart_of_everyone
    restart_of_one_server
    snapshot_compaction
    snapshot_crashes
    snapshot_leader_change
    snapshot_lost_and_doubled
    snapshot_not_needed
    stalled_apply
    stalled_disk
}

/// One transcript under way.
#[derive(Default)]
struct Script {
    disks: BTreeMap<ServerId, Disk>,
    cluster: Option<Cluster>,
}

impl goldenscript::Runner for Script {
    type Command = Command;

    fn run(&mut self, command: &Command, _: &Context) -> Result<String, Box<dyn Error>> {
        let mut args = command.consume_args();
        let output = match command.name.as_str() {
            "disk" => self.disk(&mut args)?,
            "cluster" => self.start(&mut args)?,
            name => {
                let cluster = self.cluster.as_mut().ok_or("`cluster` comes first")?;
                order(cluster, name, &mut args)?
            }
        };
        args.reject_next()?;
        Ok(output)
    }
}

impl Script {
    fn disk(&mut self, args: &mut ArgumentConsumer<'_>) -> Result<String, Box<dyn Error>> {
        let id = server(args.next_pos())?;
        let term = args.take_key("term").ok_or("`term=` is missing")?.parse()?;
        let vote = args.take_key("vote").map(|vote| server(Some(vote))).transpose()?;
        let terms = args.take_key("log").unwrap_or_default().split_whitespace().map(str::parse);
        self.disks.insert(id, Disk::with(term, vote, &terms.collect::<Result<Vec<_>, _>>()?));
        Ok(String::new())
    }

    fn start(&mut self, args: &mut ArgumentConsumer<'_>) -> Result<String, Box<dyn Error>> {
        let size = args.next_pos().ok_or("how many servers?")?.parse()?;
        let mut options = Options::default();
        while let Some((key, value)) = args.next_key() {
            match key {
                "pre_vote" => options.pre_vote = value.parse()?,
                "check_quorum" => options.check_quorum = value.parse()?,
                "entries" => options.limits.message_entries = value.parse()?,
                "kept" => options.limits.kept_entries = value.parse()?,
                "window" => options.limits.window_messages = value.parse()?,
                _ => return Err(format!("no option `{key}`").into()),
            }
        }
        let mut cluster = Cluster::with(size, &options, &self.disks);
        cluster.recording = true;
        self.cluster = Some(cluster);
        Ok(String::new())
    }
}

/// Carries out one command and says what happened.
fn order(
    cluster: &mut Cluster,
    name: &str,
    args: &mut ArgumentConsumer<'_>,
) -> Result<String, Box<dyn Error>> {
    match name {
        "draw" => {
            let id = server(args.next_pos())?;
            while let Some(draw) = args.next_pos() {
                cluster.server_mut(id).dice.next.push_back(duration(Some(draw))?);
            }
        }
        "wake" => cluster.wake(server(args.next_pos())?),
        "pass" => cluster.pass(duration(args.next_pos())?),
        "run" => cluster.run(duration(args.next_pos())?),
        "round" => cluster.deliver_round(),
        "deliver" => match link(args)? {
            None => cluster.deliver_all(),
            Some(link) => some(cluster.deliver_if(|packet| on(packet, link)))?,
        },
        "oldest" | "newest" => {
            let link = link(args)?.ok_or("from whom to whom?")?;
            let mut packets = cluster.network.iter();
            let place = match name {
                "oldest" => packets.position(|packet| on(packet, link)),
                _ => packets.rposition(|packet| on(packet, link)),
            };
            cluster.deliver(place.ok_or("nothing is in flight there")?);
        }
        "network" => {
            let line = |packet: &Packet| format!("{} .. {} {packet}\n", packet.from, packet.to);
            return Ok(cluster.network.iter().map(line).collect());
        }
        "lose" => match link(args)? {
            None => some(cluster.lose_if(|_| true))?,
            Some(link) => some(cluster.lose_if(|packet| on(packet, link)))?,
        },
        "double" => {
            let link = link(args)?.ok_or("from whom to whom?")?;
            let copies: Vec<_> =
                cluster.network.iter().filter(|packet| on(packet, link)).cloned().collect();
            some(copies.len())?;
            for copy in copies {
                cluster.inject(copy);
            }
        }
        "cut" => {
            let (from, to) = link(args)?.ok_or("from whom to whom?")?;
            cluster.cut(from, to);
        }
        "partition" => {
            let mut groups = Vec::new();
            while let Some(group) = args.next_pos() {
                groups.push(servers(group)?);
            }
            cluster.partition(&groups.iter().map(Vec::as_slice).collect::<Vec<_>>());
        }
        "heal" => cluster.heal(),
        "stall" => cluster.server_mut(server(args.next_pos())?).disk.stalled = true,
        "persist" => {
            let done = cluster.persist_one(server(args.next_pos())?);
            some(usize::from(done))?;
        }
        "unstall" => {
            let id = server(args.next_pos())?;
            cluster.persist_all(id);
            cluster.server_mut(id).disk.stalled = false;
        }
        "crash" => each(args, |id| cluster.crash(id))?,
        "start" => each(args, |id| cluster.start(id))?,
        "campaign" => cluster.campaign(server(args.next_pos())?),
        "propose" => {
            let id = server(args.next_pos())?;
            let mut commands = Vec::new();
            while let Some(command) = args.next_pos() {
                commands.push(command);
            }
            cluster.propose(id, &commands);
        }
        "read" => {
            let id = server(args.next_pos())?;
            let lease = match args.next_pos() {
                None => false,
                Some("lease") => true,
                Some(other) => return Err(format!("no read by `{other}`").into()),
            };
            cluster.read_by(id, lease);
        }
        "join" => cluster.join(server(args.next_pos())?),
        "change" => {
            let id = server(args.next_pos())?;
            let change = change(args)?;
            // What came of it shows.
            drop(cluster.change(id, change));
        }
        "handover" => {
            let id = server(args.next_pos())?;
            let to = args.next_pos().map(|to| server(Some(to))).transpose()?;
            cluster.hand_over(id, to);
        }
        "snapshot" => {
            let taken = cluster.snapshot(server(args.next_pos())?);
            some(usize::from(taken))?;
        }
        "stall_apply" => cluster.server_mut(server(args.next_pos())?).apply_stalled = true,
        "unstall_apply" => {
            let id = server(args.next_pos())?;
            cluster.server_mut(id).apply_stalled = false;
            cluster.say_applied(id);
        }
        "status" => {
            let mut ids = Vec::new();
            each(args, |id| ids.push(id))?;
            let ids = if ids.is_empty() { cluster.ids() } else { ids };
            return Ok(ids.into_iter().map(|id| describe(cluster, id) + "\n").collect());
        }
        _ => return Err(format!("no command `{name}`").into()),
    }
    Ok(cluster.take_events().into_iter().map(|line| line + "\n").collect())
}

fn change(args: &mut ArgumentConsumer<'_>) -> Result<Change, Box<dyn Error>> {
    let kind = args.next_pos().ok_or("what is to change?")?;
    Ok(match kind {
        "add" => Change::Add(server(args.next_pos())?),
        "learner" => Change::AddLearner(server(args.next_pos())?),
        "remove" => Change::Remove(server(args.next_pos())?),
        "members" => Change::Voters(servers(args.next_pos().ok_or("which servers?")?)?),
        "priority" => {
            let id = server(args.next_pos())?;
            Change::Priority(id, args.next_pos().ok_or("which priority?")?.parse()?)
        }
        other => return Err(format!("no change `{other}`").into()),
    })
}

fn each(
    args: &mut ArgumentConsumer<'_>,
    mut act: impl FnMut(ServerId),
) -> Result<(), Box<dyn Error>> {
    while let Some(id) = args.next_pos() {
        act(server(Some(id))?);
    }
    Ok(())
}

fn some(count: usize) -> Result<(), Box<dyn Error>> {
    if count == 0 { Err("there is nothing of the kind".into()) } else { Ok(()) }
}

fn on(packet: &Packet, link: (ServerId, ServerId)) -> bool {
    (packet.from, packet.to) == link
}

fn link(args: &mut ArgumentConsumer<'_>) -> Result<Option<(ServerId, ServerId)>, Box<dyn Error>> {
    match args.next_pos() {
        None => Ok(None),
        from => Ok(Some((server(from)?, server(args.next_pos())?))),
    }
}

fn servers(list: &str) -> Result<Vec<ServerId>, Box<dyn Error>> {
    list.split_whitespace().map(|id| server(Some(id))).collect()
}

fn server(word: Option<&str>) -> Result<ServerId, Box<dyn Error>> {
    let word = word.ok_or("which server?")?;
    let number = word.strip_prefix('S').ok_or_else(|| format!("no server `{word}`"))?;
    Ok(ServerId(number.parse()?))
}

fn duration(word: Option<&str>) -> Result<Duration, Box<dyn Error>> {
    let word = word.ok_or("how long?")?;
    let number = word.strip_suffix("ms").ok_or_else(|| format!("no number of ms: `{word}`"))?;
    Ok(Duration::from_millis(number.parse()?))
}

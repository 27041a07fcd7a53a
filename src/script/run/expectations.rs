//! What `expect` demands, and what was there instead.

use std::time::Duration;

use super::call::Seen;
use super::failure::{Failure, Unmet};
use super::host::{HostError, Input};
use super::{Runner, World};
use crate::actors::{
    ClientError, ClusterStatus, Consistency, LogLine, Membership, ServerStatus, Servers, Source,
};
use crate::files::{Refusal, Size};
use crate::invariants::{self, LinearizabilityError};
use crate::raft::{Configuration, Index, RoleKind, ServerId};
use crate::script::{Content, Expectation, NoLeader, Role};

/// The time between two looks at what is expected.
const POLL: Duration = Duration::from_millis(5);
/// Events that a failure shows.
const SHOWN_EVENTS: usize = 12;

/// Nothing that is expected may be missed.
const LINEARIZABLE: Consistency = Consistency::Linearizable;

/// What was there, if it is not what was expected.
type Look = Result<Result<(), String>, Failure>;

impl<W: World> Runner<W> {
    /// Fails unless the expectation holds, or comes to hold in time.
    pub(super) async fn expect(&self, expectation: &Expectation) -> Result<(), Failure> {
        let unmet = |found| {
            let events = self.world.events().latest(SHOWN_EVENTS);
            Failure::Unmet(Unmet { expected: expectation.to_string(), found, events })
        };
        self.look(expectation).await?.map_err(unmet)
    }

    async fn look(&self, expectation: &Expectation) -> Look {
        match expectation {
            Expectation::Leader { server, within } => {
                let led = |status: &ClusterStatus| {
                    let leader = followed_leader(status);
                    let right = leader.is_some() && (server.is_none() || leader == *server);
                    if right { Ok(()) } else { Err(roster(status)) }
                };
                self.in_time(*within, led).await
            }
            Expectation::NoLeader(NoLeader::Within(within)) => {
                self.in_time(*within, leaderless).await
            }
            Expectation::NoLeader(NoLeader::For(time)) => self.no_leader_for(*time).await,
            Expectation::Role { servers, role, within } => {
                let played = |status: &ClusterStatus| {
                    let meant = self.meant(servers)?;
                    let plays = |id: &ServerId| {
                        status.server(*id).is_some_and(|server| role_of(server) == *role)
                    };
                    if meant.iter().all(plays) { Ok(()) } else { Err(roster(status)) }
                };
                self.in_time(*within, played).await
            }
            Expectation::Commit { servers, index, within } => {
                let committed = |status: &ClusterStatus| {
                    indexes(status, &self.meant(servers)?, |it| it.commit_index, *index, "knows of")
                };
                self.in_time(*within, committed).await
            }
            Expectation::CaughtUp { servers, within } => {
                let caught_up = |status: &ClusterStatus| {
                    let leader = followed_leader(status).and_then(|id| status.server(id));
                    let Some(leader) = leader else { return Err(roster(status)) };
                    let committed = leader.commit_index;
                    let mut meant = self.meant(servers)?;
                    if !matches!(servers, Servers::Only(_)) {
                        // Nobody sends anything to those who are no members.
                        meant.retain(|id| status.membership(*id) != Membership::Outsider);
                    }
                    indexes(status, &meant, |it| it.applied_index, committed, "has applied")
                };
                self.in_time(*within, caught_up).await
            }
            Expectation::Members { voters, within } => {
                let mut wanted = voters.clone();
                wanted.sort_unstable();
                let settled = |status: &ClusterStatus| match committed_configuration(status) {
                    Some(known) if !known.is_changing() && known.voters() == wanted => Ok(()),
                    _ => Err(members(status)),
                };
                self.in_time(*within, settled).await
            }
            Expectation::Learners { learners, within } => {
                let mut wanted = learners.clone();
                wanted.sort_unstable();
                let settled = |status: &ClusterStatus| match committed_configuration(status) {
                    Some(known) if known.learners() == wanted => Ok(()),
                    _ => Err(members(status)),
                };
                self.in_time(*within, settled).await
            }
            Expectation::Snapshot { servers, index, within } => {
                let least = index.unwrap_or(Index(1));
                let taken = |status: &ClusterStatus| {
                    let snapshot =
                        |it: &ServerStatus| it.raft.as_ref().map_or(Index(0), |raft| raft.snapshot);
                    indexes(status, &self.meant(servers)?, snapshot, least, "has a snapshot up to")
                };
                self.in_time(*within, taken).await
            }
            Expectation::FilesEqual { within } => {
                self.until(*within, async || self.files_equal().await).await
            }
            Expectation::LogsEqual { within } => {
                self.until(*within, async || self.logs_equal().await).await
            }
            Expectation::Linearizable if self.calls.borrow().untruth().is_some() => {
                Ok(Err(self.calls.borrow().untruth().unwrap_or_default().to_owned()))
            }
            Expectation::Linearizable => match self.calls.borrow().check() {
                Ok(checked) => {
                    self.screen.confirm(&checked.to_string());
                    Ok(Ok(()))
                }
                Err(LinearizabilityError::Undecided(undecided)) => {
                    Err(Failure::Undecided(undecided))
                }
                Err(violation) => Ok(Err(violation.to_string())),
            },
            Expectation::Progress { within } => {
                let client = self.world.client();
                client.set_patience(*within);
                Ok(client.touch().await.map_err(|error| error.to_string()))
            }
            Expectation::Refused { because, call } => {
                let caller = self.caller(call.at)?;
                match caller.call(&call.command).await {
                    Ok(told) => Ok(Err(format!("it was carried out: {told}"))),
                    Err(Failure::File(ClientError::Unknown)) => {
                        Ok(Err("its outcome is unknown".to_owned()))
                    }
                    Err(failure) if failure.is_refusal() => {
                        let reason = failure.to_string();
                        let because = because.as_deref().unwrap_or_default();
                        if !reason.contains(because) {
                            return Ok(Err(format!("it is refused because of: {reason}")));
                        }
                        self.screen.confirm(&format!("refused, as expected: {reason}"));
                        Ok(Ok(()))
                    }
                    Err(failure) => Err(failure),
                }
            }
            Expectation::Unknown(call) => {
                let caller = self.caller(call.at)?;
                match caller.call(&call.command).await {
                    Ok(told) => Ok(Err(format!("it was carried out: {told}"))),
                    Err(Failure::File(ClientError::Unknown)) => Ok(Ok(())),
                    Err(failure) => Ok(Err(format!("it is refused: {failure}"))),
                }
            }
            Expectation::Content { file, content } => self.content(file, content).await,
            Expectation::NoFile(file) => match self.caller(None)?.stat(file, LINEARIZABLE).await {
                Ok((file, _)) => {
                    Ok(Err(format!("`{}`: {}, uuid {}", file.name, Size(file.size), file.uuid)))
                }
                Err(Failure::File(ClientError::Refused(Refusal::NoSuchFile { .. }))) => Ok(Ok(())),
                Err(failure) => Err(failure),
            },
        }
    }

    fn meant(&self, servers: &Servers) -> Result<Vec<ServerId>, String> {
        self.world.resolve(servers).map_err(|error| error.to_string())
    }

    /// Looks again and again until it is as expected or the time is over.
    async fn until(&self, within: Duration, mut look: impl AsyncFnMut() -> Look) -> Look {
        let clock = self.world.clock();
        let deadline = clock.now() + within;
        loop {
            let found = look().await?;
            let left = deadline.since(clock.now());
            if found.is_ok() || left.is_zero() {
                return Ok(found);
            }
            clock.sleep(POLL.min(left)).await;
        }
    }

    async fn in_time(
        &self,
        within: Duration,
        holds: impl Fn(&ClusterStatus) -> Result<(), String>,
    ) -> Look {
        self.until(within, async || Ok(holds(&self.world.status().await?))).await
    }

    async fn no_leader_for(&self, time: Duration) -> Look {
        let clock = self.world.clock();
        let began = clock.now();
        loop {
            let status = self.world.status().await?;
            let passed = status.at.since(began);
            if let Err(found) = leaderless(&status) {
                let seconds = passed.as_secs_f64();
                return Ok(Err(format!("after {seconds:.3} s: {found}")));
            }
            if passed >= time {
                return Ok(Ok(()));
            }
            clock.sleep(POLL.min(time - passed)).await;
        }
    }

    async fn files_equal(&self) -> Look {
        let status = self.world.status().await?;
        let mut states = self.world.states().await?;
        states.retain(|(id, ..)| status.server(*id).is_some_and(ServerStatus::is_up));
        states.retain(|(id, ..)| status.membership(*id) != Membership::Outsider);
        if states.iter().all(|state| state.2 == states[0].2) {
            return Ok(Ok(()));
        }
        let digest = |bytes: &[u8; 32]| blake3::Hash::from(*bytes).to_hex()[..8].to_owned();
        let found = states.iter().map(|(id, applied, digest_of)| {
            format!("{id} has applied {applied}, digest {}…", digest(digest_of))
        });
        Ok(Err(found.collect::<Vec<_>>().join("; ")))
    }

    async fn logs_equal(&self) -> Look {
        let status = self.world.status().await?;
        let up = status.servers.iter().filter(|server| server.is_up());
        let members = up.filter(|server| status.membership(server.id) != Membership::Outsider);
        let up: Vec<_> = members.collect();
        let Some((first, others)) = up.split_first() else { return Ok(Ok(())) };
        if others.iter().any(|server| server.last_log != first.last_log) {
            let ends = up.iter().map(|it| {
                format!(
                    "the log of {} ends at {}, term {}",
                    it.id, it.last_log.index, it.last_log.term
                )
            });
            return Ok(Err(ends.collect::<Vec<_>>().join("; ")));
        }
        let last = first.last_log.index;
        // What has been compacted, nobody can compare.
        let base = up.iter().filter_map(|server| server.raft.as_ref()).map(|raft| raft.log_base);
        let mut after = base.max().unwrap_or_default();
        while after < last {
            let page = self.world.log(first.id, after, last).await?;
            let Some(end) = page.last().map(|line| line.index) else { break };
            for server in others {
                let other = self.world.log(server.id, after, end).await?;
                if let Some(place) = (0..page.len()).find(|&it| page.get(it) != other.get(it)) {
                    let (one, other) = (entry(page.get(place)), entry(other.get(place)));
                    let found = format!("{} has {one}, {} has {other}", first.id, server.id);
                    return Ok(Err(found));
                }
            }
            after = end;
        }
        Ok(Ok(()))
    }

    async fn content(&self, file: &str, content: &Content) -> Look {
        let expected = match content {
            Content::Text(text) => blake3::hash(text),
            Content::Path(path) => {
                let path = self.base().join(path);
                let mut chunks = Input::open(&path)?.chunks(self.clock_kind);
                let mut hasher = blake3::Hasher::new();
                let io = |error| HostError::io("read", &path, error);
                while let Some(chunk) = chunks.next().await.map_err(io)? {
                    hasher.update(&chunk);
                }
                hasher.finalize()
            }
        };
        match self.caller(None)?.read(file, LINEARIZABLE, |_| Ok(())).await {
            Ok(Seen { file, .. }) if file.hash.0 == *expected.as_bytes() => Ok(Ok(())),
            Ok(Seen { file, content: None, .. }) => {
                Ok(Err(format!("`{}` has {}, hash {}", file.name, Size(file.size), file.hash)))
            }
            Ok(Seen { content: Some(found), .. }) => {
                Ok(Err(invariants::Content(found).to_string()))
            }
            Err(error @ (ClientError::Refused(_) | ClientError::NotDone(_))) => {
                Ok(Err(error.to_string()))
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// The leader that a quorum of the voters follows, itself included.
pub(super) fn followed_leader(status: &ClusterStatus) -> Option<ServerId> {
    let leader = status.leader().filter(|leader| leader.is_up())?;
    let follows = |it: &ServerStatus| {
        it.is_up() && it.term == leader.term && (it.id == leader.id || it.leader == Some(leader.id))
    };
    let follows = |id: ServerId| status.server(id).is_some_and(follows);
    let configuration = &leader.raft.as_ref()?.configuration;
    configuration.reached_by_quorum(follows).then_some(leader.id)
}

/// The configuration of a leader that a quorum follows, if it is committed.
pub(super) fn committed_configuration(status: &ClusterStatus) -> Option<&Configuration> {
    let leader = status.server(followed_leader(status)?)?;
    let raft = leader.raft.as_ref()?;
    (raft.configured_at <= raft.commit_index).then_some(&raft.configuration)
}

/// Who is a member, in one line.
pub(super) fn members(status: &ClusterStatus) -> String {
    let known = status.leader().and_then(|leader| leader.raft.as_ref());
    match known {
        None => format!("nobody leads: {}", roster(status)),
        Some(raft) => {
            let open = if raft.configured_at <= raft.commit_index { "" } else { ", not committed" };
            format!("{} knows{open}: {}", raft.id, raft.configuration)
        }
    }
}

fn leaderless(status: &ClusterStatus) -> Result<(), String> {
    match followed_leader(status) {
        None => Ok(()),
        Some(_) => Err(roster(status)),
    }
}

fn role_of(server: &ServerStatus) -> Role {
    match server.role {
        _ if server.is_down() => Role::Dead,
        Some(RoleKind::Leader) if server.stale => Role::Stale,
        Some(RoleKind::Leader) => Role::Leader,
        Some(RoleKind::PreCandidate | RoleKind::Candidate) => Role::Candidate,
        Some(RoleKind::Follower) | None => Role::Follower,
    }
}

/// Whether these servers have all reached an index.
fn indexes(
    status: &ClusterStatus,
    meant: &[ServerId],
    reached: impl Fn(&ServerStatus) -> Index,
    index: Index,
    verb: &str,
) -> Result<(), String> {
    let servers: Vec<_> = meant.iter().filter_map(|id| status.server(*id)).collect();
    if servers.iter().all(|server| server.is_up() && reached(server) >= index) {
        return Ok(());
    }
    let found = servers.iter().map(|server| match role_of(server) {
        Role::Dead => format!("{} is down", server.id),
        _ => format!("{} {verb} {}", server.id, reached(server)),
    });
    Err(format!("{}, of {index}", found.collect::<Vec<_>>().join("; ")))
}

/// Who is what, in one line.
fn roster(status: &ClusterStatus) -> String {
    let servers = status.servers.iter().map(|server| match (role_of(server), server.leader) {
        (Role::Dead, _) => format!("{} is down", server.id),
        (Role::Follower, Some(leader)) => {
            format!("{} follows {leader} in term {}", server.id, server.term)
        }
        (role, _) => format!("{} is {role} in term {}", server.id, server.term),
    });
    servers.collect::<Vec<_>>().join("; ")
}

fn entry(line: Option<&LogLine>) -> String {
    line.map_or_else(
        || "nothing there".to_owned(),
        |line| format!("entry {} of term {} ({})", line.index, line.term, line.command),
    )
}

//! The table of the members.

use super::paint::{Color, Paint};
use super::table::{self, Column};
use crate::actors::ClusterStatus;
use crate::script::members::{TITLES, rows, summary};

/// The table, with a summary above it.
pub(crate) fn members(cluster: &ClusterStatus, paint: Paint) -> String {
    let [server, part, priority, matched, caught_up, state] = TITLES;
    let columns = [
        Column::left(server),
        Column::left(part),
        Column::right(priority),
        Column::right(matched),
        Column::right(caught_up),
        Column::left(state),
    ];
    let mut text = format!("{}\n", summary(cluster));
    let rows = rows(cluster);
    if rows.is_empty() {
        return text;
    }
    let cells: Vec<Vec<&str>> =
        rows.iter().map(|row| row.iter().map(String::as_str).collect()).collect();
    let lines = table::lines(&columns.each_ref(), &cells);
    for (place, line) in lines.iter().enumerate() {
        let line = if place == 0 { paint.paint(Color::Bold, line) } else { line.clone() };
        text.push_str(&format!("{line}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actors::{Condition, ServerStatus};
    use crate::raft::{
        Configuration, Fetched, Index, PeerStatus, RoleKind, ServerId, Time, Timing,
    };

    fn peer(id: u64, matched: u64, fetched: Option<(u64, u64)>) -> PeerStatus {
        PeerStatus {
            id: ServerId(id),
            next_index: Index(matched + 1),
            match_index: Index(matched),
            fetched: fetched.map(|(chunks, of)| Fetched { chunks, of }),
            alive: id != 5,
        }
    }

    /// Server 2 leads three voters, a learner and one that is to vote.
    fn cluster() -> ClusterStatus {
        let mut leader = ServerStatus::example(2, RoleKind::Leader);
        if let Some(raft) = &mut leader.raft {
            raft.configuration =
                Configuration::joint([], [1, 2, 3].map(ServerId), [4, 5].map(ServerId));
            raft.configured_at = Index(9);
            raft.peers = vec![
                peer(1, 14, None),
                peer(3, 13, None),
                peer(4, 0, Some((3, 7))),
                peer(5, 7, None),
            ];
        }
        let follower = |id| ServerStatus::example(id, RoleKind::Follower);
        let crashed = follower(3).down(Condition::Crashed);
        let servers = vec![follower(1), leader, crashed, follower(4), follower(6)];
        ClusterStatus { at: Time::default(), timing: Timing::default(), servers }
    }

    #[test]
    fn every_member_and_every_other_server_has_its_row() {
        let text = members(&cluster(), Paint::PLAIN);
        let expected = [
            "voters S1 S2 S3 learners S4 S5; entry 9 of S2's log",
            "server  part          priority  match     caught up  state",
            "S1      voter                1     14          100%  follower",
            "S2      voter                1     14             -  leader",
            "S3      voter                1     13           92%  crashed",
            "S4      learner              1      0  snapshot 42%  follower",
            "S5      learner              1      7           50%  not there, not heard",
            "S6      not a member         -      -             -  follower",
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_is_not_settled_is_said() {
        let mut cluster = cluster();
        if let Some(raft) = &mut cluster.servers[1].raft {
            raft.configured_at = Index(15);
        }
        let first = |cluster: &ClusterStatus| {
            members(cluster, Paint::PLAIN).lines().next().unwrap_or_default().to_owned()
        };
        assert!(first(&cluster).ends_with("entry 15 of S2's log, not committed yet"));
        cluster.servers.remove(1);
        assert!(
            first(&cluster).ends_with("nobody leads, and this is the latest that any server has")
        );
        cluster.servers.clear();
        assert_eq!(first(&cluster), "no server runs that could tell who is a member");
    }
}

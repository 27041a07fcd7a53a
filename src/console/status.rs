//! The table of the servers.

use std::time::Duration;

use super::paint::{Color, Paint};
use super::table::{self, Column};
use crate::actors::{ClusterStatus, Condition, ServerStatus};
use crate::net::LinkRule;
use crate::raft::{Index, RoleKind, ServerId};
use crate::script::{NORMAL, Percent, SLOW, Time, members};
use crate::storage::DiskSpeed;

const COLUMNS: [Column; 14] = [
    Column::left("server"),
    Column::left("role"),
    Column::right("term"),
    Column::left("vote"),
    Column::left("leader"),
    Column::left("log"),
    Column::right(SNAPSHOT),
    Column::right("commit"),
    Column::right("applied"),
    Column::right("timer"),
    Column::left("speed"),
    Column::left("disk"),
    Column::left("apply"),
    Column::left("links"),
];

/// What a narrow terminal is not shown, in the order in which it is left out. Links that do
/// anything are then told below the table.
const DISPENSABLE: [&str; 7] = ["links", "apply", "disk", "speed", "vote", "timer", "applied"];

/// The title of a column that is left out where nobody has any.
const SNAPSHOT: &str = "snapshot";

/// Where the role stands.
const ROLE: usize = 1;

/// The table, with a summary above it. No wider than `width` columns, if that is possible.
pub(crate) fn status(cluster: &ClusterStatus, width: usize, paint: Paint) -> String {
    let cells: Vec<[String; COLUMNS.len()]> =
        cluster.servers.iter().map(|server| cells(server, cluster)).collect();
    let mut left_out = 0;
    let snapshots = cluster.servers.iter().any(|server| snapshot(server) > Index(0));
    let lines = loop {
        let shown = |at: &usize| {
            let title = COLUMNS[*at].title();
            !DISPENSABLE[..left_out].contains(&title) && (snapshots || title != SNAPSHOT)
        };
        let shown: Vec<usize> = (0..COLUMNS.len()).filter(shown).collect();
        let columns: Vec<&Column> = shown.iter().map(|at| &COLUMNS[*at]).collect();
        let rows: Vec<Vec<&str>> =
            cells.iter().map(|row| shown.iter().map(|at| row[*at].as_str()).collect()).collect();
        let lines = table::lines(&columns, &rows);
        let widest = lines.iter().map(|line| line.chars().count()).max().unwrap_or(0);
        if widest <= width || left_out == DISPENSABLE.len() {
            break lines;
        }
        left_out += 1;
    };
    let mut text = format!("{}\n", summary(cluster));
    let mut lines = lines.iter();
    if let Some(titles) = lines.next() {
        text.push_str(&format!("{}\n", paint.paint(Color::Bold, titles)));
    }
    for ((line, server), cells) in lines.zip(&cluster.servers).zip(&cells) {
        text.push_str(&painted(line, server, &cells[ROLE], paint));
        text.push('\n');
    }
    for server in &cluster.servers {
        if let Some(clock) = server.clock {
            text.push_str(&format!("clock of {}: {clock}\n", server.id));
        }
    }
    if left_out > 0 {
        for (server, cells) in cluster.servers.iter().zip(&cells) {
            if let [.., links] = cells
                && !links.is_empty()
            {
                text.push_str(&format!("links from {}: {links}\n", server.id));
            }
        }
    }
    text
}

/// `3 of 5 up; S2 leads term 4; election timeout 150ms..350ms, heartbeat 50ms`.
fn summary(cluster: &ClusterStatus) -> String {
    let (up, servers, (.., quorum)) = (cluster.up(), cluster.servers.len(), cluster.voters());
    let leads = match cluster.leader() {
        Some(leader) => format!("{} leads term {}", leader.id, leader.term),
        None if !quorum => "no quorum".to_owned(),
        None => "nobody leads".to_owned(),
    };
    let timing = &cluster.timing;
    format!(
        "{up} of {servers} up; {leads}; election timeout {}..{}, heartbeat {}",
        Time(timing.election_timeout_min),
        Time(timing.election_timeout_max),
        Time(timing.heartbeat),
    )
}

fn cells(server: &ServerStatus, cluster: &ClusterStatus) -> [String; COLUMNS.len()] {
    let someone = |id: Option<ServerId>| id.map_or("-".to_owned(), |id| id.to_string());
    let runs = server.role.is_some();
    let volatile = |value: String| if runs { value } else { "-".to_owned() };
    let last = server.last_log.index;
    [
        server.id.to_string(),
        role(server, cluster),
        server.term.to_string(),
        someone(server.voted_for),
        someone(server.leader),
        match &server.raft {
            _ if last.0 == 0 => "empty".to_owned(),
            Some(raft) if raft.log_base == last => "empty".to_owned(),
            Some(raft) => format!("{}..{last}", raft.log_base.next()),
            None => format!("to {last}"),
        },
        volatile(snapshot(server).to_string()),
        volatile(server.commit_index.to_string()),
        volatile(server.applied_index.to_string()),
        server.timer.map_or("-".to_owned(), |left| format!("{} ms", left.as_millis())),
        speed(server.latency),
        match server.disk {
            _ if server.disk_full => "full".to_owned(),
            DiskSpeed::Latency(latency) => fast_or(latency),
            DiskSpeed::Stalled => "stalled".to_owned(),
        },
        server.apply.map_or("stalled".to_owned(), fast_or),
        links(server, cluster),
    ]
}

/// The last entry that its snapshot covers.
fn snapshot(server: &ServerStatus) -> Index {
    server.raft.as_ref().map_or(Index(0), |raft| raft.snapshot)
}

fn role(server: &ServerStatus, cluster: &ClusterStatus) -> String {
    let mut notes = members::notes(server, cluster);
    let role = match server.condition {
        Condition::Running | Condition::Paused => {
            server.role.map_or(String::new(), |role| role.to_string())
        }
        Condition::Crashed => "crashed".to_owned(),
        Condition::Stopped => "stopped".to_owned(),
        Condition::Failed => "failed".to_owned(),
    };
    if server.stale {
        notes.insert(0, "stale".to_owned());
    }
    if server.condition == Condition::Paused {
        notes.push("paused".to_owned());
    }
    if notes.is_empty() { role } else { format!("{role} ({})", notes.join(", ")) }
}

fn speed(latency: Duration) -> String {
    match latency {
        NORMAL => "normal".to_owned(),
        SLOW => "slow".to_owned(),
        latency => fast_or(latency),
    }
}

fn fast_or(latency: Duration) -> String {
    if latency.is_zero() { "fast".to_owned() } else { Time(latency).to_string() }
}

/// The links from a server by what they do: `-x 3,4; -> 5 200ms loss 10%`.
fn links(server: &ServerStatus, cluster: &ClusterStatus) -> String {
    let mut groups: Vec<(LinkRule, Vec<ServerId>)> = Vec::new();
    for &(to, rule) in &server.links {
        match groups.iter_mut().find(|(known, _)| *known == rule) {
            Some((_, group)) => group.push(to),
            None => groups.push((rule, vec![to])),
        }
    }
    let groups: Vec<String> = groups
        .iter()
        .map(|(rule, group)| {
            let everyone = group.len() + 1 == cluster.servers.len();
            let numbers: Vec<String> = group.iter().map(|id| id.0.to_string()).collect();
            let to = if everyone { "all".to_owned() } else { numbers.join(",") };
            if rule.cut { format!("-x {to}") } else { format!("-> {to}{}", effects(rule)) }
        })
        .collect();
    groups.join("; ")
}

fn effects(rule: &LinkRule) -> String {
    let mut text = String::new();
    if !rule.latency.is_zero() {
        text.push_str(&format!(" {}", Time(rule.latency)));
    }
    if !rule.jitter.is_zero() {
        text.push_str(&format!(" jitter {}", Time(rule.jitter)));
    }
    let chances = [("loss", rule.loss), ("duplicate", rule.duplicate), ("reorder", rule.reorder)];
    for (name, probability) in chances {
        if probability > 0.0 {
            text.push_str(&format!(" {name} {}", Percent(probability)));
        }
    }
    text
}

/// The line with its role in a colour; all of it grey if the server does nothing.
fn painted(line: &str, server: &ServerStatus, role: &str, paint: Paint) -> String {
    // The number of a server never looks like a role, so the first match is the role's cell.
    let Some((number, rest)) = line.split_once(role) else { return line.to_owned() };
    let running = server.condition == Condition::Running;
    let plain = |text: &str| {
        if running || text.is_empty() { text.to_owned() } else { paint.paint(Color::Grey, text) }
    };
    let color = match (server.condition, server.role) {
        (Condition::Crashed | Condition::Failed, _) => Some(Color::Red),
        (Condition::Stopped | Condition::Paused, _) => Some(Color::Grey),
        (_, Some(RoleKind::Leader)) if server.stale => Some(Color::Magenta),
        (_, Some(RoleKind::Leader)) => Some(Color::Green),
        (_, Some(RoleKind::Candidate | RoleKind::PreCandidate)) => Some(Color::Yellow),
        _ => None,
    };
    let role = color.map_or(role.to_owned(), |color| paint.paint(color, role));
    format!("{}{role}{}", plain(number), plain(rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actors::ClockError;
    use crate::raft::{Configuration, Position, Term, Time as Moment, Timing};

    /// One server of every kind.
    fn cluster() -> ClusterStatus {
        let mut stale = ServerStatus::example(1, RoleKind::Leader);
        (stale.stale, stale.term, stale.latency) = (true, Term(1), SLOW);
        let cut = LinkRule { cut: true, ..LinkRule::default() };
        let lossy =
            LinkRule { latency: Duration::from_millis(200), loss: 0.1, ..LinkRule::default() };
        stale.links = vec![(ServerId(3), cut), (ServerId(4), cut), (ServerId(5), lossy)];
        let leader = ServerStatus::example(2, RoleKind::Leader);
        let mut candidate = ServerStatus::example(3, RoleKind::PreCandidate);
        (candidate.voted_for, candidate.leader, candidate.apply) = (None, None, None);
        let crashed = ServerStatus::example(4, RoleKind::Follower).down(Condition::Crashed);
        let crashed = ServerStatus { leader: None, last_log: Position::default(), ..crashed };
        let mut paused = ServerStatus::example(5, RoleKind::Follower);
        paused.condition = Condition::Paused;
        paused.disk = DiskSpeed::Stalled;
        let servers = vec![stale, leader, candidate, crashed, paused];
        ClusterStatus { at: Moment::default(), timing: Timing::default(), servers }
    }

    #[test]
    fn every_kind_of_server_has_its_row() {
        let text = status(&cluster(), 130, Paint::PLAIN);
        let expected = [
            "3 of 5 up; S2 leads term 2; election timeout 150ms..350ms, heartbeat 50ms",
            "server  role               term  vote  leader  log    commit  applied  timer  \
             speed  disk     apply    links",
            "S1      leader (stale)        1  S2    S2      1..14      14       13  41 ms  \
             slow   fast     fast     -x 3,4; -> 5 200ms loss 10%",
            "S2      leader                2  S2    S2      1..14      14       13  41 ms  \
             fast   fast     fast",
            "S3      pre-candidate         2  -     -       1..14      14       13  41 ms  \
             fast   fast     stalled",
            "S4      crashed               2  S2    -       empty       -        -      -  \
             fast   fast     fast",
            "S5      follower (paused)     2  S2    S2      1..14      14       13  41 ms  \
             fast   stalled  fast",
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_is_unusual_about_a_member_stands_with_its_role() {
        let mut cluster = cluster();
        let members = Configuration::joint([], [1, 2, 3].map(ServerId), [ServerId(5)]);
        for (place, server) in cluster.servers.iter_mut().enumerate() {
            if let Some(raft) = &mut server.raft {
                raft.configuration = members.clone();
                raft.recovering = place == 2;
                (raft.log_base, raft.snapshot) = (Index(9), Index(place as u64 + 10));
                raft.hands_over_to = (place == 1).then_some(ServerId(3));
            }
        }
        cluster.servers[4].last_log.index = Index(9);
        let text = status(&cluster, 150, Paint::PLAIN);
        let rows: Vec<&str> = text.lines().skip(1).collect();
        for (row, role, log) in [
            (1, "leader (stale)", "10..14"),
            (2, "leader (hands over to S3)", "10..14"),
            (3, "pre-candidate (recovering)", "10..14"),
            (4, "crashed (not a member)", "empty"),
            (5, "follower (learner, paused)", "empty"),
        ] {
            assert!(rows[row].contains(role) && rows[row].contains(log), "{text}");
        }
        assert!(rows[0].contains("log     snapshot  commit"), "{text}");
        assert!(rows[2].contains("10..14        11      14"), "{text}");
    }

    #[test]
    fn a_wrong_clock_is_told_below_the_table() {
        let mut cluster = cluster();
        let (ahead, behind) = (Duration::ZERO, Duration::from_millis(1500));
        cluster.servers[2].clock = Some(ClockError { rate: 0.8, ahead, behind });
        let text = status(&cluster, 130, Paint::PLAIN);
        assert!(text.ends_with("\nclock of S3: 1.5 s behind, rate 0.8\n"), "{text}");
    }

    #[test]
    fn a_narrow_terminal_is_shown_less_and_told_the_links_below() {
        for width in [40, 60, 80, 100] {
            let text = status(&cluster(), width, Paint::PLAIN);
            assert!(text.ends_with("links from S1: -x 3,4; -> 5 200ms loss 10%\n"), "{text}");
            let table = text.lines().skip(1).filter(|line| !line.starts_with("links"));
            let widest = table.map(str::len).max();
            assert!(widest <= Some(width.max(58)), "{width}:\n{text}");
        }
        let text = status(&cluster(), 1, Paint::PLAIN);
        for kept in ["server", "role", "term", "leader", "log", "commit"] {
            assert!(text.contains(kept), "{kept} in {text}");
        }
    }

    #[test]
    fn roles_have_their_colors() {
        let text = status(&cluster(), 120, Paint::COLORED);
        for colored in [
            "\x1b[35mleader (stale)\x1b[0m",
            "\x1b[32mleader\x1b[0m",
            "\x1b[33mpre-candidate\x1b[0m",
            "\x1b[31mcrashed\x1b[0m",
            "\x1b[90mfollower (paused)\x1b[0m",
        ] {
            assert!(text.contains(colored), "{colored} in {text}");
        }
    }

    #[test]
    fn nobody_can_lead_without_a_quorum() {
        let mut cluster = cluster();
        for server in &mut cluster.servers[..3] {
            *server = server.clone().down(Condition::Crashed);
        }
        let text = status(&cluster, 120, Paint::PLAIN);
        assert!(text.starts_with("0 of 5 up; no quorum;"), "{text}");
    }

    #[test]
    fn a_rule_for_every_link_says_all() {
        let mut cluster = cluster();
        let cut = LinkRule { cut: true, ..LinkRule::default() };
        cluster.servers[0].links = [2, 3, 4, 5].map(|id| (ServerId(id), cut)).to_vec();
        assert_eq!(links(&cluster.servers[0], &cluster), "-x all");
    }
}

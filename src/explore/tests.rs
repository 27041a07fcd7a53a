//! The explorer sees what it should, and finds what is broken.

use super::report::{Bounds, End, Report};
use super::search::search;
use crate::invariants::Property;
use crate::raft::{Effect, Message, ServerId};

fn bounds(terms: u64, entries: u8, crashes: u8) -> Bounds {
    Bounds { terms, entries, crashes, states: 1_000_000, ..Bounds::default() }
}

/// Two terms in which an operator asks for these members.
fn changing(servers: u64, members: &[u64], crashes: u8) -> Bounds {
    let members = members.iter().copied().map(ServerId).collect();
    Bounds { servers, members, ..bounds(2, 0, crashes) }
}

fn sound(bounds: &Bounds) -> Report {
    let report = search(bounds, |_| true, |_| {});
    assert_eq!(report.end, End::Complete, "{report}");
    report
}

/// What a core that leaves out some effects is caught at, and how.
fn broken(bounds: &Bounds, obeys: fn(&Effect) -> bool) -> (Property, Vec<String>) {
    let report = search(bounds, obeys, |_| {});
    match report.end {
        End::Violated { violation, path } => (violation.property, path),
        End::Complete | End::Full => panic!("nothing found: {report}"),
    }
}

#[test]
fn one_server_alone() {
    let report = sound(&Bounds { servers: 1, ..bounds(1, 1, 0) });
    assert_eq!((report.states, report.depth), (7, 4));
}

/// The same numbers in every build and on every run: pinned.
#[test]
fn two_servers() {
    let report = sound(&Bounds { servers: 2, ..bounds(2, 1, 1) });
    assert_eq!(
        (report.states, report.configurations, report.transitions, report.depth),
        (3895, 2845, 14485, 31)
    );
}

#[test]
fn three_servers_in_one_term() {
    let report = sound(&bounds(1, 0, 1));
    assert_eq!(
        (report.states, report.configurations, report.transitions, report.depth),
        (2084, 1258, 9254, 20)
    );
}

/// One of two servers is removed, which may be the leader.
#[test]
fn a_server_leaves() {
    let report = sound(&changing(2, &[1], 1));
    assert_eq!((report.states, report.transitions, report.depth), (5648, 21510, 35));
    assert!(report.coverage["leader: change of members"] > 0);
}

/// The one server is replaced by another, which begins with an empty disk.
#[test]
fn a_server_takes_the_place_of_another() {
    let report = sound(&changing(1, &[2], 0));
    for what in ["leader: Rejoin", "follower: RejoinReply", "follower: TimeoutNow"] {
        assert!(report.coverage.contains_key(what), "{what}: {:#?}", report.coverage);
    }
}

/// What recovers must not be counted, and must say so.
#[test]
fn a_recovery_that_is_not_saved_is_found() {
    let saves_none = |effect: &Effect| !matches!(effect, Effect::SaveRecovered);
    let (property, path) = broken(&changing(1, &[2], 0), saves_none);
    assert_eq!(property, Property::StableStorage, "{path:#?}");
}

/// Figures of docs/exploration.md.
#[cfg(feature = "museum")]
#[test]
fn bugs_of_membership_are_found() {
    use crate::museum::{Bug, switch_off, switch_on};

    let found = |bug, bounds: &Bounds| {
        switch_on(bug);
        let (property, path) = broken(bounds, |_| true);
        switch_off();
        (property, path.len())
    };
    let one_for_another = changing(1, &[2], 1);
    let one_leaves = changing(2, &[1], 1);
    assert_eq!(found(Bug::ChangesOneByOne, &one_for_another), (Property::Configuration, 2));
    let alone = found(Bug::NewMajorityAloneDecides, &one_leaves);
    assert_eq!(alone, (Property::LeaderCompleteness, 9));
}

#[test]
fn a_vote_that_is_not_saved_is_found() {
    let saves_no_vote = |effect: &Effect| !matches!(effect, Effect::SaveVote { .. });
    let (property, path) = broken(&bounds(1, 0, 1), saves_no_vote);
    assert_eq!(property, Property::StableStorage, "{path:#?}");
    assert_eq!(path.len(), 1, "{path:#?}");
}

/// The core is told that it is elected, and cannot send a no-op that is not in the log.
#[test]
fn a_no_op_that_is_not_written_is_found() {
    let writes_no_no_op = |effect: &Effect| !matches!(effect, Effect::AppendNoOp { .. });
    let (property, path) = broken(&bounds(1, 1, 0), writes_no_no_op);
    assert_eq!(property, Property::Assertion, "{path:#?}");
    let [stands, votes, wins] = &path[..] else { panic!("{path:#?}") };
    assert!(stands.starts_with("S1's election timer fires: saves term 1 with a vote for S1; "));
    assert!(votes.starts_with("S2 receives RequestVote term=1 last=0@0 from S1: "), "{votes}");
    assert!(wins.starts_with("S1 receives RequestVoteReply term=1 granted from S2: "), "{wins}");
}

/// A full memory is no success.
#[test]
fn too_many_states_are_said() {
    let report = search(&Bounds { states: 100, ..bounds(2, 2, 2) }, |_| true, |_| {});
    assert_eq!(report.end, End::Full);
    assert!(report.to_string().contains("more than 100 states"), "{report}");
}

/// Nothing is known of a world in which no message arrives but that nobody leads.
#[test]
fn silence_is_safe() {
    let says_nothing =
        |effect: &Effect| !matches!(effect, Effect::Send { message: Message::RequestVote(_), .. });
    let report = search(&bounds(2, 1, 0), says_nothing, |_| {});
    assert_eq!(report.end, End::Complete, "{report}");
    assert!(!report.coverage.contains_key("leader: proposal"), "{report}");
}

//! Snapshots, changes of members, lost disks, and facts that make no sense.

use super::*;

/// What a server that has a snapshot up to entry 2 finds, with these entries behind it.
fn compacted(log: &[Stamp]) -> Disk<'_> {
    Disk { term: 1, snapshot: 2, base: at(1, 2), log, ..Disk::default() }
}

#[test]
fn a_log_may_begin_behind_what_is_committed() {
    let mut run = applied();
    run.begin(S2, compacted(&[]));
    run.restore(S2, 2, 1);
    run.append(S1, 3, &[1]);
    run.append(S2, 3, &[1]);
    run.commit(S1, 3);
    run.answer(S1, 3);
    run.commit(S2, 3);
    run.apply(S2, 3, 1, b"");
    run.begin(S2, compacted(&stamps(&[1])));
    run.holds();

    let mut run = applied();
    run.begin(S2, Disk { base: at(2, 2), ..compacted(&[]) });
    run.violates(Property::CommittedIsFixed, "S2 starts with a log behind 2@2");

    let mut run = applied();
    run.begin(S2, Disk { base: at(1, 3), snapshot: 3, ..compacted(&[]) });
    run.violates(Property::CommittedIsFixed, "never committed");

    let mut run = applied();
    run.begin(S2, Disk { snapshot: 3, ..compacted(&[]) });
    run.violates(Property::CommittedIsFixed, "S2 starts with a snapshot up to 3 and a log of 2@1");

    let mut run = applied();
    run.append(S2, 3, &[1]);
    run.begin(S2, compacted(&[]));
    run.violates(Property::StableStorage, "S2 starts with 0 entries, but its disk had others");

    let mut run = applied();
    run.begin(S2, compacted(&[]));
    run.commit(S2, 1);
    run.violates(Property::Monotonic, "from 2 to 1");
}

#[test]
fn a_snapshot_does_not_go_back() {
    let mut run = applied();
    run.begin(S2, compacted(&[]));
    run.begin(S2, Disk { term: 1, log: &stamps(&[1, 1]), ..Disk::default() });
    run.violates(
        Property::StableStorage,
        "S2 starts with a snapshot up to 0; its disk had one to 2",
    );
}

#[test]
fn an_installed_snapshot_is_what_was_committed() {
    // S3 missed it all; a crash takes the snapshot back, or does not.
    let behind = || {
        let mut run = Run::new();
        run.lead(S1, 1);
        for server in [S1, S2] {
            run.enter(server, 1);
            run.append(server, 1, &[1, 1]);
        }
        run.enter(S3, 1);
        run.commit(S1, 2);
        run
    };
    let mut run = behind();
    run.install(S3, at(1, 2), 0, &founding());
    run.commit(S3, 2);
    run.begin(S3, Disk { term: 1, ..Disk::default() });
    run.install(S3, at(1, 2), 0, &founding());
    run.sync(S3);
    run.commit(S3, 2);
    run.send(S3, S1, matched(1, 2));
    run.begin(S3, compacted(&[]));
    run.holds();

    let mut run = behind();
    run.install(S3, at(2, 2), 0, &founding());
    run.violates(Property::CommittedIsFixed, "S3 installs a snapshot up to 2@2");

    let mut run = behind();
    run.install(S3, at(1, 2), 0, &founding());
    run.send(S3, S1, matched(1, 2));
    run.violates(Property::StableStorage, "tells S1 that it has 2, but its disk has up to 0");

    let mut run = behind();
    run.install(S3, at(1, 2), 0, &founding());
    run.sync(S3);
    run.begin(S3, Disk { term: 1, ..Disk::default() });
    run.violates(Property::StableStorage, "its disk had one to 2");

    let mut run = behind();
    run.commit(S2, 2);
    run.install(S2, at(1, 1), 0, &founding());
    run.violates(Property::Monotonic, "S2 installs a snapshot up to 1, but has committed up to 2");

    let mut run = behind();
    run.install(S1, at(1, 2), 0, &founding());
    run.violates(Property::LeaderAppendOnly, "S1 leads term 1 and puts a snapshot");
}

/// A snapshot replaces entries that were never committed, and what was true of them.
#[test]
fn an_installed_snapshot_replaces_the_log() {
    let mut run = Run::settled();
    run.append(S3, 3, &[1]);
    run.lead(S2, 2);
    run.append(S2, 3, &[2]);
    run.enter(S1, 2);
    run.turn(S1, RoleKind::Follower, 2);
    run.append(S1, 3, &[2]);
    run.commit(S2, 3);
    run.enter(S3, 2);
    run.install(S3, at(2, 3), 0, &founding());
    run.send(S3, S2, matched(2, 2));
    run.sync(S3);
    run.commit(S3, 3);
    run.send(S3, S2, matched(2, 3));
    run.append(S3, 4, &[2]);
    run.holds();
}

#[test]
fn restored_states_are_those_of_others() {
    let mut run = applied();
    run.tell(Fact::Digest { server: S2, index: Index(2), digest: [1; 32] });
    run.commit(S3, 2);
    run.restore(S3, 2, 1);
    run.append(S1, 3, &[1]);
    run.append(S3, 3, &[1]);
    run.commit(S1, 3);
    run.commit(S3, 3);
    run.apply(S3, 3, 1, b"yes");
    run.holds();

    let mut run = applied();
    run.tell(Fact::Digest { server: S2, index: Index(2), digest: [1; 32] });
    run.commit(S3, 2);
    run.restore(S3, 2, 2);
    run.violates(Property::StateHash, "S3 has another state at 2");

    let mut run = applied();
    run.commit(S3, 2);
    run.restore(S1, 2, 1);
    run.restore(S3, 2, 2);
    run.violates(Property::StateHash, "S3 has another state at 2");

    let mut run = Run::settled();
    run.commit(S1, 2);
    run.restore(S1, 2, 1);
    run.violates(Property::StateHash, "S1 restores the state after 2, but nobody has applied more");

    let mut run = applied();
    run.restore(S3, 2, 1);
    run.violates(Property::StateMachineSafety, "S3 restores the state after 2, but knows of");

    let mut run = applied();
    run.restore(S2, 1, 1);
    run.violates(Property::Monotonic, "S2 goes back from the state after 2 to that after 1");
}

/// Entry 3 makes the members S1, S2, S3 on their way to S3, S4, S5; S1 leads.
fn changing() -> Run {
    let mut run = Run::settled();
    run.commit(S1, 2);
    for id in [4, 5].map(ServerId) {
        run.join(id);
        run.enter(id, 1);
        run.append(id, 1, &[1, 1]);
        run.recover(id);
        run.sync(id);
    }
    let joint = joint(&[1, 2, 3], &[3, 4, 5]);
    for id in [1, 2, 4, 5].map(ServerId) {
        run.configure(id, 3, 1, &joint);
    }
    run.commit(S1, 3);
    run
}

#[test]
fn both_halves_decide_while_joint() {
    let mut run = changing();
    run.append(S1, 4, &[1]);
    run.append(S2, 4, &[1]);
    run.append(ServerId(4), 4, &[1]);
    run.append(S3, 3, &[]);
    run.commit(S1, 4);
    run.violates(Property::LeaderCompleteness, "commits 4, which is on 1 of 3 disks, not on 2");

    let mut run = changing();
    for id in [1, 4, 5].map(ServerId) {
        run.append(id, 4, &[1]);
    }
    run.commit(S1, 4);
    run.violates(Property::LeaderCompleteness, "commits 4, which is on 1 of 3 disks, not on 2");

    let mut run = changing();
    for id in [1, 2, 4, 5].map(ServerId) {
        run.append(id, 4, &[1]);
    }
    run.commit(S1, 4);
    run.answer(S1, 4);
    run.holds();
}

/// Once their own configuration is in the leader's log, the new voters decide alone, also about
/// what stands before it.
#[test]
fn new_voters_decide_alone_in_the_end() {
    let decided = || {
        let mut run = changing();
        run.append(S1, 4, &[1]);
        run.configure(S1, 5, 1, &voters(&[3, 4, 5]));
        for id in [4, 5].map(ServerId) {
            run.append(id, 4, &[1]);
        }
        run.commit(S1, 4);
        run.answer(S1, 4);
        run
    };
    let mut run = decided();
    for id in [4, 5].map(ServerId) {
        run.configure(id, 5, 1, &voters(&[3, 4, 5]));
    }
    run.commit(S1, 5);
    run.answer(S1, 5);
    // The removed ones do not count any more.
    run.tell(Fact::Ended { server: S2 });
    run.lead(ServerId(4), 2);
    run.holds();

    // The removed ones do not keep anything for the others.
    let mut run = decided();
    run.enter(ServerId(5), 2);
    run.append(ServerId(5), 4, &[2]);
    run.violates(Property::AcknowledgedIsKept, "entry 4, which a client was told of, is on 1 of 3");

    // What stands before the joint configuration both keep.
    let mut run = changing();
    run.answer(S1, 3);
    run.enter(S2, 2);
    run.append(S2, 3, &[2]);
    run.violates(Property::AcknowledgedIsKept, "entry 3, which a client was told of, is on 1 of 3");
}

#[test]
fn only_voters_lead() {
    let mut run = changing();
    run.lead(ServerId(4), 2);
    run.holds();

    let mut run = Run::settled();
    run.join(ServerId(4));
    run.lead(ServerId(4), 2);
    run.violates(Property::Configuration, "S4 leads term 2 and is no voter");

    // Whoever leaves may be needed until that is committed.
    let leaving = || {
        let mut run = changing();
        run.append(S3, 3, &[]);
        for id in [1, 4, 5].map(ServerId) {
            run.configure(id, 4, 1, &voters(&[3, 4, 5]));
        }
        run
    };
    let mut run = leaving();
    run.lead(S1, 2);
    run.holds();

    let mut run = leaving();
    run.commit(S1, 4);
    run.lead(S1, 2);
    run.violates(Property::Configuration, "S1 leads term 2 and is no voter");
}

/// A configuration holds until the entry is replaced; then the one before holds again.
#[test]
fn a_replaced_configuration_holds_no_more() {
    let configured = || {
        let mut run = Run::settled();
        run.commit(S1, 2);
        run.configure(S1, 3, 1, &joint(&[1, 2, 3], &[4]));
        run.lead(S2, 2);
        run.append(S2, 3, &[2]);
        run.append(S3, 3, &[2]);
        run.enter(S1, 2);
        run.turn(S1, RoleKind::Follower, 2);
        run
    };
    let mut run = configured();
    run.append(S1, 3, &[2]);
    run.append(S2, 4, &[2]);
    run.append(S3, 4, &[2]);
    run.commit(S2, 4);
    run.holds();

    // It comes back with its disk, and the servers that it names decide with it.
    let mut run = configured();
    let entry = stamp_of(1, &joint(&[1, 2, 3], &[4]));
    run.begin(S1, Disk { term: 2, log: &[stamp(1), stamp(1), entry], ..Disk::default() });
    run.lead(S1, 3);
    run.append(S1, 4, &[3]);
    run.enter(S2, 3);
    run.turn(S2, RoleKind::Follower, 3);
    run.write(S2, 3, &[entry, stamp(3)]);
    run.sync(S2);
    run.commit(S1, 4);
    run.violates(Property::LeaderCompleteness, "commits 4, which is on 0 of 1 disks, not on 1");
}

#[test]
fn quorums_have_a_server_in_common() {
    let settled = || {
        let mut run = Run::settled();
        run.commit(S1, 2);
        run
    };
    let mut run = settled();
    run.configure(S1, 3, 1, &voters(&[1, 2, 4]));
    run.violates(Property::Configuration, "S1 appends voters S1 S2 S4 at 3, but without a common");

    // The bug of 2015: two servers, and each of them adds another.
    let mut run = Run { monitor: Monitor::new([S1, S2]), writes: 0, found: Ok(()) };
    let alone = voters(&[1, 2]);
    for server in [S1, S2] {
        run.begin(server, Disk { configuration: Some((0, &alone)), ..Disk::default() });
    }
    run.lead(S1, 1);
    run.configure(S1, 1, 1, &voters(&[1, 2, 3]));
    run.lead(S2, 2);
    run.configure(S2, 1, 2, &voters(&[1, 2, 4]));
    run.violates(Property::Configuration, "a quorum of voters S1 S2 S3 can decide, too");

    // Two leaders may begin whatever they like, jointly.
    let mut run = settled();
    run.configure(S1, 3, 1, &joint(&[1, 2, 3], &[4, 5]));
    run.lead(S2, 2);
    run.configure(S2, 3, 2, &joint(&[1, 2, 3], &[6]));
    run.configure(S3, 3, 2, &joint(&[1, 2, 3], &[6]));
    run.holds();
}

#[test]
fn one_change_at_a_time() {
    let mut run = Run::settled();
    run.commit(S1, 2);
    run.configure(S1, 3, 1, &joint(&[1, 2, 3], &[1, 2]));
    run.configure(S1, 4, 1, &voters(&[1, 2]));
    run.violates(Property::Configuration, "at 4, but that of 3 is not committed");

    let mut run = Run::settled();
    run.commit(S1, 2);
    run.tell(Fact::Configures { server: S1, at: Index(3), configuration: &voters(&[1]) });
    run.violates(Property::Configuration, "S1 goes by voters S1 of 3, but its log ends at 2");

    let mut run = changing();
    let other = joint(&[1, 2, 3], &[3, 4, 6]);
    run.tell(Fact::Configures { server: S2, at: Index(3), configuration: &other });
    run.violates(Property::Configuration, "where others have voters S3 S4 S5 from S1 S2 S3");
}

#[test]
fn snapshots_keep_the_configuration() {
    let behind = || {
        let mut run = changing();
        run.enter(S3, 1);
        run
    };
    let joint = joint(&[1, 2, 3], &[3, 4, 5]);
    let mut run = behind();
    run.install(S3, at(1, 3), 3, &joint);
    run.sync(S3);
    run.commit(S3, 3);
    let found = Disk { term: 1, snapshot: 3, base: at(1, 3), ..Disk::default() };
    run.begin(S3, Disk { configuration: Some((3, &joint)), ..found });
    run.lead(S3, 2);
    run.holds();

    let mut run = behind();
    run.install(S3, at(1, 3), 0, &founding());
    run.violates(Property::Configuration, "S3 has voters S1 S2 S3 of 0 in its snapshot up to 3");

    let mut run = behind();
    run.install(S3, at(1, 2), 3, &joint);
    run.violates(Property::Configuration, "but it is voters S1 S2 S3 of 0 that was committed");

    let mut run = behind();
    run.begin(ServerId(4), Disk { configuration: Some((3, &founding())), ..found });
    run.violates(Property::Configuration, "S4 has voters S1 S2 S3 of 3 in its snapshot");
}

#[test]
fn a_lost_disk_promises_nothing() {
    let refused = |recovering| InstallSnapshotReply {
        term: Term(0),
        round: Round(1),
        last_included: at(1, 1),
        want: None,
        have: Fetched::default(),
        recovering,
    };
    let lost = || {
        let mut run = Run::settled();
        run.vote(S3, 2, S2);
        run.grant(S3, S2, 2);
        run.tell(Fact::Ended { server: S3 });
        run.join(S3);
        run
    };
    let mut run = lost();
    run.enter(S3, 1);
    run.send(S3, S1, AppendEntriesReply { recovering: true, ..matched(1, 0) });
    run.send(S3, S1, refused(true));
    run.append(S3, 1, &[1, 1]);
    run.recover(S3);
    run.sync(S3);
    run.send(S3, S1, matched(1, 2));
    run.vote(S3, 2, S1);
    run.grant(S3, S1, 2);
    run.holds();

    let mut run = lost();
    run.vote(S3, 1, S1);
    run.grant(S3, S1, 1);
    run.violates(Property::StableStorage, "S3 has lost its disk, has not recovered, and tells S1");

    let mut run = lost();
    run.enter(S3, 1);
    run.append(S3, 1, &[1, 1]);
    run.recover(S3);
    run.send(S3, S1, matched(1, 2));
    run.violates(Property::StableStorage, "has not recovered, and tells S1: AppendEntriesReply");

    let mut run = lost();
    run.send(S3, S1, refused(false));
    run.violates(Property::StableStorage, "tells S1: InstallSnapshotReply");

    let mut run = lost();
    run.vote(S3, 1, S3);
    run.send(S3, S1, candidacy(1, false));
    run.violates(Property::StableStorage, "tells S1: RequestVote");

    // It says that it lost its disk, and has not; or it has, and does not say so.
    let mut run = Run::settled();
    run.begin(S3, Disk { term: 1, log: &stamps(&[1, 1]), recovering: true, ..Disk::default() });
    run.violates(Property::StableStorage, "S3 starts as if it had lost its disk");

    let mut run = lost();
    run.begin(S3, Disk { recovering: false, ..joining(&Configuration::default()) });
    run.violates(Property::StableStorage, "S3 starts as if it had recovered, and has not");

    let mut run = lost();
    run.recover(S3);
    run.begin(S3, Disk { recovering: false, ..joining(&Configuration::default()) });
    run.holds();
}

/// A leader may count what the lost disk had, and nothing of what the new one has, until the
/// server has recovered; then it must have it all.
#[test]
fn a_lost_disk_counts_for_what_it_had() {
    let lost = |kept: bool| {
        let mut run = Run::settled();
        run.append(S1, 3, &[1]);
        if kept {
            run.append(S2, 3, &[1]);
        }
        run.tell(Fact::Ended { server: S2 });
        run.join(S2);
        run.enter(S2, 1);
        run
    };
    let mut run = lost(true);
    run.commit(S1, 3);
    run.answer(S1, 3);
    run.append(S2, 1, &[1, 1, 1]);
    run.recover(S2);
    run.sync(S2);
    run.holds();

    let mut run = lost(false);
    run.append(S2, 1, &[1, 1, 1]);
    run.commit(S1, 3);
    run.violates(Property::LeaderCompleteness, "commits 3, which is on 1 of 3 disks");

    let mut run = lost(true);
    run.commit(S1, 3);
    run.answer(S1, 3);
    run.append(S2, 1, &[1, 1]);
    run.recover(S2);
    run.sync(S2);
    run.violates(Property::AcknowledgedIsKept, "entry 3, which a client was told of, is on 1");
}

/// Whoever votes alone leads before its vote is durable, also with learners.
#[test]
fn who_votes_alone_may_lead_a_term_again() {
    let mut run = Run { monitor: Monitor::new([S1]), writes: 0, found: Ok(()) };
    let alone = voters(&[1]);
    let begin = |run: &mut Run| {
        run.begin(S1, Disk { configuration: Some((0, &alone)), ..Disk::default() });
        run.write_vote(S1, 1, Some(S1));
        run.turn(S1, RoleKind::Leader, 1);
    };
    begin(&mut run);
    run.write(S1, 1, &stamps(&[1]));
    run.tell(Fact::Ended { server: S1 });
    begin(&mut run);
    run.write(S1, 1, &[Stamp { term: Term(1), payload: 8 }]);
    run.holds();
}

/// A server that is not of the cluster, or an index that no log has, is no reason to panic.
#[test]
fn strange_facts_do_no_harm() {
    let mut run = Run::new();
    run.lead(ServerId(9), 1);
    run.append(ServerId(9), 7, &[1]);
    run.answer(S1, 0);
    run.holds();

    let mut run = Run::new();
    run.append(S1, 7, &[1]);
    run.violates(Property::LogMatching, "gap");

    let mut run = Run::new();
    run.commit(S1, u64::MAX);
    run.violates(Property::CommittedIsFixed, "log ends at 0");
}

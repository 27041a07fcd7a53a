//! The bugs, in the order of the rooms from the core outwards.

use super::About;

/// Makes `Bug` of entries `/// what goes wrong` `Name: room, source, property;`.
macro_rules! catalogue {
    ($(
        $(#[doc = $what:literal])+
        $bug:ident: $room:literal, $source:literal, $breaks:literal;
    )+) => {
        /// A known bug.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[non_exhaustive]
        pub enum Bug {
            $($(#[doc = $what])+ $bug,)+
        }

        impl Bug {
            /// Every bug of the museum.
            pub const ALL: &[Bug] = &[$(Bug::$bug),+];

            /// What there is to say of it.
            pub const fn about(self) -> About {
                match self {
                    $(Bug::$bug => About {
                        what: concat!($($what),+).trim_ascii_start(),
                        room: $room,
                        source: $source,
                        breaks: $breaks,
                    },)+
                }
            }
        }
    };
}

catalogue! {
    // Elections.

    /// A server gives its vote to every candidate that asks in a term.
    VotesTwice: "raft", "Raft figure 2, RequestVote 2; TRAPS 3", "one_vote_a_term";
    /// A higher term does not reset votedFor: a vote once given is given for ever.
    KeepsVoteAcrossTerms: "raft", "Raft 5.1; TRAPS section 1, vote rule", "liveness";
    /// A server that starts again does not know whom it voted for in its term.
    ForgetsVoteAtRestart: "raft", "Raft figure 2, persistent state; TRAPS 3", "one_vote_a_term";
    /// A server that starts again takes the term of its last entry for the current one.
    ForgetsTermAtRestart: "raft", "actix-raft 0.4.1; TRAPS section 2", "one_vote_a_term";
    /// A candidate's own vote is not written: after a crash it votes for another in that term.
    OwnVoteNotSaved: "raft", "actix-raft 0.4.1; TRAPS section 2", "stable_storage";
    /// Votes go to candidates whose logs lack committed entries.
    VotesForAnyLog: "raft", "Raft 5.4.1; TRAPS section 1, vote rule", "leader_completeness";
    /// Of two logs the longer one counts as more up-to-date, whatever its last term.
    ComparesLengthFirst: "raft", "openraft a48a3282; TRAPS 2", "leader_completeness";
    /// A granted pre-vote is noted as a vote of the current term.
    PreVoteIsAVote: "raft", "thesis 9.6", "one_vote_a_term";
    /// Pre-votes that come late count as votes.
    CountsPreVotes: "raft", "thesis 9.6; TRAPS 48", "election_safety";
    /// Votes given in an earlier term count in this one.
    CountsVotesOfEarlierTerms: "raft", "openraft a80579ef, 4015cc38; TRAPS 19", "election_safety";
    /// A vote that the network doubles counts twice.
    CountsAVoteTwice: "raft", "Raft 5.2; TRAPS 10", "election_safety";
    /// Half of a cluster of even size passes for a majority.
    HalfIsAMajority: "raft", "hashicorp 163a55f; TRAPS 10", "leader_completeness";
    /// A deposed leader starts no election timer.
    NoTimerAfterSteppingDown: "raft", "actix-raft #41", "liveness";
    /// All servers draw the same election timeouts: votes are split for ever.
    TimersDrawnAlike: "raft", "hashicorp cda1ee8, goraft#44; TRAPS 53", "liveness";
    /// A leader that can send but not receive keeps everyone quiet and commits nothing.
    NoCheckQuorum: "raft", "CockroachDB PR 104042; TRAPS 50", "liveness";

    // Replication.

    /// A leader commits entries of earlier terms by counting their copies (figure 8).
    CountsOldCopies:
        "raft", "Raft 5.4.2, figure 8; async-raft #106; TRAPS 1", "leader_completeness";
    /// An AppendEntries that comes late cuts off what a later one brought.
    CutsWhatFollows: "raft", "Raft figure 2, AppendEntries 3; TRAPS 5", "assertion";
    /// A follower deletes what follows prevLog before it appends, matching or not.
    DeletesAfterPrevLog: "raft", "openraft 9540c904; TRAPS 4", "acknowledged_is_kept";
    /// A follower compares the index of prevLog, but not its term.
    PrevTermNotChecked: "raft", "Raft figure 2, AppendEntries 2", "log_matching";
    /// Heartbeats skip the log comparison: the leader takes any log for its own.
    HeartbeatsSkipTheLogCheck: "raft", "students' guide", "assertion";
    /// Entries that conflict with the leader's stay, because their index is known.
    KeepsConflictingEntries: "raft", "Raft figure 2, AppendEntries 3", "log_matching";
    /// A follower commits up to its last entry, not to the last that the leader vouched for.
    CommitsUnmatchedTail: "raft", "students' guide; TRAPS 17", "committed_is_fixed";
    /// A leader takes what it sent for what the follower has.
    MatchesWhatWasSent: "raft", "students' guide", "committed_is_fixed";
    /// With more than a batch of conflicting entries the conflict hint never moves back.
    ManyConflictsLivelock: "raft", "openraft 6d53aa12; TRAPS 13", "liveness";
    /// A lost message within a pipeline is never sent again.
    LostEntriesStayLost: "raft", "Raft 5.3, retries", "liveness";
    /// A follower takes entries from the leader of an earlier term.
    FollowsOldLeaders: "raft", "6.5840 TestRejoin3B; TRAPS 20", "assertion";
    /// A leader counts answers to what it sent in an earlier term.
    CountsAnswersOfEarlierTerms: "raft", "openraft a80579ef, 4015cc38; TRAPS 19", "linearizable";
    /// A new leader drops what its predecessors left uncommitted, as far as it knows.
    NewLeaderDropsUncommitted: "raft", "Raft 5.3, leader append-only", "leader_append_only";
    /// A follower answers for entries that its disk does not have yet.
    AnswersBeforeDurable: "raft", "NATS 2.12.1; TRAPS 71", "stable_storage";
    /// A leader counts its own copy before its disk has it.
    CountsOwnUnsyncedCopy: "raft", "etcd #14370; TRAPS 71", "leader_completeness";
    /// The disk's word for entries that were replaced since is taken for the new ones (ABA).
    TrustsStaleDiskReports:
        "raft", "etcd raft async_storage_writes_append_aba_race; TRAPS 15", "stable_storage";
    /// A server that starts again takes its whole log for committed.
    CommitsItsLogAtRestart:
        "raft", "TRAPS section 1, volatile state at recovery", "leader_completeness";

    // Reads.

    /// A leader answers reads without asking whether it still leads.
    ReadsWithoutARound: "raft", "etcd and Consul 2014; TRAPS 22", "linearizable";
    /// A read is confirmed by one server less than a majority.
    ReadQuorumOneShort: "raft", "openraft d60f1e85", "liveness";
    /// Any answer to the leader confirms a read, also one to a heartbeat from before the read.
    EarlierRoundConfirms: "raft", "etcd #20418, raft PR 397; TRAPS 23", "linearizable";
    /// A new leader serves reads before it has committed an entry of its term.
    ReadsBeforeNoOp: "raft", "etcd raft f9382a4; TRAPS 24", "linearizable";
    /// A follower serves reads from what it knows, be it years behind.
    FollowersReadLocally: "raft", "etcd #3879; TRAPS 27", "linearizable";
    /// A confirmed read does not wait until the state machine has applied what it must see.
    ReadsUnappliedState: "actors", "Raft thesis 6.4; TRAPS 27", "linearizable";

    // Servers.

    /// A vote is told before it is on disk.
    VoteToldBeforeDurable: "actors", "raft-rs 2f5d963; TRAPS 3", "stable_storage";
    /// A server that starts again does not apply what it had applied before.
    LastAppliedSurvives:
        "actors", "TRAPS section 1, volatile state at recovery", "state_machine_safety";
    /// Where a page of committed entries ends, one entry is skipped.
    SkipsAtThePageBorder: "actors", "etcd raft 8ecce32, 2e0653d; TRAPS 11", "state_machine_safety";
    /// A leader applies, and answers, what is not committed.
    AppliesUncommitted: "actors", "Redis-Raft; TRAPS 28", "state_machine_safety";
    /// Whether a command is applied depends on the server's own room.
    AppliesByLocalRoom: "actors", "etcd #14571, dqlite PR 401; TRAPS 66", "sessions_apply_once";

    // Disks.

    /// What is written is reported durable before the disk is done with it.
    ReportsBeforeSync: "storage", "NATS 2.12.1, etcd #14370; TRAPS 71", "stable_storage";
    /// A sync that ends is taken to cover what was written while it ran.
    SyncCoversLaterWrites: "storage", "NATS 2.12.1; TRAPS 71", "stable_storage";
    /// A sync that failed is tried again and succeeds; what it was for is gone (fsyncgate).
    RetriesFailedSync: "storage", "Rebello et al., ATC'20; TRAPS 72", "liveness";
    /// What does not fit on a full disk is taken for written.
    IgnoresAFullDisk: "storage", "RATIS-2260, etcd #14685; TRAPS 74", "liveness";
    /// A log is read without checking its sums: harm to it goes unnoticed.
    ChecksNoSums: "storage", "Ganesan, FAST'17; TRAPS 73", "stable_storage";
    /// Damage in the middle of a log is cut off as if a crash had torn it, with all that follows.
    CutsOffDamage: "storage", "Alagappan, FAST'18; NATS 2.12.1; TRAPS 73", "stable_storage";
    /// A server whose disk was lost comes back empty under its old name, and votes (amnesia).
    FormatsALostDisk: "storage", "Alagappan, FAST'18; TRAPS 45", "stable_storage";

    // Clients.

    /// A deposed leader says that waiting writes failed, though they may be committed later.
    LostLeaderSaysFailed: "actors", "openraft 43dd8b6f; TRAPS 65", "linearizable";
    /// A waiting client is answered for whatever command is applied at its index.
    AnswersForAnotherCommand: "actors", "students' guide", "linearizable";
    /// A client forgets that an attempt was lost, and reports the next one's refusal.
    ForgetsLostAttempts: "actors", "FDB commit_unknown_result; TRAPS 64", "linearizable";
    /// A command that is tried again is applied again.
    AppliesRetries: "files", "Raft thesis 6.3; TRAPS 64", "sessions_apply_once";

    // Membership, snapshots, handing over, leases: the core.

    /// A configuration that a new leader's log replaces goes on to hold.
    KeepsTruncatedConfigurations: "raft", "canonical/raft #323, #250; TRAPS 35", "election_safety";
    /// One server at a time is added or removed, without the joint step or an own committed entry.
    ChangesOneByOne: "raft", "Ongaro on raft-dev, July 2015; TRAPS 31", "committed_is_fixed";
    /// A joint configuration decides with the majority of the new voters alone.
    NewMajorityAloneDecides: "raft", "openraft 6c0ccaf3; TRAPS 33", "committed_is_fixed";
    /// After a snapshot was installed the configuration of the replaced log goes on to hold.
    DisjointMajoritiesAfterSnapshot: "raft", "openraft #1808", "committed_is_fixed";
    /// A learner that starts again takes itself for a voter.
    LearnersVoteAfterRestart: "raft", "async-raft 0.6.1; TRAPS 37", "configuration";
    /// Learners become voters before they have caught up.
    PromotesLaggards: "raft", "RATIS-2283; TRAPS 38", "liveness";
    /// A removed leader steps down when the entry that removes it is written, not committed.
    RemovedLeaderLeavesEarly: "raft", "openraft 0023cff1; TRAPS 40", "liveness";
    /// A change that leaves no majority of servers that answer is carried out.
    LetsGoOfTheMajority: "raft", "thesis 4.2", "liveness";
    /// A server that lost its disk counts for commits and reads before it is recovered.
    CountsRecoveringServers: "raft", "FAST 2018; TRAPS 45", "acknowledged_is_kept";
    /// A leader that was told to hand over goes on taking writes.
    TakesWritesWhileHandingOver: "raft", "hashicorp 62eaa1c; TRAPS 63", "liveness";
    /// A leader steps down when it has told another to stand, whether that is elected or not.
    LeavesBeforeItIsReplaced: "raft", "openraft #2088", "liveness";
    /// A server that is told to stand asks for pre-votes first, and is refused.
    PreVoteBlocksHandover: "raft", "canonical/raft #203", "liveness";
    /// A leader whose disk or state machine stands still leads on.
    StalledLeaderStays: "raft", "etcd #20418; TRAPS 56", "liveness";
    /// A leader that has told another to stand goes on reading by its lease.
    LeaseOutlivesHandover: "raft", "etcd raft, lease; TRAPS 26", "linearizable";
    /// A lease once held is held for ever: a paused leader that wakes reads what is old.
    LeaseNeverEnds: "raft", "etcd #20418; TRAPS 29", "linearizable";
    /// A leader that an operator's order elects commits while the one before it has its lease.
    ForcedElectionsBreakLeases: "raft", "thesis 6.4.1", "linearizable";
    /// A server that starts again votes although it may have promised a leader not to.
    RestartEndsPromises: "raft", "thesis 6.4.1; TRAPS 25", "linearizable";

    // Snapshots, conditions and batches of the file store.

    /// A snapshot holds the files without the sessions: who goes on from it knows no client.
    SnapshotWithoutSessions:
        "files", "thesis 6.3; TRAPS section 1, snapshot; TRAPS 64", "state_hash";
    /// A snapshot holds no staged uploads: who goes on from it knows nothing of them.
    SnapshotWithoutUploads: "files", "TRAPS section 1, snapshot", "a test";
    /// A batch of which one command is refused leaves behind what the others did.
    BatchNotUndone: "files", "a batch is all or nothing; TRAPS 28", "linearizable";
    /// A conditional command is carried out on a later revision than the one it is for.
    ConditionTakesLaterRevisions: "files", "compare-and-set", "linearizable";
    /// A server that restores a snapshot takes every file for new: at revision 1.
    RestoreForgetsRevisions: "files", "TRAPS section 1, snapshot; TRAPS 66", "state_hash";
    // Snapshots on disks.

    /// Chunks are reported durable before they are: a snapshot is saved that lacks some of them.
    SnapshotBeforeItsChunks: "storage", "TRAPS 74", "liveness";
    /// The configurations that compaction drops with the log are not in the snapshot either.
    CompactionDropsConfiguration:
        "storage", "openraft dba24036, 447dc11c; TRAPS 32", "leader_completeness";
    /// A server that joins, and starts again, takes itself for one that never forgot anything.
    ForgetsRecovering: "storage", "openraft 39690593, RethinkDB 2.2.3; TRAPS 34", "one_vote_a_term";
    /// A snapshot that replaces a conflicting log leaves what lies behind it on the disk.
    KeepsLogBehindInstall: "storage", "openraft 674e78aa; TRAPS 7", "a test";
}

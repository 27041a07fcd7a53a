//! The kinds of faults, and the profiles that choose among them.

use std::fmt;

/// A kind of fault. Kinds overlap: while a link is slow a server may crash.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[non_exhaustive]
pub enum Fault {
    /// Messages on a link take longer.
    Delay,
    /// Messages on a link take longer, each differently.
    Jitter,
    /// A link takes longer than an election timeout.
    SlowLink,
    /// Answers reach the leader late: when it does not lead any more, or leads another term
    /// (TRAPS 19, 23).
    LateAnswers,
    /// Messages are lost at random.
    Loss,
    /// Messages arrive twice at random.
    Duplicate,
    /// Messages overtake each other at random.
    Reorder,
    /// A link is cut one way.
    OneWayCut,
    /// A server hears nobody, or is heard by nobody.
    PartialCut,
    /// Two groups do not hear each other.
    Partition,
    /// Each server hears only its neighbours.
    Chain,
    /// All servers hear only one, which was cut off before (Omni-Paxos, "constrained election").
    Constrained,
    /// All servers hear only one, which may not lead (Omni-Paxos, "quorum loss").
    QuorumLoss,
    /// A server handles messages late.
    Speed,
    /// A server crashes.
    Crash,
    /// Every server crashes, and some come back.
    CrashAll,
    /// A server ends in good order.
    Stop,
    /// A server is frozen, as by SIGSTOP.
    Pause,
    /// A server stands for election unasked.
    Campaign,
    /// The leader hears nobody, and another is elected in one of several ways, while clients ask
    /// both (TRAPS 25, 26, 29).
    OldLeader,
    /// A server crashes, and what it had asked is answered in its next life (TRAPS 23).
    Outlived,
    /// A state machine is slow.
    SlowApply,
    /// A state machine does nothing for a while.
    StalledApply,
    /// Election timeouts and heartbeats change.
    Retime,
    /// Syncs take long.
    SlowDisk,
    /// No sync ends.
    StalledDisk,
    /// A disk has no room.
    FullDisk,
    /// A sync fails, and what it was to cover is lost or kept by chance.
    FailedSync,
    /// A crash tears what was not synced.
    TornWrite,
    /// A bit on a disk is turned around.
    BitFlip,
    /// A write never reached the disk.
    LostWrite,
    /// A write went to another place of the disk.
    MisdirectedWrite,
    /// A disk is lost with all that was on it.
    LostDisk,
    /// A disk is lost, and its server joins again with an empty one.
    Rejoin,
    /// A clock runs faster or slower.
    ClockRate,
    /// A clock is set forward or back.
    ClockJump,
    /// Servers take a snapshot.
    Snapshot,
    /// A server is lost while it takes a snapshot, or gets one.
    BrokenSnapshot,
    /// A server becomes a voter.
    Add,
    /// A server becomes a learner.
    AddLearner,
    /// A server is no member any more.
    Remove,
    /// Other servers vote.
    Members,
    /// The leader changes the members while it is cut off, and so does the next one.
    RivalMembers,
    /// A server is wanted more, or less, as the leader.
    Priority,
    /// The leader hands over.
    Transfer,
    /// The leader hands over and is told something else, or is lost, meanwhile.
    BrokenTransfer,
}

/// A choice of faults.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Profile {
    /// None.
    Calm,
    /// What a network does.
    Network,
    /// What happens to processes.
    Process,
    /// What disks do.
    Disk,
    /// What clocks do.
    Clock,
    /// What operators do: snapshots, other members, other leaders.
    Operator,
    /// All of them.
    #[default]
    Everything,
}

impl Fault {
    /// Every kind.
    pub const ALL: &'static [Fault] = &[
        Fault::Delay,
        Fault::Jitter,
        Fault::SlowLink,
        Fault::LateAnswers,
        Fault::Loss,
        Fault::Duplicate,
        Fault::Reorder,
        Fault::OneWayCut,
        Fault::PartialCut,
        Fault::Partition,
        Fault::Chain,
        Fault::Constrained,
        Fault::QuorumLoss,
        Fault::Speed,
        Fault::Crash,
        Fault::CrashAll,
        Fault::Stop,
        Fault::Pause,
        Fault::Campaign,
        Fault::OldLeader,
        Fault::Outlived,
        Fault::SlowApply,
        Fault::StalledApply,
        Fault::Retime,
        Fault::SlowDisk,
        Fault::StalledDisk,
        Fault::FullDisk,
        Fault::FailedSync,
        Fault::TornWrite,
        Fault::BitFlip,
        Fault::LostWrite,
        Fault::MisdirectedWrite,
        Fault::LostDisk,
        Fault::Rejoin,
        Fault::ClockRate,
        Fault::ClockJump,
        Fault::Snapshot,
        Fault::BrokenSnapshot,
        Fault::Add,
        Fault::AddLearner,
        Fault::Remove,
        Fault::Members,
        Fault::RivalMembers,
        Fault::Priority,
        Fault::Transfer,
        Fault::BrokenTransfer,
    ];

    /// Its name in reports.
    pub fn name(self) -> &'static str {
        self.about().0
    }

    /// The profile that it belongs to, other than `everything`.
    pub fn profile(self) -> Profile {
        self.about().1
    }

    /// The servers of the smallest cluster that it can happen to.
    pub fn least_servers(self) -> u64 {
        match self {
            Fault::Chain => 3,
            fault if fault.loses_data() => 3,
            Fault::Constrained | Fault::QuorumLoss => 2,
            _ => 1,
        }
    }

    /// Whether a server loses what it had promised to keep.
    pub(super) fn loses_data(self) -> bool {
        matches!(
            self,
            Fault::BitFlip
                | Fault::LostWrite
                | Fault::MisdirectedWrite
                | Fault::LostDisk
                | Fault::Rejoin
        )
    }

    /// Whether other servers may be members when it is over.
    pub(super) fn changes_members(self) -> bool {
        matches!(
            self,
            Fault::Add
                | Fault::AddLearner
                | Fault::Remove
                | Fault::Members
                | Fault::RivalMembers
                | Fault::BrokenTransfer
        )
    }

    fn about(self) -> (&'static str, Profile) {
        match self {
            Fault::Delay => ("delay", Profile::Network),
            Fault::Jitter => ("jitter", Profile::Network),
            Fault::SlowLink => ("slow-link", Profile::Network),
            Fault::LateAnswers => ("late-answers", Profile::Network),
            Fault::Loss => ("loss", Profile::Network),
            Fault::Duplicate => ("duplicate", Profile::Network),
            Fault::Reorder => ("reorder", Profile::Network),
            Fault::OneWayCut => ("one-way-cut", Profile::Network),
            Fault::PartialCut => ("partial-cut", Profile::Network),
            Fault::Partition => ("partition", Profile::Network),
            Fault::Chain => ("chain", Profile::Network),
            Fault::Constrained => ("constrained", Profile::Network),
            Fault::QuorumLoss => ("quorum-loss", Profile::Network),
            Fault::Speed => ("speed", Profile::Network),
            Fault::Crash => ("crash", Profile::Process),
            Fault::CrashAll => ("crash-all", Profile::Process),
            Fault::Stop => ("stop", Profile::Process),
            Fault::Pause => ("pause", Profile::Process),
            Fault::Campaign => ("campaign", Profile::Process),
            Fault::OldLeader => ("old-leader", Profile::Process),
            Fault::Outlived => ("outlived", Profile::Process),
            Fault::SlowApply => ("slow-apply", Profile::Process),
            Fault::StalledApply => ("stalled-apply", Profile::Process),
            Fault::Retime => ("retime", Profile::Process),
            Fault::SlowDisk => ("slow-disk", Profile::Disk),
            Fault::StalledDisk => ("stalled-disk", Profile::Disk),
            Fault::FullDisk => ("full-disk", Profile::Disk),
            Fault::FailedSync => ("failed-sync", Profile::Disk),
            Fault::TornWrite => ("torn-write", Profile::Disk),
            Fault::BitFlip => ("bit-flip", Profile::Disk),
            Fault::LostWrite => ("lost-write", Profile::Disk),
            Fault::MisdirectedWrite => ("misdirected-write", Profile::Disk),
            Fault::LostDisk => ("lost-disk", Profile::Disk),
            Fault::Rejoin => ("rejoin", Profile::Disk),
            Fault::ClockRate => ("clock-rate", Profile::Clock),
            Fault::ClockJump => ("clock-jump", Profile::Clock),
            Fault::Snapshot => ("snapshot", Profile::Operator),
            Fault::BrokenSnapshot => ("broken-snapshot", Profile::Operator),
            Fault::Add => ("add", Profile::Operator),
            Fault::AddLearner => ("add-learner", Profile::Operator),
            Fault::Remove => ("remove", Profile::Operator),
            Fault::Members => ("members", Profile::Operator),
            Fault::RivalMembers => ("rival-members", Profile::Operator),
            Fault::Priority => ("priority", Profile::Operator),
            Fault::Transfer => ("transfer", Profile::Operator),
            Fault::BrokenTransfer => ("broken-transfer", Profile::Operator),
        }
    }
}

impl Profile {
    /// Every profile.
    pub const ALL: &'static [Profile] = &[
        Profile::Calm,
        Profile::Network,
        Profile::Process,
        Profile::Disk,
        Profile::Clock,
        Profile::Operator,
        Profile::Everything,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Profile::Calm => "calm",
            Profile::Network => "network",
            Profile::Process => "process",
            Profile::Disk => "disk",
            Profile::Clock => "clock",
            Profile::Operator => "operator",
            Profile::Everything => "everything",
        }
    }

    /// The faults that it chooses from. What a disk, a clock or an operator does matters only
    /// where servers crash and elections are held, so those profiles have crashes too.
    pub fn faults(self) -> Vec<Fault> {
        let belongs = |fault: &Fault| match self {
            Profile::Everything => true,
            Profile::Disk | Profile::Clock | Profile::Operator if *fault == Fault::Crash => true,
            profile => fault.profile() == profile,
        };
        Fault::ALL.iter().copied().filter(belongs).collect()
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

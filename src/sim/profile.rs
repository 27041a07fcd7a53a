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
    /// A clock runs faster or slower.
    ClockRate,
    /// A clock is set forward or back.
    ClockJump,
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
        Fault::ClockRate,
        Fault::ClockJump,
    ];

    /// The profile that it belongs to, other than `everything`.
    pub fn profile(self) -> Profile {
        match self {
            Fault::Delay
            | Fault::Jitter
            | Fault::SlowLink
            | Fault::LateAnswers
            | Fault::Loss
            | Fault::Duplicate
            | Fault::Reorder
            | Fault::OneWayCut
            | Fault::PartialCut
            | Fault::Partition
            | Fault::Chain
            | Fault::Constrained
            | Fault::QuorumLoss
            | Fault::Speed => Profile::Network,
            Fault::Crash
            | Fault::CrashAll
            | Fault::Stop
            | Fault::Pause
            | Fault::Campaign
            | Fault::SlowApply
            | Fault::StalledApply
            | Fault::Retime => Profile::Process,
            Fault::SlowDisk
            | Fault::StalledDisk
            | Fault::FullDisk
            | Fault::FailedSync
            | Fault::TornWrite
            | Fault::BitFlip
            | Fault::LostWrite
            | Fault::MisdirectedWrite
            | Fault::LostDisk => Profile::Disk,
            Fault::ClockRate | Fault::ClockJump => Profile::Clock,
        }
    }

    /// Whether a server may be lost for ever: it must not start from a disk that is damaged.
    pub(super) fn is_for_ever(self) -> bool {
        let harm = [Self::BitFlip, Self::LostWrite, Self::MisdirectedWrite, Self::LostDisk];
        harm.contains(&self)
    }

    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Fault::Delay => "delay",
            Fault::Jitter => "jitter",
            Fault::SlowLink => "slow-link",
            Fault::LateAnswers => "late-answers",
            Fault::Loss => "loss",
            Fault::Duplicate => "duplicate",
            Fault::Reorder => "reorder",
            Fault::OneWayCut => "one-way-cut",
            Fault::PartialCut => "partial-cut",
            Fault::Partition => "partition",
            Fault::Chain => "chain",
            Fault::Constrained => "constrained",
            Fault::QuorumLoss => "quorum-loss",
            Fault::Speed => "speed",
            Fault::Crash => "crash",
            Fault::CrashAll => "crash-all",
            Fault::Stop => "stop",
            Fault::Pause => "pause",
            Fault::Campaign => "campaign",
            Fault::SlowApply => "slow-apply",
            Fault::StalledApply => "stalled-apply",
            Fault::Retime => "retime",
            Fault::SlowDisk => "slow-disk",
            Fault::StalledDisk => "stalled-disk",
            Fault::FullDisk => "full-disk",
            Fault::FailedSync => "failed-sync",
            Fault::TornWrite => "torn-write",
            Fault::BitFlip => "bit-flip",
            Fault::LostWrite => "lost-write",
            Fault::MisdirectedWrite => "misdirected-write",
            Fault::LostDisk => "lost-disk",
            Fault::ClockRate => "clock-rate",
            Fault::ClockJump => "clock-jump",
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
            Profile::Everything => "everything",
        }
    }

    /// The faults that it chooses from. What a disk or a clock does matters only where servers
    /// crash and elections are held, so those profiles have crashes too.
    pub fn faults(self) -> Vec<Fault> {
        let belongs = |fault: &Fault| match self {
            Profile::Everything => true,
            Profile::Disk | Profile::Clock if *fault == Fault::Crash => true,
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

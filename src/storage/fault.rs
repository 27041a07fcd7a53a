//! What can be done to a disk of a sandbox, as data.

/// Which disks the servers of a sandbox have.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum DiskKind {
    /// Plain memory: syncs take time, a crash loses what is not synced, and nothing else happens.
    #[default]
    Memory,
    /// The segment log, as real disks run it, over simulated ones that can be harmed.
    Simulated,
}

/// What happens to a disk.
///
/// [`Flip`](Self::Flip), [`Lose`](Self::Lose) and [`Misdirect`](Self::Misdirect) harm what is on
/// the disk and was synced. A server that runs reads nothing from its disk, so to harm it
/// afterwards is as good as a write that went wrong when it was made: both show when the server
/// starts from it, unless what was harmed has been compacted by then. Only what a later write or mark
/// protects is harmed, and chunks of the snapshot, because recovery cannot tell harm to the rest from
/// a write that a crash tore.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DiskFault {
    /// There is no room any more: writes wait.
    Full,
    /// There is room again.
    Free,
    /// The next sync fails, and each write that it was to cover is lost or kept by chance.
    FailSync,
    /// The next crash tears what is not synced: each write is lost, kept or kept in part by
    /// chance. Without this, all of it is lost.
    Tear,
    /// One bit of a record of the log, or of a chunk of the snapshot, is turned around.
    Flip,
    /// The last protected write never reached the disk.
    Lose,
    /// The last protected write went to another place of the disk.
    Misdirect,
    /// All that is on the disk is gone; only of a server that is down.
    Destroy,
    /// Room, no latency, no stall, and neither a sync nor a crash to go wrong. What was harmed
    /// stays so.
    Mend,
}

//! Clusters of processes, as those who give orders see them.
//!
//! A [`Fleet`] founds servers in a folder of this machine and runs them as processes of their own; a
//! crash is `kill -9`, a pause is `SIGSTOP`. A [`Remote`] is a cluster that somebody else runs: its
//! processes are out of reach. In both, files go over the native port, links are disturbed by the
//! servers themselves (`POST /v1/chaos`), operators' orders go to the leader over HTTP, and how the
//! servers are is what each of them says at `/v1/cluster`.

mod fit;
mod orders;
mod process;
mod reach;
mod remote;
mod view;
mod world;

pub use fit::{Misfit, misfits};
pub use reach::Access;
pub use remote::{Door, Remote, RemoteError};
pub use world::{Fleet, FleetError, Founding};

//! A program's way to a cluster, over HTTP.
//!
//! A [`Client`] knows the addresses of some servers. Any of them answers for the cluster: it forwards
//! what only the leader can do. So the client asks one, and the next one if that one is not there,
//! does not answer, or knows of no leader, until one does or time is up. It behaves like the
//! [`Client`](crate::actors::Client) inside a process:
//!
//! - **A change is made once.** It goes out under an `Idempotency-Key`, the same at every attempt, so
//!   that a change whose answer was lost is answered, and not made, when it comes again.
//! - **What is not known is said.** If no attempt was answered, and one may have been heard, the error
//!   is [`Error::Unknown`].
//! - **Memory is bounded.** Contents go through in pieces, whatever their size, and are hashed as they
//!   do. A download that breaks off goes on at another server where it ended.
//!
//! docs/http.md describes what is said on the wire; docs/client.md the commands that use this.

mod backup;
mod body;
mod call;
mod cluster;
mod content;
mod download;
mod endpoint;
mod error;
mod files;
mod link;
mod watch;

pub use backup::{Backup, BackupError, Entry, Restored};
pub use call::{Client, Options};
pub use content::Content;
pub use download::{Download, Reading};
pub use endpoint::{DEFAULT_ENDPOINTS, Endpoint, EndpointError};
pub use error::{Error, Refusal};
pub use files::{Appended, FileInfo, FileList, Renamed, Rule};
pub use link::SetupError;
pub use watch::{Change, Watch};

pub use crate::http::{ChangeMembers, Member, Membership, NewMember, Priority, Status};

/// Runs a program that uses [`Client`]s, on this thread, until it ends.
pub fn run<F: Future>(program: F) -> F::Output {
    actix_rt::System::new().block_on(program)
}

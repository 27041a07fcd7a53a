//! What a server of its own process says over HTTP.
//!
//! The room knows actix-web, and nothing of raft's inside: files are read and changed through
//! [`Client`](crate::actors::Client)s, one set of them on each worker's thread; what operators want
//! goes through [`Admin`]. docs/http.md describes the API for those who use it.
//!
//! - **One canonical form.** `route.rs` takes the path apart as it came, decodes it once, and makes
//!   the name a [`FileName`](crate::files::FileName) before anything else looks at it.
//! - **Every answer that is no success** is a [`Problem`], with a stable [`Code`].
//! - **Every queue is bounded** by [`Limits`]: connections, requests, bytes that bodies hold, answers
//!   that stay open, and the time that a slow client may take.

mod access;
mod admin;
mod body;
mod cluster;
mod condition;
mod config;
mod content;
mod files;
#[cfg(any(test, feature = "fuzzing"))]
mod fuzzing;
mod gate;
mod key;
mod meter;
mod openapi;
mod parameters;
mod pool;
mod problem;
mod range;
mod route;
mod server;
mod stream;
mod watch;
mod worker;

pub use access::{Role, Tokens, TokensError, hash_token};
pub use admin::{
    Admin, AdminError, Answer, ChangeMembers, Condition, Member, Membership, NewMember, Priority,
    Progress, Status,
};
pub use config::{Config, Https, Limits};
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub use fuzzing::{http_body, http_path};
pub use openapi::document;
pub use problem::{Code, Details, Problem};
pub use server::{Http, HttpError, start};

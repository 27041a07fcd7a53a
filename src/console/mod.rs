//! The console: a prompt over a live cluster.
//!
//! In real time the actors run on the main thread. Lines are read on a thread of their own and
//! carried out one by one ([`script::Runner`](crate::script::Runner)); notices are printed on
//! another, above the line that is being typed. Piped standard input works the same without
//! prompt, colours and notices: it ends at the first error, named by its line.
//!
//! In virtual time (`--virtual`, `jangada replay`) nothing happens while a line is typed or read:
//! a [`Traveller`](crate::replay) moves the cluster as the lines say, and everything is told in
//! order.

mod helper;
mod members;
mod notices;
mod options;
mod paint;
mod prompt;
mod render;
mod screen;
mod session;
mod status;
mod table;
mod travel;
mod wall;

pub use options::{Manner, Options};
pub use paint::ColorChoice;
pub use session::main;
pub use travel::replay;

//! The console: a prompt over a live cluster, in real time.
//!
//! The actors run on the main thread. Lines are read on a thread of their own and carried out one
//! by one ([`script::Runner`](crate::script::Runner)); notices are printed on another, above the
//! line that is being typed. Piped standard input works the same without prompt, colours and
//! notices: it ends at the first error, named by its line.

mod helper;
mod notices;
mod options;
mod paint;
mod prompt;
mod render;
mod screen;
mod session;
mod status;
mod table;

pub use options::Options;
pub use paint::ColorChoice;
pub use session::main;

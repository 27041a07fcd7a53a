//! Time travel: a run is what was ordered and when, so going back is doing it again.
//!
//! A [`Timeline`] holds the settings of a sandbox and the lines that were carried out on it, each
//! with its virtual moment. A [`Stage`] is a living sandbox that follows a timeline, as far as it
//! is told, with or without some of its lines. The console moves one about for a person: forth and
//! back, and off the recorded way.
//!
//! A line is given when nothing is left to do at its moment, and a stage stops only then. So
//! neither stopping nor looking changes what comes after, and a run done again has the same trace.
//! That is checked whenever a timeline is followed again.

mod curtain;
mod fingerprint;
mod header;
mod stage;
mod tap;
#[cfg(test)]
mod tests;
mod timeline;
mod traveller;

pub use fingerprint::Fingerprint;
pub(crate) use header::Header;
pub use header::header;
pub use stage::{Halt, Stage, Until};
pub(crate) use tap::{Heard, Told};
pub use timeline::{Step, Timeline};
pub(crate) use traveller::{Given, Traveller, Watcher};

//! How a message travels, without actors: what a link does to it.

mod rule;

pub use rule::{Fate, LinkRule};

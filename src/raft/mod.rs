//! The protocol.

mod ids;

pub use ids::{Index, Position, Round, ServerId, Term, Time};

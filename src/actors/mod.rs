//! Who runs the cluster: the actors and the orders they take.

mod order;

pub use order::{Order, Servers, Side};

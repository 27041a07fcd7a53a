//! Values that hold values of their own kind, read to a limited depth: reading follows the nesting
//! by recursion, and a few kilobytes from outside could nest deep enough to overflow the stack.

use std::cell::Cell;

use serde::de::Error;
use serde::{Deserialize, Deserializer};

/// How deep values may be nested in others of their kind.
pub(super) const MAX_DEPTH: usize = 3;

thread_local! {
    /// How deep the value is that is being read: deserializers have no place to keep it.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// One level, until it is dropped.
struct Level;

impl Drop for Level {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
    }
}

/// Reads a value that is nested in another; for `#[serde(deserialize_with)]`.
pub(super) fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    if DEPTH.get() >= MAX_DEPTH {
        return Err(D::Error::custom("nested too deep"));
    }
    DEPTH.set(DEPTH.get() + 1);
    let _level = Level;
    T::deserialize(deserializer)
}

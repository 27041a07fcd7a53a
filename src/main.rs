//! The `jangada` command.
fn main() {}

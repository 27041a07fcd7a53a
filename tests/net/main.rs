//! The wire: its bytes, and connections over a network that is cut and mended.

mod golden;
mod properties;
mod support;
mod tls;
mod turmoil;

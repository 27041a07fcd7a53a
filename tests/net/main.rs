//! The wire: its bytes, and connections over a network that is cut and mended.

mod ends;
mod golden;
mod properties;
mod speed;
mod support;
mod tls;
mod turmoil;

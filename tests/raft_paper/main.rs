//! The Raft paper ("In Search of an Understandable Consensus Algorithm", extended version), one
//! test for each thing it states, in its order and numbered by its sections. The comment over
//! each test is the statement, in other words. Sections 6 (membership) and 7 (snapshots) are not
//! built yet.

#[path = "../support/mod.rs"]
mod support;

mod figure_2;
mod s5_1_terms;
mod s5_2_election;
mod s5_3_replication;
mod s5_4_safety;
mod s5_5_to_8;

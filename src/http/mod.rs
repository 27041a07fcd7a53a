//! What a server of its own process says over HTTP.

mod admin;

pub use admin::{
    Admin, AdminError, Answer, ChangeMembers, Condition, Member, Membership, NewMember, Progress,
    Status,
};

//! The bytes of wire version 1, for ever: what one release has sent, every later one reads.

use std::fmt::Write;
use std::sync::Arc;

use bytes::Bytes;
use jangada::net::handshake::{
    Advertise, Hello, Lane, Refused, Reply, Role, Welcome, decode_reply, encode_reply,
};
use jangada::net::packet::{Frame, Packet};
use jangada::net::{Answered, Audit, CallError, Cargo, Consistency, Request};
use jangada::raft::{
    AppendEntries, AppendEntriesReply, AppendOutcome, ChunkId, Configuration, Entry, Fetched,
    Force, Index, InstallSnapshot, InstallSnapshotReply, Message, Part, Payload, Position,
    ReadIndex, ReadIndexReply, Refusal, Rejoin, RejoinReply, RequestVote, RequestVoteReply, Round,
    ServerId, Term, Ticket, TimeoutNow, VoteRefusal,
};
use uuid::Uuid;

/// `NAME HEX` lines.
const GOLDEN: &str = include_str!("../golden/wire/v1.txt");

fn position(term: u64, index: u64) -> Position {
    Position::new(Term(term), Index(index))
}

fn messages() -> Vec<(&'static str, Message)> {
    let vote = |pre_vote, forced| {
        Message::RequestVote(RequestVote {
            term: Term(300),
            last_log: position(299, 70_000),
            pre_vote,
            forced,
        })
    };
    let voted = |vote| {
        Message::RequestVoteReply(RequestVoteReply {
            term: Term(300),
            pre_vote: false,
            vote,
            early: true,
        })
    };
    let appended = |outcome| {
        Message::AppendEntriesReply(AppendEntriesReply {
            term: Term(300),
            round: Round(5),
            outcome,
            applied: Index(69_999),
            recovering: false,
        })
    };
    let install = |part| {
        Message::InstallSnapshot(InstallSnapshot {
            term: Term(300),
            last_included: position(299, 70_000),
            round: Round(5),
            part,
        })
    };
    let chunk = Part::Chunk(ChunkId(std::array::from_fn(|at| at as u8)));
    vec![
        ("request-vote", vote(true, None)),
        ("request-vote-operator", vote(false, Some(Force::Operator))),
        ("request-vote-leader", vote(false, Some(Force::Leader(Round(5))))),
        ("vote-granted", voted(Ok(()))),
        ("vote-stale", voted(Err(VoteRefusal::StaleTerm))),
        ("vote-leader", voted(Err(VoteRefusal::LeaderAlive(ServerId(2))))),
        ("vote-other", voted(Err(VoteRefusal::AlreadyVoted(ServerId(3))))),
        ("vote-behind", voted(Err(VoteRefusal::LogBehind))),
        ("vote-recovering", voted(Err(VoteRefusal::Recovering))),
        ("vote-started", voted(Err(VoteRefusal::JustStarted))),
        ("append", Message::AppendEntries(append(70_000))),
        ("append-matched", appended(AppendOutcome::Matched(Index(70_000)))),
        (
            "append-rejected",
            appended(AppendOutcome::Rejected { prev: Index(70_000), hint: position(298, 60_000) }),
        ),
        (
            "read-index",
            Message::ReadIndex(ReadIndex { term: Term(300), ticket: Ticket(9), lease: true }),
        ),
        (
            "read-index-reply",
            Message::ReadIndexReply(ReadIndexReply {
                term: Term(300),
                ticket: Ticket(9),
                index: Some(Index(70_000)),
            }),
        ),
        ("install-offer", install(None)),
        ("install-list", install(Some(Part::List(3)))),
        ("install-chunk", install(Some(chunk))),
        (
            "install-reply",
            Message::InstallSnapshotReply(InstallSnapshotReply {
                term: Term(300),
                round: Round(5),
                last_included: position(299, 70_000),
                want: Some(chunk),
                have: Fetched { chunks: 7, of: 1000 },
                recovering: true,
            }),
        ),
        (
            "timeout-now",
            Message::TimeoutNow(TimeoutNow {
                term: Term(300),
                last_log: position(299, 70_000),
                round: Round(5),
            }),
        ),
        ("rejoin", Message::Rejoin(Rejoin { term: Term(300), life: Ticket(u64::MAX) })),
        (
            "rejoin-reply",
            Message::RejoinReply(RejoinReply {
                term: Term(300),
                life: Ticket(u64::MAX),
                entry: position(300, 70_001),
            }),
        ),
    ]
}

fn append(last: u64) -> AppendEntries {
    AppendEntries {
        term: Term(300),
        prev_log: position(299, 70_000),
        last: Index(last),
        leader_commit: Index(69_998),
        round: Round(5),
    }
}

/// One of each kind.
fn frames() -> Vec<(&'static str, Frame)> {
    let plain = |(name, message)| (name, Packet::Message { message, cargo: Cargo::Nothing });
    let mut packets: Vec<_> = messages().into_iter().map(plain).collect();
    let servers = |ids: &[u64]| ids.iter().map(|id| ServerId(*id)).collect::<Vec<_>>();
    let members = Configuration::joint(servers(&[1, 2]), servers(&[2, 3]), servers(&[4]));
    let entry = |payload| Entry { term: Term(300), payload };
    let entries = vec![
        entry(Payload::NoOp),
        entry(Payload::Command(Bytes::from_static(b"append notes.txt hello"))),
        entry(Payload::Command(Bytes::new())),
        entry(Payload::Configuration(Arc::new(members))),
    ];
    let install = messages().into_iter().find(|(name, _)| *name == "install-list");
    let (_, install) = install.expect("it is in the list");
    let call = |number, request| Packet::Call { number, request };
    let answer = |answer| Packet::Answer { number: 1 << 40, answer };
    let no_answer = |error| answer(Err(error));
    let refused = |refusal| no_answer(CallError::Refused(refusal));
    let bytes = Bytes::from_static(b"whatever it is");
    packets.extend([
        (
            "entries",
            Packet::Message {
                message: Message::AppendEntries(append(70_004)),
                cargo: Cargo::Entries(entries.into()),
            },
        ),
        ("part", Packet::Message { message: install, cargo: Cargo::Part(bytes.clone()) }),
        (
            "audit-state",
            Packet::Audit(Audit::State { index: Index(70_000), hash: u64::MAX, vote: true }),
        ),
        ("audit-same", Packet::Audit(Audit::Same(Index(70_000)))),
        ("audit-differs", Packet::Audit(Audit::Differs(Index(70_000), [1, 2, 3].into()))),
        ("audit-outvoted", Packet::Audit(Audit::Outvoted(Index(70_000)))),
        ("write", call(1 << 40, Request::Write(bytes.clone()))),
        ("read", call(7, Request::Read(bytes.clone(), Consistency::Linearizable))),
        ("read-lease", call(7, Request::Read(bytes.clone(), Consistency::Lease))),
        ("read-stale", call(7, Request::Read(bytes.clone(), Consistency::Stale))),
        ("answered", answer(Ok(Answered { index: Index(70_000), answer: bytes }))),
        ("unreachable", no_answer(CallError::Unreachable)),
        ("unknown", no_answer(CallError::Unknown)),
        ("not-leader", refused(Refusal::NotLeader(ServerId(3)))),
        ("election", refused(Refusal::ElectionRunning)),
        ("no-quorum", refused(Refusal::NoQuorum { heard: 1, voters: 5 })),
        ("busy", refused(Refusal::Busy)),
        ("handing-over", refused(Refusal::HandingOver(ServerId(2)))),
        ("disk-full", refused(Refusal::DiskFull)),
    ]);
    let frames = packets.into_iter().map(|(name, packet)| (name, Frame::Packet(packet)));
    frames.chain([("ping", Frame::Ping(1 << 33)), ("pong", Frame::Pong(1 << 33))]).collect()
}

fn hellos() -> Vec<(&'static str, Hello)> {
    let cluster = Uuid::from_u128(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10);
    let hello = |from, lane, token: Option<&str>| Hello {
        from,
        to: ServerId(2),
        cluster,
        lane,
        advertise: Advertise {
            peers: Some("one.example:4001".to_owned()),
            http: Some("http://one.example:3001".to_owned()),
        },
        token: token.map(str::to_owned),
    };
    vec![
        ("hello-server", hello(Role::Server(ServerId(1)), Lane::Consensus, None)),
        ("hello-client", hello(Role::Client("ada".to_owned()), Lane::Bulk, Some("sesame"))),
    ]
}

fn replies() -> Vec<(&'static str, Reply)> {
    let cluster = Uuid::from_u128(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10);
    vec![
        ("welcome", Ok(Welcome { version: 1 })),
        ("refused-version", Err(Refused::Version { oldest: 1, latest: 1 })),
        ("refused-cluster", Err(Refused::Cluster(cluster))),
        ("refused-server", Err(Refused::Server(ServerId(3)))),
        ("refused-same", Err(Refused::SameServer)),
        ("refused-certificate", Err(Refused::Certificate("server1.x.jangada".to_owned()))),
        ("refused-token", Err(Refused::Token)),
        ("refused-lane", Err(Refused::Lane)),
        ("refused-full", Err(Refused::Full)),
    ]
}

fn encoded() -> Vec<(&'static str, Vec<u8>)> {
    let bytes = |write: &dyn Fn(&mut Vec<u8>)| {
        let mut out = Vec::new();
        write(&mut out);
        out
    };
    let frames = frames();
    let frames = frames.iter().map(|(name, frame)| (*name, bytes(&|out| frame.encode(out))));
    let hellos = hellos();
    let hellos = hellos.iter().map(|(name, hello)| (*name, bytes(&|out| hello.encode(out))));
    let replies = replies();
    let replies = replies.iter().map(|(name, it)| (*name, bytes(&|out| encode_reply(it, out))));
    frames.chain(hellos).chain(replies).collect()
}

fn golden(name: &str) -> Bytes {
    let line = GOLDEN.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let hex = line.unwrap_or_else(|| panic!("{name} is not in tests/golden/wire/v1.txt"));
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal");
    (0..hex.len()).step_by(2).map(byte).collect::<Vec<_>>().into()
}

/// Prints what the file would be. It is not written by a test: the bytes of a version that was
/// ever released do not change, another version gets another file.
#[test]
fn what_is_sent_has_the_bytes_of_version_1() {
    let mut lines = String::new();
    for (name, bytes) in encoded() {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(lines, "{name} {hex}").expect("memory");
    }
    let message = "the wire format has changed: it needs another version, and this one stays";
    assert!(lines == GOLDEN, "{message}\n{lines}");
}

#[test]
fn every_frame_of_version_1_is_read() {
    for (name, frame) in frames() {
        assert_eq!(Frame::decode(&golden(name)), Ok(frame), "{name}");
    }
    for (name, hello) in hellos() {
        assert_eq!(Hello::decode(&golden(name)), Ok((hello, 1)), "{name}");
    }
    for (name, reply) in replies() {
        assert_eq!(decode_reply(&golden(name)), Ok(reply), "{name}");
    }
    let names = frames().len() + hellos().len() + replies().len();
    assert_eq!(GOLDEN.lines().count(), names, "a line that is not read");
}

/// What a later version adds to a greeting stands behind it.
#[test]
fn a_later_version_is_understood_if_it_speaks_this_one() {
    let mut later = golden("hello-server").to_vec();
    let versions = 8..12;
    later[versions.clone()].copy_from_slice(&[1, 0, 9, 0]);
    later.extend(b"more");
    let (_, hello) = hellos().swap_remove(0);
    assert_eq!(Hello::decode(&later.clone().into()), Ok((hello, 1)));
    later[versions].copy_from_slice(&[2, 0, 9, 0]);
    let refused = Hello::decode(&later.into()).expect_err("it does not speak version 1");
    assert_eq!(refused.to_string(), "it speaks wire versions 2 to 9, not 1");
    let told = Option::<Refused>::from(refused);
    assert_eq!(told, Some(Refused::Version { oldest: 1, latest: 1 }));
}

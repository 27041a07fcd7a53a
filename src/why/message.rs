//! A message between servers, read back from the trace that it was written to.

use crate::raft::{
    AppendEntries, AppendEntriesReply, AppendOutcome, ChunkId, Fetched, Force, Index,
    InstallSnapshot, InstallSnapshotReply, Message, Part, Position, ReadIndex, ReadIndexReply,
    Rejoin, RejoinReply, RequestVote, RequestVoteReply, Round, ServerId, Term, Ticket, TimeoutNow,
    VoteRefusal,
};

/// Reads what [`Message`] displays, such as `AppendEntries term=1 prev=3@1 commit=3 round=9`.
pub(super) fn read(text: &str) -> Option<Message> {
    let (name, rest) = text.split_once(' ')?;
    let fields = Fields(rest);
    let term = Term(fields.number("term")?);
    let pre_vote = name.starts_with("RequestPreVote");
    Some(match name {
        "RequestVote" | "RequestPreVote" => Message::RequestVote(RequestVote {
            term,
            last_log: position(fields.value("last")?)?,
            pre_vote,
            forced: match rest.split_once(" handed over in round=") {
                Some((_, round)) => Some(Force::Leader(Round(round.parse().ok()?))),
                None => rest.ends_with(" forced").then_some(Force::Operator),
            },
        }),
        "RequestVoteReply" | "RequestPreVoteReply" => {
            let vote = match rest.split_once(" refused: ") {
                Some((_, why)) => Err(refusal(why)?),
                None => Ok(()),
            };
            let early = rest.ends_with(" granted early");
            Message::RequestVoteReply(RequestVoteReply { term, pre_vote, vote, early })
        }
        "AppendEntries" => {
            let prev_log = position(fields.value("prev")?)?;
            let last = match fields.value("entries") {
                Some(range) => Index(range.split_once("..")?.1.parse().ok()?),
                None => prev_log.index,
            };
            let leader_commit = Index(fields.number("commit")?);
            let round = Round(fields.number("round")?);
            Message::AppendEntries(AppendEntries { term, prev_log, last, leader_commit, round })
        }
        "AppendEntriesReply" => {
            let outcome = match fields.number("matched") {
                Some(index) => AppendOutcome::Matched(Index(index)),
                None => AppendOutcome::Rejected {
                    prev: Index(fields.number("rejected")?),
                    hint: position(fields.value("hint")?)?,
                },
            };
            let round = Round(fields.number("round")?);
            // How far the follower's state machine is, the trace does not say.
            let (applied, recovering) = (Index(0), rest.ends_with(" recovering"));
            let reply = AppendEntriesReply { term, round, outcome, applied, recovering };
            Message::AppendEntriesReply(reply)
        }
        "ReadIndex" => {
            let (ticket, lease) = (Ticket(fields.number("read")?), rest.ends_with(" lease"));
            Message::ReadIndex(ReadIndex { term, ticket, lease })
        }
        "ReadIndexReply" => Message::ReadIndexReply(ReadIndexReply {
            term,
            ticket: Ticket(fields.number("read")?),
            index: fields.number("index").map(Index),
        }),
        "InstallSnapshot" => Message::InstallSnapshot(InstallSnapshot {
            term,
            last_included: position(fields.value("last")?)?,
            round: Round(fields.number("round")?),
            part: part(&fields),
        }),
        "InstallSnapshotReply" => {
            let (chunks, of) = fields.value("has")?.split_once('/')?;
            Message::InstallSnapshotReply(InstallSnapshotReply {
                term,
                round: Round(fields.number("round")?),
                last_included: position(fields.value("last")?)?,
                want: part(&fields),
                have: Fetched { chunks: chunks.parse().ok()?, of: of.parse().ok()? },
                recovering: rest.ends_with(" recovering"),
            })
        }
        "TimeoutNow" => Message::TimeoutNow(TimeoutNow {
            term,
            last_log: position(fields.value("last")?)?,
            round: Round(fields.number("round")?),
        }),
        "Rejoin" => Message::Rejoin(Rejoin { term, life: Ticket(fields.number("life")?) }),
        "RejoinReply" => Message::RejoinReply(RejoinReply {
            term,
            life: Ticket(fields.number("life")?),
            entry: position(fields.value("entry")?)?,
        }),
        _ => return None,
    })
}

/// `list=PAGE` or `chunk=DIGITS`: of a chunk's name the trace has the beginning.
fn part(fields: &Fields<'_>) -> Option<Part> {
    if let Some(page) = fields.number("list") {
        return Some(Part::List(u32::try_from(page).ok()?));
    }
    let digits = u32::from_str_radix(fields.value("chunk")?, 16).ok()?;
    let mut id = [0; 32];
    id[..4].copy_from_slice(&digits.to_be_bytes());
    Some(Part::Chunk(ChunkId(id)))
}

/// `key=value` words.
struct Fields<'a>(&'a str);

impl<'a> Fields<'a> {
    fn value(&self, key: &str) -> Option<&'a str> {
        self.0.split(' ').find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
    }

    fn number(&self, key: &str) -> Option<u64> {
        self.value(key)?.parse().ok()
    }
}

/// `INDEX@TERM`.
fn position(text: &str) -> Option<Position> {
    let (index, term) = text.split_once('@')?;
    Some(Position::new(Term(term.parse().ok()?), Index(index.parse().ok()?)))
}

fn refusal(text: &str) -> Option<VoteRefusal> {
    Some(match text {
        "stale term" => VoteRefusal::StaleTerm,
        "candidate's log is behind" => VoteRefusal::LogBehind,
        "has just started" => VoteRefusal::JustStarted,
        "recovering: what it promised is not known" => VoteRefusal::Recovering,
        _ => match text.strip_prefix("voted for ") {
            Some(candidate) => VoteRefusal::AlreadyVoted(server(candidate)?),
            None => VoteRefusal::LeaderAlive(server(text.strip_suffix(" leads")?)?),
        },
    })
}

/// `S7`.
pub(super) fn server(text: &str) -> Option<ServerId> {
    text.strip_prefix('S')?.parse().ok().map(ServerId)
}

#[cfg(test)]
mod tests {
    use proptest::option;
    use proptest::prelude::*;

    use super::*;

    fn message() -> impl Strategy<Value = Message> {
        let number = any::<u64>;
        let position = || {
            (number(), number()).prop_map(|(term, index)| Position::new(Term(term), Index(index)))
        };
        let refusal = prop_oneof![
            Just(VoteRefusal::StaleTerm),
            Just(VoteRefusal::LogBehind),
            Just(VoteRefusal::Recovering),
            Just(VoteRefusal::JustStarted),
            number().prop_map(|id| VoteRefusal::LeaderAlive(ServerId(id))),
            number().prop_map(|id| VoteRefusal::AlreadyVoted(ServerId(id))),
        ];
        let outcome = prop_oneof![
            number().prop_map(|index| AppendOutcome::Matched(Index(index))),
            (number(), position())
                .prop_map(|(prev, hint)| AppendOutcome::Rejected { prev: Index(prev), hint }),
        ];
        let forced = prop_oneof![
            Just(Force::Operator),
            number().prop_map(|round| Force::Leader(Round(round)))
        ];
        // Of a chunk's name the trace has the beginning.
        let chunk = any::<[u8; 4]>().prop_map(|beginning| {
            let mut id = [0; 32];
            id[..4].copy_from_slice(&beginning);
            Part::Chunk(ChunkId(id))
        });
        let part = option::of(prop_oneof![any::<u32>().prop_map(Part::List), chunk]);
        let term = number().prop_map(Term);
        let votes = prop_oneof![
            (term.clone(), position(), any::<bool>(), option::of(forced)).prop_map(
                |(term, last_log, pre_vote, forced)| {
                    RequestVote { term, last_log, pre_vote, forced }.into()
                }
            ),
            (term.clone(), any::<bool>(), any::<bool>(), option::of(refusal)).prop_map(
                |(term, pre_vote, early, refusal)| {
                    let early = early && refusal.is_none();
                    let vote = refusal.map_or(Ok(()), Err);
                    RequestVoteReply { term, pre_vote, vote, early }.into()
                }
            ),
        ];
        let entries = prop_oneof![
            (term.clone(), position(), 0..99_u64, number(), number()).prop_map(
                |(term, prev_log, entries, commit, round)| {
                    let last = Index(prev_log.index.0.saturating_add(entries));
                    let (leader_commit, round) = (Index(commit), Round(round));
                    AppendEntries { term, prev_log, last, leader_commit, round }.into()
                }
            ),
            (term.clone(), number(), outcome, any::<bool>()).prop_map(
                |(term, round, outcome, recovering)| {
                    let (round, applied) = (Round(round), Index(0));
                    AppendEntriesReply { term, round, outcome, applied, recovering }.into()
                }
            ),
        ];
        let reads = prop_oneof![
            (term.clone(), number(), any::<bool>()).prop_map(|(term, read, lease)| {
                ReadIndex { term, ticket: Ticket(read), lease }.into()
            }),
            (term.clone(), number(), option::of(number())).prop_map(|(term, read, index)| {
                ReadIndexReply { term, ticket: Ticket(read), index: index.map(Index) }.into()
            }),
        ];
        let snapshots = prop_oneof![
            (term.clone(), position(), number(), part.clone()).prop_map(
                |(term, last_included, round, part)| {
                    InstallSnapshot { term, last_included, round: Round(round), part }.into()
                }
            ),
            (term.clone(), number(), position(), part, [number(), number()], any::<bool>())
                .prop_map(|(term, round, last_included, want, [chunks, of], recovering)| {
                    let (round, have) = (Round(round), Fetched { chunks, of });
                    InstallSnapshotReply { term, round, last_included, want, have, recovering }
                        .into()
                }),
        ];
        let others = prop_oneof![
            (term.clone(), position(), number()).prop_map(|(term, last_log, round)| {
                TimeoutNow { term, last_log, round: Round(round) }.into()
            }),
            (term.clone(), number())
                .prop_map(|(term, life)| Rejoin { term, life: Ticket(life) }.into()),
            (term, number(), position()).prop_map(|(term, life, entry)| RejoinReply {
                term,
                life: Ticket(life),
                entry
            }
            .into()),
        ];
        prop_oneof![votes, entries, reads, snapshots, others]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(message in message()) {
            prop_assert_eq!(read(&message.to_string()), Some(message));
        }

        #[test]
        fn nothing_makes_it_panic(
            text in "(RequestVote|AppendEntries|InstallSnapshotReply|Rejoin)? ?\
                     (term=1 )?(term|prev|entries|has|chunk|last)?=?[0-9.@/a-f]{0,9}",
        ) {
            let _ = read(&text);
        }
    }
}

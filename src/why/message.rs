//! A message between servers, read back from the trace that it was written to.

use crate::raft::{
    AppendEntries, AppendEntriesReply, AppendOutcome, Index, Message, Position, ReadIndex,
    ReadIndexReply, RequestVote, RequestVoteReply, Round, ServerId, Term, Ticket, VoteRefusal,
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
            forced: rest.ends_with(" forced"),
        }),
        "RequestVoteReply" | "RequestPreVoteReply" => {
            let vote = match rest.split_once(" refused: ") {
                Some((_, why)) => Err(refusal(why)?),
                None => Ok(()),
            };
            Message::RequestVoteReply(RequestVoteReply { term, pre_vote, vote })
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
            Message::AppendEntriesReply(AppendEntriesReply { term, round, outcome })
        }
        "ReadIndex" => {
            Message::ReadIndex(ReadIndex { term, ticket: Ticket(fields.number("read")?) })
        }
        "ReadIndexReply" => Message::ReadIndexReply(ReadIndexReply {
            term,
            ticket: Ticket(fields.number("read")?),
            index: fields.number("index").map(Index),
        }),
        _ => return None,
    })
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
            number().prop_map(|id| VoteRefusal::LeaderAlive(ServerId(id))),
            number().prop_map(|id| VoteRefusal::AlreadyVoted(ServerId(id))),
        ];
        let outcome = prop_oneof![
            number().prop_map(|index| AppendOutcome::Matched(Index(index))),
            (number(), position())
                .prop_map(|(prev, hint)| AppendOutcome::Rejected { prev: Index(prev), hint }),
        ];
        let term = number().prop_map(Term);
        prop_oneof![
            (term.clone(), position(), any::<bool>(), any::<bool>()).prop_map(
                |(term, last_log, pre_vote, forced)| {
                    RequestVote { term, last_log, pre_vote, forced }.into()
                }
            ),
            (term.clone(), any::<bool>(), option::of(refusal)).prop_map(
                |(term, pre_vote, refusal)| {
                    let vote = refusal.map_or(Ok(()), Err);
                    RequestVoteReply { term, pre_vote, vote }.into()
                }
            ),
            (term.clone(), position(), 0..99_u64, number(), number()).prop_map(
                |(term, prev_log, entries, commit, round)| {
                    let last = Index(prev_log.index.0.saturating_add(entries));
                    let (leader_commit, round) = (Index(commit), Round(round));
                    AppendEntries { term, prev_log, last, leader_commit, round }.into()
                }
            ),
            (term.clone(), number(), outcome).prop_map(|(term, round, outcome)| {
                AppendEntriesReply { term, round: Round(round), outcome }.into()
            }),
            (term.clone(), number()).prop_map(|(term, read)| ReadIndex {
                term,
                ticket: Ticket(read)
            }
            .into()),
            (term, number(), option::of(number())).prop_map(|(term, read, index)| {
                ReadIndexReply { term, ticket: Ticket(read), index: index.map(Index) }.into()
            }),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(message in message()) {
            prop_assert_eq!(read(&message.to_string()), Some(message));
        }

        #[test]
        fn nothing_makes_it_panic(
            text in "(RequestVote|AppendEntries)? ?(term|prev|entries)?=?[0-9.@]{0,9}",
        ) {
            let _ = read(&text);
        }
    }
}

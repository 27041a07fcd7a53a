//! Histories as text, so that they can be kept and checked alone: JSON lines, one call a line, in
//! any order. Blank lines are skipped. For example:
//!
//! ```json
//! {"client":1,"operation":{"append":{"name":"a","content":"x"}},"invoked":5,"answer":{"at":9,"outcome":"done"}}
//! {"client":2,"operation":{"read":{"name":"a"}},"invoked":7,"answer":{"at":8,"outcome":{"observed":"x"}}}
//! {"client":1,"operation":{"rename":{"from":"a","to":"b"}},"invoked":11,"answer":null}
//! ```
//!
//! The operations are `create` (`name`, `content`, `replace`), `append` (`name`, `content`),
//! `read` and `delete` (`name`) and `rename` (`from`, `to`); the outcomes are `done`,
//! `{"observed":CONTENT}`, `no_such_file`, `name_exists`, `not_done` and `unknown`. Moments are
//! nanoseconds of one clock. A content is a string with one character, U+0000 to U+00FF, a byte.

use std::io::{self, BufRead, Read, Write};

use super::history::{Call, Content, History, Operation, Outcome};

/// The longest line, in bytes: a megabyte of content whose every byte needs an escape.
const MAX_LINE: usize = 8 << 20;
/// Most calls of a history.
const MAX_CALLS: usize = 1_000_000;
/// Most bytes of contents in a history.
const MAX_CONTENT: usize = 256 << 20;

/// A text that is no history.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {cause}")]
pub struct UnreadableHistory {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong there.
    pub cause: UnreadableCall,
}

/// What is wrong with a line of a history.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnreadableCall {
    /// It cannot be read, or is not UTF-8.
    #[error("cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// It is not a call.
    #[error(
        "this is no call: {0}. A line looks like {{\"client\":1,\"operation\":{{\"read\":\
         {{\"name\":\"a\"}}}},\"invoked\":5,\"answer\":{{\"at\":9,\"outcome\":\"no_such_file\"}}}}"
    )]
    NotACall(serde_json::Error),
    /// The call is answered before it is invoked.
    #[error("{0}: answered before it was invoked; one clock must time all calls")]
    Backwards(Box<Call>),
    /// The line is too long.
    #[error("longer than {MAX_LINE} bytes, which is the limit of a line")]
    TooLong,
    /// The history is too long.
    #[error("{MAX_CALLS} calls and {MAX_CONTENT} bytes of contents are the limit of a history")]
    TooMuch,
}

impl History {
    /// Writes the calls as JSON lines, in the order of recording.
    ///
    /// # Errors
    /// If `out` refuses.
    pub fn write_lines(&self, mut out: impl Write) -> io::Result<()> {
        for call in self.calls() {
            serde_json::to_writer(&mut out, call)?;
            out.write_all(b"\n")?;
        }
        Ok(())
    }

    /// Reads what [`write_lines`](Self::write_lines) wrote.
    ///
    /// # Errors
    /// At the first line that is no call, or with which the history exceeds its limits: a million
    /// calls, 256 MiB of contents, 8 MiB a line.
    pub fn read_lines(input: impl BufRead) -> Result<Self, UnreadableHistory> {
        Self::read_within(input, MAX_CALLS)
    }

    fn read_within(mut input: impl BufRead, max_calls: usize) -> Result<Self, UnreadableHistory> {
        let (mut calls, mut bytes) = (Vec::new(), 0);
        let mut text = String::new();
        for line in 1.. {
            let at_line = |cause| UnreadableHistory { line, cause };
            text.clear();
            let mut limited = (&mut input).take(MAX_LINE as u64 + 1);
            let length = limited.read_line(&mut text).map_err(|error| at_line(error.into()))?;
            match length {
                0 => break,
                _ if length > MAX_LINE => return Err(at_line(UnreadableCall::TooLong)),
                _ if text.trim().is_empty() => continue,
                _ => {}
            }
            let call = parse(&text).map_err(at_line)?;
            bytes += contents(&call).map(|content| content.0.len()).sum::<usize>();
            if calls.len() == max_calls || bytes > MAX_CONTENT {
                return Err(at_line(UnreadableCall::TooMuch));
            }
            calls.push(call);
        }
        Ok(Self::from_calls(calls).expect("invariant: every call is answered after it is invoked"))
    }
}

fn parse(text: &str) -> Result<Call, UnreadableCall> {
    let call: Call = serde_json::from_str(text).map_err(UnreadableCall::NotACall)?;
    match &call.answer {
        Some(answer) if answer.at < call.invoked => Err(UnreadableCall::Backwards(Box::new(call))),
        _ => Ok(call),
    }
}

/// The contents that a call carries.
fn contents(call: &Call) -> impl Iterator<Item = &Content> {
    let written = match &call.operation {
        Operation::Create { content, .. }
        | Operation::Append { content, .. }
        | Operation::AppendIf { content, .. }
        | Operation::AppendBoth { content, .. } => Some(content),
        Operation::Read { .. } | Operation::Delete { .. } | Operation::Rename { .. } => None,
    };
    let expected = match &call.operation {
        Operation::AppendIf { holds, .. } => Some(holds),
        _ => None,
    };
    let observed = match call.outcome() {
        Outcome::Observed(content) => Some(content),
        _ => None,
    };
    written.into_iter().chain(expected).chain(observed)
}

#[cfg(test)]
mod tests {
    use super::super::history::Answer;
    use super::*;

    fn calls() -> Vec<Call> {
        let name = || "täglich \"1\"\n".to_owned();
        let every_byte = Content::from((0..=255).collect::<Vec<u8>>());
        let operations = [
            Operation::Create { name: name(), content: every_byte.clone(), replace: true },
            Operation::Append { name: name(), content: Content::default() },
            Operation::Read { name: name() },
            Operation::Delete { name: name() },
            Operation::Rename { from: name(), to: "b".to_owned() },
            Operation::AppendBoth { names: [name(), "b".to_owned()], content: "x".into() },
            Operation::AppendIf { name: name(), holds: "a".into(), content: "b".into() },
        ];
        let outcomes = [
            Outcome::Done,
            Outcome::NotDone,
            Outcome::Observed(every_byte),
            Outcome::NoSuchFile,
            Outcome::NameExists,
            Outcome::Unknown,
        ];
        let answered = operations.into_iter().zip(outcomes).map(|(operation, outcome)| {
            let answer = Some(Answer { at: u64::MAX, outcome });
            Call { client: 3, operation, invoked: 7, answer }
        });
        let unanswered = Operation::Delete { name: name() };
        answered
            .chain([Call { client: 4, operation: unanswered, invoked: 0, answer: None }])
            .collect()
    }

    #[test]
    fn a_history_is_read_as_it_was_written() {
        let history = History::from_calls(calls()).expect("is well formed");
        let mut text = Vec::new();
        history.write_lines(&mut text).expect("memory takes it");
        assert_eq!(text.iter().filter(|byte| **byte == b'\n').count(), 7, "one line a call");
        assert_eq!(History::read_lines(&text[..]).expect("is a history"), history);
        let with_blanks = [b"\n  \r\n", &text[..text.len() - 1]].concat();
        assert_eq!(History::read_lines(&with_blanks[..]).expect("is a history"), history);
    }

    #[test]
    fn the_lines_of_the_documentation_are_calls() {
        let text: String = include_str!("json_lines.rs")
            .lines()
            .filter_map(|line| line.strip_prefix("//! {"))
            .map(|line| format!("{{{line}\n"))
            .collect();
        assert_eq!(History::read_lines(text.as_bytes()).expect("calls").calls().len(), 3);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let good = r#"{"client":1,"operation":{"read":{"name":"a"}},"invoked":5,"answer":null}"#;
        let told = |text: &[u8]| {
            let text = [good.as_bytes(), b"\n\n", text].concat();
            History::read_lines(&text[..]).expect_err("is no history").to_string()
        };
        let cases: [(&str, &str); 7] = [
            ("seen", "line 3: this is no call: expected value"),
            (r#"{"client":1}"#, "line 3: this is no call: missing field `operation`"),
            (&good[..40], "line 3: this is no call: EOF"),
            (&good.replace("read", "look"), "line 3: this is no call: unknown variant `look`"),
            (&good.replace("client", "klient"), "line 3: this is no call: unknown field `klient`"),
            (
                &good.replace("null", r#"{"at":4,"outcome":"done"}"#),
                "line 3: client 1: read a: done, 0.000005 ms to 0.000004 ms: answered before",
            ),
            (
                &good.replace("null", r#"{"at":9,"outcome":{"observed":"→"}}"#),
                "line 3: this is no call: ",
            ),
        ];
        for (text, expected) in cases {
            let told = told(text.as_bytes());
            assert!(told.starts_with(expected), "{told}\n{expected}");
        }
        assert!(told(b"\xff").starts_with("line 3: cannot be read: "));
        let endless = vec![b' '; MAX_LINE + 1];
        assert_eq!(
            told(&endless),
            "line 3: longer than 8388608 bytes, which is the limit of a line"
        );
    }

    #[test]
    fn no_history_is_longer_than_the_limit() {
        let line = "{\"client\":1,\"operation\":{\"read\":{\"name\":\"a\"}},\"invoked\":5}\n";
        assert!(History::read_within(line.repeat(9).as_bytes(), 9).is_ok());
        let error = History::read_within(line.repeat(10).as_bytes(), 9).expect_err("is too long");
        assert_eq!(error.line, 10);
        assert!(matches!(error.cause, UnreadableCall::TooMuch));
    }
}

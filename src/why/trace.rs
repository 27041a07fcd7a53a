//! A run of which only the trace is left.

use std::io::{self, BufRead, Read as _};
use std::time::Duration;

use super::account::Account;
use super::answer::Answer;
use super::fact::{Fact, Seen};
use super::{explain, live, trial};
use crate::raft::{Time, Timing};
use crate::replay::{Fingerprint, Header, Heard, Timeline};
use crate::script::{Inquiry, Question};

/// Why a trace answers no question.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TraceError {
    /// It cannot be read, or is not UTF-8.
    #[error("line {line}: cannot be read: {error}")]
    Unreadable {
        /// The line, from 1.
        line: usize,
        /// Why not.
        error: io::Error,
    },
    /// The line is not one of a trace.
    #[error("line {0} is no line of a trace; `jangada run --trace FILE` writes one")]
    NotATrace(usize),
    /// A later moment stands before an earlier one.
    #[error("line {0}: time goes back here; trace one scenario at a time")]
    TimeGoesBack(usize),
    /// It is longer than can be compared with another run.
    #[error("it has more than {MAX_LINES} lines; `jangada why --scenario FILE` needs no trace")]
    TooLong,
    /// There can be no runtime.
    #[error("cannot make a runtime: {0}")]
    Runtime(io::Error),
}

const MICROSECOND: Duration = Duration::from_micros(1);
/// The longest trace.
const MAX_LINES: usize = 1 << 22;

/// Answers a question about the run that this trace tells of. If its scenario stands at its top
/// and gives the same trace again, the answer is exact. Otherwise the trace alone is told, and no
/// cause is named.
///
/// # Errors
/// If it is no trace that can be read.
pub fn explain_trace(trace: impl BufRead, inquiry: &Inquiry) -> Result<Answer, TraceError> {
    let read = Read::new(trace, inquiry)?;
    let Some(timeline) = read.header.timeline() else {
        return Ok(from_trace_alone(read.account, inquiry));
    };
    let Some((latest, _)) = read.hashes.last().copied() else {
        return Ok(from_trace_alone(read.account, inquiry));
    };
    if !is_of(&timeline, &read.hashes).map_err(TraceError::Runtime)? {
        return Ok(from_trace_alone(read.account, inquiry));
    }
    // A trace tells moments in whole microseconds, and ends with the first step that fails.
    let end = timeline.finish().map_err(TraceError::Runtime)?.min(latest + MICROSECOND);
    explain(&timeline, inquiry, end).map_err(TraceError::Runtime)
}

/// Whether this run gives the trace with these hashes, up to its last moment: what ends it then
/// is no part of the scenario.
fn is_of(timeline: &Timeline, hashes: &[(Time, u64)]) -> io::Result<bool> {
    let Some((latest, _)) = hashes.last() else { return Ok(false) };
    let before = hashes.partition_point(|(at, _)| at < latest);
    let Some((last, hash)) = before.checked_sub(1).and_then(|last| hashes.get(last)) else {
        return Ok(false);
    };
    let stage = trial::follow(timeline, *last + MICROSECOND.mul_f64(0.999))?;
    Ok(stage.fingerprint() == Fingerprint { lines: before as u64, hash: *hash })
}

fn from_trace_alone(account: Account, inquiry: &Inquiry) -> Answer {
    if let Question::NotCommitted(_) = inquiry.question {
        return Answer::not_so(
            "What is in the logs cannot be said from this trace, which its scenario does not give \
             again."
                .to_owned(),
        );
    }
    let at = account.latest().unwrap_or_default();
    let servers = account.servers();
    let seen = Seen { account, looks: Vec::new(), servers };
    match Fact::find(inquiry.question, at, &seen) {
        Ok(fact) => live::told(fact, None, &seen, Timing::default()),
        Err(instead) => Answer::not_so(instead),
    }
}

/// A trace that was read.
struct Read {
    header: Header,
    account: Account,
    /// When each of its lines was written, and the hash of the trace up to there.
    hashes: Vec<(Time, u64)>,
}

/// The longest line, in bytes.
const MAX_LINE: u64 = 128 << 10;

impl Read {
    fn new(mut trace: impl BufRead, inquiry: &Inquiry) -> Result<Self, TraceError> {
        let (mut header, mut account) = (Header::default(), Account::new(true));
        let (mut hashes, mut whole) = (Vec::new(), Fingerprint::default());
        let mut text = String::new();
        for number in 1.. {
            text.clear();
            let read = trace.by_ref().take(MAX_LINE).read_line(&mut text);
            if read.map_err(|error| TraceError::Unreadable { line: number, error })? == 0 {
                break;
            }
            let line = text.trim_end_matches('\n');
            if header.take(line) {
                continue;
            }
            let Some(at) = Account::moment(line) else {
                return Err(TraceError::NotATrace(number));
            };
            if account.latest().is_some_and(|latest| at < latest) {
                return Err(TraceError::TimeGoesBack(number));
            }
            if hashes.len() == MAX_LINES {
                return Err(TraceError::TooLong);
            }
            whole.add(line.as_bytes());
            hashes.push((at, whole.hash));
            if inquiry.at.is_none_or(|asked| at <= Time::default() + asked) {
                account.hear(Heard::Line(line));
            }
        }
        Ok(Self { header, account, hashes })
    }
}

//! Why something was not done.

use std::io;
use std::time::Duration;

use serde::Deserialize;

use super::endpoint::Endpoint;

/// Why a client did not get what it asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The cluster, or a server, says no. Nothing was changed.
    #[error("{0}")]
    Refused(Refusal),
    /// No server did it: they are not there, or know of no leader, or have too much to do. Nothing
    /// was changed, and it may work later.
    #[error("{0}")]
    Unavailable(String),
    /// A server was asked and did not answer in time. Nothing was changed.
    #[error("{endpoint} took the request and did not answer within {} s", .within.as_secs_f64())]
    Silence {
        /// Who was asked last.
        endpoint: Endpoint,
        /// How long the client waited.
        within: Duration,
    },
    /// The change may be made, or may be yet: a server heard of it and did not answer.
    #[error("it is not known whether this was done: {0}")]
    Unknown(String),
    /// What came is not what was stored.
    #[error("{0}")]
    Damaged(String),
    /// A server said something that is no answer.
    #[error("{endpoint} answers what cannot be understood: {reason}")]
    Confused {
        /// Which one.
        endpoint: Endpoint,
        /// What is wrong with it.
        reason: String,
    },
    /// A file of this machine cannot be read or written.
    #[error("{what}: {error}")]
    Local {
        /// Which file.
        what: String,
        /// Why.
        error: io::Error,
    },
    /// What came before this index is forgotten, so that there would be a gap.
    #[error("the changes before {first} are forgotten: look at the files, then watch from {first}")]
    Gone {
        /// From here on they are known.
        first: u64,
    },
}

/// A server's no, as it says it (RFC 9457).
#[derive(Clone, PartialEq, Eq, Debug, Deserialize, thiserror::Error)]
#[error("{detail}")]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The stable code, as in docs/http.md.
    pub code: String,
    /// What happened, and what to do next.
    pub detail: String,
    /// Seconds after which to try again, if that may help.
    #[serde(default)]
    pub retry_after: Option<u64>,
}

/// What to do about a refusal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Remedy {
    /// Ask again, perhaps somebody else: nothing was changed.
    Again,
    /// Ask again under the same key: it may have been done.
    Settle,
    /// Nothing helps.
    Nothing,
}

impl Error {
    pub(super) fn local(what: &std::path::Path, error: io::Error) -> Self {
        Self::Local { what: what.display().to_string(), error }
    }

    /// The code of a refusal; empty for everything else.
    pub fn code(&self) -> &str {
        match self {
            Self::Refused(refusal) => &refusal.code,
            _ => "",
        }
    }
}

impl Refusal {
    /// What an answer says that is no success: the problem, or what a stranger on the way put in its
    /// place.
    pub(super) fn of(status: u16, body: &[u8]) -> Self {
        serde_json::from_slice(body).unwrap_or_else(|_| {
            let said = String::from_utf8_lossy(&body[..body.len().min(200)]);
            let said = said.lines().next().unwrap_or_default().escape_debug();
            let detail = format!("the answer is {status}, without the reason of a server: {said}");
            Self { status, code: format!("http_{status}"), detail, retry_after: None }
        })
    }

    pub(super) fn remedy(&self) -> Remedy {
        match (self.code.as_str(), self.status) {
            ("outcome_unknown", _) => Remedy::Settle,
            // The store is full, which is not over soon.
            ("store_full" | "damaged" | "internal", _) => Remedy::Nothing,
            (_, 408 | 429 | 502 | 503 | 504) => Remedy::Again,
            _ => Remedy::Nothing,
        }
    }

    /// Whether it is the cluster's own verdict on a change, so that no attempt before was carried
    /// out either: those would have been answered in its place.
    pub(super) fn is_verdict(&self) -> bool {
        let code = self.code.as_str();
        let verdicts = ["no_such_file", "name_exists", "precondition_failed", "store_full"];
        verdicts.contains(&code) || ["too_large", "changed"].contains(&code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_read_and_what_is_none_is_told_as_it_is() {
        let problem = br#"{"type":"urn:x","title":"t","status":503,"code":"no_leader",
                           "detail":"nobody leads","leader":null,"retry_after":1,"new":[]}"#;
        let refusal = Refusal::of(503, problem);
        assert_eq!((refusal.code.as_str(), refusal.retry_after), ("no_leader", Some(1)));
        assert_eq!(refusal.remedy(), Remedy::Again);
        let refusal = Refusal::of(502, b"<html>\nBad gateway");
        assert_eq!((refusal.code.as_str(), refusal.remedy()), ("http_502", Remedy::Again));
        assert!(refusal.to_string().ends_with("<html>"));
        assert_eq!(Refusal::of(404, b"").remedy(), Remedy::Nothing);
    }

    #[test]
    fn every_code_of_the_servers_has_its_remedy() {
        use crate::http::Code;
        for code in Code::ALL {
            let status = code.status().as_u16();
            let refusal = Refusal {
                status,
                code: code.to_string(),
                detail: String::new(),
                retry_after: None,
            };
            let expected = match code {
                Code::OutcomeUnknown => Remedy::Settle,
                Code::TooManyRequests | Code::TooSlow => Remedy::Again,
                _ if status == 503 => Remedy::Again,
                _ => Remedy::Nothing,
            };
            assert_eq!(refusal.remedy(), expected, "{code}");
        }
    }
}

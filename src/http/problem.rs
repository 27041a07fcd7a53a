//! Everything that is no success, as problem details (RFC 9457).

use std::fmt;
use std::io::Write;
use std::ops::Deref;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{
    ALLOW, CONTENT_RANGE, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, RETRY_AFTER,
    WWW_AUTHENTICATE,
};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::admin::AdminError;
use crate::actors::{ClientError, NotDone};
use crate::files;
use crate::raft::Refusal;

/// Why a request brought no success. A code never changes its meaning, and none is used again.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Code {
    /// What came is no HTTP request.
    BadRequest,
    /// The headers are larger than allowed.
    HeadersTooLarge,
    /// The name in the path is not a file's name.
    BadName,
    /// A parameter of the query is unknown, missing, or not what it should be.
    BadParameter,
    /// A header is not what it should be.
    BadHeader,
    /// The body is not what it should be.
    BadBody,
    /// A token is needed, and none that is known came.
    Unauthorized,
    /// The token lacks the role that is needed, or the server does not allow it to anybody.
    Forbidden,
    /// The name by which the server was called is none of its own.
    HostRefused,
    /// A page of another site asked.
    OriginRefused,
    /// There is nothing at this path.
    NoSuchRoute,
    /// There is something at this path, but not by this method.
    MethodNotAllowed,
    /// No file has this name.
    NoSuchFile,
    /// The log has not come so far yet.
    NotYet,
    /// What was so long ago is forgotten.
    HistoryGone,
    /// A file with this name exists.
    NameExists,
    /// The file is gone, or has changed, while it was read.
    Changed,
    /// A condition of the request does not hold.
    PreconditionFailed,
    /// The body is larger than allowed, or the file would be.
    TooLarge,
    /// None of the bytes that were asked for exist.
    RangeNotSatisfiable,
    /// The key came before with another request.
    KeyReused,
    /// The key is so old that it is not known what became of it.
    KeyForgotten,
    /// The client sent too slowly.
    TooSlow,
    /// The client broke off, or its body is not well-formed.
    Incomplete,
    /// The token was used more often than it may be.
    TooManyRequests,
    /// The server does not lead; `leader` says who does.
    NotLeader,
    /// Nobody leads at the moment.
    NoLeader,
    /// Too few servers are up for anybody to lead.
    NoQuorum,
    /// No server answered in time; nothing was changed.
    Unavailable,
    /// The server has too much to do.
    Overloaded,
    /// The upload was interrupted by a change of leader.
    UploadLost,
    /// A server took the change and was lost: it may be made, or may be yet.
    OutcomeUnknown,
    /// The store has no room, or holds as many files as it may.
    StoreFull,
    /// The state of the cluster does not permit it now.
    Refused,
    /// What was stored and what came back differ.
    Damaged,
    /// The server is not ready, or not well.
    NotReady,
    /// The server made a mistake.
    Internal,
}

/// A problem: [`Details`] behind a pointer, so that whatever may meet with one stays small.
#[derive(Clone, Debug, thiserror::Error, Serialize, Deserialize)]
#[error("{}: {}", .0.code, .0.detail)]
#[serde(transparent)]
pub struct Problem(Box<Details>);

/// A problem, as it is told: `application/problem+json`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Problem)]
pub struct Details {
    /// The code as a URN.
    #[serde(rename = "type")]
    pub kind: String,
    /// The code in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// The stable code.
    pub code: Code,
    /// What happened, to which file or server, and what to do next.
    pub detail: String,
    /// Who leads, if that matters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader: Option<Leader>,
    /// Seconds after which to try again, if that may help.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
    /// What else the answer says.
    #[serde(skip)]
    headers: Vec<(HeaderName, String)>,
}

/// Who leads.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Leader {
    /// Its number.
    pub id: u64,
    /// The address of its HTTP server, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// What a problem is told as.
const KIND: &str = "application/problem+json";

impl Code {
    /// Every code, in the order of docs/http.md.
    pub const ALL: &[Code] = &[
        Code::BadRequest,
        Code::BadName,
        Code::BadParameter,
        Code::BadHeader,
        Code::BadBody,
        Code::Unauthorized,
        Code::Forbidden,
        Code::HostRefused,
        Code::OriginRefused,
        Code::NoSuchRoute,
        Code::NoSuchFile,
        Code::NotYet,
        Code::MethodNotAllowed,
        Code::TooSlow,
        Code::Incomplete,
        Code::NameExists,
        Code::Changed,
        Code::Refused,
        Code::HistoryGone,
        Code::KeyForgotten,
        Code::PreconditionFailed,
        Code::TooLarge,
        Code::RangeNotSatisfiable,
        Code::KeyReused,
        Code::TooManyRequests,
        Code::HeadersTooLarge,
        Code::Internal,
        Code::Damaged,
        Code::NotLeader,
        Code::NoLeader,
        Code::NoQuorum,
        Code::Unavailable,
        Code::Overloaded,
        Code::UploadLost,
        Code::NotReady,
        Code::OutcomeUnknown,
        Code::StoreFull,
    ];

    /// The status that it comes with.
    pub fn status(self) -> StatusCode {
        match self {
            Code::BadRequest
            | Code::BadName
            | Code::BadParameter
            | Code::BadHeader
            | Code::BadBody
            | Code::Incomplete => StatusCode::BAD_REQUEST,
            Code::Unauthorized => StatusCode::UNAUTHORIZED,
            Code::Forbidden | Code::HostRefused | Code::OriginRefused => StatusCode::FORBIDDEN,
            Code::NoSuchRoute | Code::NoSuchFile | Code::NotYet => StatusCode::NOT_FOUND,
            Code::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Code::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Code::NameExists | Code::Changed | Code::Refused => StatusCode::CONFLICT,
            Code::HistoryGone | Code::KeyForgotten => StatusCode::GONE,
            Code::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
            Code::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Code::RangeNotSatisfiable => StatusCode::RANGE_NOT_SATISFIABLE,
            Code::KeyReused => StatusCode::UNPROCESSABLE_ENTITY,
            Code::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
            Code::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Code::Damaged | Code::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Code::NotLeader
            | Code::NoLeader
            | Code::NoQuorum
            | Code::Unavailable
            | Code::Overloaded
            | Code::UploadLost
            | Code::NotReady => StatusCode::SERVICE_UNAVAILABLE,
            Code::OutcomeUnknown => StatusCode::GATEWAY_TIMEOUT,
            Code::StoreFull => StatusCode::INSUFFICIENT_STORAGE,
        }
    }

    /// After how long to try again, if that may help.
    fn retry_after(self) -> Option<Duration> {
        match self.status() {
            StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::TOO_MANY_REQUESTS
            | StatusCode::GATEWAY_TIMEOUT => Some(Duration::from_secs(1)),
            _ => None,
        }
    }
}

/// `no_such_file`.
impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

impl Problem {
    /// A problem of this code; `detail` says what happened and what to do next.
    pub(super) fn new(code: Code, detail: impl Into<String>) -> Self {
        let words = code.to_string().replace('_', " ");
        let problem = Self(Box::new(Details {
            kind: format!("urn:jangada:problem:{code}"),
            title: words,
            status: code.status().as_u16(),
            code,
            detail: detail.into(),
            leader: None,
            retry_after: code.retry_after().map(|after| after.as_secs()),
            headers: Vec::new(),
        }));
        match code {
            Code::Unauthorized => problem.with(WWW_AUTHENTICATE, "Bearer realm=\"jangada\""),
            _ => problem,
        }
    }

    /// The same, with a header.
    pub(super) fn with(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.0.headers.push((name, value.into()));
        self
    }

    /// Only these methods are allowed.
    pub(super) fn allowed(methods: &str) -> Self {
        let detail = format!("this path answers to {methods} alone");
        Self::new(Code::MethodNotAllowed, detail).with(ALLOW, methods)
    }

    /// The content has only so many bytes.
    pub(super) fn beyond(size: u64) -> Self {
        let detail = format!("the content has {size} bytes: ask for some of those");
        let range = format!("bytes */{size}");
        Self::new(Code::RangeNotSatisfiable, detail).with(CONTENT_RANGE, range)
    }

    /// The same request is answered there.
    pub(super) fn elsewhere(mut self, location: String) -> Self {
        self.0.status = StatusCode::TEMPORARY_REDIRECT.as_u16();
        self.0.retry_after = None;
        self.with(LOCATION, location)
    }

    /// The same, naming the leader.
    pub(super) fn led_by(mut self, leader: Option<(u64, Option<String>)>) -> Self {
        self.0.leader = leader.map(|(id, address)| Leader { id, address });
        self
    }

    /// What the files, or the cluster, say no to.
    fn of(error: &ClientError) -> Self {
        let code = match error {
            ClientError::Refused(refusal) => of_files(refusal),
            ClientError::NotDone(reason) => match reason {
                NotDone::NoQuorum { .. } => Code::NoQuorum,
                NotDone::Refused { refusal, .. } => match refusal {
                    Refusal::NotLeader(_) => Code::NotLeader,
                    Refusal::ElectionRunning | Refusal::HandingOver(_) => Code::NoLeader,
                    Refusal::NoQuorum { .. } => Code::NoQuorum,
                    Refusal::Busy => Code::Overloaded,
                    Refusal::DiskFull => Code::StoreFull,
                },
                NotDone::UploadLost => Code::UploadLost,
                NotDone::Down(_) | NotDone::Silence(_) => Code::Unavailable,
            },
            ClientError::Unknown => Code::OutcomeUnknown,
            ClientError::Source(_) => Code::Incomplete,
            ClientError::SizeChanged { .. } => Code::BadBody,
            ClientError::Damaged { .. } => Code::Damaged,
        };
        Self::new(code, error.to_string())
    }

    /// What an operator's wish met with.
    pub(super) fn of_admin(error: &AdminError) -> Self {
        let code = match error {
            AdminError::NotLeader { leader: Some(_) } => Code::NotLeader,
            AdminError::NotLeader { leader: None } => Code::NoLeader,
            AdminError::Invalid(_) => Code::BadBody,
            AdminError::Refused(_) => Code::Refused,
            AdminError::Forbidden(_) => Code::Forbidden,
            AdminError::Ended => Code::OutcomeUnknown,
        };
        let problem = Self::new(code, error.to_string());
        match error {
            AdminError::NotLeader { leader } => problem.led_by(leader.clone()),
            _ => problem,
        }
    }

    /// The whole answer, as bytes, of a connection that is closed behind it.
    pub(super) fn last_words(&self) -> Bytes {
        let mut words = Vec::new();
        let status = StatusCode::from_u16(self.status).unwrap_or(self.code.status());
        let body = serde_json::to_vec(self).expect("invariant: problems serialize");
        // A vector takes whatever is written to it.
        let _ = write!(
            words,
            "HTTP/1.1 {status}\r\ncontent-length: {}\r\ncontent-type: {KIND}\r\n\
             x-content-type-options: nosniff\r\nconnection: close\r\n\r\n",
            body.len()
        );
        words.extend(body);
        words.into()
    }

    /// The answer.
    pub(super) fn response(&self) -> HttpResponse {
        let status = StatusCode::from_u16(self.status).unwrap_or(self.code.status());
        let mut response = HttpResponse::build(status);
        response.insert_header((CONTENT_TYPE, KIND));
        if let Some(seconds) = self.retry_after {
            response.insert_header((RETRY_AFTER, seconds));
        }
        for (name, value) in &self.headers {
            if let Ok(value) = HeaderValue::from_str(value) {
                response.insert_header((name.clone(), value));
            }
        }
        response.body(serde_json::to_vec(self).expect("invariant: problems serialize"))
    }
}

impl Deref for Problem {
    type Target = Details;

    fn deref(&self) -> &Details {
        &self.0
    }
}

impl From<ClientError> for Problem {
    /// What a body met with comes back as it was.
    fn from(error: ClientError) -> Self {
        if let ClientError::Source(source) = &error
            && let Some(problem) = source.get_ref().and_then(|inner| inner.downcast_ref::<Self>())
        {
            return problem.clone();
        }
        Self::of(&error)
    }
}

fn of_files(refusal: &files::Refusal) -> Code {
    use files::Refusal as Files;
    match refusal {
        Files::BadName { .. } => Code::BadName,
        Files::NoSuchFile { .. } | Files::Ambiguous { .. } => Code::NoSuchFile,
        Files::NameExists { .. } => Code::NameExists,
        Files::SizeMismatch { .. } => Code::BadBody,
        Files::FileTooLarge { .. } | Files::DataTooLarge { .. } => Code::TooLarge,
        Files::StoreFull { .. } | Files::TooManyFiles { .. } => Code::StoreFull,
        Files::Gone { .. } | Files::RevisionChanged { .. } => Code::Changed,
        Files::OtherVersion { .. } => Code::PreconditionFailed,
        Files::TooManyVersions { .. } => Code::BadHeader,
        Files::HistoryGone { .. } => Code::HistoryGone,
        Files::NotYet { .. } => Code::NotYet,
        Files::KeyReused { .. } => Code::KeyReused,
        Files::KeyForgotten { .. } => Code::KeyForgotten,
        // The session that a client of this process uses, or what it staged there, had to make
        // room for others: the same request is welcome again.
        Files::SessionExpired { .. }
        | Files::NoSuchUpload { .. }
        | Files::TooManyUnacknowledged { .. }
        | Files::TooManyUploads { .. }
        | Files::TooFarAhead { .. } => Code::Overloaded,
        // A mistake of this process or of another version: nothing that was asked for says it.
        Files::Malformed { .. }
        | Files::UnknownAnswer { .. }
        | Files::AlreadyAcknowledged { .. }
        | Files::UuidExists { .. }
        | Files::UploadIncomplete { .. }
        | Files::Overlap { .. }
        | Files::InBatch { .. }
        | Files::NestedBatch
        | Files::ContentLost { .. }
        | Files::BatchTooLong { .. } => Code::Internal,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::raft::ServerId;

    #[test]
    fn every_code_is_listed_once_and_documented() {
        let manual = include_str!("../../docs/http.md");
        let mut names = BTreeSet::new();
        for code in Code::ALL {
            let row = format!("| `{code}` | {} |", code.status().as_u16());
            assert!(manual.contains(&row), "docs/http.md lacks: {row}");
            assert!(names.insert(code.to_string()), "{code} twice");
        }
        let rows = manual.lines().filter(|line| line.starts_with("| `") && line.contains("` | "));
        let rows: Vec<_> = rows
            .filter(|line| names.contains(&line[3..][..line[3..].find('`').unwrap()]))
            .collect();
        assert_eq!(rows.len(), Code::ALL.len());
    }

    #[test]
    fn what_may_pass_says_when_to_come_again() {
        let busy = NotDone::Refused { server: ServerId(2), refusal: Refusal::Busy };
        let problem = Problem::of(&ClientError::NotDone(busy));
        assert_eq!((problem.status, problem.code), (503, Code::Overloaded));
        let response = problem.response();
        assert_eq!(response.headers().get(RETRY_AFTER).unwrap(), "1");
        assert!(Problem::new(Code::BadName, "x").response().headers().get(RETRY_AFTER).is_none());
    }

    #[test]
    fn a_problem_survives_json() {
        let problem = Problem::new(Code::NoLeader, "wait").led_by(Some((2, None)));
        let told: Problem = serde_json::from_slice(&serde_json::to_vec(&problem).unwrap()).unwrap();
        assert_eq!((told.code, told.leader.as_ref().unwrap().id), (Code::NoLeader, 2));
    }
}

//! Why a command failed, in words and as an exit code.

use std::io;

use jangada::client::{BackupError, Error, SetupError};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Client(#[from] Error),
    #[error(transparent)]
    Backup(BackupError),
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The arguments make no sense.
    #[error("{0}")]
    Usage(String),
    /// Nobody reads standard output any more.
    #[error("standard output: {0}")]
    Output(#[from] io::Error),
    /// What went wrong has been told already, and this is its exit code.
    #[error("some of it failed")]
    Told(u8),
    /// By a signal of this number.
    #[error("interrupted{}", if *.in_doubt { "; it is not known whether the change was made" } else { "" })]
    Interrupted { signal: u8, in_doubt: bool },
}

pub(super) const FAILED: u8 = 1;
pub(super) const USAGE: u8 = 2;
pub(super) const NOT_FOUND: u8 = 3;
pub(super) const UNAVAILABLE: u8 = 4;
pub(super) const CONFLICT: u8 = 5;
pub(super) const UNKNOWN: u8 = 6;
pub(super) const TIMEOUT: u8 = 124;

impl From<BackupError> for Failure {
    fn from(error: BackupError) -> Self {
        match error {
            BackupError::Client(error) => Self::Client(error),
            error => Self::Backup(error),
        }
    }
}

impl Failure {
    /// Whether nobody wants to hear of it.
    pub(super) fn is_quiet(&self) -> bool {
        self.is_closed_pipe() || matches!(self, Self::Told(_))
    }

    fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    pub(super) fn exit_code(&self) -> u8 {
        match self {
            // Whoever reads has had enough.
            _ if self.is_closed_pipe() => 0,
            Self::Client(error) => code_of(error),
            Self::Backup(BackupError::Exist { .. } | BackupError::NotEmpty(_)) => CONFLICT,
            Self::Setup(_) | Self::Usage(_) => USAGE,
            Self::Told(code) => *code,
            Self::Interrupted { signal, .. } => 128 + signal,
            Self::Backup(_) | Self::Output(_) => FAILED,
        }
    }
}

/// The exit code of what a client met with.
pub(super) fn code_of(error: &Error) -> u8 {
    match error {
        Error::Refused(refusal) => match refusal.code.as_str() {
            "no_such_file" | "not_yet" | "history_gone" => NOT_FOUND,
            "name_exists" | "changed" | "precondition_failed" | "refused" | "key_reused" => {
                CONFLICT
            }
            "bad_name" | "bad_parameter" => USAGE,
            "outcome_unknown" | "key_forgotten" => UNKNOWN,
            _ if [429, 502, 503, 504].contains(&refusal.status) => UNAVAILABLE,
            _ => FAILED,
        },
        Error::Unavailable(_) => UNAVAILABLE,
        Error::Silence { .. } => TIMEOUT,
        Error::Unknown(_) => UNKNOWN,
        Error::Gone { .. } => NOT_FOUND,
        _ => FAILED,
    }
}

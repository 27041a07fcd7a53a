//! Why a statement failed, told so that a person knows what to do next.

use std::fmt::{self, Display, Formatter};
use std::path::PathBuf;

use super::host::HostError;
use crate::actors::{ClientError, Event, OrderError};
use crate::invariants::{Undecided, Violation};
use crate::script::{Mistake, ScenarioError};

/// Why a statement was not carried out, or why what it demands does not hold.
#[derive(Debug)]
#[non_exhaustive]
pub enum Failure {
    /// The line does not parse.
    Mistake(Mistake),
    /// A scenario file that does not parse.
    Scenario {
        /// The file.
        file: PathBuf,
        /// Its mistakes.
        error: ScenarioError,
    },
    /// An order was not carried out.
    Order(OrderError),
    /// A file command was refused, or its outcome is unknown.
    File(ClientError),
    /// A file of the host cannot be read or written.
    Host(HostError),
    /// An expectation does not hold.
    Unmet(Unmet),
    /// Whether the clients' history is linearizable was not found out.
    Undecided(Undecided),
    /// Something that must always hold did not, at this statement or before it.
    Violated {
        /// What.
        violation: Violation,
        /// What happened before, newest last.
        events: Vec<Event>,
    },
    /// Anything else: the message says what, and what to do.
    Other(String),
    /// A line of a scenario failed.
    At {
        /// The scenario.
        file: PathBuf,
        /// The line's number, from 1.
        line: usize,
        /// The line.
        text: String,
        /// Why.
        cause: Box<Failure>,
    },
}

/// An expectation that does not hold.
#[derive(Clone, PartialEq, Debug)]
pub struct Unmet {
    /// What was expected, as the language writes it.
    pub expected: String,
    /// What was there.
    pub found: String,
    /// What happened before, newest last.
    pub events: Vec<Event>,
}

impl Failure {
    /// Whether the text is wrong, rather than what it led to.
    pub fn is_mistake(&self) -> bool {
        match self {
            Self::Mistake(_) | Self::Scenario { .. } => true,
            Self::At { cause, .. } => cause.is_mistake(),
            _ => false,
        }
    }

    /// Whether all that failed is the decision whether a history is linearizable.
    pub fn is_undecided(&self) -> bool {
        match self {
            Self::Undecided(_) => true,
            Self::At { cause, .. } => cause.is_undecided(),
            _ => false,
        }
    }

    /// Whether this is a file command that did not happen and will not.
    pub(super) fn is_refusal(&self) -> bool {
        match self {
            Self::File(error) => {
                !matches!(error, ClientError::Unknown | ClientError::Damaged { .. })
            }
            Self::Host(_) | Self::Order(_) => true,
            _ => false,
        }
    }
}

impl Display for Failure {
    /// Says everything; may have several lines, and does not end with a newline.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mistake(Mistake { text, error, .. }) => {
                write!(f, "{error}\n{}", error.excerpt(text).trim_end_matches('\n'))
            }
            Self::Scenario { file, error } => {
                f.write_str(error.report(&file.to_string_lossy()).trim_end_matches('\n'))
            }
            Self::Order(error) => error.fmt(f),
            Self::File(error) => error.fmt(f),
            Self::Host(error) => error.fmt(f),
            Self::Unmet(unmet) => unmet.fmt(f),
            Self::Undecided(undecided) => undecided.fmt(f),
            Self::Violated { violation, events } => {
                write!(
                    f,
                    "{violation}\n    this is a fault of jangada: its servers broke a promise"
                )?;
                write_events(f, events)
            }
            Self::Other(message) => f.write_str(message),
            Self::At { file, line, text, cause } => {
                write!(f, "{}:{line}: {cause}", file.display())?;
                match **cause {
                    Self::Mistake(_) | Self::At { .. } | Self::Unmet(_) | Self::Violated { .. } => {
                        Ok(())
                    }
                    _ => write!(f, "\n    {text}"),
                }
            }
        }
    }
}

impl Display for Unmet {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} does not hold\n    found: {}", self.expected, self.found)?;
        write_events(f, &self.events)
    }
}

fn write_events(f: &mut Formatter<'_>, events: &[Event]) -> fmt::Result {
    if !events.is_empty() {
        f.write_str("\n    what happened before:")?;
    }
    events.iter().try_for_each(|event| write!(f, "\n    {event}"))
}

impl std::error::Error for Failure {}

impl From<OrderError> for Failure {
    fn from(error: OrderError) -> Self {
        Self::Order(error)
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Self::File(error)
    }
}

impl From<HostError> for Failure {
    fn from(error: HostError) -> Self {
        Self::Host(error)
    }
}

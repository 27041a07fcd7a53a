//! Carries statements out on a sandbox.

mod failure;
mod host;
mod screen;

use std::path::Path;
use std::rc::Rc;

pub use failure::{Failure, Unmet};
pub use host::HostError;
pub use screen::{Progress, Screen};

use super::{Mistake, Scenario, Statement, Variables, parse};
use crate::actors::{ClockKind, Sandbox};

/// Carries statements out, one after the other, on one sandbox.
pub struct Runner {
    sandbox: Sandbox,
    screen: Rc<dyn Screen>,
    /// Whether another thread may read files meanwhile.
    clock: ClockKind,
    variables: Variables,
}

/// What comes after a statement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flow {
    /// The next one.
    Next,
    /// Nothing: `quit` was said.
    Quit,
}

impl Runner {
    /// A runner on this sandbox. `clock` is the kind of clock that [`run`](crate::actors::run) was
    /// given.
    pub fn new(sandbox: Sandbox, screen: Rc<dyn Screen>, clock: ClockKind) -> Self {
        Self { sandbox, screen, clock, variables: Variables::new() }
    }

    /// The sandbox.
    pub fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    /// The variables and their values.
    pub fn variables(&self) -> &Variables {
        &self.variables
    }

    /// Ends the sandbox in good order.
    pub async fn end(self) {
        self.sandbox.end().await;
    }

    /// Carries out one line as it was typed; a blank one does nothing.
    ///
    /// # Errors
    /// If it does not parse, or as [`execute`](Self::execute).
    pub async fn line(&mut self, text: &str) -> Result<Flow, Failure> {
        match parse(text, &self.variables) {
            Ok(None) => Ok(Flow::Next),
            Ok(Some(statement)) => self.execute(&statement).await,
            Err(error) => Err(Failure::Mistake(Mistake { number: 1, text: text.into(), error })),
        }
    }

    /// Carries out one statement.
    ///
    /// # Errors
    /// If it could not be carried out, or if what it expects does not hold.
    pub async fn execute(&mut self, statement: &Statement) -> Result<Flow, Failure> {
        match statement {
            Statement::Quit => return Ok(Flow::Quit),
            Statement::Status => {
                let status = self.sandbox.status().await?;
                self.screen.status(&status);
            }
            Statement::Order(order) => self.sandbox.order(order.clone()).await?,
            _ => return Err(Failure::Other(format!("{statement}: coming ({:?})", self.clock))),
        }
        Ok(Flow::Next)
    }

    /// Carries out a scenario, up to its end or a `quit`; its `servers` and `seed` are for those
    /// who make the sandbox. `path` is where it was read from: paths in it are relative to that
    /// file's directory.
    ///
    /// # Errors
    /// [`Failure::At`], with the line that failed.
    pub async fn scenario(&mut self, scenario: &Scenario, path: &Path) -> Result<(), Failure> {
        for step in &scenario.steps {
            self.screen.step(step);
            let at = |cause| Failure::At {
                file: path.to_owned(),
                line: step.number,
                text: step.text.clone(),
                cause: Box::new(cause),
            };
            let statement = step.statement(&self.variables).map_err(Failure::Mistake);
            let statement = statement.map_err(at)?;
            if self.execute(&statement).await.map_err(at)? == Flow::Quit {
                break;
            }
        }
        Ok(())
    }
}

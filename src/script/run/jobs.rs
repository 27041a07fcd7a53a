//! File commands in the background.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::call::Caller;
use super::failure::Failure;
use super::record::Fate;
use crate::script::FileCall;

/// Most commands that run in the background at a time.
const MAX_RUNNING: usize = 64;
/// Most failures that are kept until somebody waits for the jobs; the others are counted.
const MAX_FAILURES: usize = 10;

/// The commands in the background.
#[derive(Default)]
pub(super) struct Jobs {
    ledger: Rc<RefCell<Ledger>>,
    started: u64,
}

#[derive(Default)]
struct Ledger {
    running: usize,
    failed: usize,
    failures: Vec<String>,
}

impl Jobs {
    /// Starts a command. Its `fate` is set when it has ended.
    pub(super) fn start(
        &mut self,
        caller: Caller,
        call: FileCall,
        fate: Rc<Cell<Fate>>,
    ) -> Result<(), Failure> {
        let number = self.begin()?;
        let ledger = self.ledger.clone();
        actix_rt::spawn(async move {
            let caller = Caller { number, ..caller };
            let done = caller.call(&call.command).await;
            fate.set(Fate::of(&done));
            let text = match &done {
                Ok(told) => told.clone(),
                Err(failure) => format!("`{call}`: {failure}"),
            };
            caller.screen.confirm(&format!("[{number}] {text}"));
            let ledger = &mut *ledger.borrow_mut();
            ledger.running -= 1;
            if done.is_err() {
                ledger.failed += 1;
                if ledger.failures.len() < MAX_FAILURES {
                    ledger.failures.push(text);
                }
            }
        });
        Ok(())
    }

    /// Lets something of this number run that has nothing to tell.
    pub(super) fn run(&self, job: impl Future<Output = ()> + 'static) {
        let ledger = self.ledger.clone();
        actix_rt::spawn(async move {
            job.await;
            ledger.borrow_mut().running -= 1;
        });
    }

    /// The number of the next job, which must run then.
    pub(super) fn begin(&mut self) -> Result<u64, Failure> {
        if self.ledger.borrow().running == MAX_RUNNING {
            let message = format!(
                "{MAX_RUNNING} commands and clients run in the background already, which is the \
                 limit; `wait jobs` waits for them"
            );
            return Err(Failure::Other(message));
        }
        self.started += 1;
        self.ledger.borrow_mut().running += 1;
        Ok(self.started)
    }

    /// How many have not ended.
    pub(super) fn running(&self) -> usize {
        self.ledger.borrow().running
    }

    /// Fails if any that ended since the last look failed.
    pub(super) fn look(&self) -> Result<(), Failure> {
        let ledger = &mut *self.ledger.borrow_mut();
        let failed = std::mem::take(&mut ledger.failed);
        let failures = std::mem::take(&mut ledger.failures);
        if failed == 0 {
            return Ok(());
        }
        let more = if failed > failures.len() { "\n    and others" } else { "" };
        let failures = failures.join("\n    ");
        let message = format!("{failed} in the background failed:\n    {failures}{more}");
        Err(Failure::Other(message))
    }
}

//! What stands between a run that is done again and those who have seen it already.

use std::cell::Cell;
use std::rc::Rc;

use crate::actors::{ClusterStatus, Event, LogLine, ServerStatus};
use crate::files::FileInfo;
use crate::script::{Progress, Screen, Step};

/// A screen that shows nothing while it is closed.
pub(super) struct Curtain {
    screen: Rc<dyn Screen>,
    open: Cell<bool>,
    /// Whether events are shown, too.
    events: Cell<bool>,
}

impl Curtain {
    /// A closed one before this screen.
    pub(super) fn new(screen: Rc<dyn Screen>) -> Self {
        Self { screen, open: Cell::new(false), events: Cell::new(true) }
    }

    pub(super) fn open(&self, open: bool) {
        self.open.set(open);
    }

    /// Shows what happens, or only what was asked for.
    pub(super) fn show_events(&self, shown: bool) {
        self.events.set(shown);
    }

    /// Whether what happens is shown.
    pub(super) fn shows_events(&self) -> bool {
        self.open.get() && self.events.get()
    }

    fn show(&self, show: impl FnOnce(&dyn Screen)) {
        if self.open.get() {
            show(&*self.screen);
        }
    }
}

impl Screen for Curtain {
    fn say(&self, text: &str) {
        self.show(|screen| screen.say(text));
    }

    fn confirm(&self, text: &str) {
        self.show(|screen| screen.confirm(text));
    }

    fn status(&self, status: &ClusterStatus) {
        self.show(|screen| screen.status(status));
    }

    fn members(&self, status: &ClusterStatus) {
        self.show(|screen| screen.members(status));
    }

    fn files(&self, files: &[FileInfo]) {
        self.show(|screen| screen.files(files));
    }

    fn log(&self, server: &ServerStatus, lines: &[LogLine]) {
        self.show(|screen| screen.log(server, lines));
    }

    fn events(&self, events: &[Event]) {
        self.show(|screen| screen.events(events));
    }

    fn content(&self, bytes: &[u8]) {
        self.show(|screen| screen.content(bytes));
    }

    fn progress(&self, progress: Option<&Progress>) {
        self.show(|screen| screen.progress(progress));
    }

    fn watch(&self) -> bool {
        self.open.get() && self.screen.watch()
    }

    fn step(&self, step: &Step) {
        self.show(|screen| screen.step(step));
    }
}

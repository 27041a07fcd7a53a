//! A session from its greeting to its end.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use rustyline::ExternalPrinter;
use tokio::sync::oneshot;

use super::helper::{LineHelper, Shared};
use super::notices::{Choice, Notices};
use super::paint::{Color, Paint};
use super::prompt::{self, Prompt};
use super::screen::{Bar, Terminal, Way};
use super::{Options, travel};
use crate::actors::{self, Client, ClockKind, Event, Sandbox, SandboxOptions, Servers};
use crate::files::{Answer, Query};
use crate::raft::ServerId;
use crate::script::{self, Failure, Flow, Runner, Screen, Statement, Variables, Wait};
use crate::why::{self, Live};

/// A line could not be carried out.
pub(super) const FAILED: u8 = 1;
/// A line is not of the language.
pub(super) const MISTAKEN: u8 = 2;
/// Most names of files that completion offers.
const MAX_NAMES: u64 = 1000;
/// How long completion waits for these names.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is said of a write that was interrupted.
pub(super) const OUTCOME_UNKNOWN: &str =
    "interrupted: outcome unknown, it may be carried out or not; `list` and `stat` show it";

/// Someone who gives lines, and a cluster.
struct Session {
    runner: Runner,
    screen: Rc<Terminal>,
    known: Shared,
    /// Asks for the names of the files.
    client: Client,
    /// A person types the lines.
    typed: bool,
}

/// Opens the console, and stays in it until the end of the input or `quit`.
///
/// What a person does wrong at the prompt does not count. Of lines from a pipe, the status is 2
/// after one that is not of the language, and 1 after one that could not be carried out, or after
/// any of these two that was passed over because the session is to go on.
pub fn main(options: &Options) -> ExitCode {
    if options.virtual_time {
        return travel::by_hand(options);
    }
    exit(actors::run(ClockKind::Real, run(options)).and_then(|status| status))
}

/// The status of a session that ended like this.
pub(super) fn exit(status: io::Result<u8>) -> ExitCode {
    match status {
        Ok(status) => ExitCode::from(status),
        // Whoever read the output wanted no more of it.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::from(FAILED),
        Err(error) => {
            // There is nobody left to tell that nobody listens.
            let _ = writeln!(io::stderr(), "jangada: the console ends: {error}");
            ExitCode::from(FAILED)
        }
    }
}

async fn run(options: &Options) -> io::Result<u8> {
    let typed = io::stdin().is_terminal() && io::stdout().is_terminal();
    let output = options.manner.color.paint(io::stdout().is_terminal());
    let errors = options.manner.color.paint(io::stderr().is_terminal());
    let seed = options.seed();
    let (known, bar) = (Shared::default(), Bar::default());
    known.update(|known| known.servers = (1..=options.servers).map(ServerId).collect());
    let (mut lines, way) = if typed {
        greet(options.servers, seed, output)?;
        let helper = LineHelper::new(known.clone(), output);
        let mut editor = prompt::editor(helper, output.is_on()).map_err(io::Error::other)?;
        // A terminal that cannot move its cursor has no such printer.
        let printer = editor.create_external_printer().ok();
        let notices = Notices::start(above_the_line(printer, bar.clone()));
        (prompt::typed(editor, Prompt::default()), Way::Above(notices))
    } else {
        (prompt::piped(), Way::Aside)
    };
    let screen = Rc::new(Terminal::new(output, errors, typed, way, bar));
    let sandbox = SandboxOptions {
        servers: options.servers,
        seed,
        disks: options.disks,
        // By the clock on the wall a person may go on for days, and the monitor forgets nothing.
        monitor: false,
        ..SandboxOptions::default()
    };
    let mut session = Session::start(sandbox, screen, known, typed);
    let mut status = 0;
    while let Some(line) = lines.next().await? {
        session.screen.begin(line.columns);
        let flow = session.carry_out(&line.text).await;
        if let Err(failure) = &flow {
            session.screen.fail(failure, (!typed).then_some(line.number));
        }
        session.screen.end()?;
        match flow {
            Ok(Flow::Next) => {}
            Ok(Flow::Quit) => break,
            Err(_) if typed => {}
            Err(_) if options.manner.keep_going => status = FAILED,
            Err(failure) => {
                status = if failure.is_mistake() { MISTAKEN } else { FAILED };
                break;
            }
        }
        lines.done();
    }
    session.screen.set_watching(false);
    session.runner.end().await;
    Ok(status)
}

impl Session {
    fn start(options: SandboxOptions, screen: Rc<Terminal>, known: Shared, typed: bool) -> Self {
        let sandbox = Sandbox::start(options);
        let client = sandbox.client();
        client.set_patience(PATIENCE);
        let (mut choice, watching) = (Choice::default(), screen.clone());
        sandbox.events().watch(move |event| {
            if let Some(notice) = choice.notice(event, watching.notice_paint()) {
                watching.notice(notice);
            }
        });
        let runner = Runner::new(sandbox, screen.clone(), ClockKind::Real);
        Self { runner, screen, known, client, typed }
    }

    async fn carry_out(&mut self, text: &str) -> Result<Flow, Failure> {
        let changes = changes_files(text, self.runner.variables());
        let flow = tokio::select! {
            biased;
            () = interrupt(), if self.typed => {
                self.screen.interrupted(if changes { OUTCOME_UNKNOWN } else { "interrupted" });
                Ok(Flow::Next)
            }
            flow = self.answer(text) => flow,
        };
        let variables = self.runner.variables().keys().cloned().collect();
        let servers = self.runner.sandbox().resolve(&Servers::All).unwrap_or_default();
        self.known.update(|known| {
            known.variables = variables;
            known.servers = servers;
        });
        if changes && self.typed {
            self.ask_for_names();
        }
        flow
    }

    /// Answers a question, or has the line carried out.
    async fn answer(&mut self, text: &str) -> Result<Flow, Failure> {
        let Ok(Some(Statement::Why(inquiry))) = script::parse(text, self.runner.variables()) else {
            return self.runner.line(text).await;
        };
        let sandbox = self.runner.sandbox();
        let status = sandbox.status().await?;
        let live = Live {
            settings: (self.runner.founders(), sandbox.seed(), sandbox.disks()),
            lines: self.runner.carried_out(),
            events: sandbox.events().latest(usize::MAX).iter().map(Event::traced).collect(),
            status,
        };
        let (done, answer) = oneshot::channel();
        // The servers go on meanwhile.
        #[expect(clippy::disallowed_methods, reason = "runs other clusters, in virtual time")]
        std::thread::spawn(move || {
            // Whoever asked may have gone away.
            let _ = done.send(why::explain_live(live, &inquiry));
        });
        let failed =
            |why: String| Failure::Other(format!("the question cannot be answered: {why}"));
        let answer = answer.await.map_err(|_| failed("the replay has ended in a panic".into()))?;
        let answer = answer.map_err(|error| failed(error.to_string()))?;
        self.screen.confirm(answer.to_string().trim_end());
        Ok(Flow::Next)
    }

    /// Has the names of the files asked for in the background: the prompt does not wait for it.
    fn ask_for_names(&self) {
        let (client, known) = (self.client.clone(), self.known.clone());
        actix_rt::spawn(async move {
            let query = Query::List { after: None, limit: MAX_NAMES };
            // Without a leader the names stay as they were.
            let Ok(done) = client.query(query).await else { return };
            if let Answer::List { files, .. } = done.answer {
                let names = files.iter().map(|file| file.name.as_str().to_owned());
                let names = names.chain(files.iter().map(|file| file.uuid.to_string())).collect();
                known.update(|known| known.files = names);
            }
        });
    }
}

/// Whether a line may change the files.
pub(super) fn changes_files(text: &str, variables: &Variables) -> bool {
    match script::parse(text, variables) {
        Ok(Some(Statement::File { call, .. })) => call.command.changes(),
        Ok(Some(statement)) => matches!(
            statement,
            Statement::Submit(_)
                | Statement::Let { .. }
                | Statement::Expect(_)
                | Statement::Wait(Wait::Jobs)
        ),
        Ok(None) | Err(_) => false,
    }
}

/// Returns when Ctrl-C is pressed; the first call keeps it from ending the process.
async fn interrupt() {
    if let Err(error) = tokio::signal::ctrl_c().await {
        log::warn!("Ctrl-C cannot be listened to, and ends the console: {error}");
        std::future::pending::<()>().await;
    }
}

fn greet(servers: u64, seed: u64, paint: Paint) -> io::Result<()> {
    let name = paint.paint(Color::Bold, concat!("jangada ", env!("CARGO_PKG_VERSION")));
    let plural = if servers == 1 { "server" } else { "servers" };
    let mut output = io::stdout().lock();
    writeln!(
        output,
        "{name}: a Raft cluster of {servers} {plural} in this process, carrying files.\n\
         Look with `status`, break with `crash leader` or `partition 1,2 | 3,4,5`;\n\
         `help` lists the words, Tab completes them, Ctrl-D leaves. Seed: {seed}.\n"
    )
}

/// Prints above the line that is being typed, or above the progress bar.
fn above_the_line(
    mut printer: Option<impl ExternalPrinter + Send + 'static>,
    bar: Bar,
) -> impl FnMut(String) + Send + 'static {
    move |text| {
        if bar.print_above(&text) {
            return;
        }
        // A terminal that is gone shows no notices.
        let _ = match &mut printer {
            Some(printer) => printer.print(text).map_err(io::Error::other),
            None => io::stderr().write_all(text.as_bytes()),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_may_change_files_are_known() {
        let changes = |line| changes_files(line, &Variables::new());
        for line in ["load a", "append a b", "& delete a", "submit x.jangada", "let f = load a"] {
            assert!(changes(line), "{line}");
        }
        for line in ["", "# load a", "cat a", "get a b", "list", "status", "crash 1", "laod a"] {
            assert!(!changes(line), "{line}");
        }
    }
}

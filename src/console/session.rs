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
use super::prompt::{self, Lines, Prompt};
use super::screen::{Bar, Terminal, Way};
use super::{Options, travel};
use crate::actors::{self, Client, ClockKind, Event, Sandbox, SandboxOptions, Servers};
use crate::files::{Answer, Query};
use crate::fleet::Remote;
use crate::raft::ServerId;
use crate::script::{
    self, Failure, Flow, Inquiry, Runner, Screen, Statement, Variables, Wait, World,
};
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
struct Session<W: Home> {
    runner: Runner<W>,
    screen: Rc<Terminal>,
    known: Shared,
    /// Asks for the names of the files.
    client: Client,
    /// A person types the lines.
    typed: bool,
}

/// A cluster that the console is at home in.
trait Home: World {
    /// Asks why something is so.
    async fn explain(runner: &Runner<Self>, inquiry: Inquiry) -> Result<String, Failure>
    where
        Self: Sized;
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
    if !options.connect.is_empty() {
        let remote = match Remote::connect(options.door()?).await {
            Ok(remote) => remote,
            Err(error) => {
                writeln!(io::stderr(), "jangada: {error}")?;
                return Ok(FAILED);
            }
        };
        let known = Shared::default();
        let greeting = || greet_remote(&remote, output);
        let (lines, screen) = prepare(typed, output, errors, &known, greeting)?;
        let session = Session::start(remote, screen, known, typed);
        return session.converse(lines, options).await;
    }
    let seed = options.seed();
    let known = Shared::default();
    known.update(|known| known.servers = (1..=options.servers).map(ServerId).collect());
    let greeting = || greet(options.servers, seed, output);
    let (lines, screen) = prepare(typed, output, errors, &known, greeting)?;
    let sandbox = Sandbox::start(SandboxOptions {
        servers: options.servers,
        seed,
        disks: options.disks,
        // By the clock on the wall a person may go on for days, and the monitor forgets nothing.
        monitor: false,
        ..SandboxOptions::default()
    });
    Session::start(sandbox, screen, known, typed).converse(lines, options).await
}

/// Where lines come from, and where their results go.
fn prepare(
    typed: bool,
    output: Paint,
    errors: Paint,
    known: &Shared,
    greet: impl FnOnce() -> io::Result<()>,
) -> io::Result<(Lines, Rc<Terminal>)> {
    let bar = Bar::default();
    let (lines, way) = if typed {
        greet()?;
        let helper = LineHelper::new(known.clone(), output);
        let mut editor = prompt::editor(helper, output.is_on()).map_err(io::Error::other)?;
        // A terminal that cannot move its cursor has no such printer.
        let printer = editor.create_external_printer().ok();
        let notices = Notices::start(above_the_line(printer, bar.clone()));
        (prompt::typed(editor, Prompt::default()), Way::Above(notices))
    } else {
        (prompt::piped(), Way::Aside)
    };
    Ok((lines, Rc::new(Terminal::new(output, errors, typed, way, bar))))
}

impl<W: Home> Session<W> {
    fn start(world: W, screen: Rc<Terminal>, known: Shared, typed: bool) -> Self {
        let world = Rc::new(world);
        let client = world.client();
        client.set_patience(PATIENCE);
        let (mut choice, watching) = (Choice::default(), screen.clone());
        world.events().watch(move |event| {
            if let Some(notice) = choice.notice(event, watching.notice_paint()) {
                watching.notice(notice);
            }
        });
        let runner = Runner::on(world, screen.clone(), ClockKind::Real);
        Self { runner, screen, known, client, typed }
    }

    /// Carries out one line after the other, until the last.
    async fn converse(mut self, mut lines: Lines, options: &Options) -> io::Result<u8> {
        let (mut status, typed) = (0, self.typed);
        while let Some(line) = lines.next().await? {
            self.screen.begin(line.columns);
            let flow = self.carry_out(&line.text).await;
            if let Err(failure) = &flow {
                self.screen.fail(failure, (!typed).then_some(line.number));
            }
            self.screen.end()?;
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
        self.screen.set_watching(false);
        self.runner.end().await;
        Ok(status)
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
        let servers = self.runner.world().resolve(&Servers::All).unwrap_or_default();
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
        let answer = W::explain(&self.runner, inquiry).await?;
        self.screen.confirm(answer.trim_end());
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

impl Home for Sandbox {
    async fn explain(runner: &Runner, inquiry: Inquiry) -> Result<String, Failure> {
        let sandbox = runner.sandbox();
        let status = sandbox.status().await?;
        let live = Live {
            settings: (runner.founders(), sandbox.seed(), sandbox.disks()),
            lines: runner.carried_out(),
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
        Ok(answer.map_err(|error| failed(error.to_string()))?.to_string())
    }
}

impl Home for Remote {
    async fn explain(runner: &Runner<Self>, inquiry: Inquiry) -> Result<String, Failure> {
        runner.world().why(&inquiry).await.map_err(|error| Failure::Other(error.to_string()))
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

fn greet_remote(remote: &Remote, paint: Paint) -> io::Result<()> {
    let name = paint.paint(Color::Bold, concat!("jangada ", env!("CARGO_PKG_VERSION")));
    let servers = remote.resolve(&Servers::All).unwrap_or_default().len();
    let plural = if servers == 1 { "server" } else { "servers" };
    let mut output = io::stdout().lock();
    writeln!(
        output,
        "{name}: a cluster of {servers} {plural} that runs elsewhere, carrying files.\n\
         Look with `status`, operate with `transfer` or `members 1,2,3`; what is done here is done \
         to\nreal files. `help` lists the words, Tab completes them, Ctrl-D leaves.\n"
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

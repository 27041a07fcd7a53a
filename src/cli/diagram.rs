//! `jangada diagram`: a trace as a picture.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use jangada::diagram::{View, draw};
use jangada::raft::ServerId;

use super::complain;

#[derive(Args)]
pub(crate) struct Arguments {
    /// The trace, as `jangada run --trace` writes it
    trace: PathBuf,
    /// The picture
    #[arg(short, long, value_name = "FILE", default_value = "diagram.svg")]
    output: PathBuf,
    /// Draw nothing before this moment, such as 1.2s
    #[arg(long, value_name = "TIME", value_parser = jangada::script::duration_of, default_value = "0s")]
    from: Duration,
    /// Draw nothing after this moment
    #[arg(long, value_name = "TIME", value_parser = jangada::script::duration_of)]
    to: Option<Duration>,
    /// Draw only these servers and what passes between them, such as 1,2
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',', value_parser = clap::value_parser!(u64).range(1..))]
    servers: Vec<u64>,
    /// What stands above the diagram [default: the name of the trace]
    #[arg(long)]
    title: Option<String>,
}

/// Draws a trace. Exits with 0, or with 2 if it cannot be read, drawn or written.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    match picture(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            complain(&message);
            ExitCode::from(2)
        }
    }
}

fn picture(arguments: &Arguments) -> Result<(), String> {
    let Arguments { trace, output, from, to, servers, title } = arguments;
    let about =
        |path: &PathBuf, error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let name = || trace.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let view = View {
        title: title.clone().unwrap_or_else(name),
        from: *from,
        to: *to,
        servers: servers.iter().copied().map(ServerId).collect(),
    };
    let file = File::open(trace).map_err(|error| about(trace, &error))?;
    let diagram = draw(BufReader::new(file), &view).map_err(|error| about(trace, &error))?;
    fs::write(output, diagram.svg).map_err(|error| about(output, &error))?;
    if let Some(cut) = diagram.cut {
        let at = cut.as_secs_f64();
        complain(&format!("the diagram is cut at {at:.3} s; --from {at:.3}s draws what follows"));
    }
    Ok(())
}

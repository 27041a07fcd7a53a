//! docs/operations.md and docs/storage.md: what they show is what happens, at other places.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::process::until;
use crate::script::{Up, commands, free_ports, good, shell};

const OPERATIONS: &str = include_str!("../../docs/operations.md");
const STORAGE: &str = include_str!("../../docs/storage.md");

/// How the blocks begin that are run.
const UP: &str = "scripts/cluster up ";
const FOUNDING: &str = "uuid=$(cat ";
const REPLAY: &str = "jangada replay d1 ";
const CONSOLE: &str = "jangada console --connect ";
const SCENARIOS: &str = "jangada run --cluster ";
const CERTIFICATES: &str = "jangada cert ca certs  ";
const RENEWAL: &str = "mkdir -p old";
const LOG: &str = "jangada log verify ";
const RUN: [&str; 8] = [UP, FOUNDING, REPLAY, CONSOLE, SCENARIOS, CERTIFICATES, RENEWAL, LOG];
/// How those begin that are not, with the reason.
const NOT_RUN: [(&str, &str); 2] = [
    ("cargo test --test daemon torture ", "it runs this very file; `torture` is run with it"),
    ("jangada serve: the storage in ", "what a server says; `damage` has one say it, and obeys"),
];

/// The blocks of a page.
fn blocks(page: &'static str) -> impl Iterator<Item = &'static str> {
    let blocks = page.split("```").skip(1).step_by(2);
    blocks.map(|block| block.split_once('\n').expect("its kind has a line").1)
}

fn block(page: &'static str, beginning: &str) -> &'static str {
    let mut found = blocks(page).filter(|block| block.starts_with(beginning));
    found.next().unwrap_or_else(|| panic!("the page has lost its block {beginning:?}"))
}

#[test]
fn every_block_is_run_or_there_is_a_reason_why_not() {
    let known: Vec<_> = RUN.into_iter().chain(NOT_RUN.map(|(beginning, _)| beginning)).collect();
    let all: Vec<_> = blocks(OPERATIONS).chain(blocks(STORAGE)).collect();
    assert_eq!(all.len(), known.len());
    for block in all {
        assert!(known.iter().any(|known| block.starts_with(known)), "no test runs this:\n{block}");
    }
}

#[test]
fn a_cluster_on_one_machine_comes_up_and_has_a_prompt() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("notes.txt"), "first line\n").unwrap();
    let commands = commands(block(OPERATIONS, UP).lines());
    let [up, rest @ ..] = &commands[..] else { panic!("the block has lost its commands") };
    let mut up = Up::begin(up, folder.path(), folder.path().join("it"));
    let said: String = rest.iter().map(|line| up.run(line)).collect();
    assert!(said.contains("killed with -9") && said.contains("S2 serves http://"), "{said}");
    for line in self::commands(block(OPERATIONS, CONSOLE).lines()) {
        let said = up.run(&format!("echo 'cat notes.txt' | {line}"));
        assert!(said.contains("first line"), "{said}");
    }
    up.end();
}

/// Servers that were founded as the page says, each on an address of its own.
struct Founded {
    folder: tempfile::TempDir,
    servers: BTreeMap<u8, Child>,
    http: Vec<String>,
}

impl Founded {
    /// The authority is made once; the rest is done for each server, with its number.
    fn found() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (once, each) = block(OPERATIONS, FOUNDING).split_once("jangada init").unwrap();
        let uuid = good(shell(&format!("{once}\necho $uuid"), folder.path()));
        let uuid = uuid.lines().last().expect("it was printed").to_owned();
        let base = free_ports();
        let mut founded = Self { folder, servers: BTreeMap::new(), http: Vec::new() };
        for id in 1..=3 {
            let mut script = format!("uuid={uuid}\njangada init{each}");
            for (of_first, of_this) in [
                ("--id 1 ", format!("--id {id} ")),
                ("/var/lib/jangada/1 ", format!("lib/{id} ")),
                ("cert server 1 ", format!("cert server {id} ")),
                ("--listen 10.0.0.1", format!("--listen 10.0.0.{id}")),
                ("jangada serve ", "exec jangada serve --http 127.0.0.1:0 ".to_owned()),
            ] {
                assert!(script.contains(of_first), "{of_first:?} is not in:\n{script}");
                script = script.replace(of_first, &of_this);
            }
            for id in 1..=3u16 {
                let (there, here) =
                    (format!("10.0.0.{id}:4001"), format!("127.0.0.1:{}", base + id));
                script = script.replace(&there, &here);
            }
            founded.serve(id, &script);
        }
        founded
    }

    fn serve(&mut self, id: u8, script: &str) {
        let log = File::create(self.log(id)).unwrap();
        let child = shell(script, self.folder.path()).stdout(Stdio::piped()).stderr(log).spawn();
        let child = self.servers.entry(id).or_insert(child.unwrap());
        // What comes before tells of the directory and the certificate.
        let said = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let line = said.into_iter().find(|line| line.contains("\"event\":\"serving\""));
        let line = line.unwrap_or_else(|| panic!("{}", fs::read_to_string(self.log(id)).unwrap()));
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        self.http.push(format!("http://{}", line["http"][0].as_str().unwrap()));
    }

    fn log(&self, id: u8) -> PathBuf {
        self.folder.path().join(format!("log{id}"))
    }

    fn run(&self, script: &str) -> String {
        let mut command = shell(script, self.folder.path());
        command.env("JANGADA_ENDPOINTS", self.http.join(","));
        good(command)
    }

    /// Ends all in good order.
    fn end(&mut self) {
        for child in self.servers.values() {
            kill("-TERM", child);
        }
        for (id, mut child) in std::mem::take(&mut self.servers) {
            let ended = until("it ends", || child.try_wait().unwrap());
            assert!(ended.success(), "{}", fs::read_to_string(self.log(id)).unwrap());
        }
    }
}

impl Drop for Founded {
    fn drop(&mut self) {
        for child in self.servers.values_mut() {
            let _ = child.kill().and_then(|()| child.wait());
        }
    }
}

fn kill(signal: &str, child: &Child) {
    assert!(
        Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success()
    );
}

/// Its certificates are renewed while it runs, and what it did is done again afterwards.
#[test]
fn a_cluster_is_founded_cared_for_and_looked_into() {
    let mut founded = Founded::found();
    founded.run("echo first line > notes.txt; jangada put notes.txt; jangada cat notes.txt");

    let renewal = block(OPERATIONS, RENEWAL);
    assert!(renewal.contains(" PID"), "{renewal}");
    founded.run(&renewal.replace("PID", &founded.servers[&1].id().to_string()));
    until("the certificates are read again", || {
        let log = fs::read_to_string(founded.log(1)).unwrap();
        log.contains("certificates read again").then_some(())
    });
    // It connects with what it has read.
    founded.run("jangada transfer; echo second line | jangada append notes.txt -");
    founded.end();

    for id in 1..=3 {
        let link = founded.folder.path().join(format!("d{id}"));
        symlink(Path::new("lib").join(id.to_string()), link).unwrap();
    }
    let said = founded.run(block(OPERATIONS, REPLAY));
    assert!(said.lines().any(|line| line.starts_with("equal: ")), "{said}");
    let picture = fs::read_to_string(founded.folder.path().join("t.svg")).unwrap();
    assert!(picture.contains("</svg>"));

    let log = block(STORAGE, LOG);
    assert!(log.matches(" DIR ").count() >= 2, "{log}");
    let said = founded.run(&log.replace(" DIR ", " lib/2 "));
    assert!(said.contains("verdict     sound") && said.contains(".log:"), "{said}");
}

#[test]
fn the_certificates_of_a_cluster_are_made_as_shown() {
    let folder = tempfile::tempdir().unwrap();
    let said = good(shell(block(OPERATIONS, CERTIFICATES), folder.path()));
    assert!(said.contains("server1."), "{said}");
    for file in ["ca.pem", "ca.key", "server3.pem", "server3.key", "client-ada.pem"] {
        assert!(folder.path().join("certs").join(file).is_file(), "{file}");
    }
}

#[test]
fn scenarios_are_run_on_processes_as_shown() {
    let folder = tempfile::tempdir().unwrap();
    let line = block(OPERATIONS, SCENARIOS);
    let there = folder.path().join("processes");
    let line = line.replace("target/processes", there.to_str().unwrap());
    good(shell(&line, Path::new(env!("CARGO_MANIFEST_DIR"))));
    for path in ["1/data", "1/log", "1/config.toml"] {
        assert!(there.join("leader_crash").join(path).exists(), "{path}");
    }
}

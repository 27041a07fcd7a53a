//! The rooms of `src/` and the arrows between them, read from the sources.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Each room, what it may use, and the words it must not contain outside its tests.
const ROOMS: &[(&str, &[&str], &[&str])] = &[
    ("raft", &[], OUTSIDE_WORLD),
    ("files", &[], &["actix", "tokio::"]),
    ("storage", &["raft"], &["actix"]),
    ("museum", &[], &["actix::", "tokio::", "std::fs", "std::net"]),
    ("net", &["raft"], &["actix"]),
    ("invariants", &["raft"], &["actix", "tokio::", "std::fs", "std::net"]),
    ("blackbox", &["raft", "invariants"], &["actix", "tokio::", "std::net"]),
    ("explore", &["raft", "invariants"], &["actix", "tokio::", "std::fs", "std::net"]),
    ("diagram", &["raft"], &["actix", "tokio::", "std::fs", "std::net"]),
    ("actors", &["raft", "files", "storage", "net", "invariants", "blackbox"], &[]),
    ("script", BELOW_SCRIPT, &["actix::"]),
    ("replay", BELOW_REPLAY, &["actix::"]),
    ("why", BELOW_WHY, &["actix", "tokio::", "std::fs", "std::net"]),
    ("fleet", BELOW_FLEET, &["actix::"]),
    ("console", BELOW_CONSOLE, &["actix::"]),
    ("sim", BELOW_REPLAY, &["actix"]),
    ("http", BELOW_HTTP, &[]),
    ("client", BELOW_CLIENT, &["actix::", "actix_web"]),
    ("daemon", BELOW_DAEMON, &[]),
    ("cli", BELOW_CLI, &["actix"]),
];

const BELOW_HTTP: &[&str] = &["raft", "files", "actors"];
const BELOW_DAEMON: &[&str] = &[
    "raft",
    "files",
    "storage",
    "net",
    "invariants",
    "blackbox",
    "actors",
    "script",
    "why",
    "http",
];
const BELOW_FLEET: &[&str] =
    &["daemon", "client", "script", "files", "raft", "storage", "net", "invariants", "actors"];
const BELOW_CLIENT: &[&str] = &["files", "actors", "http"];
const BELOW_CLI: &[&str] = &[
    "client",
    "daemon",
    "console",
    "fleet",
    "sim",
    "diagram",
    "explore",
    "why",
    "replay",
    "script",
    "invariants",
    "blackbox",
    "raft",
    "storage",
    "actors",
    "net",
];
const BELOW_WHY: &[&str] = &["replay", "script", "actors", "storage", "raft"];
const BELOW_SCRIPT: &[&str] = &["raft", "files", "storage", "net", "invariants", "actors"];
const BELOW_REPLAY: &[&str] =
    &["script", "raft", "files", "storage", "net", "invariants", "actors"];
const BELOW_CONSOLE: &[&str] = &[
    "fleet",
    "client",
    "why",
    "replay",
    "script",
    "raft",
    "files",
    "storage",
    "net",
    "invariants",
    "actors",
];

/// What only one corner of a room may mention: the rest of it must not know of real files.
const CORNERS: &[(&str, &str, &[&str])] = &[
    ("storage", "storage/directory", &["std::fs", "std::thread", "std::sync::mpsc", "rustix"]),
    ("blackbox", "blackbox/writer", &["std::thread"]),
];

/// The room that every room may use: whether a known bug is on.
const FOR_EVERYONE: &str = "museum";

/// The core is a plain value: no clock, no randomness of its own, no files, sockets or locks.
const OUTSIDE_WORLD: &[&str] = &[
    "actix",
    "tokio",
    "std::fs",
    "std::net",
    "std::io",
    "std::thread",
    "rand::",
    "Mutex",
    "RwLock",
    "HashMap",
    "HashSet",
    "Instant::now",
    "SystemTime",
];

/// Longer files hold more than one idea.
const LONGEST_FILE: usize = 1000;

#[test]
fn arrows_between_rooms_never_point_up() {
    let faults: Vec<_> = sources().iter().flat_map(Source::faults).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_table_of_rooms_has_no_cycle() {
    let mut placed = BTreeSet::new();
    while placed.len() < ROOMS.len() {
        let fits = |(room, uses, _): &&(&str, &[&str], &[&str])| {
            !placed.contains(room) && uses.iter().all(|used| placed.contains(used))
        };
        let next = ROOMS.iter().find(fits);
        let (room, ..) = next.expect("some rooms use each other, or a room that is not there");
        placed.insert(*room);
    }
}

#[test]
fn the_rules_catch_what_breaks_them() {
    let faults = |room: &str, text: &str| Source::new(room, text).faults().len();
    assert_eq!(faults("raft", "use crate::raft::Term;\nuse super::log::Log;"), 0);
    assert_eq!(faults("raft", "// crate::files\n/// [`crate::actors`] and tokio\nfn f() {}"), 0);
    assert_eq!(faults("raft", "use crate::files::Name;"), 1);
    assert_eq!(faults("raft", "use crate::{files::Name, raft::{Term, actors}};"), 1);
    assert_eq!(faults("raft", "fn f() { crate::net::f(); crate::storage::f(); }"), 2);
    assert_eq!(faults("raft", "use super::super::actors::Order;"), 1);
    assert_eq!(faults("raft", "let map = std::collections::HashMap::new();"), 1);
    assert_eq!(faults("raft", "#[cfg(test)]\nmod tests {\n    use std::fs;\n}"), 0);
    assert_eq!(faults("raft", "#[cfg(test)]\nmod tests;\nuse std::fs;"), 1);
    assert_eq!(faults("raft", "use crate::museum::{Bug, on};"), 0);
    assert_eq!(faults("museum", "use crate::raft::Term;"), 1);
    assert_eq!(faults("storage/log", "use std::fs;"), 1);
    assert_eq!(faults("storage/directory/folder", "use std::fs;"), 0);
    assert_eq!(faults("script", "use actix::Addr;"), 1);
    assert_eq!(faults("attic", "fn f() {}"), 1);
    assert_eq!(faults("files", "#[expect(dead_code)]\nfn f() {}"), 1);
    assert_eq!(faults("files", "#[allow(\n    dead_code,\n    reason = \"so\"\n)]\nfn f() {}"), 0);
    assert_eq!(faults("files", "#[expect(a, reason = \"x [y]\")]\n#[allow(b)]\nfn f() {}"), 1);
    assert_eq!(faults("files", &"\n".repeat(LONGEST_FILE + 1)), 1);
}

/// A source file without its comments.
struct Source {
    path: PathBuf,
    room: String,
    text: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("src can be read") {
            let path = entry.expect("src can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let inner = path.strip_prefix(&root).expect("below src").to_owned();
                let text = fs::read_to_string(&path).expect("sources are UTF-8");
                sources.push(Source::new(inner.with_extension(""), &text));
            }
        }
    }
    assert!(sources.len() > 1, "no sources below {}", root.display());
    sources
}

impl Source {
    /// The source at this path below `src`, without its extension.
    fn new(path: impl Into<PathBuf>, text: &str) -> Self {
        let path = path.into();
        let first = path.iter().next().expect("a path has parts");
        let room = first.to_string_lossy().into_owned();
        let code = |line: &str| match line.trim_start().starts_with("//") {
            true => String::new(),
            false => line.split(" // ").next().unwrap_or_default().to_owned(),
        };
        let text = text.split('\n').map(code).collect::<Vec<_>>().join("\n");
        Self { path, room, text }
    }

    fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut fault = |what: String| faults.push(format!("src/{}: {what}", self.path.display()));
        if self.text.lines().count() > LONGEST_FILE {
            fault(format!("is longer than {LONGEST_FILE} lines: give each idea a file"));
        }
        if attributes(&self.text).any(|attribute| !attribute.contains("reason =")) {
            fault("has an #[allow] or #[expect] without a reason".to_owned());
        }
        if ["lib", "main"].contains(&self.room.as_str()) {
            return faults;
        }
        let Some((_, uses, words)) = ROOMS.iter().find(|(room, ..)| *room == self.room) else {
            fault("is in a room that tests/architecture.rs does not know".to_owned());
            return faults;
        };
        for used in self.rooms_used() {
            let known = used == self.room || used == FOR_EVERYONE;
            if !known && !uses.contains(&used.as_str()) {
                fault(format!("uses {used}/, which {}/ may not", self.room));
            }
        }
        let code = self.without_tests();
        for word in words.iter().filter(|word| code.contains(**word)) {
            fault(format!("mentions {word}, which {}/ must not know", self.room));
        }
        for (room, corner, words) in CORNERS {
            let outside = self.room == *room && !self.path.starts_with(corner);
            for word in words.iter().filter(|word| outside && code.contains(**word)) {
                fault(format!("mentions {word}, which is {corner}/'s"));
            }
        }
        faults
    }

    /// The rooms that follow `crate::`, or the `super::` that lead out of this one.
    fn rooms_used(&self) -> BTreeSet<String> {
        let crate_root = self.text.match_indices("crate::").map(|(at, word)| at + word.len());
        let up = "super::".repeat(self.path.iter().filter(|part| *part != "mod").count());
        let outside = self.text.match_indices(&up).map(|(at, word)| at + word.len());
        let rooms = |name: &String| ROOMS.iter().any(|(room, ..)| room == name);
        let by_path = crate_root.flat_map(|at| first_names(&self.text[at..]));
        let by_steps = outside.flat_map(|at| first_names(&self.text[at..])).filter(rooms);
        by_path.chain(by_steps).filter(|name| !name.is_empty()).collect()
    }

    fn without_tests(&self) -> &str {
        let is_test = self.path.iter().any(|part| part == "tests" || part == "testing");
        match self.text.find("#[cfg(test)]\nmod tests {") {
            _ if is_test => "",
            Some(tests) => &self.text[..tests],
            None => &self.text,
        }
    }
}

/// What a path goes on with: one name, or those of a group in braces.
fn first_names(path: &str) -> Vec<String> {
    let name = |text: &str| -> String {
        text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    let Some(group) = path.strip_prefix('{') else { return vec![name(path)] };
    let mut names = vec![name(group)];
    let mut depth = 1;
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => names.push(name(&group[at + 1..])),
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    names
}

/// The `#[allow]` and `#[expect]` attributes, also those of whole files.
fn attributes(text: &str) -> impl Iterator<Item = &str> {
    let starts = ["#[allow(", "#[expect(", "#![allow(", "#![expect("];
    starts.into_iter().flat_map(move |start| {
        text.split(start).skip(1).map(|rest| rest.split(")]").next().unwrap_or(rest))
    })
}

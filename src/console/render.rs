//! Logs, files and events as text.

use super::paint::{Color, Paint};
use super::table::{self, Column};
use crate::actors::{Event, EventKind, LogLine, ServerStatus};
use crate::files::{FileInfo, Size};
use crate::raft::{Index, RoleKind};
use crate::storage::Sizes;

/// The end of a server's log; what it does not know to be committed is yellow, below a line that
/// says so.
pub(crate) fn log(server: &ServerStatus, entries: &[LogLine], paint: Paint) -> String {
    const COLUMNS: [Column; 3] =
        [Column::right("index"), Column::right("term"), Column::left("entry")];
    let Some(first) = entries.first() else { return format!("{}: the log is empty\n", server.id) };
    let cells: Vec<[String; 2]> =
        entries.iter().map(|line| [line.index.to_string(), line.term.to_string()]).collect();
    let rows: Vec<Vec<&str>> = cells
        .iter()
        .zip(entries)
        .map(|([index, term], line)| vec![index.as_str(), term, &line.command])
        .collect();
    let lines = table::lines(&COLUMNS.each_ref(), &rows);
    let base = server.raft.as_ref().map(|raft| raft.log_base);
    let last = server.last_log.index;
    let mut text = match base {
        Some(base) => format!("{}: log {}..{last}", server.id, base.next()),
        None => format!("{}: log up to {last}", server.id),
    };
    match server.role {
        Some(_) => text.push_str(&format!(", committed up to {}", server.commit_index)),
        None => text.push_str("; it is down, and its disk does not say what is committed"),
    }
    let Sizes { log_bytes, snapshot, chunk_bytes } = server.sizes;
    if log_bytes > 0 {
        text.push_str(&format!("; {} on its disk", Size(log_bytes)));
    }
    if snapshot.index > Index(0) {
        let chunks = Size(chunk_bytes);
        text.push_str(&format!(", and a snapshot up to {} in {chunks} of chunks", snapshot.index));
    }
    text.push('\n');
    let mut lines = lines.iter();
    if let Some(titles) = lines.next() {
        text.push_str(&format!("{}\n", paint.paint(Color::Bold, titles)));
    }
    match base.map(|base| first.index.previous() - base) {
        Some(0) => {}
        Some(hidden) => text.push_str(&format!("  ... {hidden} before these\n")),
        None if first.index > Index(1) => text.push_str("  ... what is before these is left out\n"),
        None => {}
    }
    let mut open = false;
    for (line, entry) in lines.zip(entries) {
        let committed = server.role.is_none() || entry.index <= server.commit_index;
        if !committed && !open {
            open = true;
            text.push_str("  not known to be committed:\n");
        }
        let line = if open { paint.paint(Color::Yellow, line) } else { line.clone() };
        text.push_str(&format!("{line}\n"));
    }
    text
}

/// The files, and how many bytes they have.
pub(crate) fn files(files: &[FileInfo], paint: Paint) -> String {
    const COLUMNS: [Column; 4] = [
        Column::left("uuid"),
        Column::right("size"),
        Column::right("revision"),
        Column::left("name"),
    ];
    if files.is_empty() {
        return "no files; `load PATH` brings one in\n".to_owned();
    }
    let cells: Vec<[String; 4]> = files
        .iter()
        .map(|file| {
            let name = file.name.as_str().to_owned();
            [file.uuid.to_string(), Size(file.size).to_string(), file.revision.to_string(), name]
        })
        .collect();
    let rows: Vec<Vec<&str>> =
        cells.iter().map(|row| row.iter().map(String::as_str).collect()).collect();
    let mut lines = table::lines(&COLUMNS.each_ref(), &rows);
    if let Some(titles) = lines.first_mut() {
        *titles = paint.paint(Color::Bold, &titles);
    }
    let bytes = files.iter().map(|file| file.size).sum();
    let plural = if files.len() == 1 { "file" } else { "files" };
    format!("{}\n{} {plural}, {}\n", lines.join("\n"), files.len(), Size(bytes))
}

/// What happened, newest last.
pub(crate) fn events(events: &[Event], paint: Paint) -> String {
    if events.is_empty() {
        return "nothing has happened yet\n".to_owned();
    }
    events.iter().map(|told| event(told, paint) + "\n").collect()
}

/// One event, without a newline.
pub(crate) fn event(event: &Event, paint: Paint) -> String {
    let color = match &event.kind {
        EventKind::Ordered(_) | EventKind::OrderRefused(_) => Color::Cyan,
        EventKind::Ended { .. }
        | EventKind::Failed { .. }
        | EventKind::Salvaged { .. }
        | EventKind::Diverged { .. }
        | EventKind::Violated(_) => Color::Red,
        EventKind::Became { role: RoleKind::Leader, .. } => Color::Green,
        EventKind::Became { role: RoleKind::Candidate | RoleKind::PreCandidate, .. } => {
            Color::Yellow
        }
        EventKind::HandingOver { .. } | EventKind::HandoverAborted { .. } => Color::Yellow,
        EventKind::Started(_)
        | EventKind::Configured { .. }
        | EventKind::Snapshotted { .. }
        | EventKind::Installed { .. }
        | EventKind::Recovered { .. }
        | EventKind::Torn { .. }
        | EventKind::Became { .. }
        | EventKind::Applied { .. } => Color::Grey,
    };
    paint.paint(color, event)
}

/// The text with its long lines broken at blanks, and what follows set below the last column of
/// the line.
pub(crate) fn wrapped(text: &str, width: usize) -> String {
    text.lines().map(|line| wrapped_line(line, width) + "\n").collect()
}

fn wrapped_line(line: &str, width: usize) -> String {
    let column = line.rfind("  ").map_or(0, |at| at + 2);
    let indent = if column <= width / 2 { column } else { 4 };
    let mut text = String::new();
    let (mut rest, mut room) = (line, width);
    while rest.chars().count() > room {
        // A word that is longer than the terminal is left to it, and so is a line that begins
        // with nothing but blanks.
        let blanks = rest.len() - rest.trim_start().len();
        let within = rest.char_indices().take(room + 1);
        let Some((at, _)) = within.filter(|(at, c)| *c == ' ' && *at > blanks).last() else {
            break;
        };
        text.push_str(rest[..at].trim_end());
        text.push_str(&format!("\n{:indent$}", ""));
        rest = rest[at..].trim_start();
        room = width.saturating_sub(indent).max(1);
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::actors::Condition;
    use crate::files::{ContentHash, FileName};
    use crate::raft::{Position, ServerId, Term, Time};

    fn server() -> ServerStatus {
        let server = ServerStatus::example(2, RoleKind::Leader);
        let last_log = Position::new(Term(2), Index(10));
        ServerStatus { last_log, commit_index: Index(9), ..server }
    }

    fn entries(first: u64) -> Vec<LogLine> {
        let line = |index| LogLine {
            index: Index(index),
            term: Term(2),
            command: format!("append notes.txt +{index} B"),
        };
        (first..=10).map(line).collect()
    }

    #[test]
    fn a_log_says_what_is_not_committed() {
        let text = log(&server(), &entries(8), Paint::PLAIN);
        let expected = "\
S2: log 1..10, committed up to 9
index  term  entry
  ... 7 before these
    8     2  append notes.txt +8 B
    9     2  append notes.txt +9 B
  not known to be committed:
   10     2  append notes.txt +10 B
";
        assert_eq!(text, expected);
    }

    #[test]
    fn of_a_compacted_log_the_rest_is_shown() {
        let mut server = server();
        if let Some(raft) = &mut server.raft {
            raft.log_base = Index(5);
        }
        let text = log(&server, &entries(8), Paint::PLAIN);
        assert!(text.starts_with("S2: log 6..10, committed up to 9\n"), "{text}");
        assert!(text.contains("  ... 2 before these\n"), "{text}");
        let text = log(&server, &entries(6), Paint::PLAIN);
        assert!(!text.contains("before these"), "{text}");
    }

    #[test]
    fn what_the_log_and_the_snapshot_take_is_said() {
        let mut server = server();
        let snapshot = Position::new(Term(2), Index(7));
        server.sizes = Sizes { log_bytes: 2048, snapshot, chunk_bytes: 3 << 20 };
        let text = log(&server, &entries(8), Paint::PLAIN);
        let disk = "; 2 KiB on its disk, and a snapshot up to 7 in 3 MiB of chunks\n";
        assert!(text.contains(disk), "{text}");
    }

    #[test]
    fn a_server_that_is_down_does_not_know_what_is_committed() {
        let down = server().down(Condition::Crashed);
        let text = log(&down, &entries(1), Paint::PLAIN);
        assert!(text.starts_with("S2: log up to 10; it is down"), "{text}");
        assert!(!text.contains("not known"), "{text}");
        let text = log(&down, &[], Paint::PLAIN);
        assert_eq!(text, "S2: the log is empty\n");
    }

    #[test]
    fn files_stand_in_a_table() {
        let info = |name: &str, size| FileInfo {
            uuid: Uuid::from_u128(7),
            name: FileName::new(name).unwrap(),
            size,
            hash: ContentHash([0; 32]),
            revision: 3,
            index: 4,
        };
        let text = files(&[info("a b.txt", 5), info("large", 3 << 20)], Paint::PLAIN);
        let expected = "\
uuid                                   size  revision  name
00000000-0000-0000-0000-000000000007    5 B         3  a b.txt
00000000-0000-0000-0000-000000000007  3 MiB         3  large
2 files, 3.0 MiB
";
        assert_eq!(text, expected);
        assert!(files(&[], Paint::PLAIN).starts_with("no files"));
    }

    #[test]
    fn long_lines_go_on_below_their_last_column() {
        let text = "  crash SERVERS  Ends servers at once: what is not synced is lost\nshort\n";
        let expected = "  crash SERVERS  Ends servers at
                 once: what is not
                 synced is lost
short
";
        assert_eq!(wrapped(text, 34), expected);
        assert_eq!(wrapped(text, 80), text);
        for (hard, width) in
            [("✓✓✓✓ ✓✓✓✓", 5), ("unbreakable", 3), ("      x", 2), ("", 0), ("a b", 0)]
        {
            let broken = wrapped(hard, width);
            let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
            assert_eq!(words(&broken), words(hard));
        }
        assert_eq!(wrapped("✓✓✓✓ ✓✓✓✓", 5), "✓✓✓✓\n✓✓✓✓\n");
    }

    #[test]
    fn events_are_told_in_their_colors() {
        let server = ServerId(1);
        let crashed = Event {
            at: Time::from_nanos(1_234_567_890),
            kind: EventKind::Ended { server, orderly: false },
        };
        assert_eq!(
            events(std::slice::from_ref(&crashed), Paint::PLAIN),
            "   1.234 s  S1 crashed\n"
        );
        let colored = "\x1b[31m   1.234 s  S1 crashed\x1b[0m";
        assert_eq!(event(&crashed, Paint::COLORED), colored);
        assert_eq!(events(&[], Paint::PLAIN), "nothing has happened yet\n");
    }
}

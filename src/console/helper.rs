//! What the line editor knows of the language: completion, hints, colours.

use std::borrow::Cow;
use std::fs;
use std::sync::{Arc, Mutex, PoisonError};

use rustyline::completion::{Completer, Pair};
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::{Hint, Hinter};
use rustyline::{Context, Helper};

use super::paint::{Color, Paint};
use crate::script::{self, Bare, Completion, Known};

/// What the cluster has now, to complete from; kept fresh by the session.
#[derive(Clone, Default)]
pub(crate) struct Shared(Arc<Mutex<Known>>);

/// Helps to type a line.
pub(crate) struct LineHelper {
    known: Shared,
    paint: Paint,
}

/// How the line may go on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Usage {
    /// What is shown behind the cursor.
    shown: String,
    /// How much of it the right arrow inserts.
    insertable: usize,
}

/// Most entries of a directory of the host that are offered.
const MAX_PATHS: usize = 1000;

impl Shared {
    /// Changes what is known.
    pub(crate) fn update(&self, change: impl FnOnce(&mut Known)) {
        // Every change is complete before anything can panic.
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn complete(&self, line: &str, cursor: usize) -> Completion {
        script::complete(line, cursor, &self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl LineHelper {
    pub(crate) fn new(known: Shared, paint: Paint) -> Self {
        Self { known, paint }
    }

    /// Where the word under the cursor begins, and what could stand in its place.
    fn candidates(&self, line: &str, cursor: usize) -> (usize, Vec<Pair>) {
        let completion = self.known.complete(line, cursor);
        let partial = line.get(completion.start..cursor).unwrap_or("");
        let pair = |text: String| Pair { display: text.clone(), replacement: text };
        let mut pairs: Vec<Pair> = completion.candidates.into_iter().map(pair).collect();
        if completion.paths {
            pairs.extend(paths(partial));
        }
        if let [only] = pairs.as_mut_slice()
            && is_finished(&only.replacement)
        {
            only.replacement.push(' ');
        }
        (completion.start, pairs)
    }
}

/// Whether a blank comes next: a list of servers may go on, and so may a path.
fn is_finished(word: &str) -> bool {
    let list = word.bytes().all(|byte| byte.is_ascii_digit() || byte == b',');
    !list && !word.ends_with('/')
}

/// The paths of the host that begin like this, written as words of the language.
fn paths(partial: &str) -> Vec<Pair> {
    let begun = partial.trim_start_matches(['"', '\'']);
    let (directory, name) = begun.rfind('/').map_or(("", begun), |at| begun.split_at(at + 1));
    let Ok(entries) = fs::read_dir(if directory.is_empty() { "." } else { directory }) else {
        return Vec::new();
    };
    let mut pairs: Vec<Pair> = entries
        .flatten()
        .filter_map(|entry| {
            let found = entry.file_name().into_string().ok()?;
            let hidden = found.starts_with('.') && !name.starts_with('.');
            if hidden || !found.starts_with(name) {
                return None;
            }
            // Follows links, as opening the file will.
            let is_directory = fs::metadata(entry.path()).is_ok_and(|about| about.is_dir());
            let slash = if is_directory { "/" } else { "" };
            let mut replacement = Bare(&format!("{directory}{found}{slash}")).to_string();
            if is_directory && replacement.ends_with('"') {
                // The path goes on, and so do its quotes.
                replacement.pop();
            }
            Some(Pair { display: format!("{found}{slash}"), replacement })
        })
        .take(MAX_PATHS)
        .collect();
    pairs.sort_by(|one, other| one.display.cmp(&other.display));
    pairs
}

/// The end of the word that is being typed, if only one fits, and what comes after it.
fn usage(line: &str, candidates: &[Pair]) -> Option<Usage> {
    let blank = |c| c == ' ' || c == '\t';
    let line = line.trim_start_matches(blank);
    let typed: Vec<&str> = line.split(blank).filter(|word| !word.is_empty()).collect();
    let (first, arguments) = typed.split_first()?;
    if line.ends_with(blank) {
        let shown = after(script::usage(first)?, arguments.len())?;
        return Some(Usage { shown, insertable: 0 });
    }
    let ([], [only]) = (arguments, candidates) else { return None };
    let ending = only.display.strip_prefix(first)?;
    let next = script::usage(&only.display).and_then(|usage| after(usage, 0));
    let shown = match next {
        Some(next) => format!("{ending} {next}"),
        None => ending.to_owned(),
    };
    (!shown.is_empty()).then_some(Usage { insertable: ending.len(), shown })
}

/// What of a usage is still to be typed after so many arguments.
fn after(usage: &str, arguments: usize) -> Option<String> {
    // Of alternatives with arguments of their own, nobody knows which was chosen.
    if arguments > 0 && usage.contains("]|") {
        return None;
    }
    let rest: Vec<&str> = usage.split(' ').skip(1 + arguments).collect();
    let mut rest = rest.join(" ");
    // The bracket that was opened by a word which is there already.
    if let Some(closed) = rest.find(']')
        && rest.find('[').is_none_or(|opened| closed < opened)
    {
        rest.remove(closed);
    }
    (!rest.is_empty() && rest != "...").then_some(rest)
}

/// The line with its first word and its comment in colour.
fn highlighted(line: &str, paint: Paint) -> String {
    let start = line.len() - line.trim_start().len();
    let length = line[start..].find([' ', '\t']).unwrap_or(line.len() - start);
    let (word, rest) = line[start..].split_at(length);
    if word.starts_with('#') {
        return paint.paint(Color::Grey, line);
    }
    let word = match script::usage(word) {
        Some(_) => paint.paint(Color::Cyan, word),
        None if !rest.is_empty() => paint.paint(Color::Red, word),
        None => word.to_owned(),
    };
    format!("{}{word}{rest}", &line[..start])
}

impl Completer for LineHelper {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        cursor: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        Ok(self.candidates(line, cursor))
    }
}

impl Hinter for LineHelper {
    type Hint = Usage;

    fn hint(&self, line: &str, cursor: usize, _: &Context<'_>) -> Option<Usage> {
        // Without a colour of its own a hint would look as if it had been typed.
        if cursor < line.len() || !self.paint.is_on() {
            return None;
        }
        // The directory of the host is looked at for Tab, not at every key.
        let completion = self.known.complete(line, cursor);
        let pair = |text: String| Pair { display: text.clone(), replacement: text };
        let candidates: Vec<Pair> = completion.candidates.into_iter().map(pair).collect();
        usage(line, &candidates)
    }
}

impl Hint for Usage {
    fn display(&self) -> &str {
        &self.shown
    }

    fn completion(&self) -> Option<&str> {
        (self.insertable > 0).then(|| &self.shown[..self.insertable])
    }
}

impl Highlighter for LineHelper {
    fn highlight<'l>(&self, line: &'l str, _: usize) -> Cow<'l, str> {
        if self.paint.is_on() { highlighted(line, self.paint).into() } else { line.into() }
    }

    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, _: bool) -> Cow<'b, str> {
        self.paint.paint(Color::Bold, prompt).into()
    }

    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        self.paint.paint(Color::Grey, hint).into()
    }

    fn highlight_char(&self, _: &str, _: usize, kind: CmdKind) -> bool {
        self.paint.is_on() && kind != CmdKind::MoveCursor
    }
}

impl rustyline::validate::Validator for LineHelper {}
impl Helper for LineHelper {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raft::ServerId;

    fn helper() -> LineHelper {
        let known = Shared::default();
        known.update(|known| {
            known.servers = (1..=5).map(ServerId).collect();
            known.files = vec!["notes.txt".to_owned(), "my diary".to_owned()];
        });
        LineHelper::new(known, Paint::PLAIN)
    }

    fn completed(line: &str) -> Vec<String> {
        let (start, pairs) = helper().candidates(line, line.len());
        pairs.iter().map(|pair| format!("{}{}", &line[..start], pair.replacement)).collect()
    }

    fn hint(line: &str) -> Option<String> {
        let helper = helper();
        let (_, pairs) = helper.candidates(line, line.len());
        usage(line, &pairs).map(|usage| usage.shown)
    }

    #[test]
    fn a_finished_word_gets_its_blank() {
        assert_eq!(completed("cra"), ["crash "]);
        assert_eq!(completed("crash l"), ["crash leader "]);
        assert_eq!(completed("crash 1,5"), ["crash 1,5"], "the list may go on");
        assert_eq!(completed("cat n"), ["cat notes.txt "]);
        assert_eq!(completed("cat m"), ["cat \"my diary\" "]);
        assert_eq!(completed("nonsense x"), [""; 0]);
    }

    #[test]
    fn paths_are_words_of_the_language() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("my files")).unwrap();
        for name in ["my files/a b", "plain", "price$", ".hidden"] {
            fs::write(directory.path().join(name), "").unwrap();
        }
        let root = directory.path().to_str().unwrap();
        assert_eq!(completed(&format!("load {root}/pl")), [format!("load {root}/plain ")]);
        assert_eq!(completed(&format!("load {root}/pr")), [format!("load \"{root}/price\\$\" ")]);
        let inside = format!("load \"{root}/my files/");
        assert_eq!(completed(&format!("load {root}/m")), [inside.as_str()]);
        assert_eq!(completed(&inside), [format!("load \"{root}/my files/a b\" ")]);
        assert_eq!(
            completed(&format!("append x @{root}/pl")),
            [format!("append x @{root}/plain ")]
        );
        assert_eq!(completed(&format!("load {root}/")).len(), 3, "no hidden files");
        assert_eq!(completed(&format!("load {root}/.h")).len(), 1);
    }

    #[test]
    fn hints_say_what_comes_next() {
        for (line, expected) in [
            ("cra", Some("sh SERVERS")),
            ("sta", None),
            ("crash", Some(" SERVERS")),
            ("crash ", Some("SERVERS")),
            ("crash 1 ", None),
            ("statu", Some("s")),
            ("load x ", Some("[as NAME] [replace] [if revision NUMBER]")),
            ("load x as ", Some("NAME [replace] [if revision NUMBER]")),
            ("cut 1 -> ", Some("TO")),
            ("wait jobs ", None),
            ("wait 2s ", None),
            ("expect ", None),
            ("", None),
        ] {
            assert_eq!(hint(line).as_deref(), expected, "{line:?}");
        }
    }

    #[test]
    fn the_arrow_inserts_the_end_of_the_word_alone() {
        let helper = helper();
        let (_, pairs) = helper.candidates("cra", 3);
        assert_eq!(usage("cra", &pairs).unwrap().completion(), Some("sh"));
        assert_eq!(usage("crash ", &[]).unwrap().completion(), None);
    }

    #[test]
    fn the_first_word_tells_by_its_color_whether_it_is_known() {
        let colored = |line| highlighted(line, Paint::COLORED);
        assert_eq!(colored(" crash 1"), " \x1b[36mcrash\x1b[0m 1");
        assert_eq!(colored("crush 1"), "\x1b[31mcrush\x1b[0m 1");
        assert_eq!(colored("cra"), "cra");
        assert_eq!(colored("# note"), "\x1b[90m# note\x1b[0m");
        assert_eq!(colored(""), "");
    }
}

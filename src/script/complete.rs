//! Completion: what could stand where the cursor is.

use super::display::Bare;
use super::expect::EXPECTATIONS;
use super::words::{self, Argument, Grammar, WORDS, Word};
use crate::raft::ServerId;

/// What the cluster has now, to complete from.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The servers.
    pub servers: Vec<ServerId>,
    /// The files' names and uuids.
    pub files: Vec<String>,
    /// The variables, without the `$`.
    pub variables: Vec<String>,
}

/// What could stand at the cursor.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Completion {
    /// Where the completed word begins, in bytes of the line.
    pub start: usize,
    /// What could stand from there to the cursor.
    pub candidates: Vec<String>,
    /// Whether paths of the host could stand there, too.
    pub paths: bool,
}

/// Completes the word that ends at `cursor`, a byte of the line.
pub fn complete(line: &str, cursor: usize, known: &Known) -> Completion {
    let cursor = (0..=cursor.min(line.len())).rev().find(|&at| line.is_char_boundary(at));
    let before = &line[..cursor.unwrap_or(0)];
    let (words, start) = split(before);
    let partial = &before[start..];
    let mut completion = Completion { start, ..Completion::default() };
    if let Some(name) = partial.strip_prefix('$') {
        let variables = known.variables.iter().filter(|variable| variable.starts_with(name));
        completion.candidates.extend(variables.map(|variable| format!("${variable}")));
        return completion;
    }
    for argument in place(&words) {
        completion.add(*argument, partial, known);
    }
    completion
}

/// The finished words, and where the unfinished one begins.
fn split(text: &str) -> (Vec<&str>, usize) {
    let mut words = Vec::new();
    let mut at = 0;
    loop {
        at = text.len() - text[at..].trim_start_matches([' ', '\t']).len();
        let rest = &text[at..];
        let length = match rest.chars().next() {
            Some(quote @ ('"' | '\'')) => quoted_length(rest, quote),
            _ => rest.find([' ', '\t']),
        };
        let Some(length) = length else { return (words, at) };
        words.push(&rest[..length]);
        at += length;
    }
}

/// The length of the quoted word at the beginning, if it is closed.
fn quoted_length(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if c == quote && !escaped {
            return Some(at + 1);
        }
        escaped = quote == '"' && c == '\\' && !escaped;
    }
    None
}

/// What may come after these words.
fn place(words: &[&str]) -> &'static [Argument] {
    const FILE_COMMAND: &[Argument] = &[Argument::FileCommands, Argument::Is("at")];
    let Some((&first, rest)) = words.split_first() else { return &[Argument::Words] };
    let is = |name: &str| first.eq_ignore_ascii_case(name);
    match rest {
        _ if first == "&" => file_command(rest, FILE_COMMAND),
        [_, command @ ..] if is("at") => file_command(command, &[Argument::FileCommands]),
        [_, "=", command, arguments @ ..] if is("let") => of_word(WORDS, command, arguments),
        [no, second, arguments @ ..] if is("expect") && no.eq_ignore_ascii_case("no") => {
            of_word(EXPECTATIONS, &format!("no {second}"), arguments)
        }
        [no] if is("expect") && no.eq_ignore_ascii_case("no") => {
            &[Argument::Is("leader"), Argument::Is("file"), Argument::Is("learners")]
        }
        [refused, because, _, command @ ..]
            if is("expect")
                && refused.eq_ignore_ascii_case("refused")
                && because.eq_ignore_ascii_case("because") =>
        {
            file_command(command, FILE_COMMAND)
        }
        [demand, command @ ..] if is("expect") && takes_command(demand, command) => {
            file_command(command, FILE_COMMAND)
        }
        [demand, arguments @ ..] if is("expect") => of_word(EXPECTATIONS, demand, arguments),
        _ => of_word(WORDS, first, rest),
    }
}

/// Whether a file command follows this expectation, and has begun.
fn takes_command(demand: &str, command: &[&str]) -> bool {
    let because = command.first().is_some_and(|word| word.eq_ignore_ascii_case("because"));
    demand.eq_ignore_ascii_case("unknown")
        || demand.eq_ignore_ascii_case("refused") && !command.is_empty() && !because
}

fn file_command(words: &[&str], first: &'static [Argument]) -> &'static [Argument] {
    if words.is_empty() { first } else { place(words) }
}

fn of_word(table: &'static [Word], word: &str, rest: &[&str]) -> &'static [Argument] {
    words::find(table, word)
        .and_then(|word| word.arguments.get(rest.len()).copied())
        .unwrap_or_default()
}

impl Completion {
    fn add(&mut self, argument: Argument, partial: &str, known: &Known) {
        match argument {
            Argument::Words => self.add_words(WORDS.iter(), partial),
            Argument::Expectations => self.add_words(EXPECTATIONS.iter(), partial),
            Argument::FileCommands => {
                let is_command = |word: &&Word| matches!(word.grammar, Grammar::File(_));
                self.add_words(WORDS.iter().filter(is_command), partial);
            }
            Argument::Orders => {
                self.add_words(WORDS.iter().filter(|word| word.is_order()), partial);
            }
            Argument::Is(word) => self.add_matching([word], partial),
            Argument::Servers => {
                self.add_matching(["all", "leader", "followers"], partial);
                self.add_numbers(partial, known);
            }
            Argument::Numbers => self.add_numbers(partial, known),
            Argument::File => {
                let begun = partial.trim_start_matches(['"', '\'']);
                let files = known.files.iter().filter(|file| file.starts_with(begun));
                self.candidates.extend(files.map(|file| Bare(file).to_string()));
            }
            Argument::Path => self.paths = true,
            Argument::Content => {
                if partial.starts_with('@') {
                    self.start += 1;
                    self.paths = true;
                }
            }
        }
    }

    /// The words that match, or the aliases if no word does.
    fn add_words(&mut self, words: impl Iterator<Item = &'static Word> + Clone, partial: &str) {
        self.add_matching(words.clone().map(|word| word.name), partial);
        if self.candidates.is_empty() {
            self.add_matching(words.flat_map(|word| word.aliases.iter().copied()), partial);
        }
    }

    fn add_matching(&mut self, words: impl IntoIterator<Item = &'static str>, partial: &str) {
        let partial = partial.to_ascii_lowercase();
        let matching = words.into_iter().filter(|word| word.starts_with(&partial));
        self.candidates.extend(matching.map(str::to_owned));
    }

    /// The numbers not yet in the list, each with the list before it.
    fn add_numbers(&mut self, partial: &str, known: &Known) {
        let (list, last) = partial.rfind(',').map_or(("", partial), |at| partial.split_at(at + 1));
        let last = last.trim_start_matches(['s', 'S']);
        let named: Vec<&str> = list.split(',').collect();
        let numbers = known.servers.iter().map(|server| server.0.to_string());
        let fresh = numbers.filter(|n| n.starts_with(last) && !named.contains(&n.as_str()));
        self.candidates.extend(fresh.map(|number| format!("{list}{number}")));
    }
}

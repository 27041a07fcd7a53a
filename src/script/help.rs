//! The help texts, made from the table of words.

use super::error::quoted;
use super::expect::EXPECTATIONS;
use super::words::{self, Category, WORDS, Word};

/// Longer usages put their explanation on the next line.
const COLUMN: usize = 34;

/// All words by section, one or two lines each.
pub fn help() -> String {
    let mut text = String::new();
    for category in Category::ALL {
        text.push_str(category.title());
        text.push('\n');
        for word in WORDS.iter().filter(|word| word.category == category) {
            text.push_str(&entry(word));
        }
        text.push('\n');
    }
    text.push_str(
        "SERVERS is a number, a list such as 1,2, `all`, `leader` or `followers`.\n\
         FILE is a name, a uuid or the beginning of one. Both may be a `$NAME` defined by `let`.\n\
         `help WORD` shows one word with an example.\n",
    );
    text
}

/// The help of one word, such as `crash`, `print_log`, `expect` or `expect no leader`.
///
/// # Errors
///
/// A message with the nearest known word, if there is no such word.
pub fn help_for(topic: &str) -> Result<String, String> {
    let expectation = match topic.split_once(' ') {
        Some((expect, rest)) if expect.eq_ignore_ascii_case("expect") => {
            words::find(EXPECTATIONS, rest)
        }
        _ => None,
    };
    let Some(word) = expectation.or_else(|| words::find(WORDS, topic)) else {
        let advice = match words::nearest(topic, WORDS.iter().flat_map(Word::names)) {
            Some(near) => format!("did you mean `help {near}`?"),
            None => "`help` lists the words".to_owned(),
        };
        return Err(format!("there is no word {}; {advice}", quoted(topic)));
    };
    let mut text = format!("{}\n  {}.\n  For example: {}\n", word.usage, word.help, word.example);
    if !word.aliases.is_empty() {
        text.push_str(&format!("  Also called: {}\n", word.aliases.join(", ")));
    }
    if word.name == "expect" {
        EXPECTATIONS.iter().for_each(|word| text.push_str(&entry(word)));
    }
    Ok(text)
}

/// How a word, or an alias, is used; `None` if there is no such word.
pub(crate) fn usage(word: &str) -> Option<&'static str> {
    words::find(WORDS, word).map(|word| word.usage)
}

fn entry(word: &Word) -> String {
    let Word { usage, help, .. } = word;
    if usage.len() <= COLUMN {
        format!("  {usage:COLUMN$}  {help}\n")
    } else {
        format!("  {usage}\n  {:COLUMN$}  {help}\n", "")
    }
}

//! Colours, where a terminal shows them.

use std::env;
use std::fmt::Display;

/// When to colour.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, clap::ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`.
    #[default]
    Auto,
    /// Everywhere.
    Always,
    /// Nowhere.
    Never,
}

/// A brush for one stream; it paints nothing if that stream shows no colours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Paint {
    on: bool,
}

/// A colour, for what it means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Color {
    /// A leader; success.
    Green,
    /// An election.
    Yellow,
    /// Two believe that they lead.
    Magenta,
    /// Something is down; an error.
    Red,
    /// A word of the language.
    Cyan,
    /// Less important than the rest.
    Grey,
    /// More important than the rest.
    Bold,
}

impl ColorChoice {
    /// The brush for a stream that is a terminal or not.
    pub(crate) fn paint(self, terminal: bool) -> Paint {
        let set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
        let on = match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => terminal && !set("NO_COLOR") && !dumb,
        };
        Paint { on }
    }
}

impl Paint {
    /// A brush that paints nothing.
    #[cfg(test)]
    pub(crate) const PLAIN: Self = Self { on: false };

    #[cfg(test)]
    pub(crate) const COLORED: Self = Self { on: true };

    /// Whether it paints.
    pub(crate) fn is_on(self) -> bool {
        self.on
    }

    /// The text in this colour.
    pub(crate) fn paint(self, color: Color, text: impl Display) -> String {
        let code = match color {
            Color::Bold => 1,
            Color::Red => 31,
            Color::Green => 32,
            Color::Yellow => 33,
            Color::Magenta => 35,
            Color::Cyan => 36,
            Color::Grey => 90,
        };
        if self.on { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_brush_that_is_off_changes_nothing() {
        assert_eq!(Paint::PLAIN.paint(Color::Red, "S1"), "S1");
        assert_eq!(Paint::COLORED.paint(Color::Red, "S1"), "\x1b[31mS1\x1b[0m");
        assert!(!ColorChoice::Auto.paint(false).is_on());
        assert!(ColorChoice::Always.paint(false).is_on());
        assert!(!ColorChoice::Never.paint(true).is_on());
    }
}

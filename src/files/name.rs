//! Names of files.

use std::borrow::Borrow;
use std::fmt;

use serde::{Deserialize, Serialize, Serializer};
use smol_str::SmolStr;
use thiserror::Error;

/// A file's name: a canonical relative path such as `notes/today.txt`.
///
/// UTF-8, at most 1024 bytes, segments separated by single `/`, none of them empty, `.` or `..`,
/// no control characters. Names are compared byte by byte; cloning one is cheap.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct FileName(SmolStr);

/// Why a text is not a [`FileName`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum NameError {
    /// No characters at all.
    #[error("it is empty")]
    Empty,
    /// More bytes than [`FileName::MAX_BYTES`].
    #[error("it has {bytes} bytes, the limit is {limit}", limit = FileName::MAX_BYTES)]
    TooLong {
        /// Its length in bytes.
        bytes: u64,
    },
    /// A leading `/`.
    #[error("it starts with `/`; names are relative")]
    Absolute,
    /// Two `/` in a row, or one at the end.
    #[error("it has an empty segment (`//`, or `/` at the end)")]
    EmptySegment,
    /// A segment `.` or `..`.
    #[error("it has a segment `.` or `..`")]
    DotSegment,
    /// A control character, such as a newline.
    #[error("it has the control character {0:?}")]
    Control(char),
}

impl FileName {
    /// The most bytes a name may have.
    pub const MAX_BYTES: usize = 1024;

    /// Checks `text` and makes it a name.
    ///
    /// # Errors
    /// The first rule it breaks.
    pub fn new(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.len() > Self::MAX_BYTES {
            return Err(NameError::TooLong { bytes: text.len() as u64 });
        }
        if text.starts_with('/') {
            return Err(NameError::Absolute);
        }
        if let Some(control) = text.chars().find(|character| character.is_control()) {
            return Err(NameError::Control(control));
        }
        for segment in text.split('/') {
            match segment {
                "" => return Err(NameError::EmptySegment),
                "." | ".." => return Err(NameError::DotSegment),
                _ => {}
            }
        }
        Ok(Self(text.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Borrow<str> for FileName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for FileName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        Self::new(&text)
    }
}

impl Serialize for FileName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// Text from outside made fit for a one-line message: escaped, and cut after 80 characters.
pub(super) fn printable(text: &str) -> String {
    const SHOWN: usize = 80;
    let mut shown: String = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_names_are_accepted_as_they_are() {
        let longest = "é".repeat(512);
        for text in ["a", "notes/today.txt", "...", ".hidden", "a b", "水/日記", &longest] {
            assert_eq!(FileName::new(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn every_other_name_says_what_is_wrong() {
        let too_long = "x".repeat(1025);
        let cases = [
            ("", NameError::Empty),
            (too_long.as_str(), NameError::TooLong { bytes: 1025 }),
            ("/a", NameError::Absolute),
            ("a//b", NameError::EmptySegment),
            ("a/", NameError::EmptySegment),
            (".", NameError::DotSegment),
            ("a/../b", NameError::DotSegment),
            ("a/./b", NameError::DotSegment),
            ("a\nb", NameError::Control('\n')),
            ("a\0", NameError::Control('\0')),
            ("a\u{85}", NameError::Control('\u{85}')),
        ];
        for (text, error) in cases {
            assert_eq!(FileName::new(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn printable_text_is_one_short_line() {
        assert_eq!(printable("a\nb"), "a\\nb");
        assert_eq!(printable(&"x".repeat(81)), format!("{}…", "x".repeat(80)));
    }
}

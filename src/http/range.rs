//! Parts of contents (RFC 9110, section 14): one range of bytes.

use std::ops::Range;

/// What a `Range` header asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Wanted {
    /// `bytes=FIRST-LAST`, both included.
    Between(u64, u64),
    /// `bytes=FIRST-`
    From(u64),
    /// `bytes=-COUNT`
    Last(u64),
}

impl Wanted {
    /// Reads the header. `None` if it asks for something else, several ranges among it: it does not
    /// count then, and all of the content is the answer, as RFC 9110 has it.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (unit, range) = text.trim().split_once('=')?;
        let (first, last) = range.trim().split_once('-')?;
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            // More than fits is as much as there is.
            digits.then(|| text.parse().unwrap_or(u64::MAX))
        };
        let (first, last) = (first.trim(), last.trim());
        if !unit.trim().eq_ignore_ascii_case("bytes") {
            return None;
        }
        match (first, last) {
            ("", last) => number(last).map(Wanted::Last),
            (first, "") => number(first).map(Wanted::From),
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then_some(Wanted::Between(first, last))
            }
        }
    }

    /// From which byte on, if that does not depend on the size.
    pub(super) fn start(self) -> Option<u64> {
        match self {
            Wanted::Between(first, _) | Wanted::From(first) => Some(first),
            Wanted::Last(_) => None,
        }
    }

    /// Which bytes of so many these are; `None` if none.
    pub(crate) fn within(self, size: u64) -> Option<Range<u64>> {
        let range = match self {
            Wanted::Between(first, last) => first..last.saturating_add(1).min(size),
            Wanted::From(first) => first..size,
            Wanted::Last(count) => size.saturating_sub(count)..size,
        };
        (range.start < range.end).then_some(range)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranges_are_those_of_the_rfc() {
        let cases = [
            ("bytes=0-4", Some(0..5)),
            ("bytes=5-9", Some(5..10)),
            ("bytes=5-", Some(5..10)),
            ("bytes=-3", Some(7..10)),
            ("bytes=-30", Some(0..10)),
            ("bytes=8-99999999999999999999999", Some(8..10)),
            ("Bytes = 1-1", Some(1..2)),
            ("bytes=10-", None),
            ("bytes=-0", None),
        ];
        for (text, expected) in cases {
            let wanted = Wanted::parse(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(wanted.within(10), expected, "{text}");
        }
        assert_eq!(Wanted::Last(5).within(0), None);
        let ignored = [
            "bytes=4-2",
            "bytes=0-1,3-4",
            "bytes=-",
            "bytes=a-b",
            "bytes",
            "lines=0-1",
            "bytes=+1-2",
            "",
        ];
        for text in ignored {
            assert_eq!(Wanted::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_range_lies_within(text in "bytes ?=[0-9 -]{0,30}|\\PC{0,30}", size in any::<u64>()) {
            if let Some(range) = Wanted::parse(&text).and_then(|wanted| wanted.within(size)) {
                prop_assert!(range.start < range.end && range.end <= size);
            }
        }
    }
}

//! Sequence diagrams of a run, from its trace.
//!
//! Servers are columns, time runs down. Everything of one moment that belongs together is one
//! line: a broadcast with its receivers, the answers to it with their senders. The lines of a
//! moment stand in the order of cause and effect. Between moments time is not to scale: pauses,
//! heartbeats that bring no news and pre-votes that come out as the one before are folded into one
//! row that says how long and how many.
//!
//! `trace` reads the lines, `quiet` finds what is no news, `story` puts together what belongs
//! together, `layout` gives everything a place, `svg` writes it.

mod layout;
mod quiet;
mod story;
mod svg;
mod trace;

use std::io::BufRead;
use std::time::Duration;

use crate::raft::ServerId;

pub use trace::DiagramError;

/// What is to be seen of a trace.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct View {
    /// Stands above the diagram.
    pub title: String,
    /// Nothing before this moment of the run.
    pub from: Duration,
    /// Nothing after this one.
    pub to: Option<Duration>,
    /// Only these servers and what passes between them; all of them if it is empty.
    pub servers: Vec<ServerId>,
}

/// A diagram.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Diagram {
    /// The picture, as SVG, with a background of its own.
    pub svg: String,
    /// The moment at which it was cut, because it would be too long: the trace goes on.
    pub cut: Option<Duration>,
}

/// Draws the trace that `jangada run --trace` writes. At most 200,000 lines of it are looked at,
/// and the picture is at most some 15,000 pixels long: what is more is cut.
///
/// # Errors
/// If it is no trace, or if nothing of it is to be seen.
pub fn draw(trace: impl BufRead, view: &View) -> Result<Diagram, DiagramError> {
    let story = story::Story::read(trace, view)?;
    let scene = layout::lay_out(&story, view);
    Ok(Diagram { svg: svg::write(&scene), cut: scene.cut })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Every kind of line; of one moment, so that they may stand in any order.
    const LINES: &[&str] = &[
        "S1 started",
        "S2 started",
        "S3 started",
        "S1 is pre-candidate (term 0): heard no leader for an election timeout",
        "S1 -> S2 #1 RequestPreVote term=1 last=0@0",
        "S2 <- S1 #1",
        "S1 -> S3 #2 RequestPreVote term=1 last=0@0",
        "S1 -x S3 #2 the link is cut",
        "S2 -> S1 #3 RequestPreVoteReply term=1 granted",
        "S1 <- S2 #3",
        "S1 is leader (term 1): a majority voted for it",
        "S1 -> S2 #4 AppendEntries term=1 prev=0@0 entries=1..1 commit=0 round=1",
        "S2 <- S1 #4",
        "S2 <- S1 #4",
        "S2 follows S1 (term 1): heard from the leader",
        "S2 -> S1 #5 AppendEntriesReply term=1 matched=1 round=1",
        "S1 <- S2 #5",
        "S1 commit_index 1",
        "S1 committed 1: create <a> & \"b\" 'c' \u{1}",
        "S3 -> S1 #6 ReadIndex term=1 read=5",
        "S3 paused",
        "S3 resumed",
        "S2 crashed",
        "S3 failed: damage at byte 12",
        "S2 cut off 12 bytes",
        "order: partition 1,2 | 3",
        "order refused: S2 is down",
        "log matching is violated: told in a text that has a good many words and is broken",
        "anything",
    ];

    fn drawn(trace: &str, view: &View) -> String {
        draw(trace.as_bytes(), view).unwrap_or_else(|error| panic!("{error}")).svg
    }

    /// The tags of a picture are closed in their order, and every `&` begins an entity.
    fn assert_well_formed(svg: &str) {
        let mut open = Vec::new();
        for tag in svg.split('<').skip(1) {
            let (tag, text) = tag.split_once('>').expect("a tag ends");
            assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
            let entities = ["amp;", "lt;", "gt;", "quot;"];
            let ends = |part: &str| entities.iter().any(|entity| part.starts_with(entity));
            assert!(text.split('&').skip(1).all(ends), "{text}");
            let name = tag.split([' ', '/']).find(|part| !part.is_empty());
            match (tag.starts_with('/'), tag.ends_with('/')) {
                (true, _) => assert_eq!(open.pop(), name),
                (_, true) => {}
                _ => open.push(name.expect("a tag has a name")),
            }
        }
        assert!(open.is_empty(), "{open:?}");
    }

    fn at_one_moment(lines: impl IntoIterator<Item = &'static str>) -> String {
        lines.into_iter().map(|line| format!("1.500000 {line}\n")).collect()
    }

    #[test]
    fn every_kind_of_line_is_drawn() {
        let view = View { title: "a <b> & c".into(), ..View::default() };
        let svg = drawn(&at_one_moment(LINES.iter().copied()), &view);
        assert_well_formed(&svg);
        for told in [
            "a &lt;b&gt; &amp; c",
            "leader, term 1",
            "pre-candidate",
            "RequestPreVote, term 1",
            "(lost: the link is cut)",
            "AppendEntries 1, commit 0",
            "1 create &lt;a&gt; &amp; &quot;b&quot; &#",
            "crashed",
            "partition 1,2 | 3",
            "log matching is violated: told",
            "ReadIndex",
            ">1.500<",
        ] {
            let told = told.trim_end_matches("&#");
            assert!(svg.contains(told), "{told} in {svg}");
        }
    }

    #[test]
    fn heartbeats_without_news_are_counted() {
        let mut trace = String::from("0.000000 S1 is leader (term 1): elected\n");
        for round in 1..=20 {
            let at = format!("{}.{:06}", round / 20, round % 20 * 50_000);
            let commit = u64::from(round > 10);
            trace.push_str(&format!(
                "{at} S1 -> S2 #{round} AppendEntries term=1 prev=1@1 commit={commit} \
                 round={round}\n{at} S2 <- S1 #{round}\n"
            ));
        }
        let svg = drawn(&trace, &View::default());
        assert_eq!(svg.matches("heartbeat ×9<").count(), 2, "{svg}");
        assert_eq!(svg.matches("AppendEntries, commit").count(), 2, "the first of each kind");
    }

    #[test]
    fn pre_votes_that_fail_alike_are_counted() {
        let mut trace = String::new();
        for attempt in 1..=5 {
            trace.push_str(&format!(
                "{attempt}.000000 S1 is pre-candidate (term 3): heard no leader\n\
                 {attempt}.000000 S1 -> S2 #{attempt} RequestPreVote term=4 last=1@1\n\
                 {attempt}.000000 S1 -x S2 #{attempt} the server is down\n"
            ));
        }
        let svg = drawn(&trace, &View::default());
        // The first, and the last, of which nobody knows yet how it ends.
        assert_eq!(svg.matches(">pre-candidate<").count(), 2);
        assert_eq!(svg.matches(">pre-vote ×3, no majority<").count(), 1);
    }

    #[test]
    fn a_broadcast_and_its_answers_are_two_lines() {
        let mut trace = String::new();
        for to in 2..=5 {
            trace.push_str(&format!("1.000000 S1 -> S{to} #{to} RequestVote term=1 last=0@0\n"));
            trace.push_str(&format!("1.000000 S{to} <- S1 #{to}\n"));
        }
        for from in 2..=5 {
            let number = from + 10;
            trace.push_str(&format!("1.000000 S{from} is follower (term 1): S1 has more\n"));
            trace.push_str(&format!(
                "1.000000 S{from} -> S1 #{number} RequestVoteReply term=1 granted\n"
            ));
            trace.push_str(&format!("1.000000 S1 <- S{from} #{number}\n"));
        }
        let svg = drawn(&trace, &View::default());
        assert_eq!(svg.matches(">RequestVote, term 1<").count(), 1);
        assert_eq!(svg.matches(">vote granted<").count(), 1);
        assert_eq!(svg.matches(" → ").count(), 8, "each message has its arrow");
    }

    #[test]
    fn a_view_shows_a_part() {
        let trace = "0.000000 S1 started\n0.000000 S2 started\n1.000000 S1 is leader (term 7): so\n\
                     2.000000 order: crash 1\n3.000000 S1 crashed\n";
        let part = |from: u64, to: Option<u64>, servers: &[u64]| {
            let servers = servers.iter().copied().map(ServerId).collect();
            let (from, to) = (Duration::from_secs(from), to.map(Duration::from_secs));
            draw(trace.as_bytes(), &View { from, to, servers, title: String::new() })
        };
        let svg = part(2, Some(2), &[]).unwrap().svg;
        assert!(svg.contains(">crash 1<") && !svg.contains(">crashed<"), "{svg}");
        // It leads from the upper edge on.
        assert!(svg.contains("rx=\"2\" fill=\"#92620a\""), "{svg}");
        assert!(!part(0, None, &[2]).unwrap().svg.contains("leader, term 7"));
        let told = |view: Result<Diagram, DiagramError>| view.unwrap_err().to_string();
        assert!(told(part(9, None, &[])).ends_with("the trace ends at 3.000 s"));
        assert!(told(part(0, None, &[3])).contains("there is no S3"));
        let empty = draw(&b""[..], &View::default());
        assert!(told(empty).ends_with("the trace is empty"));
    }

    #[test]
    fn what_is_too_long_is_cut_and_told() {
        let line = |at: u64| format!("{}.{:06} order: crash {at}\n", at / 100, at % 100 * 10_000);
        let trace: String = (0..3000).map(line).collect();
        let diagram = draw(trace.as_bytes(), &View::default()).unwrap();
        let cut = diagram.cut.expect("it is too long");
        assert!(cut > Duration::from_secs(1) && cut < Duration::from_secs(29), "{cut:?}");
        assert!(diagram.svg.contains("cut here, at "));
        let from = View { from: Duration::from_secs(28), ..View::default() };
        assert_eq!(draw(trace.as_bytes(), &from).unwrap().cut, None);
        // All of it in one moment.
        let trace = at_one_moment(LINES.iter().copied().cycle().take(100_000));
        let diagram = draw(trace.as_bytes(), &View::default()).unwrap();
        assert!(diagram.cut.is_some() && diagram.svg.len() < 2_000_000, "{}", diagram.svg.len());
    }

    proptest! {
        #[test]
        fn no_order_of_lines_makes_it_panic(
            lines in proptest::collection::vec(proptest::sample::select(LINES), 1..60),
            servers in proptest::collection::vec(1..4u64, 0..2),
        ) {
            let servers = servers.into_iter().map(ServerId).collect();
            let view = View { servers, ..View::default() };
            if let Ok(diagram) = draw(at_one_moment(lines).as_bytes(), &view) {
                assert_well_formed(&diagram.svg);
            }
        }

        #[test]
        fn no_text_makes_it_panic(
            text in "([0-9]\\.[0-9]{6} [S1-3 a-z#<>x-]{0,20}\n){0,5}\\PC{0,20}",
        ) {
            let _ = draw(text.as_bytes(), &View::default());
        }
    }
}

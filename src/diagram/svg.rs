//! A scene, as SVG.

use std::fmt::{self, Display, Formatter, Write};

use super::layout::{
    Anchor, Arrow, Head, Lifeline, Mark, MarkKind, Rule, RuleKind, Scene, Text, TextKind,
};
use crate::raft::{RoleKind, Term};

/// The colours of the terms from 1 on, which come round again; dark enough for white letters.
const TERMS: [&str; 8] =
    ["#2563c9", "#c2570c", "#15803d", "#8b3fc4", "#be185d", "#0e7490", "#92620a", "#4b5563"];
const NO_TERM: &str = "#8b93a1";
const BAD: &str = "#d11a2a";

const STYLE: &str = "\
text{font-family:Inter,'Helvetica Neue',Arial,'DejaVu Sans',sans-serif;font-size:11px;fill:#1f2937}\
.halo{paint-order:stroke;stroke:#fff;stroke-width:3px;stroke-linejoin:round}\
.title{font-size:17px;font-weight:600}\
.faint{fill:#6b7280}\
.time{fill:#6b7280;font-size:10px}\
.fold{fill:#6b7280;font-size:10px}\
.order{font-weight:600}\
.alarm{font-weight:600;fill:#d11a2a}\
.refusal{fill:#d11a2a}\
.applied{fill:#15703a}\
.tiny{font-size:9px;font-weight:600}\
.pill{fill:#fff;font-weight:600;font-size:10.5px}\
.name{font-weight:700;font-size:13px}";

pub(super) fn write(scene: &Scene) -> String {
    let mut svg = String::new();
    compose(scene, &mut svg).expect("invariant: a string takes every text");
    svg
}

fn compose(scene: &Scene, out: &mut String) -> fmt::Result {
    let Scene { width, height, .. } = scene;
    writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" role=\"img\">"
    )?;
    writeln!(out, "<title>{}</title>", Escaped(&scene.title))?;
    writeln!(out, "<style>{STYLE}</style>")?;
    writeln!(out, "<rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>")?;
    writeln!(out, "<text class=\"title\" x=\"24\" y=\"32\">{}</text>", Escaped(&scene.title))?;
    writeln!(out, "<text class=\"faint\" x=\"24\" y=\"52\">{}</text>", Escaped(&scene.subtitle))?;
    key(scene, out)?;
    scene.rules.iter().try_for_each(|it| rule(it, *width, out))?;
    scene.lifelines.iter().try_for_each(|it| lifeline(it, out))?;
    scene.arrows.iter().try_for_each(|it| arrow(it, out))?;
    scene.marks.iter().try_for_each(|it| mark(it, out))?;
    scene.texts.iter().try_for_each(|it| text(it, out))?;
    out.write_str("</svg>\n")
}

fn color(term: Term) -> &'static str {
    match term.0 {
        0 => NO_TERM,
        term => TERMS[(term - 1) as usize % TERMS.len()],
    }
}

/// What colours and signs mean.
fn key(scene: &Scene, out: &mut String) -> fmt::Result {
    const MOST: usize = 8;
    let mut x = scene.width - 24;
    let mut item = |out: &mut String, width: i32, sign: &dyn Fn(i32) -> String, text: &str| {
        x -= width;
        writeln!(
            out,
            "{}<text class=\"faint\" x=\"{}\" y=\"32\">{}</text>",
            sign(x),
            x + 20,
            Escaped(text)
        )
    };
    item(out, 96, &|x| cross(x + 10, 28), "message lost")?;
    item(out, 92, &|x| tick(x + 4, 31), "committed")?;
    let band = |x: i32| {
        format!(
            "<rect x=\"{x}\" y=\"22\" width=\"12\" height=\"12\" rx=\"2\" fill=\"{}\"/>",
            color(Term(1))
        )
    };
    item(out, 70, &band, "leader")?;
    let hollow = |x: i32| {
        format!(
            "<rect x=\"{}\" y=\"22\" width=\"7\" height=\"12\" fill=\"#fff\" stroke=\"{}\" \
             stroke-width=\"1.5\"/>",
            x + 4,
            color(Term(1))
        )
    };
    item(out, 88, &hollow, "candidate")?;
    let mut x = scene.width - 24;
    let shown = scene.terms.iter().filter(|term| term.0 > 0).rev();
    for term in shown.take(MOST) {
        let text = format!("term {term}");
        x -= 62;
        writeln!(
            out,
            "<rect x=\"{x}\" y=\"43\" width=\"12\" height=\"12\" rx=\"2\" fill=\"{}\"/>\
             <text class=\"faint\" x=\"{}\" y=\"53\">{text}</text>",
            color(*term),
            x + 17
        )?;
    }
    Ok(())
}

fn rule(rule: &Rule, width: i32, out: &mut String) -> fmt::Result {
    let Rule { y, kind } = rule;
    let end = width - 24;
    let line = |stroke: &str| {
        format!("<path d=\"M84 {y}H{end}\" stroke=\"{stroke}\" stroke-dasharray=\"2 4\"/>")
    };
    match kind {
        RuleKind::Moment => {
            writeln!(out, "<path d=\"M76 {y}H{end}\" stroke=\"#eef0f3\"/>")
        }
        RuleKind::Order => writeln!(out, "{}", line("#6b7280")),
        RuleKind::Alarm => writeln!(out, "{}", line(BAD)),
        RuleKind::Fold(height) => writeln!(
            out,
            "<rect x=\"24\" y=\"{y}\" width=\"{}\" height=\"{height}\" rx=\"4\" fill=\"#f4f5f7\"/>",
            width - 48
        ),
    }
}

fn lifeline(lifeline: &Lifeline, out: &mut String) -> fmt::Result {
    let Lifeline { x, top, bottom, state } = lifeline;
    let (height, color) = (bottom - top, color(state.term));
    let line = |stroke: &str, more: &str| {
        format!("<path d=\"M{x} {top}V{bottom}\" stroke=\"{stroke}\"{more}/>")
    };
    let band = |width: i32, style: &str| {
        let left = x - width / 2;
        format!("<rect x=\"{left}\" y=\"{top}\" width=\"{width}\" height=\"{height}\" {style}/>")
    };
    let hollow = |dashes: &str| {
        band(8, &format!("fill=\"#fff\" stroke=\"{color}\" stroke-width=\"1.5\"{dashes}"))
    };
    let drawn = match state.role {
        _ if !state.up => line("#c3c8d0", " stroke-dasharray=\"1 5\""),
        _ if state.paused => {
            band(8, "fill=\"#e5e7eb\" stroke=\"#9ca3af\" stroke-dasharray=\"3 2\"")
        }
        RoleKind::Follower => line(color, " stroke-width=\"2\""),
        RoleKind::PreCandidate => hollow(" stroke-dasharray=\"3 2\""),
        RoleKind::Candidate => hollow(""),
        RoleKind::Leader => band(12, &format!("rx=\"2\" fill=\"{color}\"")),
    };
    writeln!(out, "{drawn}")
}

fn arrow(arrow: &Arrow, out: &mut String) -> fmt::Result {
    let Arrow { from, to, head, term, is_reply, begins, title } = arrow;
    let color = color(*term);
    let dashes = match (head, is_reply) {
        (Head::Open, _) => " stroke-dasharray=\"1 3\"",
        (_, true) => " stroke-dasharray=\"5 3\"",
        (_, false) => "",
    };
    // Unit steps along the line and across it, in hundredths.
    let (dx, dy) = (f64::from(to.0 - from.0), f64::from(to.1 - from.1));
    let length = dx.hypot(dy).max(1.0);
    let at = |along: f64, across: f64| {
        let x = f64::from(to.0) - (along * dx - across * dy) / length;
        let y = f64::from(to.1) - (along * dy + across * dx) / length;
        format!("{x:.1} {y:.1}")
    };
    let (x1, y1) = from;
    let sign = match head {
        Head::Arrives => {
            format!(
                "<path d=\"M{}L{}L{}Z\" fill=\"{color}\"/>",
                at(0.0, 0.0),
                at(8.0, 4.0),
                at(8.0, -4.0)
            )
        }
        Head::Lost => {
            let middle =
                (f64::from(to.0) - 10.0 * dx / length, f64::from(to.1) - 10.0 * dy / length);
            cross(middle.0.round() as i32, middle.1.round() as i32)
        }
        Head::Joins | Head::Open => String::new(),
    };
    let end = match head {
        Head::Arrives => at(6.0, 0.0),
        Head::Lost => at(14.0, 0.0),
        Head::Joins | Head::Open => at(0.0, 0.0),
    };
    // Long ways cross much else.
    let faint = if dy == 0.0 { "" } else { " opacity=\"0.6\"" };
    let dot = match begins {
        true => format!("<circle cx=\"{x1}\" cy=\"{y1}\" r=\"2.2\" fill=\"{color}\"/>"),
        false => String::new(),
    };
    writeln!(
        out,
        "<g{faint}><title>{}</title><path d=\"M{x1} {y1}L{end}\" stroke=\"{color}\" \
         stroke-width=\"1.4\"{dashes}/>{dot}{sign}</g>",
        Escaped(title)
    )
}

fn mark(mark: &Mark, out: &mut String) -> fmt::Result {
    let Mark { x, y, kind, title } = mark;
    if !title.is_empty() {
        writeln!(out, "<g><title>{}</title>", Escaped(title))?;
    }
    let pill = |text: &str, width: i32, fill: &str, rest: &str| {
        format!(
            "<rect x=\"{}\" y=\"{}\" width=\"{width}\" height=\"17\" rx=\"8.5\" {fill}/>\
             <text class=\"pill\" x=\"{x}\" y=\"{}\" text-anchor=\"middle\"{rest}>{}</text>",
            x - width / 2,
            y - 9,
            y + 3,
            Escaped(text)
        )
    };
    match kind {
        MarkKind::Role { text, width, term } => {
            writeln!(out, "{}", pill(text, *width, &format!("fill=\"{}\"", color(*term)), ""))?;
        }
        MarkKind::Fate { text, width, bad } => {
            let color = if *bad { BAD } else { "#4b5563" };
            let fill = format!("fill=\"#fff\" stroke=\"{color}\" stroke-width=\"1.3\"");
            writeln!(out, "{}", pill(text, *width, &fill, &format!(" style=\"fill:{color}\"")))?;
        }
        MarkKind::Name { text } => writeln!(
            out,
            "<rect x=\"{}\" y=\"{}\" width=\"44\" height=\"22\" rx=\"5\" fill=\"#eceff3\"/>\
             <text class=\"name\" x=\"{x}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            x - 22,
            y - 11,
            y + 5,
            Escaped(text)
        )?,
        MarkKind::Term(term) => writeln!(
            out,
            "<text class=\"tiny halo\" x=\"{}\" y=\"{}\" style=\"fill:{}\">term {term}</text>",
            x + 8,
            y + 11,
            color(*term)
        )?,
        MarkKind::Commit(index) => writeln!(
            out,
            "<text class=\"tiny halo applied\" x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>{}",
            x - 8,
            y + 11,
            Escaped(index),
            tick(x - 20 - 5 * index.len() as i32, y + 10)
        )?,
    }
    if title.is_empty() { Ok(()) } else { out.write_str("</g>\n") }
}

fn text(text: &Text, out: &mut String) -> fmt::Result {
    let Text { x, y, anchor, kind, text } = text;
    let anchor = match anchor {
        Anchor::Start => "start",
        Anchor::End => "end",
    };
    let class = match kind {
        TextKind::Time => "time",
        TextKind::Message => "halo",
        TextKind::Refusal => "refusal halo",
        TextKind::Order => "order halo",
        TextKind::Alarm => "alarm halo",
        TextKind::Note => "faint halo",
        TextKind::Applied => "applied halo",
        TextKind::Fold => "fold",
    };
    let text = Escaped(text);
    writeln!(
        out,
        "<text class=\"{class}\" x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\">{text}</text>"
    )
}

/// A message that never arrives.
fn cross(x: i32, y: i32) -> String {
    format!(
        "<path d=\"M{} {}l8 8m0 -8l-8 8\" stroke=\"{BAD}\" stroke-width=\"2\" fill=\"none\"/>",
        x - 4,
        y - 4
    )
}

fn tick(x: i32, y: i32) -> String {
    format!(
        "<path d=\"M{x} {}l3 3l5 -7\" stroke=\"#15803d\" stroke-width=\"1.6\" fill=\"none\"/>",
        y - 3
    )
}

/// A text that stands for itself in XML; what XML cannot hold is replaced.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\u{fffe}' | '\u{ffff}' => f.write_char('\u{fffd}')?,
                c if c.is_control() => f.write_char('\u{fffd}')?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

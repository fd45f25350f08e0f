//! The table of runs on a terminal.

use results::summary::one_line;

use crate::listing::{CollectionRow, Row, bytes_in_words};

/// The longest text of a cell, in characters.
const CELL_MAX: usize = 28;

/// What is between two columns.
const GAP: &str = "  ";

/// How a text is painted on a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Paint {
    Plain,
    Dim,
    Bold,
    Green,
    Red,
    Yellow,
}

impl Paint {
    fn of_outcome(outcome: &str) -> Self {
        match outcome {
            "valid" => Self::Green,
            "invalid" => Self::Red,
            "running" => Self::Bold,
            _ => Self::Yellow,
        }
    }

    fn paint(self, text: &str, colour: bool) -> String {
        let code = match self {
            Self::Plain => return text.to_owned(),
            Self::Dim => "2",
            Self::Bold => "1",
            Self::Green => "1;32",
            Self::Red => "1;31",
            Self::Yellow => "1;33",
        };
        if colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// A text in a table: harmless, and not too long.
#[derive(Clone, Debug)]
struct Cell {
    parts: Vec<(String, Paint)>,
    is_number: bool,
}

impl Cell {
    fn new(text: &str, paint: Paint) -> Self {
        let text = one_line(text).to_string();
        let cut = match text.chars().count() > CELL_MAX {
            true => text.chars().take(CELL_MAX - 1).chain(['…']).collect(),
            false => text,
        };
        Self { parts: vec![(cut, paint)], is_number: false }
    }

    fn text(text: Option<&str>) -> Self {
        Self::new(text.unwrap_or_default(), Paint::Plain)
    }

    fn number(text: Option<String>) -> Self {
        Self { is_number: true, ..Self::text(text.as_deref()) }
    }

    fn width(&self) -> usize {
        self.parts.iter().map(|(text, _)| text.chars().count()).sum()
    }

    fn render(&self, width: usize, colour: bool) -> String {
        let text: String = self.parts.iter().map(|(text, paint)| paint.paint(text, colour)).collect();
        let space = " ".repeat(width.saturating_sub(self.width()));
        if self.is_number { space + &text } else { text + &space }
    }
}

/// The columns, and whether they hold numbers.
const COLUMNS: [(&str, bool); 12] = [
    ("run", false),
    ("when (UTC)", false),
    ("system", false),
    ("nodes", true),
    ("workload", false),
    ("nemeses", false),
    ("seed", true),
    ("verdict", false),
    ("time", true),
    ("ok/s", true),
    ("size", true),
    ("labels", false),
];

fn cells(row: &Row) -> [Cell; 12] {
    let (short, rest) = row.name_parts();
    let name = vec![(short.to_owned(), Paint::Bold), (rest.to_owned(), Paint::Dim)];
    let minute = row.started.get(..16).unwrap_or(&row.started).replace('T', " ");
    let marks = [(row.is_pinned, "(pinned)"), (row.is_imported, "(imported)")];
    let marks = marks.iter().filter(|(is_so, _)| *is_so).map(|(_, mark)| (*mark).to_owned());
    let words: Vec<String> =
        marks.chain([row.labels_in_words()].into_iter().filter(|words| !words.is_empty())).collect();
    let system = row.mutant.as_ref().or(row.system.as_ref());
    [
        Cell { parts: name, is_number: false },
        Cell::new(&minute, Paint::Plain),
        Cell::text(system.map(String::as_str)),
        Cell::number(row.nodes.map(|nodes| nodes.to_string())),
        Cell::text(row.workload.as_deref()),
        Cell::text(row.nemeses.as_deref()),
        Cell::number(row.seed.map(|seed| seed.to_string())),
        Cell::new(row.outcome(), Paint::of_outcome(row.outcome())),
        Cell::number(row.duration_ms.map(|ms| format!("{:.1} s", ms as f64 / 1e3))),
        Cell::number(row.ok_per_second.map(|rate| format!("{rate:.0}"))),
        Cell::number(Some(bytes_in_words(row.bytes))),
        Cell::new(&words.join(" "), Paint::Plain),
    ]
}

/// The table, in the order of the rows. A run that cannot be read says why in a line below it.
#[must_use]
pub fn table(rows: &[Row], colour: bool) -> String {
    let head = COLUMNS.map(|(name, is_number)| Cell { is_number, ..Cell::new(name, Paint::Dim) });
    let lines: Vec<[Cell; 12]> = rows.iter().map(cells).collect();
    let mut widths = head.clone().map(|cell| cell.width());
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(cell.width());
        }
    }
    let line = |cells: &[Cell; 12]| {
        let cells: Vec<String> = cells.iter().zip(widths).map(|(cell, width)| cell.render(width, colour)).collect();
        format!("{}\n", cells.join(GAP).trim_end())
    };
    let mut text = line(&head);
    for (cells, row) in lines.iter().zip(rows) {
        text += &line(cells);
        if let Some(problem) = &row.problem {
            text += &format!("      {}\n", one_line(problem));
        }
    }
    text
}

/// Hunts and the like, a line each.
#[must_use]
pub fn collections(rows: &[CollectionRow], colour: bool) -> String {
    let line = |row: &CollectionRow| {
        let (name, state, bytes) = (&row.name, row.state.name(), bytes_in_words(row.bytes));
        let state =
            if state == "done" { Paint::Plain } else { Paint::of_outcome(state) }.paint(&format!("{state:10}"), colour);
        format!("{name:28}{GAP}{state}{GAP}{bytes:>9}\n")
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use results::store::RunState;

    use super::*;

    fn row(name: &str, short: &str) -> Row {
        let (time, digits) = name.rsplit_once('-').unwrap();
        Row {
            run: name.to_owned(),
            short: short.to_owned(),
            key: format!("{digits}-{time}"),
            started: "2026-11-21T18:41:50Z".to_owned(),
            state: RunState::Done,
            system: Some("raft".to_owned()),
            nodes: Some(5),
            workload: Some("register".to_owned()),
            nemeses: Some("all".to_owned()),
            mutant: None,
            seed: Some(7),
            verdict: Some("valid".to_owned()),
            reason: None,
            duration_ms: Some(31_000),
            ok_per_second: Some(1234.4),
            bytes: 1_234_567,
            labels: [("build".to_owned(), "abc".to_owned())].into(),
            is_pinned: false,
            is_imported: false,
            problem: None,
            path: String::new(),
        }
    }

    #[test]
    fn a_table_is_aligned_whatever_is_in_it() {
        let broken = Row {
            state: RunState::BrokenOff,
            verdict: None,
            duration_ms: None,
            ok_per_second: None,
            is_pinned: true,
            mutant: Some("raft-read-any-node".to_owned()),
            ..row("20261121-184150-3aff", "3a")
        };
        let hostile = Row {
            system: Some("\u{1b}[2Jx\u{202e}".to_owned()),
            workload: Some("w".repeat(300)),
            problem: Some("bad\nline".to_owned()),
            verdict: None,
            ..row("20261121-184150-3300", "33")
        };
        let text = table(&[row("20261122-000000-2026", "2026-"), broken, hostile], false);
        let wanted = "\
run    when (UTC)        system              nodes  workload                      nemeses  seed  verdict       time  ok/s    size  labels
2026-  2026-11-21 18:41  raft                    5  register                      all         7  valid       31.0 s  1234  1.2 MB  build=abc
3aff   2026-11-21 18:41  raft-read-any-node      5  register                      all         7  broken off                1.2 MB  (pinned) build=abc
3300   2026-11-21 18:41   [2Jx                   5  wwwwwwwwwwwwwwwwwwwwwwwwwww…  all         7  unreadable  31.0 s  1234  1.2 MB  build=abc
      bad line
";
        assert_eq!(text, wanted);
    }

    #[test]
    fn a_terminal_sees_which_digits_are_enough() {
        let text = table(&[row("20261121-184150-336e", "33")], true);
        assert!(
            text.contains("\x1b[1m33\x1b[0m\x1b[2m6e\x1b[0m") && text.contains("\x1b[1;32mvalid\x1b[0m"),
            "{text:?}"
        );
    }
}

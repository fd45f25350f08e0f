//! The page of runs: selected, sorted, a page at a time; and that of hunts and the like.

use std::cmp::Ordering;

use maud::{Markup, html};
use results::store::{Label, RunEntry, Selection};

use super::page::{Shown, badge};
use crate::listing::{CollectionRow, Row, bytes_in_words};

/// Runs on a page.
pub(super) const PAGE: usize = 100;

/// Hunts and the like that are shown.
const COLLECTIONS_MAX: usize = 500;

/// Labels of a run that are shown.
const LABELS_MAX: usize = 32;

/// What a column sorts by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Column {
    #[default]
    When,
    System,
    Nodes,
    Workload,
    Seed,
    Verdict,
    Time,
    Rate,
    Size,
}

impl Column {
    const ALL: [(Self, &'static str); 9] = [
        (Self::When, "when"),
        (Self::System, "system"),
        (Self::Nodes, "nodes"),
        (Self::Workload, "workload"),
        (Self::Seed, "seed"),
        (Self::Verdict, "verdict"),
        (Self::Time, "time"),
        (Self::Rate, "rate"),
        (Self::Size, "size"),
    ];

    fn word(self) -> &'static str {
        Self::ALL.iter().find(|(column, _)| *column == self).map_or("when", |(_, word)| word)
    }

    fn order(self, a: &Row, b: &Row) -> Ordering {
        match self {
            Self::When => a.run.cmp(&b.run),
            Self::System => a.system.cmp(&b.system),
            Self::Nodes => a.nodes.cmp(&b.nodes),
            Self::Workload => a.workload.cmp(&b.workload),
            Self::Seed => a.seed.cmp(&b.seed),
            Self::Verdict => a.outcome().cmp(b.outcome()),
            Self::Time => a.duration_ms.cmp(&b.duration_ms),
            Self::Rate => a.ok_per_second.unwrap_or(-1.0).total_cmp(&b.ok_per_second.unwrap_or(-1.0)),
            Self::Size => a.bytes.cmp(&b.bytes),
        }
    }
}

/// What the query of the page says. What it does not know is passed over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ListQuery {
    pub selection: String,
    pub column: Column,
    /// The smallest first; without it the largest, and so the newest.
    pub is_ascending: bool,
    /// From 0.
    pub page: usize,
}

impl ListQuery {
    pub(super) fn parse(query: &str) -> Self {
        let mut parsed = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "q" => parsed.selection = value.into_owned(),
                "sort" => {
                    parsed.column =
                        Column::ALL.iter().find(|(_, word)| *word == value).map_or(Column::When, |(column, _)| *column);
                }
                "order" => parsed.is_ascending = value == "up",
                "page" => parsed.page = value.parse().unwrap_or(0),
                _ => {}
            }
        }
        parsed
    }

    fn link(&self) -> String {
        let mut query = form_urlencoded::Serializer::for_suffix("/?".to_owned(), 2);
        query.append_pair("q", &self.selection).append_pair("sort", self.column.word());
        query.append_pair("order", if self.is_ascending { "up" } else { "down" });
        query.append_pair("page", &self.page.to_string());
        query.finish()
    }
}

/// The runs of a page, and how many there are on all pages; or what is wrong with the selection.
pub(super) fn choose(entries: &[RunEntry], query: &ListQuery) -> Result<(Vec<Row>, usize), String> {
    let selection = Selection::parse(&query.selection).map_err(|error| error.to_string())?;
    let chosen = selection.choose(entries).map_err(|error| error.to_string())?;
    // To look at every file of every run takes time, and is needed for one order only.
    let row = if query.column == Column::Size { Row::of } else { Row::without_size };
    let mut rows: Vec<Row> = chosen.iter().map(row).collect();
    rows.sort_by(|a, b| {
        let order = query.column.order(a, b);
        if query.is_ascending { order } else { order.reverse() }.then_with(|| b.run.cmp(&a.run))
    });
    let count = rows.len();
    let of_run = |row: &Row| chosen.iter().find(|entry| entry.dir.id().as_str() == row.run);
    let rows = rows.into_iter().skip(query.page.saturating_mul(PAGE)).take(PAGE);
    let rows = rows.map(|row| match of_run(&row) {
        Some(entry) if query.column != Column::Size => Row { bytes: entry.dir.bytes(), ..row },
        _ => row,
    });
    Ok((rows.collect(), count))
}

/// The page.
pub(super) fn runs(query: &ListQuery, chosen: Result<(Vec<Row>, usize), String>, store: &str) -> Markup {
    html! {
        h1 { "Runs" }
        form action="/" method="get" role="search" {
            input type="search" name="q" value=(Shown(&query.selection)) maxlength="8192" aria-label="Selection"
                placeholder="system=raft verdict=invalid label.build=abc since=2026-11-01 latest:20";
            button type="submit" { "Select" }
        }
        p.quiet {
            a href="/?q=verdict%3Dinvalid" { "invalid" } " · "
            a href="/?q=verdict%3Dunknown%2Cvacuous%2Cnone" { "without a verdict" } " · "
            a href="/" { "all" }
        }
        @match chosen {
            Err(why) => p.problem { (Shown(&why)) },
            Ok((rows, count)) => {
                section { div.scroll { (table(query, &rows)) } (pages(query, count)) }
                p.quiet { (count) @if count == 1 { " run" } @else { " runs" } " in " (Shown(store)) }
            },
        }
    }
}

/// The columns: the name, what it sorts by, and whether it holds numbers.
const COLUMNS: [(&str, Option<Column>, bool); 12] = [
    ("run", None, false),
    ("when (UTC)", Some(Column::When), false),
    ("verdict", Some(Column::Verdict), false),
    ("system", Some(Column::System), false),
    ("nodes", Some(Column::Nodes), true),
    ("workload", Some(Column::Workload), false),
    ("nemeses", None, false),
    ("seed", Some(Column::Seed), true),
    ("time", Some(Column::Time), true),
    ("ok/s", Some(Column::Rate), true),
    ("size", Some(Column::Size), true),
    ("labels", None, false),
];

fn table(query: &ListQuery, rows: &[Row]) -> Markup {
    html! {
        table.cards {
            thead { tr {
                @for (name, column, is_number) in COLUMNS {
                    th.number[is_number] aria-sort=[sorted(query, column)] {
                        @if let Some(column) = column {
                            @let is_ascending = query.column == column && !query.is_ascending;
                            a href=(ListQuery { column, is_ascending, page: 0, ..query.clone() }.link()) { (name) }
                        } @else { (name) }
                    }
                }
            } }
            tbody { @for row in rows { (line(row)) } }
        }
    }
}

fn sorted(query: &ListQuery, column: Option<Column>) -> Option<&'static str> {
    (column == Some(query.column)).then_some(if query.is_ascending { "ascending" } else { "descending" })
}

fn line(row: &Row) -> Markup {
    let (short, rest) = row.name_parts();
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let number = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
    html! {
        tr {
            td.together data-name="run" { span { a href={ "/runs/" (row.run) } { b { (short) } (rest) } } }
            td.together data-name="when" { span { (Shown(&row.started.replace('T', " ").replace('Z', ""))) } }
            td data-name="verdict" { span { (badge(row.outcome())) } }
            td data-name="system" { span { (Shown(&text(&row.system))) @if let Some(mutant) = &row.mutant { " " span.quiet { (Shown(mutant)) } } } }
            td.number data-name="nodes" { span { (number(row.nodes)) } }
            td data-name="workload" { span { (Shown(&text(&row.workload))) } }
            td data-name="nemeses" { span { (Shown(&text(&row.nemeses))) } }
            td.number data-name="seed" { span { (number(row.seed)) } }
            td.number data-name="time" { span { (row.duration_ms.map(|ms| format!("{:.1} s", ms as f64 / 1e3)).unwrap_or_default()) } }
            td.number data-name="ok/s" { span { (row.ok_per_second.map(|rate| format!("{rate:.0}")).unwrap_or_default()) } }
            td.number data-name="size" { span { (bytes_in_words(row.bytes)) } }
            td data-name="labels" { span {
                @if row.is_pinned { span.label { "pinned" } }
                @if row.is_imported { span.label { "imported" } }
                (labels(row))
                @if let Some(problem) = &row.problem { span.quiet { (Shown(problem)) } }
            } }
        }
    }
}

/// The labels of a run, each with the way to all that have it.
pub(super) fn labels(row: &Row) -> Markup {
    html! {
        @for (name, value) in row.labels.iter().take(LABELS_MAX) {
            @let label = format!("{name}={value}");
            @match label.parse::<Label>() {
                // What somebody else wrote may be none that can be selected by.
                Err(_) => span.label { (Shown(&label)) },
                Ok(_) => a.label href=(ListQuery { selection: format!("label.{label}"), ..ListQuery::default() }.link()) { (Shown(&label)) },
            }
        }
    }
}

fn pages(query: &ListQuery, count: usize) -> Markup {
    let last = count.saturating_sub(1) / PAGE;
    let to = |page: usize| ListQuery { page, ..query.clone() }.link();
    html! {
        @if last > 0 || query.page > last {
            div.pages {
                @if query.page > 0 { a href=(to(query.page.saturating_sub(1).min(last))) rel="prev" { "newer" } }
                span.quiet { "page " (query.page.saturating_add(1)) " of " (last + 1) }
                @if query.page < last { a href=(to(query.page + 1)) rel="next" { "older" } }
            }
        }
    }
}

/// Hunts, gates, benches and replays, the newest first.
pub(super) fn collections(rows: &[CollectionRow]) -> Markup {
    html! {
        h1 { "Hunts, gates, benches, replays" }
        section {
            @if rows.is_empty() { p.quiet { "There are none." } }
            table.cards {
                @for row in rows.iter().rev().take(COLLECTIONS_MAX) {
                    tr {
                        td data-name=(row.kind) { span { code { (Shown(&row.name)) } } }
                        td data-name="when" { span { (Shown(&row.started.replace('T', " ").replace('Z', ""))) } }
                        td data-name="state" { span { (badge(row.state.name())) } }
                        td.number data-name="size" { span { (bytes_in_words(row.bytes)) } }
                    }
                }
            }
            @if rows.len() > COLLECTIONS_MAX { p.quiet { (rows.len() - COLLECTIONS_MAX) " older ones are not shown" } }
        }
        p.quiet { "What came out of each is in its directory, in hunt.json, gate.json, bench.json or replay.json." }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_and_its_link_are_the_same() {
        let query = ListQuery {
            selection: "label.a=<&\"x>+y system=raft".to_owned(),
            column: Column::Size,
            is_ascending: true,
            page: 7,
        };
        let link = query.link();
        assert!(!link.contains(['<', '"', '>', ' ']), "{link}");
        assert_eq!(ListQuery::parse(link.strip_prefix("/?").unwrap()), query);
        for odd in ["", "q", "page=-1&sort=x&order=sideways&other=1", "page=99999999999999999999999", "%ff=%ff&q=%00"] {
            assert_eq!(ListQuery::parse(odd).page, 0, "{odd}");
        }
    }
}

//! The page of one run: what came out, why, what it was of, and its files.

use checkers::verdict::Verdict;
use maud::{Markup, html};
use results::{
    check::verdict_name,
    latency::{Ending, Measure},
    store::{Manifest, RunEntry},
    summary::{Summary, render},
};

use super::{
    handlers::SERVED_BYTES_MAX,
    list::labels,
    page::{Shown, badge},
};
use crate::listing::{Row, bytes_in_words, harmless};

/// Lines of a list that are shown: a summary has a few, and one of somebody else's may have any number.
const LINES_MAX: usize = 200;

/// What is known of a run beside what is in its directory.
pub(super) struct RunPage<'a> {
    pub entry: &'a RunEntry,
    pub files: &'a [(String, u64)],
    /// There is a report, or one can be made.
    pub has_report: bool,
}

/// The page.
pub(super) fn run(page: &RunPage<'_>) -> Markup {
    let RunPage { entry, files, has_report } = page;
    let row = Row::of(entry);
    html! {
        h1 { (badge(row.outcome())) " " (row.run) }
        @if let Some(problem) = &row.problem { p.problem { (Shown(problem)) } }
        @if let Some(summary) = &entry.summary { p { (Shown(&summary.reason)) } }
        @if *has_report { p { a href={ "/runs/" (row.run) "/report" } { "The report: counterexample, lanes, latencies, faults on one time axis" } } }
        section { (facts(&row, entry.summary.as_ref())) }
        @if let Some(summary) = &entry.summary { (outcome(summary)) }
        @if let Ok(manifest) = &entry.manifest { (of(manifest)) }
        (files_of(&row.run, files))
    }
}

fn facts(row: &Row, summary: Option<&Summary>) -> Markup {
    let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "–".to_owned());
    html! {
        dl {
            div { dt { "system" } dd { (Shown(&text(&row.system))) @if let Some(mutant) = &row.mutant { " with " (Shown(mutant)) } } }
            div { dt { "nodes" } dd { (row.nodes.map_or_else(|| "–".to_owned(), |nodes| nodes.to_string())) } }
            div { dt { "workload" } dd { (Shown(&text(&row.workload))) @if let Some(summary) = summary { " by " (summary.clients) " clients" } } }
            div { dt { "nemeses" } dd { (Shown(&text(&row.nemeses))) } }
            div { dt { "seed" } dd { (row.seed.map_or_else(|| "–".to_owned(), |seed| seed.to_string())) } }
            div { dt { "started (UTC)" } dd { (Shown(&row.started.replace('T', " ").replace('Z', ""))) } }
            @if let Some(ms) = row.duration_ms { div { dt { "load" } dd { (format!("{:.1} s", ms as f64 / 1e3)) } } }
            @if let Some(rate) = row.ok_per_second { div { dt { "throughput" } dd { (format!("{rate:.0}")) " ok a second" } } }
            @if let Some(ms) = summary.and_then(|summary| summary.recovery_ms) { div { dt { "recovery" } dd { (format!("{:.1} s", ms as f64 / 1e3)) } } }
            div { dt { "on disk" } dd { (bytes_in_words(row.bytes)) } }
            @if !row.labels.is_empty() || row.is_pinned || row.is_imported {
                div { dt { "labels" } dd {
                    @if row.is_pinned { span.label { "pinned" } }
                    @if row.is_imported { span.label { "imported" } }
                    (labels(row))
                } }
            }
        }
    }
}

fn outcome(summary: &Summary) -> Markup {
    let answered =
        summary.latencies.iter().filter(|row| row.ending == Ending::Answered && row.measure == Measure::Response);
    let ms = |ns: u64| format!("{:.2} ms", ns as f64 / 1e6);
    html! {
        @if let Some(error) = &summary.harness_error { p.problem { "harness error: " (Shown(error)) } }
        @if !summary.checks.is_empty() {
            section {
                h2 { "Checks" }
                table.cards { @for check in summary.checks.iter().take(LINES_MAX) {
                    tr {
                        td.together data-name="check" { span { b { (check.name.name()) } } }
                        td data-name="result" { span { (badge(verdict_name(check.result))) } }
                        td data-name="why" { span { (Shown(&check.reason)) } }
                    }
                } }
            }
        }
        @if let Some(violation) = &summary.violation {
            section {
                h2 { "Violation" }
                @for sentence in violation.sentences.iter().take(LINES_MAX) { p { (Shown(sentence)) } }
                pre { @for line in violation.diagram.iter().take(LINES_MAX) { (Shown(line)) "\n" } }
            }
        }
        @if !summary.notes.is_empty() {
            section { h2 { "Notes" } @for note in summary.notes.iter().take(LINES_MAX) { p { (Shown(note)) } } }
        }
        @if summary.verdict == Verdict::Invalid && let Some(ladder) = &summary.ladder {
            section { h2 { "What still holds" } pre { @for line in ladder.lines().iter().take(LINES_MAX) { (Shown(line)) "\n" } } }
        }
        section {
            h2 { "Latency from the intended start" }
            table.cards {
                thead { tr { th { "operation" } th.number { "count" } th.number { "p50" } th.number { "p99" } th.number { "max" } } }
                @for row in answered.take(LINES_MAX) {
                    tr {
                        td data-name="operation" { span { (Shown(&row.operation)) } }
                        td.number data-name="count" { span { (row.count) } }
                        td.number data-name="p50" { span { (ms(row.p50_ns)) } }
                        td.number data-name="p99" { span { (ms(row.p99_ns)) } }
                        td.number data-name="max" { span { (ms(row.max_ns)) } }
                    }
                }
            }
        }
        section { details { summary { "As on the terminal" } pre { (as_on_the_terminal(summary)) } } }
        @if let Some(replay) = &summary.replay { section { h2 { "Again" } pre.command { (Shown(replay)) } } }
    }
}

/// Whole, up to a bound.
fn as_on_the_terminal(summary: &Summary) -> String {
    let text = render(&Summary { files: [].into(), ..harmless(summary) }, false);
    text.lines().take(LINES_MAX).fold(String::new(), |text, line| text + line + "\n")
}

fn of(manifest: &Manifest) -> Markup {
    let machine = &manifest.machine;
    let unknown = || "unknown".to_owned();
    html! {
        section {
            h2 { "What it was of" }
            dl {
                div { dt { "trueline" } dd { (Shown(&manifest.trueline)) } }
                div { dt { "revision" } dd { code { (Shown(manifest.directory_revision.as_deref().unwrap_or("unknown"))) } } }
                div { dt { "machine" } dd { (machine.cpus) " cpus, " (Shown(&machine.cpu_model.clone().unwrap_or_else(unknown))) } }
                div { dt { "memory" } dd { (machine.memory_bytes.map_or_else(unknown, bytes_in_words)) } }
                div { dt { "kernel" } dd { (Shown(&machine.kernel)) } }
                div { dt { "system" } dd { (Shown(&machine.os.clone().unwrap_or_else(unknown))) } }
            }
            p { code { (Shown(&manifest.command.join(" "))) } }
        }
    }
}

fn files_of(run: &str, files: &[(String, u64)]) -> Markup {
    html! {
        section {
            h2 { "Files" }
            table {
                // A report is shown as a page of its own.
                @for (name, bytes) in files.iter().filter(|(name, _)| name != "report.html").take(LINES_MAX) {
                    tr {
                        td {
                            @if *bytes <= SERVED_BYTES_MAX { a href={ "/runs/" (run) "/files/" (name) } { (name) } }
                            @else { (name) " " span.quiet { "(too large to be shown here)" } }
                        }
                        td.number { (bytes_in_words(*bytes)) }
                    }
                }
            }
        }
    }
}

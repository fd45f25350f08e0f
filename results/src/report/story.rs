//! The top of the page: what came out and why, in plain sentences and tables. It needs no script.

use checkers::{
    ladder::{Answer, Ladder, Level},
    verdict::{Anomaly, Verdict},
};
use maud::{Markup, html};

use super::{Material, counterexample::duration, values};
use crate::{
    check::verdict_name,
    latency::{Ending, Measure},
    phases::{Outage, Spread},
    store::Manifest,
    summary::{Summary, one_line, render::grouped},
};

/// The longest sentence of a file that is shown, characters.
const SENTENCE_CHARS: usize = 4_000;

/// Kinds of faults whose outages are listed.
const OUTAGES_SHOWN: usize = 40;

/// Reasons of failures that are listed.
const REASONS_SHOWN: usize = 12;

/// A text from a file: in one line, and not without end.
fn told(text: &str) -> String {
    one_line(&values::shortened(text, SENTENCE_CHARS)).to_string()
}

/// The headline: the verdict and what it is about.
pub(super) fn headline(material: &Material<'_>) -> Markup {
    html! {
        @match material.summary {
            Some(summary) => {
                div.verdict.(verdict_name(summary.verdict)) {
                    span.mark aria-hidden="true" { (mark(summary.verdict)) }
                    h1 { (verdict_name(summary.verdict)) }
                    p.about { (about(summary)) }
                }
            }
            None => {
                div.verdict.unknown {
                    span.mark aria-hidden="true" { "?" }
                    h1 { "no verdict" }
                    p.about { "The run was broken off, or it is still going on: there is no verdict.json. What was recorded until then is shown below." }
                }
            }
        }
        p.run-name { "run " code { (told(&material.run)) } @if let Ok(manifest) = &material.manifest { " · " (told(&manifest.started)) } }
    }
}

fn mark(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Valid => "✓",
        Verdict::Invalid => "✗",
        Verdict::Unknown => "?",
        Verdict::Vacuous => "∅",
    }
}

fn about(summary: &Summary) -> String {
    let Summary { system, nodes, workload, clients, seed, duration_ms, .. } = summary;
    let plural = |count: u32| if count == 1 { "" } else { "s" };
    let seconds = *duration_ms as f64 / 1e3;
    told(&format!(
        "{system}, {nodes} node{}, {workload} by {clients} client{}, {seconds:.1} s, seed {seed}",
        plural(*nodes),
        plural(*clients)
    ))
}

/// What is not there, in sentences.
pub(super) fn missing(material: &Material<'_>, kept: usize) -> Markup {
    let timeline = material.timeline;
    let total = timeline.history.len();
    html! {
        @if let Err(why) = &material.manifest { p.missing { "The manifest cannot be read, so clients and nodes cannot be told apart: " (told(why)) } }
        @if total == 0 { p.missing { "The history has no operations." } }
        @if kept < total {
            p.missing #sampled {
                "The lanes show " (grouped(kept as u64)) " of " (grouped(total as u64)) " operations, drawn evenly, so that this file opens quickly. "
                "Rates on the lanes are estimated from them; the figures in the tables count all."
            }
        }
        @if timeline.nodes.is_empty() { p.missing { "How the nodes stood was not recorded (no nodes.jsonl): their lanes are left out." } }
    }
}

/// The checks with their reasons.
pub(super) fn checks(summary: &Summary) -> Markup {
    html! {
        section aria-labelledby="why" {
            h2 #why { "Why" }
            @if let Some(error) = &summary.harness_error { p.finding { "The harness itself failed: " (told(error)) } }
            @if summary.checks.is_empty() { p { (told(&summary.reason)) } } @else {
                div.scroll tabindex="0" role="group" aria-label="The checks" {
                    table.checks {
                        thead.quiet { tr { th scope="col" { "Check" } th scope="col" { "Result" } th scope="col" { "Because" } } }
                        tbody {
                            @for check in &summary.checks {
                                tr { th scope="row" { (check.name.name()) } td { (badge(check.result)) } td { (told(&check.reason)) } }
                            }
                        }
                    }
                }
            }
            @for note in &summary.notes { p.note { "Note: " (told(note)) } }
            @if let Some(fail_fast) = &summary.fail_fast { p.note { "Fail-fast: " (told(fail_fast)) } }
            @if let Some(mutant) = &summary.mutant {
                p.note { "The nodes ran with the mutant " code { (told(&mutant.name)) } ", whose rule decided wrongly " (grouped(mutant.fired)) " times." }
            }
        }
    }
}

fn badge(verdict: Verdict) -> Markup {
    html! { span.badge.(verdict_name(verdict)) { (mark(verdict)) " " (verdict_name(verdict)) } }
}

/// The command that does it again, to be copied.
pub(super) fn replay(summary: &Summary) -> Markup {
    html! {
        @if let Some(replay) = &summary.replay {
            section aria-labelledby="again" {
                h2 #again { "Again" }
                div.command { code #replay { (told(replay)) } button #copy type="button" hidden { "Copy" } }
            }
        }
    }
}

/// What still holds.
pub(super) fn ladder(ladder: &Ladder) -> Markup {
    html! {
        section aria-labelledby="ladder" {
            h2 #ladder { "What still holds" }
            div.scroll tabindex="0" role="group" aria-label="What still holds" {
                table.checks {
                    thead.quiet { tr { th scope="col" { "Level" } th scope="col" { "Holds" } th scope="col" { "Because" } } }
                    tbody {
                        @for rung in ladder.rungs.iter().filter(|rung| rung.level != Level::Linearizable) {
                            tr {
                                th scope="row" { (rung.level.name()) }
                                @match &rung.answer {
                                    Answer::Holds => { td { span.badge.valid { "✓ holds" } } td {} }
                                    Answer::Fails(found) => {
                                        td { span.badge.invalid { "✗ fails" } }
                                        td { (told(&found.description)) " " (operations(&found.operations)) }
                                    }
                                    Answer::Unknown(why) => { td { span.badge.unknown { "? unknown" } } td { (told(why)) } }
                                }
                            }
                        }
                    }
                }
            }
            @if let Some(staleness) = &ladder.staleness { p.note { "Stale reads: " (told(&staleness.words())) "." } }
        }
    }
}

/// Links to a few operations.
fn operations(numbers: &[u32]) -> Markup {
    html! { @for number in numbers.iter().take(8) { a href={ "#op=" (number) } { "#" (number) } " " } }
}

/// What was found, by the field's name for it.
pub(super) fn anomaly(anomaly: Anomaly) -> String {
    let name = serde_json::to_value(anomaly).ok().and_then(|name| name.as_str().map(|name| name.replace('-', " ")));
    name.unwrap_or_default()
}

/// Numbers and places.
pub(super) fn figures(summary: &Summary) -> Markup {
    let throughput = &summary.throughput;
    let faults: Vec<String> = summary
        .faults
        .iter()
        .map(|(kind, counts)| match counts.landed == counts.started {
            true => format!("{kind} {}", counts.landed),
            false => format!("{kind} {} of {} landed", counts.landed, counts.started),
        })
        .collect();
    html! {
        section aria-labelledby="figures" {
            h2 #figures { "Figures" }
            dl.facts {
                @if throughput.highest > 0 {
                    (fact("Throughput", &format!("{} ok/s", grouped(throughput.mean.round() as u64))))
                    (fact("Worst and best second", &format!("{} to {}", grouped(throughput.lowest), grouped(throughput.highest))))
                }
                @if let Some(recovery) = summary.recovery_ms { (fact("Recovery", &format!("{:.1} s after the last heal", recovery as f64 / 1e3))) }
                (fact("Leader changes", &grouped(summary.leader_changes)))
                @if let Some(judged) = &summary.judged {
                    (fact("Judged", &format!("{} operations on {} keys in {:.1} s, {}", grouped(judged.operations), grouped(judged.keys), judged.elapsed_ms as f64 / 1e3, judged.decided_by)))
                }
                (fact("Faults", &if faults.is_empty() { "none".to_owned() } else { faults.join(", ") }))
            }
            div.tables { (operation_table(summary)) (latency_table(summary)) (outage_table(summary)) }
        }
    }
}

fn fact(name: &str, value: &str) -> Markup {
    html! { div { dt { (told(name)) } dd { (told(value)) } } }
}

fn operation_table(summary: &Summary) -> Markup {
    let mut reasons: Vec<(&String, &u64)> = summary.operations.reasons.iter().collect();
    reasons.sort_by_key(|&(name, &count)| (std::cmp::Reverse(count), name));
    let reasons: Vec<String> =
        reasons.iter().take(REASONS_SHOWN).map(|(name, count)| format!("{name} {}", grouped(**count))).collect();
    html! {
        @if !summary.operations.by_function.is_empty() {
            div.scroll tabindex="0" role="group" aria-label="Operations by outcome" {
                table {
                    thead { tr { th scope="col" { "Operations" } th.number scope="col" { "ok" } th.number scope="col" { "mismatch" } th.number scope="col" { "fail" } th.number scope="col" { "unknown" } } }
                    tbody {
                        @for (function, counts) in &summary.operations.by_function {
                            tr { th scope="row" { (told(function)) } @for count in [counts.ok, counts.mismatch, counts.fail, counts.info] { td.number { (grouped(count)) } } }
                        }
                    }
                }
                @if !reasons.is_empty() { p.note { "Because: " (told(&reasons.join(", "))) } }
            }
        }
    }
}

fn latency_table(summary: &Summary) -> Markup {
    let rows = summary.latencies.iter();
    let rows: Vec<_> = rows.filter(|row| row.ending == Ending::Answered && row.measure == Measure::Response).collect();
    html! {
        @if !rows.is_empty() {
            div.scroll tabindex="0" role="group" aria-label="Latencies" {
                table {
                    thead { tr { th scope="col" { "Latency" } @for name in ["p50", "p90", "p99", "p99.9", "max"] { th.number scope="col" { (name) } } } }
                    tbody {
                        @for row in rows {
                            tr { th scope="row" { (told(&row.operation)) } @for ns in [row.p50_ns, row.p90_ns, row.p99_ns, row.p999_ns, row.max_ns] { td.number { (duration(ns)) } } }
                        }
                    }
                }
            }
        }
    }
}

/// How the service stood the faults of each name, those that it was away longest for first.
fn outage_table(summary: &Summary) -> Markup {
    let mut outages: Vec<&Outage> = summary.outages.iter().collect();
    // What never came is worse than what came late.
    let failover = |outage: &Outage| outage.failover_ms.map_or(f64::INFINITY, |failover| failover.worst);
    outages.sort_by(|a, b| {
        let unavailable = b.unavailable_ms.worst.total_cmp(&a.unavailable_ms.worst);
        unavailable.then_with(|| failover(b).total_cmp(&failover(a)))
    });
    let cell = |spread: Option<Spread>| {
        spread.map_or_else(|| "never".to_owned(), |s| format!("{} / {}", ms(s.median), ms(s.worst)))
    };
    html! {
        @if !outages.is_empty() {
            div.scroll tabindex="0" role="group" aria-label="What each fault did, milliseconds, median and worst" {
                table {
                    thead { tr { th scope="col" { "Faults, ms" } th.number scope="col" { "times" } th.number scope="col" { "failover" } th.number scope="col" { "recovery" } th.number scope="col" { "no answers" } } }
                    tbody {
                        @for outage in outages.iter().take(OUTAGES_SHOWN) {
                            tr { th scope="row" { (told(&outage.name)) } td.number { (grouped(outage.count as u64)) } @for spread in [outage.failover_ms, outage.recovery_ms, Some(outage.unavailable_ms)] { td.number { (cell(spread)) } } }
                        }
                    }
                }
                @if outages.len() > OUTAGES_SHOWN { p.note { (outages.len() - OUTAGES_SHOWN) " more kinds of faults, none of which was worse." } }
                p.note {
                    "Median / worst, of those that had one. Failover: from a fault's beginning until a change begun after it was answered; recovery: from its end; "
                    "no answers: all gaps together, short ones left out."
                }
            }
        }
    }
}

fn ms(ms: f64) -> String {
    grouped(ms.round() as u64)
}

/// Where the files are, and of what the run was.
pub(super) fn files(material: &Material<'_>) -> Markup {
    html! {
        section aria-labelledby="files" {
            h2 #files { "Where it is" }
            dl.facts.wide {
                @if let Some(summary) = material.summary { @for (name, path) in &summary.files { (fact(name, path)) } }
                @if let Ok(manifest) = &material.manifest { (machine(manifest)) }
            }
        }
    }
}

fn machine(manifest: &Manifest) -> Markup {
    let machine = &manifest.machine;
    let words = format!(
        "{} × {}, {} MiB, {}, {}",
        machine.cpus,
        machine.cpu_model.as_deref().unwrap_or("processor"),
        machine.memory_bytes.unwrap_or(0) >> 20,
        machine.kernel,
        machine.os.as_deref().unwrap_or("?"),
    );
    html! {
        (fact("Machine", &words))
        (fact("Trueline", &manifest.trueline))
        @if let Some(revision) = &manifest.directory_revision { (fact("Revision", revision)) }
        (fact("Command", &manifest.command.join(" ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outage(name: &str, unavailable: f64, failover: Option<f64>) -> Outage {
        let spread = |worst: f64| Spread { median: 1.0, worst };
        Outage {
            name: name.to_owned(),
            count: 1_200,
            failover_ms: failover.map(spread),
            recovery_ms: None,
            unavailable_ms: spread(unavailable),
        }
    }

    #[test]
    fn outages_are_listed_the_worst_first_and_their_names_are_no_markup() {
        let mut summary = Summary::new("raft", "register", 1);
        assert!(outage_table(&summary).into_string().is_empty(), "no faults, no table");
        summary.outages = vec![
            outage("mild", 20.0, Some(3.0)),
            outage("late", 40_000.4, Some(7.0)),
            outage("<b>evil\u{7}", 40_000.4, None),
        ];
        let table = outage_table(&summary).into_string();
        let place = |words: &str| table.find(words).unwrap_or_else(|| panic!("{words:?} is not in {table}"));
        assert!(place("&lt;b&gt;evil") < place("late") && place("late") < place("mild"));
        assert!(!table.contains("<b>") && !table.contains('\u{7}'));
        assert!(place(">never<") < place(">1 / 40,000<"));
        assert!(table.contains(">1,200<") && !table.contains("more kinds"));
        summary.outages = (0..43).map(|number| outage(&format!("fault {number}"), f64::from(number), None)).collect();
        let many = outage_table(&summary).into_string();
        assert!(many.contains("3 more kinds") && many.contains(">fault 3<") && !many.contains(">fault 2<"));
    }
}

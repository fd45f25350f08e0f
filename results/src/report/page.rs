//! The whole page: the story, the counterexample, the lanes' frame, and the data and script that fill it.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{Material, columns, counterexample, lanes::Lanes, story};
use crate::summary::one_line;

const STYLE: &str = include_str!("page/page.css");

/// The script's parts in their order. They share one scope, and none of their names is visible outside of it.
const SCRIPT: [&str; 8] = [
    include_str!("page/words.js"),
    include_str!("page/data.js"),
    include_str!("page/levels.js"),
    include_str!("page/view.js"),
    include_str!("page/lanes.js"),
    include_str!("page/charts.js"),
    include_str!("page/details.js"),
    include_str!("page/main.js"),
];

/// What the keys do.
const KEYS: [(&str, &str); 11] = [
    ("+ / −", "zoom in, zoom out"),
    ("← / →", "move along the time axis"),
    ("0", "show the whole run"),
    ("v", "jump to the violation"),
    ("e", "next operation that did not succeed"),
    ("n / p", "next, previous operation of the same client"),
    ("k / j", "next, previous operation on the same key"),
    ("z", "zoom to the chosen operation"),
    ("t", "light or dark"),
    ("Esc", "close what is open"),
    ("?", "this list"),
];

/// The page, whose script and style carry this number.
pub(super) fn render(material: &Material<'_>, nonce: &str) -> String {
    let manifest = material.manifest.as_ref().ok().copied();
    let lanes = Lanes::of(&material.timeline.history, manifest);
    let data = columns::encode(material, &lanes);
    let violation = material.summary.and_then(|summary| summary.violation.as_ref());
    let title = match material.summary {
        Some(summary) => {
            format!("{} · {} · {}", crate::check::verdict_name(summary.verdict), summary.system, material.run)
        }
        None => format!("no verdict · {}", material.run),
    };
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; base-uri 'none'; form-action 'none'"
    );
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="referrer" content="no-referrer";
                title { (one_line(&title)) }
                style nonce=(nonce) { (PreEscaped(STYLE)) }
            }
            body {
                a.skip href="#board" { "Skip to the lanes" }
                header { (story::headline(material)) }
                main {
                    (story::missing(material, data.kept))
                    @if let Some(found) = violation {
                        p.kind { "Found: " strong { (story::anomaly(found.anomaly)) } " on key " code { (one_line(&super::values::shown(&found.key, 60))) } }
                        (counterexample::section(found, material.timeline, &lanes))
                    }
                    div.columns {
                        @if let Some(summary) = material.summary {
                            div { (story::checks(summary)) @if let Some(ladder) = &summary.ladder { (story::ladder(ladder)) } (story::replay(summary)) }
                            div { (story::figures(summary)) }
                        }
                    }
                    (board(violation.is_some()))
                    (story::files(material))
                }
                (keys())
                script #data type="application/octet-stream" { (PreEscaped(&data.text)) }
                script nonce=(nonce) { (PreEscaped("(() => {\n'use strict';\n")) @for part in SCRIPT { (PreEscaped(part)) "\n" } (PreEscaped("})();\n")) }
            }
        }
    };
    page.into_string()
}

/// The frame of the lanes, which the script fills.
fn board(has_violation: bool) -> Markup {
    let button = |id: &str, name: &str, what: &str| html! { button type="button" id=(id) title=(what) aria-label=(what) { (name) } };
    html! {
        section #board aria-labelledby="board-title" {
            h2 #board-title { "The run on one axis" }
            noscript { p.missing { "The lanes need JavaScript. Everything above and below does not." } }
            p #status role="status" { "Reading the operations…" }
            div #frame hidden {
                div.sticky {
                    div.tools role="toolbar" aria-label="Time axis" {
                        (button("zoom-in", "+", "Zoom in"))
                        (button("zoom-out", "−", "Zoom out"))
                        (button("left", "←", "Earlier"))
                        (button("right", "→", "Later"))
                        (button("whole", "Whole run", "Show the whole run"))
                        @if has_violation { (button("violation", "✗ Violation", "Jump to the violation")) }
                        label.jump { "Operation " input #number type="text" inputmode="numeric" size="8" aria-label="Number of an operation to go to"; }
                        span.spread {}
                        span #range aria-live="polite" {}
                        (button("theme", "◐", "Light or dark"))
                        (button("help", "?", "What the keys do"))
                    }
                    canvas #overview tabindex="0" role="slider" aria-label="Overview of the whole run: the arrow keys move the part that is shown" aria-valuemin="0" aria-valuemax="100" aria-valuenow="0" {}
                    canvas #axis aria-hidden="true" {}
                }
                div #split {
                    canvas #lanes tabindex="0" role="img" aria-label="Faults, nodes, clients, latency, throughput and availability over time. n, p, e and v choose operations; what is chosen is told beside." {}
                    aside #details hidden aria-live="polite" aria-label="The chosen operation" {}
                }
                ul #legend aria-label="Colours" {}
                p.hint { "Drag to move; Ctrl and the wheel zoom, and the wheel alone once you have clicked into the lanes. Drag over the strip above the axis to choose a part. Press ? for the keys." }
                ul #remarks {}
            }
        }
        div #tooltip hidden aria-hidden="true" {}
    }
}

fn keys() -> Markup {
    html! {
        dialog #keys aria-labelledby="keys-title" {
            h2 #keys-title { "Keys" }
            dl { @for (key, what) in KEYS { div { dt { kbd { (key) } } dd { (what) } } } }
            button #keys-close type="button" { "Close" }
        }
    }
}

#[cfg(test)]
mod tests;

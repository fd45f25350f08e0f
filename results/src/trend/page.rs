//! A trend as a picture and as a page: files that need nothing else, and hold no script.

use maud::{DOCTYPE, Markup, html};

use super::{Trend, chart};
use crate::{compare::shown, statistics::shift::median_of, summary::one_line};

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 360.0;
const LEFT: f64 = 90.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 20.0;
const BOTTOM: f64 = 40.0;

/// Lines across the picture.
const LINES: u32 = 5;

/// Points that the page lists, the newest first; the picture has all of them.
const LISTED_MAX: usize = 500;

const STYLE: &str = "\
svg{font:12px system-ui,sans-serif;color:#222;background:#fff}\
.grid{stroke:#ddd}.axis{fill:#555}.point{fill:#2563a8}.level{stroke:#2563a8;stroke-width:2;opacity:.45}\
.worse{stroke:#b3261e;stroke-dasharray:4 3}.better{stroke:#2e7d32;stroke-dasharray:4 3}";

const PAGE_STYLE: &str = "\
body{font:15px/1.45 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}\
table{border-collapse:collapse}td,th{padding:.2rem .8rem .2rem 0;text-align:left;border-bottom:1px solid #ddd}\
td.n{text-align:right;font-variant-numeric:tabular-nums}svg{max-width:100%;height:auto}";

/// The picture, without a style: whoever shows it has one for `grid`, `axis`, `point`, `level`, `worse` and `better`.
#[must_use]
pub fn picture(trend: &Trend) -> Markup {
    drawn(trend, None)
}

/// The picture as a file of its own.
#[must_use]
pub fn svg(trend: &Trend) -> String {
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{}\n", drawn(trend, Some(STYLE)).into_string())
}

/// The page: the picture, the steps, and the points.
#[must_use]
pub fn html(trend: &Trend) -> String {
    let name = one_line(&trend.metric.name).to_string();
    let newest = || trend.points.iter().rev().take(LISTED_MAX);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'";
                title { "Trend of " (name) }
                style { (PAGE_STYLE) }
            }
            body {
                h1 { (name) ", " (trend.metric.unit.name()) }
                p { (trend.points.len()) " points" }
                (drawn(trend, Some(STYLE)))
                h2 { "Steps" }
                @if trend.changes.is_empty() { p { "None was found." } }
                ul { @for change in &trend.changes { li { (chart::told(trend, change)) } } }
                @for note in &trend.notes { p { "Note: " (one_line(note)) } }
                h2 { "Points" }
                @if trend.points.len() > LISTED_MAX { p { "The newest " (LISTED_MAX) ":" } }
                table {
                    tr { th { "time" } th { "value" } th { "revision" } th { "labels" } th { "runs" } }
                    @for point in newest() {
                        tr {
                            td { (one_line(&point.time)) }
                            td.n { (shown(point.value, trend.metric.unit)) }
                            td { (one_line(point.revision.as_deref().unwrap_or(""))) }
                            td { @for (name, value) in &point.labels { (one_line(name)) "=" (one_line(value)) " " } }
                            td { (one_line(&point.runs.join(" "))) }
                        }
                    }
                }
            }
        }
    };
    page.into_string()
}

fn drawn(trend: &Trend, looks: Option<&str>) -> Markup {
    let values: Vec<f64> = trend.points.iter().map(|point| point.value).collect();
    let (low, high) = if values.is_empty() { (0.0, 1.0) } else { chart::bounds(&values) };
    #[expect(clippy::cast_precision_loss, reason = "places of points in a picture")]
    let x = |place: usize| LEFT + (WIDTH - LEFT - RIGHT) * (place as f64 + 0.5) / values.len().max(1) as f64;
    let y = |value: f64| TOP + (HEIGHT - TOP - BOTTOM) * (high - value) / (high - low);
    let at = |number: f64| format!("{number:.1}");
    let unit = trend.metric.unit;
    let grid: Vec<f64> = (0..LINES).map(|line| low + (high - low) * f64::from(line) / f64::from(LINES - 1)).collect();
    let ends: Vec<usize> = trend.changes.iter().map(|change| change.at).chain([values.len()]).collect();
    let starts = std::iter::once(0).chain(trend.changes.iter().map(|change| change.at));
    let parts: Vec<(usize, usize)> = starts.zip(ends).filter(|(start, end)| end > start).collect();
    let day = |place: usize| {
        trend.points.get(place).map(|p| one_line(&p.time).to_string().chars().take(10).collect::<String>())
    };
    html! {
        svg xmlns="http://www.w3.org/2000/svg" viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" {
            title { (one_line(&trend.metric.name)) ", " (unit.name()) }
            @if let Some(looks) = looks { style { (looks) } }
            @for value in grid {
                line.grid x1=(at(LEFT)) x2=(at(WIDTH - RIGHT)) y1=(at(y(value))) y2=(at(y(value))) {}
                text.axis x=(at(LEFT - 6.0)) y=(at(y(value) + 4.0)) text-anchor="end" { (shown(value, unit)) }
            }
            @for (start, end) in &parts {
                @let middle = median_of(&mut values[*start..*end].to_vec());
                line.level x1=(at(x(*start))) x2=(at(x(*end - 1))) y1=(at(y(middle))) y2=(at(y(middle))) {}
            }
            @for change in &trend.changes {
                @let place = f64::midpoint(x(change.at - 1), x(change.at));
                line class=(if change.is_worse { "worse" } else { "better" }) x1=(at(place)) x2=(at(place)) y1=(at(TOP)) y2=(at(HEIGHT - BOTTOM)) {
                    title { (chart::told(trend, change)) }
                }
            }
            @for (place, point) in trend.points.iter().enumerate() {
                circle.point cx=(at(x(place))) cy=(at(y(point.value))) r="3" {
                    title { (one_line(&point.time)) ": " (shown(point.value, unit)) " " (one_line(point.revision.as_deref().unwrap_or(""))) }
                }
            }
            @if let (Some(first), Some(last)) = (day(0), day(values.len().saturating_sub(1))) {
                text.axis x=(at(LEFT)) y=(at(HEIGHT - 14.0)) { (first) }
                text.axis x=(at(WIDTH - RIGHT)) y=(at(HEIGHT - 14.0)) text-anchor="end" { (last) }
            }
        }
    }
}

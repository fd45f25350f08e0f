//! The page of trends: one figure over the runs of this machine and one configuration, and where it stepped.
//!
//! The chart is a picture at an address of its own, since a picture may have its style where a page's policy allows none.

use maud::{Markup, html};
use results::{
    store::{RunEntry, Selection},
    trend::{Trend, chart::told, series, trend},
};

use super::page::Shown;

/// Points that are looked at: the newest.
const POINTS_MAX: usize = 500;

/// The figure that is shown unless another is asked for.
const USUAL: &str = "throughput";

/// What the query of the page says. What it does not know is passed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TrendQuery {
    metric: String,
    selection: String,
}

impl TrendQuery {
    pub(super) fn parse(query: &str) -> Self {
        let mut parsed = Self { metric: USUAL.to_owned(), selection: String::new() };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "metric" if !value.trim().is_empty() => parsed.metric = value.trim().to_owned(),
                "q" => parsed.selection = value.into_owned(),
                _ => {}
            }
        }
        parsed
    }

    fn picture(&self) -> String {
        let mut query = form_urlencoded::Serializer::for_suffix("/trends.svg?".to_owned(), 12);
        query.append_pair("metric", &self.metric).append_pair("q", &self.selection);
        query.finish()
    }
}

/// The figure over these runs; or why there is none.
pub(super) fn of(entries: &[RunEntry], query: &TrendQuery) -> Result<Trend, String> {
    let selection = Selection::parse(&query.selection).map_err(|error| error.to_string())?;
    let chosen = selection.choose(entries).map_err(|error| error.to_string())?;
    let (metric, mut points, mut notes) =
        series(&chosen, &query.metric, None, false).map_err(|error| error.to_string())?;
    if points.len() > POINTS_MAX {
        points.drain(..points.len() - POINTS_MAX);
        notes.push(format!("the newest {POINTS_MAX} points are shown; `trueline trend` takes all"));
    }
    Ok(trend(metric, points, notes))
}

/// The page.
pub(super) fn page(query: &TrendQuery, found: &Result<Trend, String>) -> Markup {
    html! {
        h1 { "Trends" }
        form action="/trends" method="get" role="search" {
            input name="metric" value=(Shown(&query.metric)) maxlength="200" aria-label="Figure" placeholder="throughput, read.p99, recovery";
            input type="search" name="q" value=(Shown(&query.selection)) maxlength="8192" aria-label="Selection"
                placeholder="system=raft label.build=abc latest:100";
            button type="submit" { "Show" }
        }
        @match found {
            Err(why) => p.problem { (Shown(why)) },
            Ok(trend) => {
                section {
                    h2 { (Shown(&trend.metric.name)) ", " (trend.metric.unit.name()) }
                    img.chart src=(query.picture()) alt={ "The figure over " (trend.points.len()) " points" };
                }
                section {
                    h2 { "Steps" }
                    @if trend.changes.is_empty() { p { "None was found." } }
                    @for change in &trend.changes { p { (Shown(&told(trend, change))) } }
                    @for note in &trend.notes { p.quiet { (Shown(note)) } }
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_and_the_address_of_its_picture_say_the_same() {
        let query = TrendQuery::parse("metric=read.p99&q=label.a%3D%3C%26+latest%3A7");
        assert_eq!((query.metric.as_str(), query.selection.as_str()), ("read.p99", "label.a=<& latest:7"));
        assert_eq!(TrendQuery::parse(query.picture().strip_prefix("/trends.svg?").unwrap()), query);
        assert_eq!(TrendQuery::parse("metric=+&other=1").metric, USUAL);
    }
}

//! How a figure changed over the runs of the store: the page of `trueline trend`, with a form for what is looked at.

use maud::{Markup, html};
use results::{
    store::{RunEntry, Selection},
    trend::{self, Trend, chart, page::picture},
};

use super::page::Shown;

/// What is looked at when nothing is asked for.
const USUAL_METRIC: &str = "throughput";

/// Points that are looked at: the newest.
const POINTS_MAX: usize = 500;

/// What the form says.
struct Asked {
    metric: String,
    selection: String,
}

impl Asked {
    fn parse(query: &str) -> Self {
        let mut asked = Self { metric: USUAL_METRIC.to_owned(), selection: String::new() };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "metric" if !value.trim().is_empty() => asked.metric = value.trim().to_owned(),
                "q" => asked.selection = value.into_owned(),
                _ => {}
            }
        }
        asked
    }

    fn trend(&self, entries: &[RunEntry]) -> Result<Trend, String> {
        let selection = Selection::parse(&self.selection).map_err(|error| error.to_string())?;
        let chosen = selection.choose(entries).map_err(|error| error.to_string())?;
        let (metric, mut points, mut notes) =
            trend::series(&chosen, &self.metric, None, false).map_err(|error| error.to_string())?;
        if points.len() > POINTS_MAX {
            points.drain(..points.len() - POINTS_MAX);
            notes.push(format!("the newest {POINTS_MAX} points are shown; `trueline trend` takes all"));
        }
        Ok(trend::trend(metric, points, notes))
    }
}

/// The page's content for these runs and this query of an address.
#[must_use]
pub fn trends(entries: &[RunEntry], query: &str) -> Markup {
    let asked = Asked::parse(query);
    let found = asked.trend(entries);
    html! {
        section {
            form action="/trends" {
                input name="metric" value=(asked.metric) aria-label="Figure, e.g. throughput or write.p99";
                input name="q" value=(asked.selection) aria-label="Which runs, e.g. system=raft" placeholder="which runs: system=raft label.build=main";
                button { "Show" }
            }
            @match &found {
                Err(why) => p.problem { (Shown(why)) },
                Ok(trend) => {
                    h2 { (Shown(&trend.metric.name)) ", " (trend.metric.unit.name()) ", " (trend.points.len()) " points" }
                    div.scroll { (picture(trend)) }
                    @if trend.changes.is_empty() { p { "No step was found." } }
                    ul { @for change in &trend.changes { li { (Shown(&chart::told(trend, change))) } } }
                    @for note in &trend.notes { p.quiet { (Shown(note)) } }
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_and_what_is_wrong_with_it_are_shown_harmless() {
        let asked = Asked::parse("metric=write.p99&q=system%3Draft+latest%3A5&x=1");
        assert_eq!((asked.metric.as_str(), asked.selection.as_str()), ("write.p99", "system=raft latest:5"));
        assert_eq!(Asked::parse("metric=+").metric, USUAL_METRIC);
        let page = trends(&[], "metric=%22%3E%3Cscript%3Ealert(1)%3C/script%3E&q=nonsense%3D%3Cb%3E").into_string();
        assert!(page.contains("problem") && !page.contains("<script") && !page.contains("<b>"), "{page}");
    }
}

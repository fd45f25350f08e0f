//! What a bench brought: `bench.json`, and the table on the terminal.

use std::fmt::Write;

use results::{
    compare::{Comparison, Conclusion, Set, Values, percent, ranged, render},
    exit::ExitCode,
    metrics::Metric,
    statistics::wilson,
    store::Machine,
    summary::one_line,
};
use serde::{Deserialize, Serialize};

/// Version of `bench.json`.
pub const BENCH_FORMAT: u32 = 1;

/// Failures that are told; the file has them all.
const TOLD_MAX: usize = 10;

/// Everything that a bench brought.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BenchReport {
    /// [`BENCH_FORMAT`] of the program that wrote it.
    pub format: u32,
    /// Version of this program.
    pub trueline: String,
    /// Its name, which is the label `bench` of its runs.
    pub bench: String,
    /// When it began, UTC.
    pub started: String,
    /// The command line.
    pub command: Vec<String>,
    /// Where.
    pub machine: Machine,
    /// Runs of each side in each comparison.
    pub rounds: u32,
    /// Sides that were left out, and why.
    pub left_out: Vec<String>,
    /// Setting by setting, comparison by comparison.
    pub settings: Vec<SettingReport>,
    /// Runs that did not end with a verdict of valid: which, and why.
    pub failures: Vec<String>,
    /// It was interrupted: not all turns were taken.
    pub interrupted: bool,
    /// How the process ends.
    pub exit: u8,
}

/// One setting, once.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SettingReport {
    /// Its name.
    pub setting: String,
    /// Which repetition, from 0.
    pub repeat: u32,
    /// Side by side: the figures of its runs.
    pub sides: Vec<SideReport>,
    /// Each side against the first, or against the baseline.
    pub comparisons: Vec<Comparison>,
    /// What is missing.
    pub notes: Vec<String>,
}

/// One side in one setting.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SideReport {
    /// Its name.
    pub side: String,
    /// Its runs that count.
    pub runs: Vec<String>,
    /// Their figures.
    pub figures: Vec<FigureReport>,
}

/// One figure of one side.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FigureReport {
    /// Which.
    pub metric: Metric,
    /// Over its runs.
    pub values: Values,
}

impl SideReport {
    /// Of the runs of a set.
    #[must_use]
    pub fn of(side: &str, set: &Set) -> Self {
        let mut figures: Vec<FigureReport> = Vec::new();
        for metric in set.runs.iter().flat_map(|run| &run.figures).map(|figure| &figure.metric) {
            if !figures.iter().any(|figure| figure.metric == *metric) {
                figures.push(FigureReport { metric: metric.clone(), values: Values::of(&set.values(metric)) });
            }
        }
        Self { side: side.to_owned(), runs: set.runs.iter().map(|run| run.run.clone()).collect(), figures }
    }
}

impl BenchReport {
    /// Sets the exit code, from the worst of the runs and what the gates say.
    pub fn conclude(&mut self, worst_run: ExitCode) -> ExitCode {
        let gates = self.settings.iter().flat_map(|setting| &setting.comparisons).filter_map(|c| c.gate.as_ref());
        let interrupted = if self.interrupted { ExitCode::Unknown } else { ExitCode::Valid };
        let codes = gates.map(|gate| gate.exit()).chain([worst_run, interrupted]);
        let exit = ExitCode::worst(codes).unwrap_or(ExitCode::Vacuous);
        self.exit = exit.code();
        exit
    }

    /// The report as text.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::new();
        for why in &self.left_out {
            line(&mut text, &format!("left out: {}", one_line(why)));
        }
        let repeated = self.settings.iter().any(|setting| setting.repeat > 0);
        for setting in self.settings.iter().filter(|_| !repeated) {
            whole(&mut text, setting);
        }
        if repeated {
            repeats(&mut text, &self.settings);
        }
        if !self.failures.is_empty() {
            line(&mut text, &format!("\n{} runs do not count:", self.failures.len()));
        }
        for failure in self.failures.iter().take(TOLD_MAX) {
            line(&mut text, &format!("  {}", one_line(failure)));
        }
        if self.interrupted {
            line(&mut text, "\ninterrupted: not all turns were taken");
        }
        text
    }
}

fn line(text: &mut String, line: &str) {
    text.push_str(line.trim_end());
    text.push('\n');
}

/// One setting: a table of sides, where one comparison does not show them all; then what can be said of the differences.
fn whole(text: &mut String, setting: &SettingReport) {
    line(text, &format!("\n{}", one_line(&setting.setting)));
    if setting.comparisons.len() != 1 {
        table(text, &setting.sides);
    }
    for note in &setting.notes {
        line(text, &format!("note: {}", one_line(note)));
    }
    for comparison in &setting.comparisons {
        line(text, "");
        text.push_str(&render(comparison));
    }
}

/// Usual figures, a line each; sides, a column each, with their ratio to the first.
fn table(text: &mut String, sides: &[SideReport]) {
    let Some(first) = sides.first() else { return };
    let mut rows =
        vec![[String::new()].into_iter().chain(sides.iter().map(|side| side.side.clone())).collect::<Vec<_>>()];
    for metric in first.figures.iter().map(|figure| &figure.metric).filter(|metric| metric.is_usual) {
        let base = values(first, metric).map_or(0.0, |values| values.median);
        let cell = |(place, side): (usize, &SideReport)| match values(side, metric) {
            None => "-".to_owned(),
            Some(of) if place == 0 || base <= 0.0 => ranged(of, metric.unit),
            Some(of) => format!("{}, {:.2}", ranged(of, metric.unit), of.median / base),
        };
        let name = one_line(&metric.name).to_string();
        rows.push([name].into_iter().chain(sides.iter().enumerate().map(cell)).collect());
    }
    let widths: Vec<usize> =
        (0..=sides.len()).map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)).collect();
    for row in &rows {
        let mut told = format!("{:1$}", row[0], widths[0]);
        for (cell, width) in row.iter().zip(&widths).skip(1) {
            _ = write!(told, "  {cell:>width$}");
        }
        line(text, &told);
    }
    if sides.len() > 1 {
        line(text, &format!("medians (least to greatest), and the share of {}", one_line(&first.side)));
    }
}

fn values<'a>(side: &'a SideReport, metric: &Metric) -> Option<&'a Values> {
    side.figures.iter().find(|figure| figure.metric == *metric).map(|figure| &figure.values)
}

/// Comparisons of the same things, many times: how often each claimed something.
fn repeats(text: &mut String, settings: &[SettingReport]) {
    let mut names: Vec<(&str, &str)> = Vec::new();
    for (setting, comparison) in all(settings) {
        let name = (setting, comparison.b.name.as_str());
        if !names.contains(&name) {
            names.push(name);
        }
    }
    for (setting, name) in names {
        let those: Vec<&Comparison> = all(settings)
            .filter(|(s, c)| *s == setting && c.b.name == name)
            .map(|(_, comparison)| comparison)
            .collect();
        line(text, &format!("\n{}: {} against {}", one_line(setting), one_line(name), one_line(&those[0].a.name)));
        for (number, comparison) in those.iter().enumerate() {
            let claims: Vec<String> = comparison.rows.iter().filter_map(claim).collect();
            let claims = if claims.is_empty() { "nothing found".to_owned() } else { claims.join(", ") };
            line(
                text,
                &format!(
                    "  {:3}  {} and {} runs: {claims}",
                    number + 1,
                    comparison.a.runs.len(),
                    comparison.b.runs.len()
                ),
            );
        }
        let claiming = those.iter().filter(|comparison| comparison.rows.iter().any(|row| claim(row).is_some())).count();
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let share = wilson(count(claiming), count(those.len()));
        let (low, high) = (percent(100.0 * share.low), percent(100.0 * share.high));
        line(
            text,
            &format!("  a difference was claimed in {claiming} of {} comparisons ({low} to {high}, 95 %)", those.len()),
        );
        per_metric(text, &those);
    }
}

/// How often each figure was the one.
fn per_metric(text: &mut String, comparisons: &[&Comparison]) {
    let Some(first) = comparisons.first() else { return };
    for row in &first.rows {
        let of_metric = comparisons.iter().filter_map(|c| c.rows.iter().find(|other| other.metric == row.metric));
        let (mut better, mut worse, mut all, mut seen) = (0, 0, 0, Vec::new());
        for row in of_metric {
            all += 1;
            better += usize::from(row.conclusion == Conclusion::Better);
            worse += usize::from(row.conclusion == Conclusion::Worse);
            seen.extend(row.detectable_percent);
        }
        let seen = match seen.is_empty() {
            true => "no difference would have been found".to_owned(),
            false => format!("one of {} would have been found", percent(Values::of(&seen).median)),
        };
        line(
            text,
            &format!(
                "    {:12} better in {better}, worse in {worse} of {all}; {seen}",
                one_line(&row.metric.name).to_string()
            ),
        );
    }
}

fn all(settings: &[SettingReport]) -> impl Iterator<Item = (&str, &Comparison)> {
    settings
        .iter()
        .flat_map(|setting| setting.comparisons.iter().map(|comparison| (setting.setting.as_str(), comparison)))
}

/// A claim in a few words.
fn claim(row: &results::compare::Row) -> Option<String> {
    let word = match row.conclusion {
        Conclusion::Better => "better",
        Conclusion::Worse => "worse",
        Conclusion::NoDifference | Conclusion::TooFew => return None,
    };
    let by = row.shift_percent.map(|shift| format!(" by {}", percent(shift.value.abs()))).unwrap_or_default();
    Some(format!("{} {word}{by}", one_line(&row.metric.name)))
}

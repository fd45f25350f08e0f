//! Registers over few values, where only the searches can decide: 1,000 histories by seed.
//!
//! ```text
//!   cargo bench -p checkers --bench small_domain
//!
//!   TRUELINE_SEEDS=200       how many seeds (default 1000), from TRUELINE_FIRST_SEED (default 0) on
//!   TRUELINE_ALGORITHM=frontier, depth-first     one search alone
//!   TRUELINE_PORCUPINE=1     asks porcupine-rs too, with 10 s for each history, and compares
//! ```
//!
//! It prints how many were decided and how fast, which search decided, and the hardest seeds. It fails when a history stays
//! undecided, when the verdicts differ, or when a history without a violation is called invalid.

mod generate;
mod porcupine;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use checkers::verdict::{Judgement, Verdict};
use checkers::{Algorithm, CheckOptions, check_with};
use generate::{Case, generate};

const OPERATIONS: usize = 1000;
const PORCUPINE_LIMIT: Duration = Duration::from_secs(10);

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// One history's figures.
struct Row {
    seed: u64,
    wall: Duration,
    /// Of all threads; in steps of 10 ms. None where the system does not tell.
    processor: Option<Duration>,
}

#[derive(Default)]
struct Totals {
    rows: Vec<Row>,
    /// How many, by verdict and by what decided.
    verdicts: BTreeMap<String, usize>,
    injected: usize,
    /// How many of the injected violations made the history invalid.
    effective: usize,
    porcupine: porcupine::Totals,
}

fn main() {
    // `cargo test` runs benches too, to see that they work.
    let seeds = if std::env::args().any(|argument| argument == "--bench") { 1000 } else { 10 };
    let first = number("TRUELINE_FIRST_SEED", 0);
    let seeds = first..first + number("TRUELINE_SEEDS", seeds);
    let with_porcupine = number("TRUELINE_PORCUPINE", 0) == 1;
    let algorithm = match std::env::var("TRUELINE_ALGORITHM").as_deref() {
        Ok("frontier") => Algorithm::Frontier,
        Ok("depth-first") => Algorithm::DepthFirst,
        _ => Algorithm::Search,
    };
    let mut totals = Totals::default();
    for seed in seeds {
        let case = generate(seed, OPERATIONS);
        let (row, judgement) = measure(seed, &case, algorithm);
        totals.count(&case, &judgement);
        if with_porcupine {
            totals.porcupine.compare(seed, &case, judgement.verdict, row.wall, PORCUPINE_LIMIT);
        }
        totals.rows.push(row);
    }
    totals.print();
}

fn measure(seed: u64, case: &Case, algorithm: Algorithm) -> (Row, Judgement) {
    let history = case.history();
    let options = CheckOptions { threads: 1, ..CheckOptions::default() };
    let (start, processor) = (Instant::now(), processor_time());
    let judgement = check_with(&history, &case.spec, &options, algorithm).expect("the history fits the model");
    let wall = start.elapsed();
    let processor = processor.zip(processor_time()).map(|(before, after)| after - before);
    assert!(
        case.shape.violation.is_some() || judgement.verdict != Verdict::Invalid,
        "seed {seed} has no violation and is called invalid: {}",
        judgement.reason
    );
    if !matches!(judgement.verdict, Verdict::Valid | Verdict::Invalid) {
        println!("seed {seed} is undecided: {}, {:?}", judgement.reason, case.shape);
    }
    (Row { seed, wall, processor }, judgement)
}

/// Processor time of this process so far, from Linux's process table.
fn processor_time() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(Duration::from_millis(10 * ticks))
}

impl Totals {
    fn count(&mut self, case: &Case, judgement: &Judgement) {
        let name = format!("{:?} by {}", judgement.verdict, judgement.decided_by).to_lowercase();
        *self.verdicts.entry(name).or_default() += 1;
        if case.shape.violation.is_some() {
            self.injected += 1;
            self.effective += usize::from(judgement.verdict == Verdict::Invalid);
        }
    }

    fn print(&mut self) {
        println!("{} histories of {OPERATIONS} operations: {:?}", self.rows.len(), self.verdicts);
        println!("{} had a violation injected; {} of these are not linearizable", self.injected, self.effective);
        self.rows.sort_by_key(|row| row.wall);
        println!("wall clock:     {}", spread(self.rows.iter().map(|row| row.wall)));
        let hardest: Vec<u64> = self.rows.iter().rev().take(10).map(|row| row.seed).collect();
        println!("hardest seeds:  {hardest:?}");
        let mut processor: Vec<Duration> = self.rows.iter().filter_map(|row| row.processor).collect();
        processor.sort_unstable();
        if processor.len() == self.rows.len() {
            println!("processor time: {} (both threads)", spread(processor.into_iter()));
        }
        self.porcupine.print();
        let undecided: usize =
            self.verdicts.iter().filter(|(name, _)| name.starts_with("unknown")).map(|(_, count)| count).sum();
        assert_eq!(undecided, 0, "every history is decided");
    }
}

/// p50, p99 and the longest of what is sorted.
fn spread(sorted: impl ExactSizeIterator<Item = Duration> + Clone) -> String {
    let at = |permille: usize| {
        let place = sorted.len().saturating_sub(1) * permille / 1000;
        sorted.clone().nth(place).unwrap_or_default().as_secs_f64() * 1000.0
    };
    format!("p50 {:.1} ms, p90 {:.1} ms, p99 {:.1} ms, max {:.1} ms", at(500), at(900), at(990), at(1000))
}

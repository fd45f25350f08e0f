//! Registers over few values: how the searches do over 1,000 seeds.

mod generate;

use std::time::{Duration, Instant};

use checkers::verdict::Verdict;
use checkers::{Algorithm, Budget, CheckOptions, check_with};
use generate::generate;

fn env(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().expect("a number"))
}

fn main() {
    let cpu = || { let s = std::fs::read_to_string("/proc/self/stat").unwrap(); let f: Vec<&str> = s.rsplit(')').next().unwrap().split(' ').collect(); Duration::from_millis(10 * (f[12].parse::<u64>().unwrap() + f[13].parse::<u64>().unwrap())) };
    let seeds = env("SEEDS", 1000);
    let first = env("FIRST", 0);
    let limit = Duration::from_millis(env("LIMIT_MS", 10_000));
    let algorithm = match std::env::var("ALGORITHM").as_deref() {
        Ok("frontier") => Algorithm::Frontier,
        Ok("depth-first") => Algorithm::DepthFirst,
        _ => Algorithm::Search,
    };
    let mut times: Vec<(Duration, u64)> = Vec::new();
    let (mut valid, mut invalid, mut unknown) = (0, 0, 0);
    let mut kinds = std::collections::BTreeMap::new();
    let mut by = std::collections::BTreeMap::new();
    for seed in first..first + seeds {
        let case = generate(seed, 1000);
        let history = case.history();
        let options = CheckOptions { budget: Budget { time: limit, ..Budget::default() }, threads: 1 };
        let _start = Instant::now(); let start = cpu();
        let judgement = check_with(&history, &case.spec, &options, algorithm).expect("fits");
        let took = cpu() - start;
        *by.entry((judgement.verdict == Verdict::Valid, judgement.decided_by)).or_insert(0) += 1;
        match judgement.verdict {
            Verdict::Valid => {
                valid += 1;
            }
            Verdict::Invalid => invalid += 1,
            _ => {
                unknown += 1;
            }
        }
        if judgement.verdict == Verdict::Invalid && case.shape.violation.is_none() {
            println!("WRONG seed {seed}");
        }
        if took > Duration::from_millis(env("SHOW_MS", 1000)) {
            println!("seed {seed} {took:?} {:?} {:?} {}", judgement.verdict, case.shape, judgement.reason);
        }
        if let Some(v) = case.shape.violation {
            let e: &mut (u32, u32) = kinds.entry((format!("{v:?}"), case.shape.strength)).or_default();
            e.0 += 1;
            e.1 += u32::from(judgement.verdict == Verdict::Invalid);
        }
        times.push((took, seed));
    }
    times.sort();
    let at = |q: usize| times[(times.len() - 1) * q / 1000];
    println!("valid {valid} invalid {invalid} unknown {unknown} {by:?}");
    println!("{kinds:?}");
    println!("p50 {:?} p90 {:?} p99 {:?} p99.9 {:?} max {:?}", at(500), at(900), at(990), at(999), at(1000));
}

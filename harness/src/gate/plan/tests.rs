use super::*;
use crate::child::OVERHEAD_MAX;

fn settings(text: &str) -> Settings {
    Settings::parse(text).expect("settings")
}

fn choice() -> Choice {
    Choice {
        profile: DEFAULT.to_owned(),
        scenarios: Vec::new(),
        partition: None,
        seeds: SeedChoice::AsSaid,
        config: None,
    }
}

fn plan(text: &str, choice: &Choice) -> Result<Plan, PlanError> {
    // Each seed twice, so that it is seen that none is taken twice.
    let mut drawn = 0;
    Plan::new(&settings(text), choice, || {
        drawn += 1;
        1_000 + drawn / 2
    })
}

fn jobs_of(text: &str, choice: &Choice) -> Vec<(String, u64)> {
    let plan = plan(text, choice).expect("a plan");
    plan.jobs.iter().map(|job| (plan.scenarios[job.scenario].name.clone(), job.seed)).collect()
}

const THREE: &str = "[profile.default]\nseeds = 2\n[profile.ci]\n[profile.nightly]\nfresh-seeds = true\nseeds = 3\n\
    [[scenario]]\nname = 'a'\n[[scenario]]\nname = 'b'\nseeds = [7, 9, 11]\nprofiles = ['ci', 'nightly']\n\
    [[scenario]]\nname = 'c'\nfirst-seed = 5\nprofiles = 'ci'\n";

fn named(pairs: &[(&str, u64)]) -> Vec<(String, u64)> {
    pairs.iter().map(|(name, seed)| ((*name).to_owned(), *seed)).collect()
}

#[test]
fn profiles_choose_scenarios_and_seeds() {
    assert_eq!(jobs_of(THREE, &choice()), named(&[("a", 1), ("a", 2)]));
    let ci = Choice { profile: "ci".to_owned(), ..choice() };
    let seeds = [("a", 1), ("b", 7), ("c", 5), ("a", 2), ("b", 9), ("c", 6), ("b", 11)];
    assert_eq!(jobs_of(THREE, &ci), named(&seeds));
    let nightly = Choice { profile: "nightly".to_owned(), ..choice() };
    let seeds = [("a", 1_000), ("b", 7), ("a", 1_001), ("b", 9), ("a", 1_002), ("b", 11)];
    assert_eq!(jobs_of(THREE, &nightly), named(&seeds));
    assert!(plan(THREE, &nightly).expect("a plan").fresh_seeds && !plan(THREE, &ci).expect("a plan").fresh_seeds);
}

#[test]
fn the_command_line_wins() {
    let one = Choice { profile: "ci".to_owned(), seeds: SeedChoice::One(42), ..choice() };
    assert_eq!(jobs_of(THREE, &one), named(&[("a", 42), ("b", 42), ("c", 42)]));
    let fresh = Choice { seeds: SeedChoice::Fresh, ..choice() };
    assert_eq!(jobs_of(THREE, &fresh), named(&[("a", 1_000), ("a", 1_001)]));
    let some = Choice { seeds: SeedChoice::One(1), ..chosen(&["b*", "c"]) };
    assert_eq!(jobs_of(THREE, &some), named(&[("b", 1), ("c", 1)]));
}

fn chosen(patterns: &[&str]) -> Choice {
    let scenarios = patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
    Choice { scenarios, profile: "ci".to_owned(), ..choice() }
}

#[test]
fn a_pattern_that_fits_nothing_beside_others_is_a_mistake() {
    let error = plan(THREE, &chosen(&["a", "d*", "c"])).expect_err("nothing is called d").to_string();
    assert_eq!(error, "no scenario of the profile ci is called d*; there are a, b, c");
    // One that fits a scenario of another profile fits nothing here.
    let default = Choice { profile: DEFAULT.to_owned(), ..chosen(&["a", "b"]) };
    assert!(matches!(plan(THREE, &default), Err(PlanError::NoScenario { pattern, .. }) if pattern == "b"));
    for none in [&["d"][..], &["d", "e*"]] {
        assert_eq!(plan(THREE, &chosen(none)).expect("an empty plan").planned, 0, "{none:?}");
    }
}

#[test]
fn every_job_is_in_exactly_one_partition() {
    let ci = Choice { profile: "ci".to_owned(), ..choice() };
    let all = plan(THREE, &ci).expect("a plan").jobs;
    for of in 1..=10_usize {
        let mut found = Vec::new();
        let mut sizes = Vec::new();
        for part in 1..=of {
            let partition = Some(format!("{part}/{of}").parse().expect("a partition"));
            let plan = plan(THREE, &Choice { partition, ..ci.clone() }).expect("a plan");
            assert_eq!(plan.planned as usize, all.len(), "the plan is the same in every partition");
            sizes.push(plan.jobs.len());
            found.extend(plan.jobs);
        }
        found.sort_by_key(|job| job.number);
        assert_eq!(found, all, "{of} partitions");
        assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1, "{sizes:?}");
    }
}

#[test]
fn partitions_are_parsed() {
    for wrong in ["", "1", "0/3", "4/3", "1/0", "0/0", "-1/3", "a/b", "1/2/3", "1 / 2"] {
        assert!(wrong.parse::<Partition>().is_err(), "{wrong}");
    }
    assert_eq!("3/10".parse::<Partition>().map(|partition| partition.to_string()), Ok("3/10".to_owned()));
}

#[test]
fn mistakes_are_told_with_their_lines() {
    for (text, words) in [
        ("[[scenario]]\nname = 'a'\n[[scenario]]\nname = 'a'\n", "line 3: scenario a is there already, in line 1"),
        ("\n[[scenario]]\nname = 'a'\nprofiles = 'nightyl'\n", "line 2: scenario a belongs to the profile \"nightyl\""),
        (
            "[[scenario]]\nname = 'a'\nmutant = 'zab-quorum-half'\n",
            "line 1: scenario a is no run: --mutant zab-quorum-half",
        ),
        ("\n\n[[scenario]]\nname = 'a'\nspares = 3\nnemesis = 'kill'\n", "line 3: scenario a is no run: --spares"),
        ("[[scenario]]\nname = 'a'\nsystem = 'etcd'\nretry = true\n", "--retry needs sessions"),
        ("[profile.default]\nspares = 1\n[[scenario]]\nname = 'a'\nnemesis = 'kill'\n", "line 3: scenario a is no run"),
        ("[[scenario]]\nname = 'a'\nnemesis = 'kill,all'\n", "line 3, column 11"),
    ] {
        let error = Settings::parse(text)
            .and_then(|settings| Plan::new(&settings, &choice(), || 0).map(|_| ()).map_err(|error| error.to_string()));
        let error = error.expect_err(text);
        assert!(error.contains(words), "{text:?}: {error}");
    }
    let missing = plan(THREE, &Choice { profile: "weekly".to_owned(), ..choice() }).expect_err("no such profile");
    assert_eq!(missing.to_string(), "there is no [profile.weekly]; profiles: ci, default, nightly");
    let many = "[[scenario]]\nname = 'a'\nseeds = 20000\n";
    assert!(matches!(plan(many, &choice()), Err(PlanError::TooMany(20_000))));
    let part = Choice { partition: "1/2".parse().ok(), ..choice() };
    assert_eq!(plan(many, &part).expect("a plan").jobs.len(), 10_000);
}

#[test]
fn a_planned_scenario_is_a_command_line() {
    let text = "[profile.default]\ntime = '5s'\n[[scenario]]\nname = 'a'\nbinary = '/bin/a b'\nwarm-up = '2s'\n\
                recovery-bound = '3s'\ncheck-time = '1m'\nweight = 2\n[[scenario]]\nname = 'b'\nrun-timeout = '9s'\n";
    let plan = plan(text, &choice()).expect("a server that is not there is told when it is started");
    let [a, b] = &plan.scenarios[..] else { panic!("{plan:?}") };
    let command =
        "trueline run --binary '/bin/a b' --check-time 1m --recovery-bound 3s --time 5s --warm-up 2s --seed 3";
    assert_eq!(a.command_with(3), command);
    assert_eq!((a.load, a.weight, a.bound), (Duration::from_secs(7), 2, Duration::from_secs(70) + OVERHEAD_MAX));
    assert_eq!((b.weight, b.bound), (1, Duration::from_secs(9)));
    // What is said of runs shortens no replays: `trueline replay` knows nothing of it.
    assert_eq!((a.replay_bound, a.check_time), (a.bound, Duration::from_secs(60)));
    assert_eq!(b.replay_bound, Duration::from_secs(5 + 1 + 10 + 120) + OVERHEAD_MAX);
}

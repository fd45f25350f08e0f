//! Long runs: what the monitor keeps, and how fast it is (`--nocapture` prints it; the times assert nothing).

use std::time::Instant;

use checkers::history::{Event, EventKind, Function, Process, Value};
use checkers::model::{ModelKind, ModelSpec};
use checkers::stream::{Monitor, MonitorLimits, Watch};
use rand::SeedableRng;
use rand_pcg::Pcg64;

use crate::events::{Style, endless};

/// For each open operation, each live value and each key a few numbers are kept: the operation, the value, its block,
/// its first return, its replacement.
const KEPT_FOR_EACH: usize = 8;

fn style(model: ModelKind, clients: usize, keys: i64, unknown: u32) -> Style {
    Style {
        model,
        clients,
        events: 0,
        domain: 0,
        wrong: 0,
        unknown,
        wordless: 0,
        late: 0,
        same_times: false,
        timed: true,
        keys,
    }
}

/// Feeds a correct run, and holds what is kept against what is open at every step.
fn bounded(name: &str, style: Style, events: usize) {
    let spec = ModelSpec { model: style.model, initial: Value::Nil };
    let mut random = Pcg64::seed_from_u64(1);
    let mut monitor = Monitor::new(&spec, MonitorLimits::default());
    let (mut unknown, mut kept_max, mut fed) = (0, 0, 0);
    let mut seconds = 0.0;
    let mut run = endless(style, &spec, &mut random);
    while fed < events {
        let batch: Vec<Event> = run.by_ref().take(1_000).collect();
        fed += batch.len();
        unknown += batch.iter().filter(|event| event.kind == EventKind::Info).count();
        let start = Instant::now();
        for event in batch {
            monitor.feed(event).expect("generated events keep the rules");
        }
        seconds += start.elapsed().as_secs_f64();
        let kept = monitor.kept();
        // A read of unknown outcome holds a few values back until there are many.
        let bound = KEPT_FOR_EACH * (style.clients + unknown + 32 * style.keys as usize) + 64;
        assert!(kept <= bound, "{kept} kept with {unknown} unknown after {fed} events of {style:?}");
        kept_max = kept_max.max(kept);
    }
    assert_eq!(monitor.state(), Watch::Fine);
    println!(
        "{name}: {fed} events, {unknown} unknown, at most {kept_max} things kept, {:.0} events a second",
        fed as f64 / seconds
    );
    assert_eq!(monitor.finish(), Watch::Fine);
}

#[test]
fn a_million_operations_on_one_register_keep_what_is_open_and_alive() {
    bounded("register, 1 key, 20 clients", style(ModelKind::Register, 20, 1, 0), 2_000_000);
}

#[test]
fn chains_keep_what_is_open_and_alive() {
    bounded("cas-register, 10 keys, 50 clients", style(ModelKind::CasRegister, 50, 10, 0), 300_000);
    bounded("register, 5 keys, 20 clients, 1 % unknown", style(ModelKind::Register, 20, 5, 1), 300_000);
    bounded("cas-register, 5 keys, 20 clients, 1 % unknown", style(ModelKind::CasRegister, 20, 5, 1), 200_000);
}

/// The elements of lists are alive; beyond them little is kept.
#[test]
fn lists_keep_their_elements() {
    let spec = ModelSpec { model: ModelKind::ListAppend, initial: Value::Nil };
    let mut monitor = Monitor::new(&spec, MonitorLimits::default());
    let (mut fed, mut seconds) = (0, 0.0);
    for generation in 0..100 {
        let mut random = Pcg64::seed_from_u64(generation);
        let run = endless(style(ModelKind::ListAppend, 10, 5, 0), &spec, &mut random);
        let mut batch: Vec<Event> = run.take(2_000).collect();
        let time = 1_000_000 * generation;
        for event in &mut batch {
            event.key = Value::List(vec![Value::Int(generation as i64), event.key.clone()]);
            event.time = event.time.map(|earlier| earlier + time);
            // What is open at the end of a generation stays so.
            if let Process::Client(client) = &mut event.process {
                client.0 += 1_000_000 * generation;
            }
        }
        let is_append = |event: &&Event| (event.kind, event.function) == (EventKind::Invoke, Some(Function::Append));
        let elements = batch.iter().filter(is_append).count();
        fed += batch.len();
        let before = monitor.kept();
        let start = Instant::now();
        for event in batch {
            monitor.feed(event).expect("generated events keep the rules");
        }
        seconds += start.elapsed().as_secs_f64();
        let kept = monitor.kept() - before;
        assert!(kept <= 3 * elements + 300, "{kept} kept for {elements} elements");
    }
    assert_eq!(monitor.finish(), Watch::Fine);
    println!("lists of 100 elements, 10 clients: {:.0} events a second", fed as f64 / seconds);
}

//! The same histories for porcupine-rs.

use std::time::{Duration, Instant};

use checkers::history::{Action, Completion, Value};
use checkers::verdict::Verdict;
use porcupine_rs::CheckResult;

use crate::generate::Case;

/// What an operation asked and saw; values as numbers, 0 for nil.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Sets the initial value: the model has no parameters.
    Start(i64),
    Read(i64),
    Write(i64),
    Cas(i64, i64),
    /// A compare-and-set that may have happened or not.
    MaybeCas(i64, i64),
    NotEqual(i64),
}

#[derive(Clone, Debug)]
struct Register;

impl porcupine_rs::Model for Register {
    type State = i64;
    type Op = Step;
    type Metadata = ();

    fn init() -> i64 {
        0
    }

    fn step(state: &i64, step: &Step) -> (bool, i64) {
        match *step {
            Step::Start(value) | Step::Write(value) => (true, value),
            Step::Read(value) => (*state == value, *state),
            Step::Cas(old, new) => (*state == old, new),
            Step::MaybeCas(old, new) => (true, if *state == old { new } else { *state }),
            Step::NotEqual(old) => (*state != old, *state),
        }
    }
}

fn number(value: &Value) -> i64 {
    match value {
        Value::Int(number) => *number,
        _ => 0,
    }
}

/// Porcupine wants a strict order of events; our intervals are closed, so at equal times invocations come first.
fn history(case: &Case) -> Vec<porcupine_rs::Operation<Register>> {
    let time = |at: u64, is_return: bool| i64::try_from(2 * at + u64::from(is_return)).expect("times are small") + 2;
    let operation = |call_time, return_time, op| porcupine_rs::Operation {
        client_id: None,
        call_time,
        return_time,
        op,
        metadata: None,
    };
    let mut all = vec![operation(0, 1, Step::Start(number(&case.spec.initial)))];
    for (place, one) in (0i64..).zip(&case.operations) {
        let step = match (&one.action, &one.completion) {
            (Action::Read, Completion::Ok(Some(seen))) | (_, Completion::Mismatch { observed: Some(seen) }) => {
                Step::Read(number(seen))
            }
            (Action::Write(new), _) => Step::Write(number(new)),
            (Action::Cas { old, .. }, Completion::Mismatch { .. }) => Step::NotEqual(number(old)),
            (Action::Cas { old, new }, Completion::Info) => Step::MaybeCas(number(old), number(new)),
            (Action::Cas { old, new }, _) => Step::Cas(number(old), number(new)),
            _ => continue,
        };
        let ret = if one.ret == u64::MAX { i64::MAX - place } else { time(one.ret, true) };
        all.push(operation(time(one.invoke, false), ret, step));
    }
    all
}

/// How porcupine-rs did.
#[derive(Default)]
pub struct Totals {
    asked: usize,
    decided: usize,
    undecided_by_us: usize,
    faster: usize,
    time: Duration,
    our_time: Duration,
}

impl Totals {
    /// Asks porcupine-rs about one history, which must not contradict `ours`.
    pub fn compare(&mut self, seed: u64, case: &Case, ours: Verdict, our_time: Duration, limit: Duration) {
        let history = history(case);
        let start = Instant::now();
        let result = porcupine_rs::check_operations_timeout(&history, limit);
        let took = start.elapsed();
        self.asked += 1;
        self.time += took;
        self.our_time += our_time;
        let theirs = match result {
            CheckResult::Unknown => return,
            CheckResult::Ok => Verdict::Valid,
            CheckResult::Illegal => Verdict::Invalid,
        };
        self.decided += 1;
        self.faster += usize::from(took < our_time);
        if matches!(ours, Verdict::Valid | Verdict::Invalid) {
            assert_eq!(ours, theirs, "porcupine-rs disagrees on seed {seed}");
        } else {
            self.undecided_by_us += 1;
            println!("seed {seed} is undecided by us; porcupine-rs says {theirs:?} after {took:?}");
        }
    }

    /// Prints the comparison, if there was one.
    pub fn print(&self) {
        let Totals { asked, decided, undecided_by_us, faster, time, our_time } = self;
        if *asked > 0 {
            println!(
                "porcupine-rs:   decided {decided} of {asked}, {undecided_by_us} of these undecided by us; \
                 it was faster on {faster}; {time:.1?} in all, ours {our_time:.1?}"
            );
        }
    }
}

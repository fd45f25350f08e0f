//! Two checkers by other people, as referees: porcupine-rs and stateright.
//!
//! Both want a strict order of events. Our intervals are closed, so at equal times invocations come before returns.

use checkers::history::{Completion, Operation, Value};
use checkers::model::ModelSpec;
use stateright::semantics::{ConsistencyTester, LinearizabilityTester, SequentialSpec};

use crate::object::{start, step};

/// (operation, is it a return) in order; unknown outcomes have no return.
fn events(operations: &[Operation]) -> Vec<(usize, bool)> {
    let mut events = Vec::new();
    for (at, operation) in operations.iter().enumerate() {
        events.push((operation.invoke, false, at));
        if operation.completion != Completion::Info {
            events.push((operation.ret, true, at));
        }
    }
    events.sort_unstable();
    events.into_iter().map(|(_, is_return, at)| (at, is_return)).collect()
}

#[derive(Clone, Debug)]
struct Object {
    spec: ModelSpec,
    state: Value,
}

impl SequentialSpec for Object {
    type Op = Operation;
    type Ret = ();

    fn invoke(&mut self, operation: &Operation) {
        self.state = step(&self.spec, &self.state, operation)
            .expect("only unknown outcomes are invoked, and they can always end");
    }

    fn is_valid_step(&mut self, operation: &Operation, (): &()) -> bool {
        match step(&self.spec, &self.state, operation) {
            Some(after) => {
                self.state = after;
                true
            }
            None => false,
        }
    }
}

/// stateright's verdict. Every operation is a thread of its own, so that only real time orders them.
pub fn stateright(operations: &[Operation], spec: &ModelSpec) -> bool {
    let mut tester = LinearizabilityTester::new(Object { spec: spec.clone(), state: start(spec) });
    for (at, is_return) in events(operations) {
        if is_return {
            tester.on_return(at, ()).expect("a return follows its invocation");
        } else {
            tester.on_invoke(at, operations[at].clone()).expect("a thread has one operation");
        }
    }
    tester.is_consistent()
}

/// The first operation sets up model and state, since porcupine-rs' models have no parameters.
#[derive(Clone, Debug)]
enum Step {
    Start(ModelSpec),
    Do(Operation),
}

#[derive(Clone, Debug)]
struct AnyModel;

/// `None` before the start.
type State = Option<(ModelSpec, Value)>;

impl porcupine_rs::Model for AnyModel {
    type State = State;
    type Op = Step;
    type Metadata = ();

    fn init() -> State {
        None
    }

    fn step(state: &State, op: &Step) -> (bool, State) {
        match (state, op) {
            (None, Step::Start(spec)) => (true, Some((spec.clone(), start(spec)))),
            (Some((spec, state)), Step::Do(operation)) => match step(spec, state, operation) {
                Some(after) => (true, Some((spec.clone(), after))),
                None => (false, Some((spec.clone(), state.clone()))),
            },
            _ => (false, state.clone()),
        }
    }
}

/// porcupine-rs' verdict.
pub fn porcupine(operations: &[Operation], spec: &ModelSpec) -> bool {
    let mut history = vec![porcupine_rs::Operation::<AnyModel> {
        client_id: None,
        call_time: 0,
        return_time: 1,
        op: Step::Start(spec.clone()),
        metadata: None,
    }];
    let order = events(operations);
    let place = |at: usize, is_return: bool| order.iter().position(|event| *event == (at, is_return));
    for (at, operation) in operations.iter().enumerate() {
        let time = |place: usize| i64::try_from(place).expect("few events") + 2;
        history.push(porcupine_rs::Operation {
            client_id: None,
            call_time: time(place(at, false).expect("every operation is invoked")),
            return_time: place(at, true).map_or(i64::MAX - at as i64, time),
            op: Step::Do(operation.clone()),
            metadata: None,
        });
    }
    porcupine_rs::check_operations::<AnyModel>(&history)
}

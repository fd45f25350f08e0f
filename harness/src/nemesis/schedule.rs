//! The faults as carried out: what a stored run needs to break a cluster in the same way again.

use serde::{Deserialize, Serialize};

use super::fault::Step;

/// One line of `schedule.jsonl`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CarriedOut {
    /// Nanoseconds from the run's start when the step was begun; the history's clock.
    pub time: u64,
    /// Nanoseconds when it had been done.
    pub done: u64,
    /// Which fault of the run it belongs to; none for the final heal.
    pub fault: Option<u64>,
    /// The fault's name, or `heal`.
    pub name: String,
    /// What was done to whom.
    pub step: Step,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_back() {
        let line = CarriedOut {
            time: 5,
            done: 6,
            fault: Some(1),
            name: "partition one".into(),
            step: Step::Cut(vec![(1, 2), (2, 1)]),
        };
        let text = serde_json::to_string(&line).unwrap();
        assert_eq!(text, r#"{"time":5,"done":6,"fault":1,"name":"partition one","step":{"cut":[[1,2],[2,1]]}}"#);
        assert_eq!(serde_json::from_str::<CarriedOut>(&text).unwrap(), line);
    }
}

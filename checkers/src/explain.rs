//! From the few operations that show a violation to words and a picture.
//!
//! ```text
//!   fast test ──┐                                           ┌─ register ─┐
//!               ├─> Finding: anomaly + operations ──> Scene ┼─ list, set ├─> Account ──> Violation: sentences, diagram
//!   search ─────┘   in no order, without roles              └─ queue, …  ┘
//! ```
//!
//! Accounts find the roles themselves, so that the same words come from a fast test, a search, or a core that was made
//! smaller. What no account explains is listed: "no order explains these operations". The names are those of the field:
//! Adya, "Weak consistency" (1999), for phantoms, dirty reads and lost updates; the rest as Jepsen's reports have them.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::describe;
use crate::history::{Action, Completion, OpIndex, Value};
use crate::key::KeyHistory;
use crate::model::{ModelKind, ModelSpec};
use crate::verdict::{Anomaly, Violation};

mod diagram;
mod list;
mod queue;
mod register;
mod scene;
mod text;

use scene::{Deed, Scene};

/// What a test or a search found: what it takes it for, and the operations that show it.
///
/// The operations are those that a person must see: for each value involved its write, the operation that was too early or too
/// late, and the one that it contradicts. They need no order and no roles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// What the test takes it for; [`Anomaly::NotLinearizable`] where it cannot say.
    pub(crate) anomaly: Anomaly,
    /// Places in the history, sorted, each once.
    pub(crate) operations: Vec<OpIndex>,
}

impl Finding {
    pub(crate) fn new(anomaly: Anomaly, mut operations: Vec<OpIndex>) -> Self {
        operations.sort_unstable();
        operations.dedup();
        Self { anomaly, operations }
    }
}

/// What some operations show: the anomaly's name, sentences, the operations spoken of, and a remark at one of them.
struct Account {
    anomaly: Anomaly,
    sentences: Vec<String>,
    operations: Vec<OpIndex>,
    mark: Option<(Deed, String)>,
}

impl Account {
    /// With its first sentence, about the operations of this scene.
    fn new(anomaly: Anomaly, scene: &Scene<'_>, words: &str) -> Self {
        let operations = scene.found.iter().map(|deed| deed.index).collect();
        Self { anomaly, sentences: vec![scene.sentence(words)], operations, mark: None }
    }

    /// With one more sentence.
    fn and(mut self, scene: &Scene<'_>, words: &str) -> Self {
        self.sentences.push(scene.sentence(words));
        self
    }

    /// With a remark at the operation that cannot be.
    fn marked(mut self, deed: &Deed, words: impl Into<String>) -> Self {
        self.mark = Some((*deed, words.into()));
        self
    }
}

/// The violation in words. O(n) in the key's operations for each of the few that were found.
pub(crate) fn violation(key: KeyHistory<'_>, spec: &ModelSpec, finding: &Finding) -> Violation {
    // A verdict is not lost for want of words.
    catch_unwind(AssertUnwindSafe(|| explained(key, spec, finding))).unwrap_or_else(|_| Violation {
        anomaly: finding.anomaly,
        key: key.key.clone(),
        operations: finding.operations.clone(),
        sentences: vec![format!(
            "On {} {} have no linear order (the explanation crashed, which is a defect of it; the verdict stands).",
            describe::key_phrase(key.key),
            describe::count(finding.operations.len(), "operation")
        )],
        diagram: String::new(),
    })
}

fn explained(key: KeyHistory<'_>, spec: &ModelSpec, finding: &Finding) -> Violation {
    let scene = Scene::new(key, spec, &finding.operations);
    let account = of_another_type(&scene).or_else(|| account(&scene)).unwrap_or_else(|| unexplained(&scene, finding));
    let scene = scene.with(account.operations.iter().copied());
    let diagram = diagram::draw(&scene, account.mark.as_ref());
    let all = finding.operations.iter().copied().chain(account.operations);
    let Finding { operations, .. } = Finding::new(account.anomaly, all.collect());
    Violation { anomaly: account.anomaly, key: key.key.clone(), operations, sentences: account.sentences, diagram }
}

fn account(scene: &Scene<'_>) -> Option<Account> {
    match scene.spec.model {
        ModelKind::Register | ModelKind::CasRegister => register::account(scene),
        ModelKind::KeyValue => register::account(scene).or_else(|| text::account(scene)),
        ModelKind::ListAppend => list::account(scene),
        ModelKind::Set => list::account_of_set(scene),
        ModelKind::Counter => queue::account_of_counter(scene),
        ModelKind::Queue => queue::account(scene),
        ModelKind::Lock => queue::account_of_lock(scene),
        ModelKind::MultiRegister => None,
    }
}

/// A read of what no object of the model can hold. That is not a wrong history but a wrong server.
fn of_another_type(scene: &Scene<'_>) -> Option<Account> {
    let (expected, holds) = crate::fit::states(scene.spec.model);
    let (read, seen) = scene.found.iter().find_map(|deed| match (deed.op.action, deed.op.completion) {
        (Action::Read, Completion::Ok(Some(seen))) if !holds(scene.value(seen)) => Some((deed, seen)),
        _ => None,
    })?;
    if let (ModelKind::Set, Value::List(_)) = (scene.spec.model, scene.value(seen)) {
        let words = format!("{}, which has an element twice, as no set does", scene.observed(read, seen));
        let account = Account::new(Anomaly::DuplicatedAppend, scene, &words);
        return Some(account.marked(read, "an element is there twice"));
    }
    let words = format!("{}, which is not {expected}, and nothing else was ever there", scene.observed(read, seen));
    let account = Account::new(Anomaly::ReadOfUnwritten, scene, &words);
    Some(account.marked(read, format!("{} is not {expected}", scene.show(seen))))
}

/// Operations that a sentence lists one by one; the diagram shows more.
const LISTED_MAX: usize = 6;

/// What can be said of everything: these operations have no order.
fn unexplained(scene: &Scene<'_>, finding: &Finding) -> Account {
    if let [stuck] = scene.found.as_slice() {
        let words = format!("every order was tried, and none gets past {}", scene.deed_with_times(stuck));
        return Account::new(finding.anomaly, scene, &words).marked(stuck, "no order gets past this");
    }
    let listed: Vec<String> = scene.found.iter().take(LISTED_MAX).map(|deed| scene.deed_with_times(deed)).collect();
    let more = match finding.operations.len() - listed.len() {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    let words = format!(
        "no order explains these {}: {}{more}",
        describe::count(finding.operations.len(), "operation"),
        listed.join("; ")
    );
    Account::new(finding.anomaly, scene, &words)
}

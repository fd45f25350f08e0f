//! From a violation to a core: the smallest impossible part of one key's history that allowed deletions lead to.
//!
//! ```text
//!   operations that a fast test named ──> with what must stay beside them ──┐ impossible?
//!   the event at which a search ended ──> everything up to it ──────────────┤
//!                                                                           v
//!   part of a history ──> drop halves, quarters, … single units, while it stays impossible ──> earlier cuts ──> verified
//! ```
//!
//! Which deletions are allowed, and whether what is left is impossible, the verifier says ([`crate::verify`]); for parts that are too
//! large for it the checkers say the second, and the verifier has the last word. Dropping ever smaller groups is the delta debugging of
//! Zeller and Hildebrandt, "Simplifying and isolating failure-inducing input" (2002), section 3. One pass over single units is enough
//! where a deletion that leaves a part possible leaves all its parts possible, and that is what allowed deletions are.

mod near;
mod units;

use std::time::{Duration, Instant};

use self::units::Units;
use crate::certificate::{Certificate, Core};
use crate::check::is_impossible;
use crate::history::{Completion, History, OpIndex};
use crate::key::KeyHistory;
use crate::model::{ModelKind, ModelSpec};
use crate::verify::{Bounds, Open, Refuted, left, verify_within};

/// Up to this many operations the verifier's own search is asked first.
const SMALL: usize = 300;

/// What that search may spend on one part.
const SMALL_BOUNDS: Bounds = Bounds { steps: 50_000, memory_bytes: 64 << 20 };

/// Memory for the checkers, when they are asked about a larger part.
const MEMORY_BYTES: usize = 256 << 20;

/// Finds a core. `hint` is what a checker named: the operations that cannot all be, or the one whose return no order gets past.
///
/// Ends by `deadline`, but for the final verification, which takes O(n) and what [`Bounds::default`] allows for the core.
///
/// # Errors
/// Why there is none: the time ended, or what was found is too large to be verified.
pub(crate) fn core(key: KeyHistory<'_>, spec: &ModelSpec, hint: &[OpIndex], deadline: Instant) -> Result<Core, String> {
    let mut asked = Vec::new();
    for operations in near::candidates(key, spec, hint) {
        let core = Core { key: key.key.clone(), cut: None, operations, minimal: false };
        if let Some(core) = settled(key, spec, core, deadline, &mut asked) {
            return Ok(core);
        }
    }
    let last_return = hint.iter().map(|&index| key.compact(index).ret).max().unwrap_or(u64::MAX);
    for cut in [Some(last_return).filter(|&cut| cut < u64::MAX), None] {
        let is_in = |index: &&OpIndex| {
            let operation = key.compact(**index);
            cut.is_none_or(|cut| operation.invoke <= cut) && operation.completion != Completion::Fail
        };
        let operations = key.places.iter().filter(is_in).copied().collect();
        let core = Core { key: key.key.clone(), cut, operations, minimal: false };
        if let Some(core) = settled(key, spec, core, deadline, &mut asked) {
            return Ok(core);
        }
    }
    Err(asked.pop().unwrap_or_else(|| "no impossible part was found in time".into()))
}

/// Cores up to this many operations are tried with every cut.
const CUT_MAX: usize = 12;

/// Shrinks a part, and then what is left of the whole history at each cut of that. `None` as for [`from_part`].
///
/// What was added only after a cut is not taken out of what was read before it. So a cut of the whole may show with fewer operations
/// what a cut of the part does not.
fn settled(
    key: KeyHistory<'_>,
    spec: &ModelSpec,
    part: Core,
    deadline: Instant,
    failures: &mut Vec<String>,
) -> Option<Core> {
    let mut core = from_part(key, spec, part, deadline, failures)?;
    let takes_out = !matches!(
        spec.model,
        ModelKind::Register | ModelKind::CasRegister | ModelKind::Counter | ModelKind::Lock | ModelKind::KeyValue
    );
    while takes_out && core.minimal && core.operations.len() <= CUT_MAX {
        let mut cuts: Vec<u64> = core.operations.iter().map(|&index| key.compact(index).ret).collect();
        cuts.retain(|&cut| cut <= core.cut.unwrap_or(u64::MAX - 1));
        cuts.sort_unstable();
        let size = |core: &Core| (core.operations.len(), core.cut.unwrap_or(u64::MAX));
        let smaller = cuts.into_iter().find_map(|cut| {
            let is_in = |index: &&OpIndex| key.compact(**index).invoke <= cut;
            let operations: Vec<OpIndex> = core.operations.iter().filter(is_in).copied().collect();
            let part = Core { cut: Some(cut), operations, ..core.clone() };
            from_part(key, spec, part, deadline, failures).filter(|found| size(found) < size(&core))
        });
        match smaller {
            Some(smaller) => core = smaller,
            None => break,
        }
    }
    Some(core)
}

/// Shrinks a part, if it is impossible. `None` when it is not, or when what was found cannot be verified, which is added to `failures`.
fn from_part(
    key: KeyHistory<'_>,
    spec: &ModelSpec,
    core: Core,
    deadline: Instant,
    failures: &mut Vec<String>,
) -> Option<Core> {
    let (start, operations, places) = left(key.history, spec, &core, Open::StaysAnswered).ok()?;
    let history = History::from_operations(operations).ok()?;
    let shrinker = Shrinker { history: &history, spec: &start, deadline };
    let whole = Core {
        key: core.key.clone(),
        cut: core.cut,
        operations: (0..u32::try_from(history.len()).ok()?).map(OpIndex).collect(),
        minimal: false,
    };
    if shrinker.judge(&whole) != Said::Impossible {
        return None;
    }
    let small = shrinker.shrink(whole);
    let found = Core {
        key: core.key,
        cut: small.cut,
        operations: small.operations.iter().map(|index| places[index.0 as usize]).collect(),
        minimal: small.minimal,
    };
    let without_cut = Core { cut: None, ..found.clone() };
    let all_returned = found.operations.iter().all(|&index| Some(key.compact(index).ret) <= found.cut);
    let mut last = None;
    for core in [without_cut, found.clone()].into_iter().skip(usize::from(found.cut.is_some() && !all_returned)) {
        let certificate = Certificate::Core(core.clone());
        match verify_within(key.history, spec, &certificate, Bounds::default()) {
            Ok(_) => return Some(core),
            Err(refuted) => last = Some(refuted),
        }
    }
    failures.extend(last.map(|refuted| format!("a core of {} operations {refuted}", found.operations.len())));
    None
}

/// What is known of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Impossible,
    /// Or not allowed.
    Possible,
    Unknown,
}

/// Makes a part smaller. The part is a history of its own here.
struct Shrinker<'h> {
    history: &'h History,
    spec: &'h ModelSpec,
    deadline: Instant,
}

impl Shrinker<'_> {
    fn judge(&self, core: &Core) -> Said {
        if core.operations.is_empty() {
            return Said::Possible;
        }
        if core.operations.len() <= SMALL {
            match verify_within(self.history, self.spec, &Certificate::Core(core.clone()), SMALL_BOUNDS) {
                Ok(_) => return Said::Impossible,
                Err(Refuted::Wrong(_)) => return Said::Possible,
                Err(Refuted::Undecided(_)) => {}
            }
        }
        let time_left = self.deadline.saturating_duration_since(Instant::now());
        if time_left.is_zero() {
            return Said::Unknown;
        }
        let Ok((start, operations, _)) = left(self.history, self.spec, core, Open::IsUnknown) else {
            return Said::Possible;
        };
        let Ok(history) = History::from_operations(operations) else { return Said::Possible };
        match is_impossible(&history, &start, Instant::now() + time_left / 4, MEMORY_BYTES) {
            Some(true) => Said::Impossible,
            Some(false) => Said::Possible,
            None => Said::Unknown,
        }
    }

    fn shrink(&self, mut core: Core) -> Core {
        core.minimal = true;
        loop {
            self.drop_units(&mut core);
            let (cut, operations) = (core.cut, core.operations.len());
            self.cut_earlier(&mut core);
            // An earlier cut may have taken along what others were kept for.
            if !core.minimal || (core.cut, core.operations.len()) == (cut, operations) {
                return core;
            }
        }
    }

    /// Drops halves of the units, quarters, and so on down to single ones.
    fn drop_units(&self, core: &mut Core) {
        let units = Units::of(self.history, self.spec, &core.operations);
        let mut gone = vec![false; units.len()];
        let mut size = units.len();
        loop {
            size = size.div_ceil(2).max(1);
            let mut dropped = false;
            let there: Vec<usize> = (0..units.len()).filter(|&unit| !gone[unit]).collect();
            for group in there.chunks(size) {
                if Instant::now() >= self.deadline {
                    core.minimal = false;
                    return;
                }
                let mut without = gone.clone();
                group.iter().for_each(|&unit| without[unit] = true);
                let smaller = Core { operations: units.kept(&without), ..core.clone() };
                if smaller.operations.len() == core.operations.len() {
                    // They went with others.
                    gone = without;
                    continue;
                }
                match self.judge(&smaller) {
                    Said::Impossible => {
                        (*core, gone, dropped) = (smaller, without, true);
                    }
                    Said::Possible => {}
                    Said::Unknown if size == 1 => core.minimal = false,
                    Said::Unknown => {}
                }
            }
            if size == 1 && !dropped {
                return;
            }
        }
    }

    /// Cuts at ever earlier returns of what is left.
    fn cut_earlier(&self, core: &mut Core) {
        let operation = |index: &OpIndex| &self.history.operations()[index.0 as usize];
        loop {
            let end = core.cut.unwrap_or(u64::MAX - 1);
            let mut returns: Vec<u64> = core.operations.iter().map(|index| operation(index).ret).collect();
            returns.sort_unstable_by(|a, b| b.cmp(a));
            // A cut that cuts something: after it an operation returns, or is invoked.
            let cuts = |cut: u64| {
                core.operations
                    .iter()
                    .map(operation)
                    .any(|operation| operation.invoke > cut || (operation.ret > cut && operation.ret <= end))
            };
            let Some(cut) = returns.into_iter().find(|&ret| ret <= end && cuts(ret)) else { return };
            let is_left = |index: &&OpIndex| {
                let operation = operation(index);
                let is_read = self.history.operation(**index).action.function() == crate::history::Function::Read;
                operation.invoke <= cut && !(is_read && operation.ret > cut)
            };
            let operations = core.operations.iter().filter(is_left).copied().collect();
            let smaller = Core { cut: Some(cut), operations, ..core.clone() };
            match self.judge(&smaller) {
                Said::Impossible => *core = smaller,
                Said::Possible => return,
                Said::Unknown => {
                    core.minimal = false;
                    return;
                }
            }
        }
    }
}

/// How much of the time that is left a core may take: enough for most, and never so much that a verdict is long in coming.
pub(crate) fn deadline(check_ends: Instant) -> Instant {
    check_ends.min(Instant::now() + Duration::from_secs(10))
}

//! Accounts of texts that are appended to: what was appended must be in every text read after, until the text is replaced.

use super::Account;
use super::scene::{Deed, Scene};
use crate::describe::{count, value};
use crate::history::{Action, Completion, Value, ValueId};
use crate::verdict::Anomaly;

/// What reads of an appended text show.
pub(super) fn account(scene: &Scene<'_>) -> Option<Account> {
    let mut reads: Vec<(Deed, &str)> =
        scene.found.iter().filter_map(|deed| Some((*deed, text_read(scene, deed)?))).collect();
    reads.sort_by_key(|(deed, _)| deed.op.ret);
    reads
        .iter()
        .find_map(|(read, text)| lacks(scene, read, text))
        .or_else(|| reads.iter().find_map(|(read, text)| holds_twice(scene, read, text)))
}

fn text<'h>(scene: &Scene<'h>, id: ValueId) -> Option<&'h str> {
    match scene.value(id) {
        Value::Nil => Some(""),
        Value::Text(text) => Some(text),
        _ => None,
    }
}

fn text_read<'h>(scene: &Scene<'h>, deed: &Deed) -> Option<&'h str> {
    match (deed.op.action, deed.op.completion) {
        (Action::Read, Completion::Ok(Some(seen))) => text(scene, seen),
        _ => None,
    }
}

/// What an operation put in, or may have.
fn put_in<'h>(scene: &Scene<'h>, deed: &Deed) -> Option<&'h str> {
    match deed.op.action {
        Action::Append(new) | Action::Write(new) | Action::Cas { new, .. } if deed.may_be_done() => text(scene, new),
        _ => None,
    }
}

/// An append was acknowledged before the read was invoked, and nothing since can have replaced the text.
fn lacks(scene: &Scene<'_>, read: &Deed, held: &str) -> Option<Account> {
    let replaces = |deed: &Deed| {
        deed.may_be_done() && matches!(deed.op.action, Action::Write(_) | Action::Cas { .. } | Action::Delete)
    };
    let replaced_until =
        scene.all().filter(replaces).filter(|deed| deed.op.invoke <= read.op.ret).map(|deed| deed.op.ret).max();
    let (lost, piece) = scene
        .all()
        .filter(|deed| {
            deed.is_done() && deed.precedes(read) && replaced_until.is_none_or(|until| until < deed.op.invoke)
        })
        .filter_map(|deed| match deed.op.action {
            Action::Append(new) => Some((deed, text(scene, new)?)),
            _ => None,
        })
        .find(|(_, piece)| !held.contains(piece))?;
    let holder = scene.all().find(|deed| text_read(scene, deed).is_some_and(|text| text.contains(piece)));
    let scene = scene.with([lost.index, read.index].into_iter().chain(holder.map(|deed| deed.index)));
    let had = scene.had_ended(&lost);
    let lacking = format!("{} {} does not hold it", scene.deed(read), scene.at(read.op.invoke));
    let (anomaly, words) = match holder {
        None => (Anomaly::LostWrite, format!("{had}, but {lacking}, nor does any other read: a lost write")),
        Some(_) => {
            let age = scene.clock().span(lost.op.ret, read.op.invoke);
            (Anomaly::StaleRead, format!("{had}, but {lacking}: a stale read, at least {age} old"))
        }
    };
    let mark = format!("{} is missing", value(&Value::Text(piece.to_owned())));
    Some(Account::new(anomaly, &scene, &words).marked(read, mark))
}

/// A piece that was put in once is in the text twice.
fn holds_twice(scene: &Scene<'_>, read: &Deed, held: &str) -> Option<Account> {
    // What one append put in and nothing else holds, so that no joint of two others can look like it but by chance.
    let appends = scene.found.iter().filter(|deed| matches!(deed.op.action, Action::Append(_)));
    let (append, piece, times) =
        appends.filter_map(|deed| Some((deed, put_in(scene, deed)?))).find_map(|(deed, piece)| {
            let times = held.matches(piece).count();
            let others =
                scene.all().filter(|other| other.index != deed.index).filter_map(|other| put_in(scene, &other));
            (piece.len() > 1 && times > 1 && !others.into_iter().any(|other| other.contains(piece)))
                .then_some((deed, piece, times))
        })?;
    let scene = scene.with([append.index, read.index]);
    let shown = value(&Value::Text(piece.to_owned()));
    let words = format!(
        "{} {} holds {shown} {}, but it was appended once, by {}, invoked {}: a duplicated append",
        scene.deed(read),
        scene.at(read.op.invoke),
        crate::describe::times(times),
        Scene::who(append),
        scene.at(append.op.invoke)
    );
    let mark = format!("holds {shown} {}", count(times, "time"));
    Some(Account::new(Anomaly::DuplicatedAppend, &scene, &words).marked(read, mark))
}

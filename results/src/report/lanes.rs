//! The lanes that operations are drawn on: one a client, whatever process numbers it went through.
//!
//! ```text
//!   slot    0 … clients-1      clients … +nodes      … +nodes
//!           client, on node    probe of a node       final reads of a node      process = slot + k * stride
//! ```
//!
//! A client whose operation ended unknown goes on as a process whose number is a stride higher; its lane stays.

use std::collections::BTreeSet;

use checkers::history::History;
use serde::Serialize;
use serde_json::Value as Json;

use crate::store::Manifest;

/// Lanes at most; where there are more slots, several share a lane.
const LANES_MAX: u64 = 200;

/// One lane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Lane {
    /// The lowest process number of it.
    pub slot: u64,
    /// What is written beside it.
    pub name: String,
    /// The node that its operations go to, from 1, where that is known.
    pub node: Option<u64>,
}

/// All lanes, and how a process finds its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Lanes {
    /// Process numbers are taken modulo this; 0: as they are.
    pub stride: u64,
    /// Slots are then taken modulo this; 0: as they are.
    pub fold: u64,
    /// How many clients carry the load; 0 where that is not known.
    pub clients: u64,
    /// By slot.
    pub lanes: Vec<Lane>,
}

impl Lanes {
    /// The lanes of the processes of a history; without a manifest, one for each process.
    pub fn of(history: &History, manifest: Option<&Manifest>) -> Self {
        let setting = |name: &str| manifest.and_then(|manifest| manifest.config.get(name)).and_then(Json::as_u64);
        let clients = setting("concurrency").unwrap_or(0);
        let nodes = setting("nodes").unwrap_or(0).saturating_add(setting("spares").unwrap_or(0));
        let known = clients > 0 && nodes > 0 && nodes < 1 << 20 && clients < 1 << 40;
        let stride = if known { clients + 2 * nodes } else { 0 };
        let clients = if known { clients } else { 0 };
        let slot = |process: u64| if stride == 0 { process } else { process % stride };
        let mut slots = BTreeSet::new();
        let mut fold = 0;
        for operation in history.operations() {
            slots.insert(slot(operation.process.0));
            if slots.len() as u64 > LANES_MAX {
                fold = LANES_MAX;
                break;
            }
        }
        if fold > 0 {
            slots = history.operations().iter().map(|operation| slot(operation.process.0) % fold).collect();
        }
        let lane = |slot: u64| {
            if fold > 0 {
                return Lane { slot, name: format!("clients {slot}, {}, …", slot + fold), node: None };
            }
            match slot {
                _ if stride == 0 => Lane { slot, name: format!("process {slot}"), node: None },
                _ if slot < clients => Lane { slot, name: format!("client {slot}"), node: Some(slot % nodes + 1) },
                _ => {
                    let beyond = slot - clients;
                    let part = if beyond < nodes { "probe" } else { "final reads" };
                    Lane { slot, name: part.to_owned(), node: Some(beyond % nodes + 1) }
                }
            }
        };
        Self { stride, fold, clients, lanes: slots.into_iter().map(lane).collect() }
    }

    /// The slot of a process.
    pub fn slot(&self, process: u64) -> u64 {
        let slot = if self.stride == 0 { process } else { process % self.stride };
        if self.fold == 0 { slot } else { slot % self.fold }
    }

    /// The lane of a process.
    pub fn lane(&self, process: u64) -> Option<&Lane> {
        let slot = self.slot(process);
        self.lanes.binary_search_by_key(&slot, |lane| lane.slot).ok().map(|place| &self.lanes[place])
    }
}

#[cfg(test)]
mod tests {
    use checkers::history::{Action, Operation};
    use serde_json::json;

    use super::*;

    fn history(processes: impl IntoIterator<Item = u64>) -> History {
        let read = |(place, process)| Operation::invoked(process, Action::Read, place).done(place + 1);
        History::from_operations((0_u64..).zip(processes).map(read)).expect("a history")
    }

    #[test]
    fn a_client_keeps_its_lane() {
        let manifest = Manifest::here(1, json!({"concurrency": 4, "nodes": 2, "spares": 1}));
        let history = history([0, 1, 3, 10, 13, 4, 6, 7, 9]);
        let lanes = Lanes::of(&history, Some(&manifest));
        let names: Vec<_> = lanes.lanes.iter().map(|lane| (lane.slot, lane.name.as_str(), lane.node)).collect();
        let wanted = [
            (0, "client 0", Some(1)),
            (1, "client 1", Some(2)),
            (3, "client 3", Some(1)),
            (4, "probe", Some(1)),
            (6, "probe", Some(3)),
            (7, "final reads", Some(1)),
            (9, "final reads", Some(3)),
        ];
        assert_eq!(names, wanted);
        assert_eq!(lanes.lane(23).map(|lane| lane.slot), Some(3));
        let bare = Lanes::of(&history, None);
        assert_eq!((bare.stride, bare.lanes.len()), (0, 9));
    }

    #[test]
    fn ten_thousand_processes_share_lanes() {
        let lanes = Lanes::of(&history(0..10_000), None);
        assert_eq!(lanes.lanes.len() as u64, LANES_MAX);
        assert!(lanes.lane(9_999).is_some());
    }
}

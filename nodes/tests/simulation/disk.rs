//! A simulated disk: what was appended is volatile until a sync.
//!
//! ```text
//!   durable: snapshot + records │ volatile: compact, record, record, … each with its ticket
//!                               └─ sync moves a prefix to the left; a power loss keeps a random prefix of it
//! ```
//!
//! A compaction is one operation: it happened, or it did not.

use nodes::protocol::{Compact, Stored, Ticket};
use rand::RngExt;
use serde::{Serialize, de::DeserializeOwned};

use crate::schedule::Generator;

enum Write<R> {
    Compact(Compact<R>),
    Record(R),
}

/// One node's disk.
pub struct Disk<R> {
    durable: Stored<R>,
    volatile: Vec<(Ticket, Write<R>)>,
}

impl<R> Default for Disk<R> {
    fn default() -> Self {
        Self { durable: Stored::default(), volatile: Vec::new() }
    }
}

impl<R: Clone + Serialize + DeserializeOwned> Disk<R> {
    /// Takes what one step wants persisted.
    pub fn append(&mut self, ticket: Ticket, compact: Option<Compact<R>>, records: &mut Vec<R>) {
        self.volatile.extend(compact.map(|compact| (ticket, Write::Compact(compact))));
        self.volatile.extend(records.drain(..).map(|record| (ticket, Write::Record(record))));
    }

    /// Makes durable everything up to this ticket.
    pub fn sync(&mut self, through: Ticket) {
        let count = self.volatile.iter().take_while(|(ticket, _)| *ticket <= through).count();
        self.keep(count);
    }

    /// The power fails: of what is volatile, a random prefix happens to have reached the disk.
    pub fn lose_power(&mut self, rng: &mut Generator) {
        let kept = rng.random_range(0..=self.volatile.len());
        self.keep(kept);
        self.volatile.clear();
    }

    /// The process dies: what it had not synced was still in its own memory.
    pub fn lose_process(&mut self) {
        self.volatile.clear();
    }

    fn keep(&mut self, count: usize) {
        for (_, write) in self.volatile.drain(..count) {
            match write {
                Write::Compact(compact) => {
                    self.durable = Stored { snapshot: Some(compact.snapshot), records: compact.records };
                }
                Write::Record(record) => self.durable.records.push(record),
            }
        }
    }

    /// What a restarted process finds: what it wrote, decoded again.
    pub fn stored(&self) -> Stored<R> {
        let bytes = postcard::to_stdvec(&self.durable.records).expect("records encode");
        let records = postcard::from_bytes(&bytes).expect("records decode");
        Stored { snapshot: self.durable.snapshot.clone(), records }
    }
}

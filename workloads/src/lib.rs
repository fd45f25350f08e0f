//! What clients do: seeded operation generators, and adapters that carry an operation to a server and say honestly how it ended.
//!
//! ```text
//!   seed ──> Generator ──> Invocation ──> Client (reqwest) ──> Outcome { completion, reason }
//!             pure    ^     key, action    own timeout           ok | fail | mismatch | info
//!                     └──────────── observe ──────────────────────┤
//!                                                                 └──> record::{invoke, complete} ──> history::Event
//! ```

pub mod client;
pub mod generator;
pub mod kind;
pub mod record;

//! Fast tests: where every value is written at most once, the order follows from what was read, in O(n log n) or better.
//!
//! ```text
//!   register, cas-register ──> register ──> chains ──> zones
//!   list-append ─────────────> list
//! ```

pub(crate) mod chains;
pub(crate) mod list;
pub(crate) mod register;
pub(crate) mod zones;

//! What a few runs say about all of them.
//!
//! ```text
//!   k of n runs ──────> share           an interval for the true share
//!   two samples ──┬───> rank_sum        could they be of one distribution?
//!                 ├───> shift           by how much the one lies higher, with an interval
//!                 └───> effect          which shift would have been seen at all
//!   many p values ────> holm            so that many questions raise no more false alarms than one
//!   a series ─────────> change_points   where it steps, and how surely
//! ```
//!
//! Everything is a pure function; what is random follows from a seed. Measurements of computers are skewed and have outliers, so all
//! of it goes by ranks, medians of pairs or distances, and nothing assumes a normal distribution but where it says so.

pub mod change_points;
pub mod effect;
pub mod holm;
pub mod rank_sum;
pub mod share;
pub mod shift;

pub use share::{Interval, median, wilson};

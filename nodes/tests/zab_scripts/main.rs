//! Zab rule by rule, and mutant by mutant.
//!
//! [`rules`] has a test for each rule of the paper, [`mutants`] one for each mutant. [`cluster`] is a small cluster that moves only
//! when told to, [`server`] one server of it, alone with the test.

mod cluster;
mod mutants;
mod rules;
mod server;

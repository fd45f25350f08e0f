//! The harness of Trueline.

fn main() {}

//! The one binary, `automation`.
fn main() {}

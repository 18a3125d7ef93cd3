//! The `cuadra` program.

fn main() {}

//! The whole-system suite: one test binary, one module a family. A test's name is the claim it makes.

mod tidy;

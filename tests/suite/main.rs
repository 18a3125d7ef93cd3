//! The whole-system suite: one test binary, one module a family. A test's name is the claim it makes.

mod bad_input;
mod border;
mod coverage;
mod hostile;
mod live;
mod nothing_lost;
mod privacy;
mod tidy;

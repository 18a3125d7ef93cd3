//! What the programs share: two processes that are told what to do line by line, what they write, and
//! the works that they are put through. Each program adds only the system that it shows.

pub mod clock;
pub mod content;
pub mod disk;
pub mod figures;
pub mod heard;
pub mod measure;
pub mod node;
pub mod process;
pub mod works;

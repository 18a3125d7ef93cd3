//! The pages: views in, HTML out. No storage, no HTTP, no decisions; what a person may do is in the
//! view, what they may know was decided before. Every page works without JavaScript; the islands of
//! `node/web` make it live.

pub mod assets;
mod chart;
mod chrome;
mod codes;
mod format;
mod icons;
mod lang;
mod notices;
mod problem;
mod sheets;
mod takeovers;

pub use chrome::{Chrome, Filled};
pub use format::TIME_ZONE;
pub use lang::Lang;
pub use notices::{notice, notice_draft, notice_form, notices};
pub use problem::{Problem, problem};
pub use sheets::{
    KindView, alert, call, console, country, coverage, enter, error, home, join, kept, kinds, me, more,
    nodes, report, welcome,
};
pub use takeovers::{lost, takeovers};

#[cfg(test)]
mod tests;

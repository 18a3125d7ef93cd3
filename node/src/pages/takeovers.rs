//! The pages about lost nodes: the list, and one of them.

use askama::Template;

use super::chrome::Chrome;
use super::sheets::render;
use crate::views::{BatchView, LostNodeView, TakeoversView};

#[derive(Template)]
#[template(path = "takeovers.html")]
struct TakeoversPage<'a> {
    c: &'a Chrome,
    v: &'a TakeoversView,
    done: Option<BatchView>,
}

/// Lost nodes, and what is offered to this one. Forms POST to /takeovers/answers: `node`, `declined`.
#[must_use]
pub fn takeovers(chrome: &Chrome, view: &TakeoversView, done: Option<BatchView>) -> String {
    render(&TakeoversPage { c: chrome, v: view, done })
}

#[derive(Template)]
#[template(path = "lost.html")]
struct LostPage<'a> {
    c: &'a Chrome,
    n: &'a LostNodeView,
    done: Option<BatchView>,
}

/// One lost node. Forms POST to /takeovers: `node`, `to`, `incident`, `reason`; and to /takeovers/seals:
/// `node`, `until`, `reason`.
#[must_use]
pub fn lost(chrome: &Chrome, node: &LostNodeView, done: Option<BatchView>) -> String {
    render(&LostPage { c: chrome, n: node, done })
}

//! The pages of mass messages. A drill is never written like a real one: other words, other colours, and
//! the word itself in front of every headline.

use askama::Template;
use protocol::operation::NoticeMode;

use super::chrome::{Chrome, Filled};
use super::problem::Problem;
use super::sheets::render;
use crate::views::{AreaView, DraftView, NoticeView, NoticeWordsView, NoticesView};

/// For how many hours a message may be chosen to hold.
const HOURS: [u32; 9] = [1, 2, 3, 6, 12, 24, 48, 72, 168];
/// Messages in the head of a page. More: a link to the rest.
const HEAD_SHOWN: usize = 2;

impl Chrome {
    /// The first of what everybody is told now, for the head of the page.
    #[must_use]
    pub fn first_notices(&self) -> &[NoticeView] {
        self.notices.get(..HEAD_SHOWN).unwrap_or(&self.notices)
    }
    /// How many more there are.
    #[must_use]
    pub fn more_notices(&self) -> u64 {
        u64::try_from(self.notices.len().saturating_sub(HEAD_SHOWN)).unwrap_or_default()
    }
    /// The words in the reader's language, else the first.
    #[must_use]
    pub fn said<'a>(&self, words: &'a [NoticeWordsView]) -> Option<&'a NoticeWordsView> {
        let own = words.iter().find(|words| super::Lang::from_tag(&words.lang) == Some(self.lang));
        own.or_else(|| words.first())
    }
    /// The headline in one language, for a form.
    #[must_use]
    pub fn headline_in<'a>(&self, words: &'a [NoticeWordsView], lang: &str) -> &'a str {
        words.iter().find(|words| words.lang == lang).map_or("", |words| words.headline.as_str())
    }
    /// The rest of the words in one language, for a form.
    #[must_use]
    pub fn text_in<'a>(&self, words: &'a [NoticeWordsView], lang: &str) -> &'a str {
        words.iter().find(|words| words.lang == lang).map_or("", |words| words.text.as_str())
    }
    /// True for two equal texts.
    #[must_use]
    pub fn same(&self, one: impl AsRef<str>, other: impl AsRef<str>) -> bool {
        one.as_ref() == other.as_ref()
    }
    /// A length of time in hours.
    #[must_use]
    pub fn hours_span(&self, hours: impl std::borrow::Borrow<u32>) -> String {
        self.span(u64::from(*hours.borrow()) * 3_600_000)
    }
    /// Where a message is for.
    #[must_use]
    pub fn area<'a>(&'a self, name: &'a str) -> &'a str {
        if name.is_empty() { self.t("notice.country") } else { name }
    }
    /// Hours that may be chosen.
    #[must_use]
    pub fn hours(&self) -> &'static [u32] {
        &HOURS
    }
}

#[derive(Template)]
#[template(path = "notices.html")]
struct NoticesPage<'a> {
    c: &'a Chrome,
    v: &'a NoticesView,
}

/// What everybody is told; for the desk, what waits for a second person and what is over.
#[must_use]
pub fn notices(chrome: &Chrome, view: &NoticesView) -> String {
    render(&NoticesPage { c: chrome, v: view })
}

#[derive(Template)]
#[template(path = "notice.html")]
struct NoticePage<'a> {
    c: &'a Chrome,
    n: &'a NoticeView,
    filled: &'a Filled,
    problem: Option<&'a Problem>,
}

/// One message; for the desk that sent it, with the forms to correct it and to take it back. They POST to
/// /notices/ID/drafts: `what`, `urgency`, `hours`, `headline`, `text`, `headline_en`, `text_en`.
#[must_use]
pub fn notice(chrome: &Chrome, view: &NoticeView, filled: &Filled, problem: Option<&Problem>) -> String {
    render(&NoticePage { c: chrome, n: view, filled, problem })
}

#[derive(Template)]
#[template(path = "notice_form.html")]
struct NoticeFormPage<'a> {
    c: &'a Chrome,
    drill: bool,
    areas: &'a [AreaView],
    filled: &'a Filled,
    problem: Option<&'a Problem>,
}

/// Drafting a message. POST /notices: `mode`, `code`, `urgency`, `hours`, `headline`, `text`, `headline_en`,
/// `text_en`.
#[must_use]
pub fn notice_form(
    chrome: &Chrome,
    mode: NoticeMode,
    areas: &[AreaView],
    filled: &Filled,
    problem: Option<&Problem>,
) -> String {
    render(&NoticeFormPage { c: chrome, drill: mode == NoticeMode::Drill, areas, filled, problem })
}

#[derive(Template)]
#[template(path = "notice_draft.html")]
struct NoticeDraftPage<'a> {
    c: &'a Chrome,
    d: &'a DraftView,
}

/// A draft as people would see it, and how many it reaches. POST /notices/drafts/N/approve: `mode`,
/// `confirmed`; /notices/drafts/N/discard.
#[must_use]
pub fn notice_draft(chrome: &Chrome, draft: &DraftView) -> String {
    render(&NoticeDraftPage { c: chrome, d: draft })
}

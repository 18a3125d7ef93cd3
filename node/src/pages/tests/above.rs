//! Views of lost nodes and mass messages for the pages' tests.

use super::samples::{HOSTILE, NOW, chrome, operator, queue, resident};
use crate::pages::*;
use crate::views::*;
use protocol::operation::NoticeMode;

fn words(headline: &str, text: &str) -> Vec<NoticeWordsView> {
    let one = |lang: &str| NoticeWordsView {
        lang: lang.to_owned(),
        headline: headline.to_owned(),
        text: text.to_owned(),
    };
    vec![one("es"), one("en")]
}

fn notice_view(drill: bool, cancelled: bool) -> NoticeView {
    NoticeView {
        id: "4e".repeat(32),
        node: "Prefectura Sur".to_owned(),
        ours: true,
        code: "CL-13112".to_owned(),
        place: "La Pintana".to_owned(),
        drill,
        urgency: "emergency".to_owned(),
        opened_ms: NOW - 600_000,
        expires_ms: NOW + 3_600_000,
        active: !cancelled,
        cancelled,
        changed: true,
        confirmed: true,
        pending: false,
        words: words("Corte de agua en toda la comuna", HOSTILE),
        cancel_words: if cancelled { words("El agua volvió", "") } else { Vec::new() },
        drafted_by: Some("Marta".to_owned()),
        approved_by: Some(HOSTILE.to_owned()),
    }
}

fn draft(what: &str, drill: bool, yours: bool) -> DraftView {
    DraftView {
        number: 7,
        what: what.to_owned(),
        notice: None,
        drill,
        code: "CL-00000".to_owned(),
        place: String::new(),
        urgency: "high".to_owned(),
        hours: if what == "cancel" { 0 } else { 48 },
        words: words(HOSTILE, HOSTILE),
        drafted_by: Some("Marta".to_owned()),
        drafted_ms: NOW,
        yours,
        reach: ReachView { households: 18_029, unknown: vec!["La Granja".to_owned()] },
    }
}

fn lost_view(why: &str, open: u64) -> LostNodeView {
    LostNodeView {
        id: "a1".repeat(32),
        name: "San Miguel".to_owned(),
        why: why.to_owned(),
        since_ms: (why != "proven").then_some(NOW - 900_000),
        ours_to_take: true,
        open,
        unoffered: open / 2,
        waiting: vec![WaitingView { node: "San Joaquín".to_owned(), count: open / 4 }],
        accepted: 1,
        locked: 1,
        targets: vec![
            TargetView {
                id: "b2".repeat(32), name: "San Joaquín".to_owned(), state: "connected".to_owned()
            },
            TargetView { id: "c3".repeat(32), name: "Prefectura Sur".to_owned(), state: "here".to_owned() },
        ],
        to_vouch: if why == "expelled" { 3 } else { 0 },
        incidents: if open > 0 { queue() } else { Vec::new() },
    }
}

/// The pages about lost nodes and mass messages.
pub(super) fn pages(lang: Lang) -> Vec<(&'static str, String)> {
    let desk = |path: &str| chrome(lang, path, &["aggregator"], operator());
    let rosa = |path: &str| chrome(lang, path, &["municipal"], resident());
    let done = BatchView { done: 64, refused: 1, left: 12 };
    let takeovers_view = TakeoversView {
        lost: vec![lost_view("silent", 203), lost_view("expelled", 0), lost_view("proven", 2)],
        offered: vec![OfferedHereView { id: "a1".repeat(32), name: HOSTILE.to_owned(), count: 9 }],
    };
    let nothing = TakeoversView { lost: Vec::new(), offered: Vec::new() };
    let area = |code: &str, name: &str| AreaView { code: code.to_owned(), name: name.to_owned() };
    let areas = [area("CL-00000", ""), area("CL-13112", "La Pintana")];
    let all = NoticesView {
        active: vec![notice_view(false, false), notice_view(true, false), notice_view(false, true)],
        over: vec![notice_view(false, true)],
        drafts: vec![draft("open", false, true), draft("cancel", true, false)],
        areas: areas.to_vec(),
    };
    let none = NoticesView { active: Vec::new(), over: Vec::new(), drafts: Vec::new(), areas: Vec::new() };
    let typed =
        Filled::from_iter([("what", "update"), ("headline", HOSTILE), ("text", HOSTILE), ("hours", "6")]);
    let wrong = problem(lang, "field", "133");
    let mut told = rosa("/");
    told.notices = vec![notice_view(true, false), notice_view(false, false), notice_view(false, true)];
    let form = |mode, problem| notice_form(&desk("/notices/new"), mode, &areas, &typed, problem);
    vec![
        ("home_told", home(&told, &[], &[])),
        ("takeovers", takeovers(&desk("/takeovers"), &takeovers_view, Some(done))),
        ("takeovers_empty", takeovers(&desk("/takeovers"), &nothing, None)),
        ("lost_silent", lost(&desk("/takeovers/1"), &lost_view("silent", 203), Some(done))),
        ("lost_expelled", lost(&desk("/takeovers/1"), &lost_view("expelled", 5), None)),
        ("notices", notices(&rosa("/notices"), &all)),
        ("notices_desk", notices(&desk("/notices"), &all)),
        ("notices_empty", notices(&desk("/notices"), &none)),
        ("notice", notice(&desk("/notices/1"), &notice_view(false, false), &Filled::default(), None)),
        ("notice_wrong", notice(&desk("/notices/1"), &notice_view(true, false), &typed, Some(&wrong))),
        ("notice_over", notice(&rosa("/notices/1"), &notice_view(true, true), &Filled::default(), None)),
        ("notice_form", form(NoticeMode::Live, None)),
        ("notice_form_drill", form(NoticeMode::Drill, Some(&wrong))),
        ("notice_draft", notice_draft(&desk("/notices/drafts/7"), &draft("open", false, false))),
        ("notice_draft_drill", notice_draft(&desk("/notices/drafts/7"), &draft("update", true, false))),
        ("notice_draft_own", notice_draft(&desk("/notices/drafts/7"), &draft("cancel", false, true))),
    ]
}

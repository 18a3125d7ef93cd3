//! Pages filled with made-up views: what a busy evening looks like, and what an empty node does.

use super::*;

pub(super) const NOW: u64 = 1_795_446_202_000;
pub(super) const HOSTILE: &str = "<img src=x onerror=alert(1)></script><script>alert(1)</script>";

pub(super) fn chrome(lang: Lang, path: &str, roles: &[&str], who: Option<WhoView>) -> Chrome {
    let node = NodeView {
        id: "a1".repeat(16),
        name: if roles.contains(&"aggregator") { "Prefectura Sur" } else { "La Pintana" }.to_owned(),
        roles: roles.iter().map(|r| (*r).to_owned()).collect(),
        codes: vec!["CL-13112".to_owned()],
        emergency_number: "133".to_owned(),
        version: "0.1.0".to_owned(),
        roster_version: 3,
        roster_expired: false,
        roster_expires_ms: 1 << 50,
        roster_forked: false,
        invented_places: true,
        writes: "everywhere".into(),
    };
    Chrome {
        lang,
        node,
        who,
        path: path.to_owned(),
        now_ms: NOW,
        notices: Vec::new(),
        fresh: "5e".repeat(32),
    }
}

pub(super) fn resident() -> Option<WhoView> {
    Some(WhoView::Resident {
        id: 7,
        name: "Rosa".to_owned(),
        address: "Santa Rosa 11485".to_owned(),
        home: Some(PointView { lat: -33.58, lon: -70.63 }),
    })
}

pub(super) fn operator() -> Option<WhoView> {
    Some(WhoView::Operator { id: 1, name: "Turno noche".to_owned() })
}

fn incident(number: u64, kind: &str, status: &str, minutes: u64) -> IncidentView {
    #[expect(clippy::cast_precision_loss, reason = "small numbers of a sample")]
    let shift = number as f64 * 0.004;
    IncidentView {
        id: format!("{number:064x}"),
        short: format!("{:04X}", 0xA3F1_u64.wrapping_mul(number + 3) & 0xFFFF),
        kind: kind.to_owned(),
        contents: "here".to_owned(),
        urgency: protocol::kind::Kind::by_name(kind)
            .map_or("normal".to_owned(), |k| codes::names(&[k.urgency]).concat()),
        code: "CL-13112".to_owned(),
        place: "La Pintana".to_owned(),
        cell: "8ab2c2a2b2affff".to_owned(),
        point: Some(PointView { lat: -33.58 + shift, lon: -70.63 - shift }),
        point_exact: number.is_multiple_of(2),
        source: "app".to_owned(),
        status: status.to_owned(),
        outcome: (status == "closed").then(|| "helped".to_owned()),
        owner: "La Pintana".to_owned(),
        owner_id: "a1".repeat(16),
        ours: true,
        offered_to: None,
        offered_to_us: false,
        referred_to_us: false,
        opened_ms: NOW - minutes * 60_000,
        changed_ms: NOW - minutes * 30_000,
        late: false,
        ringing: status == "open" && minutes < 10,
        claimed_by: (status != "open").then(|| "Turno noche".to_owned()),
        alerts: 1,
        saw_it_too: u32::try_from(number % 4).unwrap(),
        crews: u32::from(status == "on_the_way"),
        distance_m: Some(120 + 340 * u32::try_from(number).unwrap()),
        text: None,
    }
}

pub(super) fn queue() -> Vec<IncidentView> {
    let mut queue = vec![
        incident(1, "sos", "open", 1),
        incident(2, "fire", "open", 3),
        incident(3, "robbery", "on_the_way", 14),
        incident(4, "noise", "open", 42),
        incident(5, "lost_person", "called", 75),
        incident(6, "street_light", "received", 600),
        incident(7, "tree_down", "on_site", 130),
        incident(8, "medical", "closed", 1_500),
    ];
    queue[1].text = Some("Humo en el segundo piso de la casa de la esquina".to_owned());
    queue[2].text = Some(HOSTILE.to_owned());
    queue[3].owner = "San Ramón".to_owned();
    queue[3].ours = false;
    queue[3].offered_to_us = true;
    queue[4].late = true;
    queue[5].offered_to = Some("El Bosque".to_owned());
    queue
}

fn detail(incident: IncidentView, may: &[&str]) -> IncidentDetailView {
    let at = incident.opened_ms;
    let step = |name: &str, minutes: Option<u64>| StepView {
        step: name.to_owned(),
        at_ms: minutes.map(|m| at + m * 60_000),
        node: minutes.map(|_| "La Pintana".to_owned()),
        photos: if name == "on_the_way" { vec!["cd".repeat(32)] } else { Vec::new() },
    };
    let line = |what: &str, detail: Option<&str>, minutes: u64, text: Option<&str>| TimelineView {
        id: format!("{minutes:064x}"),
        what: what.to_owned(),
        detail: detail.map(str::to_owned),
        node: "La Pintana".to_owned(),
        by: Some("Turno noche".to_owned()),
        written_ms: at + minutes * 60_000,
        received_ms: at + minutes * 60_000 + if what == "note" { 180_000 } else { 400 },
        text: text.map(str::to_owned),
        detail_pending: what == "media",
        words: text.map(|_| "3c".repeat(32)),
        releasable: text.map(|_| "3c".repeat(32)).filter(|_| what == "note").into_iter().collect(),
        released: text.map(|_| "3c".repeat(32)).filter(|_| what == "contribution").into_iter().collect(),
        erased: Vec::new(),
        photos: Vec::new(),
        other_node: (what == "invite").then(|| "San Ramón".to_owned()),
        confirmed: what != "note",
    };
    let node = |id: &str, name: &str| NodeNameView { id: id.repeat(16), name: name.to_owned() };
    IncidentDetailView {
        steps: vec![
            step("stored", Some(0)),
            step("seen", Some(1)),
            step("called", Some(2)),
            step("on_the_way", Some(4)),
            step("on_site", None),
            step("resolved", None),
        ],
        timeline: vec![
            line("open", None, 0, None),
            line("step", Some("received"), 1, None),
            line("step", Some("called"), 2, None),
            line("invite", None, 3, None),
            line("respond", Some("on_the_way"), 4, None),
            line("contribution", Some("information"), 5, Some(HOSTILE)),
            line("media", None, 6, None),
            line("note", None, 7, Some("Vecina dice que son dos, una moto roja sin patente.")),
        ],
        involved: vec![node("a1", "La Pintana"), node("b2", "San Ramón")],
        reachable: vec![node("b2", "San Ramón"), node("c3", "El Bosque"), node("d4", "Bomberos 4ª Compañía")],
        heads: vec!["9f".repeat(32)],
        may: may.iter().map(|m| (*m).to_owned()).collect(),
        reporter: Some(ReporterView {
            name: Some("Rosa".to_owned()),
            phone: Some("+56 9 5555 1234".to_owned()),
            address: Some("Santa Rosa 11485".to_owned()),
            visibility: "neighbours".to_owned(),
        }),
        referrals: vec![asked("fire", Some("d4"), "waiting", at), asked("ambulance", None, "declined", at)],
        services: vec![node("d4", "Bomberos 4ª Compañía")],
        service: "police".to_owned(),
        duplicates: duplicates(at),
        merged: (incident.status == "closed").then(|| MergedView { id: None, short: "K7QM".to_owned() }),
        disputes: vec![DisputeView {
            what: "place".to_owned(),
            node: "San Ramón".to_owned(),
            text: Some(HOSTILE.to_owned()),
            at_ms: at + 60_000,
        }],
        retired: false,
        incident,
    }
}

fn asked(service: &str, node: Option<&str>, state: &str, at: u64) -> ReferralView {
    let waits = node.is_none() && state == "waiting";
    ReferralView {
        id: "ab".repeat(32),
        service: service.to_owned(),
        node: node.map(|id| NodeNameView { id: id.repeat(16), name: "Bomberos 4ª Compañía".to_owned() }),
        state: state.to_owned(),
        asked_ms: at + 60_000,
        answered_ms: (state != "waiting").then_some(at + 120_000),
        may: if waits { vec!["accepted".to_owned(), "declined".to_owned()] } else { Vec::new() },
    }
}

fn duplicates(at: u64) -> DuplicatesView {
    DuplicatesView {
        links: vec![related(21, at, false)],
        here: vec![related(22, at, true), related(23, at, false)],
        suggested: vec![related(24, at, false)],
    }
}

fn related(number: u64, at: u64, absorbed: bool) -> RelatedView {
    RelatedView {
        id: format!("{number:064x}"),
        short: format!("K{number}QM"),
        kind: "robbery".to_owned(),
        status: "open".to_owned(),
        owner: "San Ramón".to_owned(),
        opened_ms: at,
        distance_m: Some(120),
        text: Some(HOSTILE.to_owned()),
        same_alert: number == 24,
        absorbed,
        may: !absorbed,
    }
}

const MAY: [&str; 19] = [
    "claim",
    "step:called",
    "step:on_the_way",
    "step:on_site",
    "step:resolved",
    "respond:on_the_way",
    "note",
    "redact",
    "refer",
    "link",
    "reclassify",
    "relocate",
    "dispute",
    "release",
    "invite",
    "offer",
    "close",
    "contribute",
    "solved",
];

/// Code, name, addresses, population, target, missing, compliance, reports.
type SampleRow = (&'static str, &'static str, u64, u64, u64, u64, f64, u64);

fn coverage_view() -> CoverageView {
    let rows: [SampleRow; 8] = [
        ("CL-13130", "San Miguel", 7_733, 107_954, 10_796, 3_063, 71.6, 956),
        ("CL-13109", "La Cisterna", 2_245, 90_119, 9_012, 6_767, 24.9, 474),
        ("CL-13129", "San Joaquín", 1_721, 94_492, 9_450, 7_729, 18.2, 407),
        ("CL-13112", "La Pintana", 2_304, 177_335, 17_734, 15_430, 13.0, 665),
        ("CL-13131", "San Ramón", 990, 82_900, 8_290, 7_300, 11.9, 330),
        ("CL-13111", "La Granja", 1_293, 116_571, 11_658, 10_365, 11.1, 335),
        ("CL-13105", "El Bosque", 1_743, 162_505, 16_251, 14_508, 10.7, 401),
        ("", "Totales", 18_029, 831_876, 83_191, 65_162, 21.7, 3_568),
    ];
    let mut rows: Vec<CoverageRow> = rows
        .map(|r| CoverageRow {
            code: r.0.to_owned(),
            name: r.1.to_owned(),
            registered_addresses: r.2,
            population: r.3,
            target: r.4,
            missing: r.5,
            compliance_percent: r.6,
            reports: r.7,
            as_of_ms: NOW - 240_000,
        })
        .to_vec();
    let totals = rows.pop().unwrap();
    CoverageView { period: 202_610, periods: vec![202_611, 202_610], rows, totals }
}

fn country_view() -> CountryView {
    let by_kind = |reports: u64| {
        vec![
            KindCount { kind: "suspicious".to_owned(), count: reports / 2 },
            KindCount { kind: "robbery".to_owned(), count: reports / 3 },
            KindCount { kind: "noise".to_owned(), count: reports - reports / 2 - reports / 3 },
        ]
    };
    let territories = coverage_view()
        .rows
        .into_iter()
        .map(|r| TerritoryFigureView {
            by_kind: by_kind(r.reports),
            code: r.code,
            name: r.name,
            registered_addresses: r.registered_addresses,
            population: r.population,
            compliance_percent: r.compliance_percent,
            reports: r.reports,
            open_now: r.reports % 7,
        })
        .collect();
    let day = |day: u32| DayCount { day: 20_261_000 + day, count: u64::from(day * 7 % 13) * 11 + 40 };
    CountryView {
        period: 202_610,
        territories,
        open_now: 17,
        last_day: 132,
        reports: 3_568,
        registered_addresses: 18_029,
        ticker: queue(),
        per_day: (1..=31).map(day).collect(),
    }
}

fn peers() -> Vec<PeerView> {
    let peer = |name: &str, state: &str, due: u64| PeerView {
        id: "b2".repeat(16),
        name: name.to_owned(),
        roles: vec!["municipal".to_owned()],
        state: state.to_owned(),
        since_ms: NOW - 3_600_000,
        due,
        lag_ms: due * 42_000,
        in_step_ms: (due == 0).then_some(NOW),
        shared_documents: 1_240,
        refused: due,
        last_refusal: (due > 0).then(|| "bad_signature".to_owned()),
        equivocations: 0,
    };
    vec![
        peer("San Joaquín", "connected", 0),
        peer("El Bosque", "away", 4),
        peer("La Granja", "connecting", 0),
    ]
}

/// Every page: (name, HTML).
pub(super) fn pages(lang: Lang) -> Vec<(&'static str, String)> {
    let town = ["municipal"];
    let above = ["aggregator"];
    let nobody = chrome(lang, "/", &town, None);
    let rosa = |path: &str| chrome(lang, path, &town, resident());
    let desk = |path: &str| chrome(lang, path, &town, operator());
    let precinct = |path: &str| chrome(lang, path, &above, operator());
    let near = queue();
    let mine = [detail(incident(9, "sos", "on_the_way", 6), &["media", "contribute"])];
    let open = detail(queue().swap_remove(2), &MAY);
    let done = detail(incident(12, "fire", "closed", 90), &["media", "solved"]);
    let typed = Filled::from_iter([("name", HOSTILE), ("text", HOSTILE), ("visibility", "nobody")]);
    let wrong = problem(lang, "field", "133");
    let stored = RaisedView {
        id: "9a".repeat(32),
        short: "PE0B".to_owned(),
        stored_ms: NOW,
        already: false,
        offered_to: Some("San Ramón".to_owned()),
        outside: false,
    };
    let coverage_empty = CoverageView { rows: Vec::new(), ..coverage_view() };
    let country_empty = CountryView {
        territories: Vec::new(),
        ticker: Vec::new(),
        per_day: Vec::new(),
        open_now: 0,
        last_day: 0,
        reports: 0,
        registered_addresses: 0,
        period: 202_611,
    };
    vec![
        ("welcome", welcome(&nobody)),
        ("welcome_above", welcome(&chrome(lang, "/", &above, None))),
        ("home", home(&rosa("/"), &mine, &near)),
        ("home_empty", home(&rosa("/"), &[], &[])),
        ("join", join(&nobody, "K7QM-2XPA", &Filled::default(), None)),
        ("join_wrong", join(&nobody, "", &typed, Some(&wrong))),
        ("enter", enter(&nobody, None, Some(&wrong))),
        ("enter_code", enter(&nobody, Some("K7QM-2XPA"), None)),
        ("alert", alert(&rosa("/alerts/9"), &mine[0], None)),
        ("alert_done", alert(&rosa("/alerts/12"), &done, Some(&wrong))),
        ("report", report(&rosa("/report/robbery"), "robbery", &Filled::default(), None)),
        (
            "report_private",
            report(&rosa("/report/domestic_violence"), "domestic_violence", &typed, Some(&wrong)),
        ),
        ("me", me(&rosa("/me"), &mine)),
        ("console", console(&desk("/console"), &queue(), None, None)),
        ("console_open", console(&desk("/console/incidents/3"), &queue(), Some(&open), None)),
        ("console_empty", console(&desk("/console"), &[], None, Some(&wrong))),
        ("more", more(&desk("/console/incidents/3/more"), &open)),
        ("call", call(&desk("/console/call"), &typed, Some(&wrong))),
        ("country", country(&precinct("/country"), &country_view())),
        ("country_empty", country(&precinct("/country"), &country_empty)),
        ("coverage", coverage(&precinct("/coverage"), &coverage_view())),
        ("coverage_empty", coverage(&precinct("/coverage"), &coverage_empty)),
        ("nodes", nodes(&precinct("/nodes"), &peers())),
        ("nodes_empty", nodes(&precinct("/nodes"), &[])),
        ("error", error(&rosa("/nowhere"), "not_found")),
        ("kept", kept(&nobody, &stored)),
    ]
}

//! The place decides: which jurisdiction it is, which cell, and which nodes it concerns.

use config::cells::cell_of;
use protocol::ids::{Cell, Code, MemberId};
use protocol::kind::Kind;
use protocol::limits::INVOLVED_MAX;
use protocol::operation::Point;

use super::Desk;

/// What the place of an alert says about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) code: Code,
    pub(super) cell: Cell,
    /// Receiving nodes of the jurisdictions within the kind's buffer, sorted, ourselves left out.
    pub(super) involved: Vec<MemberId>,
    /// The receiving node of another's code.
    pub(super) offered_to: Option<MemberId>,
    /// True if the place lies in no known territory or is unknown.
    pub(super) outside: bool,
}

impl Desk {
    pub(super) fn place(&self, point: Option<Point>, kind: &'static Kind) -> Place {
        let nowhere = Place {
            code: Code::OUTSIDE,
            cell: Cell(0),
            involved: Vec::new(),
            offered_to: None,
            outside: true,
        };
        let Some(point) = point else { return nowhere };
        let rosters = self.rosters();
        let (roster, us) = (rosters.head(), self.us());
        let buffer_m = self.config().kind(kind).buffer_m;
        let home = self.territory().locate(point);
        let near = self.territory().around(point, home, buffer_m);
        let mut involved: Vec<MemberId> = near
            .iter()
            .filter(|_| buffer_m > 0)
            .filter_map(|near| roster.receiving_node(near.code))
            .filter(|member| *member != us)
            .take(INVOLVED_MAX)
            .collect();
        involved.sort_unstable();
        involved.dedup();
        let Some(code) = home else {
            return Place { cell: cell_of(point, 0, 1.0), involved, ..nowhere };
        };
        let offered_to = roster.receiving_node(code).filter(|member| *member != us);
        Place { code, cell: self.cell(point, code), involved, offered_to, outside: false }
    }

    /// The cell by the town's own density; of a town whose people this node does not know, by that of
    /// its own first jurisdiction.
    fn cell(&self, point: Point, code: Code) -> Cell {
        let own = &self.config().node.jurisdictions;
        let known = own.iter().find(|own| own.code == code).or_else(|| own.first());
        let Some(known) = known else { return cell_of(point, 0, 1.0) };
        let area_km2 = self.territory().area_km2(known.code).unwrap_or(1.0);
        cell_of(point, known.population, area_km2)
    }
}

//! The questions that a point is asked: where it lies, what is near, how far a border is.

use protocol::ids::Code;
use protocol::operation::Point;

use super::{Local, Near, Shape, Territory};

impl Territory {
    /// The jurisdiction that `point` lies in; none at sea and abroad.
    ///
    /// An official boundary goes before the built-in ones. A point on a border belongs to the smallest
    /// code that touches it. A point that lost its jurisdiction because an official boundary is
    /// narrower than the built-in one belongs to the nearest.
    #[must_use]
    pub fn locate(&self, point: Point) -> Option<Code> {
        let official = self.official.iter().find(|(_, shape)| shape.contains(point)).map(|(code, _)| *code);
        official.or_else(|| self.locate_built_in(point))
    }

    /// The jurisdictions whose polygon lies within `buffer_m` metres of `point`, the one that it lies in
    /// first, then by distance and code.
    #[must_use]
    pub fn within(&self, point: Point, buffer_m: u32) -> Vec<Near> {
        self.around(point, self.locate(point), buffer_m)
    }

    /// As [`Territory::within`], by who knows already in which jurisdiction the point lies.
    #[must_use]
    pub fn around(&self, point: Point, home: Option<Code>, buffer_m: u32) -> Vec<Near> {
        let (reach, local) = (f64::from(buffer_m), Local::around(point));
        let mut found: Vec<(bool, u32, Code)> = self
            .shapes()
            .filter(|(_, shape)| shape.bounds().reaches(&local, reach))
            .filter_map(|(code, shape)| {
                if home == Some(code) {
                    return None;
                }
                let metres = shape.distance_m(point);
                (metres <= reach).then(|| (true, whole_metres(metres), code))
            })
            .collect();
        found.extend(home.map(|code| (false, 0, code)));
        found.sort_unstable();
        found.into_iter().map(|(_, distance_m, code)| Near { code, distance_m }).collect()
    }

    /// Metres from `point` to the nearest border of `code`, whether inside or outside.
    #[must_use]
    pub fn boundary_distance(&self, point: Point, code: Code) -> Option<f64> {
        self.shape(code).map(|shape| shape.border_distance_m(point))
    }

    /// Every polygon in use, by code.
    fn shapes(&self) -> impl Iterator<Item = (Code, &Shape)> {
        let built_in = self
            .built_in
            .by_code
            .iter()
            .filter(|(code, _)| !self.official.contains_key(code))
            .filter_map(|(code, commune)| commune.shape.as_ref().map(|shape| (*code, shape)));
        built_in.chain(self.official.iter().map(|(code, shape)| (*code, shape.as_ref())))
    }

    fn locate_built_in(&self, point: Point) -> Option<Code> {
        let mut lost = false;
        for (code, commune) in &self.built_in.by_code {
            if commune.shape.as_ref().is_some_and(|shape| shape.contains(point)) {
                if !self.official.contains_key(code) {
                    return Some(*code);
                }
                lost = true;
            }
        }
        if lost { self.nearest(point) } else { None }
    }

    fn nearest(&self, point: Point) -> Option<Code> {
        let local = Local::around(point);
        self.shapes()
            .map(|(code, shape)| (shape.distance_in(&local), code))
            .min_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)))
            .map(|(_, code)| code)
    }
}

/// Metres, rounded to whole ones.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the range of u32")]
fn whole_metres(metres: f64) -> u32 {
    metres.round().clamp(0.0, f64::from(u32::MAX)) as u32
}

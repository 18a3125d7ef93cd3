//! The coarse place that other nodes and aggregators see: an H3 cell large enough to hide in, and
//! distances in bands.

use h3o::{CellIndex, LatLng, Resolution};
use protocol::ids::Cell;
use protocol::operation::Point;

/// A cell is expected to hold at least so many people.
pub const CELL_PEOPLE_MIN: f64 = 100.0;

/// The upper ends of the distance bands, in metres; beyond the last there is no figure.
pub const DISTANCE_BANDS_M: [u32; 3] = [100, 300, 1_000];

/// The resolutions in use, finest first: from a city block or two (0.1 km²) to a valley (250 km²).
const RESOLUTIONS: [Resolution; 5] =
    [Resolution::Nine, Resolution::Eight, Resolution::Seven, Resolution::Six, Resolution::Five];

/// The cell of `point`: the finest of resolutions 5 to 9 that is expected to hold
/// [`CELL_PEOPLE_MIN`] people at the town's mean density, and resolution 5 where none does. The area of
/// the cell itself counts, not the world's mean: cells differ by a factor of two.
#[must_use]
pub fn cell_of(point: Point, population: u64, area_km2: f64) -> Cell {
    let (lat, lon) = point.degrees();
    let Ok(position) = LatLng::new(lat, lon) else { return Cell(0) };
    let density = if area_km2 > 0.0 { people(population) / area_km2 } else { 0.0 };
    let fits = |cell: &CellIndex| cell.area_km2() * density >= CELL_PEOPLE_MIN;
    let finest = RESOLUTIONS.iter().map(|resolution| position.to_cell(*resolution)).find(fits);
    Cell(finest.unwrap_or_else(|| position.to_cell(Resolution::Five)).into())
}

/// The middle of a cell; `None` for 0 and for what is no cell.
#[must_use]
pub fn cell_center(cell: Cell) -> Option<Point> {
    let middle = LatLng::from(CellIndex::try_from(cell.0).ok()?);
    Point::from_degrees(middle.lat(), middle.lng())
}

/// The corners of a cell in order, the first not repeated; empty for 0 and for what is no cell.
#[must_use]
pub fn cell_boundary(cell: Cell) -> Vec<Point> {
    let Ok(index) = CellIndex::try_from(cell.0) else { return Vec::new() };
    index.boundary().iter().filter_map(|corner| Point::from_degrees(corner.lat(), corner.lng())).collect()
}

/// True if the point lies in one of these cells, of whatever resolution each.
#[must_use]
pub fn in_cells(point: Point, cells: &[Cell]) -> bool {
    let (lat, lon) = point.degrees();
    let Ok(position) = LatLng::new(lat, lon) else { return false };
    let holds = |cell: &Cell| {
        CellIndex::try_from(cell.0).is_ok_and(|index| position.to_cell(index.resolution()) == index)
    };
    cells.iter().any(holds)
}

/// The smallest band that holds `distance_m`: 100, 300 or 1,000 m; `None` beyond.
#[must_use]
pub fn distance_band(distance_m: u32) -> Option<u32> {
    DISTANCE_BANDS_M.into_iter().find(|band| distance_m <= *band)
}

#[expect(clippy::cast_precision_loss, reason = "populations are far below 2^53")]
fn people(population: u64) -> f64 {
    population as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn la_pintana() -> Point {
        Point::from_degrees(-33.585, -70.63).unwrap()
    }

    fn resolution(cell: Cell) -> u8 {
        CellIndex::try_from(cell.0).unwrap().resolution().into()
    }

    #[test]
    fn cell_grows_where_people_are_few() {
        let of = |population, area| resolution(cell_of(la_pintana(), population, area));
        assert_eq!(of(177_335, 30.6), 9, "a dense commune");
        assert_eq!(of(177_335, 1_000.0), 8);
        assert_eq!(of(30_000, 1_000.0), 7);
        assert_eq!(of(5_000, 1_000.0), 6);
        assert_eq!(of(600, 1_000.0), 5);
        assert_eq!(of(0, 1_000.0), 5, "nowhere is there a coarser one");
        assert_eq!(of(5, 0.0), 5);
    }

    #[test]
    fn center_lies_in_the_cell_and_corners_around_it() {
        let cell = cell_of(la_pintana(), 177_335, 30.6);
        let center = cell_center(cell).unwrap();
        assert_eq!(cell_of(center, 177_335, 30.6), cell);
        assert_eq!(cell_boundary(cell).len(), 6);
        assert_eq!((cell_center(Cell(0)), cell_boundary(Cell(7))), (None, Vec::new()));
    }

    #[test]
    fn point_is_in_the_cells_around_it_of_every_resolution() {
        let fine = cell_of(la_pintana(), 177_335, 30.6);
        let coarse = cell_of(la_pintana(), 600, 1_000.0);
        let elsewhere = cell_of(Point::from_degrees(-33.45, -70.66).unwrap(), 177_335, 30.6);
        for cells in [vec![fine], vec![coarse], vec![Cell(0), elsewhere, fine]] {
            assert!(in_cells(la_pintana(), &cells), "{cells:?}");
        }
        assert!(!in_cells(la_pintana(), &[elsewhere, Cell(7)]));
    }

    #[test]
    fn distance_falls_into_the_smallest_band() {
        let bands: Vec<_> = [0, 100, 101, 300, 1_000, 1_001].map(distance_band).into();
        assert_eq!(bands, [Some(100), Some(100), Some(300), Some(300), Some(1_000), None]);
    }
}

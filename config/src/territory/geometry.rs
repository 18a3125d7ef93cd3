//! Plane geometry of one territory: rings of points, what lies inside them, and how far away they are.
//!
//! Inside or outside is decided in whole numbers, so it is exact and equal on every machine. Distances
//! are metres in a plane that touches the ellipsoid at the point asked about; at the few kilometres that
//! matter here they are good to a metre.

use protocol::operation::Point;

/// The polygons of one territory. All rings count alike, by the even-odd rule: a ring inside another is
/// a hole, so polygons with holes and territories in several parts need no telling apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Each ring's points, the first repeated as the last.
    rings: Vec<Vec<Point>>,
    /// How many rings each polygon has, its outline first: for writing it out again.
    polygons: Vec<usize>,
    bounds: Bounds,
}

/// A box along the axes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    south: i32,
    west: i32,
    north: i32,
    east: i32,
}

/// A plane of metres around one point.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Local {
    origin: Point,
    metres_per_e7_lat: f64,
    metres_per_e7_lon: f64,
}

/// How a ring lies to a point.
#[derive(PartialEq)]
enum Side {
    Inside,
    Border,
    Outside,
}

impl Shape {
    /// From polygons as lists of closed rings, the outline first; `None` without any point.
    pub(crate) fn new(polygons: Vec<Vec<Vec<Point>>>) -> Option<Shape> {
        let counts = polygons.iter().map(Vec::len).collect();
        let rings: Vec<Vec<Point>> = polygons.into_iter().flatten().collect();
        let bounds = Bounds::around(rings.iter().flatten())?;
        Some(Shape { rings, polygons: counts, bounds })
    }

    pub(crate) fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// The polygons again: each a list of rings.
    pub(crate) fn polygons(&self) -> impl Iterator<Item = &[Vec<Point>]> {
        let mut rest = self.rings.as_slice();
        self.polygons.iter().map(move |count| {
            let (polygon, after) = rest.split_at(*count);
            rest = after;
            polygon
        })
    }

    /// Every stretch of border.
    pub(crate) fn edges(&self) -> impl Iterator<Item = (Point, Point)> + '_ {
        self.rings.iter().flat_map(|ring| edges(ring))
    }

    /// True inside and on the border.
    pub(crate) fn contains(&self, point: Point) -> bool {
        if !self.bounds.contains(point) {
            return false;
        }
        let mut inside = false;
        for ring in &self.rings {
            match side(ring, point) {
                Side::Border => return true,
                Side::Inside => inside = !inside,
                Side::Outside => {}
            }
        }
        inside
    }

    /// Metres to the polygon, 0 inside.
    pub(crate) fn distance_m(&self, point: Point) -> f64 {
        if self.contains(point) { 0.0 } else { self.border_distance_m(point) }
    }

    /// Metres to the nearest border, from either side.
    pub(crate) fn border_distance_m(&self, point: Point) -> f64 {
        self.distance_in(&Local::around(point))
    }

    /// Metres from the origin of `local` to the nearest border.
    pub(crate) fn distance_in(&self, local: &Local) -> f64 {
        self.edges().map(|(a, b)| segment_distance(local.metres(a), local.metres(b))).fold(f64::MAX, f64::min)
    }

    /// Area in square kilometres, on the sphere of equal area.
    pub(crate) fn area_km2(&self) -> f64 {
        self.polygons()
            .map(|rings| match rings.split_first() {
                Some((outline, holes)) => {
                    ring_area_km2(outline) - holes.iter().map(|hole| ring_area_km2(hole)).sum::<f64>()
                }
                None => 0.0,
            })
            .sum()
    }
}

impl Bounds {
    fn around<'a>(points: impl Iterator<Item = &'a Point>) -> Option<Bounds> {
        points.fold(None, |bounds: Option<Bounds>, p| {
            let (south, west, north, east) = match bounds {
                Some(b) => (b.south, b.west, b.north, b.east),
                None => (p.lat_e7, p.lon_e7, p.lat_e7, p.lon_e7),
            };
            Some(Bounds {
                south: south.min(p.lat_e7),
                west: west.min(p.lon_e7),
                north: north.max(p.lat_e7),
                east: east.max(p.lon_e7),
            })
        })
    }

    fn contains(self, point: Point) -> bool {
        (self.south..=self.north).contains(&point.lat_e7) && (self.west..=self.east).contains(&point.lon_e7)
    }

    /// False if nothing in the box is within `metres` of the origin of `local`; true if something may be.
    pub(crate) fn reaches(self, local: &Local, metres: f64) -> bool {
        let nearest = Point {
            lat_e7: local.origin.lat_e7.clamp(self.south, self.north),
            lon_e7: local.origin.lon_e7.clamp(self.west, self.east),
        };
        let (x, y) = local.metres(nearest);
        // In the plane around the point the box is a box, so this is its exact distance there.
        x.hypot(y) <= metres
    }

    /// South-west and north-east corner.
    pub(crate) fn corners(self) -> (Point, Point) {
        (Point { lat_e7: self.south, lon_e7: self.west }, Point { lat_e7: self.north, lon_e7: self.east })
    }
}

impl Local {
    /// The plane that touches the WGS84 ellipsoid at `origin`.
    pub(crate) fn around(origin: Point) -> Local {
        let latitude = origin.degrees().0.to_radians();
        // Lengths of a degree of latitude and longitude on WGS84: the usual cosine series.
        let lat = 111_132.954 - 559.822 * (2.0 * latitude).cos() + 1.175 * (4.0 * latitude).cos();
        let lon =
            111_412.84 * latitude.cos() - 93.5 * (3.0 * latitude).cos() + 0.118 * (5.0 * latitude).cos();
        Local { origin, metres_per_e7_lat: lat / 1e7, metres_per_e7_lon: lon / 1e7 }
    }

    /// Metres east and north of the origin.
    pub(crate) fn metres(&self, point: Point) -> (f64, f64) {
        let east = i64::from(point.lon_e7) - i64::from(self.origin.lon_e7);
        let north = i64::from(point.lat_e7) - i64::from(self.origin.lat_e7);
        (to_f64(east) * self.metres_per_e7_lon, to_f64(north) * self.metres_per_e7_lat)
    }

    /// The point so many metres east and north of the origin.
    pub(crate) fn point(&self, east_m: f64, north_m: f64) -> Option<Point> {
        let (lat, lon) = self.origin.degrees();
        let north = north_m / self.metres_per_e7_lat / 1e7;
        let east = east_m / self.metres_per_e7_lon / 1e7;
        Point::from_degrees(lat + north, lon + east)
    }
}

fn edges(ring: &[Point]) -> impl Iterator<Item = (Point, Point)> + '_ {
    ring.iter().copied().zip(ring.iter().copied().skip(1))
}

/// A ray to the east crosses the ring an odd number of times from inside.
fn side(ring: &[Point], point: Point) -> Side {
    let mut inside = false;
    for (a, b) in edges(ring) {
        let turn = turn(a, b, point);
        if turn == 0 && in_box(a, b, point) {
            return Side::Border;
        }
        let rises = a.lat_e7 <= point.lat_e7 && b.lat_e7 > point.lat_e7;
        let falls = b.lat_e7 <= point.lat_e7 && a.lat_e7 > point.lat_e7;
        if (rises && turn > 0) || (falls && turn < 0) {
            inside = !inside;
        }
    }
    if inside { Side::Inside } else { Side::Outside }
}

/// Twice the area of the triangle: positive if `p` lies to the left of the way from `a` to `b`. Products
/// of two spans of longitude pass 64 bits.
fn turn(a: Point, b: Point, p: Point) -> i128 {
    let span = |from: i32, to: i32| i128::from(to) - i128::from(from);
    span(a.lon_e7, b.lon_e7) * span(a.lat_e7, p.lat_e7) - span(a.lat_e7, b.lat_e7) * span(a.lon_e7, p.lon_e7)
}

fn in_box(a: Point, b: Point, p: Point) -> bool {
    let between = |x: i32, y: i32, v: i32| x.min(y) <= v && v <= x.max(y);
    between(a.lat_e7, b.lat_e7, p.lat_e7) && between(a.lon_e7, b.lon_e7, p.lon_e7)
}

/// Distance of the origin from the stretch between `a` and `b`.
fn segment_distance((ax, ay): (f64, f64), (bx, by): (f64, f64)) -> f64 {
    let (dx, dy) = (bx - ax, by - ay);
    let length_squared = dx * dx + dy * dy;
    let along =
        if length_squared > 0.0 { (-(ax * dx + ay * dy) / length_squared).clamp(0.0, 1.0) } else { 0.0 };
    (ax + along * dx).hypot(ay + along * dy)
}

/// Radius of the sphere with the area of the WGS84 ellipsoid, in kilometres.
const AUTHALIC_RADIUS_KM: f64 = 6_371.007_2;

fn ring_area_km2(ring: &[Point]) -> f64 {
    let twice: f64 = edges(ring)
        .map(|(a, b)| {
            let ((a_lat, a_lon), (b_lat, b_lon)) = (a.degrees(), b.degrees());
            (b_lon - a_lon).to_radians() * (a_lat.to_radians().sin() + b_lat.to_radians().sin())
        })
        .sum();
    (twice / 2.0).abs() * AUTHALIC_RADIUS_KM * AUTHALIC_RADIUS_KM
}

#[expect(clippy::cast_precision_loss, reason = "spans of coordinates have 33 bits, an f64 holds 53")]
fn to_f64(span: i64) -> f64 {
    span as f64
}

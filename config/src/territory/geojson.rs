//! GeoJSON (RFC 7946) in and out: official boundaries that are imported, polygons for maps.

use std::fmt;
use std::fmt::Write as _;

use protocol::ids::Code;
use protocol::operation::Point;
use serde::Deserialize;
use serde::de::{IgnoredAny, SeqAccess, Visitor};

use super::{ATTRIBUTION, Shape, Territory};

/// The largest boundary that is read, in bytes: a surveyed border of a large commune has 2 MiB.
pub const BOUNDARY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Why a boundary was refused.
#[derive(Debug, thiserror::Error)]
pub enum BoundaryError {
    /// Larger than `BOUNDARY_BYTES_MAX`.
    #[error("it is larger than {BOUNDARY_BYTES_MAX} bytes")]
    TooLarge,
    /// Not GeoJSON.
    #[error("it is not GeoJSON")]
    NotGeoJson(#[source] serde_json::Error),
    /// A collection of several features or of none.
    #[error("it has {0} features; expected one")]
    NotOneFeature(usize),
    /// A point, a line or nothing.
    #[error("it is not a Polygon or MultiPolygon")]
    NotAnArea,
    /// Coordinates that are no degrees of longitude and latitude, as in a projected file.
    #[error("its coordinates are not degrees of longitude and latitude (WGS84)")]
    NotDegrees,
    /// A ring with fewer than four points, or whose last point is not its first.
    #[error("a ring of it is not closed")]
    OpenRing,
}

/// The shape in a geometry, a feature, or a collection of one feature.
pub(super) fn boundary(text: &str) -> Result<Shape, BoundaryError> {
    if text.len() > BOUNDARY_BYTES_MAX {
        return Err(BoundaryError::TooLarge);
    }
    let object: Object = serde_json::from_str(text).map_err(BoundaryError::NotGeoJson)?;
    let feature = match object.features {
        Some(features) => {
            let count = features.len();
            let mut features = features.into_iter();
            match (features.next(), features.next()) {
                (Some(only), None) => only,
                _ => return Err(BoundaryError::NotOneFeature(count)),
            }
        }
        None => object,
    };
    match (feature.geometry, feature.coordinates) {
        (Some(geometry), _) => geometry.shape()?.ok_or(BoundaryError::NotAnArea),
        (None, coordinates) => {
            Geometry { kind: feature.kind, coordinates }.shape()?.ok_or(BoundaryError::NotAnArea)
        }
    }
}

/// The polygons of `codes` as a feature collection.
pub(super) fn collection(territory: &Territory, codes: &[Code]) -> String {
    let mut out = String::from(r#"{"type":"FeatureCollection","attribution":"#);
    out.push_str(&quoted(ATTRIBUTION));
    out.push_str(r#","features":["#);
    let shapes = codes.iter().filter_map(|code| territory.shape(*code).map(|shape| (*code, shape)));
    for (index, (code, shape)) in shapes.enumerate() {
        if index > 0 {
            out.push(',');
        }
        let name = quoted(territory.name(code).unwrap_or_default());
        let official = territory.is_official(code);
        let _ = write!(out, r#"{{"type":"Feature","id":{},"properties":{{"code":"{code}","#, code.number);
        let _ = write!(out, r#""name":{name},"official":{official},"label":"#);
        match territory.label_point(code) {
            Some(label) => write_point(&mut out, label),
            None => out.push_str("null"),
        }
        out.push_str(r#"},"geometry":{"type":"MultiPolygon","coordinates":"#);
        write_list(&mut out, shape.polygons(), |out, polygon| {
            write_list(out, polygon.iter(), |out, ring| {
                write_list(out, ring.iter(), |out, point| write_point(out, *point));
            });
        });
        out.push_str("}}");
    }
    out.push_str("]}");
    out
}

/// A GeoJSON object as far as it concerns us: any of geometry, feature and collection.
#[derive(Deserialize)]
struct Object {
    #[serde(rename = "type")]
    kind: String,
    features: Option<Vec<Object>>,
    geometry: Option<Geometry>,
    coordinates: Option<Nested>,
}

/// A geometry; its coordinates are read whatever its type is, and judged afterwards.
#[derive(Deserialize)]
pub(super) struct Geometry {
    #[serde(rename = "type")]
    kind: String,
    coordinates: Option<Nested>,
}

impl Geometry {
    /// The shape, or `None` if it is of another type than the two that have an area.
    pub(super) fn shape(self) -> Result<Option<Shape>, BoundaryError> {
        let Some(Nested::List(coordinates)) = self.coordinates else { return Ok(None) };
        let polygons = match self.kind.as_str() {
            "Polygon" => vec![polygon(coordinates)?],
            "MultiPolygon" => {
                coordinates.into_iter().map(|nested| polygon(nested.list()?)).collect::<Result<_, _>>()?
            }
            _ => return Ok(None),
        };
        Ok(Shape::new(polygons))
    }
}

fn polygon(rings: Vec<Nested>) -> Result<Vec<Vec<Point>>, BoundaryError> {
    rings.into_iter().map(|nested| ring(nested.list()?)).collect()
}

fn ring(positions: Vec<Nested>) -> Result<Vec<Point>, BoundaryError> {
    let points = positions
        .into_iter()
        .map(|nested| match nested {
            Nested::Position(lon, lat) => Point::from_degrees(lat, lon).ok_or(BoundaryError::NotDegrees),
            Nested::Number(_) | Nested::List(_) => Err(BoundaryError::NotAnArea),
        })
        .collect::<Result<Vec<Point>, _>>()?;
    if points.len() < 4 || points.first() != points.last() {
        return Err(BoundaryError::OpenRing);
    }
    Ok(points)
}

/// GeoJSON coordinates of any depth. A list that begins with a number is a position.
enum Nested {
    Number(f64),
    Position(f64, f64),
    List(Vec<Nested>),
}

impl Nested {
    fn list(self) -> Result<Vec<Nested>, BoundaryError> {
        match self {
            Nested::List(list) => Ok(list),
            Nested::Number(_) | Nested::Position(..) => Err(BoundaryError::NotAnArea),
        }
    }
}

impl<'de> Deserialize<'de> for Nested {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NestedVisitor)
    }
}

struct NestedVisitor;

impl<'de> Visitor<'de> for NestedVisitor {
    type Value = Nested;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("coordinates: a number, a position, or a list of them")
    }
    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Nested, E> {
        Ok(Nested::Number(number))
    }
    #[expect(clippy::cast_precision_loss, reason = "degrees are small, and anything else is refused later")]
    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Nested, E> {
        Ok(Nested::Number(number as f64))
    }
    #[expect(clippy::cast_precision_loss, reason = "degrees are small, and anything else is refused later")]
    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Nested, E> {
        Ok(Nested::Number(number as f64))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Nested, A::Error> {
        let mut list = Vec::new();
        match seq.next_element::<Nested>()? {
            None => return Ok(Nested::List(list)),
            Some(Nested::Number(lon)) => {
                let lat = seq.next_element::<f64>()?.unwrap_or(f64::NAN);
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                return Ok(Nested::Position(lon, lat));
            }
            Some(first @ (Nested::Position(..) | Nested::List(_))) => list.push(first),
        }
        while let Some(next) = seq.next_element()? {
            list.push(next);
        }
        Ok(Nested::List(list))
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn write_list<T>(out: &mut String, items: impl Iterator<Item = T>, mut write: impl FnMut(&mut String, T)) {
    out.push('[');
    for (index, item) in items.enumerate() {
        if index > 0 {
            out.push(',');
        }
        write(out, item);
    }
    out.push(']');
}

/// Longitude first. Writing to a string cannot fail.
fn write_point(out: &mut String, point: Point) {
    let (lat, lon) = point.degrees();
    let _ = write!(out, "[{lon},{lat}]");
}

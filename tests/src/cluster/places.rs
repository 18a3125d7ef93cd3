//! The towns of the scenarios and points in them: real communes of the south of Santiago.
//!
//! Distances were measured against the built-in borders.

use serde_json::{Value, json};

/// A node of a scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Town {
    /// Its name in the roster.
    pub name: &'static str,
    /// Jurisdiction code; none for an aggregator.
    pub code: Option<&'static str>,
    /// Inhabitants.
    pub population: u64,
    /// What `cuadra init` is told that it is for.
    pub role: &'static str,
}

const fn town(name: &'static str, code: &'static str, population: u64) -> Town {
    Town { name, code: Some(code), population, role: "municipal" }
}

const fn above(name: &'static str, role: &'static str) -> Town {
    Town { name, code: None, population: 0, role }
}

/// North of the precinct.
pub const SAN_MIGUEL: Town = town("San Miguel", "CL-13130", 107_954);
/// East of San Miguel.
pub const SAN_JOAQUIN: Town = town("San Joaquín", "CL-13129", 94_492);
/// The south of the precinct.
pub const LA_PINTANA: Town = town("La Pintana", "CL-13112", 177_335);
/// Between La Granja and El Bosque.
pub const SAN_RAMON: Town = town("San Ramón", "CL-13131", 82_900);
/// West of San Ramón.
pub const EL_BOSQUE: Town = town("El Bosque", "CL-13105", 162_505);
/// Above the towns.
pub const PRECINCT: Town = above("South Precinct", "precinct");
/// A fire brigade with a node of its own; it answers for no commune.
pub const BRIGADE: Town = Town { name: "Bomberos", code: None, population: 0, role: "service" };
/// Above the precinct.
pub const NATIONAL: Town = above("National", "national");

/// Latitude and longitude.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place(pub f64, pub f64);

impl Place {
    /// As the API wants it.
    pub fn json(self) -> Value {
        json!({ "lat": self.0, "lon": self.1, "accuracy_m": 12 })
    }
}

/// In San Miguel, 200 m from San Joaquín and 2 km from everybody else.
pub const BORDER_OF_SAN_MIGUEL: Place = Place(-33.498_286_5, -70.641_416);
/// In San Joaquín, 200 m from San Miguel.
pub const BORDER_OF_SAN_JOAQUIN: Place = Place(-33.500_888, -70.636_719);
/// More than 1.2 km from any other commune.
pub const MIDDLE_OF_SAN_MIGUEL: Place = Place(-33.502_786, -70.652_51);
/// More than 2.4 km from any other commune.
pub const MIDDLE_OF_LA_PINTANA: Place = Place(-33.583_96, -70.636_212);
/// More than 900 m from any other commune.
pub const MIDDLE_OF_SAN_RAMON: Place = Place(-33.547_266, -70.642_61);
/// In the Pacific, in nobody's territory.
pub const AT_SEA: Place = Place(-33.5, -75.0);

//! Territory, asked the questions that a node asks.

use expect_test::expect;

use super::*;

const SAN_MIGUEL: Code = Code::chile(13_130);
const SAN_JOAQUIN: Code = Code::chile(13_129);
const LA_PINTANA: Code = Code::chile(13_112);
const SAN_RAMON: Code = Code::chile(13_131);
const LA_GRANJA: Code = Code::chile(13_111);
const EL_BOSQUE: Code = Code::chile(13_105);
const LA_CISTERNA: Code = Code::chile(13_109);

fn at(lat: f64, lon: f64) -> Point {
    Point::from_degrees(lat, lon).unwrap()
}

fn square(south: f64, west: f64, north: f64, east: f64) -> String {
    format!("[[{west},{south}],[{east},{south}],[{east},{north}],[{west},{north}],[{west},{south}]]")
}

fn polygon(rings: &[String]) -> String {
    format!(r#"{{"type":"Polygon","coordinates":[{}]}}"#, rings.join(","))
}

#[test]
fn point_lies_in_each_of_the_seven_communes() {
    let territory = Territory::built_in();
    for code in [SAN_MIGUEL, LA_CISTERNA, SAN_JOAQUIN, LA_PINTANA, SAN_RAMON, LA_GRANJA, EL_BOSQUE] {
        let label = territory.label_point(code).unwrap();
        assert_eq!(territory.locate(label), Some(code), "{:?}", territory.name(code));
    }
    // Well-known places: the town halls of La Pintana and San Miguel.
    assert_eq!(territory.locate(at(-33.5836, -70.6294)), Some(LA_PINTANA));
    assert_eq!(territory.locate(at(-33.4966, -70.6517)), Some(SAN_MIGUEL));
}

#[test]
fn point_at_sea_or_abroad_lies_in_no_commune() {
    let territory = Territory::built_in();
    assert_eq!(territory.locate(at(-33.5, -73.5)), None, "the Pacific");
    assert_eq!(territory.locate(at(-32.89, -68.84)), None, "Mendoza");
    assert_eq!(territory.locate(at(0.0, 0.0)), None);
    assert_eq!(territory.within(at(-33.5, -73.5), 5_000), []);
}

#[test]
fn border_point_belongs_to_the_smallest_code_that_touches_it() {
    let territory = Territory::built_in();
    // A corner of San Miguel, San Joaquín and La Cisterna's side of the city, as the file draws it.
    let corner = at(-33.5187, -70.6366);
    for code in [SAN_MIGUEL, SAN_JOAQUIN] {
        assert!(territory.shape(code).unwrap().contains(corner));
    }
    let touching: Vec<Code> = territory
        .codes()
        .into_iter()
        .filter(|c| territory.shape(*c).is_some_and(|s| s.contains(corner)))
        .collect();
    assert_eq!(territory.locate(corner), touching.first().copied());
    assert!(touching.len() >= 2);
}

#[test]
fn every_label_of_the_country_lies_in_its_commune() {
    let territory = Territory::built_in();
    let codes = territory.codes();
    assert_eq!(codes.len(), 346);
    let without: Vec<Code> = codes.iter().copied().filter(|code| territory.shape(*code).is_none()).collect();
    assert_eq!(without, [Code::chile(12_202)], "Antártica has no polygon");
    for code in codes {
        if let Some(label) = territory.label_point(code) {
            assert_eq!(territory.locate(label), Some(code));
        }
    }
}

#[test]
fn two_hundred_metres_from_the_border_is_within_three_hundred_of_the_neighbour_only() {
    let territory = Territory::built_in();
    let point = territory.border_point(SAN_MIGUEL, SAN_JOAQUIN, 200).unwrap();
    let near = territory.within(point, 300);
    let codes: Vec<Code> = near.iter().map(|near| near.code).collect();
    assert_eq!(codes, [SAN_MIGUEL, SAN_JOAQUIN]);
    assert!(near.iter().all(|near| near.code == SAN_MIGUEL || (195..=205).contains(&near.distance_m)));
    assert_eq!(territory.within(point, 150).len(), 1);
    let middle = territory.label_point(LA_PINTANA).unwrap();
    assert_eq!(territory.within(middle, 300), [Near { code: LA_PINTANA, distance_m: 0 }]);
}

#[test]
fn official_boundary_replaces_the_built_in_one() {
    let territory = Territory::built_in();
    let inside = territory.border_point(SAN_MIGUEL, SAN_JOAQUIN, 200).unwrap();
    let (lat, lon) = inside.degrees();
    // San Joaquín's own survey says that this block is its own.
    let block = square(lat - 0.001, lon - 0.001, lat + 0.001, lon + 0.05);
    let surveyed = territory.clone().with_boundary(SAN_JOAQUIN, &polygon(&[block])).unwrap();
    assert_eq!(surveyed.locate(inside), Some(SAN_JOAQUIN));
    assert_eq!(territory.locate(inside), Some(SAN_MIGUEL), "the other value is untouched");
    assert!(surveyed.is_official(SAN_JOAQUIN) && !surveyed.is_official(SAN_MIGUEL));
    // What it gave up is not left without anybody.
    let given_up = territory.label_point(SAN_JOAQUIN).unwrap();
    assert!(surveyed.locate(given_up).is_some());
    assert_eq!(surveyed.locate(at(-33.5, -73.5)), None);
}

#[test]
fn hole_and_second_part_of_an_official_boundary_count() {
    let outline = square(-30.0, -60.0, -29.0, -59.0);
    let hole = square(-29.6, -59.6, -29.4, -59.4);
    let island = square(-30.0, -58.0, -29.9, -57.9);
    let text = format!(r#"{{"type":"MultiPolygon","coordinates":[[{outline},{hole}],[{island}]]}}"#);
    let code = Code::chile(99_001);
    let territory = Territory::built_in().with_boundary(code, &text).unwrap();
    assert_eq!(territory.locate(at(-29.2, -59.2)), Some(code));
    assert_eq!(territory.locate(at(-29.5, -59.5)), None, "in the hole");
    assert_eq!(territory.locate(at(-29.95, -57.95)), Some(code), "on the island");
    assert_eq!(territory.locate(at(-29.6, -59.5)), Some(code), "the rim of the hole belongs to it");
    let whole = 110.8 * 1.0 * 111.3 * 29.5_f64.to_radians().cos();
    let area = territory.area_km2(code).unwrap();
    assert!((area / (whole * (1.0 - 0.04 + 0.01)) - 1.0).abs() < 0.01, "{area}");
    let near = territory.within(at(-29.5, -59.5), 11_000);
    assert_eq!(near.len(), 1, "the hole's rim is 9.7 km away");
    assert!((9_000..10_000).contains(&near[0].distance_m), "{near:?}");
}

#[test]
fn boundary_that_cannot_be_used_says_why() {
    let check = |text: &str, expected: expect_test::Expect| {
        let refused = Territory::built_in().with_boundary(SAN_MIGUEL, text).unwrap_err();
        expected.assert_eq(&refused.to_string());
    };
    check("San Miguel", expect!["it is not GeoJSON"]);
    check(r#"{"type":"FeatureCollection","features":[]}"#, expect!["it has 0 features; expected one"]);
    check(r#"{"type":"Point","coordinates":[1,2]}"#, expect!["it is not a Polygon or MultiPolygon"]);
    check(r#"{"type":"Polygon","coordinates":[[1,2]]}"#, expect!["it is not a Polygon or MultiPolygon"]);
    check(r#"{"type":"Feature","geometry":null}"#, expect!["it is not a Polygon or MultiPolygon"]);
    check(
        r#"{"type":"Polygon","coordinates":[[[346000,6290000],[346001,6290000],[346001,6290001],[346000,6290000]]]}"#,
        expect!["its coordinates are not degrees of longitude and latitude (WGS84)"],
    );
    check(
        r#"{"type":"Polygon","coordinates":[[[0,0],[0,1],[1,1],[1,0]]]}"#,
        expect!["a ring of it is not closed"],
    );
    check(&" ".repeat(16 * 1024 * 1024 + 1), expect!["it is larger than 16777216 bytes"]);
}

#[test]
fn boundary_may_be_a_feature_or_a_collection_of_one() {
    let geometry = polygon(&[square(-30.0, -60.0, -29.0, -59.0)]);
    let feature = format!(r#"{{"type":"Feature","properties":{{"x":1}},"geometry":{geometry}}}"#);
    let collection = format!(r#"{{"type":"FeatureCollection","features":[{feature}]}}"#);
    for text in [geometry, feature, collection] {
        let territory = Territory::built_in().with_boundary(SAN_MIGUEL, &text).unwrap();
        assert_eq!(territory.locate(at(-29.5, -59.5)), Some(SAN_MIGUEL));
    }
}

#[test]
fn boundary_files_of_the_configuration_are_taken_in() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("sm.geojson"), polygon(&[square(-30.0, -60.0, -29.0, -59.0)])).unwrap();
    let file = folder.path().join("cuadra.toml");
    std::fs::write(&file, "[[territory.boundaries]]\ncode = \"CL-13130\"\nfile = \"sm.geojson\"\n").unwrap();
    let config = Config::load(&file).unwrap();
    let territory = Territory::from_config(&config).unwrap();
    assert_eq!(territory.locate(at(-29.5, -59.5)), Some(SAN_MIGUEL));

    std::fs::write(folder.path().join("sm.geojson"), "{}").unwrap();
    assert!(matches!(Territory::from_config(&config), Err(TerritoryError::File(SAN_MIGUEL, _, _))));
    std::fs::remove_file(folder.path().join("sm.geojson")).unwrap();
    assert!(matches!(Territory::from_config(&config), Err(TerritoryError::Read(SAN_MIGUEL, _, _))));
}

#[test]
fn names_neighbours_and_areas_are_those_of_the_files() {
    let territory = Territory::built_in();
    assert_eq!(territory.name(LA_PINTANA), Some("La Pintana"));
    assert_eq!(territory.region(LA_PINTANA), Some("Metropolitana de Santiago"));
    assert_eq!(territory.name(Code::chile(1)), None);
    let names: Vec<&str> =
        territory.neighbours(SAN_MIGUEL).into_iter().filter_map(|code| territory.name(code)).collect();
    expect![[r#"
        [
            "Santiago",
            "La Cisterna",
            "Pedro Aguirre Cerda",
            "San Joaquín",
            "San Ramón",
        ]
    "#]]
    .assert_debug_eq(&names);
    let area = territory.area_km2(LA_PINTANA).unwrap();
    assert!((28.0..33.0).contains(&area), "La Pintana has 30.6 km², not {area}");
    let distance =
        territory.boundary_distance(territory.label_point(LA_PINTANA).unwrap(), LA_PINTANA).unwrap();
    assert!((500.0..5_000.0).contains(&distance), "{distance}");
}

#[test]
fn map_holds_the_polygons_and_their_attribution() {
    let territory = Territory::built_in();
    let text = territory.geojson(&[SAN_MIGUEL, Code::chile(12_202), LA_PINTANA]);
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let embedded: serde_json::Value =
        serde_json::from_str(include_str!("../../data/chile-communes.geojson")).unwrap();
    assert_eq!(value["attribution"], embedded["attribution"]);
    let features = value["features"].as_array().unwrap();
    assert_eq!(features.len(), 2, "Antártica has nothing to draw");
    assert_eq!(features[0]["properties"]["code"], "CL-13130");
    assert_eq!(features[0]["properties"]["name"], "San Miguel");
    let original = embedded["features"].as_array().unwrap();
    let original = original.iter().find(|feature| feature["id"] == 13_130).unwrap();
    assert_eq!(features[0]["geometry"]["coordinates"][0], original["geometry"]["coordinates"]);
    assert_eq!(features[0]["properties"]["label"], original["properties"]["label"]);
    // What it wrote can be imported again.
    let one = territory.geojson(&[SAN_MIGUEL]);
    let again = territory.clone().with_boundary(SAN_MIGUEL, &one).unwrap();
    assert_eq!(again.area_km2(SAN_MIGUEL), territory.area_km2(SAN_MIGUEL));
}

//! Invented places for demonstrations and tests: points inside a commune and street addresses that no
//! town has. The same code and index give the same place for ever; nothing here is a real household.

use protocol::ids::Code;
use protocol::operation::Point;

use crate::territory::{Local, Shape, Territory};

/// How often a random point is drawn before giving up. Juan Fernández fills 0.067 % of its box, the least
/// of all communes: a miss this long has a probability below 10^-14 even there.
const DRAWS_MAX: u32 = 50_000;

/// How far `border_point` may be from the distance asked for, in metres.
const INSIDE_TOLERANCE_M: f64 = 5.0;

/// Borders of two territories that run closer than this are the same border, in metres.
const SHARED_M: f64 = 30.0;

impl Territory {
    /// The `index`th invented point inside `code`; `None` for a code without a polygon.
    #[must_use]
    pub fn invented_point(&self, code: Code, index: u64) -> Option<Point> {
        let shape = self.shape(code)?;
        let (south_west, north_east) = shape.bounds().corners();
        let mut random = Random::seeded(code, index);
        for _ in 0..DRAWS_MAX {
            let lat_e7 = random.between(south_west.lat_e7, north_east.lat_e7);
            let lon_e7 = random.between(south_west.lon_e7, north_east.lon_e7);
            let point = Point { lat_e7, lon_e7 };
            if shape.contains(point) && self.locate(point) == Some(code) {
                return Some(point);
            }
        }
        self.label_point(code)
    }

    /// A point about `inside_m` metres inside `code`, beside the border that it shares with `other`, and
    /// nearer to `other` than to any other territory. `None` if they share no border or `code` is too
    /// narrow there.
    #[must_use]
    pub fn border_point(&self, code: Code, other: Code, inside_m: u32) -> Option<Point> {
        let (shape, beside) = (self.shape(code)?, self.shape(other)?);
        let inside = f64::from(inside_m);
        shared(shape, beside).iter().flat_map(|stretch| stretch.beside(inside)).find(|point| {
            let nearest = self.within(*point, inside_m.saturating_mul(2).saturating_add(10));
            self.locate(*point) == Some(code)
                && (beside.distance_m(*point) - inside).abs() <= INSIDE_TOLERANCE_M
                && nearest.get(1).is_some_and(|near| near.code == other)
        })
    }
}

/// The `index`th invented street address of `code`: a street that exists in no town, and a number. Two
/// indices of one code below 446,656 never give the same address.
#[must_use]
pub fn invented_address(code: Code, index: u64) -> String {
    // A step that shares no factor with the number of addresses visits each once; where the walk starts
    // differs from code to code.
    let all = FIRST.len() as u64 * SECOND.len() as u64 * NUMBERS;
    let start = Random::seeded(code, 0).next() % all;
    let place = (start + (index % all) * STEP) % all;
    let (street, number) = (place / NUMBERS, place % NUMBERS);
    let first = pick(&FIRST, street / SECOND.len() as u64);
    let second = pick(&SECOND, street);
    format!("{first} {second} {}", 100 + number)
}

/// The `index`th invented given name and initial of `code`.
#[must_use]
pub fn invented_name(code: Code, index: u64) -> String {
    let mut random = Random::seeded(code, index ^ NAME_SEED);
    let given = pick(&GIVEN, random.next());
    let initial = pick(&INITIALS, random.next());
    format!("{given} {initial}.")
}

/// House numbers a street has, from 100.
const NUMBERS: u64 = 997;
/// A prime beyond every factor of the number of addresses.
const STEP: u64 = 1_000_003;
/// Keeps names from following points.
const NAME_SEED: u64 = 0x6e6f_6d62_7265_0000;

const FIRST: [&str; 16] = [
    "Pasaje",
    "Calle",
    "Avenida",
    "Camino",
    "Callejón",
    "Paseo",
    "Pasaje Nuevo",
    "Calle Nueva",
    "Pasaje Uno",
    "Pasaje Dos",
    "Pasaje Tres",
    "Calle Norte",
    "Calle Sur",
    "Calle Oriente",
    "Calle Poniente",
    "Pasaje Interior",
];
const SECOND: [&str; 28] = [
    "Luna de Tiza",
    "Los Faroles Dormidos",
    "El Gato Cartógrafo",
    "Nube Prestada",
    "Las Tres Teteras",
    "El Zorro Inventado",
    "Viento de Papel",
    "La Brújula Torcida",
    "Los Paraguas Verdes",
    "El Tren Imaginario",
    "Las Peras de Vidrio",
    "Farol Inventado",
    "La Ballena del Cerro",
    "Los Relojes Lentos",
    "El Puente Soñado",
    "Las Cucharas de Lata",
    "La Esquina Ficticia",
    "Los Grillos de Bronce",
    "El Molino de Azúcar",
    "Las Cometas Perdidas",
    "El Mapa Doblado",
    "La Lluvia Ordenada",
    "Los Botones Azules",
    "El Volantín de Greda",
    "Las Linternas Mansas",
    "La Gaviota Terrestre",
    "Los Caracoles Rápidos",
    "El Almacén Inexistente",
];
const GIVEN: [&str; 24] = [
    "Amaranta",
    "Baltazar",
    "Clorinda",
    "Delfín",
    "Eloísa",
    "Fidel",
    "Genoveva",
    "Hilario",
    "Isolina",
    "Jacinto",
    "Leontina",
    "Macario",
    "Nicanora",
    "Olegario",
    "Petronila",
    "Quintín",
    "Rosalba",
    "Saturnino",
    "Tránsito",
    "Ulises",
    "Violeta",
    "Washington",
    "Yolanda",
    "Zenón",
];
const INITIALS: [&str; 12] = ["A", "B", "C", "F", "G", "L", "M", "P", "R", "S", "T", "V"];

/// SplitMix64 (Steele, Lea and Flood, 2014): small, and the same on every machine.
struct Random(u64);

impl Random {
    fn seeded(code: Code, index: u64) -> Random {
        let mut random = Random(u64::from(code.number) << 16 | u64::from(u16::from_be_bytes(code.country)));
        Random(random.next() ^ index.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From `low` to `high`, both included.
    fn between(&mut self, low: i32, high: i32) -> i32 {
        let span = u64::from(low.abs_diff(high)) + 1;
        let offset = u32::try_from(self.next() % span).expect("below a span of 32-bit numbers");
        low.wrapping_add_unsigned(offset)
    }
}

fn pick(list: &'static [&'static str], number: u64) -> &'static str {
    let index = usize::try_from(number % list.len() as u64).expect("below the length of a list");
    list.get(index).copied().expect("below the length of the list")
}

/// A stretch of border that two territories have in common.
struct Stretch {
    from: Point,
    to: Point,
    length_m: f64,
}

impl Stretch {
    fn new(from: Point, to: Point) -> Stretch {
        let (x, y) = Local::around(from).metres(to);
        Stretch { from, to, length_m: x.hypot(y) }
    }

    /// Points at `inside_m` metres to either side of the stretch, from its middle outwards.
    fn beside(&self, inside_m: f64) -> impl Iterator<Item = Point> {
        let local = Local::around(self.from);
        let (x, y) = local.metres(self.to);
        let (across_x, across_y) = (-y / self.length_m * inside_m, x / self.length_m * inside_m);
        [0.5, 0.4, 0.6, 0.3, 0.7, 0.2, 0.8, 0.1, 0.9]
            .into_iter()
            .flat_map(|along| [(along, 1.0), (along, -1.0)])
            .filter_map(move |(along, side)| {
                local.point(along * x + side * across_x, along * y + side * across_y)
            })
    }
}

/// The stretches of the border of `one` that run along `other`, the longest first.
fn shared(one: &Shape, other: &Shape) -> Vec<Stretch> {
    let middle = |a: i32, b: i32| a.midpoint(b);
    let mut stretches: Vec<Stretch> = one
        .edges()
        .filter(|(from, to)| {
            let halfway =
                Point { lat_e7: middle(from.lat_e7, to.lat_e7), lon_e7: middle(from.lon_e7, to.lon_e7) };
            from != to
                && other.bounds().reaches(&Local::around(halfway), SHARED_M)
                && other.distance_m(halfway) <= SHARED_M
        })
        .map(|(from, to)| Stretch::new(from, to))
        .collect();
    stretches.sort_by(|a, b| b.length_m.total_cmp(&a.length_m).then(a.from.cmp(&b.from)));
    stretches
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const SAN_MIGUEL: Code = Code::chile(13_130);

    #[test]
    fn invented_points_lie_in_their_commune_and_are_the_same_every_time() {
        let territory = Territory::built_in();
        let points: Vec<Point> =
            (0..200).map(|index| territory.invented_point(SAN_MIGUEL, index).unwrap()).collect();
        assert!(points.iter().all(|point| territory.locate(*point) == Some(SAN_MIGUEL)));
        assert_eq!(points.iter().collect::<BTreeSet<_>>().len(), 200);
        let first = points.first().unwrap();
        assert_eq!(
            (first.lat_e7, first.lon_e7),
            (-335_086_034, -706_639_654),
            "another value would move every demonstration"
        );
        assert_eq!(territory.invented_point(Code::chile(12_202), 0), None);
    }

    #[test]
    fn invented_point_is_found_in_every_commune() {
        let territory = Territory::built_in();
        for code in territory.codes() {
            let Some(label) = territory.label_point(code) else { continue };
            let points: BTreeSet<Point> =
                (0..3).filter_map(|index| territory.invented_point(code, index)).collect();
            assert!(points.len() == 3 && !points.contains(&label), "{code}");
        }
    }

    #[test]
    fn invented_addresses_do_not_repeat() {
        let all = FIRST.len() as u64 * SECOND.len() as u64 * NUMBERS;
        assert_eq!(all, 446_656);
        let addresses: BTreeSet<String> = (0..all).map(|index| invented_address(SAN_MIGUEL, index)).collect();
        assert_eq!(addresses.len() as u64, all);
        assert_ne!(invented_address(SAN_MIGUEL, 0), invented_address(Code::chile(13_112), 0));
        assert_eq!(invented_address(SAN_MIGUEL, 0), invented_address(SAN_MIGUEL, 0));
        assert!(!invented_name(SAN_MIGUEL, 7).is_empty());
    }

    #[test]
    fn border_point_lies_as_far_inside_as_asked() {
        let territory = Territory::built_in();
        for (code, other) in [(13_130, 13_129), (13_129, 13_130), (13_105, 13_131), (13_112, 13_131)] {
            let (code, other) = (Code::chile(code), Code::chile(other));
            for inside_m in [50, 200] {
                let point = territory.border_point(code, other, inside_m).unwrap();
                assert_eq!(territory.locate(point), Some(code));
                let distance = territory.boundary_distance(point, other).unwrap();
                assert!((distance - f64::from(inside_m)).abs() <= INSIDE_TOLERANCE_M, "{distance}");
            }
        }
        assert_eq!(territory.border_point(SAN_MIGUEL, Code::chile(13_112), 200), None, "no common border");
    }
}

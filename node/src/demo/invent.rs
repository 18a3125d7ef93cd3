//! Invents a month of reports: what, when, in whose words, and how each was answered. The same town and
//! month give the same reports every time.

use protocol::ids::{Code, Millis, sha256};
use protocol::kind::{Kind, Urgency};
use protocol::operation::{Outcome, Step};

/// One invented report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Invented {
    pub secret: [u8; 32],
    pub kind: &'static Kind,
    /// Which of the residents, counted round and round.
    pub reporter: u64,
    pub text: &'static str,
    /// What is done and when, in order.
    pub acts: Vec<(Millis, Act)>,
}

/// Something that a neighbour or the desk does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    Raise,
    Claim,
    Step(Step),
    Close(Outcome),
}

/// How often each kind is reported, of 100, and what people say.
const MIX: [(&str, u64, [&str; 3]); 17] = [
    ("sos", 3, ["", "Necesito ayuda", "Ayuda, por favor"]),
    ("medical", 6, ["Persona desmayada", "Caída en la calle, no puede pararse", "Dolor fuerte en el pecho"]),
    ("fire", 2, ["Humo saliendo de una casa", "Quema de pastizal", "Se incendia un contenedor"]),
    ("robbery", 9, ["Asalto a un peatón", "Robo de un celular", "Encerrona a un auto"]),
    ("assault", 5, ["Pelea en la vía pública", "Golpean a una persona", "Agresión con un palo"]),
    (
        "domestic_violence",
        4,
        ["Gritos y golpes en la casa de al lado", "Piden auxilio", "Discusión violenta"],
    ),
    ("shots", 3, ["Se escuchan disparos", "Balazos al aire", "Varios disparos y un auto que escapa"]),
    (
        "suspicious",
        14,
        ["Auto desconocido dando vueltas", "Personas mirando casas", "Alguien prueba las puertas"],
    ),
    ("lost_person", 1, ["Adulto mayor desorientado", "Niño perdido en la plaza", "No volvió a casa"]),
    ("burglary", 8, ["Entraron a robar a una casa", "Forzaron la reja", "Robo en local comercial"]),
    ("drugs", 6, ["Venta en la esquina", "Consumo en la plaza", "Movimiento extraño en un pasaje"]),
    ("noise", 16, ["Música muy fuerte", "Fiesta que no termina", "Trabajos de noche"]),
    ("traffic", 8, ["Choque sin heridos", "Semáforo apagado", "Carreras clandestinas"]),
    ("street_light", 5, ["Luminaria apagada", "Poste dañado", "Calle completamente oscura"]),
    ("rubbish", 6, ["Microbasural", "Escombros en la vereda", "No pasó el camión"]),
    ("tree_down", 2, ["Rama caída sobre la calle", "Árbol inclinado", "Árbol cortó un cable"]),
    ("stray_animal", 2, ["Perro herido", "Jauría en la plaza", "Perros sueltos frente al colegio"]),
];

/// Reports by hour of the day, of 100: evenings are busiest.
const HOURS: [u64; 24] = [5, 4, 3, 2, 1, 1, 2, 3, 4, 3, 3, 4, 4, 4, 4, 4, 4, 5, 6, 7, 8, 8, 6, 5];

const MINUTE_MS: u64 = 60 * 1000;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const DAY_MS: u64 = 24 * HOUR_MS;

/// `count` reports between `from` and `until`, which lie whole days apart.
pub(super) fn invent(code: Code, count: u64, (from, until): (Millis, Millis)) -> Vec<Invented> {
    let mut chance = Chance::new(code);
    (0..count).map(|number| report(code, number, &mut chance, from, until)).collect()
}

fn report(code: Code, number: u64, chance: &mut Chance, from: Millis, until: Millis) -> Invented {
    let (name, texts) = chance.weighted(MIX.iter().map(|(name, weight, texts)| ((*name, *texts), *weight)));
    let kind = Kind::by_name(name).expect("a test looks every one of them up");
    let days = until.since(from).0 / DAY_MS;
    let hour = chance.weighted((0..).zip(HOURS));
    let opened = from.0 + chance.below(days.max(1)) * DAY_MS + hour * HOUR_MS + chance.below(HOUR_MS);
    let opened = Millis(opened.min(until.0.saturating_sub(MINUTE_MS)));
    let [first, second, third] = texts;
    let text = chance.weighted([(first, 1), (second, 1), (third, 1)]);
    let secret = sha256(&[b"cuadra/demo/v1\0", code.to_string().as_bytes(), &number.to_be_bytes()]);
    Invented { secret, kind, reporter: chance.next(), text, acts: acts(kind, opened, until, chance) }
}

/// How it was answered. Nearly everything was closed; a few small things of the last days wait still.
fn acts(kind: &Kind, opened: Millis, until: Millis, chance: &mut Chance) -> Vec<(Millis, Act)> {
    let pace = match kind.urgency {
        Urgency::Emergency => 1,
        Urgency::High => 2,
        Urgency::Normal => 6,
        Urgency::Low => 40,
    };
    let mut at = opened.0;
    let mut later = |minutes: u64, chance: &mut Chance| {
        at += (1 + chance.below(minutes * pace)) * MINUTE_MS + chance.below(MINUTE_MS);
        Millis(at)
    };
    let mut acts = vec![(opened, Act::Raise), (later(3, chance), Act::Claim)];
    let recent = until.since(opened).0 < 3 * DAY_MS;
    if recent && kind.urgency == Urgency::Low && chance.below(3) == 0 {
        return acts;
    }
    if chance.below(100) < 30 {
        acts.push((later(3, chance), Act::Step(Step::Called)));
    }
    if chance.below(100) < 55 {
        acts.push((later(5, chance), Act::Step(Step::OnTheWay)));
        acts.push((later(12, chance), Act::Step(Step::OnSite)));
    }
    acts.push((later(30, chance), Act::Close(outcome(kind, chance))));
    acts
}

fn outcome(kind: &Kind, chance: &mut Chance) -> Outcome {
    use Outcome::{Arrest, FalseAlarm, Fixed, GoodsRecovered, Helped, LifeSaved, NothingFound, PassedOn};
    if kind.place {
        return chance.weighted([(Fixed, 75), (PassedOn, 15), (NothingFound, 10)]);
    }
    match kind.name {
        "medical" | "fire" => chance.weighted([(Helped, 85), (LifeSaved, 3), (FalseAlarm, 12)]),
        "robbery" | "burglary" => {
            chance.weighted([(Helped, 45), (GoodsRecovered, 10), (Arrest, 12), (NothingFound, 33)])
        }
        "sos" => chance.weighted([(Helped, 55), (FalseAlarm, 35), (NothingFound, 10)]),
        _ => {
            chance.weighted([(Helped, 50), (NothingFound, 32), (PassedOn, 10), (Arrest, 4), (FalseAlarm, 4)])
        }
    }
}

/// SplitMix64 (Steele, Lea and Flood, 2014): small, and the same on every machine.
struct Chance(u64);

impl Chance {
    fn new(code: Code) -> Self {
        Self(u64::from(code.number) << 20 | 0x5eed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 up to but not including `end`.
    fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    fn weighted<T: Clone>(&mut self, choices: impl IntoIterator<Item = (T, u64)>) -> T {
        let choices: Vec<(T, u64)> = choices.into_iter().collect();
        let mut left = self.below(choices.iter().map(|(_, weight)| weight).sum());
        let mut last = None;
        for (choice, weight) in choices {
            if left < weight {
                return choice;
            }
            left -= weight;
            last = Some(choice);
        }
        last.expect("every list of choices in this file has one")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MONTH: (Millis, Millis) = (Millis(1_759_287_600_000), Millis(1_759_287_600_000 + 31 * DAY_MS));

    #[test]
    fn month_has_exactly_the_reports_asked_for_and_all_lie_in_it() {
        let reports = invent(Code::chile(13130), 956, MONTH);
        assert_eq!(reports.len(), 956);
        let secrets: std::collections::BTreeSet<_> = reports.iter().map(|report| report.secret).collect();
        assert_eq!(secrets.len(), 956);
        for report in &reports {
            let (raised, act) = report.acts[0];
            assert_eq!(act, Act::Raise);
            assert!(raised >= MONTH.0 && raised < MONTH.1);
            assert!(report.acts.is_sorted_by_key(|(at, _)| *at));
        }
        let open = reports.iter().filter(|r| !matches!(r.acts.last(), Some((_, Act::Close(_))))).count();
        assert!(open < reports.len() / 50, "{open} stay open");
        assert_eq!(invent(Code::chile(13130), 956, MONTH), reports, "not the same twice");
        assert_ne!(invent(Code::chile(13112), 956, MONTH), reports);
    }

    #[test]
    fn mix_names_every_kind_once() {
        let names: std::collections::BTreeSet<_> = MIX.iter().map(|(name, ..)| *name).collect();
        assert_eq!(names.len(), protocol::kind::KINDS.len());
        assert!(names.iter().all(|name| Kind::by_name(name).is_some()));
        assert_eq!(MIX.iter().map(|(_, weight, _)| weight).sum::<u64>(), 100);
    }
}

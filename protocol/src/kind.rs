//! The federation's kinds of incident: what each is called on the wire, and the rules that go with
//! it. A municipality may add its own words and tighten privacy (`local_kind`), never loosen it.

/// How pressing an incident is. Stored as one byte; the order is the order of the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Urgency {
    /// Days: a street lamp, rubbish.
    Low = 1,
    /// Hours: noise, traffic.
    Normal = 2,
    /// Now, nobody in danger this minute: something suspicious, a lost person.
    High = 3,
    /// Somebody is in danger: rings everywhere it may be seen.
    Emergency = 4,
}

impl Urgency {
    /// Every urgency, in the order of their bytes.
    pub const ALL: [Urgency; 4] = [Self::Low, Self::Normal, Self::High, Self::Emergency];
    /// From its byte.
    #[must_use]
    pub fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|urgency| *urgency as u8 == byte)
    }
    /// True for what goes on the urgent lane and rings.
    #[must_use]
    pub fn rings(self) -> bool {
        self >= Self::High
    }
}

/// The service that answers a kind first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Service {
    /// Carabineros.
    Police = 1,
    /// Bomberos.
    Fire = 2,
    /// SAMU.
    Ambulance = 3,
    /// The municipality's own patrols.
    MunicipalSecurity = 4,
    /// Urban services: lights, rubbish, trees, animals.
    UrbanServices = 5,
}

impl Service {
    /// Every service, in the order of their bytes.
    pub const ALL: [Service; 5] = [Police, Fire, Ambulance, MunicipalSecurity, UrbanServices];
    /// From its byte.
    #[must_use]
    pub fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|service| *service as u8 == byte)
    }
}

/// One kind of incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// Its number on the wire; never reused.
    pub number: u16,
    /// Its name in the API and in files.
    pub name: &'static str,
    /// How pressing it is unless the reporter or an operator says otherwise.
    pub urgency: Urgency,
    /// Who answers first.
    pub service: Service,
    /// Private kinds: neighbours join only by invitation, distances show in bands.
    pub private: bool,
    /// About a place rather than people: the exact point may be shared.
    pub place: bool,
    /// Jurisdictions within this distance of the exact point are involved, in metres.
    pub buffer_m: u32,
}

const fn kind(number: u16, name: &'static str, urgency: Urgency, service: Service, buffer_m: u32) -> Kind {
    Kind { number, name, urgency, service, private: false, place: false, buffer_m }
}

const fn private(kind: Kind) -> Kind {
    Kind { private: true, buffer_m: 0, ..kind }
}

const fn place(kind: Kind) -> Kind {
    Kind { place: true, ..kind }
}

use Service::{Ambulance, Fire, MunicipalSecurity, Police, UrbanServices};
use Urgency::{Emergency, High, Low, Normal};

/// All kinds, by number.
pub const KINDS: [Kind; 17] = [
    kind(1, "sos", Emergency, Police, 300),
    kind(2, "medical", Emergency, Ambulance, 300),
    kind(3, "fire", Emergency, Fire, 500),
    kind(4, "robbery", Emergency, Police, 300),
    kind(5, "assault", Emergency, Police, 300),
    private(kind(6, "domestic_violence", Emergency, Police, 0)),
    kind(7, "shots", Emergency, Police, 500),
    kind(8, "suspicious", High, MunicipalSecurity, 300),
    kind(9, "lost_person", High, Police, 1_000),
    kind(10, "burglary", High, Police, 300),
    kind(11, "drugs", High, Police, 300),
    kind(12, "noise", Normal, MunicipalSecurity, 150),
    place(kind(13, "traffic", Normal, MunicipalSecurity, 300)),
    place(kind(14, "street_light", Low, UrbanServices, 100)),
    place(kind(15, "rubbish", Low, UrbanServices, 100)),
    place(kind(16, "tree_down", Normal, UrbanServices, 100)),
    place(kind(17, "stray_animal", Low, UrbanServices, 100)),
];

impl Kind {
    /// The kind of this number, if the federation has it.
    #[must_use]
    pub fn by_number(number: u16) -> Option<&'static Kind> {
        KINDS.iter().find(|kind| kind.number == number)
    }
    /// The kind of this name, if the federation has it.
    #[must_use]
    pub fn by_name(name: &str) -> Option<&'static Kind> {
        KINDS.iter().find(|kind| kind.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_found_by_number_and_by_name() {
        for (index, kind) in KINDS.iter().enumerate() {
            assert_eq!(usize::from(kind.number), index + 1);
            assert_eq!(Kind::by_number(kind.number), Some(kind));
            assert_eq!(Kind::by_name(kind.name), Some(kind));
            assert!(!(kind.private && kind.buffer_m > 0), "{} would tell its neighbours", kind.name);
        }
        assert_eq!(Kind::by_number(0), None);
    }
}

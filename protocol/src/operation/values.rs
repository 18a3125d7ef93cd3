//! The closed lists that operations choose from, each one byte on the wire, and the point.

use crate::wire::{Reader, WireError};

macro_rules! byte_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $byte:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "snake_case")]
        #[repr(u8)]
        pub enum $name { $($(#[$vdoc])* $variant = $byte,)+ }

        impl $name {
            /// Every value, in the order of its bytes.
            pub const ALL: &'static [$name] = &[$($name::$variant,)+];
            /// From its byte.
            #[must_use]
            pub fn from_byte(byte: u8) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| *value as u8 == byte)
            }
            pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
                Self::from_byte(reader.u8()?).ok_or(WireError::Value)
            }
        }
    };
}

byte_enum!(
    /// What a document is about; the first byte of every genesis.
    Class {
        /// An incident.
        Incident = 1,
        /// A mass message.
        Notice = 2,
        /// A node's figures of one day.
        Summary = 3,
    }
);
byte_enum!(
    /// The steps of an answer, in their order.
    Step {
        /// A person has seen it and took it on.
        Received = 1,
        /// The reporter or a service was called.
        Called = 2,
        /// A crew is on the way.
        OnTheWay = 3,
        /// A crew is on site.
        OnSite = 4,
        /// Done at the place.
        Resolved = 5,
    }
);
byte_enum!(
    /// How an incident reached the node.
    Source {
        /// The neighbour's phone page.
        App = 1,
        /// A phone call taken by an operator.
        PhoneCall = 2,
        /// Radio.
        Radio = 3,
        /// A patrol on the street.
        Patrol = 4,
        /// A text message.
        Sms = 5,
        /// Open311.
        Open311 = 6,
        /// Another node.
        Node = 7,
    }
);
byte_enum!(
    /// How an incident ended.
    Outcome {
        /// Somebody was helped.
        Helped = 1,
        /// A life was saved.
        LifeSaved = 2,
        /// Goods were recovered.
        GoodsRecovered = 3,
        /// Somebody was arrested.
        Arrest = 4,
        /// A gang was dismantled.
        GangDismantled = 5,
        /// Nothing was found.
        NothingFound = 6,
        /// It was a false alarm.
        FalseAlarm = 7,
        /// The thing was repaired or removed.
        Fixed = 8,
        /// Another service took it on outside this system.
        PassedOn = 9,
    }
);
byte_enum!(
    /// Why a closed incident is open again.
    ReopenReason {
        /// The reporter says that it was not solved.
        NotSolved = 1,
        /// It happened again.
        Again = 2,
        /// It was closed by mistake.
        Mistake = 3,
    }
);
byte_enum!(
    /// What a crew of an involved node does.
    Response {
        /// Going there.
        OnTheWay = 1,
        /// There.
        OnSite = 2,
        /// Free again.
        Clear = 3,
    }
);
byte_enum!(
    /// What somebody adds to an incident that is not theirs.
    ContributionKind {
        /// "I saw it too."
        SawItToo = 1,
        /// Further information; the words are a blob.
        Information = 2,
        /// "I am going."
        Going = 3,
        /// "I can help."
        CanHelp = 4,
        /// The reporter answers "was it solved?" with yes.
        SolvedYes = 5,
        /// … with partly.
        SolvedPartly = 6,
        /// … with no.
        SolvedNo = 7,
    }
);
byte_enum!(
    /// Why a handoff is offered or declined.
    HandoffReason {
        /// The place lies in the other's territory.
        Territory = 1,
        /// The other has means that we lack.
        Means = 2,
        /// Out of hours.
        Hours = 3,
        /// Not ours either (declining).
        NotOurs = 4,
        /// No crew free (declining).
        NoCrew = 5,
    }
);
byte_enum!(
    /// A figure that nodes sum up.
    Measure {
        /// Registered addresses (households) at the end of the period.
        RegisteredAddresses = 1,
        /// Inhabitants of the territory.
        Population = 2,
        /// Incidents opened in the period, by kind (kind 0: all).
        Reports = 3,
        /// Incidents closed in the period, by kind (kind 0: all).
        Closed = 4,
        /// Households with a sign-in in the period.
        ActiveAddresses = 5,
    }
);

byte_enum!(
    /// What a service answers to a referral.
    ReferralAnswer {
        /// It goes.
        Accepted = 1,
        /// It does not.
        Declined = 2,
        /// Nobody answered there.
        NoAnswer = 3,
    }
);
byte_enum!(
    /// What is not so.
    Disputed {
        /// The kind.
        Kind = 1,
        /// The place.
        Place = 2,
        /// How it ended.
        Outcome = 3,
        /// Who answers for it.
        Owner = 4,
    }
);
byte_enum!(
    /// Whether a mass message is real.
    NoticeMode {
        /// Real.
        Live = 1,
        /// A drill; screens say so in other words and colours.
        Drill = 2,
    }
);

/// A point: degrees times 10^7, so about a centimetre.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Point {
    /// Latitude × 10^7.
    pub lat_e7: i32,
    /// Longitude × 10^7.
    pub lon_e7: i32,
}

impl Point {
    /// From degrees, if they are on Earth.
    #[must_use]
    pub fn from_degrees(lat: f64, lon: f64) -> Option<Point> {
        if !(-90.0..=90.0).contains(&lat) || !(-180.0..=180.0).contains(&lon) {
            return None;
        }
        #[expect(clippy::cast_possible_truncation, reason = "180 × 10^7 fits an i32")]
        let e7 = |degrees: f64| (degrees * 1e7).round() as i32;
        Some(Point { lat_e7: e7(lat), lon_e7: e7(lon) })
    }
    /// Latitude and longitude in degrees.
    #[must_use]
    pub fn degrees(self) -> (f64, f64) {
        (f64::from(self.lat_e7) / 1e7, f64::from(self.lon_e7) / 1e7)
    }
}

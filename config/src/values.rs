//! Values that are checked where they are read: each type's `Deserialize` refuses what the rest of
//! the program could not use, and says what it expected.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest name, in characters: it has to fit a phone's title line.
pub const NAME_CHARS_MAX: usize = 80;

macro_rules! text_value {
    ($(#[$doc:meta])* $name:ident, $expected:expr, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// From text, if it is one.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                let check: fn(&str) -> bool = $check;
                check(text).then(|| $name(text.to_owned()))
            }
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
            #[allow(dead_code, reason = "not every one of these types has a default of its own")]
            pub(crate) fn known(text: &'static str) -> Self {
                Self::parse(text).expect("written in this program, and its tests read every one")
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Words;
                impl serde::de::Visitor<'_> for Words {
                    type Value = $name;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expected)
                    }
                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$name, E> {
                        $name::parse(text).ok_or_else(|| E::custom(concat!("expected ", $expected)))
                    }
                }
                deserializer.deserialize_str(Words)
            }
        }
    };
}

text_value!(
    /// A name shown to people: 1 to 80 characters, no control characters, no blanks around it.
    Name,
    "a name of 1 to 80 characters without blanks around it",
    |text| {
        !text.is_empty()
            && text.trim() == text
            && text.chars().count() <= NAME_CHARS_MAX
            && !text.chars().any(char::is_control)
    }
);

text_value!(
    /// A telephone number as people dial it: digits, a leading `+`, and blanks between.
    EmergencyNumber,
    "a telephone number in quotes, such as \"133\"",
    |text| {
        let digits = text.strip_prefix('+').unwrap_or(text);
        text.len() <= 20
            && digits.starts_with(|first: char| first.is_ascii_digit())
            && digits.chars().all(|c| c.is_ascii_digit() || c == ' ')
    }
);

text_value!(
    /// A time zone by its IANA name. Only the form is checked here; whether the machine knows the zone
    /// shows when the node starts.
    TimeZoneName,
    "an IANA time zone, such as \"America/Santiago\"",
    |text| {
        text.len() <= 64
            && text.split('/').all(|part| {
                part.starts_with(|first: char| first.is_ascii_alphabetic())
                    && part.chars().all(|c| c.is_ascii_alphanumeric() || "_-+".contains(c))
            })
    }
);

text_value!(
    /// Scheme, host name and, if it is not the scheme's own, port: what a browser calls an origin.
    Origin,
    "scheme and host name without a path, such as \"https://alerta.example.cl\"",
    |text| {
        let Some(rest) = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")) else {
            return false;
        };
        let (host, port) = split_port(rest);
        port.is_none_or(is_port) && is_host(host)
    }
);

text_value!(
    /// A host name or IP address with a port; IPv6 in brackets. Resolved when it is dialled.
    HostPort,
    "a host and a port, such as \"10.0.0.7:8444\"",
    |text| {
        let (host, port) = split_port(text);
        port.is_some_and(is_port) && is_host(host)
    }
);

impl Default for EmergencyNumber {
    fn default() -> Self {
        EmergencyNumber::known("133")
    }
}

impl Default for TimeZoneName {
    fn default() -> Self {
        TimeZoneName::known("America/Santiago")
    }
}

impl Default for Origin {
    fn default() -> Self {
        Origin::known("https://localhost:8443")
    }
}

impl Origin {
    /// True if pages come over HTTPS, here or at the proxy in front.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.0.starts_with("https://")
    }
    /// The host name alone, without scheme and port.
    #[must_use]
    pub fn host(&self) -> &str {
        let rest = self.0.split_once("://").map_or("", |(_, rest)| rest);
        split_port(rest).0
    }
}

/// A language that the screens have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub enum Language {
    /// Spanish of Chile.
    #[default]
    #[serde(rename = "es")]
    Spanish,
    /// English.
    #[serde(rename = "en")]
    English,
}

impl Language {
    /// Its two letters.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Language::Spanish => "es",
            Language::English => "en",
        }
    }
}

/// A share in whole percent, from 1 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Percent(u8);

impl Percent {
    /// From a whole number from 1 to 100.
    #[must_use]
    pub const fn new(percent: u8) -> Option<Percent> {
        if 1 <= percent && percent <= 100 { Some(Percent(percent)) } else { None }
    }
    /// The whole number.
    #[must_use]
    pub const fn value(self) -> u8 {
        self.0
    }
}

/// Ten percent: the share that the South Precinct set itself.
impl Default for Percent {
    fn default() -> Self {
        Percent(10)
    }
}

impl Serialize for Percent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(self.0)
    }
}

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u8::deserialize(deserializer)
            .ok()
            .and_then(Percent::new)
            .ok_or_else(|| D::Error::custom("expected a whole number of percent from 1 to 100"))
    }
}

/// An IP address with a port to listen on.
pub(crate) fn socket_address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(deserializer).ok();
    text.and_then(|text| text.parse().ok())
        .ok_or_else(|| D::Error::custom("expected an IP address and a port, such as \"127.0.0.1:8101\""))
}

/// A list of IP addresses.
pub(crate) fn ip_addresses<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpAddr>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer).ok();
    texts
        .and_then(|texts| texts.iter().map(|text| text.parse().ok()).collect())
        .ok_or_else(|| D::Error::custom("expected a list of IP addresses, such as [\"10.0.0.2\"]"))
}

/// The list, if no two of its entries have the same `key`.
pub(crate) fn unique<T, E: serde::de::Error>(list: Vec<T>, key: impl Fn(&T) -> String) -> Result<Vec<T>, E> {
    let mut seen = std::collections::BTreeSet::new();
    for entry in &list {
        let key = key(entry);
        if seen.contains(&key) {
            return Err(E::custom(format_args!("expected {key} only once")));
        }
        seen.insert(key);
    }
    Ok(list)
}

fn split_port(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (text, None),
    }
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port > 0)
}

fn is_host(text: &str) -> bool {
    if let Some(address) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return address.parse::<std::net::Ipv6Addr>().is_ok();
    }
    text.len() <= 253
        && text.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_pass_their_own_checks() {
        let config = crate::Config::default();
        assert_eq!(config.node.name.as_str(), "cuadra");
        assert_eq!(config.node.emergency_number.as_str(), "133");
        assert_eq!(config.node.time_zone.as_str(), "America/Santiago");
        assert_eq!(config.http.origin.host(), "localhost");
    }

    #[test]
    fn names_and_numbers_are_what_people_write() {
        assert!(Name::parse(&"ñ".repeat(NAME_CHARS_MAX)).is_some());
        for text in ["", " a", "a\tb", &"x".repeat(NAME_CHARS_MAX + 1)] {
            assert_eq!(Name::parse(text), None, "{text:?}");
        }
        for text in ["133", "+56 2 2922 0000", "1416"] {
            assert!(EmergencyNumber::parse(text).is_some(), "{text}");
        }
        for text in ["", "+", " 133", "133a", "123456789012345678901"] {
            assert_eq!(EmergencyNumber::parse(text), None, "{text}");
        }
        for text in ["America/Punta_Arenas", "UTC", "Etc/GMT+3"] {
            assert!(TimeZoneName::parse(text).is_some(), "{text}");
        }
        for text in ["", "America/", "/etc/passwd", "../x", "a b"] {
            assert_eq!(TimeZoneName::parse(text), None, "{text}");
        }
    }

    #[test]
    fn origin_and_address_are_split_into_host_and_port() {
        let hosts = ["http://la-pintana.localhost:8101", "https://[::1]:8443", "https://alerta.cl"]
            .map(|text| Origin::parse(text).unwrap().host().to_owned());
        assert_eq!(hosts, ["la-pintana.localhost", "[::1]", "alerta.cl"]);
        for text in
            ["alerta.cl", "ftp://a", "https://", "https://a/", "https://a:0", "https://a_b", "http://a:b"]
        {
            assert_eq!(Origin::parse(text), None, "{text}");
        }
        for text in ["10.0.0.7:8444", "[::1]:8444", "alerta.cl:1"] {
            assert!(HostPort::parse(text).is_some(), "{text}");
        }
        for text in ["10.0.0.7", "::1:8444:", "[::g]:1", ":1", "a:65536", "a:+1", "-a:1"] {
            assert_eq!(HostPort::parse(text), None, "{text}");
        }
    }

    #[test]
    fn percent_is_from_one_to_a_hundred() {
        let values = [0, 1, 100, 101].map(|percent| Percent::new(percent).map(Percent::value));
        assert_eq!(values, [None, Some(1), Some(100), None]);
    }
}

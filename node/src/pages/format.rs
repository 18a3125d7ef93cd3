//! Numbers, times and distances as people here write them.

use super::lang::Lang;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::sync::LazyLock;

/// The zone in which every time is shown.
pub const TIME_ZONE: &str = "America/Santiago";

static ZONE: LazyLock<TimeZone> =
    LazyLock::new(|| TimeZone::get(TIME_ZONE).expect("the zone is in the bundled database"));

impl Lang {
    fn marks(self) -> (char, char) {
        match self {
            Lang::EsCl => ('.', ','),
            Lang::En => (',', '.'),
        }
    }

    /// A whole number with its thousands apart: `1.234`.
    #[must_use]
    pub fn number(self, value: u64) -> String {
        let digits = value.to_string();
        let mut text = String::with_capacity(digits.len() + digits.len() / 3);
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                text.push(self.marks().0);
            }
            text.push(digit);
        }
        text
    }

    /// A number with one decimal: `71,6`.
    #[must_use]
    pub fn decimal(self, value: f64) -> String {
        let text = format!("{value:.1}");
        let (whole, tenth) = text.split_once('.').unwrap_or((&text, "0"));
        let whole = whole.parse::<u64>().map_or_else(|_| whole.to_owned(), |n| self.number(n));
        format!("{whole}{}{tenth}", self.marks().1)
    }

    /// A month, `yyyymm`, in words: `octubre de 2026`.
    #[must_use]
    pub fn month(self, period: u32) -> String {
        let name = self.words(&format!("month.{}", period % 100)).to_owned();
        self.words("month.of").replace("{month}", &name).replace("{year}", &(period / 100).to_string())
    }

    /// How long ago: `hace 3 min`.
    #[must_use]
    pub fn age(self, at_ms: u64, now_ms: u64) -> String {
        let seconds = now_ms.saturating_sub(at_ms) / 1000;
        let (key, count) = match seconds {
            0..10 => ("age.now", 0),
            10..60 => ("age.seconds", seconds),
            60..3_600 => ("age.minutes", seconds / 60),
            3_600..86_400 => ("age.hours", seconds / 3_600),
            86_400.. => ("age.days", seconds / 86_400),
        };
        self.words(key).replace("{n}", &self.number(count))
    }

    /// A length of time without "ago": `3 min`.
    #[must_use]
    pub fn span(self, length_ms: u64) -> String {
        let seconds = length_ms / 1000;
        let (key, count) = match seconds {
            0..60 => ("span.seconds", seconds),
            60..3_600 => ("span.minutes", seconds / 60),
            3_600..86_400 => ("span.hours", seconds / 3_600),
            86_400.. => ("span.days", seconds / 86_400),
        };
        self.words(key).replace("{n}", &self.number(count))
    }

    /// Metres: `120 m`, `1,3 km`.
    #[must_use]
    pub fn distance(self, metres: u32) -> String {
        if metres < 1_000 {
            format!("{metres}\u{a0}m")
        } else {
            format!("{}\u{a0}km", self.decimal(f64::from(metres) / 1_000.0))
        }
    }
}

fn zoned(at_ms: u64) -> jiff::ZonedDateTime {
    let at = i64::try_from(at_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    at.unwrap_or(Timestamp::UNIX_EPOCH).to_zoned_datetime(ZONE.clone())
}

/// The time of day, with the day in front unless it is today's: `12:03`, `23-11 12:03`.
#[must_use]
pub fn clock(at_ms: u64, now_ms: u64) -> String {
    let (at, now) = (zoned(at_ms), zoned(now_ms));
    if at.date() == now.date() {
        at.strftime("%H:%M").to_string()
    } else if at.date().year() == now.date().year() {
        at.strftime("%d-%m %H:%M").to_string()
    } else {
        at.strftime("%d-%m-%Y %H:%M").to_string()
    }
}

/// A time as `input type="datetime-local"` takes it: `2026-11-23T12:03`.
#[must_use]
pub fn local_input(at_ms: u64) -> String {
    zoned(at_ms).strftime("%Y-%m-%dT%H:%M").to_string()
}

/// The time of day to the second: `12:03:22`.
#[must_use]
pub fn clock_seconds(at_ms: u64) -> String {
    zoned(at_ms).strftime("%H:%M:%S").to_string()
}

/// A time for machines, with its offset.
#[must_use]
pub fn machine_time(at_ms: u64) -> String {
    zoned(at_ms).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 23 November 2026, 15:03:22 UTC: 12:03:22 in Santiago.
    const NOON: u64 = 1_795_446_202_000;

    #[test]
    fn numbers_are_written_the_chilean_way() {
        assert_eq!(Lang::EsCl.number(831_876), "831.876");
        assert_eq!(Lang::EsCl.number(956), "956");
        assert_eq!(Lang::EsCl.decimal(71.6), "71,6");
        assert_eq!(Lang::EsCl.decimal(1234.5), "1.234,5");
        assert_eq!(Lang::En.number(1_000), "1,000");
        assert_eq!(Lang::EsCl.distance(1_340), "1,3\u{a0}km");
    }

    #[test]
    fn times_are_those_of_santiago() {
        assert_eq!(clock_seconds(NOON), "12:03:22");
        assert_eq!(clock(NOON, NOON), "12:03");
        assert_eq!(clock(NOON - 86_400_000, NOON), "22-11 12:03");
        assert_eq!(clock(NOON - 365 * 86_400_000, NOON), "23-11-2025 12:03");
        assert_eq!(machine_time(NOON), "2026-11-23T12:03:22-03:00");
        assert_eq!(local_input(NOON), "2026-11-23T12:03");
    }

    #[test]
    fn ages_are_short_and_never_negative() {
        assert_eq!(Lang::EsCl.age(NOON - 180_000, NOON), "hace 3 min");
        assert_eq!(Lang::EsCl.age(NOON + 5_000, NOON), "ahora");
        assert_eq!(Lang::EsCl.span(7_200_000), "2 h");
        assert_eq!(Lang::EsCl.month(202_610), "octubre de 2026");
    }
}

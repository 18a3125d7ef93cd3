//! Days and months as the people of this node count them.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use protocol::ids::Millis;

/// The node's calendar.
#[derive(Debug, Clone)]
pub struct Calendar {
    zone: TimeZone,
}

impl Calendar {
    /// Of a time zone.
    #[must_use]
    pub fn new(zone: TimeZone) -> Self {
        Self { zone }
    }

    /// The day of an instant, `yyyymmdd`.
    #[must_use]
    pub fn day(&self, at: Millis) -> u32 {
        let date = self.date(at);
        number(date) * 100 + u32::from(date.day().unsigned_abs())
    }

    /// The month of an instant, `yyyymm`.
    #[must_use]
    pub fn period(&self, at: Millis) -> u32 {
        number(self.date(at))
    }

    /// The first instant of a month; of a number that is no month, the beginning of time.
    #[must_use]
    pub fn start(&self, period: u32) -> Millis {
        let year = i16::try_from(period / 100).unwrap_or_default();
        let month = i8::try_from(period % 100).unwrap_or_default();
        let start = Date::new(year, month, 1).and_then(|date| date.to_zoned_datetime(self.zone.clone()));
        start.map_or(Millis(0), |start| {
            Millis(u64::try_from(start.timestamp().as_millisecond()).unwrap_or_default())
        })
    }

    /// The month after.
    #[must_use]
    pub fn next(&self, period: u32) -> u32 {
        if period % 100 >= 12 { (period / 100 + 1) * 100 + 1 } else { period + 1 }
    }

    /// The month before.
    #[must_use]
    pub fn previous(&self, period: u32) -> u32 {
        if period % 100 <= 1 { (period / 100).saturating_sub(1) * 100 + 12 } else { period - 1 }
    }

    fn date(&self, at: Millis) -> Date {
        let at = i64::try_from(at.0).unwrap_or(i64::MAX);
        let at = Timestamp::from_millisecond(at).unwrap_or(Timestamp::MAX);
        at.to_zoned_datetime(self.zone.clone()).date()
    }
}

fn number(date: Date) -> u32 {
    u32::from(date.year().unsigned_abs()) * 100 + u32::from(date.month().unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_begin_where_the_node_is() {
        let chile = Calendar::new(TimeZone::get("America/Santiago").unwrap());
        // 2026-11-01T02:30Z is still October in Santiago (UTC-3).
        let at = Millis(1_793_500_200_000);
        assert_eq!(chile.day(at), 20_261_031);
        assert_eq!(chile.period(at), 202_610);
        assert_eq!(chile.period(chile.start(202_611)), 202_611);
        assert_eq!(chile.period(Millis(chile.start(202_611).0 - 1)), 202_610);
        assert_eq!((chile.next(202_612), chile.previous(202_601)), (202_701, 202_512));
    }
}

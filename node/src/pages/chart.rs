//! The geometry of small charts.

use crate::views::DayCount;

/// One bar of a chart that is 620 wide and 100 high; ready for SVG attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bar {
    /// Left edge.
    pub x: String,
    /// Upper edge.
    pub y: String,
    /// Width.
    pub width: String,
    /// Height.
    pub height: String,
    /// Where the middle is.
    pub middle: String,
    /// The day in full: `23-11-2026`.
    pub label: String,
    /// The day of the month.
    pub tick: String,
}

const WIDTH: f64 = 620.0;
const HEIGHT: f64 = 100.0;

fn whole(counted: &[DayCount]) -> Vec<DayCount> {
    let Some(last) = counted.iter().map(|day| day.day).max() else { return Vec::new() };
    let count = |day| counted.iter().find(|counted| counted.day == day).map_or(0, |counted| counted.count);
    (last / 100 * 100 + 1..=last).map(|day| DayCount { day, count: count(day) }).collect()
}

/// The days of a month as bars, from its first day to the last one that has a count; days between
/// without one are there too, so that the axis is time.
pub(super) fn bars(counted: &[DayCount]) -> Vec<(DayCount, Bar)> {
    let days = &whole(counted)[..];
    let max = number(days.iter().map(|d| d.count).max().unwrap_or(0).max(1));
    let step = WIDTH / number(days.len().max(1) as u64);
    let bar = |(index, day): (usize, &DayCount)| {
        let height = number(day.count) / max * HEIGHT;
        let left = number(index as u64) * step;
        let bar = Bar {
            x: format!("{:.1}", left + step * 0.1),
            y: format!("{:.1}", HEIGHT - height),
            width: format!("{:.1}", step * 0.8),
            height: format!("{height:.1}"),
            middle: format!("{:.1}", left + step * 0.5),
            label: format!("{:02}-{:02}-{}", day.day % 100, day.day / 100 % 100, day.day / 10_000),
            tick: (day.day % 100).to_string(),
        };
        (day.clone(), bar)
    };
    days.iter().enumerate().map(bar).collect()
}

fn number(value: u64) -> f64 {
    u32::try_from(value).map_or(f64::from(u32::MAX), f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fullest_day_is_as_high_as_the_chart() {
        let days = [DayCount { day: 20_261_101, count: 2 }, DayCount { day: 20_261_102, count: 8 }];
        let bars = bars(&days);
        assert_eq!(bars[1].1.height, "100.0");
        assert_eq!(bars[0].1.y, "75.0");
        assert_eq!(bars[0].1.label, "01-11-2026");
    }
}

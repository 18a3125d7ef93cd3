//! What many measurements say together: spread, percentiles, and how cost grows with size.

/// Median, minimum and maximum of repeated runs of one work.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// The middle one.
    pub median: f64,
    /// The smallest.
    pub minimum: f64,
    /// The largest.
    pub maximum: f64,
    /// How many runs there were.
    pub runs: usize,
}

impl Spread {
    /// Of these runs; not a number where there were none.
    #[must_use]
    pub fn of(values: &[f64]) -> Spread {
        let sorted = sorted(values);
        let at = |place: usize| sorted.get(place).copied().unwrap_or(f64::NAN);
        Spread {
            median: percentile(values, 50.0),
            minimum: at(0),
            maximum: at(sorted.len().saturating_sub(1)),
            runs: sorted.len(),
        }
    }
}

/// The value below which this percentage of the values lies (nearest rank).
#[must_use]
pub fn percentile(values: &[f64], percent: f64) -> f64 {
    let sorted = sorted(values);
    let rank = (percent / 100.0 * count(sorted.len())).ceil().max(1.0);
    sorted
        .iter()
        .copied()
        .enumerate()
        .find(|(place, _)| count(place + 1) >= rank)
        .map_or(f64::NAN, |(_, v)| v)
}

/// The exponent of `cost = constant · size^exponent` that fits best, by least squares over logarithms:
/// 0 does not grow, 1 is linear, 2 is quadratic. None without two different sizes.
#[must_use]
pub fn exponent(points: &[(f64, f64)]) -> Option<f64> {
    let points: Vec<(f64, f64)> = points
        .iter()
        .filter(|(size, cost)| *size > 0.0 && *cost > 0.0)
        .map(|(size, cost)| (size.ln(), cost.ln()))
        .collect();
    let n = count(points.len());
    let mean_x = points.iter().map(|(x, _)| x).sum::<f64>() / n;
    let mean_y = points.iter().map(|(_, y)| y).sum::<f64>() / n;
    let across: f64 = points.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    let along: f64 = points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    (along > 1e-9).then(|| across / along)
}

/// A count as a number to calculate with.
#[must_use]
pub fn count(n: usize) -> f64 {
    u32::try_from(n).map_or(f64::from(u32::MAX), f64::from)
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|value| !value.is_nan()).collect();
    sorted.sort_by(f64::total_cmp);
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_is_of_all_runs() {
        let spread = Spread::of(&[5.0, 1.0, 3.0]);
        assert_eq!(spread, Spread { median: 3.0, minimum: 1.0, maximum: 5.0, runs: 3 });
    }

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let values: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(percentile(&values, 50.0), 50.0);
        assert_eq!(percentile(&values, 99.0), 99.0);
        assert_eq!(percentile(&[7.0], 99.0), 7.0);
        assert!(percentile(&[], 50.0).is_nan());
    }

    #[test]
    fn the_exponent_of_a_square_is_two_and_of_a_constant_zero() {
        let sizes = [100.0, 200.0, 400.0, 800.0];
        let fit = |cost: fn(f64) -> f64| exponent(&sizes.map(|size| (size, cost(size)))).unwrap();
        assert!((fit(|size| 3.0 * size * size) - 2.0).abs() < 1e-9);
        assert!((fit(|size| 7.0 * size) - 1.0).abs() < 1e-9);
        assert!(fit(|_| 4.0).abs() < 1e-9);
        assert_eq!(exponent(&[(100.0, 1.0), (100.0, 2.0)]), None);
    }
}

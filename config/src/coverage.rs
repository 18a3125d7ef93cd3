//! Coverage of registered addresses against the target, as the South Precinct's table counts it. Whole
//! numbers only, so every node gets the same digits.

use crate::values::Percent;

/// One row of the table, or its totals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Coverage {
    /// Registered addresses (households).
    pub addresses: u64,
    /// Inhabitants.
    pub population: u64,
    /// Addresses to be reached.
    pub target: u64,
    /// Addresses still missing; 0 once the target is reached.
    pub missing: u64,
    /// Addresses in tenths of a percent of the target, halves rounded up: 716 is 71.6 %.
    pub compliance_tenths: u64,
    /// Reports received in the period.
    pub reports: u64,
}

impl Coverage {
    /// One precinct's row.
    #[must_use]
    pub fn of(addresses: u64, population: u64, share: Percent, reports: u64) -> Coverage {
        Coverage::against(target(population, share), addresses, population, reports)
    }

    /// The last row: figures are summed, the target is the sum of the rows' targets (each rounded up by
    /// itself), and what follows from them is counted again.
    #[must_use]
    pub fn totals<'a>(rows: impl IntoIterator<Item = &'a Coverage>) -> Coverage {
        let sum = rows.into_iter().fold(Coverage::default(), |sum, row| Coverage {
            addresses: sum.addresses.saturating_add(row.addresses),
            population: sum.population.saturating_add(row.population),
            target: sum.target.saturating_add(row.target),
            reports: sum.reports.saturating_add(row.reports),
            ..sum
        });
        Coverage::against(sum.target, sum.addresses, sum.population, sum.reports)
    }

    /// Compliance with one decimal and a point, such as `71.6`.
    #[must_use]
    pub fn compliance_percent(&self) -> String {
        format!("{}.{}", self.compliance_tenths / 10, self.compliance_tenths % 10)
    }

    fn against(target: u64, addresses: u64, population: u64, reports: u64) -> Coverage {
        let missing = missing(target, addresses);
        let compliance_tenths = compliance_tenths(target, addresses);
        Coverage { addresses, population, target, missing, compliance_tenths, reports }
    }
}

/// `share` of the population, rounded up.
#[must_use]
pub fn target(population: u64, share: Percent) -> u64 {
    let hundredfold = u128::from(population) * u128::from(share.value());
    u64::try_from(hundredfold.div_ceil(100)).expect("at most 100 percent of a u64")
}

/// What is left to the target.
#[must_use]
pub fn missing(target: u64, addresses: u64) -> u64 {
    target.saturating_sub(addresses)
}

/// Addresses in tenths of a percent of the target, halves up. A target of 0 is reached.
#[must_use]
pub fn compliance_tenths(target: u64, addresses: u64) -> u64 {
    if target == 0 {
        return 1_000;
    }
    let (target, addresses) = (u128::from(target), u128::from(addresses));
    u64::try_from((addresses * 2_000 + target) / (target * 2)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn target_is_rounded_up_and_never_beyond_the_population() {
        let of = |population, share| target(population, Percent::new(share).unwrap());
        assert_eq!((of(107_954, 10), of(107_950, 10), of(1, 10), of(0, 10)), (10_796, 10_795, 1, 0));
        assert_eq!(of(u64::MAX, 100), u64::MAX);
    }

    #[test]
    fn compliance_rounds_halves_up() {
        assert_eq!(compliance_tenths(2_000, 1), 1, "0.05 % shows as 0.1 %");
        assert_eq!(compliance_tenths(2_001, 1), 0);
        assert_eq!(compliance_tenths(10, 12), 1_200, "more than the target is more than 100 %");
        assert_eq!(compliance_tenths(0, 0), 1_000);
        let row = Coverage::of(5, 1_000, Percent::default(), 0);
        assert_eq!((row.compliance_percent().as_str(), row.missing), ("5.0", 95));
        assert_eq!(Coverage::of(200, 1_000, Percent::default(), 0).missing, 0);
    }

    #[test]
    fn totals_sum_the_targets_of_the_rows() {
        let row = Coverage::of(0, 11, Percent::default(), 3);
        let totals = Coverage::totals(&[row, row, row]);
        assert_eq!((totals.population, totals.target, totals.reports), (33, 6, 9));
    }
}

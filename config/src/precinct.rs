//! The first month of the South Precinct of Santiago: the published figures of its seven communes,
//! which demonstrations fill and tests compare with.

use protocol::ids::Code;

const TABLE: &str = include_str!("../data/south-precinct-first-month.csv");

/// One commune's month, as published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstMonth {
    /// The commune.
    pub code: Code,
    /// Its name as the table writes it.
    pub name: &'static str,
    /// Addresses registered.
    pub addresses: u64,
    /// Inhabitants.
    pub population: u64,
    /// The published target.
    pub target: u64,
    /// The published number of addresses still missing.
    pub missing: u64,
    /// The published share of the target, in tenths of a percent.
    pub compliance_tenths: u64,
    /// Reports in the month.
    pub reports: u64,
}

/// The published table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SouthPrecinct {
    /// The seven communes in the table's order.
    pub rows: Vec<FirstMonth>,
    /// The last line; its code is [`Code::OUTSIDE`].
    pub totals: FirstMonth,
}

impl SouthPrecinct {
    /// The table as it was published.
    #[must_use]
    pub fn first_month() -> SouthPrecinct {
        let mut rows: Vec<FirstMonth> = TABLE
            .lines()
            .skip(1)
            .map(|line| parse(line).expect("the embedded file; tests compare every cell"))
            .collect();
        let totals = rows.pop().expect("the embedded file; tests compare every cell");
        SouthPrecinct { rows, totals }
    }

    /// One commune's row.
    #[must_use]
    pub fn row(&self, code: Code) -> Option<&FirstMonth> {
        self.rows.iter().find(|row| row.code == code)
    }
}

fn parse(line: &'static str) -> Option<FirstMonth> {
    let cells: Vec<&'static str> = line.split(',').collect();
    let [name, cut, addresses, population, target, missing, compliance, reports] = cells.try_into().ok()?;
    let code = if cut.is_empty() { Code::OUTSIDE } else { Code::chile(cut.parse().ok()?) };
    let (whole, tenth) = compliance.split_once('.')?;
    Some(FirstMonth {
        code,
        name,
        addresses: addresses.parse().ok()?,
        population: population.parse().ok()?,
        target: target.parse().ok()?,
        missing: missing.parse().ok()?,
        compliance_tenths: whole.parse::<u64>().ok()? * 10 + tenth.parse::<u64>().ok()?,
        reports: reports.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coverage::Coverage;
    use crate::values::Percent;

    fn line(name: &str, code: &str, row: Coverage) -> String {
        let Coverage { addresses, population, target, missing, reports, .. } = row;
        let compliance = row.compliance_percent();
        format!("{name},{code},{addresses},{population},{target},{missing},{compliance},{reports}\n")
    }

    #[test]
    fn counting_gives_the_published_table_back_to_the_digit() {
        let table = SouthPrecinct::first_month();
        let counted: Vec<Coverage> = table
            .rows
            .iter()
            .map(|row| Coverage::of(row.addresses, row.population, Percent::default(), row.reports))
            .collect();
        let mut written = String::from(
            "precinct,cut,registered_addresses,population,target_population,missing_to_goal,goal_compliance_percent,reports\n",
        );
        for (row, counted) in table.rows.iter().zip(&counted) {
            written += &line(row.name, &row.code.number.to_string(), *counted);
        }
        written += &line("Totals", "", Coverage::totals(&counted));
        assert_eq!(written.trim_end(), TABLE.trim_end());
    }

    #[test]
    fn published_figures_are_read_into_their_columns() {
        let table = SouthPrecinct::first_month();
        assert_eq!(table.rows.len(), 7);
        let el_bosque = table.row(Code::chile(13_105)).unwrap();
        assert_eq!(
            (el_bosque.name, el_bosque.addresses, el_bosque.population),
            ("El Bosque", 1_743, 162_505)
        );
        assert_eq!((el_bosque.target, el_bosque.missing), (16_251, 14_508));
        assert_eq!((el_bosque.compliance_tenths, el_bosque.reports), (107, 401));
        assert_eq!((table.totals.target, table.totals.reports), (83_191, 3_568));
        assert_eq!(table.row(Code::chile(13_101)), None);
    }
}

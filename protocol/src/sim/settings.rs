//! How rough a run is. Drawn from the seed, so that a range of seeds sees every kind of trouble and
//! every mixture of them.

use super::dice::Dice;
use super::league::Size;

/// Ten years, in ms.
const TEN_YEARS_MS: u64 = 10 * 365 * 24 * 60 * 60 * 1_000;

/// Never, within a run.
pub(super) const NEVER_MS: u64 = 1 << 40;

/// Who can reach whom, when nothing is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Everybody reaches everybody.
    Mesh,
    /// Everybody reaches the national node, and each other through it.
    Star,
    /// Towns reach their precinct and the national node.
    Tree,
}

/// How rough a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Who is in it at the beginning.
    pub size: Size,
    /// Who can reach whom.
    pub shape: Shape,
    /// Documents that one node opens or holds before it goes on with those it has.
    pub documents: usize,
    /// How long people act and things break, in ms of virtual time.
    pub busy_ms: u64,
    /// How long the rest may take to come into step afterwards, in ms of virtual time.
    pub settle_ms: u64,
    /// Mean time between two operations anywhere, in ms.
    pub action_every_ms: u64,
    /// Messages lost although their connection lives, of 1,000.
    pub loss_per_mille: u64,
    /// Messages delivered twice, of 1,000.
    pub duplicates_per_mille: u64,
    /// Messages that take seconds instead of milliseconds, of 1,000.
    pub late_per_mille: u64,
    /// Mean time between two changes of the weather (a link, a process, a disk, a clock), in ms.
    pub weather_every_ms: u64,
    /// Of those, crashes, of 1,000.
    pub crashes_per_mille: u64,
    /// Store requests that fail, of 1,000.
    pub store_failures_per_mille: u64,
    /// Nodes whose disk takes up to 1.5 s for a commit, of 1,000.
    pub slow_disks_per_mille: u64,
    /// How far clocks are off at most, in ms; 0 for clocks that are right.
    pub clocks_off_ms: u64,
    /// Mean time between two roster versions, in ms.
    pub roster_every_ms: u64,
    /// Members that do not follow the rules, although their keys are good.
    pub hostile: usize,
    /// True if backups are put back.
    pub restores: bool,
    /// How long after it has taken in a retire a node drops the contents at most, in ms.
    pub retention_ms: u64,
    /// True if the roster activates later rules while some nodes run a release that does not know them.
    pub upgrades: bool,
    /// Events after which a node is handed a tick that it did not ask for, of 1,000.
    pub ticks_per_mille: u64,
}

impl Settings {
    /// Settings that follow from a seed.
    #[must_use]
    pub fn of_seed(seed: u64) -> Settings {
        let mut dice = Dice::new(seed ^ 0xfeed);
        let size = any_size(&mut dice);
        let rough = [0, 0, 20, 100];
        let mut pick = |all: [u64; 4]| *dice.pick(&all).unwrap_or(&0);
        let shape = [Shape::Mesh, Shape::Mesh, Shape::Star, Shape::Tree];
        let shape = shape.get(usize::try_from(pick([0, 1, 2, 3])).unwrap_or(0)).copied();
        let mut settings = Settings {
            size,
            shape: shape.unwrap_or(Shape::Mesh),
            documents: 8,
            busy_ms: pick([20_000, 30_000, 45_000, 60_000]),
            settle_ms: 30 * 60 * 1_000,
            action_every_ms: pick([150, 300, 500, 1_000]),
            loss_per_mille: pick(rough),
            duplicates_per_mille: pick(rough),
            late_per_mille: pick([0, 20, 50, 200]),
            weather_every_ms: pick([1_000, 2_000, 5_000, NEVER_MS]),
            crashes_per_mille: pick([0, 100, 200, 400]),
            store_failures_per_mille: pick([0, 0, 0, 50]),
            slow_disks_per_mille: pick([0, 0, 200, 500]),
            clocks_off_ms: pick([0, 0, 120_000, TEN_YEARS_MS]),
            roster_every_ms: pick([5_000, 10_000, 25_000, NEVER_MS]),
            hostile: 0,
            restores: pick([0, 1, 1, 1]) == 1,
            retention_ms: NEVER_MS,
            upgrades: false,
            ticks_per_mille: 0,
        };
        // A run of sixteen costs as much as ten of four: it is shorter.
        if size.nodes() > 8 {
            settings.busy_ms /= 2;
            settings.documents = 5;
        }
        let most = (size.nodes() - 1) / 2;
        settings.hostile = usize::try_from(pick([0, 0, 1, 5])).unwrap_or(0).min(most);
        settings.retention_ms = pick([NEVER_MS, NEVER_MS, 2_000, 20_000]);
        settings.upgrades = pick([0, 0, 0, 1]) == 1;
        settings.ticks_per_mille = pick([0, 20, 200, 500]);
        settings
    }
}

fn any_size(dice: &mut Dice) -> Size {
    let towns = *dice.pick(&[2, 2, 3, 3, 4, 4, 5, 6, 11]).unwrap_or(&3);
    let (services, precincts) = if towns == 11 { (2, 2) } else { (dice.below(2), dice.below(3)) };
    Size { towns, services, precincts }
}

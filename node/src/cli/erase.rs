//! `cuadra erase`: a resident who asks the town hall, and not the page, to be erased.

use std::path::Path;

use clap::Args;

use super::answer::Tell as _;
use super::{Exit, Trouble, block_on, open, read_config};
use crate::store::PersonId;

#[derive(Debug, Args)]
pub(super) struct Erase {
    /// The phone number that they gave
    #[arg(long, required_unless_present = "number")]
    phone: Option<String>,
    /// Their number on this node, if several gave that phone
    #[arg(long)]
    number: Option<i64>,
    /// Why; kept in the audit
    #[arg(long)]
    reason: String,
}

impl Erase {
    pub(super) fn run(&self, folder: &Path) -> Result<(), Trouble> {
        let opened = open(read_config(folder)?)?;
        let desk = &opened.desk;
        let failed = "Nobody was erased.";
        let erased = block_on(async {
            let found = match (self.number, &self.phone) {
                (Some(number), _) => vec![PersonId(number)],
                (None, Some(phone)) => desk.residents_by_phone(phone).await.tell(Exit::Store, failed)?,
                (None, None) => Vec::new(),
            };
            let [person] = found.as_slice() else {
                let numbers: Vec<String> = found.iter().map(|person| person.0.to_string()).collect();
                let what = format!("{} residents gave that phone; nobody was erased.", found.len());
                let trouble = Trouble::new(Exit::Failed, what);
                return Err(match numbers.as_slice() {
                    [] => trouble,
                    _ => trouble.hint(format!("Say --number with one of: {}", numbers.join(", "))),
                });
            };
            let why = self.reason.clone();
            desk.erase_person("local".into(), *person, why).await.tell(Exit::Failed, failed)?;
            Ok(*person)
        });
        desk.store().stop();
        println!("Resident {} is erased: unreadable here, and in every backup that is older.", erased?.0);
        println!("What they told in incidents, open ones too, cannot be read here any more; the other");
        println!("nodes erase it within a minute of this node being up and connected to them.");
        println!("Now make a new copy of the keys and destroy older ones: cuadra keys copy FILE");
        Ok(())
    }
}

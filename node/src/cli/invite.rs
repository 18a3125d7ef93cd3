//! `cuadra invite`: a link and a QR code that make a resident or sign an operator in.

use std::path::Path;

use clap::{Args, Subcommand};
use protocol::ids::Millis;
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;

use super::answer::Tell as _;
use super::{Exit, Trouble, block_on, open, read_config};
use crate::desk::Desk;
use crate::open::{address_file, base_url};

const HOUR_MS: u64 = 60 * 60 * 1000;

#[derive(Debug, Subcommand)]
pub(super) enum Invite {
    /// A link with which neighbours join
    Resident(Resident),
    /// A link that signs somebody at the desk in, once
    Operator(Operator),
}

#[derive(Debug, Args)]
pub(super) struct Resident {
    /// How many people may join with it
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    uses: u32,
    /// One link for a whole community, for a poster: a thousand people may join with it
    #[arg(long, conflicts_with = "uses")]
    community: bool,
}

#[derive(Debug, Args)]
pub(super) struct Operator {
    /// Their name, as colleagues see it
    #[arg(long, default_value = "Operador")]
    name: String,
    /// Hours in which the link can be used
    #[arg(long, default_value_t = 24)]
    hours: u64,
}

impl Invite {
    pub(super) fn run(&self, folder: &Path) -> Result<(), Trouble> {
        let opened = open(read_config(folder)?)?;
        let desk = &opened.desk;
        let failed = "The invitation could not be made.";
        let link = block_on(async {
            match self {
                Self::Resident(resident) => {
                    let uses = if resident.community { 1_000 } else { resident.uses };
                    let days = u64::from(desk.config().limits.invitation_days.get());
                    let code = desk.create_invitation(uses, Millis(days * 24 * HOUR_MS)).await;
                    code.map(|code| format!("{}/join?code={code}", base(desk)))
                }
                Self::Operator(operator) => {
                    let person = desk.add_operator(&operator.name).await?;
                    let code = desk.sign_in_code(person, Millis(operator.hours.max(1) * HOUR_MS)).await;
                    code.map(|code| format!("{}/enter#{code}", base(desk)))
                }
            }
        })
        .tell(Exit::Failed, failed)?;
        desk.store().stop();
        if let Ok(code) = QrCode::new(&link) {
            println!("{}", code.render::<Dense1x2>().build());
        }
        println!("{}", self.words());
        println!("{link}");
        Ok(())
    }

    fn words(&self) -> &'static str {
        match self {
            Self::Resident(resident) if resident.community => {
                "Up to a thousand neighbours join with this link:"
            }
            Self::Resident(_) => "A neighbour joins with this link:",
            Self::Operator(_) => "This link signs in once; give it to nobody else:",
        }
    }
}

/// Where people find this node: as it says itself while it runs, else as it is configured.
fn base(desk: &Desk) -> String {
    let said = std::fs::read(address_file(desk.store().folder())).ok();
    let said: Option<serde_json::Value> = said.and_then(|json| serde_json::from_slice(&json).ok());
    let running = said.as_ref().and_then(|said| said.get("http")).and_then(|http| http.as_str());
    running.map_or_else(|| base_url(desk.config(), 0), str::to_owned)
}

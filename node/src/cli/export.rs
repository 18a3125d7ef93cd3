//! `cuadra export`: one incident as this node holds it, for people and for other programs.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use protocol::document::Document;
use protocol::ids::DocId;
use protocol::roster::RosterChain;
use serde_json::json;

use super::answer::Tell as _;
use super::{Exit, Trouble, open, read_config};
use crate::home::write_private;
use crate::store::WriteError;

#[derive(Debug, Subcommand)]
pub(super) enum Export {
    /// One incident: its signed envelopes as JSON, or its Automerge document
    Incident(Incident),
}

#[derive(Debug, Args)]
pub(super) struct Incident {
    /// The incident's id: 64 hexadecimal digits, as its page shows it
    id: DocId,
    /// The Automerge document, which any Automerge tool opens
    #[arg(long)]
    automerge: bool,
    /// File to write; standard output if it is not given
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Export {
    pub(super) fn run(&self, folder: &Path) -> Result<(), Trouble> {
        let Self::Incident(incident) = self;
        let opened = open(read_config(folder)?)?;
        let store = opened.desk.store();
        let id = incident.id;
        let document = store.read_here::<_, WriteError, _>(|r| r.document(id));
        let document = document.tell(Exit::Store, "The incident could not be read.")?;
        let Some(document) = document else {
            let what = format!("This node holds no incident {id}.");
            return Err(Trouble::new(Exit::Failed, what));
        };
        let bytes = if incident.automerge {
            let derived = protocol::derive::automerge(&document);
            derived.tell(Exit::Failed, "The Automerge document could not be made.")?.save()
        } else {
            as_json(&document, &store.rosters())
        };
        store.stop();
        let failed = "The export could not be written.";
        match &incident.out {
            Some(path) => write_private(path, &bytes).tell(Exit::Store, failed)?,
            None => std::io::stdout().write_all(&bytes).tell(Exit::Failed, failed)?,
        }
        Ok(())
    }
}

/// The envelopes in an order in which each comes after what it had seen. `signed` is the envelope's
/// bytes exactly as its author signed them; everything beside it is there to be read.
fn as_json(document: &Document, rosters: &RosterChain) -> Vec<u8> {
    let name = |id| rosters.head().member(id).map(|member| member.name.as_str());
    let envelopes: Vec<_> = document
        .envelopes()
        .map(|envelope| {
            let header = envelope.header();
            json!({
                "id": envelope.id(),
                "author": header.author,
                "author_name": name(&header.author),
                "operation": envelope.operation().name(),
                "seq": header.seq.0,
                "parents": header.parents,
                "roster": header.roster,
                "written_ms": header.written_at,
                "signed": hex::encode(envelope.bytes()),
            })
        })
        .collect();
    let whole = json!({
        "federation": rosters.federation(),
        "incident": document.id(),
        "heads": document.heads(),
        "envelopes": envelopes,
    });
    let mut bytes = serde_json::to_vec_pretty(&whole).expect("ids, numbers and texts are JSON");
    bytes.push(b'\n');
    bytes
}

//! Instructions of the parts that every envelope goes through, counted by callgrind: the same on a busy
//! machine as on a quiet one, so that creeping shows at once. A recorded count is good for one compiler.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;
use std::process::Command;

use protocol::admission::{Ground, Verdict, admit};
use protocol::document::Document;
use protocol::envelope::{AdmittedEnvelope, RULES_VERSION, SignedEnvelope, VerifiedEnvelope};
use protocol::fixture::{Federation, Scribe, somebody};
use protocol::fold::Fold;
use protocol::frame::Frames;
use protocol::ids::Millis;
use protocol::message::{Item, Items, Message};
use protocol::operation::{Operation, Outcome, Response, Step};

use super::report::{Against, Report, Target};
use super::statistics::count;

/// What was counted when the parts were last as they should be.
const RECORDED: &str = include_str!("../../bench/instructions.json");
/// Where that is kept.
const RECORD: &str = "tests/bench/instructions.json";
/// More than this times what was recorded is a finding.
const CREEP_MAX: f64 = 1.05;
/// Rounds of a part in the shorter run; what both runs do alike is taken off.
const ROUNDS: u32 = 8;
/// Further rounds in the longer run.
const FURTHER: u32 = 32;

/// A part that is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// Signature and operation hash of one envelope
    Verify,
    /// The rules, for the last of a document's six envelopes
    Admit,
    /// The Automerge document of six envelopes
    Derive,
    /// What a document of six envelopes says
    Fold,
    /// A frame of six envelopes, cut out of a stream and decoded
    Frames,
}

impl Part {
    const ALL: [Part; 5] = [Part::Verify, Part::Admit, Part::Derive, Part::Fold, Part::Frames];

    fn name(self) -> &'static str {
        match self {
            Part::Verify => "verify",
            Part::Admit => "admit",
            Part::Derive => "derive",
            Part::Fold => "fold",
            Part::Frames => "frames",
        }
    }
}

/// Counts every part beside what was recorded. True if none has crept up.
pub fn run(report: &mut Report, rounds: impl Fn(Part, u32) -> Command) -> anyhow::Result<bool> {
    let recorded: BTreeMap<String, f64> = serde_json::from_str(RECORDED)?;
    let mut good = true;
    for (part, counted) in counted(rounds)? {
        let recorded = recorded.get(part.name()).copied();
        let target = Some(Target::AtMost(CREEP_MAX));
        let held = recorded.map(|value| Against { what: "what was recorded".into(), value, target });
        good &= recorded.is_none_or(|recorded| counted <= recorded * CREEP_MAX);
        report.add("counts", part.name(), "instr", &[counted], held);
        if recorded.is_none() {
            report.note(format!("{} has no record: `cargo dev bench --record` makes one", part.name()));
        }
    }
    Ok(good)
}

/// Counts every part and writes what was counted beside the sources.
pub fn record(root: &Path, rounds: impl Fn(Part, u32) -> Command) -> anyhow::Result<()> {
    let counts: BTreeMap<_, _> =
        counted(rounds)?.into_iter().map(|(part, counted)| (part.name(), counted.round())).collect();
    std::fs::write(root.join(RECORD), format!("{:#}\n", serde_json::json!(counts)))?;
    println!("recorded in {RECORD}: {counts:?}");
    Ok(())
}

fn counted(rounds: impl Fn(Part, u32) -> Command) -> anyhow::Result<Vec<(Part, f64)>> {
    let each = |part| {
        let (short, long) =
            (instructions(rounds(part, ROUNDS))?, instructions(rounds(part, ROUNDS + FURTHER))?);
        Ok((part, (long - short) / f64::from(FURTHER)))
    };
    Part::ALL.into_iter().map(each).collect()
}

/// Instructions of a whole program.
fn instructions(mut command: Command) -> anyhow::Result<f64> {
    let program = command.get_program().to_owned();
    let arguments: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
    command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(program).args(arguments);
    let output = command.output().map_err(|error| anyhow::anyhow!("valgrind does not start: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "callgrind failed: {said}");
    let collected = said.lines().find_map(|line| line.split_once("Collected : ")).map(|(_, n)| n.trim());
    let collected = collected.and_then(|n| n.parse::<u64>().ok());
    let collected = collected.ok_or_else(|| anyhow::anyhow!("callgrind counted nothing: {said}"))?;
    Ok(count(usize::try_from(collected / 1_000)?) * 1_000.0)
}

/// The program that callgrind looks at: does a part so many times. Six envelopes of one incident.
pub fn drive(part: Part, rounds: u32) -> anyhow::Result<()> {
    let federation = Federation::new(3);
    let mut scribe = Scribe::new(&federation);
    let mut envelopes = vec![scribe.open(0, &[1, 2])];
    let (by, crew) = (somebody(1), somebody(2));
    for operation in [
        Operation::Step { step: Step::Received, by },
        Operation::Respond { response: Response::OnTheWay, crew },
        Operation::Step { step: Step::OnSite, by },
        Operation::Step { step: Step::Resolved, by },
        Operation::Close { outcome: Outcome::NothingFound, by },
    ] {
        envelopes.push(scribe.write(0, operation)?);
    }
    let document = scribe.document.clone();
    let mut before = Document::default();
    for envelope in envelopes.iter().take(envelopes.len() - 1) {
        before.insert(envelope.clone())?;
    }
    let last = envelopes.last().map(|last| last.bytes().to_vec()).unwrap_or_default();
    let last = SignedEnvelope::decode(&last)?;
    let verified: VerifiedEnvelope = last.clone().verify(&federation.rosters)?;
    let frame = protocol::frame::encode(&body(&envelopes)?);
    for _ in 0..rounds {
        match part {
            Part::Verify => _ = black_box(last.clone().verify(&federation.rosters)?),
            Part::Admit => {
                let rejected = |_: &protocol::ids::EnvelopeId| false;
                let ground = Ground {
                    rosters: &federation.rosters,
                    document: Some(&before),
                    rules: RULES_VERSION,
                    rejected: &rejected,
                };
                let verdict = black_box(admit(verified.clone(), &ground));
                anyhow::ensure!(matches!(verdict, Verdict::Admitted(_)), "it is not admitted");
            }
            Part::Derive => _ = black_box(protocol::derive::automerge(&document)?),
            Part::Fold => {
                let fold = black_box(Fold::of(&document, &federation.rosters));
                anyhow::ensure!(fold.is_some_and(|fold| fold.closed.is_some()), "it is not closed");
            }
            Part::Frames => {
                let mut frames = Frames::new();
                frames.feed(&frame);
                let bytes = frames.poll()?.unwrap_or_default();
                black_box(Message::decode(&bytes)?);
            }
        }
    }
    Ok(())
}

fn body(envelopes: &[AdmittedEnvelope]) -> anyhow::Result<Message> {
    let doc = envelopes.first().map(|envelope| envelope.header().doc);
    let doc = doc.ok_or_else(|| anyhow::anyhow!("no envelopes"))?;
    let items = envelopes.iter().map(|envelope| {
        let envelope = SignedEnvelope::decode(envelope.bytes())?;
        Ok(Item { age: Millis(0), envelope, blobs: Vec::new() })
    });
    Ok(Message::Body(Items { doc, items: items.collect::<anyhow::Result<_>>()? }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_that_is_counted_does_its_work_and_every_record_is_of_a_part() {
        let mut recorded: BTreeMap<String, f64> = serde_json::from_str(RECORDED).unwrap();
        for part in Part::ALL {
            drive(part, 1).unwrap();
            assert!(recorded.remove(part.name()).is_none_or(|count| count > 1.0), "{}", part.name());
        }
        assert_eq!(recorded, BTreeMap::new(), "a record of nothing that is counted");
    }
}

//! Automerge alone: six changes of ten fields each, built and applied to an empty document at once.

use std::hint::black_box;
use std::num::NonZeroU64;
use std::time::Instant;

use automerge::legacy::{Key, ObjectId, Op, OpId, OpType};
use automerge::{ActorId, AutoCommit, Change, ExpandedChange, ObjType, ScalarValue};

/// Documents in one run.
const DOCUMENTS: u32 = 300;
/// Changes of a document.
const CHANGES: u8 = 6;
/// Fields that a change puts into its entry.
const FIELDS: u8 = 10;

/// Mean time of one document, µs.
pub fn run() -> anyhow::Result<f64> {
    let began = Instant::now();
    (0..DOCUMENTS).try_for_each(document)?;
    Ok(began.elapsed().as_secs_f64() * 1e6 / f64::from(DOCUMENTS))
}

/// One document.
pub fn document(number: u32) -> anyhow::Result<()> {
    let mut document = AutoCommit::new();
    document.apply_changes(changes(number))?;
    anyhow::ensure!(black_box(document.get_heads()).len() == 1, "the changes do not form one line");
    Ok(())
}

fn changes(document: u32) -> Vec<Change> {
    let actor = |change: u8| {
        let [a, b, c, d] = document.to_be_bytes();
        ActorId::from([a, b, c, d, change, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11].as_slice())
    };
    let entries = OpId::new(1, &actor(0));
    let mut list: Vec<Change> = Vec::new();
    for change in 0..CHANGES {
        let start = 1 + list.last().map_or(0, Change::max_op);
        let mut operations = Vec::new();
        if change == 0 {
            operations.push(operation(OpType::Make(ObjType::Map), ObjectId::Root, "entries".into()));
        }
        let entry = OpId::new(start + u64::from(change == 0), &actor(change));
        let map = OpType::Make(ObjType::Map);
        operations.push(operation(map, ObjectId::Id(entries.clone()), actor(change).to_hex_string()));
        for field in 0..FIELDS {
            let value = ScalarValue::Str(format!("a value of field {field}").into());
            operations.push(operation(
                OpType::Put(value),
                ObjectId::Id(entry.clone()),
                format!("field_{field}"),
            ));
        }
        let expanded = ExpandedChange {
            operations,
            actor_id: actor(change),
            hash: None,
            seq: 1,
            start_op: NonZeroU64::new(start).unwrap_or(NonZeroU64::MIN),
            time: 0,
            message: None,
            deps: list.last().map(Change::hash).into_iter().collect(),
            extra_bytes: Vec::new(),
            author: None,
        };
        list.push(expanded.into());
    }
    list
}

fn operation(action: OpType, obj: ObjectId, key: String) -> Op {
    Op { action, obj, key: Key::Map(key.into()), pred: std::iter::empty::<OpId>().collect(), insert: false }
}

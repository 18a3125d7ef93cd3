//! `docs/limits.md`: every limit of the code with its value, its reason and what happens when it is
//! reached, as the code's own comments say it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// The crates, in the order of dependency.
const CRATES: [&str; 4] = ["protocol", "config", "federation", "node"];
/// The document.
const DOCUMENT: &str = "docs/limits.md";

/// Writes the document, or with `check` fails if it is not as the code wants it.
pub fn write(root: &Path, check: bool) -> anyhow::Result<()> {
    let wanted = document(root)?;
    let path = root.join(DOCUMENT);
    if check {
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        anyhow::ensure!(written == wanted, "{DOCUMENT} is out of date: run `cargo dev limits`");
        return Ok(());
    }
    std::fs::write(path, wanted).with_context(|| format!("writing {DOCUMENT}"))
}

/// The document as the code wants it now.
fn document(root: &Path) -> anyhow::Result<String> {
    let mut text = String::from(
        "# Limits\n\nEvery queue, frame, list, retry and wait is bounded. `cargo dev limits` writes this page \
         from the\ncode, and a test fails while it is out of date.\n",
    );
    for name in CRATES {
        let mut files = Vec::new();
        find(&root.join(name).join("src"), &mut files)?;
        files.sort();
        for file in files {
            let source = std::fs::read_to_string(&file)?;
            let shown = file.strip_prefix(root).unwrap_or(&file).display();
            writeln!(text, "\n## `{shown}`\n\n| limit | value | what it holds |\n|---|---|---|")?;
            for limit in limits(&source) {
                writeln!(text, "| `{}` | `{}` | {} |", limit.name, limit.value, limit.what)?;
            }
        }
    }
    Ok(text)
}

/// Every `limits.rs` under a folder.
fn find(folder: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            find(&path, files)?;
        } else if path.file_name().is_some_and(|name| name == "limits.rs") {
            files.push(path);
        }
    }
    Ok(())
}

/// One limit.
struct Limit {
    name: String,
    value: String,
    what: String,
}

fn limits(source: &str) -> Vec<Limit> {
    let mut found = Vec::new();
    let mut comment = Vec::new();
    let mut lines = source.lines();
    while let Some(line) = lines.next() {
        if let Some(words) = line.strip_prefix("///") {
            comment.push(words.trim().to_owned());
            continue;
        }
        let what = comment.join(" ").replace('|', "\\|");
        comment.clear();
        let declared = ["pub const ", "pub(crate) const ", "pub(super) const "];
        let rest = declared.iter().find_map(|start| line.strip_prefix(start));
        let Some(rest) = rest else { continue };
        let mut whole = rest.to_owned();
        while !whole.contains(';') {
            let Some(next) = lines.next() else { break };
            whole.push_str(next.trim());
        }
        let (Some((name, _)), Some((_, value))) = (whole.split_once(':'), whole.split_once('=')) else {
            continue;
        };
        let value = value.trim().trim_end_matches(';').to_owned();
        found.push(Limit { name: name.to_owned(), value, what });
    }
    found
}

//! What the documents must say about the code: every limit with its value and reason.

use std::process::Command;

use super::tree::{root, source, sources};

#[test]
fn the_licence_is_the_whole_agpl() {
    let text = &source("LICENSE").text;
    assert!(text.starts_with("GNU AFFERO GENERAL PUBLIC LICENSE\nVersion 3, 19 November 2007"));
    assert!(text.contains("13. Remote Network Interaction; Use with the GNU General Public License."));
    assert!(text.split_whitespace().count() > 5_000, "the text was cut");
}

#[test]
fn every_limit_is_reached_by_some_code() {
    let mut violations = Vec::new();
    for file in sources().iter().filter(|source| source.path.ends_with("limits.rs")) {
        for name in limit_names(&file.text) {
            let used = sources().iter().any(|other| {
                other.path != file.path && other.path.ends_with(".rs") && other.text.contains(name)
            });
            if !used {
                violations.push(format!("{}: {name} is used nowhere else", file.path));
            }
        }
    }
    super::check(&violations);
}

#[test]
fn the_page_of_limits_says_what_the_code_says() {
    let output =
        Command::new(env!("CARGO_BIN_EXE_dev")).args(["limits", "--check"]).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn limit_names(text: &str) -> Vec<&str> {
    text.lines()
        .filter(|line| line.starts_with("pub"))
        .filter_map(|line| line.split_once("const ")?.1.split(':').next())
        .filter(|name| !name.is_empty())
        .collect()
}

#[test]
fn every_script_that_people_are_told_to_run_is_executable() {
    use std::os::unix::fs::PermissionsExt as _;
    for path in ["tests/run", ".ci/run"] {
        let mode = std::fs::metadata(root().join(path)).expect("it is there").permissions().mode();
        assert!(mode & 0o111 == 0o111, "{path} cannot be run");
    }
}

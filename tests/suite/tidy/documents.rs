//! What the documents must say about the code: every limit with its value and reason.

use std::process::Command;

use super::tree::{Source, root, source, sources};

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

#[test]
fn every_test_that_the_page_of_threats_names_exists() {
    let page = &source("docs/threats.md").text;
    let (mut named, mut violations) = (0, Vec::new());
    for name in page.split('`').skip(1).step_by(2) {
        let Some((file, test)) = name.split_once(".rs::") else { continue };
        named += 1;
        let file = format!("/{file}.rs");
        let is_there =
            |source: &Source| source.path.ends_with(&file) && source.text.contains(&format!("fn {test}("));
        if !sources().iter().any(is_there) {
            violations.push(format!("docs/threats.md: no test {name}"));
        }
    }
    assert!(named >= 35, "the page names {named} tests");
    super::check(&violations);
}

/// The text of every page below `docs/`.
fn pages() -> String {
    let pages = sources().iter().filter(|source| source.path.starts_with("docs/"));
    pages.map(|source| source.text.as_str()).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_message_and_every_operation_is_documented_under_its_number() {
    let pages = pages();
    let rows: Vec<&str> = pages.lines().filter(|line| line.starts_with('|')).collect();
    let documented = |name: &str, number: u16| {
        let number = number.to_string();
        let name = format!("`{}`", name.replace('_', " "));
        rows.iter().any(|row| {
            let row = row.replace('_', " ");
            let mut cells = row.split(['|', ',']).map(str::trim);
            cells.any(|cell| cell == number) && row.contains(&name)
        })
    };
    let mut violations = Vec::new();
    for message in protocol::message::TABLE {
        if !documented(message.name, u16::from(message.number)) {
            violations.push(format!("no row for the message `{}`, {}", message.name, message.number));
        }
    }
    for (name, number) in protocol::operation::op_type::TABLE {
        if !documented(name, number) {
            violations.push(format!("no row for the operation `{name}`, {number}"));
        }
    }
    super::check(&violations);
}

#[test]
fn every_link_between_pages_leads_somewhere() {
    let mut violations = Vec::new();
    for page in sources().iter().filter(|source| source.extension() == "md") {
        let folder = std::path::Path::new(&page.path).parent().expect("a file lies in a folder");
        let targets = page.text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for target in targets.filter(|target| !target.contains("://") && !target.starts_with('#')) {
            let path = target.split('#').next().unwrap_or(target);
            if !root().join(folder).join(path).exists() {
                violations.push(format!("{}: {target}", page.path));
            }
        }
    }
    super::check(&violations);
}

#[test]
fn every_command_of_the_readme_exists() {
    let cuadra = help(&[]);
    let dev = String::from_utf8(
        Command::new(env!("CARGO_BIN_EXE_dev")).arg("--help").output().expect("it runs").stdout,
    )
    .expect("help is text");
    let mut violations = Vec::new();
    let mut commands = 0;
    for line in fenced(&source("README.md").text) {
        let words: Vec<&str> = line.split('#').next().unwrap_or("").split_whitespace().collect();
        let known = match words.as_slice() {
            [] | ["git" | "cd" | "apt" | "sudo", ..] => continue,
            ["cargo", "dev", tool, ..] => has_command(&dev, tool),
            ["cargo", "run", rest @ ..] => {
                let mut after = rest.iter().skip_while(|word| **word != "--").skip(1);
                after.next().is_some_and(|command| has_command(&cuadra, command))
            }
            ["cuadra", command, ..] => has_command(&cuadra, command),
            [program, ..] => root().join(program).is_file(),
        };
        commands += 1;
        if !known {
            violations.push(format!("README.md: {line}"));
        }
    }
    super::check(&violations);
    assert!(commands >= 2, "the README says {commands} commands");
}

fn help(arguments: &[&str]) -> String {
    let output =
        Command::new(tests::cluster::process::cuadra_binary()).args(arguments).arg("--help").output();
    String::from_utf8(output.expect("it runs").stdout).expect("help is text")
}

/// True if the help lists this command.
fn has_command(help: &str, command: &str) -> bool {
    help.lines().any(|line| line.starts_with("  ") && line.split_whitespace().next() == Some(command))
}

/// The lines of shell in fenced blocks.
fn fenced(text: &str) -> Vec<&str> {
    let mut inside = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        if line.starts_with("```") {
            inside = !inside && (line == "```sh" || line == "```bash" || line == "```");
            continue;
        }
        if inside {
            lines.push(line);
        }
    }
    lines
}

#[test]
fn the_quoted_table_of_goals_has_the_rows_of_the_command_and_numbers_in_them() {
    let page = &source("docs/goals.md").text;
    let after = page.lines().skip_while(|line| !line.starts_with("| goal | what ran |")).skip(2);
    let rows: Vec<Vec<&str>> = after
        .take_while(|line| line.starts_with('|'))
        .map(|row| row.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    let goals: Vec<&str> = rows.iter().map(|row| row[0]).collect();
    let known: Vec<&str> = tests::goals::GOALS.iter().map(|(goal, _)| *goal).collect();
    assert_eq!(goals, known);
    for row in rows.iter().filter(|row| row[1] != "not run") {
        let numbers = row.iter().skip(2).filter(|cell| cell.parse::<u64>().is_ok()).count();
        assert_eq!(numbers, 3, "count, failures and seconds of {row:?}");
    }
    let fuzzed = protocol::targets::TARGETS.iter().filter(|(name, _)| page.contains(&format!("| {name} | ")));
    assert_eq!(fuzzed.count(), protocol::targets::TARGETS.len(), "a fuzzer is not spoken of");
}

//! The real program: built once, run as often as a scenario needs, ended for certain.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::LazyLock;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::waiting::DEADLINE;

/// The `cuadra` program, built if it is not.
pub fn cuadra_binary() -> &'static Path {
    static BINARY: LazyLock<PathBuf> = LazyLock::new(|| {
        if let Some(path) = std::env::var_os("CUADRA_BINARY") {
            return path.into();
        }
        let built = std::process::Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--locked", "--package", "node", "--package", "tests", "--bins"])
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
            .status()
            .expect("cargo runs");
        assert!(built.success(), "the program does not build");
        let this = std::env::current_exe().expect("this test has a path");
        let beside = this.parent().expect("a program lies in a folder");
        // Test programs lie in `deps`, one folder below the others.
        let folder = if beside.ends_with("deps") { beside.parent().unwrap_or(beside) } else { beside };
        folder.join("cuadra")
    });
    &BINARY
}

/// Runs a command of the program in a node's folder to its end; gives what it printed.
#[must_use]
pub fn cuadra(folder: &Path, arguments: &[&str]) -> String {
    cuadra_after(&[], folder, arguments)
}

/// The same, with other words before the program's name.
#[must_use]
pub fn cuadra_after(before: &[String], folder: &Path, arguments: &[&str]) -> String {
    let output = output_of(before, folder, arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cuadra {}: {said}", arguments.join(" "));
    String::from_utf8(output.stdout).expect("it prints UTF-8")
}

/// Runs a command that must fail; gives all that it said.
#[must_use]
pub fn cuadra_refused(before: &[String], folder: &Path, arguments: &[&str]) -> String {
    let output = output_of(before, folder, arguments);
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said).expect("it prints UTF-8");
    assert!(!output.status.success(), "cuadra {} did not fail: {said}", arguments.join(" "));
    said
}

fn output_of(before: &[String], folder: &Path, arguments: &[&str]) -> std::process::Output {
    let mut command = match before {
        [program, rest @ ..] => {
            let mut command = std::process::Command::new(program);
            command.args(rest).arg(cuadra_binary());
            command
        }
        [] => std::process::Command::new(cuadra_binary()),
    };
    command
        .arg("--folder")
        .arg(folder)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("the program starts")
}

/// A running node.
#[derive(Debug)]
pub struct Process {
    child: Child,
    /// The line that it printed when it was ready.
    pub ready: Value,
}

impl Process {
    /// Starts `cuadra run` (or what `wrapper` makes of it) and waits until it is ready.
    pub async fn start(folder: &Path, wrapper: Option<&[String]>) -> Process {
        let mut command = match wrapper {
            Some([program, arguments @ ..]) => {
                let mut command = Command::new(program);
                command.args(arguments).arg(cuadra_binary());
                command
            }
            Some([]) | None => Command::new(cuadra_binary()),
        };
        let log = OpenOptions::new().create(true).append(true).open(log_of(folder)).expect("a log file");
        let mut child = command
            .arg("--folder")
            .arg(folder)
            .args(["run", "--announce"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .expect("the program starts");
        let mut lines = BufReader::new(child.stdout.take().expect("piped above")).lines();
        let line = timeout(DEADLINE, lines.next_line()).await.expect("a ready line in time");
        let Some(line) = line.expect("its output can be read") else {
            panic!("it ended before it was ready: {}", tail(folder));
        };
        let ready = serde_json::from_str(&line).unwrap_or_else(|_| panic!("not a ready line: {line}"));
        Process { child, ready }
    }

    /// The process number.
    pub fn number(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// SIGKILL, and waits until it is gone.
    pub async fn kill(mut self) {
        self.child.kill().await.expect("it can be killed");
    }

    /// True while it runs.
    pub fn alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

/// The node's log.
pub fn log_of(folder: &Path) -> PathBuf {
    folder.join("node.log")
}

/// The end of the node's log, for a failing test.
pub fn tail(folder: &Path) -> String {
    let text = std::fs::read_to_string(log_of(folder)).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}

//! Reading `cuadra.toml` and saying exactly what is wrong with it: file, line, column, the value that
//! stands there and what was expected.

use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Deserialize as _;

use crate::secret::NEVER_INLINE;
use crate::settings::{Config, Tls};

/// The largest configuration that is read, in bytes.
pub const CONFIG_BYTES_MAX: u64 = 1024 * 1024;

/// Why a configuration could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("the configuration {0} cannot be read")]
    Read(PathBuf, #[source] std::io::Error),
    /// The file is larger than [`CONFIG_BYTES_MAX`].
    #[error("the configuration {0} is larger than {CONFIG_BYTES_MAX} bytes; is it the right file?")]
    TooLarge(PathBuf),
    /// Something in it is wrong.
    #[error("{0}")]
    Mistake(Mistake),
}

/// One thing that is wrong in a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The file's name.
    pub file: String,
    /// Its line, from 1.
    pub line: usize,
    /// Its column in characters, from 1.
    pub column: usize,
    /// What stands there, shortened; absent where it may be a secret or cannot be told apart.
    pub value: Option<String>,
    /// What was expected.
    pub expected: String,
}

impl std::fmt::Display for Mistake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, line {}, column {}: ", self.file, self.line, self.column)?;
        if let Some(value) = &self.value {
            write!(f, "found {value}; ")?;
        }
        f.write_str(&self.expected)
    }
}

impl Config {
    /// Read the file at `path`. Relative paths in it are taken from the file's own folder.
    ///
    /// # Errors
    /// [`ConfigError`] if it cannot be read or something in it is wrong.
    pub fn load(path: &Path) -> Result<Config, ConfigError> {
        let fault = |error| ConfigError::Read(path.to_owned(), error);
        if std::fs::metadata(path).map_err(fault)?.len() > CONFIG_BYTES_MAX {
            return Err(ConfigError::TooLarge(path.to_owned()));
        }
        let text = std::fs::read_to_string(path).map_err(fault)?;
        let mut config = Config::parse(&text, &path.display().to_string())?;
        config.anchor(path.parent().unwrap_or(Path::new("")));
        Ok(config)
    }

    /// Read `text`, which errors call `file_name`. Relative paths stay as they are written.
    ///
    /// # Errors
    /// [`ConfigError::Mistake`] if something in it is wrong.
    pub fn parse(text: &str, file_name: &str) -> Result<Config, ConfigError> {
        let mistake = |error: &toml::de::Error, stage| Mistake::locate(error, stage, text, file_name);
        toml::de::DeTable::parse(text)
            .map_err(|error| ConfigError::Mistake(mistake(&error, Stage::Syntax)))?;
        toml::Deserializer::parse(text)
            .and_then(Config::deserialize)
            .map_err(|error| ConfigError::Mistake(mistake(&error, Stage::Meaning)))
    }

    /// The configuration as TOML, without comments. Secrets appear as where they are.
    #[must_use]
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("every field has a form in TOML; a test writes them all")
    }

    /// Take relative paths from `folder`.
    fn anchor(&mut self, folder: &Path) {
        self.storage.folder = folder.join(&self.storage.folder);
        self.storage.backups = folder.join(&self.storage.backups);
        for boundary in &mut self.territory.boundaries {
            boundary.file = folder.join(&boundary.file);
        }
        match &mut self.http.tls {
            Tls::Off | Tls::SelfSigned => {}
            Tls::Files(files) => {
                files.cert = folder.join(&files.cert);
                files.key.anchor(folder);
            }
        }
    }
}

/// What was being done when the mistake was met.
#[derive(Clone, Copy, PartialEq)]
enum Stage {
    /// Reading TOML: what stands there cannot be told apart, and could be half a secret.
    Syntax,
    /// Giving the values their meaning.
    Meaning,
}

impl Mistake {
    fn locate(error: &toml::de::Error, stage: Stage, text: &str, file: &str) -> Mistake {
        let span = error.span().unwrap_or(0..0);
        let before = text.get(..span.start).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let may_be_secret = stage == Stage::Syntax || error.message().contains(NEVER_INLINE);
        let value = if may_be_secret { None } else { snippet(text, span) };
        Mistake {
            file: file.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before.get(line_start..).unwrap_or("").chars().count() + 1,
            expected: plain(error.message(), value.is_some()),
            value,
        }
    }
}

/// The parser's words in a form for people: without the value where it is shown already, and without the
/// names of the program's own types.
fn plain(message: &str, value_is_shown: bool) -> String {
    let message = message.trim().replace('\n', ": ");
    let repeats = ["invalid type", "invalid value", "unknown variant"];
    let kept = match message.split_once(", expected ") {
        Some((start, rest)) if value_is_shown && repeats.iter().any(|word| start.starts_with(word)) => {
            format!("expected {rest}")
        }
        _ => message,
    };
    match kept.as_str() {
        "expected u64" => "expected a whole number, 0 or more".to_owned(),
        "expected u32" => format!("expected a whole number from 0 to {}", u32::MAX),
        "expected a nonzero u64" => "expected a whole number, 1 or more".to_owned(),
        "expected a nonzero u32" => format!("expected a whole number from 1 to {}", u32::MAX),
        "expected a boolean" => "expected true or false".to_owned(),
        "expected a sequence" => "expected a list in square brackets".to_owned(),
        text if text.starts_with("expected struct ") => "expected a table of settings".to_owned(),
        _ => kept,
    }
}

/// The most characters of a value that a message repeats.
const VALUE_CHARS_MAX: usize = 60;

/// The first line of what stands at `span`, shortened.
fn snippet(text: &str, span: Range<usize>) -> Option<String> {
    let line = text.get(span)?.lines().next()?.trim_end();
    if line.is_empty() {
        return None;
    }
    let short: String = line.chars().take(VALUE_CHARS_MAX).collect();
    Some(if short.len() < line.len() { format!("{short}…") } else { short })
}

#[cfg(test)]
mod tests;

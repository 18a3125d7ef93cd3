//! Secrets: the configuration says where one is, never what it is. The text itself is read when it is
//! needed, is wiped from memory after use, and no `Debug`, `Display` or serialisation shows it.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// The longest secret that is read, in bytes; a longer file is the wrong file.
pub const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// Said when a secret stands in the configuration itself. The value is then left out of the message.
pub(crate) const NEVER_INLINE: &str =
    r#"expected { file = "FILE" } or { env = "VARIABLE" }: a secret is never written into this file"#;

/// Where a secret is: `{ file = "…" }` or `{ env = "…" }`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Secret {
    /// In a file that only the node may read; a line break at its end is left out.
    File(PathBuf),
    /// In an environment variable.
    Env(String),
}

/// A secret that was read. Wiped from memory when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(Zeroizing<String>);

/// A secret that could not be read. Says where it was looked for, never what was found.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file could not be read.
    #[error("the secret's file {0} cannot be read")]
    File(PathBuf, #[source] std::io::Error),
    /// The file is larger than [`SECRET_BYTES_MAX`].
    #[error("the secret's file {0} is larger than {SECRET_BYTES_MAX} bytes; is it the right one?")]
    TooLarge(PathBuf),
    /// The environment variable is not there, or is not text.
    #[error("the environment variable {0}, which should hold a secret, is not set")]
    Env(String),
    /// There was nothing in it.
    #[error("the secret in {0} is empty")]
    Empty(String),
}

impl Secret {
    /// Read it now, from its file or from this process's environment.
    ///
    /// # Errors
    /// [`SecretError`] if it is not there, too large or empty.
    pub fn read(&self) -> Result<SecretText, SecretError> {
        self.read_with(|name| std::env::var(name).ok())
    }

    fn read_with(&self, environment: impl Fn(&str) -> Option<String>) -> Result<SecretText, SecretError> {
        let text = match self {
            Secret::File(path) => {
                let fault = |error| SecretError::File(path.clone(), error);
                if std::fs::metadata(path).map_err(fault)?.len() > SECRET_BYTES_MAX {
                    return Err(SecretError::TooLarge(path.clone()));
                }
                Zeroizing::new(std::fs::read_to_string(path).map_err(fault)?)
            }
            Secret::Env(name) => {
                Zeroizing::new(environment(name).ok_or_else(|| SecretError::Env(name.clone()))?)
            }
        };
        let text = Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned());
        if text.is_empty() {
            return Err(SecretError::Empty(self.to_string()));
        }
        Ok(SecretText(text))
    }

    pub(crate) fn anchor(&mut self, folder: &Path) {
        if let Secret::File(path) = self {
            *path = folder.join(&path);
        }
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Secret::File(path) => write!(f, "file {}", path.display()),
            Secret::Env(name) => write!(f, "environment variable {name}"),
        }
    }
}

impl SecretText {
    /// The secret itself, for the one who needs it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(not shown)")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SecretVisitor)
    }
}

struct SecretVisitor;

/// Every form but a table is refused with a message that does not repeat the value: it may well be
/// the secret.
impl<'de> serde::de::Visitor<'de> for SecretVisitor {
    type Value = Secret;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NEVER_INLINE)
    }
    fn visit_str<E: serde::de::Error>(self, _: &str) -> Result<Secret, E> {
        Err(E::custom(NEVER_INLINE))
    }
    fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<Secret, E> {
        Err(E::custom(NEVER_INLINE))
    }
    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<Secret, E> {
        Err(E::custom(NEVER_INLINE))
    }
    fn visit_bool<E: serde::de::Error>(self, _: bool) -> Result<Secret, E> {
        Err(E::custom(NEVER_INLINE))
    }
    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, _: A) -> Result<Secret, A::Error> {
        Err(serde::de::Error::custom(NEVER_INLINE))
    }
    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Secret, A::Error> {
        let refuse = || <A::Error as serde::de::Error>::custom(NEVER_INLINE);
        let secret = match map.next_key::<String>()?.as_deref() {
            Some("file") => Secret::File(map.next_value::<Text>()?.0.into()),
            Some("env") => Secret::Env(map.next_value::<Text>()?.0),
            _ => return Err(refuse()),
        };
        match map.next_key::<String>()? {
            None => Ok(secret),
            Some(_) => Err(refuse()),
        }
    }
}

/// Text, refused without repeating what stood there instead.
struct Text(String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Text).map_err(|_| serde::de::Error::custom(NEVER_INLINE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_is_read_from_its_file_and_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "hunter2\r\n").unwrap();
        let secret = Secret::File(path.clone());
        let text = secret.read().unwrap();
        assert_eq!(text.reveal(), "hunter2");
        let shown = format!("{text:?} {secret} {secret:?} {}", serde_json::to_string(&secret).unwrap());
        assert!(!shown.contains("hunter2"), "{shown}");

        std::fs::write(&path, "\n").unwrap();
        assert!(matches!(secret.read(), Err(SecretError::Empty(_))));
        std::fs::write(&path, "x".repeat(usize::try_from(SECRET_BYTES_MAX).unwrap() + 1)).unwrap();
        assert!(matches!(secret.read(), Err(SecretError::TooLarge(_))));
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(secret.read(), Err(SecretError::File(..))));
    }

    #[test]
    fn secret_is_read_from_the_environment_and_not_shown() {
        let secret = Secret::Env("CUADRA_TOKEN".to_owned());
        let text = secret.read_with(|name| (name == "CUADRA_TOKEN").then(|| "hunter2".to_owned())).unwrap();
        assert_eq!(text.reveal(), "hunter2");
        let missing = secret.read_with(|_| None).unwrap_err();
        assert_eq!(
            missing.to_string(),
            "the environment variable CUADRA_TOKEN, which should hold a secret, is not set"
        );
    }
}

//! The commented example that `cuadra config example` prints. It parses to the defaults and names every
//! field there is; its tests hold it to both.

/// The whole example: every field, its meaning and its default. Lines that start with `#` and a letter
/// or bracket are settings to uncomment; lines that start with `# ` are prose.
#[must_use]
pub fn example() -> &'static str {
    include_str!("example.toml")
}

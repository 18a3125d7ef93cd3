//! The codes of the protocol by name, so that forms and words follow the protocol's own lists.

/// The names of codes, as the API writes them.
pub(super) fn names<T: serde::Serialize>(codes: &[T]) -> Vec<String> {
    codes.iter().filter_map(|code| serde_json::to_value(code).ok()?.as_str().map(str::to_owned)).collect()
}

//! The one icon set, drawn with one stroke width, the same for pages and islands.

use std::collections::BTreeMap;
use std::sync::LazyLock;

static ICONS: LazyLock<BTreeMap<String, String>> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../web/icons/icons.json")).expect("a test parses the icons")
});

/// An icon as inline SVG; the drawing for "other" where the name has none.
pub(super) fn svg(name: &str) -> String {
    let drawing = ICONS.get(name).or_else(|| ICONS.get("other")).map_or("", String::as_str);
    format!(
        "<svg class=\"icon\" viewBox=\"0 0 24 24\" aria-hidden=\"true\" focusable=\"false\">{drawing}</svg>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_and_every_status_has_a_drawing() {
        for kind in protocol::kind::KINDS {
            assert!(ICONS.contains_key(kind.name), "{}", kind.name);
        }
        for status in ["open", "received", "called", "on_the_way", "on_site", "resolved", "closed"] {
            assert!(ICONS.contains_key(&format!("status_{status}")), "{status}");
        }
    }
}

//! Languages and their catalogues of words: one JSON file each, the same for pages and islands.

use std::collections::BTreeMap;
use std::sync::LazyLock;

/// A language that cuadra speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Lang {
    /// Spanish of Chile, the first language.
    #[default]
    EsCl,
    /// English.
    En,
}

type Catalogue = BTreeMap<String, String>;

static ES_CL: LazyLock<Catalogue> = LazyLock::new(|| parse(include_str!("../../web/words/es-CL.json")));
static EN: LazyLock<Catalogue> = LazyLock::new(|| parse(include_str!("../../web/words/en.json")));

fn parse(text: &str) -> Catalogue {
    serde_json::from_str(text).expect("the catalogues of words are checked by a test")
}

impl Lang {
    /// Every language, the first one first.
    pub const ALL: [Lang; 2] = [Lang::EsCl, Lang::En];

    /// Its tag as in BCP 47.
    #[must_use]
    pub fn tag(self) -> &'static str {
        match self {
            Lang::EsCl => "es-CL",
            Lang::En => "en",
        }
    }

    /// From a tag such as `es`, `es-CL` or `en-GB`; the region may be anything.
    #[must_use]
    pub fn from_tag(tag: &str) -> Option<Lang> {
        let language = tag.trim().split(['-', '_']).next().unwrap_or_default();
        match language.to_ascii_lowercase().as_str() {
            "es" => Some(Lang::EsCl),
            "en" => Some(Lang::En),
            _ => None,
        }
    }

    /// The person's language: their `lang` cookie, else the `Accept-Language` header, else Spanish.
    #[must_use]
    pub fn negotiate(cookie: Option<&str>, accept_language: Option<&str>) -> Lang {
        if let Some(lang) = cookie.and_then(Lang::from_tag) {
            return lang;
        }
        let mut best: Option<(f32, Lang)> = None;
        for part in accept_language.unwrap_or_default().split(',') {
            let mut fields = part.split(';');
            let Some(lang) = fields.next().and_then(Lang::from_tag) else { continue };
            let quality = fields.find_map(|f| f.trim().strip_prefix("q=")?.parse().ok()).unwrap_or(1.0);
            if quality > 0.0 && best.is_none_or(|(q, _)| quality > q) {
                best = Some((quality, lang));
            }
        }
        best.map_or(Lang::EsCl, |(_, lang)| lang)
    }

    fn catalogue(self) -> &'static Catalogue {
        match self {
            Lang::EsCl => &ES_CL,
            Lang::En => &EN,
        }
    }

    /// The words of a key, if the catalogue has it.
    #[must_use]
    pub fn find(self, key: &str) -> Option<&'static str> {
        self.catalogue().get(key).map(String::as_str)
    }

    /// The words of a key. A key without words shows itself: tests keep that from happening.
    #[must_use]
    pub fn words(self, key: &str) -> &str {
        self.find(key).unwrap_or(key)
    }

    /// The words of the keys that begin with one of the prefixes, as a JSON object safe inside a
    /// `script` element.
    #[must_use]
    pub fn words_json(self, prefixes: &[&str]) -> String {
        let chosen: BTreeMap<&String, &String> =
            self.catalogue().iter().filter(|(key, _)| prefixes.iter().any(|p| key.starts_with(p))).collect();
        script_json(&chosen)
    }

    #[cfg(test)]
    pub(super) fn keys(self) -> impl Iterator<Item = &'static str> {
        self.catalogue().keys().map(String::as_str)
    }
}

/// A value as JSON that cannot end the `script` element it stands in.
pub(super) fn script_json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value)
        .expect("views serialize to JSON")
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_beats_the_browser_and_spanish_is_the_last_resort() {
        assert_eq!(Lang::negotiate(Some("en"), Some("es-CL")), Lang::En);
        assert_eq!(Lang::negotiate(None, Some("fr, en;q=0.4, es;q=0.8")), Lang::EsCl);
        assert_eq!(Lang::negotiate(None, Some("en-GB,en;q=0.9")), Lang::En);
        assert_eq!(Lang::negotiate(Some("tlh"), Some("fr")), Lang::EsCl);
        assert_eq!(Lang::negotiate(None, None), Lang::EsCl);
    }

    #[test]
    fn data_for_islands_cannot_close_its_script() {
        let json = script_json(&"</script><!-- & \u{2028}");
        assert!(!json.contains('<') && !json.contains('&') && !json.contains('\u{2028}'));
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), "</script><!-- & \u{2028}");
    }
}

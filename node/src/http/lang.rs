//! In which language a person is answered: their choice (cookie `lang`), else what their browser
//! asks for, else Spanish.

use axum::http::HeaderMap;
use axum::http::header::{ACCEPT_LANGUAGE, COOKIE};

/// A language that the node speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Lang {
    /// Spanish of Chile.
    #[default]
    Es,
    /// English.
    En,
}

impl Lang {
    /// From a language tag or its beginning: `es-CL`, `en`.
    #[must_use]
    pub fn from_tag(tag: &str) -> Option<Self> {
        match tag.trim().split('-').next().map(str::to_ascii_lowercase).as_deref() {
            Some("es") => Some(Self::Es),
            Some("en") => Some(Self::En),
            _ => None,
        }
    }

    /// The short tag.
    #[must_use]
    pub fn tag(self) -> &'static str {
        match self {
            Self::Es => "es",
            Self::En => "en",
        }
    }

    /// What these request headers ask for, else `otherwise`.
    #[must_use]
    pub fn of(headers: &HeaderMap, otherwise: Self) -> Self {
        let chosen = cookie(headers, "lang").and_then(Self::from_tag);
        chosen.or_else(|| accepted(headers)).unwrap_or(otherwise)
    }
}

/// The value of a cookie.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let pairs = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    pairs.flat_map(|line| line.split(';')).find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
}

fn accepted(headers: &HeaderMap) -> Option<Lang> {
    let value = headers.get(ACCEPT_LANGUAGE)?.to_str().ok()?;
    let mut best: Option<(f32, Lang)> = None;
    for item in value.split(',').take(16) {
        let mut parts = item.split(';');
        let Some(lang) = parts.next().and_then(Lang::from_tag) else { continue };
        let weight = parts.find_map(|part| part.trim().strip_prefix("q=")?.parse().ok()).unwrap_or(1.0);
        if best.is_none_or(|(most, _)| weight > most) {
            best = Some((weight, lang));
        }
    }
    best.map(|(_, lang)| lang)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(cookie: Option<&str>, accept: Option<&str>, expected: Lang) {
        let mut headers = HeaderMap::new();
        if let Some(cookie) = cookie {
            headers.insert(COOKIE, cookie.parse().unwrap());
        }
        if let Some(accept) = accept {
            headers.insert(ACCEPT_LANGUAGE, accept.parse().unwrap());
        }
        assert_eq!(Lang::of(&headers, Lang::Es), expected, "{cookie:?} {accept:?}");
    }

    #[test]
    fn the_chosen_language_wins_over_the_browsers_and_spanish_over_nothing() {
        check(None, None, Lang::Es);
        check(None, Some("en-GB,en;q=0.9"), Lang::En);
        check(None, Some("de, en;q=0.3, es;q=0.7"), Lang::Es);
        check(None, Some("de"), Lang::Es);
        check(Some("a=b; lang=en"), Some("es"), Lang::En);
        check(Some("xlang=en"), Some("es"), Lang::Es);
        check(Some("lang=xx"), Some("en"), Lang::En);
    }
}

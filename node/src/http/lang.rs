//! In which language a person is answered: their choice (cookie `lang`), else what their browser
//! asks for, else the node's.

use axum::http::HeaderMap;
use axum::http::header::{ACCEPT_LANGUAGE, COOKIE};

use crate::pages::Lang;

/// What these request headers ask for.
pub(super) fn of(headers: &HeaderMap, otherwise: Lang) -> Lang {
    let chosen = cookie(headers, "lang").and_then(Lang::from_tag);
    let accepts = headers.get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
    // What is longer than any browser sends is not read.
    let accepts = accepts.filter(|value| value.len() <= 256);
    match (chosen, accepts) {
        (Some(lang), _) => lang,
        (None, Some(accepts)) if accepts.split(',').any(is_spoken) => Lang::negotiate(None, Some(accepts)),
        (None, _) => otherwise,
    }
}

fn is_spoken(part: &str) -> bool {
    part.split(';').next().and_then(Lang::from_tag).is_some()
}

/// The value of a cookie.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let pairs = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    pairs.flat_map(|line| line.split(';')).find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
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
        assert_eq!(of(&headers, Lang::EsCl), expected, "{cookie:?} {accept:?}");
    }

    #[test]
    fn the_chosen_language_wins_over_the_browsers_and_the_nodes_over_nothing() {
        check(None, None, Lang::EsCl);
        check(None, Some("en-GB,en;q=0.9"), Lang::En);
        check(None, Some("de, en;q=0.3, es;q=0.7"), Lang::EsCl);
        check(None, Some("de"), Lang::EsCl);
        check(Some("a=b; lang=en"), Some("es"), Lang::En);
        check(Some("xlang=en"), Some("es"), Lang::EsCl);
        check(Some("lang=xx"), Some("en"), Lang::En);
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_LANGUAGE, "de".parse().unwrap());
        assert_eq!(of(&headers, Lang::En), Lang::En, "the node's own language");
    }
}

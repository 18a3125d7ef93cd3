//! What a person is told when something did not work: what happened, what it means for their alert,
//! what to do now.

use super::lang::Lang;

/// The words of a problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Its code, as in the API.
    pub code: String,
    /// What happened, in a few words.
    pub title: String,
    /// What it means and what to do now.
    pub detail: String,
}

impl Problem {
    /// The codes that have words of their own; any other shows the words of `internal`.
    pub const CODES: [&'static str; 17] = [
        "code_unusable",
        "field",
        "internal",
        "malformed",
        "media_type",
        "method",
        "not_for_you",
        "not_found",
        "not_now",
        "not_signed_in",
        "other_site",
        "picture",
        "store_failed",
        "store_full",
        "timeout",
        "too_large",
        "too_many_streams",
    ];
}

/// The words of a problem in a language; `emergency_number` is the number to call instead.
#[must_use]
pub fn problem(lang: Lang, code: &str, emergency_number: &str) -> Problem {
    let known = if Problem::CODES.contains(&code) { code } else { "internal" };
    let words = |part: &str| {
        let key = format!("problem.{known}.{part}");
        lang.words(&key).replace("{number}", emergency_number)
    };
    Problem { code: code.to_owned(), title: words("title"), detail: words("detail") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_has_words_in_every_language() {
        for lang in Lang::ALL {
            for code in Problem::CODES {
                for part in ["title", "detail"] {
                    assert!(lang.find(&format!("problem.{code}.{part}")).is_some(), "{code} in {lang:?}");
                }
            }
        }
    }

    #[test]
    fn an_unknown_code_still_says_what_to_do() {
        let words = problem(Lang::EsCl, "something_new", "133");
        assert_eq!(words.code, "something_new");
        assert!(words.detail.contains("133"));
    }
}

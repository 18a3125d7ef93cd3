//! What holds for all pages: words without gaps, markup that the content security policy allows,
//! and every page rendered with a full and an empty view.

use super::*;
use crate::views::*;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

mod above;
mod samples;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The text of every source below a folder of this crate.
fn sources(name: &str) -> Vec<(PathBuf, String)> {
    let mut texts = Vec::new();
    let mut folders = vec![folder(name)];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                texts.push((path.clone(), fs::read_to_string(&path).unwrap()));
            }
        }
    }
    texts
}

/// Families whose keys are put together from a code; the rest of the key is not in the sources.
const FAMILIES: [&str; 27] = [
    "kind.",
    "status.",
    "step.",
    "outcome.",
    "reason.",
    "reopen.",
    "response.",
    "contents.",
    "contribution.",
    "source.",
    "role.",
    "visibility.",
    "peer.",
    "event.",
    "urgency.",
    "month.",
    "do_step.",
    "do_answer.",
    "service.",
    "referral.",
    "disputed.",
    "problem.",
    "lang.",
    "measure.",
    "lost.",
    "target.",
    "draft.",
];

/// Keys named in templates, in the pages' code and in islands: any quoted string that looks like one.
fn named_keys() -> BTreeSet<String> {
    let first: BTreeSet<&str> = Lang::EsCl.keys().filter_map(|k| k.split('.').next()).collect();
    let mut found = BTreeSet::new();
    let texts = [sources("templates"), sources("web/src"), sources("src/pages")].concat();
    for (_, text) in texts.iter().filter(|(path, _)| !path.ends_with("tests.rs")) {
        for quoted in text.split('"') {
            let looks = quoted.split_once('.').is_some_and(|(head, tail)| {
                first.contains(head)
                    && !tail.is_empty()
                    && tail.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "._".contains(c))
            });
            let file =
                [".html", ".css", ".js", ".json", ".svg", ".tsx", ".ts"].iter().any(|e| quoted.ends_with(e));
            if looks && !file && !quoted.ends_with('.') {
                found.insert(quoted.to_owned());
            }
        }
    }
    found
}

#[test]
fn every_language_has_the_same_keys_with_words_in_them() {
    for lang in Lang::ALL {
        let gaps: Vec<&str> =
            Lang::EsCl.keys().filter(|k| lang.find(k).is_none_or(|words| words.trim().is_empty())).collect();
        assert_eq!(gaps, [""; 0], "missing in {lang:?}");
        let more: Vec<&str> = lang.keys().filter(|k| Lang::EsCl.find(k).is_none()).collect();
        assert_eq!(more, [""; 0], "only in {lang:?}");
    }
}

#[test]
fn every_language_fills_in_the_same_places() {
    let places = |words: &str| {
        let mut places: Vec<&str> = words.split('{').skip(1).filter_map(|p| p.split('}').next()).collect();
        places.sort_unstable();
        places.join(" ")
    };
    for key in Lang::EsCl.keys() {
        assert_eq!(places(Lang::En.words(key)), places(Lang::EsCl.words(key)), "{key}");
    }
}

#[test]
fn no_key_is_missing_and_none_is_left_over() {
    let named = named_keys();
    assert!(named.len() > 100, "the search for keys found only {}", named.len());
    let missing: Vec<&String> = named.iter().filter(|k| Lang::EsCl.find(k).is_none()).collect();
    assert!(missing.is_empty(), "without words: {missing:?}");
    let unused: Vec<&str> = Lang::EsCl
        .keys()
        .filter(|k| !named.contains(*k) && !FAMILIES.iter().any(|family| k.starts_with(family)))
        .collect();
    assert!(unused.is_empty(), "never used: {unused:?}");
}

#[test]
fn every_code_of_the_protocol_has_words() {
    use protocol::operation::{
        ContributionKind, Disputed, HandoffReason, Outcome, ReferralAnswer, ReopenReason, Response, Source,
        Step,
    };
    let kinds = protocol::kind::KINDS.iter().map(|k| k.name.to_owned()).collect();
    let families = [
        ("kind", kinds),
        ("step", codes::names(Step::ALL)),
        ("status", codes::names(Step::ALL)),
        ("do_step", codes::names(Step::ALL)),
        ("outcome", codes::names(Outcome::ALL)),
        ("reason", codes::names(HandoffReason::ALL)),
        ("reopen", codes::names(ReopenReason::ALL)),
        ("response", codes::names(Response::ALL)),
        ("contribution", codes::names(ContributionKind::ALL)),
        ("source", codes::names(Source::ALL)),
        ("service", codes::names(&protocol::kind::Service::ALL)),
        ("referral", codes::names(ReferralAnswer::ALL)),
        ("do_answer", codes::names(ReferralAnswer::ALL)),
        ("disputed", codes::names(Disputed::ALL)),
    ];
    for (family, names) in families {
        assert!(!names.is_empty());
        for name in names {
            assert!(Lang::EsCl.find(&format!("{family}.{name}")).is_some(), "{family}.{name}");
        }
    }
}

#[test]
fn words_stay_calm() {
    for lang in Lang::ALL {
        for key in lang.keys() {
            assert!(!lang.words(key).contains(['!', '¡']), "{key} shouts");
        }
    }
}

/// Every page in every language, with much and with nothing in it: (name, HTML).
fn every_page() -> Vec<(String, String)> {
    let mut pages = Vec::new();
    for lang in Lang::ALL {
        for (name, html) in samples::pages(lang).into_iter().chain(above::pages(lang)) {
            pages.push((format!("{name}.{}", lang.tag()), html));
        }
    }
    pages
}

#[test]
fn pages_need_nothing_that_the_policy_forbids() {
    for (name, html) in every_page() {
        for forbidden in [" style=\"", "<style", "javascript:", "http://", "https://", " onclick", " onload"]
        {
            assert!(!html.contains(forbidden), "{name} has {forbidden}");
        }
        for script in html.split("<script").skip(1) {
            let data = script.starts_with(" type=\"application/json\"");
            assert!(data || script.starts_with(" type=\"module\" src=\"/assets/"), "{name}: {script:.80}");
        }
        assert!(!html.contains("/assets/missing"), "{name} names a file that was not built");
    }
}

#[test]
fn what_people_write_is_never_markup() {
    let hostile = "<img src=x onerror=alert(1)></script><script>alert(1)</script>";
    for (name, html) in every_page() {
        assert!(!html.contains(hostile) && !html.contains("<img src=x"), "{name}");
    }
    let shown = every_page().into_iter().filter(|(_, html)| html.contains("&#60;img src=x")).count();
    assert!(shown >= 4, "the hostile text was shown, escaped, on {shown} pages");
}

#[test]
fn ids_are_unique_and_every_button_says_something() {
    for (name, html) in every_page() {
        let mut seen = BTreeSet::new();
        for id in html.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(seen.insert(id), "{name} has two of {id}");
        }
        for button in html.split("<button").skip(1) {
            let inner = button.split_once('>').and_then(|(_, rest)| rest.split_once("</button>")).unwrap().0;
            let words: String = inner
                .split('<')
                .filter_map(|p| p.split_once('>').map_or(Some(p), |(_, t)| Some(t)))
                .collect();
            assert!(!words.trim().is_empty(), "{name} has a silent button: {inner:.80}");
        }
    }
}

#[test]
fn embedded_files_are_found_by_path_and_compressed_where_it_helps() {
    let css = assets::find(assets::address("app.css").unwrap()).unwrap();
    assert_eq!(css.mime, "text/css; charset=utf-8");
    assert!(css.immutable && css.gzip.is_none_or(|packed| packed.len() < css.bytes.len()));
    let worker = assets::find("/sw.js").unwrap();
    assert!(!worker.immutable && worker.bytes.len() < 2_500);
    assert!(assets::find("/assets/../Cargo.toml").is_none());
}

/// The description of the API without its prose, which changes no type.
fn api_without_prose() -> String {
    fn strip(value: &mut serde_json::Value) {
        match value {
            serde_json::Value::Object(fields) => {
                // A field may be called "description"; prose is text.
                fields.retain(|key, value| !(key == "description" && value.is_string()));
                fields.values_mut().for_each(strip);
            }
            serde_json::Value::Array(values) => values.iter_mut().for_each(strip),
            serde_json::Value::Null
            | serde_json::Value::Bool(_)
            | serde_json::Value::Number(_)
            | serde_json::Value::String(_) => {}
        }
    }
    let mut value = serde_json::from_str(&crate::http::openapi_json()).unwrap();
    strip(&mut value);
    format!("{}\n", serde_json::to_string_pretty(&value).unwrap())
}

#[test]
fn api_description_and_the_islands_types_are_current() {
    use sha2::Digest as _;
    let file = folder("web/openapi.json");
    let current = api_without_prose();
    if std::env::var_os("CUADRA_WRITE_OPENAPI").is_some() {
        fs::write(&file, &current).unwrap();
        return;
    }
    let how = "the API changed: CUADRA_WRITE_OPENAPI=1 cargo test -p node api_description, then \
               npm run types in node/web";
    let kept = fs::read_to_string(&file).unwrap();
    assert!(kept == current, "{how}");
    let types = fs::read_to_string(folder("web/src/generated/api.ts")).unwrap();
    let hash = hex::encode(sha2::Sha256::digest(kept.as_bytes()));
    assert!(types.starts_with(&format!("// openapi.json {hash}\n")), "{how}");
}

/// Writes every page below the folder named by `CUADRA_PAGES`, to be looked at in a browser.
#[test]
fn pages_can_be_written_out() {
    let pages = every_page();
    assert!(pages.len() >= 30);
    let Some(target) = std::env::var_os("CUADRA_PAGES").map(PathBuf::from) else { return };
    fs::create_dir_all(&target).unwrap();
    for (name, html) in pages {
        fs::write(target.join(format!("{name}.html")), html).unwrap();
    }
    for asset in assets::all() {
        let path = target.join(asset.path.trim_start_matches('/'));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, asset.bytes).unwrap();
    }
}

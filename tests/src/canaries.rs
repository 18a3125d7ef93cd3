//! Looking for words where they must not be: raw, in hexadecimal, in base64 at any alignment, and
//! percent-encoded, with both cases and both alphabets.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// Fails if the secret is in these bytes in any form.
pub fn absent(bytes: &[u8], secret: &str, where_to: &str) {
    if let Some(form) = found(bytes, secret) {
        panic!("«{secret}» is in {where_to}, {form}");
    }
}

/// Fails if the secret is in any file below this folder: databases with their free pages, write-ahead
/// logs, blobs, logs, whatever is there.
pub fn absent_below(folder: &Path, secret: &str) {
    let mut files = 0;
    for (path, bytes) in files_below(folder) {
        absent(&bytes, secret, &path);
        files += 1;
    }
    assert!(files > 2, "only {files} files were searched in {}", folder.display());
}

/// Every file below a folder, with its contents.
pub fn files_below(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("the folder is there") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.is_file() && !path.ends_with("ballast") {
                // The reserve is 64 MiB that nothing is ever written into.
                // A file that its node deletes meanwhile holds nothing any more.
                let Ok(bytes) = std::fs::read(&path) else { continue };
                found.push((path.display().to_string(), bytes));
            }
        }
    }
    found
}

/// The form in which the secret is there.
pub fn found(bytes: &[u8], secret: &str) -> Option<&'static str> {
    forms(secret).into_iter().find(|(_, form)| contains(bytes, form)).map(|(name, _)| name)
}

fn forms(secret: &str) -> Vec<(&'static str, Vec<u8>)> {
    assert!(secret.len() >= 6, "«{secret}» is too short: it would be found by chance");
    let mut forms = vec![
        ("as it is", secret.as_bytes().to_vec()),
        ("in lower case", secret.to_lowercase().into_bytes()),
        ("in upper case", secret.to_uppercase().into_bytes()),
        ("in hexadecimal", hex::encode(secret).into_bytes()),
        ("in hexadecimal", hex::encode_upper(secret).into_bytes()),
        ("percent-encoded", percent(secret, "%20")),
        ("percent-encoded", percent(secret, "+")),
        ("in UTF-16", secret.encode_utf16().flat_map(u16::to_le_bytes).collect()),
    ];
    for shift in 0..3 {
        forms
            .push(("in base64", base64_core(&STANDARD_NO_PAD.encode(shifted(secret, shift)), secret, shift)));
        forms
            .push(("in base64", base64_core(&URL_SAFE_NO_PAD.encode(shifted(secret, shift)), secret, shift)));
    }
    forms
}

fn shifted(secret: &str, shift: usize) -> Vec<u8> {
    [vec![0; shift], secret.as_bytes().to_vec()].concat()
}

/// The characters that depend on the secret alone, whatever stands before and after it.
fn base64_core(encoded: &str, secret: &str, shift: usize) -> Vec<u8> {
    let first = (shift * 8).div_ceil(6);
    let last = (shift + secret.len()) * 8 / 6;
    encoded.as_bytes()[first..last].to_vec()
}

fn percent(secret: &str, space: &str) -> Vec<u8> {
    let mut encoded = String::new();
    for byte in secret.bytes() {
        match byte {
            b' ' => encoded.push_str(space),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => encoded.push(byte as char),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded.into_bytes()
}

/// True if `needle` is in `bytes`.
pub fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    let Some(first) = needle.first() else { return false };
    let mut at = 0;
    while let Some(step) = bytes[at..].iter().position(|byte| byte == first) {
        at += step;
        if bytes[at..].starts_with(needle) {
            return true;
        }
        at += 1;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_search_finds_every_form() {
        let secret = "Pasaje Ñielol 88";
        for planted in [
            secret.to_owned(),
            hex::encode(secret),
            hex::encode_upper(secret),
            STANDARD_NO_PAD.encode(format!("x{secret}yz")),
            STANDARD_NO_PAD.encode(format!("xy{secret}")),
            URL_SAFE_NO_PAD.encode(format!("xyz{secret}zzz")),
            "Pasaje%20%C3%91ielol%2088".to_owned(),
            "Pasaje+%C3%91ielol+88".to_owned(),
        ] {
            assert!(found(format!("before{planted}after").as_bytes(), secret).is_some(), "{planted}");
        }
        assert_eq!(found(b"Pasaje Nielol 88 and much else that is not it", secret), None);
    }
}

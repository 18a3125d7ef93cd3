//! What is said about every kind of mistake, and what is never said.

use expect_test::{Expect, expect};

use super::*;
use crate::kinds::BUFFER_M_MAX;

fn check(text: &str, expected: Expect) {
    let error = Config::parse(text, "cuadra.toml").unwrap_err();
    expected.assert_eq(&error.to_string());
}

#[test]
fn empty_file_is_the_defaults() {
    assert_eq!(Config::parse("", "cuadra.toml").unwrap(), Config::default());
}

#[test]
fn mistake_names_file_line_column_value_and_what_was_expected() {
    check(
        "[node]\nname = \"San Miguel\"\nemergency_number = 133\n",
        expect![[
            r#"cuadra.toml, line 3, column 20: found 133; expected a telephone number in quotes, such as "133""#
        ]],
    );
    check(
        "[node]\n  emergency_number = \"one\"\n",
        expect![[
            r#"cuadra.toml, line 2, column 22: found "one"; expected a telephone number in quotes, such as "133""#
        ]],
    );
    check(
        "[node]\nname = \"\"\n",
        expect![[
            r#"cuadra.toml, line 2, column 8: found ""; expected a name of 1 to 80 characters without blanks around it"#
        ]],
    );
    check(
        "[node]\nlanguage = \"fr\"\n",
        expect![[r#"cuadra.toml, line 2, column 12: found "fr"; expected `es` or `en`"#]],
    );
    check(
        "[node]\ntime_zone = \"Santiago de Chile\"\n",
        expect![[
            r#"cuadra.toml, line 2, column 13: found "Santiago de Chile"; expected an IANA time zone, such as "America/Santiago""#
        ]],
    );
    check(
        "[node]\nroles = [\"municipal\", \"mayor\"]\n",
        expect![[
            r#"cuadra.toml, line 2, column 23: found "mayor"; expected one of `municipal`, `service`, `precinct`, `regional`, `national`"#
        ]],
    );
}

#[test]
fn mistake_about_the_network_disk_or_limits_is_named_as_exactly() {
    check(
        "[http]\nlisten = \"localhost\"\n",
        expect![[
            r#"cuadra.toml, line 2, column 10: found "localhost"; expected an IP address and a port, such as "127.0.0.1:8101""#
        ]],
    );
    check(
        "[http]\norigin = \"https://alerta.cl/inicio\"\n",
        expect![[
            r#"cuadra.toml, line 2, column 10: found "https://alerta.cl/inicio"; expected scheme and host name without a path, such as "https://alerta.example.cl""#
        ]],
    );
    check(
        "[http]\ntls = \"on\"\n",
        expect![[
            r#"cuadra.toml, line 2, column 7: found "on"; expected "off", "self-signed", or { cert = "FILE", key = { file = "FILE" } }"#
        ]],
    );
    check(
        "[federation]\nadvertise = \"alerta.example.cl\"\n",
        expect![[
            r#"cuadra.toml, line 2, column 13: found "alerta.example.cl"; expected a host and a port, such as "10.0.0.7:8444""#
        ]],
    );
    check(
        "[storage]\nballast_bytes = -1\n",
        expect!["cuadra.toml, line 2, column 17: found -1; expected a whole number, 0 or more"],
    );
    check(
        "[limits]\nsession_days = 0\n",
        expect!["cuadra.toml, line 2, column 16: found 0; expected a whole number from 1 to 4294967295"],
    );
    check(
        "[limits]\nsession_days = 4294967296\n",
        expect![
            "cuadra.toml, line 2, column 16: found 4294967296; expected a whole number from 1 to 4294967295"
        ],
    );
    check(
        "[limits]\nphoto_bytes_max = 1.5\n",
        expect!["cuadra.toml, line 2, column 19: found 1.5; expected a whole number, 1 or more"],
    );
    check(
        "[http]\ntrusted_proxies = [\"proxy\"]\n",
        expect![[
            r#"cuadra.toml, line 2, column 19: found ["proxy"]; expected a list of IP addresses, such as ["10.0.0.2"]"#
        ]],
    );
    check(
        "[node]\nroles = \"municipal\"\n",
        expect![[r#"cuadra.toml, line 2, column 9: found "municipal"; expected a list in square brackets"#]],
    );
    check(
        "[node]\ninvented_places = \"yes\"\n",
        expect![[r#"cuadra.toml, line 2, column 19: found "yes"; expected true or false"#]],
    );
    check("node = 3\n", expect!["cuadra.toml, line 1, column 8: found 3; expected a table of settings"]);
    check(
        "[log]\nlevel = \"loud\"\n",
        expect![[
            r#"cuadra.toml, line 2, column 9: found "loud"; expected one of `error`, `warn`, `info`, `debug`, `trace`"#
        ]],
    );
}

#[test]
fn unknown_field_or_table_is_refused() {
    check(
        "[nodes]\n",
        expect![
            "cuadra.toml, line 1, column 2: found nodes; unknown field `nodes`, expected one of `node`, `http`, `federation`, `storage`, `limits`, `kinds`, `territory`, `log`"
        ],
    );
    check(
        "[log]\nlevels = \"info\"\n",
        expect![
            "cuadra.toml, line 2, column 1: found levels; unknown field `levels`, expected `level` or `json`"
        ],
    );
    check(
        "[[node.jurisdiction]]\ncode = \"CL-13130\"\nname = \"x\"\npopulation = 1\ncolour = 3\n",
        expect![
            "cuadra.toml, line 5, column 1: found colour; unknown field `colour`, expected one of `code`, `name`, `population`, `target_percent`"
        ],
    );
}

#[test]
fn text_that_is_not_toml_is_shown_its_place() {
    check(
        "[node]\nname = San Miguel\n",
        expect!["cuadra.toml, line 2, column 8: string values must be quoted, expected literal string"],
    );
    check("[node\n", expect!["cuadra.toml, line 1, column 6: unclosed table, expected `]`"]);
    check("[log]\njson = true\njson = false\n", expect!["cuadra.toml, line 3, column 1: duplicate key"]);
}

#[test]
fn jurisdiction_kind_or_boundary_stands_only_once() {
    let entry = "[[node.jurisdiction]]\ncode = \"CL-13130\"\nname = \"x\"\npopulation = 1\n";
    check(
        &format!("{entry}{entry}"),
        expect!["cuadra.toml, line 1, column 1: found [[node.jurisdiction]]; expected CL-13130 only once"],
    );
    check(
        "[[kinds]]\nkind = \"noise\"\n[[kinds]]\nkind = \"noise\"\n",
        expect!["cuadra.toml, line 1, column 1: found [[kinds]]; expected noise only once"],
    );
    check(
        "territory.boundaries = [{ code = \"CL-1\", file = \"a\" }, { code = \"CL-00001\", file = \"b\" }]",
        expect![[
            r#"cuadra.toml, line 1, column 24: found [{ code = "CL-1", file = "a" }, { code = "CL-00001", file = …; expected CL-00001 only once"#
        ]],
    );
    check(
        "[[node.jurisdiction]]\ncode = \"13130\"\n",
        expect![[
            r#"cuadra.toml, line 2, column 8: found "13130"; expected two capital letters, a hyphen and a number, such as CL-13130"#
        ]],
    );
    check(
        &format!("{entry}target_percent = 0\n"),
        expect!["cuadra.toml, line 5, column 18: found 0; expected a whole number of percent from 1 to 100"],
    );
    check(
        "[[node.jurisdiction]]\ncode = \"CL-13130\"\n",
        expect!["cuadra.toml, line 1, column 1: found [[node.jurisdiction]]; missing field `name`"],
    );
}

#[test]
fn kind_is_tightened_never_loosened() {
    check(
        "[[kinds]]\nkind = \"fire\"\n\n[[kinds]]\nkind = \"noise\"\nservice = \"army\"\n",
        expect![[
            r#"cuadra.toml, line 6, column 11: found "army"; expected one of `police`, `fire`, `ambulance`, `municipal_security`, `urban_services`"#
        ]],
    );
    check(
        "[[kinds]]\nkind = \"party\"\n",
        expect![[
            r#"cuadra.toml, line 2, column 8: found "party"; expected a kind of the federation: sos, medical, fire, robbery, assault, domestic_violence, shots, suspicious, lost_person, burglary, drugs, noise, traffic, street_light, rubbish, tree_down, stray_animal"#
        ]],
    );
    check(
        "[[kinds]]\nkind = \"noise\"\nprivate = false\n",
        expect![
            "cuadra.toml, line 3, column 11: found false; expected `private = true` or no `private` at all: privacy can only be tightened"
        ],
    );
    check(
        "[[kinds]]\nkind = \"noise\"\nprivate = true\nbuffer_m = 100\n",
        expect![
            "cuadra.toml, line 1, column 1: found [[kinds]]; expected no buffer_m for noise: a private kind is never shared by distance"
        ],
    );
    check(
        "[[kinds]]\nkind = \"domestic_violence\"\nbuffer_m = 100\n",
        expect![
            "cuadra.toml, line 1, column 1: found [[kinds]]; expected no buffer_m for domestic_violence: a private kind is never shared by distance"
        ],
    );
    check(
        &format!("[[kinds]]\nkind = \"noise\"\nbuffer_m = {}\n", BUFFER_M_MAX + 1),
        expect!["cuadra.toml, line 3, column 12: found 5001; expected a distance from 0 to 5000 metres"],
    );
    check(
        "[[kinds]]\nkind = \"sos\"\nenabled = false\n",
        expect![
            "cuadra.toml, line 1, column 1: found [[kinds]]; expected sos without `enabled = false`: an SOS is always taken"
        ],
    );

    let text = "[[kinds]]\nkind = \"noise\"\nlabel = \"Ruidos\"\nprivate = true\nservice = \"police\"\n\
                [[kinds]]\nkind = \"fire\"\nbuffer_m = 900\nenabled = false\n";
    let config = Config::parse(text, "cuadra.toml").unwrap();
    let kinds: Vec<_> = config.local_kinds().collect();
    assert_eq!(kinds.len(), protocol::kind::KINDS.len());
    let kind = |name: &str| kinds.iter().find(|kind| kind.kind.name == name).unwrap();
    let noise = kind("noise");
    assert_eq!((noise.label.as_deref(), noise.private, noise.buffer_m), (Some("Ruidos"), true, 0));
    assert_eq!(noise.service, protocol::kind::Service::Police);
    let fire = kind("fire");
    assert_eq!((fire.enabled, fire.private, fire.buffer_m), (false, false, 900));
    assert_eq!((kind("sos").enabled, kind("sos").buffer_m), (true, 300));
}

#[test]
fn secret_written_into_the_file_is_refused_and_not_repeated() {
    for written in [
        "\"hunter2\"",
        "[\"hunter2\"]",
        "{ value = \"hunter2\" }",
        "{ file = [\"hunter2\"] }",
        "{ file = \"k.pem\", password = \"hunter2\" }",
        "{ file = { text = \"hunter2\" } }",
        "8417",
        "84.17",
        "8417-08-17",
        "\"hunter2",
        "\"hunter2\" \"hunter2\"",
        "hunter2",
    ] {
        let text = format!("[http]\ntls = {{ cert = \"c.pem\", key = {written} }}\n");
        let error = Config::parse(&text, "cuadra.toml").unwrap_err();
        let said = format!("{error} {error:?}");
        assert!(!said.contains("hunter2") && !said.contains("8417") && !said.contains("84.17"), "{said}");
        assert!(said.contains("line 2"), "{said}");
    }
    check(
        "[http]\ntls = { cert = \"c.pem\", key = \"hunter2\" }\n",
        expect![[
            r#"cuadra.toml, line 2, column 31: expected { file = "FILE" } or { env = "VARIABLE" }: a secret is never written into this file"#
        ]],
    );
}

#[test]
fn relative_paths_start_from_the_file_s_folder() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cuadra.toml");
    std::fs::write(
        &path,
        "[http]\ntls = { cert = \"c.pem\", key = { file = \"k.pem\" } }\n[storage]\nfolder = \"d\"\nbackups = \"/b\"\n",
    )
    .unwrap();
    let config = Config::load(&path).unwrap();
    assert_eq!(config.storage.folder, folder.path().join("d"));
    assert_eq!(config.storage.backups, Path::new("/b"));
    let Tls::Files(files) = config.http.tls else { panic!("a certificate was given") };
    assert_eq!(files.cert, folder.path().join("c.pem"));
    assert_eq!(files.key, crate::Secret::File(folder.path().join("k.pem")));
}

#[test]
fn file_that_is_missing_or_huge_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cuadra.toml");
    assert!(matches!(Config::load(&path), Err(ConfigError::Read(..))));
    std::fs::write(&path, "#".repeat(usize::try_from(CONFIG_BYTES_MAX).unwrap() + 1)).unwrap();
    assert!(matches!(Config::load(&path), Err(ConfigError::TooLarge(_))));
}

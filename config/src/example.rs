//! The commented example that `cuadra config example` prints. It parses to the defaults and names every
//! field there is; its tests hold it to both.

/// The whole example: every field, its meaning and its default. Lines that start with `#` and a letter
/// or bracket are settings to uncomment; lines that start with `# ` are prose.
#[must_use]
pub fn example() -> &'static str {
    include_str!("example.toml")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::net::{IpAddr, Ipv4Addr};
    use std::num::{NonZeroU32, NonZeroU64};

    use protocol::ids::Code;

    use super::*;
    use crate::Secret;
    use crate::settings::*;
    use crate::values::*;

    #[test]
    fn example_parses_to_the_defaults() {
        assert_eq!(Config::parse(example(), "example").unwrap(), Config::default());
    }

    /// Settings that are off start with `#` and no blank.
    fn uncommented() -> String {
        let lines = example().lines().map(|line| match line.strip_prefix('#') {
            Some(setting) if !setting.starts_with(' ') => setting,
            _ => line,
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    /// A configuration with something in every field. No `..`, so that a new field has to come in here.
    fn full() -> Config {
        let name = |text: &str| Name::parse(text).unwrap();
        let code = Code::chile(13_130);
        let address = HostPort::parse("10.0.0.7:8444").unwrap();
        let kind = "[[kinds]]\nkind = \"noise\"\nlabel = \"x\"\nenabled = true\nprivate = true\nbuffer_m = 0\n\
                    service = \"police\"\n";
        Config {
            node: Node {
                name: name("x"),
                emergency_number: EmergencyNumber::default(),
                language: Language::English,
                time_zone: TimeZoneName::default(),
                roles: vec![],
                invented_places: true,
                jurisdictions: vec![Jurisdiction {
                    code,
                    name: name("x"),
                    population: 1,
                    target_percent: Percent::default(),
                }],
            },
            http: Http {
                listen: ([127, 0, 0, 1], 1).into(),
                origin: Origin::default(),
                tls: Tls::Off,
                trusted_proxies: vec![IpAddr::V4(Ipv4Addr::LOCALHOST)],
            },
            federation: Federation {
                listen: ([127, 0, 0, 1], 2).into(),
                advertise: Some(address.clone()),
                peers: vec![Peer { member: PeerName::Name(name("x")), address }],
            },
            storage: Storage {
                folder: "f".into(),
                ballast_bytes: 1,
                backups: "b".into(),
                retention_days: NonZeroU32::MIN,
                retired_days: NonZeroU32::MIN,
            },
            limits: Limits {
                photo_bytes_max: NonZeroU64::MIN,
                session_days: NonZeroU32::MIN,
                invitation_days: NonZeroU32::MIN,
                live_pages_max: NonZeroU32::MIN,
            },
            kinds: Config::parse(kind, "x").unwrap().kinds,
            territory: TerritoryFiles { boundaries: vec![BoundaryFile { code, file: "x".into() }] },
            log: Log { level: LogLevel::Trace, json: true },
        }
    }

    fn fields(prefix: &str, value: &toml::Value, found: &mut BTreeSet<String>) {
        match value {
            toml::Value::Table(table) => {
                for (key, value) in table {
                    fields(&format!("{prefix}.{key}"), value, found);
                }
            }
            toml::Value::Array(list) if list.iter().any(toml::Value::is_table) => {
                list.iter().for_each(|entry| fields(prefix, entry, found));
            }
            toml::Value::Array(_)
            | toml::Value::String(_)
            | toml::Value::Integer(_)
            | toml::Value::Float(_)
            | toml::Value::Boolean(_)
            | toml::Value::Datetime(_) => {
                found.insert(prefix.to_owned());
            }
        }
    }

    fn fields_of(text: &str) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        fields("", &toml::Value::Table(toml::from_str(text).unwrap()), &mut found);
        found
    }

    #[test]
    fn every_field_is_in_the_example_and_nothing_else() {
        let text = uncommented();
        Config::parse(&text, "example").unwrap();
        assert_eq!(fields_of(&text), fields_of(&full().to_toml()));
    }

    #[test]
    fn every_setting_of_the_example_has_a_comment_above() {
        let lines: Vec<&str> = example().lines().collect();
        for pair in lines.windows(2) {
            let setting = pair[1].trim_start_matches('#');
            if setting.split_once(" = ").is_some_and(|(key, _)| !key.contains(' ')) {
                assert!(pair[0].starts_with("# "), "{}", pair[1]);
            }
        }
    }

    #[test]
    fn configuration_written_out_reads_back_equal() {
        let mut config = full();
        for tls in [
            Tls::Off,
            Tls::SelfSigned,
            Tls::Files(TlsFiles { cert: "c.pem".into(), key: Secret::Env("KEY".into()) }),
            Tls::Files(TlsFiles { cert: "c.pem".into(), key: Secret::File("k.pem".into()) }),
        ] {
            config.http.tls = tls;
            assert_eq!(Config::parse(&config.to_toml(), "written").unwrap(), config);
        }
        config.federation.peers[0].member = PeerName::Id(protocol::ids::MemberId([7; 32]));
        assert_eq!(Config::parse(&config.to_toml(), "written").unwrap(), config);
        assert_eq!(Config::parse(&Config::default().to_toml(), "written").unwrap(), Config::default());
    }
}

use std::io::Write;

use super::*;

fn load_file(text: &str) -> Result<Settings, String> {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(text.as_bytes()).expect("written");
    let sources = Sources { file: Some(file.path().to_owned()), ..Sources::default() };
    Settings::load(&sources).map_err(|error| {
        let text = error.to_string();
        assert!(text.contains(&file.path().display().to_string()), "says where: {text}");
        text
    })
}

fn load_environment(variables: &[(&str, &str)]) -> Result<Settings, String> {
    let environment = variables.iter().map(|(name, value)| (name.into(), value.into())).collect();
    let sources = Sources { environment, ..Sources::default() };
    Settings::load(&sources).map_err(|error| error.to_string())
}

/// The example with every `# key = value` made a setting.
fn example() -> String {
    let lines = include_str!("../../chat-server.example.toml").lines();
    lines
        .map(|line| match line.strip_prefix("# ") {
            Some(setting) if setting.split_once(" = ").is_some_and(|(key, _)| !key.contains(' ')) => setting,
            _ => line,
        })
        .fold(String::new(), |text, line| text + line + "\n")
}

#[test]
fn nothing_given_means_the_defaults() {
    assert_eq!(Settings::load(&Sources::default()).expect("defaults"), Settings::default());
}

#[test]
fn the_example_names_every_setting_with_its_default() {
    assert_eq!(load_file(&example()).expect("parses"), Settings::default());
    let untouched = load_file(include_str!("../../chat-server.example.toml")).expect("parses");
    assert_eq!(untouched, Settings::default());
    let table: figment::value::Dict = figment::Figment::new()
        .merge(<figment::providers::Toml as figment::providers::Format>::string(&example()))
        .extract()
        .expect("a table");
    let defaults: figment::value::Dict =
        figment::Figment::from(figment::providers::Serialized::defaults(Settings::default()))
            .extract()
            .expect("a table");
    assert_eq!(count(&table), count(&defaults));
}

fn count(dict: &figment::value::Dict) -> usize {
    dict.values().map(|value| value.as_dict().map_or(1, count)).sum()
}

#[test]
fn the_engine_runs_with_its_own_defaults_unless_told_otherwise() {
    let (ours, theirs) = (Settings::default().engine(), chat_core::EngineConfig::default());
    assert_eq!(format!("{ours:?}"), format!("{theirs:?}"));
}

#[test]
fn connections_are_served_with_the_drivers_defaults_unless_told_otherwise() {
    let ours = Settings::default().connection();
    assert_eq!(format!("{ours:?}"), format!("{:?}", chat_proto::server::ConnectionConfig::default()));
}

#[test]
fn the_store_on_mysql_is_opened_as_the_settings_say() {
    let ours = Settings::default().mysql_options();
    assert_eq!(format!("{ours:?}"), format!("{:?}", chat_store::mysql::MysqlOptions::default()));
    let settings =
        load_file("[mysql]\nreaders = 2\nwriters = 3\nshards = 4\ndeadline_ms = 5").expect("loads");
    let options = settings.mysql_options();
    assert_eq!((options.readers, options.writers, options.shards), (2, 3, 4));
    assert_eq!(options.deadline, std::time::Duration::from_millis(5));
}

#[test]
fn flags_beat_the_environment_and_the_environment_the_file() {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(b"listen = '127.0.0.1:1'\nnode = 'file'\n[groups]\nmember_limit = 5\n").expect("written");
    let sources = Sources {
        file: Some(file.path().to_owned()),
        environment: vec![
            ("CHAT_LISTEN".into(), "127.0.0.1:2".into()),
            ("CHAT_NODE".into(), "7".into()),
            ("CHAT_SERVER".into(), "the client's".into()),
            ("PATH".into(), "/bin".into()),
        ],
        listen: Some("127.0.0.1:3".parse().expect("an address")),
        ..Sources::default()
    };
    let settings = Settings::load(&sources).expect("loads");
    assert_eq!(settings.listen.port(), 3);
    assert_eq!(settings.node, "7", "a name may look like a number");
    assert_eq!(settings.groups.member_limit, 5);
    assert_eq!(settings.data, Settings::default().data);
}

#[test]
fn an_unknown_key_is_refused_with_what_could_stand_there() {
    let error = load_file("lisen = 'x'").expect_err("refused");
    assert!(error.contains("`lisen` is no setting"), "{error}");
    assert!(error.contains("listen") && error.contains("connections"), "{error}");
    let error = load_file("[groups]\nlimit = 3").expect_err("refused");
    assert!(error.contains("`groups.limit`") && error.contains("member_limit"), "{error}");
    let error = load_environment(&[("CHAT_LISTN", "x")]).expect_err("refused");
    assert!(error.contains("CHAT_LISTN") && error.contains("CHAT_LISTEN"), "{error}");
}

#[test]
fn a_wrong_value_is_refused_with_key_found_expected_and_origin() {
    for (text, parts) in [
        ("listen = 'here'", &["`listen`", "\"here\"", "127.0.0.1:6060"][..]),
        ("http = 'everywhere'", &["`http`", "\"everywhere\"", "127.0.0.1:9090"]),
        ("listen = 6060", &["`listen`", "6060"]),
        ("proxies = '127.0.0.1, lb.example'", &["`proxies`", "\"127.0.0.1, lb.example\"", "10.0.0.0/8"]),
        ("proxies = '10.0.0.0/33'", &["`proxies`", "\"10.0.0.0/33\" is none"]),
        ("proxies = ['127.0.0.1']", &["`proxies`", "a list", "a text"]),
        ("store = 'postgres://u:secret@h/d'", &["`store`", "\"postgres://\"", "mysql://"]),
        ("bus = 'localhost'", &["`bus`", "no address", "redis-cluster://"]),
        ("bus = 'redis://localhost'", &["`bus`", "embedded store"]),
        (
            "store = 'mysql://h/d'\nbus = 'redis://localhost'\nnode = 'node'",
            &["`node`", "\"node\"", "--node"],
        ),
        ("[connections]\nmax = 'many'", &["`connections.max`", "\"many\"", "whole number"]),
        ("[connections]\nmax = -1", &["`connections.max`", "-1", "not negative"]),
        ("[connections]\nmax = 0", &["`connections.max`", "is 0", "at least 1"]),
        ("[mysql]\nshards = 0", &["`mysql.shards`", "is 0", "at least 1"]),
        ("[messages]\nbody_limit_bytes = 99999999", &["`messages.body_limit_bytes`", "99999999", "at most"]),
        ("[accounts]\ndevices = 'one'", &["`accounts.devices`", "\"one\"", "\"newest_only\""]),
        ("connections = 3", &["`connections`", "3", "table"]),
        ("log = 'chat_core=loud'", &["`log`", "chat_core=loud", "directives"]),
        ("listen = ", &["not TOML", "line 1"]),
    ] {
        let error = load_file(text).expect_err(text);
        for part in parts {
            assert!(error.contains(part), "{part} in: {error}");
        }
    }
    let error = load_environment(&[("CHAT_RATES_COMMANDS_BURST", "lots")]).expect_err("refused");
    for part in ["environment variable CHAT_RATES_COMMANDS_BURST", "`rates.commands_burst`", "\"lots\""] {
        assert!(error.contains(part), "{part} in: {error}");
    }
}

#[test]
fn a_missing_file_is_an_error_that_names_it() {
    let sources = Sources { file: Some("no/such/file.toml".into()), ..Sources::default() };
    let error = Settings::load(&sources).expect_err("refused").to_string();
    assert!(error.contains("no/such/file.toml"), "{error}");
}

#[test]
fn what_is_said_of_a_wrong_address_keeps_its_password() {
    for text in ["store = 'postgres://u:secret@h/d'", "bus = 'amqp://u:secret@h'"] {
        let error = load_file(text).expect_err("refused");
        assert!(!error.contains("secret"), "{error}");
    }
}

//! Where values come from: the file, the environment, the command line.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use figment::providers::{Format, Serialized, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};

use super::{Settings, SettingsError};

/// Variables that begin as ours do and belong to others: the client's, and the file's own name.
const NOT_SETTINGS: [&str; 3] = ["CHAT_SERVER", "CHAT_PROFILE_DIR", "CHAT_CONFIG"];

/// What was given beside the defaults.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The TOML file.
    pub file: Option<PathBuf>,
    /// The process's environment; variables that do not begin with `CHAT_` are passed over.
    pub environment: Vec<(OsString, OsString)>,
    /// The flag `--listen`.
    pub listen: Option<SocketAddr>,
    /// The flag `--http`.
    pub http: Option<SocketAddr>,
    /// The flag `--data`.
    pub data: Option<PathBuf>,
    /// The flag `--store`.
    pub store: Option<String>,
    /// The flag `--bus`.
    pub bus: Option<String>,
    /// The flag `--node`.
    pub node: Option<String>,
}

impl Settings {
    /// Settings from the defaults and these sources.
    ///
    /// # Errors
    /// The first value that cannot be used, or key that does not exist.
    pub fn load(sources: &Sources) -> Result<Self, SettingsError> {
        let known = known_keys();
        let mut figment = Figment::from(Serialized::defaults(Self::default()));
        if let Some(path) = &sources.file {
            figment = figment.merge(read_file(path, &known)?);
        }
        for variable in variables(&sources.environment, &known)? {
            figment = figment.merge(variable);
        }
        if let Some(listen) = sources.listen {
            figment = figment.merge(Given::flag("--listen", "listen", listen.to_string()));
        }
        if let Some(http) = sources.http {
            figment = figment.merge(Given::flag("--http", "http", http.to_string()));
        }
        if let Some(data) = &sources.data {
            figment = figment.merge(Given::flag("--data", "data", data.to_string_lossy()));
        }
        for (key, value) in [("store", &sources.store), ("bus", &sources.bus), ("node", &sources.node)] {
            if let Some(value) = value {
                figment = figment.merge(Given::flag(&format!("--{key}"), key, value));
            }
        }
        let origin = |key: &str| figment.find_metadata(key).map_or("defaults".into(), origin);
        let raw = |key: &str| figment.find_value(key).map_or("absent".into(), |value| shown(&value));
        let settings: Self = figment.extract().map_err(|error| {
            let from = error.metadata.as_ref().map_or_else(|| origin(&error.path.join(".")), self::origin);
            SettingsError::of_value(&error, from, raw)
        })?;
        settings.check(origin)?;
        Ok(settings)
    }
}

fn origin(metadata: &Metadata) -> String {
    match metadata.source.as_ref().and_then(|source| source.file_path()) {
        Some(path) => path.display().to_string(),
        None => metadata.name.clone().into_owned(),
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(_, text) => format!("\"{text}\""),
        Value::Num(_, number) => number.to_u128().map_or("a number".into(), |number| number.to_string()),
        other => format!("{other:?}"),
    }
}

/// Every key that ends in a value, with its default.
fn known_keys() -> BTreeMap<String, Value> {
    fn walk(prefix: &str, dict: Dict, into: &mut BTreeMap<String, Value>) {
        for (name, value) in dict {
            let key = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
            match value {
                Value::Dict(_, inner) => walk(&key, inner, into),
                value => {
                    into.insert(key, value);
                }
            }
        }
    }
    let mut keys = BTreeMap::new();
    let defaults =
        Serialized::defaults(Settings::default()).data().expect("the defaults serialise to a table");
    defaults.into_values().for_each(|dict| walk("", dict, &mut keys));
    keys
}

fn read_file(path: &Path, known: &BTreeMap<String, Value>) -> Result<impl Provider + use<>, SettingsError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| SettingsError::Unreadable { path: path.to_owned(), source })?;
    let data = Toml::string(&text)
        .data()
        .map_err(|error| SettingsError::Syntax { path: path.to_owned(), message: error.to_string() })?;
    for dict in data.values() {
        refuse_unknown("", dict, known, path)?;
    }
    // Read a second time by its path, so that every value carries it as its origin.
    Ok(Toml::file_exact(path))
}

fn refuse_unknown(
    prefix: &str,
    dict: &Dict,
    known: &BTreeMap<String, Value>,
    path: &Path,
) -> Result<(), SettingsError> {
    for (name, value) in dict {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        let table = format!("{key}.");
        let is_table = known.keys().any(|known| known.starts_with(&table));
        if !is_table && !known.contains_key(&key) {
            let origin = path.display().to_string();
            return Err(SettingsError::Unknown { origin, expected: neighbours(prefix, known), key });
        }
        if let (true, Value::Dict(_, inner)) = (is_table, value) {
            refuse_unknown(&key, inner, known, path)?;
        }
    }
    Ok(())
}

/// What can stand beside a key that does not exist.
fn neighbours(prefix: &str, known: &BTreeMap<String, Value>) -> String {
    let mut names: Vec<&str> = known
        .keys()
        .filter_map(|key| {
            let rest = if prefix.is_empty() { key } else { key.strip_prefix(prefix)?.strip_prefix('.')? };
            rest.split('.').next()
        })
        .collect();
    names.dedup();
    let place = if prefix.is_empty() { "at the top" } else { prefix };
    format!("{place} there can be {}", names.join(", "))
}

fn variable_of(key: &str) -> String {
    format!("CHAT_{}", key.replace('.', "_").to_uppercase())
}

fn variables(
    environment: &[(OsString, OsString)],
    known: &BTreeMap<String, Value>,
) -> Result<Vec<Given>, SettingsError> {
    let by_variable: BTreeMap<String, (&String, &Value)> =
        known.iter().map(|(key, default)| (variable_of(key), (key, default))).collect();
    let mut given = Vec::new();
    for (name, value) in environment {
        let name = name.to_string_lossy();
        if !name.starts_with("CHAT_") || NOT_SETTINGS.contains(&&*name) {
            continue;
        }
        let Some((key, default)) = by_variable.get(&*name) else {
            let expected = format!("nearest to it is {}", nearest(&name, by_variable.keys()).join(", "));
            return Err(SettingsError::Unknown {
                origin: "environment".into(),
                key: name.into_owned(),
                expected,
            });
        };
        given.push(Given {
            origin: format!("environment variable {name}"),
            key: (*key).clone(),
            value: like(default, &value.to_string_lossy()),
        });
    }
    Ok(given)
}

/// The names that begin most like this one.
fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a String> + Clone) -> Vec<&'a str> {
    let shared = |other: &str| name.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count();
    let most = known.clone().map(|other| shared(other)).max().unwrap_or(0);
    known.map(String::as_str).filter(|other| shared(other) == most).collect()
}

/// A variable's text as a value of the type that the key has; left a text when it cannot be one, so
/// that the refusal shows it.
fn like(default: &Value, text: &str) -> Value {
    match default {
        Value::Num(..) => text.trim().parse::<u64>().map_or_else(|_| Value::from(text), Value::from),
        Value::Bool(..) => text.trim().parse::<bool>().map_or_else(|_| Value::from(text), Value::from),
        _ => Value::from(text),
    }
}

/// One value and where it came from.
#[derive(Debug)]
struct Given {
    origin: String,
    key: String,
    value: Value,
}

impl Given {
    fn flag(flag: &str, key: &str, value: impl AsRef<str>) -> Self {
        Self { origin: format!("flag {flag}"), key: key.into(), value: Value::from(value.as_ref()) }
    }
}

impl Provider for Given {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.origin.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let value = figment::util::nest(&self.key, self.value.clone());
        let dict = value.into_dict().expect("a key without a table is nested into one");
        Ok(Profile::Default.collect(dict))
    }
}

//! Layers of configuration: flag over environment over file over default.
//!
//! Each layer is checked alone, so that an error names the layer, and in a file the line and
//! column; then all are merged, and each value remembers where it came from.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use thiserror::Error;
use toml::{Table, Value};

use super::{BadValue, Config};

/// Prefix of environment variables: `IBOUNCER_GATEWAY__CLIENT_ID`.
const PREFIX: &str = "IBOUNCER_";

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// Built in.
    Default,
    /// A file.
    File(PathBuf),
    /// An environment variable.
    Environment(String),
    /// A flag on the command line.
    Flag(String),
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => formatter.write_str("default"),
            Self::File(path) => write!(formatter, "{}", path.display()),
            Self::Environment(name) => write!(formatter, "${name}"),
            Self::Flag(flag) => formatter.write_str(flag),
        }
    }
}

/// Why there is no configuration.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("read configuration {}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is not good; the message has line and column.
    #[error("configuration {}:\n{message}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the parser says.
        message: String,
    },
    /// A variable or flag is not good.
    #[error("{source_of}: {message}")]
    Value {
        /// Which one.
        source_of: Source,
        /// What is wrong.
        message: String,
    },
    /// A value that is well formed and cannot be.
    #[error("{bad} (from {source_of})")]
    Bad {
        /// What.
        bad: BadValue,
        /// Where it comes from.
        source_of: Source,
    },
}

/// What the layers are made of.
#[derive(Debug, Clone, Default)]
pub struct Layers {
    /// A file, and whether the user named it: then it must exist.
    pub file: Option<(PathBuf, bool)>,
    /// All environment variables.
    pub environment: Vec<(String, String)>,
    /// `KEY=VALUE`, with the flag that said it.
    pub flags: Vec<(String, String)>,
    /// Another instance than the default one has no TCP listener unless it is configured.
    pub only_unix_socket: bool,
}

/// The configuration, and where each value came from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The values.
    pub config: Config,
    /// Key to source.
    pub provenance: BTreeMap<String, Source>,
    /// The file that was read.
    pub file: Option<PathBuf>,
}

impl Layers {
    /// Reads, checks and merges.
    pub fn load(&self) -> Result<Loaded, ConfigError> {
        let mut defaults = Config::default();
        if self.only_unix_socket {
            defaults.grpc.listen = "off".into();
        }
        let mut merged = Table::try_from(&defaults).expect("the defaults are plain values");
        let mut provenance: BTreeMap<String, Source> =
            flatten(&merged).into_keys().map(|key| (key, Source::Default)).collect();
        let mut apply = |table: &Table, source: &Source| {
            for (key, value) in flatten(table) {
                provenance.insert(key.clone(), source.clone());
                set(&mut merged, &key, value);
            }
            // A client without any setting is a mistake that must be seen.
            for name in
                table.get("clients").and_then(Value::as_table).into_iter().flat_map(Table::keys)
            {
                let clients = merged.entry("clients").or_insert_with(|| Table::new().into());
                let clients = clients.as_table_mut().expect("every layer was checked");
                clients.entry(name.clone()).or_insert_with(|| Table::new().into());
            }
        };
        let mut read = None;
        if let Some((path, must_exist)) = &self.file
            && let Some(table) = read_file(path, *must_exist)?
        {
            apply(&table, &Source::File(path.clone()));
            read = Some(path.clone());
        }
        for (name, text) in &self.environment {
            if let Some(key) = key_of_variable(name) {
                let source = Source::Environment(name.clone());
                apply(&single(&key, text, &source)?, &source);
            }
        }
        for (flag, setting) in &self.flags {
            let source = Source::Flag(flag.clone());
            let (key, text) = setting.split_once('=').ok_or_else(|| ConfigError::Value {
                source_of: source.clone(),
                message: format!("{setting:?} is not KEY=VALUE"),
            })?;
            apply(&single(key.trim(), text, &source)?, &source);
        }
        let config: Config = merged.try_into().expect("every layer was checked");
        config.check().map_err(|bad| {
            let source_of = provenance.get(bad.key.as_ref()).cloned().unwrap_or(Source::Default);
            ConfigError::Bad { bad, source_of }
        })?;
        Ok(Loaded { config, provenance, file: read })
    }
}

/// A table's values by their dotted keys.
pub fn flatten(table: &Table) -> BTreeMap<String, Value> {
    fn walk(table: &Table, prefix: &str, out: &mut BTreeMap<String, Value>) {
        for (key, value) in table {
            let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
            match value {
                Value::Table(inner) => walk(inner, &path, out),
                other => {
                    out.insert(path, other.clone());
                }
            }
        }
    }
    let mut out = BTreeMap::new();
    walk(table, "", &mut out);
    out
}

fn read_file(path: &Path, must_exist: bool) -> Result<Option<Table>, ConfigError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !must_exist => {
            return Ok(None);
        }
        Err(source) => {
            return Err(ConfigError::Read { path: path.to_owned(), source });
        }
    };
    let bad = |error: toml::de::Error| ConfigError::File {
        path: path.to_owned(),
        message: error.to_string().trim_end().to_owned(),
    };
    // For its checks and the places in its errors; the values are taken from the plain table.
    toml::from_str::<Config>(&text).map_err(bad)?;
    text.parse::<Table>().map_err(bad).map(Some)
}

/// One `KEY=VALUE` as a table that passes the checks.
fn single(key: &str, text: &str, source: &Source) -> Result<Table, ConfigError> {
    // "411" and "true" are what they look like; anything that is no TOML value is a string.
    let as_value =
        format!("value = {text}").parse::<Table>().ok().and_then(|mut table| table.remove("value"));
    let candidates = [as_value, Some(Value::String(text.to_owned()))];
    let mut first_error = None;
    for value in candidates.into_iter().flatten() {
        let mut table = Table::new();
        set(&mut table, key, value);
        match Config::try_from_table(&table) {
            Ok(()) => return Ok(table),
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    let message = first_error.map_or_else(String::new, |error| error.to_string());
    let message = format!("{key}={text}: {}", message.trim().replace('\n', " "));
    Err(ConfigError::Value { source_of: source.clone(), message })
}

impl Config {
    fn try_from_table(table: &Table) -> Result<(), toml::de::Error> {
        table.clone().try_into::<Self>().map(|_| ())
    }
}

fn set(table: &mut Table, key: &str, value: Value) {
    let mut inner = table;
    let mut path = path_of(key);
    let last = path.pop().unwrap_or(key);
    for head in path {
        let entry = inner.entry(head).or_insert_with(|| Value::Table(Table::new()));
        let Value::Table(next) = entry else {
            return;
        };
        inner = next;
    }
    inner.insert(last.to_owned(), value);
}

/// A key's parts. A client's name can have dots of its own; its settings have none below them.
fn path_of(key: &str) -> Vec<&str> {
    match key.strip_prefix("clients.").and_then(|rest| rest.rsplit_once('.')) {
        Some((name, setting)) => vec!["clients", name, setting],
        None => key.split('.').collect(),
    }
}

/// `IBOUNCER_GATEWAY__CLIENT_ID` is `gateway.client_id`. Variables without the double underscore
/// are not settings (`IBOUNCER_INSTANCE`, `IBOUNCER_TOKEN`).
fn key_of_variable(name: &str) -> Option<String> {
    let rest = name.strip_prefix(PREFIX)?;
    rest.contains("__").then(|| rest.to_ascii_lowercase().replace("__", "."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RoleConfig;

    fn layers(environment: &[(&str, &str)], flags: &[&str]) -> Layers {
        Layers {
            environment: environment.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect(),
            flags: flags.iter().map(|setting| ("--set".into(), (*setting).into())).collect(),
            ..Layers::default()
        }
    }

    #[test]
    fn flags_win_over_environment_and_say_so() {
        let environment =
            [("IBOUNCER_GATEWAY__CLIENT_ID", "7"), ("IBOUNCER_DEADLINES__TOTAL", "9s")];
        let loaded = layers(&environment, &["gateway.client_id=8"]).load().unwrap();
        assert_eq!(loaded.config.gateway.client_id, 8);
        assert_eq!(loaded.provenance["gateway.client_id"], Source::Flag("--set".into()));
        assert_eq!(
            loaded.provenance["deadlines.total"],
            Source::Environment("IBOUNCER_DEADLINES__TOTAL".into())
        );
        assert_eq!(loaded.provenance["pacing.lines"], Source::Default);
    }

    #[test]
    fn an_unknown_key_in_a_file_has_line_and_column() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        std::fs::write(&path, "[gateway]\nclient_id = 5\nadress = \"x:1\"\n").unwrap();
        let layers = Layers { file: Some((path, true)), ..Layers::default() };
        let error = layers.load().unwrap_err().to_string();
        assert!(error.contains("line 3, column 1"), "{error}");
        assert!(error.contains("adress") && error.contains("address"), "{error}");
    }

    #[test]
    fn bad_settings_name_their_flag() {
        for (setting, wanted) in [
            ("gateway.adress=x", "unknown field"),
            ("gateway.client_id=abc", "gateway.client_id=abc"),
            ("nonsense", "KEY=VALUE"),
            ("deadlines.total=soon", "10s"),
            ("pacing.lines=0", "at least one line"),
        ] {
            let error = layers(&[], &[setting]).load().unwrap_err().to_string();
            assert!(error.contains(wanted) && error.contains("--set"), "{setting}: {error}");
        }
    }

    #[test]
    fn lists_and_strings_can_be_set_without_quotes() {
        let flags = ["attempts.backoff=[\"10ms\"]", "gateway.address=localhost:7497"];
        let loaded = layers(&[], &flags).load().unwrap();
        assert_eq!(loaded.config.attempts.backoff.len(), 1);
        assert_eq!(loaded.config.gateway.address, "localhost:7497");
    }

    #[test]
    fn clients_can_be_set_in_every_layer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        let text =
            "[clients.momentum]\nuid = 7\nrole = \"trade\"\n[clients.\"risk.eu\"]\nuid = 8\n";
        std::fs::write(&path, text).unwrap();
        let mut layers = layers(
            &[("IBOUNCER_CLIENTS__MOMENTUM__MAX_QUANTITY", "100")],
            &[
                "clients.momentum.role=admin",
                "clients.risk.eu.role=trade",
                "clients.desk-2.uid=9",
                "clients.desk-2.accounts=[\"DU0000001\"]",
            ],
        );
        layers.file = Some((path, true));
        let loaded = layers.load().unwrap();
        let clients = &loaded.config.clients;
        let names: Vec<_> = clients.keys().collect();
        assert_eq!(names, ["desk-2", "momentum", "risk.eu"]);
        assert_eq!(clients["momentum"].role, RoleConfig::Admin);
        assert_eq!(clients["momentum"].max_quantity, Some(100.0));
        assert_eq!((clients["risk.eu"].role, clients["risk.eu"].uid), (RoleConfig::Trade, Some(8)));
        assert_eq!(clients["desk-2"].accounts, ["DU0000001"]);
        let from = &loaded.provenance["clients.momentum.role"];
        assert_eq!(from, &Source::Flag("--set".into()));
    }

    #[test]
    fn bad_clients_are_named_with_their_layer() {
        for (flags, wanted) in [
            (&["clients.momentum.role=trader"][..], "unknown variant `trader`"),
            (&["clients.momentum.rôle=trade"], "unknown field"),
            (&["clients.momentum.role=trade"], "no credential"),
            (&["clients.momentum.uid=-5"], "clients.momentum.uid=-5"),
            (&["clients.momentum=5"], "clients.momentum"),
            (&["clients.momentum.uid=5", "clients.momentum.max_quantity=-1"], "above 0"),
            (&["clients.momentum.uid=5", "clients.momentum.max_open_orders=0"], "1 or more"),
            (&["clients.momentum.tls_subject=CN=x"], "grpc.tls.client_ca"),
            (&["clients.momentum.tls_subject=momentum"], "RFC2253"),
            (
                &[
                    "grpc.tls.cert=/c",
                    "grpc.tls.key=/k",
                    "grpc.tls.client_ca=/a",
                    "clients.a.tls_subject=CN=x",
                    "clients.b.tls_subject=CN=x",
                ],
                "names one client",
            ),
            (&["grpc.tls.cert=/c"], "grpc.tls.key"),
            (&["grpc.tls.client_ca=/a"], "grpc.tls.cert"),
            (&["grpc.listen=0.0.0.0:4010"], "beyond loopback TLS is needed"),
            (&["clients.momentum.token_file=x/y"], "absolute"),
            (&["clients.a b.uid=5"], "letters, digits"),
            (&["clients.a.uid=5", "clients.A.uid=5"], "upper and lower case"),
            (&["clients.a.token_file=/t", "clients.b.token_file=/t"], "names one client"),
            (&["clients.a.uid=5", "clients.a.cancel_on_disconnect_grace=5s"], "as well"),
            (&["clients.a.uid=5", "clients.a.exercise=true"], "exercises nothing"),
            (&["trading.allow_live=true"], "name the live accounts"),
            (&["trading.live_accounts=[\"U0000001\"]"], "allow_live"),
            (&["trading.volatile_state=ignore"], "unknown variant"),
            (&["gateway.expect=demo"], "unknown variant"),
        ] {
            let error = layers(&[], flags).load().unwrap_err().to_string();
            assert!(error.contains(wanted), "{flags:?}: {error}");
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        std::fs::write(&path, "[clients.momentum]\n").unwrap();
        let empty = Layers { file: Some((path, true)), ..Layers::default() };
        assert!(empty.load().unwrap_err().to_string().contains("no credential"));
        let error = layers(&[], &["clients.a.uid=5", "clients.a.price_band=0"]).load().unwrap_err();
        assert!(error.to_string().contains("(from --set)"), "{error}");
    }

    #[test]
    fn a_file_that_nobody_named_may_be_absent() {
        let mut layers =
            Layers { file: Some(("/nonexistent/a.toml".into(), false)), ..Layers::default() };
        assert!(layers.load().is_ok());
        layers.file = Some(("/nonexistent/a.toml".into(), true));
        assert!(matches!(layers.load(), Err(ConfigError::Read { .. })));
    }
}

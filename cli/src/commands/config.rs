//! `ibouncer config check|init|show`, and the layers that `serve` shares with them.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use ibouncer_broker::chain;
use ibouncer_broker::config::{Layers, Loaded, layers, template};
use ibouncer_proto::places::{Places, Wishes};
use serde_json::json;

use crate::args::{Config, Global, Settings};
use crate::exit::{Complaint, Exit, Failure};
use crate::output::Output;

pub(crate) fn run(order: &Config, global: &Global, output: &mut Output) -> Result<Exit, Failure> {
    match order {
        Config::Check { settings } => check(settings, global, output),
        Config::Init { file } => init(file.as_deref(), global, output),
        Config::Show { settings } => show(settings, global, output),
    }
}

/// The folders of the instance that the command line names.
pub(crate) fn places(global: &Global) -> Result<Places, Failure> {
    let wishes = Wishes {
        runtime_dir: global.runtime_dir.as_deref().map(absolute),
        state_dir: global.state_dir.as_deref().map(absolute),
        instance: global.instance.clone(),
    };
    Places::resolve(&wishes, |name| std::env::var_os(name))
        .map_err(|error| Complaint::usage(error.to_string()).into())
}

/// The configuration of the command line, the environment, the file and the defaults.
pub(crate) fn load(settings: &Settings, places: &Places) -> Result<Loaded, Failure> {
    let mut flags = Vec::new();
    let mut flag = |name: &str, key: &str, value: Option<String>| {
        if let Some(value) = value {
            flags.push((name.to_owned(), format!("{key}={value}")));
        }
    };
    flag("--gateway", "gateway.address", settings.gateway.clone());
    flag("--client-id", "gateway.client_id", settings.client_id.map(|id| id.to_string()));
    flag("--handshake-timeout", "deadlines.total", settings.handshake_timeout.clone());
    flags.extend(settings.set.iter().map(|setting| ("--set".to_owned(), setting.clone())));
    let file = match &settings.config {
        Some(path) => Some((path.clone(), true)),
        None => default_file(places, |name| std::env::var_os(name)).map(|path| (path, false)),
    };
    let layers = Layers {
        file,
        // A variable that is not text cannot be one of ours.
        environment: std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect(),
        flags,
        only_unix_socket: !places.is_default(),
    };
    layers.load().map_err(|error| {
        Complaint::usage(chain(&error)).next("ibouncer config show lists every key").into()
    })
}

fn check(settings: &Settings, global: &Global, output: &mut Output) -> Result<Exit, Failure> {
    let loaded = load(settings, &places(global)?)?;
    let file = loaded.file.as_ref().map(|path| path.display().to_string());
    if output.json() {
        output.value(&json!({ "good": true, "file": file }))?;
    } else {
        let from = file.map_or("no file, defaults only".to_owned(), |file| format!("file {file}"));
        output.text(&format!("The configuration is good ({from})."))?;
    }
    Ok(Exit::Good)
}

fn init(file: Option<&Path>, global: &Global, output: &mut Output) -> Result<Exit, Failure> {
    let path = match file {
        Some(path) => path.to_owned(),
        None => default_file(&places(global)?, |name| std::env::var_os(name))
            .ok_or_else(|| Complaint::usage("no folder for it: set HOME, or name a file"))?,
    };
    let cannot = |error: std::io::Error| {
        Complaint::usage(format!("cannot write {}: {error}", path.display()))
            .next("choose another file, or remove this one first")
    };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(cannot)?;
    }
    let mut opened = OpenOptions::new().write(true).create_new(true).open(&path).map_err(cannot)?;
    opened.write_all(template().as_bytes()).map_err(cannot)?;
    if output.json() {
        output.value(&json!({ "written": path.display().to_string() }))?;
    } else {
        output.text(&format!("Written: {}", path.display()))?;
    }
    Ok(Exit::Good)
}

fn show(settings: &Settings, global: &Global, output: &mut Output) -> Result<Exit, Failure> {
    let loaded = load(settings, &places(global)?)?;
    if output.json() {
        output.value(&as_json(&loaded)?)?;
        return Ok(Exit::Good);
    }
    let table = toml_table(&loaded)?;
    for (key, value) in &table {
        let source = loaded.provenance.get(key).map_or_else(String::new, ToString::to_string);
        let setting = format!("{key} = {value}");
        // Lists are long; their source then stands on a line of its own.
        if setting.len() > 52 {
            output.text(&format!("{setting}\n{:<52} # {source}", ""))?;
        } else {
            output.text(&format!("{setting:<52} # {source}"))?;
        }
    }
    Ok(Exit::Good)
}

/// Every setting, and where its value comes from.
pub(crate) fn as_json(loaded: &Loaded) -> Result<serde_json::Value, Failure> {
    let settings: serde_json::Map<_, _> = toml_table(loaded)?
        .iter()
        .map(|(key, value)| {
            let source = loaded.provenance.get(key).map(ToString::to_string);
            (key.clone(), json!({ "value": plain(value), "source": source }))
        })
        .collect();
    Ok(json!({ "schema": 1, "settings": settings }))
}

fn toml_table(loaded: &Loaded) -> Result<std::collections::BTreeMap<String, toml::Value>, Failure> {
    let table = toml::Table::try_from(&loaded.config)
        .map_err(|error| Complaint::internal("CONFIG", error.to_string()))?;
    Ok(layers::flatten(&table))
}

fn plain(value: &toml::Value) -> serde_json::Value {
    serde_json::to_value(value).unwrap_or(serde_json::Value::Null)
}

fn default_file(
    places: &Places,
    environment: impl Fn(&str) -> Option<OsString>,
) -> Option<PathBuf> {
    let variable = |name: &str| environment(name).filter(|value| !value.is_empty());
    let base = variable("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| variable("HOME").map(|home| Path::new(&home).join(".config")))?;
    let name = if places.is_default() {
        "config.toml".to_owned()
    } else {
        format!("{}.toml", places.instance())
    };
    Some(base.join("ibouncer").join(name))
}

/// The worker runs in another folder, so paths must not depend on ours.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

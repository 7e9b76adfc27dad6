//! `ibouncer serve`: the broker, in this process.

use ibouncer_broker::serve::serve;
use ibouncer_broker::{Announcement, Config, Ending, ServeOptions, handover, places, telemetry};
use ibouncer_proto::places::Places;
use serde_json::json;

use super::config;
use crate::args::{Global, Serve, Settings};
use crate::exit::{Complaint, Exit, Failure};
use crate::output::Output;

pub(crate) fn run(order: &Serve, global: &Global, output: &mut Output) -> Result<Exit, Failure> {
    let places = config::places(global)?;
    let loaded = config::load(&order.settings, &places)?;
    let failed = |error: anyhow::Error| Complaint::internal("SERVE", format!("{error:#}"));
    if order.prove {
        return prove(&loaded.config, &places, output).map_err(|error| failed(error).into());
    }
    telemetry::start(&loaded.config.log).map_err(failed)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| failed(error.into()))?;
    let (settings, same_places) = (order.settings.clone(), places.clone());
    let options = ServeOptions {
        config: loaded.config,
        reload: Box::new(move || reread(&settings, &same_places)),
        places,
        locks: places::lock_folder(|name| std::env::var_os(name)),
    };
    let json = output.json();
    if order.until_stdin_closes {
        std::thread::spawn(end_when_stdin_closes);
    }
    let served = runtime.block_on(serve(options, |announcement| {
        let told = if json {
            output.json_line(&as_json(announcement))
        } else {
            output.text(&as_text(announcement))
        };
        // A closed stdout is no reason not to serve.
        drop(told);
    }));
    // Nothing that may still block is worth waiting for.
    runtime.shutdown_background();
    match served.map_err(failed)? {
        Ending::Stopped => Ok(Exit::Good),
        Ending::HandOver(binary) => {
            let error = handover::become_binary(&binary);
            let what = format!("become {}: {error}", binary.display());
            Err(Complaint::internal("HANDOVER", what)
                .next("the worker keeps the session for worker.adoption_grace; start a broker now")
                .into())
        }
    }
}

/// Says whether this build could take over from a running broker; changes nothing.
fn prove(config: &Config, places: &Places, output: &mut Output) -> anyhow::Result<Exit> {
    let proof = ibouncer_broker::serve::prove_here(config, places)?;
    output.json_line(&serde_json::to_value(proof)?)?;
    Ok(Exit::Good)
}

fn reread(settings: &Settings, places: &Places) -> anyhow::Result<Config> {
    let loaded = config::load(settings, places).map_err(|complaint| match complaint {
        Failure::Told(complaint) => anyhow::anyhow!(complaint.message),
        Failure::StdoutClosed => anyhow::anyhow!("stdout is closed"),
    })?;
    Ok(loaded.config)
}

/// Reads until there is nothing left to read, then ends this process as an operator would.
fn end_when_stdin_closes() {
    let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
    // To ourselves, so there is no doubt whom it meets.
    let _ = nix::sys::signal::raise(nix::sys::signal::Signal::SIGTERM);
}

fn as_text(about: &Announcement) -> String {
    let tcp = match (about.tcp, about.tls) {
        (None, _) => "off".to_owned(),
        (Some(address), false) => format!("{address} (with token)"),
        (Some(address), true) => format!("{address} (TLS, with token or certificate)"),
    };
    let trading = match about.traders.as_slice() {
        [] => "off".to_owned(),
        traders => format!("allowed to {}", traders.join(", ")),
    };
    format!(
        "IBouncer {}, instance {}\n\
         Gateway   {} as client id {}\n\
         gRPC      unix:{}\n\
         gRPC      {tcp}\n\
         runtime   {}\n\
         state     {}\n\
         trading   {trading}",
        env!("CARGO_PKG_VERSION"),
        about.instance,
        about.gateway,
        about.client_id,
        about.socket.display(),
        about.runtime.display(),
        about.state.display(),
    )
}

fn as_json(about: &Announcement) -> serde_json::Value {
    json!({
        "event": "serving",
        "version": env!("CARGO_PKG_VERSION"),
        "pid": std::process::id(),
        "instance": about.instance,
        "gateway": about.gateway,
        "client_id": about.client_id,
        "unix": about.socket,
        "tcp": about.tcp.map(|address| address.to_string()),
        "tls": about.tls,
        "runtime": about.runtime,
        "state": about.state,
        "trading": if about.traders.is_empty() { "off" } else { "allowed" },
        "traders": about.traders,
    })
}

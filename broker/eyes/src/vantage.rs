//! Whether the tables of this host show Gateway itself.
//!
//! Only then do queue and sockets count: a relay accepts at once whatever Gateway does behind
//! it. In doubt the answer is the one that claims less, and says how to overrule it.

use std::net::SocketAddr;

use ibouncer_core::sight::{Process, Seen, Vantage};

use crate::programs::{Program, kind};
use crate::setting::Setting;

/// What there is to judge by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts<'a> {
    pub(crate) setting: Setting,
    pub(crate) gateway: SocketAddr,
    /// Is the address one of this host's?
    pub(crate) here: &'a Seen<bool>,
    /// Whose the listener is; `None` if nothing listens.
    pub(crate) listener: Option<&'a Seen<Process>>,
    /// What was judged when something listened last.
    pub(crate) before: Option<Vantage>,
    /// A connection is established, and its other side is not in the tables.
    pub(crate) one_sided: bool,
}

/// The judgement, and why, in words.
pub(crate) fn judge(facts: Facts<'_>) -> (Vantage, String) {
    let overruled = match facts.setting {
        Setting::Auto => None,
        Setting::Local => Some(Vantage::Local),
        Setting::Relayed => Some(Vantage::Relayed),
        Setting::Remote => Some(Vantage::Remote),
        Setting::None => Some(Vantage::None),
    };
    if let Some(vantage) = overruled {
        return (vantage, format!("gateway.eyes = {}", facts.setting));
    }
    match facts.here {
        Ok(true) => {}
        Ok(false) => {
            return (Vantage::Remote, format!("{} is no address of this host", facts.gateway.ip()));
        }
        Err(unknown) => {
            let because = format!("whether {} is of this host: {unknown}", facts.gateway.ip());
            return (Vantage::Remote, because);
        }
    }
    match facts.listener {
        Some(process) => by_process(process),
        None if facts.one_sided => {
            let because = "nothing listens, yet a connection is established: addresses are \
                           translated on the way to Gateway";
            (Vantage::Relayed, because.to_owned())
        }
        None => {
            let because = "nothing listens; a dial is made now and then because NAT can serve a \
                           port without a listener";
            (facts.before.unwrap_or(Vantage::Local), because.to_owned())
        }
    }
}

fn by_process(process: &Seen<Process>) -> (Vantage, String) {
    let process = match process {
        Ok(process) => process,
        Err(unknown) => {
            let because = format!(
                "who listens cannot be read: {unknown}; if it is Gateway itself, set gateway.eyes \
                 = \"local\""
            );
            return (Vantage::Relayed, because);
        }
    };
    let name = name(process);
    let pid = process.pid;
    match kind(process) {
        Program::Gateway => {
            (Vantage::Local, format!("{name} (pid {pid}) listens here, and it can be Gateway"))
        }
        Program::Relay(relay) => (
            Vantage::Relayed,
            format!("{relay} (pid {pid}) listens here and passes connections on"),
        ),
        Program::Other => (
            Vantage::Relayed,
            format!(
                "{name} (pid {pid}) listens here, which is no program known to be Gateway; if it \
                 is, set gateway.eyes = \"local\""
            ),
        ),
    }
}

/// The last part of the path of what it runs.
fn name(process: &Process) -> &str {
    let path = match process.executable.as_deref() {
        Ok(path) => path.trim_end_matches(" (deleted)"),
        Err(_) => process.command.split(' ').next().unwrap_or_default(),
    };
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use ibouncer_core::sight::Unknown;

    use super::*;

    fn process(executable: &str) -> Seen<Process> {
        Ok(Process {
            pid: 7,
            started: 1,
            started_unix: 2,
            command: format!("{executable} -x"),
            executable: Ok(executable.to_owned()),
            figures: Err(Unknown("not sampled yet".into())),
        })
    }

    #[test]
    fn the_vantage_follows_from_address_and_listener() {
        let unknown = || Unknown("permission denied".to_owned());
        let (java, socat) = (process("/usr/bin/java"), process("/usr/bin/socat"));
        let (other, hidden) = (process("/usr/bin/postgres"), Err(unknown()));
        let (here, away, unsure) = (Ok(true), Ok(false), Err(unknown()));
        let facts = |setting, here, listener| Facts {
            setting,
            gateway: "192.168.1.5:4002".parse().unwrap(),
            here,
            listener,
            before: None,
            one_sided: false,
        };
        use Setting::{Auto, Local, None as Off, Relayed, Remote};
        for (facts, vantage, because) in [
            (facts(Auto, &here, Some(&java)), Vantage::Local, "java (pid 7) listens here"),
            (facts(Auto, &here, Some(&socat)), Vantage::Relayed, "socat (pid 7) listens here and"),
            (facts(Auto, &here, Some(&other)), Vantage::Relayed, "postgres (pid 7)"),
            (facts(Auto, &here, Some(&hidden)), Vantage::Relayed, "permission denied"),
            (facts(Auto, &away, Some(&java)), Vantage::Remote, "192.168.1.5 is no address"),
            (facts(Auto, &unsure, Some(&java)), Vantage::Remote, "permission denied"),
            (facts(Auto, &here, None), Vantage::Local, "nothing listens; a dial"),
            (facts(Local, &away, Some(&socat)), Vantage::Local, "gateway.eyes = local"),
            (facts(Relayed, &here, Some(&java)), Vantage::Relayed, "gateway.eyes = relayed"),
            (facts(Remote, &here, Some(&java)), Vantage::Remote, "gateway.eyes = remote"),
            (facts(Off, &here, Some(&java)), Vantage::None, "gateway.eyes = none"),
        ] {
            let judged = judge(facts);
            assert_eq!(judged.0, vantage, "{}", judged.1);
            assert!(judged.1.contains(because), "{}", judged.1);
        }
    }

    #[test]
    fn without_a_listener_it_stays_what_it_was() {
        let facts = Facts {
            setting: Setting::Auto,
            gateway: "127.0.0.1:4002".parse().unwrap(),
            here: &Ok(true),
            listener: None,
            before: Some(Vantage::Relayed),
            one_sided: false,
        };
        assert_eq!(judge(facts).0, Vantage::Relayed);
        let translated = judge(Facts { before: Some(Vantage::Local), one_sided: true, ..facts });
        assert_eq!(translated.0, Vantage::Relayed);
        assert!(translated.1.contains("translated"));
    }
}

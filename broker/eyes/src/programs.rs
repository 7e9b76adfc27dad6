//! What kind of program listens: one that can be Gateway, one that passes connections on, or
//! neither.
//!
//! Gateway and TWS are Java programs in an install4j launcher. A relay is known by the name of
//! its executable or of its command; its arguments often name Gateway too, so relays are looked
//! for first, and an interpreter (`python ibgateway_proxy.py`) is never taken for Gateway.

use ibouncer_core::sight::Process;

/// A kind of program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Program {
    /// It can be Gateway or TWS.
    Gateway,
    /// It passes connections on; its name.
    Relay(&'static str),
    /// Neither.
    Other,
}

/// Programs that pass connections on.
const RELAYS: [&str; 47] = [
    "autossh",
    "balance",
    "caddy",
    "chisel",
    "cloudflared",
    "com.docker.backend",
    "conmon",
    "docker-proxy",
    "envoy",
    "frpc",
    "frps",
    "gost",
    "gvproxy",
    "haproxy",
    "hitch",
    "inetd",
    "iproxy",
    "kubectl",
    "limactl",
    "nc",
    "ncat",
    "netcat",
    "nginx",
    "passt",
    "pasta",
    "pen",
    "pproxy",
    "redir",
    "rinetd",
    "rootlesskit",
    "rootlessport",
    "simpleproxy",
    "slirp4netns",
    "socat",
    "squid",
    "ssh",
    "sshd",
    "sshd-session",
    "stunnel",
    "stunnel4",
    "systemd",
    "systemd-socket-proxyd",
    "tailscaled",
    "traefik",
    "vpnkit",
    "wslrelay",
    "xinetd",
];

/// Names of launchers and of the virtual machine.
const GATEWAYS: [&str; 6] = ["java", "javaw", "ibgateway", "ibgw", "tws", "i4jdel"];

/// What a command line of Gateway mentions.
const MENTIONS: [&str; 4] = ["ibgateway", "/jts", "install4j", "ibcalpha"];

/// They run what somebody wrote, whatever its name.
const INTERPRETERS: [&str; 10] =
    ["python", "node", "bash", "sh", "dash", "perl", "ruby", "deno", "bun", "ibouncer"];

/// What kind of program this is.
pub(crate) fn kind(process: &Process) -> Program {
    let executable = process.executable.as_deref().unwrap_or_default();
    classify(executable, &process.command)
}

/// What kind of program runs this file with this command line. Either may be empty.
pub(crate) fn classify(executable: &str, command: &str) -> Program {
    let executable = executable.trim_end_matches(" (deleted)");
    let first = command.split(' ').next().unwrap_or_default();
    // "nginx: master process", "sshd: user@pts/0".
    let names = [base(executable), base(first.trim_end_matches(':'))];
    for name in &names {
        if let Some(relay) = RELAYS.iter().find(|relay| is_named(name, relay)) {
            return Program::Relay(relay);
        }
    }
    // The file tells more than what the program calls itself.
    let main = if names[0].is_empty() { &names[1] } else { &names[0] };
    if INTERPRETERS.iter().any(|known| is_named(main, known)) {
        return Program::Other;
    }
    let launched = names.iter().any(|name| {
        GATEWAYS.iter().any(|known| is_named(name, known)) || name.contains("install4j")
    });
    let command = command.to_ascii_lowercase();
    if launched || MENTIONS.iter().any(|mention| command.contains(mention)) {
        return Program::Gateway;
    }
    Program::Other
}

fn base(path: &str) -> String {
    path.rsplit(['/', '\\']).next().unwrap_or_default().to_ascii_lowercase()
}

/// "nc.openbsd" is nc, "java.exe" is java, "python3.12" is python.
fn is_named(name: &str, known: &str) -> bool {
    let Some(rest) = name.strip_prefix(known) else {
        return false;
    };
    rest.is_empty()
        || rest.starts_with('.')
        || known == "python" && rest.starts_with(|letter: char| letter.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_told_apart() {
        use Program::{Gateway, Other, Relay};
        for (executable, command, kind) in [
            ("/usr/lib/jvm/java-17/bin/java", "java -cp x Main", Gateway),
            ("/opt/Jts/ibgateway/1041/jre/bin/java", "/opt/Jts/jre/bin/java -Xmx768m", Gateway),
            ("/opt/Jts/ibgateway/1041/ibgateway", "./ibgateway", Gateway),
            ("/opt/i4j/jre/bin/install4j-launcher", "", Gateway),
            ("", "/home/me/Jts/ibgateway/1041/ibgateway -J-D", Gateway),
            ("/opt/launch", "/opt/launch install4j.ibgateway.GWClient", Gateway),
            ("/usr/bin/java (deleted)", "java", Gateway),
            ("/usr/bin/docker-proxy", "/usr/bin/docker-proxy -proto tcp", Relay("docker-proxy")),
            ("/usr/bin/socat1", "socat TCP-LISTEN:4002,fork TCP:ibgateway:4002", Relay("socat")),
            ("/usr/bin/ssh", "ssh -L 4002:ibgateway:4002 host", Relay("ssh")),
            ("/usr/sbin/sshd", "sshd: me@notty", Relay("sshd")),
            ("", "sshd: me@notty", Relay("sshd")),
            ("/usr/sbin/nginx", "nginx: master process /usr/sbin/nginx", Relay("nginx")),
            ("/usr/bin/nc.openbsd", "nc -lk 4002", Relay("nc")),
            ("/usr/lib/systemd/systemd", "/sbin/init", Relay("systemd")),
            ("/usr/bin/python3.12", "python ibgateway_proxy.py", Other),
            ("/usr/bin/bash", "bash /opt/Jts/run", Other),
            ("/usr/bin/ibouncer", "ibouncer sim --tws 4002", Other),
            ("/usr/bin/javascript", "javascript", Other),
            ("/usr/bin/postgres", "postgres -D /data", Other),
            ("", "", Other),
        ] {
            assert_eq!(classify(executable, command), kind, "{executable} {command}");
        }
    }

    #[test]
    fn names_are_looked_up_whole() {
        assert!(is_named("nc", "nc"));
        assert!(is_named("nc.traditional", "nc"));
        assert!(!is_named("ncdu", "nc"));
        assert!(is_named("python3", "python"));
        assert!(!is_named("java3", "java"));
    }
}

//! Gateway's own settings, and which of them hurt a program that shares its session.
//!
//! Data in, sentences out. The settings are those of a `ConfigResponse` (server version 219 and
//! later); one that Gateway left out is not judged. Source: protocol fact sheet, section 8.

use std::net::SocketAddr;

use ibouncer_proto::tws::v1::{ApiSettingsConfig, ConfigResponse};

/// A setting that hurts, or may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Its name in the protocol.
    pub setting: &'static str,
    /// Its value.
    pub value: String,
    /// Why it matters.
    pub why: String,
}

/// The settings that hurt, the gravest first.
pub fn findings(config: &ConfigResponse, gateway: SocketAddr) -> Vec<Finding> {
    let mut found = Vec::new();
    if let Some(settings) = config.api.as_ref().and_then(|api| api.settings.as_ref()) {
        judge(settings, gateway, &mut found);
    }
    let exit = config.lock_and_exit.clone().unwrap_or_default();
    if !exit.auto_logoff_time().is_empty() {
        let kind = exit.auto_logoff_type().to_owned();
        let restarts = kind.to_lowercase().contains("restart");
        found.push(Finding {
            setting: "autoLogoffTime",
            value: [exit.auto_logoff_time(), exit.auto_logoff_period(), &kind]
                .into_iter()
                .filter(|part| !part.is_empty())
                .collect::<Vec<_>>()
                .join(" "),
            why: if restarts {
                "Gateway restarts then, every day, and the session ends: set \
                 gateway.restart_window to it"
            } else {
                "Gateway logs off then, every day, and stays off until a person logs in: \
                 auto restart keeps the login for a week"
            }
            .to_owned(),
        });
    }
    found
}

fn judge(settings: &ApiSettingsConfig, gateway: SocketAddr, found: &mut Vec<Finding>) {
    let mut add = |setting, value: String, why: &str| {
        found.push(Finding { setting, value, why: why.to_owned() });
    };
    match settings.socket_port {
        Some(port) if port != i32::from(gateway.port()) => add(
            "socketPort",
            port.to_string(),
            "Gateway says that it listens on another port than the one that was dialled: a relay \
             stands between, and resets stop there",
        ),
        _ => {}
    }
    if settings.read_only_api == Some(true) {
        add("readOnlyApi", "true".into(), "every order is refused (error 321), whoever sends it");
    }
    let trusted = settings.trusted_ips.join(", ");
    if settings.allow_localhost_only == Some(true) {
        let value = "true".to_owned();
        add(
            "allowLocalhostOnly",
            value,
            "programs on other hosts, and in other containers, are closed at connect",
        );
    } else if settings.allow_localhost_only == Some(false) {
        let shown = if trusted.is_empty() { "none".to_owned() } else { trusted };
        add(
            "trustedIPs",
            shown,
            "connections from any other address wait for a click in a dialog, and look like a \
             hung handshake",
        );
    }
    if settings.reject_messages_above_max_rate == Some(true) {
        add(
            "rejectMessagesAboveMaxRate",
            "true".into(),
            "too many messages are refused (error 100) and the third time the session is closed; \
             switched off, Gateway only delays them",
        );
    }
    if settings.maintain_connection_on_incorrect_fields == Some(false) {
        add(
            "maintainConnectionOnIncorrectFields",
            "false".into(),
            "one field that Gateway cannot read closes the whole session, for all programs",
        );
    }
    if let Some(master) = settings.master_client_id.filter(|id| *id > 0) {
        add(
            "masterClientId",
            master.to_string(),
            "the connection with this client id gets the orders of all others; use it for nothing \
             else",
        );
    }
    if settings.download_open_orders_on_connection == Some(false) {
        add(
            "downloadOpenOrdersOnConnection",
            "false".into(),
            "open orders are not sent at connect: a program that waits for them waits in vain",
        );
    }
    if settings.let_api_account_requests_switch_subscription == Some(true) {
        add(
            "letApiAccountRequestsSwitchSubscription",
            "true".into(),
            "one client's account request takes the account updates from another",
        );
    }
    if settings.create_api_message_log_file == Some(true)
        && settings.include_market_data_in_log_file == Some(true)
    {
        add(
            "includeMarketDataInLogFile",
            "true".into(),
            "each tick is written to a file, which slows Gateway down and fills its disk",
        );
    }
}

#[cfg(test)]
mod tests {
    use ibouncer_proto::tws::v1::{ApiConfig, LockAndExitConfig};

    use super::*;

    fn names(settings: ApiSettingsConfig) -> Vec<&'static str> {
        let api = ApiConfig { settings: Some(settings), precautions: None };
        let config = ConfigResponse { api: Some(api), ..Default::default() };
        let gateway = "127.0.0.1:4002".parse().unwrap();
        findings(&config, gateway).iter().map(|finding| finding.setting).collect()
    }

    #[test]
    fn what_gateway_does_not_say_is_not_judged() {
        assert!(names(ApiSettingsConfig::default()).is_empty());
    }

    #[test]
    fn each_setting_that_hurts_is_found_and_its_good_value_is_not() {
        let on = Some(true);
        let off = Some(false);
        type Set = fn(&mut ApiSettingsConfig, Option<bool>);
        let cases: &[(&str, Set, Option<bool>, Option<bool>)] = &[
            ("readOnlyApi", |one, value| one.read_only_api = value, on, off),
            (
                "rejectMessagesAboveMaxRate",
                |one, value| one.reject_messages_above_max_rate = value,
                on,
                off,
            ),
            (
                "maintainConnectionOnIncorrectFields",
                |one, value| one.maintain_connection_on_incorrect_fields = value,
                off,
                on,
            ),
            (
                "downloadOpenOrdersOnConnection",
                |one, value| one.download_open_orders_on_connection = value,
                off,
                on,
            ),
            (
                "letApiAccountRequestsSwitchSubscription",
                |one, value| one.let_api_account_requests_switch_subscription = value,
                on,
                off,
            ),
        ];
        for (name, set, bad, good) in cases {
            let mut settings = ApiSettingsConfig::default();
            set(&mut settings, *bad);
            assert_eq!(names(settings), [*name]);
            let mut settings = ApiSettingsConfig::default();
            set(&mut settings, *good);
            assert!(names(settings).is_empty(), "{name}");
        }
    }

    #[test]
    fn addresses_and_ports_are_compared() {
        let port = |socket_port| ApiSettingsConfig {
            socket_port: Some(socket_port),
            ..Default::default()
        };
        assert!(names(port(4002)).is_empty());
        assert_eq!(names(port(4001)), ["socketPort"]);
        let local =
            |allow| ApiSettingsConfig { allow_localhost_only: Some(allow), ..Default::default() };
        assert_eq!(names(local(true)), ["allowLocalhostOnly"]);
        assert_eq!(names(local(false)), ["trustedIPs"]);
    }

    #[test]
    fn the_daily_end_is_told_from_a_restart() {
        let gateway = "127.0.0.1:4002".parse().unwrap();
        for (kind, word) in [("Auto restart", "restart_window"), ("Auto logoff", "logs in")] {
            let exit = LockAndExitConfig {
                auto_logoff_time: Some("11:45".into()),
                auto_logoff_period: Some("PM".into()),
                auto_logoff_type: Some(kind.into()),
            };
            let config = ConfigResponse { lock_and_exit: Some(exit), ..Default::default() };
            let found = findings(&config, gateway);
            assert_eq!(found[0].value, format!("11:45 PM {kind}"));
            assert!(found[0].why.contains(word), "{}", found[0].why);
        }
    }
}

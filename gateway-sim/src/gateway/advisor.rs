//! What a financial advisor's configuration says: one group of all accounts, and their aliases.
//!
//! A user with one account is no advisor, and is told so.

use std::time::Duration;

use ibouncer_proto::tws::v1::{FaRequest, ReceiveFa};

use super::Shared;
use super::answer::{Answer, Refusal};
use super::connection::Connection;
use super::ids::tell;

/// The one group.
pub(super) const GROUP: &str = "Everyone";

const GROUPS: i32 = 1;
const ALIASES: i32 = 3;

impl Connection {
    pub(super) fn on_fa(&mut self, body: FaRequest, shared: &mut Shared, _: Duration) -> Answer {
        let accounts = &shared.config.accounts;
        if accounts.len() < 2 {
            return Err(Refusal::invalid("FA data operations ignored for non FA customers"));
        }
        let list = |form: &dyn Fn(&String) -> String| accounts.iter().map(form).collect::<String>();
        let header = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
        let xml = match body.fa_data_type() {
            GROUPS => {
                let members = list(&|account| format!("<String>{account}</String>"));
                format!(
                    "{header}<ListOfGroups><Group><name>{GROUP}</name>\
                     <defaultMethod>NetLiq</defaultMethod>\
                     <ListOfAccts varName=\"list\">{members}</ListOfAccts></Group></ListOfGroups>"
                )
            }
            ALIASES => {
                let aliases = list(&|account| {
                    format!(
                        "<AccountAlias><account>{account}</account>\
                         <alias>alias of {account}</alias></AccountAlias>"
                    )
                });
                format!("{header}<ListOfAccountAliases>{aliases}</ListOfAccountAliases>")
            }
            _ => return Err(Refusal::invalid("the type of FA data is not known")),
        };
        let message = ReceiveFa { fa_data_type: body.fa_data_type, xml: Some(xml) };
        self.say(tell::RECEIVE_FA, &message);
        Ok(())
    }
}

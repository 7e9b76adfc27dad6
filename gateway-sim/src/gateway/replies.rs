//! What the simulated Gateway says outside of market data, in the form of the negotiated version.
//!
//! From server version 213 on everything is protobuf. Below it only the messages without which no
//! client becomes ready, or knows why not, have a text form here: accounts, next valid id, errors
//! and the current time. Field orders: protocol fact sheet, sections 1.3, 2.2 and 5.3.

use bytes::{BufMut as _, BytesMut};
use ibouncer_proto::tws::envelope::write_message;
use ibouncer_proto::tws::frame;
use ibouncer_proto::tws::messages::id;
use ibouncer_proto::tws::v1::{
    AccountValue, ApiConfig, ApiSettingsConfig, ConfigResponse, Contract, CurrentTime,
    CurrentTimeInMillis, ErrorMessage, ManagedAccounts, NextValidId, OpenOrder, Order, OrderState,
    OrderStatus,
};

/// First server version whose message ids are four bytes.
const BINARY_IDS: i32 = 201;

/// First server version at which everything is protobuf.
const ALL_PROTOBUF: i32 = 213;

use super::happenings::Farms;

/// Wire ids that are needed here only.
const ORDER_STATUS: u32 = 203;
const OPEN_ORDER: u32 = 205;
const ACCOUNT_VALUE: u32 = 206;
/// No message has this id yet.
const UNKNOWN: u32 = 399;

/// Writes replies of one server version.
pub(crate) struct Replies<'a> {
    pub(crate) out: &'a mut BytesMut,
    pub(crate) server_version: i32,
    pub(crate) unix_millis: u64,
}

impl Replies<'_> {
    /// Whether this version has only the few replies of the text form.
    pub(crate) fn is_text(&self) -> bool {
        self.server_version < ALL_PROTOBUF
    }

    pub(crate) fn accounts(&mut self, accounts: &str) {
        if self.is_text() {
            return self.text(15, &["1", accounts]);
        }
        let message = ManagedAccounts { accounts_list: Some(accounts.to_owned()) };
        write_message(id::MANAGED_ACCTS, &message, self.out);
    }

    pub(crate) fn next_valid_id(&mut self, order_id: i32) {
        if self.is_text() {
            return self.text(9, &["1", &order_id.to_string()]);
        }
        let message = NextValidId { order_id: Some(order_id) };
        write_message(id::NEXT_VALID_ID, &message, self.out);
    }

    /// The settings of a paper Gateway that may trade: this host only, paced.
    pub(crate) fn configuration(&mut self, request_id: i32, read_only: bool) {
        let settings = ApiSettingsConfig {
            read_only_api: Some(read_only),
            download_open_orders_on_connection: Some(false),
            socket_port: Some(4002),
            master_client_id: Some(0),
            reject_messages_above_max_rate: Some(false),
            maintain_connection_on_incorrect_fields: Some(true),
            maintain_and_resubmit_orders_on_reconnect: Some(true),
            allow_localhost_only: Some(true),
            trusted_ips: vec!["127.0.0.1".to_owned()],
            ..ApiSettingsConfig::default()
        };
        let message = ConfigResponse {
            req_id: Some(request_id),
            api: Some(ApiConfig { settings: Some(settings), ..ApiConfig::default() }),
            ..ConfigResponse::default()
        };
        write_message(id::CONFIG_RESPONSE, &message, self.out);
    }

    /// An error or notice; id -1 is the whole connection.
    pub(crate) fn error(&mut self, request_id: i32, code: i32, text: &str) {
        if self.is_text() {
            return self.text_error(request_id, code, text);
        }
        let message = ErrorMessage {
            id: Some(request_id),
            error_time: Some(self.unix_millis as i64),
            error_code: Some(code),
            error_msg: Some(text.to_owned()),
            advanced_order_reject_json: None,
        };
        write_message(id::ERR_MSG, &message, self.out);
    }

    /// The state of the data farms, as every client gets it after START_API.
    pub(crate) fn farm_notices(&mut self, farms: &Farms) {
        if self.is_text() {
            return;
        }
        for (code, text) in farms.notices() {
            self.error(-1, code, text);
        }
    }

    pub(crate) fn current_time(&mut self) {
        if self.is_text() {
            let seconds = (self.unix_millis / 1000).to_string();
            return self.text(49, &["1", &seconds]);
        }
        let message = CurrentTime { current_time: Some((self.unix_millis / 1000) as i64) };
        write_message(id::CURRENT_TIME, &message, self.out);
    }

    pub(crate) fn current_time_in_millis(&mut self) {
        let message = CurrentTimeInMillis { current_time_in_millis: Some(self.unix_millis as i64) };
        write_message(id::CURRENT_TIME_IN_MILLIS, &message, self.out);
    }

    /// What can arrive before accounts and next id when open orders are downloaded on connection,
    /// and a message that nobody knows.
    pub(crate) fn extras(&mut self, account: &str) {
        if self.is_text() {
            return;
        }
        self.farm_notices(&Farms::default());
        for (key, value) in [("NetLiquidation", "1000414.53"), ("BuyingPower", "4001658")] {
            let message = AccountValue {
                key: Some(key.to_owned()),
                value: Some(value.to_owned()),
                currency: Some("USD".to_owned()),
                account_name: Some(account.to_owned()),
            };
            write_message(ACCOUNT_VALUE, &message, self.out);
        }
        let open_order = OpenOrder {
            order_id: Some(3),
            contract: Some(Contract {
                symbol: Some("AAPL".to_owned()),
                sec_type: Some("STK".to_owned()),
                exchange: Some("SMART".to_owned()),
                currency: Some("USD".to_owned()),
                ..Default::default()
            }),
            order: Some(Order {
                order_id: Some(3),
                perm_id: Some(600_000_001),
                action: Some("BUY".to_owned()),
                total_quantity: Some("100".to_owned()),
                order_type: Some("LMT".to_owned()),
                lmt_price: Some(150.0),
                account: Some(account.to_owned()),
                ..Default::default()
            }),
            order_state: Some(OrderState {
                status: Some("Submitted".to_owned()),
                ..Default::default()
            }),
        };
        write_message(OPEN_ORDER, &open_order, self.out);
        let status = OrderStatus {
            order_id: Some(3),
            status: Some("Submitted".to_owned()),
            filled: Some("0".to_owned()),
            remaining: Some("100".to_owned()),
            perm_id: Some(600_000_001),
            ..Default::default()
        };
        write_message(ORDER_STATUS, &status, self.out);
        // Field 1, varint 7; field 99, a string: as a later Gateway might send it.
        let body = [0x08, 7, 0x9a, 0x06, 3, b'n', b'e', b'w'];
        self.out.put_u32(4 + body.len() as u32);
        self.out.put_u32(UNKNOWN);
        self.out.put_slice(&body);
    }

    fn text_error(&mut self, request_id: i32, code: i32, text: &str) {
        let (request_id, code) = (request_id.to_string(), code.to_string());
        let time = self.unix_millis.to_string();
        let mut fields = vec![&*request_id, &*code, text];
        if self.server_version < 194 {
            fields.insert(0, "2");
        }
        if self.server_version >= 166 {
            fields.push("");
        }
        if self.server_version >= 194 {
            fields.push(&time);
        }
        self.text(4, &fields);
    }

    fn text(&mut self, message_id: u32, fields: &[&str]) {
        let mut body = BytesMut::new();
        if self.server_version >= BINARY_IDS {
            body.put_u32(message_id);
        } else {
            body.put_slice(message_id.to_string().as_bytes());
            body.put_u8(0);
        }
        for field in fields {
            body.put_slice(field.as_bytes());
            body.put_u8(0);
        }
        frame::write(&body, self.out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(server_version: i32, write: impl FnOnce(&mut Replies<'_>)) -> Vec<u8> {
        let mut out = BytesMut::new();
        write(&mut Replies { out: &mut out, server_version, unix_millis: 1_700_000_000_000 });
        out.to_vec()
    }

    #[test]
    fn text_forms_are_the_documented_bytes() {
        assert_eq!(written(178, |replies| replies.next_valid_id(1)), b"\0\0\0\x069\x001\x001\0");
        assert_eq!(written(178, |replies| replies.accounts("DU1")), b"\0\0\0\x0915\x001\0DU1\0");
        assert_eq!(
            written(178, |replies| replies.error(-1, 2104, "OK")),
            b"\0\0\0\x104\x002\0-1\x002104\0OK\0\0"
        );
        assert_eq!(
            written(200, |replies| replies.error(-1, 2104, "OK")),
            b"\0\0\0\x1c4\0-1\x002104\0OK\0\x001700000000000\0"
        );
        assert_eq!(
            written(178, |replies| replies.current_time()),
            b"\0\0\0\x1049\x001\x001700000000\0"
        );
        assert_eq!(
            written(205, |replies| replies.next_valid_id(1)),
            b"\0\0\0\x08\0\0\0\x091\x001\0"
        );
    }

    #[test]
    fn protobuf_forms_are_the_documented_bytes() {
        assert_eq!(
            written(213, |replies| replies.next_valid_id(1)),
            b"\0\0\0\x06\0\0\0\xd1\x08\x01"
        );
        assert_eq!(
            written(226, |replies| replies.accounts("DU1")),
            b"\0\0\0\x09\0\0\0\xd7\x0a\x03DU1"
        );
    }
}

//! What is beyond each client's rights: who, what, and how it is refused.

use ibouncer_client::api::{
    CancelOrderRequest, ModifyOrderRequest, NewOrder, OrderScope, Resolution,
};
use ibouncer_client::{Client, Error, contract, tws};

use super::clients::{bid, named};
use super::{ONE, TWO};

/// Something that is not allowed to whoever tries it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Attempt {
    /// A name, a symbol, a quantity, a price, an account.
    Place(&'static str, &'static str, &'static str, f64, &'static str),
    /// Two at once.
    PlaceTwo,
    /// Another kind of instrument, in an account.
    PlaceForex(&'static str),
    /// To a group of accounts.
    PlaceForGroup,
    /// An order that would be allowed, and what makes it another one.
    PlaceTwisted(Twist),
    /// A name; what it is to be.
    Modify(&'static str, &'static str, &'static str, f64, &'static str),
    /// An owner, a name, a quantity, a reason.
    ModifyOf(&'static str, &'static str, &'static str, &'static str),
    Preview(&'static str, &'static str, f64, &'static str),
    Exercise(&'static str),
    /// An owner (empty: the caller), a name, a reason.
    Cancel(&'static str, &'static str, &'static str),
    CancelAll(&'static str),
    Get(&'static str, &'static str),
    /// With this reason.
    Halt(&'static str),
    Resume,
    AdoptState,
    Resolve,
    /// With this confirmation.
    CancelEvery(&'static str),
    /// What is for operators.
    ListClients,
    /// Of this account.
    ExecutionsOf(&'static str),
}

/// Words beside those that are looked at first.
#[derive(Debug, Clone, Copy)]
pub(super) enum Twist {
    /// The conId of another instrument; MSFT's.
    ConId,
    LocalSymbol,
    SecId,
    /// A combination of something that nobody has told of.
    Legs,
    DeltaNeutral,
    /// A sale far below the market.
    CheapSale,
    /// A stop that triggers at once.
    CheapStop,
    /// A little cash beside the quantity, and instead of it.
    Cash,
    CashOnly,
    /// A small multiplier.
    Multiplier,
    Hedge,
    /// The broker's own mark.
    Tag,
    /// Its stop loss has its own name.
    SameName,
    /// Its parent by a number of Gateway.
    ParentPermId,
    /// An order of something else beside it.
    DeltaNeutralOrder,
    /// A stop that trails from far above the market, and a limit that follows it.
    TrailStop,
    /// A stop that is adjusted to one with a limit far away.
    Adjusted,
    /// What it may pay besides.
    Discretion,
}

const DENIED: &str = "RIGHT_DENIED";
const LIMIT: &str = "LIMIT_EXCEEDED";
const UNKNOWN: &str = "ORDER_NOT_FOUND";
const WRONG: &str = "INVALID_ARGUMENT";

/// The table.
pub(super) const ATTEMPTS: &[(&str, Attempt, &str)] = {
    use Attempt::*;
    &[
        ("watcher", Place("x", "AAPL", "10", 1.0, ONE), DENIED),
        ("watcher", PlaceTwo, DENIED),
        ("watcher", Preview("AAPL", "10", 1.0, ONE), DENIED),
        ("watcher", Modify("own", "AAPL", "20", 1.0, ONE), DENIED),
        ("watcher", Exercise(ONE), DENIED),
        ("watcher", Cancel("", "own", ""), DENIED),
        ("watcher", Cancel("plain", "own", "why not"), DENIED),
        ("watcher", ModifyOf("plain", "own", "5", "why not"), DENIED),
        ("watcher", CancelAll(""), DENIED),
        ("watcher", CancelAll("plain"), DENIED),
        ("watcher", Halt("why not"), DENIED),
        ("watcher-one", Place("x", "AAPL", "10", 1.0, ONE), DENIED),
        ("watcher-one", Get("two", "own"), UNKNOWN),
        ("watcher-one", Get("both", "second"), UNKNOWN),
        ("one", Place("x", "AAPL", "10", 1.0, TWO), DENIED),
        ("one", Place("x", "AAPL", "10", 1.0, ""), DENIED),
        ("one", PlaceForGroup, DENIED),
        ("one", Preview("AAPL", "10", 1.0, TWO), DENIED),
        ("one", Modify("own", "AAPL", "20", 1.0, TWO), WRONG),
        ("one", Get("two", "own"), UNKNOWN),
        ("one", Cancel("two", "own", "why not"), DENIED),
        ("two", Place("x", "AAPL", "10", 1.0, ONE), DENIED),
        ("two", Get("one", "own"), UNKNOWN),
        ("both", Place("x", "AAPL", "10", 1.0, ""), DENIED),
        ("both", Place("x", "AAPL", "10", 1.0, "DU0000003"), DENIED),
        ("stocks", PlaceForex(ONE), DENIED),
        ("futures", Place("x", "AAPL", "10", 1.0, ONE), DENIED),
        ("futures", Preview("AAPL", "10", 1.0, ONE), DENIED),
        ("apple", Place("x", "MSFT", "10", 1.0, ONE), DENIED),
        ("apple", Modify("own", "MSFT", "10", 1.0, ONE), WRONG),
        ("apple", PlaceTwisted(Twist::ConId), DENIED),
        ("apple", PlaceTwisted(Twist::LocalSymbol), DENIED),
        ("apple", PlaceTwisted(Twist::SecId), DENIED),
        ("apple", PlaceTwisted(Twist::Legs), "INVALID_ARGUMENT"),
        ("stocks", PlaceTwisted(Twist::ConId), DENIED),
        ("stocks", PlaceTwisted(Twist::DeltaNeutral), DENIED),
        ("cheap", PlaceTwisted(Twist::CheapSale), LIMIT),
        ("cheap", PlaceTwisted(Twist::CheapStop), LIMIT),
        ("cheap", PlaceTwisted(Twist::Cash), LIMIT),
        ("cheap", PlaceTwisted(Twist::Multiplier), LIMIT),
        ("cheap", PlaceTwisted(Twist::Hedge), LIMIT),
        ("small", PlaceTwisted(Twist::CashOnly), LIMIT),
        ("small", PlaceTwisted(Twist::Hedge), LIMIT),
        ("plain", PlaceTwisted(Twist::Tag), WRONG),
        ("plain", PlaceTwisted(Twist::SameName), WRONG),
        ("plain", PlaceTwisted(Twist::ParentPermId), WRONG),
        ("plain", Place("x", "AAPL", "inf", 1.0, ONE), WRONG),
        ("small", Place("x", "AAPL", "Infinity", 1.0, ONE), WRONG),
        ("cheap", Place("x", "AAPL", "nan", 0.0, ONE), WRONG),
        ("apple", PlaceTwisted(Twist::DeltaNeutralOrder), DENIED),
        ("stocks", PlaceTwisted(Twist::DeltaNeutralOrder), DENIED),
        ("cheap", PlaceTwisted(Twist::TrailStop), LIMIT),
        ("cheap", PlaceTwisted(Twist::Adjusted), LIMIT),
        ("banded", Place("x", "AAPL", "10", 1.7e308, ONE), LIMIT),
        ("banded", PlaceTwisted(Twist::Discretion), LIMIT),
        ("banded", PlaceTwisted(Twist::TrailStop), LIMIT),
        ("banded", PlaceTwisted(Twist::Adjusted), LIMIT),
        ("watcher", ListClients, "PERMISSION_DENIED"),
        ("plain", ListClients, "PERMISSION_DENIED"),
        ("watcher-one", ExecutionsOf(TWO), DENIED),
        ("one", ExecutionsOf(TWO), DENIED),
        ("tech", Place("x", "TSLA", "10", 1.0, ONE), DENIED),
        ("small", Place("x", "AAPL", "11", 1.0, ONE), LIMIT),
        ("small", Modify("own", "AAPL", "11", 1.0, ONE), LIMIT),
        ("cheap", Place("x", "AAPL", "100", 10.01, ONE), LIMIT),
        ("cheap", Modify("own", "AAPL", "100", 10.01, ONE), LIMIT),
        ("single", Place("x", "AAPL", "10", 1.0, ONE), LIMIT),
        ("single", PlaceTwo, LIMIT),
        ("slow", Place("x", "AAPL", "10", 1.0, ONE), LIMIT),
        ("slow", Modify("own", "AAPL", "20", 1.0, ONE), LIMIT),
        ("slow", Preview("AAPL", "10", 1.0, ONE), LIMIT),
        ("banded", Place("x", "AAPL", "10", 9_000.0, ONE), LIMIT),
        ("banded", Modify("own", "AAPL", "10", 9_000.0, ONE), LIMIT),
        ("banded", Place("x", "MSFT", "10", 1.0, ONE), LIMIT),
        ("options", Place("x", "AAPL", "10", 1.0, ONE), DENIED),
        ("boss", ModifyOf("plain", "own", "5", ""), WRONG),
        ("boss", ModifyOf("plain", "none", "5", "a look"), UNKNOWN),
        ("boss", ModifyOf("small", "own", "11", "beyond its limit"), LIMIT),
        ("boss", ModifyOf("watcher", "own", "5", "it may not trade"), DENIED),
        ("boss", Cancel("plain", "own", ""), WRONG),
        ("boss", Cancel("plain", "none", "a look"), UNKNOWN),
        ("boss", Halt(""), WRONG),
        ("boss", CancelEvery("yes"), WRONG),
        ("boss", Resolve, WRONG),
        ("plain", Place("own", "AAPL", "20", 1.0, ONE), "ORDER_EXISTS"),
        ("plain", Place("x", "AAPL", "10", 1.0, "DU0000009"), WRONG),
        ("plain", Modify("second", "AAPL", "20", 1.0, TWO), UNKNOWN),
        ("plain", Cancel("", "second", ""), UNKNOWN),
        ("plain", ModifyOf("other", "own", "5", "why not"), DENIED),
        ("plain", Cancel("other", "own", "why not"), DENIED),
        ("plain", CancelAll("other"), DENIED),
        ("plain", Exercise(ONE), DENIED),
        ("plain", Halt("why not"), DENIED),
        ("plain", Resume, DENIED),
        ("plain", AdoptState, DENIED),
        ("plain", Resolve, DENIED),
        ("plain", CancelEvery("cancel every order of every program"), DENIED),
        ("other", Cancel("", "x", ""), UNKNOWN),
        ("other", Get("plain", "none"), UNKNOWN),
        ("narrow", Place("x", "AAPL", "6", 1.0, ONE), LIMIT),
        ("narrow", Place("x", "TSLA", "5", 1.0, ONE), DENIED),
        ("narrow", Place("x", "AAPL", "5", 1.0, TWO), DENIED),
        ("narrow", PlaceForex(ONE), DENIED),
        ("alone", Place("x", "AAPL", "10", 1.0, TWO), DENIED),
        ("alone", Place("x", "MSFT", "10", 1.0, ONE), DENIED),
    ]
};

impl Attempt {
    /// Its name in the audit log.
    pub(super) fn audited_as(self) -> &'static str {
        match self {
            Self::Place(..)
            | Self::PlaceTwo
            | Self::PlaceForex(_)
            | Self::PlaceForGroup
            | Self::PlaceTwisted(_) => "PlaceOrder",
            Self::Modify(..) | Self::ModifyOf(..) => "ModifyOrder",
            Self::Preview(..) => "PreviewOrder",
            Self::Exercise(_) => "ExerciseOptions",
            Self::Cancel(..) => "CancelOrder",
            Self::CancelAll(_) => "CancelAllOrders",
            Self::Get(..) => "GetOrder",
            Self::Halt(_) => "HaltTrading",
            Self::Resume => "ResumeTrading",
            Self::AdoptState => "AdoptTradingState",
            Self::Resolve => "ResolveOrder",
            Self::CancelEvery(_) => "CancelEveryOrder",
            Self::ListClients => "ListClients",
            Self::ExecutionsOf(_) => "reqExecutions",
        }
    }

    /// Lines of it there: one for each order.
    pub(super) fn lines(self) -> usize {
        if let Self::PlaceTwo = self { 2 } else { 1 }
    }

    /// Tries it.
    pub(super) async fn make(self, client: &Client) -> Result<(), Error> {
        let (orders, admin) = (client.orders(), client.admin());
        match self {
            Self::Place(name, symbol, quantity, price, account) => {
                let order = named(name, bid(symbol, quantity, price, account));
                orders.place(order).await.map(drop)
            }
            Self::PlaceTwo => {
                let both = ["x", "y"].map(|name| named(name, bid("AAPL", "10", 1.0, ONE)));
                orders.place_group(both.to_vec()).await.map(drop)
            }
            Self::PlaceForex(account) => {
                let mut request = bid("EUR", "10", 1.0, account);
                request.contract = Some(contract::forex("EUR", "USD"));
                orders.place(named("x", request)).await.map(drop)
            }
            Self::PlaceForGroup => {
                let mut request = bid("AAPL", "10", 1.0, ONE);
                if let Some(order) = &mut request.order {
                    order.fa_group = Some("Everyone".into());
                }
                orders.place(named("x", request)).await.map(drop)
            }
            Self::PlaceTwisted(twist) => orders.place(twist.order()).await.map(drop),
            Self::Modify(name, symbol, quantity, price, account) => {
                orders.modify(name, bid(symbol, quantity, price, account)).await.map(drop)
            }
            Self::ModifyOf(owner, name, quantity, reason) => {
                let request = ModifyOrderRequest {
                    client_order_id: name.into(),
                    request: Some(bid("AAPL", quantity, 1.0, ONE)),
                    owner: owner.into(),
                    reason: reason.into(),
                };
                orders.modify_with(request).await.map(drop)
            }
            Self::Preview(symbol, quantity, price, account) => {
                orders.preview(bid(symbol, quantity, price, account)).await.map(drop)
            }
            Self::Exercise(account) => {
                let request = tws::ExerciseOptionsRequest {
                    contract: Some(contract::option("AAPL", "20270115", 200.0, "C")),
                    exercise_action: Some(1),
                    exercise_quantity: Some(1),
                    account: Some(account.into()),
                    ..Default::default()
                };
                orders.exercise("x", request).await.map(drop)
            }
            Self::Cancel(owner, name, reason) => {
                let request = CancelOrderRequest {
                    client_order_id: name.into(),
                    owner: owner.into(),
                    reason: reason.into(),
                    ..Default::default()
                };
                orders.cancel_with(request).await.map(drop)
            }
            Self::CancelAll(owner) => orders.cancel_all(owner, "why not").await.map(drop),
            Self::Get(owner, name) => orders.get(owner, name).await.map(drop),
            Self::Halt(reason) => admin.halt_trading("", false, reason).await.map(drop),
            Self::Resume => admin.resume_trading("", "why not").await,
            Self::AdoptState => admin.adopt_trading_state("why not").await.map(drop),
            Self::Resolve => {
                let fate = Resolution::Filled;
                admin.resolve_order("other", "own", fate, "why not").await
            }
            Self::CancelEvery(words) => admin.cancel_every_order(words, "why not").await,
            Self::ListClients => admin.clients().await.map(drop),
            Self::ExecutionsOf(account) => {
                let acct_code = Some(account.into());
                let filter = tws::ExecutionFilter { acct_code, ..Default::default() };
                orders.executions(filter, OrderScope::All).await.map(drop)
            }
        }
    }
}

impl Twist {
    /// Eight shares of AAPL, but.
    fn order(self) -> NewOrder {
        let mut new = named("x", bid("AAPL", "8", 100.0, ONE));
        let request = new.request.get_or_insert_default();
        let contract = request.contract.get_or_insert_default();
        let order = request.order.get_or_insert_default();
        match self {
            Self::ConId => contract.con_id = Some(272_093),
            Self::LocalSymbol => contract.local_symbol = Some("MSFT".into()),
            Self::SecId => {
                contract.sec_id_type = Some("ISIN".into());
                contract.sec_id = Some("US5949181045".into());
            }
            Self::Legs => {
                contract.combo_legs =
                    vec![tws::ComboLeg { con_id: Some(272_093), ..Default::default() }];
            }
            Self::DeltaNeutral => {
                contract.delta_neutral_contract =
                    Some(tws::DeltaNeutralContract { con_id: Some(272_093), ..Default::default() });
            }
            Self::CheapSale => {
                order.action = Some("SELL".into());
                order.lmt_price = Some(0.01);
            }
            Self::CheapStop => {
                order.order_type = Some("STP".into());
                order.lmt_price = None;
                order.aux_price = Some(0.01);
            }
            Self::Cash => {
                order.lmt_price = Some(400.0);
                order.cash_qty = Some(0.01);
            }
            Self::CashOnly => {
                order.total_quantity = None;
                order.cash_qty = Some(9_000.0);
            }
            Self::Multiplier => {
                order.lmt_price = Some(400.0);
                contract.multiplier = Some(0.0001);
            }
            Self::Hedge => order.hedge_type = Some("D".into()),
            Self::ParentPermId => order.parent_perm_id = Some(3_000_000_001),
            Self::DeltaNeutralOrder => {
                order.order_type = Some("VOL".into());
                order.delta_neutral_order_type = Some("MKT".into());
                order.delta_neutral_con_id = Some(272_093);
            }
            Self::TrailStop => {
                order.order_type = Some("TRAIL LIMIT".into());
                order.lmt_price = None;
                order.aux_price = Some(1.0);
                order.trail_stop_price = Some(4_000.0);
                order.lmt_price_offset = Some(1.0);
            }
            Self::Adjusted => {
                order.order_type = Some("STP".into());
                order.lmt_price = None;
                order.aux_price = Some(100.0);
                order.adjusted_order_type = Some("STP LMT".into());
                order.adjusted_stop_price = Some(4_000.0);
                order.adjusted_stop_limit_price = Some(4_000.0);
            }
            Self::Discretion => order.discretionary_amt = Some(5_000.0),
            Self::Tag => order.order_ref = Some("ibouncer:00000000:1".into()),
            Self::SameName => {
                request.attached_orders = Some(tws::AttachedOrders {
                    sl_order_type: Some("PRESET".into()),
                    ..Default::default()
                });
                new.stop_loss_client_order_id = "x".into();
            }
        }
        new
    }
}

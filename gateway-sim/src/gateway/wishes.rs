//! What a request to place an order must be, as far as that can be told without the book.
//!
//! Contract, side, quantity, type, prices, account, money. What IB itself says no to becomes an
//! order first, and is rejected then; the rest never was one.

use std::time::Duration;

use ibouncer_proto::tws::v1::{Order, PlaceOrderRequest};

use super::Shared;
use super::answer::{Answer, Refusal};
use super::book::{Kind, Quantity, Wish};
use super::traded::Traded;
use crate::seeds::SeedOwner;

/// Margin of a position, as part of its value.
const MARGIN: f64 = 0.25;

/// Codes with which IB rejects an order that it has. Others come from Gateway, and there is no
/// order.
const OF_IB: &[i32] = &[201, 202, 203];

impl Shared {
    pub(super) fn allow_trading(&self) -> Answer {
        match self.config.read_only {
            true => Err(Refusal::read_only()),
            false => Ok(()),
        }
    }

    /// The account that an order names, or the only one.
    pub(super) fn account(&self, name: &str) -> Result<String, Refusal> {
        match (name, self.config.accounts.as_slice()) {
            ("", [only]) => Ok(only.clone()),
            ("", _) => Err(Refusal::new(435, "You must specify an account.")),
            (name, _) if self.knows_account(name) => Ok(name.to_owned()),
            _ => Err(Refusal::invalid("Invalid account code")),
        }
    }

    /// Checks a request to place or modify an order.
    pub(super) fn wish(
        &mut self,
        owner: SeedOwner,
        body: PlaceOrderRequest,
        now: Duration,
    ) -> Result<Wish, Refusal> {
        self.allow_trading()?;
        let order_id = body.order_id();
        let mut order = body.order.unwrap_or_default();
        if order_id == i32::MAX {
            return Err(Refusal::unreadable());
        }
        let wanted = body.contract.ok_or_else(Refusal::unknown_contract)?;
        let (traded, contract) = Traded::read(wanted, &self.directory)?;
        let scripted = self.book.script.rejection(contract.symbol());
        if let Some(refusal) = scripted.clone().filter(|one| !OF_IB.contains(&one.code)) {
            return Err(refusal);
        }
        let buy = match order.action() {
            "BUY" => true,
            "SELL" | "SSHORT" => false,
            _ => return Err(Refusal::invalid("Invalid side")),
        };
        let quantity = match self.hedged(owner, &order)? {
            Some(quantity) => quantity,
            None => quantity(&order, &traded)?,
        };
        let kind = Kind::named(order.order_type()).ok_or_else(|| {
            Refusal::new(387, "Unsupported order type for this exchange and security type.")
        })?;
        if !["", "DAY", "GTC", "IOC", "FOK", "GTD", "OPG", "AUC"].contains(&order.tif()) {
            return Err(Refusal::invalid("Invalid time in force"));
        }
        self.refresh_quotes_of(&traded, now);
        let quote = self.book.quote_of(&traded).ok_or_else(Refusal::unknown_contract)?;
        prices(&order, kind, quote.step, traded.is_combination())?;
        order.account = Some(self.account(order.account())?);
        let facts = self.account_facts(order.account(), now);
        let fact = |wanted: &str| -> f64 {
            let found = facts.iter().find(|(key, _, _)| *key == wanted);
            found.and_then(|(_, value, _)| value.parse().ok()).unwrap_or_default()
        };
        let value = (quote.ask * quantity.as_f64() * traded.value_factor()).abs();
        let rejection = match scripted {
            Some(refusal) => Some(refusal),
            None if traded.has("IND") => {
                Some(Refusal::new(201, "Order rejected - reason:No trading permissions."))
            }
            None if value * MARGIN > fact("AvailableFunds") => Some(Refusal::new(
                201,
                "Order rejected - reason:YOUR ORDER IS NOT ACCEPTED. IN ORDER TO OBTAIN THE \
                 DESIRED POSITION YOUR EQUITY WITH LOAN VALUE MUST EXCEED THE INITIAL MARGIN.",
            )),
            None => None,
        };
        let outside = order.outside_rth() && kind == Kind::Market;
        let warning = self.book.script.warning();
        let warning = warning.or_else(|| outside.then(|| (2109, Refusal::order(2109).text)));
        let equity = fact("EquityWithLoanValue");
        let attached = body.attached_orders;
        Ok(Wish {
            owner,
            order_id,
            traded,
            contract,
            order,
            kind,
            buy,
            quantity,
            attached,
            rejection,
            equity,
            warning,
        })
    }

    /// How large a hedge is that leaves that to IB: as its parent. None for all else.
    fn hedged(&self, owner: SeedOwner, order: &Order) -> Result<Option<Quantity>, Refusal> {
        if order.hedge_type().is_empty() || !matches!(order.total_quantity(), "" | "0") {
            return Ok(None);
        }
        let parent = self.book.quantity_of(owner, order.parent_id());
        parent.map(Some).ok_or_else(Refusal::missing_parent)
    }

    /// An order of somebody else, who is not here to be told what is wrong with it.
    pub(super) fn place_foreign(
        &mut self,
        owner: SeedOwner,
        order_id: i32,
        (symbol, quantity, limit): (&str, i32, Option<f64>),
        now: Duration,
    ) {
        let text = |text: &str| Some(text.to_owned());
        let order = Order {
            action: text(if quantity > 0 { "BUY" } else { "SELL" }),
            total_quantity: Some(quantity.unsigned_abs().to_string()),
            order_type: text(if limit.is_some() { "LMT" } else { "MKT" }),
            lmt_price: limit,
            tif: text("GTC"),
            account: self.config.accounts.first().cloned(),
            transmit: Some(true),
            ..Default::default()
        };
        let body = PlaceOrderRequest {
            order_id: Some(order_id),
            contract: Some(self.stock(symbol)),
            order: Some(order),
            ..Default::default()
        };
        match self.wish(owner, body, now) {
            Ok(wish) => self.trade(now, |book, desk| book.place_foreign(wish, desk)),
            Err(refusal) => tracing::warn!(?refusal, "nobody can place such an order"),
        }
    }
}

fn quantity(order: &Order, traded: &Traded) -> Result<Quantity, Refusal> {
    let text = order.total_quantity();
    let quantity = Quantity::parse(text).filter(|quantity| *quantity >= Quantity::ZERO);
    let quantity = match (quantity, text) {
        (Some(quantity), _) => quantity,
        (None, "") => Quantity::ZERO,
        (None, _) => return Err(Refusal::invalid("Invalid order quantity")),
    };
    if quantity == Quantity::ZERO {
        return Err(Refusal::new(434, "The order size cannot be zero."));
    }
    if !quantity.is_whole() && !traded.is_only("CRYPTO") {
        let text = "Fractional-sized order cannot be placed via API.";
        return Err(Refusal::new(10243, text));
    }
    Ok(quantity)
}

/// Those that the type needs must be there, and on the increment. That of a combination may be 0
/// or less.
fn prices(order: &Order, kind: Kind, step: f64, combination: bool) -> Answer {
    let given = |price: Option<f64>| {
        price.filter(|price| *price < f64::MAX && (*price != 0.0 || combination))
    };
    let trail = given(order.aux_price).or_else(|| given(order.trailing_percent));
    if (kind.has_limit() && given(order.lmt_price).is_none())
        || (kind.has_stop() && given(order.aux_price).is_none())
        || (kind.trails() && trail.is_none())
    {
        return Err(Refusal::invalid("The order type needs a price that is missing"));
    }
    let mut checked = vec![];
    if kind.has_limit() {
        checked.push(order.lmt_price);
    }
    if kind.has_stop() {
        checked.push(order.aux_price);
    }
    if kind.trails() {
        checked.push(order.trail_stop_price);
    }
    for price in checked.into_iter().filter_map(given) {
        let steps = price / step;
        if (price < 0.0 && !combination) || (steps - steps.round()).abs() > 1e-6 {
            return Err(Refusal::off_increment());
        }
    }
    Ok(())
}

//! Calculations that are asked for: the volatility of a price, and the price of a volatility.

use std::time::Duration;

use ibouncer_proto::tws::messages::id;
use ibouncer_proto::tws::v1::{
    CalculateImpliedVolatilityRequest, CalculateOptionPriceRequest, Contract, TickOptionComputation,
};

use super::Shared;
use super::answer::{Answer, Refusal};
use super::connection::Connection;
use super::model;

/// Tick type of a calculation that was asked for.
const CUSTOM: i32 = 53;

impl Connection {
    pub(super) fn on_implied_volatility(
        &mut self,
        body: CalculateImpliedVolatilityRequest,
        shared: &mut Shared,
        now: Duration,
    ) -> Answer {
        let option = shared.option_of(body.contract.as_ref(), body.under_price(), now)?;
        let volatility = option.implied_volatility(body.option_price());
        let volatility =
            volatility.ok_or_else(|| Refusal::failed("no volatility has this price"))?;
        self.say_option(body.req_id(), CUSTOM, &option, volatility);
        Ok(())
    }

    pub(super) fn on_option_price(
        &mut self,
        body: CalculateOptionPriceRequest,
        shared: &mut Shared,
        now: Duration,
    ) -> Answer {
        let option = shared.option_of(body.contract.as_ref(), body.under_price(), now)?;
        if !(0.0001..=10.0).contains(&body.volatility()) {
            return Err(Refusal::invalid("the volatility must be a fraction of 1"));
        }
        self.say_option(body.req_id(), CUSTOM, &option, body.volatility());
        Ok(())
    }

    /// One option computation.
    pub(super) fn say_option(
        &mut self,
        request_id: i32,
        tick_type: i32,
        option: &model::Option,
        volatility: f64,
    ) {
        let value = option.value(volatility);
        let message = TickOptionComputation {
            req_id: Some(request_id),
            tick_type: Some(tick_type),
            tick_attrib: Some(1),
            implied_vol: Some(volatility),
            delta: Some(value.delta),
            opt_price: Some(value.price),
            pv_dividend: Some(0.0),
            gamma: Some(value.gamma),
            vega: Some(value.vega),
            theta: Some(value.theta),
            und_price: Some(option.underlying),
        };
        self.say(id::TICK_OPTION_COMPUTATION, &message);
    }
}

impl Shared {
    fn option_of(
        &self,
        contract: Option<&Contract>,
        underlying: f64,
        now: Duration,
    ) -> Result<model::Option, Refusal> {
        let listing = self.directory.one(contract)?;
        if !listing.is_option() {
            return Err(Refusal::invalid("the contract is no option"));
        }
        if !(underlying > 0.0 && underlying < 1e9) {
            return Err(Refusal::invalid("the price of the underlying must be given"));
        }
        Ok(self.option(listing, underlying, now))
    }
}

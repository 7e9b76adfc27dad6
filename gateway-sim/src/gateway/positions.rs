//! Positions and their profit: of all accounts, of some, and of one contract.

use std::time::Duration;

use ibouncer_proto::tws::v1::{
    CancelPositions, PnL, PnLRequest, PnLSingle, PnLSingleRequest, Position, PositionEnd,
    PositionMulti, PositionMultiEnd, PositionsMultiRequest, PositionsRequest,
};

use super::Shared;
use super::accounts::ACCOUNT_DATA;
use super::answer::{Answer, Refusal};
use super::connection::Connection;
use super::holdings::Holding;
use super::ids::tell;
use super::listings::Listing;
use super::streams::{Family, Key};
use super::subscriptions::Stream;

/// Name of the positions of a connection: they have no id.
const POSITIONS: Key = (Family::Positions, 0);

impl Connection {
    pub(super) fn on_positions(
        &mut self,
        _: PositionsRequest,
        shared: &mut Shared,
        _: Duration,
    ) -> Answer {
        for holding in shared.holdings("") {
            self.say_position(holding, shared);
        }
        self.say(tell::POSITION_END, &PositionEnd {});
        self.streams.open(POSITIONS, None, Stream::Named);
        Ok(())
    }

    pub(super) fn on_cancel_positions(
        &mut self,
        _: CancelPositions,
        _: &mut Shared,
        _: Duration,
    ) -> Answer {
        self.streams.close(POSITIONS);
        Ok(())
    }

    pub(super) fn on_positions_multi(
        &mut self,
        body: PositionsMultiRequest,
        shared: &mut Shared,
        _: Duration,
    ) -> Answer {
        let key = (Family::PositionsMulti, body.req_id());
        if self.streams.contains(key) {
            return Err(Refusal::failed("Duplicate ticker id"));
        }
        shared.accounts_of(body.account())?;
        for holding in shared.holdings(body.account()) {
            self.say_position_multi(key.1, body.model_code(), holding, shared);
        }
        self.say(tell::POSITION_MULTI_END, &PositionMultiEnd { req_id: body.req_id });
        let (account, model) = (body.account().to_owned(), body.model_code().to_owned());
        self.streams.open(key, None, Stream::PositionsMulti(account, model));
        Ok(())
    }

    pub(super) fn on_pnl(
        &mut self,
        body: PnLRequest,
        shared: &mut Shared,
        now: Duration,
    ) -> Answer {
        let key = (Family::Pnl, body.req_id());
        if self.streams.contains(key) {
            return Err(Refusal::failed("Duplicate ticker id"));
        }
        let account = body.account().to_owned();
        shared.accounts_of(&account)?;
        self.streams.open(key, Some(now), Stream::Pnl(account));
        Ok(())
    }

    /// A contract that the account does not hold, or that does not exist, is silence.
    pub(super) fn on_pnl_single(
        &mut self,
        body: PnLSingleRequest,
        shared: &mut Shared,
        now: Duration,
    ) -> Answer {
        let key = (Family::PnlSingle, body.req_id());
        if self.streams.contains(key) {
            return Err(Refusal::failed("Duplicate ticker id"));
        }
        let account = body.account().to_owned();
        shared.accounts_of(&account)?;
        match shared.directory.by_con_id(body.con_id()) {
            Some(listing) => {
                self.streams.open(key, Some(now), Stream::PnlSingle(account, listing));
            }
            None => self.streams.open(key, None, Stream::Named),
        }
        Ok(())
    }

    pub(super) fn step_pnl(
        &mut self,
        (_, request_id): Key,
        account: &str,
        shared: &Shared,
        now: Duration,
    ) {
        let (unrealized, realized, daily) = shared.profit(account, now);
        let message = PnL {
            req_id: Some(request_id),
            daily_pnl: Some(daily),
            unrealized_pnl: Some(unrealized),
            realized_pnl: Some(realized),
        };
        self.say(tell::PNL, &message);
    }

    pub(super) fn step_pnl_single(
        &mut self,
        (_, request_id): Key,
        (account, listing): (&str, Listing),
        shared: &Shared,
        now: Duration,
    ) {
        let holding = shared.holdings(account).find(|holding| holding.listing == listing);
        let Some(holding) = holding else {
            return;
        };
        let worth = shared.worth(holding, now);
        let message = PnLSingle {
            req_id: Some(request_id),
            position: Some(holding.quantity.to_string()),
            daily_pnl: Some(worth.daily),
            unrealized_pnl: Some(worth.unrealized),
            realized_pnl: Some(holding.realized),
            value: Some(worth.value),
        };
        self.say(tell::PNL_SINGLE, &message);
    }

    /// Tells everyone who follows positions that one has changed.
    pub(super) fn on_position_changed(
        &mut self,
        holding: &Holding,
        shared: &Shared,
        now: Duration,
    ) {
        let follows =
            |account: &str| account.is_empty() || account == "All" || account == holding.account;
        if let Some(Stream::AccountData(account)) = self.streams.state(ACCOUNT_DATA)
            && follows(account)
            && !self.unbegun.contains(&ACCOUNT_DATA)
        {
            self.say_portfolio(holding, shared, now);
        }
        if self.streams.contains(POSITIONS) {
            self.say_position(holding, shared);
        }
        let keys: Vec<_> = self.streams.keys(Family::PositionsMulti).collect();
        for key in keys {
            if let Some(Stream::PositionsMulti(account, model)) = self.streams.state(key)
                && follows(account)
            {
                let model = model.clone();
                self.say_position_multi(key.1, &model, holding, shared);
            }
        }
    }

    fn say_position(&mut self, holding: &Holding, shared: &Shared) {
        let message = Position {
            account: Some(holding.account.clone()),
            contract: Some(shared.directory.contract(holding.listing, "")),
            position: Some(holding.quantity.to_string()),
            avg_cost: Some(holding.average_cost),
        };
        self.say(tell::POSITION_DATA, &message);
    }

    fn say_position_multi(
        &mut self,
        request_id: i32,
        model: &str,
        holding: &Holding,
        shared: &Shared,
    ) {
        let message = PositionMulti {
            req_id: Some(request_id),
            account: Some(holding.account.clone()),
            contract: Some(shared.directory.contract(holding.listing, "")),
            position: Some(holding.quantity.to_string()),
            avg_cost: Some(holding.average_cost),
            model_code: Some(model.to_owned()),
        };
        self.say(tell::POSITION_MULTI, &message);
    }
}

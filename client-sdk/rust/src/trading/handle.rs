//! An order that can be waited for.

use crate::api::{self, OrderScope, OrderState};
use crate::error::Error;
use crate::services::Orders;
use crate::tws;

/// What became of an order. There is no way around [`Unknown`](Self::Unknown).
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// All of it filled.
    Filled(Box<api::Order>),
    /// It was cancelled; a part may have filled.
    Cancelled(Box<api::Order>),
    /// Gateway or IB refused it.
    Rejected(Box<api::Order>),
    /// It never left.
    NotSent(Box<api::Order>),
    /// A connection was lost in between: it may be working, filled, or never have arrived. Do not
    /// place it anew. Wait on: evidence, or a person, ends this.
    Unknown(Box<api::Order>),
}

impl Outcome {
    /// The order as it was then.
    pub fn order(&self) -> &api::Order {
        match self {
            Self::Filled(order)
            | Self::Cancelled(order)
            | Self::Rejected(order)
            | Self::NotSent(order)
            | Self::Unknown(order) => order,
        }
    }

    fn of(order: &api::Order) -> Option<Self> {
        let order = Box::new(order.clone());
        Some(match order.state() {
            OrderState::Filled => Self::Filled(order),
            OrderState::Cancelled => Self::Cancelled(order),
            OrderState::Rejected => Self::Rejected(order),
            OrderState::NotSent => Self::NotSent(order),
            OrderState::Unknown => Self::Unknown(order),
            OrderState::Intent
            | OrderState::Sent
            | OrderState::Acknowledged
            | OrderState::Working
            | OrderState::Inactive
            | OrderState::Unspecified => return None,
        })
    }
}

/// One order of ours. Dropping the handle does nothing to the order.
#[derive(Debug, Clone)]
pub struct OrderHandle {
    orders: Orders,
    /// An order has some two hundred fields.
    order: Box<api::Order>,
    /// The event after which an outcome was given: whoever asks again wants to know of later ones.
    given: Option<u64>,
}

impl OrderHandle {
    pub(super) fn new(orders: Orders, order: api::Order) -> Self {
        Self { orders, order: Box::new(order), given: None }
    }

    /// Its name.
    pub fn client_order_id(&self) -> &str {
        &self.order.client_order_id
    }

    /// The order as this handle saw it last.
    pub fn order(&self) -> &api::Order {
        &self.order
    }

    /// Asks the broker for the order as it is now.
    pub async fn refresh(&mut self) -> Result<&api::Order, Error> {
        let name = self.order.client_order_id.clone();
        *self.order = self.orders.get(self.order.owner.clone(), name).await?;
        Ok(&self.order)
    }

    /// Waits until Gateway has told of it, or it has ended, or is UNKNOWN.
    pub async fn acknowledged(&mut self) -> Result<&api::Order, Error> {
        self.wait(|order| !matches!(order.state(), OrderState::Intent | OrderState::Sent)).await?;
        Ok(&self.order)
    }

    /// Waits for its end, or until it is UNKNOWN. Asked again, it looks anew: UNKNOWN ends, and
    /// Gateway may take a rejected order after all.
    pub async fn outcome(&mut self) -> Result<Outcome, Error> {
        self.look_anew().await?;
        loop {
            if let Some(outcome) = Outcome::of(&self.order) {
                self.given = Some(self.order.sequence);
                return Ok(outcome);
            }
            self.wait(|order| Outcome::of(order).is_some()).await?;
        }
    }

    async fn look_anew(&mut self) -> Result<(), Error> {
        let is_final = self.order.state() == OrderState::Filled;
        if self.given != Some(self.order.sequence) || is_final {
            return Ok(());
        }
        match self.refresh().await {
            // Without a broker what was seen last is the best there is.
            Err(error) if error.is_unreachable() => Ok(()),
            refreshed => refreshed.map(drop),
        }
    }

    /// As [`Self::outcome`], and waits on while it is UNKNOWN: until evidence or a person says.
    pub async fn resolved(&mut self) -> Result<Outcome, Error> {
        let ended = |order: &api::Order| {
            Outcome::of(order).is_some_and(|one| !matches!(one, Outcome::Unknown(_)))
        };
        self.look_anew().await?;
        loop {
            self.wait(ended).await?;
            if let Some(outcome) = Outcome::of(&self.order).filter(|_| ended(&self.order)) {
                self.given = Some(self.order.sequence);
                return Ok(outcome);
            }
        }
    }

    /// Cancels it.
    pub async fn cancel(&mut self) -> Result<&api::Order, Error> {
        *self.order = self.orders.cancel(self.order.client_order_id.clone()).await?;
        Ok(&self.order)
    }

    /// Changes it to this.
    pub async fn modify(&mut self, order: tws::Order) -> Result<&api::Order, Error> {
        let request = tws::PlaceOrderRequest {
            contract: self.order.contract.clone(),
            order: Some(order),
            ..Default::default()
        };
        let name = self.order.client_order_id.clone();
        *self.order = Box::pin(self.orders.modify(name, request)).await?;
        Ok(&self.order)
    }

    /// Reads its events until one fits.
    async fn wait(&mut self, fits: impl Fn(&api::Order) -> bool) -> Result<(), Error> {
        if fits(&self.order) {
            return Ok(());
        }
        let mut events = self.orders.watch(Some(self.order.sequence), OrderScope::Own).await?;
        while let Some(batch) = events.next().await? {
            for order in batch.into_iter().filter_map(|event| event.order) {
                if order.client_order_id == self.order.client_order_id {
                    *self.order = order;
                    if fits(&self.order) {
                        return Ok(());
                    }
                }
            }
        }
        Err(Error::stream_closed())
    }
}

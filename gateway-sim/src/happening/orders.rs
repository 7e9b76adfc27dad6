//! What can happen to orders, as text. Only data; what each does is in `gateway/book/scripts.rs`.

use std::fmt;
use std::str::FromStr;

use super::parts::Parts;
use crate::seeds::SeedOwner;

/// Which order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderName {
    /// By client id and order id: `7/101`.
    Client(i32, i32),
    /// By permanent id: `perm/700000104`.
    Perm(i64),
}

/// What becomes of the connection on which the next order, or the next cancel, comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DropAtOrder {
    /// It ends before the request was read: nothing is done.
    Refused,
    /// It ends before the answer, which is lost: it is done.
    Accepted,
    /// It ends before the answer, which comes in the client's next session.
    Later,
}

/// Something that happens to an order, or to the next ones.
#[derive(Debug, Clone, PartialEq)]
pub enum OrderHappening {
    /// So much of it is executed, or all that is left; at this price, or at its limit, or at the
    /// quote. Also after it was cancelled.
    Fill {
        /// Which.
        order: OrderName,
        /// How much, a decimal; `None`: all that is left.
        quantity: Option<String>,
        /// At which price.
        price: Option<f64>,
    },
    /// Its last execution is corrected to this price, and to this quantity.
    Correct {
        /// Which.
        order: OrderName,
        /// The right price.
        price: f64,
        /// The right quantity, a decimal, at most what the order has room for; 0: it was none.
        /// `None`: as it was.
        quantity: Option<String>,
    },
    /// IB cancels it.
    Cancel(OrderName),
    /// IB rejects it.
    Reject {
        /// Which.
        order: OrderName,
        /// With which error.
        code: i32,
    },
    /// IB holds it back: `Inactive`.
    Inactive(OrderName),
    /// It works again.
    Active(OrderName),
    /// Its status is told again.
    RepeatStatus(OrderName),
    /// Somebody else places an order, at a limit or at the market.
    Place {
        /// Who; never `Own`.
        owner: SeedOwner,
        /// Its id; 0 by hand.
        order_id: i32,
        /// Of which stock.
        symbol: String,
        /// How much; negative if it sells.
        quantity: i32,
        /// Its limit.
        limit: Option<f64>,
    },
    /// The market of an instrument is at this price.
    Price {
        /// Which.
        symbol: String,
        /// Its last price; bid and ask are a step below and above.
        price: f64,
    },
    /// The next orders are rejected.
    RejectNext {
        /// With which error.
        code: i32,
        /// How many.
        count: u32,
    },
    /// All orders of a symbol are rejected; with code 0 no longer.
    RejectSymbol {
        /// Which.
        symbol: String,
        /// With which error.
        code: i32,
    },
    /// The next market orders are told by their executions alone.
    SilentFill(u32),
    /// Every status of the next orders is told twice.
    RepeatNext(u32),
    /// The next orders come with a warning, 399 or 2109.
    WarnNext {
        /// Which.
        code: i32,
        /// How many.
        count: u32,
    },
    /// So much of the next orders is filled at once, and the rest only when told.
    PartNext {
        /// How much, a decimal; may be 0.
        quantity: String,
        /// How many.
        count: u32,
    },
    /// The next cancels are refused.
    RefuseCancel {
        /// With which error, such as 161.
        code: i32,
        /// How many.
        count: u32,
    },
    /// The end of the next lists of open orders comes before them.
    EarlyEnd(u32),
    /// Another end comes before the next lists of open orders.
    ForeignEnd(u32),
    /// The next lists of open orders lack their last order.
    ShortList(u32),
    /// An end of a list of open orders comes to everyone, unasked.
    EndMark,
    /// The answers to the next orders are lost; the orders live.
    LoseAnswers(u32),
    /// The answers to the next cancels are lost; they hold.
    LoseCancelAnswers(u32),
    /// The answers to the next orders come in the client's next session.
    AnswerLater(u32),
    /// The connection ends at the next order.
    DropAtOrder(DropAtOrder),
    /// The connection ends at the next cancel.
    DropAtCancel(DropAtOrder),
    /// The ledger is told.
    Ledger,
}

/// All forms, as they are listed to users.
pub(crate) const FORMS: &str = "fill=ORDER:QUANTITY|all[:PRICE] with ORDER one of CLIENT/ORDERID, \
     perm/PERMID; correct=ORDER:PRICE[:QUANTITY]; cancel=ORDER; reject=ORDER:CODE; \
     inactive=ORDER; active=ORDER; repeat-status=ORDER; \
     order=CLIENT/ORDERID|manual:SYMBOL:QUANTITY[:LIMIT]; price=SYMBOL:PRICE; reject-next=CODE[:N]; reject-symbol=SYMBOL:CODE; silent-fill[=N]; \
     repeat-next[=N]; warn-next=CODE[:N]; part-next=QUANTITY[:N]; refuse-cancel=CODE[:N]; \
     early-end[=N]; foreign-end[=N]; short-list[=N]; end-mark; lose-answers[=N]; lose-cancel-answers[=N]; \
     answer-later[=N]; drop-at-order=refused|accepted|later; drop-at-cancel=refused|accepted|later; ledger";

impl fmt::Display for OrderName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(client_id, order_id) => write!(formatter, "{client_id}/{order_id}"),
            Self::Perm(perm_id) => write!(formatter, "perm/{perm_id}"),
        }
    }
}

impl FromStr for OrderName {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (first, second) = text.split_once('/').ok_or(())?;
        match first {
            "perm" => Ok(Self::Perm(second.parse().map_err(drop)?)),
            client_id => {
                Ok(Self::Client(client_id.parse().map_err(drop)?, second.parse().map_err(drop)?))
            }
        }
    }
}

const DROPS: &[(&str, DropAtOrder)] = &[
    ("refused", DropAtOrder::Refused),
    ("accepted", DropAtOrder::Accepted),
    ("later", DropAtOrder::Later),
];

fn drop_name(variant: DropAtOrder) -> &'static str {
    DROPS.iter().find(|(_, one)| *one == variant).map_or("", |(name, _)| name)
}

impl fmt::Display for OrderHappening {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fill { order, quantity, price } => {
                let quantity = quantity.as_deref().unwrap_or("all");
                write!(formatter, "fill={order}:{quantity}")?;
                price.map_or(Ok(()), |price| write!(formatter, ":{price}"))
            }
            Self::Correct { order, price, quantity } => {
                write!(formatter, "correct={order}:{price}")?;
                quantity.as_ref().map_or(Ok(()), |quantity| write!(formatter, ":{quantity}"))
            }
            Self::Cancel(order) => write!(formatter, "cancel={order}"),
            Self::Reject { order, code } => write!(formatter, "reject={order}:{code}"),
            Self::Inactive(order) => write!(formatter, "inactive={order}"),
            Self::Active(order) => write!(formatter, "active={order}"),
            Self::RepeatStatus(order) => write!(formatter, "repeat-status={order}"),
            Self::Place { owner, order_id, symbol, quantity, limit } => {
                match owner {
                    SeedOwner::Client(client_id) => {
                        write!(formatter, "order={client_id}/{order_id}")?;
                    }
                    SeedOwner::Own | SeedOwner::Manual => formatter.write_str("order=manual")?,
                }
                write!(formatter, ":{symbol}:{quantity}")?;
                limit.map_or(Ok(()), |limit| write!(formatter, ":{limit}"))
            }
            Self::Price { symbol, price } => write!(formatter, "price={symbol}:{price}"),
            Self::RejectNext { code, count } => write!(formatter, "reject-next={code}:{count}"),
            Self::RejectSymbol { symbol, code } => {
                write!(formatter, "reject-symbol={symbol}:{code}")
            }
            Self::SilentFill(count) => write!(formatter, "silent-fill={count}"),
            Self::RepeatNext(count) => write!(formatter, "repeat-next={count}"),
            Self::WarnNext { code, count } => write!(formatter, "warn-next={code}:{count}"),
            Self::PartNext { quantity, count } => {
                write!(formatter, "part-next={quantity}:{count}")
            }
            Self::RefuseCancel { code, count } => {
                write!(formatter, "refuse-cancel={code}:{count}")
            }
            Self::EarlyEnd(count) => write!(formatter, "early-end={count}"),
            Self::ForeignEnd(count) => write!(formatter, "foreign-end={count}"),
            Self::ShortList(count) => write!(formatter, "short-list={count}"),
            Self::EndMark => formatter.write_str("end-mark"),
            Self::LoseAnswers(count) => write!(formatter, "lose-answers={count}"),
            Self::LoseCancelAnswers(count) => write!(formatter, "lose-cancel-answers={count}"),
            Self::AnswerLater(count) => write!(formatter, "answer-later={count}"),
            Self::DropAtOrder(variant) => {
                write!(formatter, "drop-at-order={}", drop_name(*variant))
            }
            Self::DropAtCancel(variant) => {
                write!(formatter, "drop-at-cancel={}", drop_name(*variant))
            }
            Self::Ledger => formatter.write_str("ledger"),
        }
    }
}

/// Reads a form by its name; none if it is not one of these.
pub(super) fn read(name: &str, value: Option<&str>) -> Option<OrderHappening> {
    use OrderHappening as To;
    let mut parts = Parts::of(value.unwrap_or_default());
    let happening = match name {
        "fill" => To::Fill {
            order: parts.next()?,
            quantity: Some(parts.word()?).filter(|word| word != "all"),
            price: parts.price()?,
        },
        "correct" => To::Correct {
            order: parts.next()?,
            price: parts.price()??,
            quantity: parts.decimal_if_any()?,
        },
        "cancel" => To::Cancel(parts.next()?),
        "reject" => To::Reject { order: parts.next()?, code: parts.next()? },
        "inactive" => To::Inactive(parts.next()?),
        "active" => To::Active(parts.next()?),
        "repeat-status" => To::RepeatStatus(parts.next()?),
        "order" => {
            let (owner, order_id) = match parts.word()?.as_str() {
                "manual" => (SeedOwner::Manual, 0),
                name => match name.parse().ok()? {
                    OrderName::Client(client_id, order_id) => {
                        (SeedOwner::Client(client_id), order_id)
                    }
                    OrderName::Perm(_) => return None,
                },
            };
            let symbol = parts.word()?;
            let quantity = parts.next().filter(|quantity| *quantity != 0)?;
            To::Place { owner, order_id, symbol, quantity, limit: parts.price()? }
        }
        "price" => To::Price { symbol: parts.word()?, price: parts.price()?? },
        "reject-next" => To::RejectNext { code: parts.next()?, count: parts.count()? },
        "reject-symbol" => To::RejectSymbol { symbol: parts.word()?, code: parts.next()? },
        "silent-fill" => To::SilentFill(parts.count()?),
        "repeat-next" => To::RepeatNext(parts.count()?),
        "warn-next" => To::WarnNext { code: parts.next()?, count: parts.count()? },
        "part-next" => To::PartNext { quantity: parts.decimal()?, count: parts.count()? },
        "refuse-cancel" => To::RefuseCancel { code: parts.next()?, count: parts.count()? },
        "early-end" => To::EarlyEnd(parts.count()?),
        "foreign-end" => To::ForeignEnd(parts.count()?),
        "short-list" => To::ShortList(parts.count()?),
        "end-mark" => To::EndMark,
        "lose-answers" => To::LoseAnswers(parts.count()?),
        "lose-cancel-answers" => To::LoseCancelAnswers(parts.count()?),
        "answer-later" => To::AnswerLater(parts.count()?),
        "drop-at-order" => {
            let word = parts.word()?;
            To::DropAtOrder(DROPS.iter().find(|(name, _)| *name == word)?.1)
        }
        "drop-at-cancel" => {
            let word = parts.word()?;
            To::DropAtCancel(DROPS.iter().find(|(name, _)| *name == word)?.1)
        }
        "ledger" => To::Ledger,
        _ => return None,
    };
    // What follows is nothing that was understood.
    parts.is_over().then_some(happening)
}

#[cfg(test)]
mod tests {
    use crate::happening::Happening;

    #[test]
    fn every_form_is_read_back() {
        for text in [
            "fill=7/101:50",
            "fill=7/101:0.5:231.4",
            "fill=perm/3000000001:all",
            "correct=7/101:231.35",
            "correct=7/101:231.35:40",
            "correct=perm/3000000001:231.35:0",
            "cancel=55/1700000000",
            "reject=7/3:201",
            "inactive=7/3",
            "active=7/3",
            "repeat-status=7/3",
            "order=manual:BRK B:-10",
            "order=55/1700000000:AAPL:10:150",
            "price=AAPL:230.5",
            "reject-next=201:2",
            "reject-symbol=AAPL:201",
            "silent-fill=1",
            "repeat-next=3",
            "warn-next=399:1",
            "part-next=40:1",
            "refuse-cancel=161:1",
            "early-end=1",
            "foreign-end=2",
            "short-list=2",
            "end-mark",
            "lose-answers=3",
            "lose-cancel-answers=1",
            "answer-later=1",
            "drop-at-order=refused",
            "drop-at-order=accepted",
            "drop-at-order=later",
            "drop-at-cancel=later",
            "ledger",
        ] {
            assert_eq!(text.parse::<Happening>().unwrap().to_string(), text);
        }
        assert_eq!("lose-answers".parse::<Happening>().unwrap().to_string(), "lose-answers=1");
        for text in [
            "fill=7/101",
            "fill=7:50",
            "fill=7/101:50:x",
            "fill=7/101:50:1:2",
            "correct=7/101",
            "correct=7/101:231:-1",
            "correct=7/101:231:1:2",
            "order=perm/3:AAPL:1",
            "order=7/3:AAPL:0",
            "drop-at-order=never",
            "reject-next",
        ] {
            assert!(text.parse::<Happening>().is_err(), "{text}");
        }
    }
}

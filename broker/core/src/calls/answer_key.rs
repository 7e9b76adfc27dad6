//! Answers without an id that say all the same what they answer: which market rule, which part of an
//! advisor's configuration. Such an answer is known by that, and by nothing else: one to another
//! request may come late.

use ibouncer_proto::tws::v1 as tws;
use prost::Message as _;

/// What an answer says of its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerKey {
    /// The number of a market rule.
    MarketRule,
    /// Groups, or aliases.
    AdvisorData,
}

impl AnswerKey {
    /// Is this the answer to that request?
    pub fn fits(self, request: &[u8], answer: &[u8]) -> bool {
        let asked = match self {
            Self::MarketRule => {
                tws::MarketRuleRequest::decode(request).ok().map(|one| one.market_rule_id())
            }
            Self::AdvisorData => tws::FaRequest::decode(request).ok().map(|one| one.fa_data_type()),
        };
        let answered = match self {
            Self::MarketRule => {
                tws::MarketRule::decode(answer).ok().map(|one| one.market_rule_id())
            }
            Self::AdvisorData => tws::ReceiveFa::decode(answer).ok().map(|one| one.fa_data_type()),
        };
        answered.is_some() && asked == answered
    }
}

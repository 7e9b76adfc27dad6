//! Executions, each once, with its commission, and with what it corrects.
//!
//! Gateway tells an execution when it happens, and again in lists; its commission follows and is
//! keyed by the execution's id alone. An id that differs only after its last dot corrects the
//! earlier one. Source: protocol fact sheet, section 7.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use ibouncer_proto::tws::v1 as tws;
use prost::Message as _;

use crate::orders::journal::{ExecutionRecord, OrderRecord};

/// An execution is told without its commission after this time; it comes within milliseconds.
const COMMISSION: Duration = Duration::from_secs(5);

/// Commissions that came before their executions.
const EARLY: usize = 1_000;

/// What an execution is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum News {
    /// It was told before, or what corrects it was.
    Known,
    /// It is new.
    New,
    /// It replaces this one.
    Corrects(String),
}

/// The executions.
#[derive(Debug, Default)]
pub(crate) struct Executions {
    records: BTreeMap<String, ExecutionRecord>,
    /// The newest of those whose ids differ only after the last dot.
    newest: BTreeMap<String, String>,
    early: VecDeque<(String, Vec<u8>)>,
    untold: BTreeMap<String, Instant>,
    /// Those of which it is not known whose they are, by permId.
    unclaimed: BTreeMap<i64, BTreeSet<String>>,
}

impl Executions {
    pub(crate) fn load(records: Vec<ExecutionRecord>, now: Instant) -> Self {
        let mut executions = Self::default();
        for record in records {
            if !record.told {
                executions.untold.insert(record.exec_id.clone(), now + COMMISSION);
            }
            if !executions.is_superseded(&record.exec_id) {
                executions.newest.insert(stem(&record.exec_id).into(), record.exec_id.clone());
            }
            executions.keep_unclaimed(&record);
            executions.records.insert(record.exec_id.clone(), record);
        }
        executions
    }

    fn keep_unclaimed(&mut self, record: &ExecutionRecord) {
        let perm_id = details(record).execution.map_or(0, |execution| execution.perm_id());
        if record.order_id == 0 && perm_id != 0 {
            self.unclaimed.entry(perm_id).or_default().insert(record.exec_id.clone());
        }
    }

    /// Those of this permId of which it was not known whose they are: somebody looks now.
    pub(crate) fn take_unclaimed(&mut self, perm_id: i64) -> BTreeSet<String> {
        self.unclaimed.remove(&perm_id).unwrap_or_default()
    }

    /// It is of this order, and told anew.
    pub(crate) fn claim(&mut self, id: &str, of: &OrderRecord, now: Instant) {
        let Some(record) = self.records.get_mut(id) else {
            return;
        };
        record.owner.clone_from(&of.owner);
        record.client_order_id.clone_from(&of.client_order_id);
        record.order_id = of.order_id;
        record.told = false;
        let wait = if record.commission.is_empty() { COMMISSION } else { Duration::ZERO };
        self.untold.insert(id.to_owned(), now + wait);
    }

    /// Takes an execution, without its commission. `corrects_exec_id` is filled in here.
    pub(crate) fn add(&mut self, mut record: ExecutionRecord, now: Instant) -> News {
        let id = record.exec_id.clone();
        // A list can hold what was corrected before anybody had seen it.
        if self.records.contains_key(&id) || self.is_superseded(&id) {
            return News::Known;
        }
        let before = self.newest.insert(stem(&id).to_owned(), id.clone());
        let news = before.map_or(News::New, News::Corrects);
        if let News::Corrects(before) = &news {
            record.corrects_exec_id.clone_from(before);
        }
        if let Some(at) = self.early.iter().position(|(early, _)| *early == id)
            && let Some((_, commission)) = self.early.remove(at)
        {
            record.commission = commission.into();
        }
        let wait = if record.commission.is_empty() { COMMISSION } else { Duration::ZERO };
        self.untold.insert(id.clone(), now + wait);
        self.keep_unclaimed(&record);
        self.records.insert(id, record);
        news
    }

    /// Takes a commission. The execution, if it is known and had none.
    pub(crate) fn commission(&mut self, id: &str, body: &[u8], now: Instant) -> Option<String> {
        if self.is_superseded(id) && !self.records.contains_key(id) {
            return None;
        }
        match self.records.get_mut(id) {
            Some(record) if record.commission.is_empty() => {
                record.commission = body.to_vec().into();
                if let Some(at) = self.untold.get_mut(id) {
                    *at = now;
                }
                Some(id.to_owned())
            }
            Some(_) => None,
            None => {
                self.early.push_back((id.to_owned(), body.to_vec()));
                if self.early.len() > EARLY {
                    self.early.pop_front();
                }
                None
            }
        }
    }

    /// Executions that are to be told now; one that waits for its commission before the one that
    /// corrects it.
    pub(crate) fn due(&mut self, now: Instant) -> Vec<String> {
        let due = self.untold.iter().filter(|(_, at)| **at <= now).map(|(id, _)| id.clone());
        let mut told = Vec::new();
        for id in due.collect::<Vec<_>>() {
            let mut chain = vec![id];
            while let Some(before) = chain.last().and_then(|id| self.records.get(id))
                && self.untold.contains_key(&before.corrects_exec_id)
            {
                chain.push(before.corrects_exec_id.clone());
            }
            while let Some(id) = chain.pop() {
                if self.untold.remove(&id).is_some() {
                    told.push(id);
                }
            }
        }
        for id in &told {
            if let Some(record) = self.records.get_mut(id) {
                record.told = true;
            }
        }
        told
    }

    /// Is one known that corrects this one?
    fn is_superseded(&self, id: &str) -> bool {
        self.newest.get(stem(id)).is_some_and(|newest| suffix(newest) > suffix(id))
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.untold.values().min().copied()
    }

    /// What the executions of an order add up to, each as it was corrected last.
    pub(crate) fn sum_of(&self, order_id: i32) -> f64 {
        let newest = self.newest.values().filter_map(|id| self.records.get(id));
        let fills = newest.filter(|one| one.order_id == order_id).map(details);
        let (whole, rest): (Vec<_>, Vec<_>) = fills.partition(is_of_combination);
        // Fills of legs come beside those of their combination.
        let counted = if whole.is_empty() { rest } else { whole };
        counted.iter().map(shares).sum()
    }

    /// Is there an execution of this order?
    pub(crate) fn has_any(&self, order_id: i32) -> bool {
        self.records.values().any(|one| one.order_id == order_id)
    }

    /// Was one of an order's executions corrected to less?
    pub(crate) fn is_lowered(&self, order_id: i32) -> bool {
        let corrections = self.records.values().filter(|one| !one.corrects_exec_id.is_empty());
        let mut of_it = corrections.filter(|one| one.order_id == order_id);
        of_it.any(|one| self.less(&one.corrects_exec_id, &one.exec_id) > 0.0)
    }

    /// By how much less the later execution is than the one that it corrects.
    pub(crate) fn less(&self, before: &str, after: &str) -> f64 {
        match (self.records.get(before), self.records.get(after)) {
            (Some(before), Some(after)) => shares(&details(before)) - shares(&details(after)),
            _ => 0.0,
        }
    }

    pub(crate) fn get(&self, id: &str) -> Option<&ExecutionRecord> {
        self.records.get(id)
    }
}

fn details(record: &ExecutionRecord) -> tws::ExecutionDetails {
    tws::ExecutionDetails::decode(&record.execution[..]).unwrap_or_default()
}

fn is_of_combination(told: &tws::ExecutionDetails) -> bool {
    told.contract.as_ref().is_some_and(|contract| contract.sec_type() == "BAG")
}

fn shares(told: &tws::ExecutionDetails) -> f64 {
    told.execution.as_ref().and_then(|fill| fill.shares().parse().ok()).unwrap_or_default()
}

fn stem(id: &str) -> &str {
    id.rsplit_once('.').map_or(id, |(stem, _)| stem)
}

/// What counts the corrections, in a form that compares: "2" is before "10".
fn suffix(id: &str) -> (usize, &str) {
    let suffix = id.rsplit_once('.').map_or("", |(_, suffix)| suffix).trim_start_matches('0');
    (suffix.len(), suffix)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(id: &str) -> ExecutionRecord {
        ExecutionRecord { exec_id: id.into(), ..Default::default() }
    }

    #[test]
    fn an_execution_is_new_once_and_a_correction_names_the_one_before() {
        let now = Instant::now();
        let mut executions = Executions::default();
        assert_eq!(executions.add(record("0001.02.01"), now), News::New);
        assert_eq!(executions.add(record("0001.02.01"), now), News::Known);
        assert_eq!(executions.add(record("0001.03.01"), now), News::New);
        let corrects = News::Corrects("0001.02.01".into());
        assert_eq!(executions.add(record("0001.02.02"), now), corrects);
        assert_eq!(executions.get("0001.02.02").unwrap().corrects_exec_id, "0001.02.01");
    }

    #[test]
    fn what_was_corrected_before_anybody_saw_it_is_no_news() {
        let now = Instant::now();
        let mut executions = Executions::default();
        assert_eq!(executions.add(record("0001.02.10"), now), News::New);
        assert_eq!(executions.add(record("0001.02.09"), now), News::Known);
        assert_eq!(executions.commission("0001.02.09", b"c", now), None);
        let next = ["0001.02.10", "0001.02.2"].map(record).to_vec();
        let mut executions = Executions::load(next, now);
        let corrects = News::Corrects("0001.02.10".into());
        assert_eq!(executions.add(record("0001.02.11"), now), corrects);
    }

    #[test]
    fn it_is_told_with_its_commission_or_after_a_wait() {
        let now = Instant::now();
        let mut executions = Executions::default();
        executions.add(record("a.1"), now);
        assert!(executions.due(now).is_empty());
        assert_eq!(executions.commission("a.1", b"c", now), Some("a.1".into()));
        assert_eq!(executions.due(now), ["a.1"]);
        assert_eq!(executions.commission("b.1", b"early", now), None);
        executions.add(record("b.1"), now);
        assert_eq!(executions.due(now), ["b.1"]);
        assert_eq!(executions.get("b.1").unwrap().commission, "early");
        executions.add(record("c.1"), now);
        assert_eq!(executions.due(now + COMMISSION), ["c.1"]);
        assert_eq!(executions.commission("c.1", b"late", now), Some("c.1".into()));
        assert!(executions.due(now + COMMISSION).is_empty(), "told already");
        assert_eq!(executions.commission("c.1", b"twice", now), None);
    }

    #[test]
    fn what_waits_for_its_commission_is_told_before_what_corrects_it() {
        let now = Instant::now();
        let mut executions = Executions::default();
        for id in ["a.9", "a.10", "a.11"] {
            executions.add(record(id), now);
        }
        executions.commission("a.11", b"c", now);
        assert_eq!(executions.due(now), ["a.9", "a.10", "a.11"]);
        assert_eq!(
            executions.commission("a.9", b"c", now),
            Some("a.9".into()),
            "and its own later"
        );
        assert!(executions.due(now + COMMISSION).is_empty());
        let records = ["b.9", "b.10"].map(|id| ExecutionRecord {
            corrects_exec_id: if id == "b.10" { "b.9".into() } else { String::new() },
            ..record(id)
        });
        let mut loaded = Executions::load(records.to_vec(), now);
        assert_eq!(loaded.due(now + COMMISSION), ["b.9", "b.10"], "after a restart, too");
    }
}

//! Gateway's warnings and errors beside an answer, on stderr.

use ibouncer_client::api::{MarkKind, StreamMark};
use ibouncer_client::{Error, tws};
use serde_json::{Value, json};

use crate::exit::{Complaint, Failure};
use crate::explain::{Wish, next_step};
use crate::output::Output;
use crate::output::escapes::decoded;
use crate::output::text::wrap;

/// Tells each of them.
pub(super) fn tell(notices: &[tws::ErrorMessage], output: &mut Output) {
    for notice in notices {
        tell_one(notice, Wish::Any, output);
    }
}

/// What a stream says beside its data.
#[derive(Debug, Default)]
pub(super) struct Beside {
    wish: Wish,
    /// Not told yet: a subscription that ends because of it says so itself.
    pending: Option<tws::ErrorMessage>,
}

impl Beside {
    /// Of a stream that gives this.
    pub(super) fn of(wish: Wish) -> Self {
        Self { wish, pending: None }
    }

    /// An error or warning of Gateway.
    pub(super) fn error(&mut self, error: tws::ErrorMessage, output: &mut Output) {
        self.flush(output);
        self.pending = Some(error);
    }

    /// What happened to the subscription; one that ended by an error is a failure.
    pub(super) fn mark(&mut self, mark: &StreamMark, output: &mut Output) -> Result<(), Failure> {
        let kind = mark.kind();
        if let (MarkKind::Ended | MarkKind::Refused, Some(error)) = (kind, &mark.error) {
            let is_same = |told: &tws::ErrorMessage| told.error_code() == error.gateway_code;
            self.pending.take_if(|pending| is_same(pending));
            self.flush(output);
            return Err(Complaint::about(self.wish, Error::from(error.clone())).into());
        }
        self.flush(output);
        if matches!(kind, MarkKind::Subscribed | MarkKind::Reset) {
            return Ok(());
        }
        if output.json() {
            output.json_remark(&json!({ "mark": name(kind), "because": mark.because }));
        } else {
            output.remark(&wrap(&format!("{}  {}", name(kind), mark.because), 2));
        }
        Ok(())
    }

    /// Everything that came together has been seen.
    pub(super) fn flush(&mut self, output: &mut Output) {
        if let Some(error) = self.pending.take() {
            tell_one(&error, self.wish, output);
        }
    }
}

/// "STALE".
pub(super) fn name(kind: MarkKind) -> &'static str {
    kind.as_str_name().trim_start_matches("MARK_KIND_")
}

fn tell_one(notice: &tws::ErrorMessage, wish: Wish, output: &mut Output) {
    if output.json() {
        output.json_remark(&as_json(notice, wish));
    } else {
        output.remark(&wrap(&as_text(notice, wish), 2));
    }
}

fn as_text(notice: &tws::ErrorMessage, wish: Wish) -> String {
    let (code, message) = (notice.error_code(), decoded(notice.error_msg()));
    let next = next_step(code, &message, wish).map(|next| format!(" {next}")).unwrap_or_default();
    format!("Gateway: {} ({code}).{next}", message.trim_end_matches('.'))
}

fn as_json(notice: &tws::ErrorMessage, wish: Wish) -> Value {
    let (code, message) = (notice.error_code(), decoded(notice.error_msg()));
    let next = next_step(code, &message, wish);
    json!({ "notice": {
        "gateway_code": code,
        "message": message,
        "next": next,
    }})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::tests::on_paper;

    #[test]
    fn a_notice_goes_to_stderr_with_a_next_step() {
        let notice = tws::ErrorMessage {
            error_code: Some(10167),
            error_msg: Some(r"Displaying d\u00e9layed market data.".into()),
            ..Default::default()
        };
        let (mut output, out, err) = on_paper(false);
        tell(std::slice::from_ref(&notice), &mut output);
        assert!(err.text().starts_with("Gateway: Displaying délayed market data (10167). Delayed"));
        assert_eq!(out.text(), "");
        assert!(as_json(&notice, Wish::Any)["notice"]["next"].is_string());
    }

    #[test]
    fn an_end_by_an_error_is_a_failure_and_told_once() {
        let (mut output, _, err) = on_paper(false);
        let mut beside = Beside::default();
        let stale = StreamMark { kind: MarkKind::Stale.into(), ..Default::default() };
        beside.mark(&stale, &mut output).unwrap();
        assert_eq!(err.text().trim(), "STALE");
        let notice = tws::ErrorMessage { error_code: Some(200), ..Default::default() };
        beside.error(notice, &mut output);
        let error = ibouncer_client::api::Error { gateway_code: 200, ..Default::default() };
        let ended = MarkKind::Ended.into();
        let ended = StreamMark { kind: ended, error: Some(error), ..Default::default() };
        assert!(beside.mark(&ended, &mut output).is_err());
        assert_eq!(err.text().trim(), "STALE", "the failure says it");
    }

    #[test]
    fn a_book_that_is_refused_is_not_answered_with_quotes() {
        let (mut output, _, _) = on_paper(false);
        let error = ibouncer_client::api::Error { gateway_code: 354, ..Default::default() };
        let ended = MarkKind::Ended.into();
        let ended = StreamMark { kind: ended, error: Some(error), ..Default::default() };
        let Err(Failure::Told(complaint)) = Beside::of(Wish::Book).mark(&ended, &mut output) else {
            panic!("an end by an error is a failure");
        };
        assert!(complaint.next.unwrap().contains("--exchange"));
        assert_eq!(complaint.exit, crate::exit::Exit::Usage);
    }
}

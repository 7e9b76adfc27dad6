//! Gateway's warnings and errors beside an answer, on stderr.

use ibouncer_client::api::{MarkKind, StreamMark};
use ibouncer_client::{Error, tws};
use serde_json::{Value, json};

use crate::exit::Failure;
use crate::explain::next_step;
use crate::output::Output;
use crate::output::text::wrap;

/// Tells each of them.
pub(super) fn tell(notices: &[tws::ErrorMessage], output: &mut Output) {
    for notice in notices {
        tell_one(notice, output);
    }
}

/// Tells one.
pub(super) fn tell_one(notice: &tws::ErrorMessage, output: &mut Output) {
    if output.json() {
        output.json_remark(&as_json(notice));
    } else {
        output.remark(&wrap(&as_text(notice), 2));
    }
}

/// Tells what happened to a subscription; one that ended by an error is a failure.
pub(super) fn mark(mark: &StreamMark, output: &mut Output) -> Result<(), Failure> {
    let kind = mark.kind();
    if let (MarkKind::Ended | MarkKind::Refused, Some(error)) = (kind, &mark.error) {
        return Err(Error::from(error.clone()).into());
    }
    if matches!(kind, MarkKind::Subscribed | MarkKind::Reset) {
        return Ok(());
    }
    let name = kind.as_str_name();
    let name = name.strip_prefix("MARK_KIND_").unwrap_or(name);
    if output.json() {
        output.json_remark(&json!({ "mark": name, "because": mark.because }));
    } else {
        output.remark(&wrap(&format!("{name}  {}", mark.because), 2));
    }
    Ok(())
}

fn as_text(notice: &tws::ErrorMessage) -> String {
    let (code, message) = (notice.error_code(), notice.error_msg());
    let next = next_step(code, message).map(|next| format!(" {next}")).unwrap_or_default();
    format!("Gateway: {} ({code}).{next}", message.trim_end_matches('.'))
}

fn as_json(notice: &tws::ErrorMessage) -> Value {
    let (code, message) = (notice.error_code(), notice.error_msg());
    json!({ "notice": {
        "gateway_code": code,
        "message": message,
        "next": next_step(code, message),
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
            error_msg: Some("Displaying delayed market data.".into()),
            ..Default::default()
        };
        let (mut output, out, err) = on_paper(false);
        tell(std::slice::from_ref(&notice), &mut output);
        assert!(err.text().starts_with("Gateway: Displaying delayed market data (10167). Delayed"));
        assert_eq!(out.text(), "");
        assert!(as_json(&notice)["notice"]["next"].is_string());
    }

    #[test]
    fn an_end_by_an_error_is_a_failure_and_other_marks_are_told() {
        let (mut output, _, err) = on_paper(false);
        let stale = StreamMark { kind: MarkKind::Stale.into(), ..Default::default() };
        mark(&stale, &mut output).unwrap();
        assert_eq!(err.text().trim(), "STALE");
        let error = Some(ibouncer_client::api::Error::default());
        let ended = StreamMark { kind: MarkKind::Ended.into(), error, ..Default::default() };
        assert!(mark(&ended, &mut output).is_err());
    }
}

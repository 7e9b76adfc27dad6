//! The only place that writes to stdout and stderr.
//!
//! What a command found out goes to stdout; remarks and errors go to stderr. A reader who went
//! away (`| head`) is reported as [`Failure::StdoutClosed`](crate::exit::Failure) and ends the
//! command quietly. Text fits 80 columns, and holds nothing that a terminal obeys (`visible`).

pub(crate) mod escapes;
pub(crate) mod mask;
pub(crate) mod number;
pub(crate) mod plot;
pub(crate) mod screen;
pub(crate) mod table;
pub(crate) mod text;
pub(crate) mod time;
pub(crate) mod visible;

use std::io::{self, Write};

use ibouncer_client::Delivery;
use serde_json::{Value, json};

use self::text::wrap;
use self::visible::{escaped, visible};
use crate::exit::Complaint;

/// Columns of text.
pub(crate) const WIDTH: usize = 80;

/// Where a command writes.
pub(crate) struct Output {
    json: bool,
    out: Box<dyn Write>,
    err: Box<dyn Write>,
}

impl Output {
    /// This process's own stdout and stderr.
    pub(crate) fn standard(json: bool) -> Self {
        Self { json, out: Box::new(io::stdout()), err: Box::new(io::stderr()) }
    }

    /// True if everything is to be JSON.
    pub(crate) fn json(&self) -> bool {
        self.json
    }

    /// Writes text, one or more lines, and ends the last one.
    pub(crate) fn text(&mut self, text: &str) -> io::Result<()> {
        let text = text.trim_end_matches('\n');
        writeln!(self.out, "{}", visible(text))?;
        self.out.flush()
    }

    /// Writes text as it is: our own only.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.out.flush()
    }

    /// Writes one JSON value over several lines: the whole answer of a command.
    pub(crate) fn value(&mut self, value: &Value) -> io::Result<()> {
        writeln!(self.out, "{}", escaped(&format!("{value:#}")))?;
        self.out.flush()
    }

    /// Writes one JSON value on one line: one of many.
    pub(crate) fn json_line(&mut self, value: &Value) -> io::Result<()> {
        writeln!(self.out, "{}", escaped(&value.to_string()))?;
        self.out.flush()
    }

    /// Says something beside the result.
    pub(crate) fn remark(&mut self, text: &str) {
        // Nobody is left to be told if stderr is gone.
        let _ = writeln!(self.err, "{}", visible(text));
    }

    /// As [`remark`](Self::remark), for programs.
    pub(crate) fn json_remark(&mut self, value: &Value) {
        let _ = writeln!(self.err, "{}", escaped(&value.to_string()));
    }

    /// Reports an error and what to do next.
    pub(crate) fn complain(&mut self, complaint: &Complaint) {
        if self.json {
            self.json_remark(&complaint_json(complaint));
            return;
        }
        let mut told = wrap(&format!("error: {}", complaint.message), 2);
        if let Some(delivery) = complaint.delivery {
            told.push('\n');
            told.push_str(&wrap(
                match delivery {
                    Delivery::NotSent => "NOT_SENT: nothing of it has left for Gateway, or will",
                    Delivery::MaybeSent => "MAYBE_SENT: it may have left for Gateway",
                },
                2,
            ));
        }
        if let Some(next) = &complaint.next {
            told.push('\n');
            told.push_str(&wrap(&format!("Next: {next}"), 2));
        }
        self.remark(&told);
    }
}

/// `{"error":{…}}`.
fn complaint_json(complaint: &Complaint) -> Value {
    json!({ "error": {
        "code": complaint.code,
        "message": complaint.message,
        "retry": complaint.retry,
        "source": complaint.source,
        "gateway_code": complaint.gateway_code,
        "delivery": complaint.delivery.map(|delivery| match delivery {
            Delivery::NotSent => "NOT_SENT",
            Delivery::MaybeSent => "MAYBE_SENT",
        }),
        "next": complaint.next,
    }})
}

#[cfg(test)]
pub(crate) mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;

    /// What was written, for tests of commands.
    #[derive(Clone, Default)]
    pub(crate) struct Paper(Rc<RefCell<Vec<u8>>>);

    impl Paper {
        pub(crate) fn text(&self) -> String {
            String::from_utf8(self.0.borrow().clone()).unwrap()
        }
    }

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// An output, its stdout and its stderr.
    pub(crate) fn on_paper(json: bool) -> (Output, Paper, Paper) {
        let (out, err) = (Paper::default(), Paper::default());
        let output = Output { json, out: Box::new(out.clone()), err: Box::new(err.clone()) };
        (output, out, err)
    }

    #[test]
    fn errors_are_text_or_json_and_never_on_stdout() {
        let complaint = Complaint::usage("no such symbol").next("check its spelling");
        let (mut output, out, err) = on_paper(false);
        output.complain(&complaint);
        assert_eq!(err.text(), "error: no such symbol\nNext: check its spelling\n");
        assert_eq!(out.text(), "");

        let (mut output, out, err) = on_paper(true);
        output.complain(&complaint);
        let value: Value = serde_json::from_str(&err.text()).unwrap();
        assert_eq!(value["error"]["code"], "USAGE");
        assert_eq!(value["error"]["retry"], "never");
        assert_eq!(value["error"]["source"], "client");
        assert_eq!(value["error"]["message"], "no such symbol");
        assert_eq!(out.text(), "");
    }

    #[test]
    fn nothing_that_a_terminal_obeys_is_written_by_any_way() {
        for json in [false, true] {
            let (mut output, out, err) = on_paper(json);
            let told = "\u{1b}]0;title\u{7} \u{9b}2J";
            output.text(told).unwrap();
            output.value(&json!({ "text": told })).unwrap();
            output.json_line(&json!({ "text": told })).unwrap();
            output.remark(told);
            output.json_remark(&json!({ "text": told }));
            output.complain(&Complaint::usage(told).next(told));
            for written in [out.text(), err.text()] {
                assert!(written.contains("title"), "{written:?}");
                assert!(written.chars().all(|one| one == '\n' || !one.is_control()), "{written:?}");
            }
        }
    }
}

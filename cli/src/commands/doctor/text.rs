//! An examination as a page of 80 columns. Only the last line may be longer: it is one sentence,
//! to be pasted into an issue.

use ibouncer_doctor::timeline::{Attempt, End, Stage, Timeline};
use ibouncer_doctor::{Facts, Plan, Refusal, Report};

use crate::output::mask::masked;
use crate::output::text::{Block, wrap, wrap_behind};

/// The page.
pub(super) fn page(report: &Report) -> String {
    let Report { facts, diagnosis, dry_run } = report;
    let name = diagnosis.verdict.name();
    let mut page = format!("{name}  ");
    page.push_str(&wrap_behind(diagnosis.verdict.meaning(), name.len() + 2, 2));
    page.push_str("\n\n");
    page.push_str(&about(facts));
    if let [timeline] = facts.timelines.as_slice() {
        page.push_str("\nTimeline (ms)\n");
        page.push_str(&timeline_lines(timeline));
    }
    section(&mut page, "Evidence", diagnosis.evidence.iter().map(|line| item("- ", line)));
    section(
        &mut page,
        "Settings of Gateway that hurt, or may",
        diagnosis.findings.iter().map(|finding| {
            item("- ", &format!("{} = {}: {}", finding.setting, finding.value, finding.why))
        }),
    );
    section(
        &mut page,
        "What may be behind it, the likeliest first",
        diagnosis.hypotheses.iter().zip(1..).map(|(one, number)| {
            let what = item(&format!("{number}. "), &one.what);
            format!("{what}{}", item("   Confirm: ", &one.confirm))
        }),
    );
    if let Some((plan, obstacle)) = dry_run {
        page.push_str(&dry_run_lines(plan, obstacle.as_ref()));
    }
    section(
        &mut page,
        "Next",
        diagnosis
            .next_steps
            .iter()
            .zip(1..)
            .map(|(step, number)| item(&format!("{number}. "), step)),
    );
    section(
        &mut page,
        "To be run where Gateway runs, in its network namespace",
        diagnosis
            .commands
            .iter()
            .map(|hint| format!("  {}\n{}", hint.command, item("    ", &hint.read))),
    );
    page.push('\n');
    page.push_str(&diagnosis.sentence);
    page.push('\n');
    page
}

fn section(page: &mut String, title: &str, items: impl Iterator<Item = String>) {
    let text: String = items.collect();
    if !text.is_empty() {
        page.push_str(&format!("\n{title}\n{text}"));
    }
}

/// One item, wrapped below itself.
fn item(mark: &str, text: &str) -> String {
    let first = mark.chars().count();
    let indent = if mark.ends_with(": ") { 3 } else { first };
    format!("{mark}{}\n", wrap_behind(text, first, indent))
}

fn about(facts: &Facts) -> String {
    let mut block = Block::default();
    block.line("Gateway", &facts.gateway.to_string());
    let asked = match facts.timelines.as_slice() {
        [] => "looked only; nothing was sent to Gateway".to_owned(),
        [one] => format!("one handshake: {}", described(&one.attempt)),
        several => format!("{} handshakes, one after the other", several.len()),
    };
    block.line("Stage", &asked);
    if let [timeline] = facts.timelines.as_slice() {
        if let Some(server) = &timeline.server {
            block.line("Version", &format!("{}, {}", server.server_version, server.time));
        }
        let accounts = timeline.accounts.as_deref().unwrap_or_default();
        let accounts: Vec<_> = accounts.iter().map(|one| masked(one)).collect();
        block.line("Accounts", &accounts.join(", "));
    }
    block.finish()
}

fn described(attempt: &Attempt) -> String {
    format!(
        "client id {}, versions {} to {}",
        attempt.client_id,
        attempt.offer.start(),
        attempt.offer.end()
    )
}

fn timeline_lines(timeline: &Timeline) -> String {
    let mut text = String::new();
    for (stage, at) in &timeline.stages {
        text.push_str(&format!("{at:>10.1}  {}\n", stage.name()));
    }
    let last = match &timeline.end {
        End::Good if timeline.has(Stage::CloseAnswered) => return text,
        End::Good => "our end was not answered",
        End::Refused => "TCP was refused",
        End::TcpTimeout => "TCP was not answered",
        End::TcpFailed(_) => "TCP failed",
        End::Silence | End::MuteAfterReady => "nothing more came; closed with a reset",
        End::Closed { reset: true } => "reset by the other side",
        End::Closed { reset: false } => "closed by the other side",
        End::NotProtocol(_) | End::TooLong(_) => "no protocol; closed with a reset",
        End::BadVersion(_) => "no version to go on with; closed with a reset",
        End::ClientIdInUse => "error 326",
    };
    text.push_str(&format!("{:>10.1}  {last}\n", timeline.ended_ms));
    text
}

fn dry_run_lines(plan: &Plan, obstacle: Option<&Refusal>) -> String {
    let mut text = format!("\nThe row ({}), shown only: nothing was sent\n", plan.kind);
    for (step, number) in plan.steps.iter().zip(1..) {
        text.push_str(&format!(
            "{number:>3}. client id {:<6} v{}..{}  {:>5} s  {}\n",
            step.client_id,
            step.offer.start(),
            step.offer.end(),
            step.limits.version.as_secs_f64(),
            step.close.name()
        ));
    }
    if plan.left_out > 0 {
        text.push_str(&format!("     {} more are left out\n", plan.left_out));
    }
    let mut rule = format!(
        "One at a time, {} s apart, at most {} s in all; each only if the budget allows it, and \
         the first silence ends the row.",
        plan.pause.as_secs_f64(),
        plan.longest().as_secs()
    );
    match obstacle {
        None => rule.push_str(" Add --run to carry it out."),
        Some(obstacle) => rule.push_str(&format!(" It would be refused now: {obstacle}.")),
    }
    text.push_str(&wrap(&rule, 0));
    text.push('\n');
    text
}

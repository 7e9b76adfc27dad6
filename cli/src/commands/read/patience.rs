//! Waiting for an answer of Gateway: a remark where it takes long, and an end where nobody else
//! sets one.

use std::future::Future;
use std::time::Duration;

use ibouncer_client::{Origin, Retry};

use crate::exit::{Complaint, Exit, Failure};
use crate::output::Output;

/// For a call, whose deadline is the broker's: history may wait for its turn for minutes.
pub(super) async fn patient<T, E: Into<Failure>>(
    answer: impl Future<Output = Result<T, E>>,
    output: &mut Output,
) -> Result<T, Failure> {
    let mut answer = std::pin::pin!(answer);
    tokio::select! {
        answer = &mut answer => return answer.map_err(Into::into),
        () = tokio::time::sleep(REMARK) => {}
    }
    if !output.json() {
        output.remark("Waiting for Gateway; `ibouncer queue` says whether for a turn.");
    }
    answer.await.map_err(Into::into)
}

/// For a state that is read to its end mark, which Gateway may never send.
pub(super) async fn at_most<T, E: Into<Failure>>(
    answer: impl Future<Output = Result<T, E>>,
    output: &mut Output,
) -> Result<T, Failure> {
    match tokio::time::timeout(LIMIT, patient(answer, output)).await {
        Ok(answer) => answer,
        Err(_) => Err(silent().into()),
    }
}

/// Gateway took the request, and never said that this was all.
fn silent() -> Complaint {
    Complaint {
        exit: Exit::NotReady,
        code: "GATEWAY_DEADLINE".to_owned(),
        message: format!("Gateway has not answered for {} s", LIMIT.as_secs()),
        next: Some("`ibouncer status` says how the session is".to_owned()),
        retry: Retry::After.as_str(),
        source: Origin::Upstream.as_str(),
        gateway_code: None,
        delivery: None,
    }
}

const REMARK: Duration = Duration::from_secs(5);
const LIMIT: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::tests::on_paper;

    #[tokio::test]
    async fn what_takes_long_is_remarked_on_and_what_never_comes_is_given_up() {
        tokio::time::pause();
        let (mut output, _, err) = on_paper(false);
        let slow = async {
            tokio::time::sleep(Duration::from_secs(7)).await;
            Ok::<_, Failure>(5)
        };
        assert_eq!(patient(slow, &mut output).await.unwrap(), 5);
        assert!(err.text().contains("ibouncer queue"), "{}", err.text());
        let failure = at_most(std::future::pending::<Result<(), Failure>>(), &mut output).await;
        let Err(Failure::Told(complaint)) = failure else { panic!("{failure:?}") };
        assert_eq!(complaint.exit, Exit::NotReady);
    }
}

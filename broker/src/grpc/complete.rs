//! Errors that gRPC's own layer makes (an unknown method, a message that is too large or cannot
//! be read) get the same trailers as ours, so that a client finds them on every error.

use http::{HeaderValue, Response};
use tonic::Code;

const CODE: &str = "ibouncer-code";

/// Adds what is missing.
pub fn complete<B>(mut response: Response<B>) -> Response<B> {
    let headers = response.headers_mut();
    let status = headers.get("grpc-status").map(|status| Code::from_bytes(status.as_bytes()));
    if let Some(name) = status.and_then(name_of)
        && !headers.contains_key(CODE)
    {
        headers.insert(CODE, HeaderValue::from_static(name));
        headers.insert("ibouncer-source", HeaderValue::from_static("client"));
        headers.insert("ibouncer-retry", HeaderValue::from_static("never"));
        // What could not be read was not sent on.
        headers.insert("ibouncer-delivery", HeaderValue::from_static("not-sent"));
    }
    response
}

/// Our code for an error of gRPC's own layer; `None` for what it does not make.
pub(super) fn name_of(code: Code) -> Option<&'static str> {
    match code {
        Code::Unimplemented => Some("UNKNOWN_METHOD"),
        Code::OutOfRange | Code::ResourceExhausted => Some("MESSAGE_TOO_LARGE"),
        Code::InvalidArgument | Code::Internal => Some("BAD_REQUEST"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_errors_without_a_code_are_completed() {
        let made = |status: &'static str| {
            complete(Response::builder().header("grpc-status", status).body(()).unwrap())
        };
        assert_eq!(made("12").headers()[CODE], "UNKNOWN_METHOD");
        assert_eq!(made("11").headers()["ibouncer-retry"], "never");
        assert_eq!(made("11").headers()["ibouncer-delivery"], "not-sent");
        for not_of_requests in ["0", "5"] {
            assert!(!made(not_of_requests).headers().contains_key(CODE));
        }
        let ours = Response::builder().header("grpc-status", "3").header(CODE, "OURS");
        assert_eq!(complete(ours.body(()).unwrap()).headers()[CODE], "OURS");
        assert!(complete(Response::new(())).headers().is_empty());
    }
}

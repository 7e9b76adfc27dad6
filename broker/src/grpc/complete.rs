//! Errors that gRPC's own layer makes (an unknown method, a message that is too large or cannot
//! be read) get the same trailers as ours, and a sentence, so that a client finds them on every
//! error.

use http::{HeaderValue, Response};
use tonic::Code;

const CODE: &str = "ibouncer-code";
const MESSAGE: &str = "grpc-message";

/// In gRPC's percent encoding.
const NO_SUCH_CALL: &str = "this broker has no such call: is the client made for another version?";

/// Adds what is missing.
pub fn complete<B>(mut response: Response<B>) -> Response<B> {
    let headers = response.headers_mut();
    let status = headers.get("grpc-status").map(|status| Code::from_bytes(status.as_bytes()));
    if let Some(mut name) = status.and_then(name_of)
        && !headers.contains_key(CODE)
    {
        // Of a method that is not there it says nothing; of an encoding that is not, it does.
        match (status, headers.contains_key(MESSAGE)) {
            (Some(Code::Unimplemented), false) => {
                headers.insert(MESSAGE, HeaderValue::from_static(NO_SUCH_CALL));
            }
            (Some(Code::Unimplemented), true) => name = "BAD_REQUEST",
            _ => {}
        }
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
        assert!(made("12").headers()[MESSAGE].to_str().unwrap().contains("no such call"));
        let encoded = Response::builder().header("grpc-status", "12").header(MESSAGE, "gzip");
        assert_eq!(complete(encoded.body(()).unwrap()).headers()[CODE], "BAD_REQUEST");
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

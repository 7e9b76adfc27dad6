//! Errors that gRPC's own layer makes (an unknown method, a message that is too large or cannot
//! be read) get the same trailers as ours, so that a client finds them on every error.

use http::{HeaderValue, Response};
use tonic::Code;

const CODE: &str = "ibouncer-code";

/// Adds what is missing.
pub fn complete<B>(mut response: Response<B>) -> Response<B> {
    let headers = response.headers_mut();
    let status = headers.get("grpc-status").map(|status| Code::from_bytes(status.as_bytes()));
    if let Some(code) = status
        && code != Code::Ok
        && !headers.contains_key(CODE)
    {
        let name = match code {
            Code::Unimplemented => "UNKNOWN_METHOD",
            Code::OutOfRange | Code::ResourceExhausted => "MESSAGE_TOO_LARGE",
            _ => "BAD_REQUEST",
        };
        headers.insert(CODE, HeaderValue::from_static(name));
        headers.insert("ibouncer-source", HeaderValue::from_static("client"));
        headers.insert("ibouncer-retry", HeaderValue::from_static("never"));
    }
    response
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
        assert!(!made("0").headers().contains_key(CODE));
        let ours = Response::builder().header("grpc-status", "3").header(CODE, "OURS");
        assert_eq!(complete(ours.body(()).unwrap()).headers()[CODE], "OURS");
        assert!(complete(Response::new(())).headers().is_empty());
    }
}

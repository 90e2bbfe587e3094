//! Lets in whoever belongs to the stack, and no web page: a browser says from which page it asks, and names the host by which the page
//! found it. The RDS API's own requests are signed besides, which [`super::iam`] checks.

use super::iam::KEY_HEADER;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::net::SocketAddrV4;
use std::sync::Arc;

/// The marks of a request that is let in.
#[derive(Debug)]
pub struct Callers {
    /// The address that is listened on; the `Host` of every request.
    pub host: SocketAddrV4,
    /// The secret key of the account's root user, for the paths that RDS has not.
    pub secret: String,
}

/// Refuses a request of a web page, and one to a path of the stack's own without the secret.
pub async fn check(State(callers): State<Arc<Callers>>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let is_own = request.uri().path().starts_with("/_local/") && request.method() != axum::http::Method::GET;
    if is_of_a_page(headers, &callers.host.to_string()) {
        let why = "the local AWS answers no web page, and under no other name than its address\n";
        return (StatusCode::FORBIDDEN, why).into_response();
    }
    if is_own && headers.get(KEY_HEADER).is_none_or(|shown| shown.as_bytes() != callers.secret.as_bytes()) {
        return (StatusCode::FORBIDDEN, format!("{KEY_HEADER} has to be the secret key of this start\n"))
            .into_response();
    }
    next.run(request).await
}

fn is_of_a_page(headers: &HeaderMap, host: &str) -> bool {
    let is = |name: &str, value: &str| headers.get(name).is_some_and(|found| found.as_bytes() == value.as_bytes());
    let is_cross_site = headers.contains_key("sec-fetch-site") && !is("sec-fetch-site", "none");
    !is(header::HOST.as_str(), host) || headers.contains_key(header::ORIGIN) || is_cross_site
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_told_by_its_origin_or_by_another_name_of_the_host() {
        let of = |given: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in given {
                headers.insert(*name, value.parse().unwrap());
            }
            is_of_a_page(&headers, "127.77.1.1:4567")
        };
        assert!(!of(&[("host", "127.77.1.1:4567")]));
        assert!(!of(&[("host", "127.77.1.1:4567"), ("sec-fetch-site", "none")]));
        assert!(of(&[]));
        assert!(of(&[("host", "evil.example:4567")]));
        assert!(of(&[("host", "127.77.1.1:4567"), ("origin", "https://evil.example")]));
        assert!(of(&[("host", "127.77.1.1:4567"), ("sec-fetch-site", "cross-site")]));
    }
}

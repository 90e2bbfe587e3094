//! Lets in whoever belongs to the stack, and no web page: a browser says from which page it asks, and names the host by which the page
//! found it. The RDS API's own requests are signed besides, which [`super::iam`] checks.

use super::iam::KEY_HEADER;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::net::Ipv4Addr;
use std::sync::Arc;

/// The marks of a request that is let in.
#[derive(Debug)]
pub struct Callers {
    /// The secret key of the account's root user, for the paths that RDS has not.
    pub secret: String,
}

/// Refuses a request of a web page, and one to a path of the stack's own without the secret.
pub async fn check(State(callers): State<Arc<Callers>>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let is_own = request.uri().path().starts_with("/_local/") && request.method() != axum::http::Method::GET;
    if is_of_a_page(headers) {
        return page_refused();
    }
    if is_own && headers.get(KEY_HEADER).is_none_or(|shown| shown.as_bytes() != callers.secret.as_bytes()) {
        return (StatusCode::FORBIDDEN, format!("{KEY_HEADER} has to be the secret key of this start\n"))
            .into_response();
    }
    next.run(request).await
}

/// Refuses a request of a web page, and no other: for routes to which nobody signs.
pub async fn refuse_pages(request: Request, next: Next) -> Response {
    if is_of_a_page(request.headers()) {
        return page_refused();
    }
    next.run(request).await
}

fn page_refused() -> Response {
    let why = "the local AWS answers no web page, and under no other name than its address\n";
    (StatusCode::FORBIDDEN, why).into_response()
}

fn is_of_a_page(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let is_cross_site = text("sec-fetch-site").is_some_and(|site| site != "none");
    // An address, never a name: a page that is found by a name can have that lead here, and then asks as itself. Any loopback address,
    // because a client may come by a proxy of this machine, and has signed the proxy's.
    let host = text(header::HOST.as_str()).unwrap_or_default();
    let address = host.rsplit_once(':').map_or(host, |(address, _)| address);
    let is_address = address.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback());
    !is_address || headers.contains_key(header::ORIGIN) || is_cross_site
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
            is_of_a_page(&headers)
        };
        assert!(!of(&[("host", "127.77.1.1:4567")]));
        assert!(!of(&[("host", "127.77.1.1:4567"), ("sec-fetch-site", "none")]));
        // A proxy of the same machine.
        assert!(!of(&[("host", "127.0.0.1:41000")]));
        assert!(of(&[]));
        assert!(of(&[("host", "localhost:4567")]));
        assert!(of(&[("host", "evil.example:4567")]));
        assert!(of(&[("host", "127.77.1.1:4567"), ("origin", "https://evil.example")]));
        assert!(of(&[("host", "127.77.1.1:4567"), ("sec-fetch-site", "cross-site")]));
    }
}

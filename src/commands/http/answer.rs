//! From a request to its answer.

use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};

use super::desk::Desk;
use super::metrics;

const INDEX: &str = "\
/livez    200 while the election goes on, 503 and why if not: restart this node
/readyz   200 while the store answers and the node is not stopping, 503 and why if not
/leader   200 while this node leads, 503 if not; /leader?code=429 chooses another code
/status   what this node knows, as JSON
/metrics  for Prometheus
";

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

pub(super) fn answer<B>(desk: &Desk, request: &Request<B>) -> Response<String> {
    let uri = request.uri();
    let what = match uri.path() {
        "/" => |_: &Desk, _: &str| text(StatusCode::OK, INDEX.into()),
        "/livez" => |desk: &Desk, _: &str| probe(desk.alive()),
        "/readyz" => |desk: &Desk, _: &str| probe(desk.ready()),
        "/leader" => leader,
        "/status" => |desk: &Desk, _: &str| status(desk),
        "/metrics" => {
            |desk: &Desk, _: &str| typed(StatusCode::OK, metrics::TYPE, metrics::text(desk))
        }
        _ => {
            let lines = format!("not found; there are:\n{INDEX}");
            return text(StatusCode::NOT_FOUND, lines);
        }
    };
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refused = text(StatusCode::METHOD_NOT_ALLOWED, "use GET or HEAD\n".into());
        let allowed = HeaderValue::from_static("GET, HEAD");
        refused.headers_mut().insert(ALLOW, allowed);
        return refused;
    }
    what(desk, uri.query().unwrap_or_default())
}

fn probe(well: Result<(), String>) -> Response<String> {
    match well {
        Ok(()) => text(StatusCode::OK, "ok\n".into()),
        Err(why) => text(StatusCode::SERVICE_UNAVAILABLE, why + "\n"),
    }
}

fn leader(desk: &Desk, query: &str) -> Response<String> {
    let code = query.split('&').find_map(|pair| pair.strip_prefix("code="));
    let otherwise = match code {
        None => StatusCode::SERVICE_UNAVAILABLE,
        Some(code) => match code.parse().ok().filter(|code| (200..600).contains(code)) {
            Some(code) => StatusCode::from_u16(code).unwrap_or(StatusCode::SERVICE_UNAVAILABLE),
            None => {
                let why = "code= must be a number from 200 to 599, for example /leader?code=429\n";
                return text(StatusCode::BAD_REQUEST, why.into());
            }
        },
    };
    // Before the moment that decides: whoever it names, the code is of now.
    let other = desk.node.leader();
    match desk.leading().1 {
        Some(leading) => {
            let (id, term) = (&desk.node.me().node_id, leading.term);
            text(StatusCode::OK, format!("{id} leads in term {term}\n"))
        }
        None => text(
            otherwise,
            match other.filter(|other| other.holder.session != desk.node.me().session) {
                Some(leader) => {
                    let (id, term) = (&leader.holder.node_id, leader.term);
                    format!("{id} leads in term {term}\n")
                }
                None => "nobody is known to lead\n".into(),
            },
        ),
    }
}

fn status(desk: &Desk) -> Response<String> {
    match serde_json::to_string(&desk.status()) {
        Ok(json) => typed(StatusCode::OK, JSON, json + "\n"),
        Err(e) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{e}\n")),
    }
}

fn text(code: StatusCode, body: String) -> Response<String> {
    typed(code, TEXT, body)
}

fn typed(code: StatusCode, r#type: &'static str, body: String) -> Response<String> {
    let mut response = Response::new(body);
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(r#type));
    // True now, and perhaps not a moment later.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

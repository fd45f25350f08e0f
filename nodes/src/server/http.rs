//! The client API over HTTP: what [`api`](crate::api) describes.
//!
//! ```text
//!   bytes ──parse──> Request ──submit──> inbox of the core ──Reply──> 200, or an error that says whether it was done
//!      └ 400 fail                └ full: 503 fail         └ none within REQUEST_TIMEOUT: 504 info
//! ```
//!
//! The one rule here that matters to a checker: `fail` only when the operation is definitely not done, now or ever. A read
//! that was not answered constrains nothing, so for reads every error is `fail`.

use std::{borrow::Cow, fmt, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State, rejection::BytesRejection},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
    serve::ListenerExt as _,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value as JsonValue, json};
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot, watch},
    time::timeout,
};

use super::driver::Event;
use crate::{
    api::{
        CasRequest, CasResponse, DequeueRequest, ErrorBody, ErrorResponse, MembershipRequest, Outcome, ReadRequest,
        ReadResponse, SessionFields, SessionResponse, TransferRequest, Txn, WriteRequest,
    },
    machine::{Answer, Command, Operation, Stamp, TxnStep, Value},
    protocol::{NodeId, Refusal, Reply, Request, Status},
};

/// A request that has no answer after this time is answered with 504.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest body of a request.
pub const BODY_BYTES_MAX: usize = 1 << 20;
/// The longest key.
pub const KEY_BYTES_MAX: usize = 1 << 10;

/// The most steps of one transaction.
pub const TXN_OPS_MAX: usize = 1 << 10;

/// What the handlers share: a way to the core, and what it last told about itself.
pub struct Api {
    submit: Box<dyn Fn(Request, oneshot::Sender<Reply>) -> bool + Send + Sync>,
    status: watch::Receiver<Status>,
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("status", &self.status).finish_non_exhaustive()
    }
}

impl Api {
    /// Handlers that put requests into `inbox`.
    #[must_use]
    pub fn new<M: Send + 'static>(inbox: mpsc::Sender<Event<M>>, status: watch::Receiver<Status>) -> Self {
        let submit = move |request, reply| inbox.try_send(Event::Client { request, reply }).is_ok();
        Self { submit: Box::new(submit), status }
    }

    /// Asks the core, and waits for its reply.
    async fn ask(&self, kind: Kind, request: Request) -> Result<Reply, ApiError> {
        let (sender, receiver) = oneshot::channel();
        if !(self.submit)(request, sender) {
            return Err(ApiError::refused(kind, Refusal::Overloaded));
        }
        match timeout(REQUEST_TIMEOUT, receiver).await {
            Ok(Ok(Reply::Refused(refusal))) => Err(ApiError::refused(kind, refusal)),
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(_)) => {
                Err(ApiError::unknown(kind, StatusCode::SERVICE_UNAVAILABLE, "stopping", "the node is ending"))
            }
            Err(_) => Err(ApiError::refused(kind, Refusal::Timeout)),
        }
    }

    async fn run(&self, command: Command) -> Result<Answer, ApiError> {
        match self.ask(Kind::Change, Request::Command(command)).await? {
            Reply::Answer(Answer::Rejected(code)) => Err(ApiError::rejected(code)),
            Reply::Answer(answer) => Ok(answer),
            other => panic!("a command was answered with {other:?}"),
        }
    }

    async fn run_operation(&self, stamp: SessionFields, operation: Operation) -> Result<Answer, ApiError> {
        self.run(Command::Do { stamp: parse_stamp(stamp)?, operation }).await
    }
}

/// Serves clients for as long as the node lives.
///
/// # Errors
/// When the listener fails for good.
pub async fn serve(listener: TcpListener, api: Api) -> std::io::Result<()> {
    // Answers are small and waited for: holding one back to fill a packet would cost tens of milliseconds.
    let listener = listener.tap_io(|stream| {
        let _slower_only = stream.set_nodelay(true);
    });
    axum::serve(listener, router(api)).await
}

/// The routes.
pub fn router(api: Api) -> Router {
    Router::new()
        .route("/v1/read", post(read))
        .route("/v1/write", post(write))
        .route("/v1/cas", post(cas))
        .route("/v1/append", post(append))
        .route("/v1/add", post(add))
        .route("/v1/dequeue", post(dequeue))
        .route("/v1/txn", post(txn))
        .route("/v1/session", post(session))
        .route("/v1/transfer", post(transfer))
        .route("/v1/membership", post(membership))
        .route("/v1/status", get(status))
        .fallback(|| async { ApiError::bad(StatusCode::NOT_FOUND, "there is no such path") })
        .method_not_allowed_fallback(|| async { ApiError::bad(StatusCode::METHOD_NOT_ALLOWED, "wrong method") })
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(Arc::new(api))
}

type Body = Result<Bytes, BytesRejection>;
type Answered = Result<Response, ApiError>;

async fn read(State(api): State<Arc<Api>>, body: Body) -> Answered {
    let ReadRequest { key } = parse(body)?;
    match api.ask(Kind::Read, Request::Read { key: parse_key(key)? }).await? {
        Reply::Value(value) => ok(ReadResponse { value: value.to_json() }),
        other => panic!("a read was answered with {other:?}"),
    }
}

async fn write(State(api): State<Arc<Api>>, body: Body) -> Answered {
    let WriteRequest { key, value, stamp } = parse(body)?;
    let operation = Operation::Write { key: parse_key(key)?, value: parse_value(value)? };
    done(api.run_operation(stamp, operation).await?)
}

async fn append(State(api): State<Arc<Api>>, body: Body) -> Answered {
    let WriteRequest { key, value, stamp } = parse(body)?;
    let operation = Operation::Append { key: parse_key(key)?, value: parse_value(value)? };
    done(api.run_operation(stamp, operation).await?)
}

async fn add(State(api): State<Arc<Api>>, body: Body) -> Answered {
    let WriteRequest { key, value, stamp } = parse(body)?;
    let Value::Int(delta) = parse_value(value)? else {
        return Err(ApiError::bad(StatusCode::BAD_REQUEST, "what is added is a whole number"));
    };
    done(api.run_operation(stamp, Operation::Add { key: parse_key(key)?, delta }).await?)
}

async fn dequeue(State(api): State<Arc<Api>>, body: Body) -> Answered {
    let DequeueRequest { key, stamp } = parse(body)?;
    match api.run_operation(stamp, Operation::Pop { key: parse_key(key)? }).await? {
        Answer::Taken(value) => ok(ReadResponse { value: value.to_json() }),
        _ => Err(ApiError::stamp_reused()),
    }
}

async fn cas(State(api): State<Arc<Api>>, body: Body) -> Answered {
    let CasRequest { key, old, new, stamp } = parse(body)?;
    let operation = Operation::Cas { key: parse_key(key)?, old: parse_value(old)?, new: parse_value(new)? };
    match api.run_operation(stamp, operation).await? {
        Answer::Done => ok(CasResponse { swapped: true, observed: None }),
        Answer::NotEqual { observed } => ok(CasResponse { swapped: false, observed: Some(observed.to_json()) }),
        _ => Err(ApiError::stamp_reused()),
    }
}

async fn txn(State(api): State<Arc<Api>>, body: Body) -> Answered {
    let Txn { mut ops, stamp } = parse(body)?;
    if ops.len() > TXN_OPS_MAX {
        let message = format!("a transaction has at most {TXN_OPS_MAX} steps, this one {}", ops.len());
        return Err(ApiError::bad(StatusCode::BAD_REQUEST, message));
    }
    let steps = ops.iter().map(parse_step).collect::<Result<_, _>>()?;
    let values = match api.run_operation(stamp, Operation::Txn { steps }).await? {
        Answer::Txn(values) if values.len() == ops.len() => values,
        _ => return Err(ApiError::stamp_reused()),
    };
    for ((kind, _, shown), value) in ops.iter_mut().zip(values) {
        if kind == "r" {
            *shown = value.to_json();
        }
    }
    ok(Txn { ops, stamp: SessionFields::default() })
}

async fn session(State(api): State<Arc<Api>>, body: Body) -> Answered {
    let _empty: serde_json::Map<String, JsonValue> = parse_or_empty(body)?;
    match api.run(Command::OpenSession).await? {
        Answer::Session(session) => ok(SessionResponse { session }),
        _ => Err(ApiError::stamp_reused()),
    }
}

async fn transfer(State(api): State<Arc<Api>>, body: Body) -> Answered {
    let TransferRequest { to } = parse_or_empty(body)?;
    match api.ask(Kind::Change, Request::TransferLeadership { to: to.map(NodeId) }).await? {
        Reply::TransferStarted => ok(json!({})),
        other => panic!("a transfer was answered with {other:?}"),
    }
}

async fn membership(State(api): State<Arc<Api>>, body: Body) -> Answered {
    let MembershipRequest { voters, learners } = parse(body)?;
    let nodes = |ids: Vec<u64>| ids.into_iter().map(NodeId).collect();
    let request = Request::ChangeMembership { voters: nodes(voters), learners: nodes(learners) };
    match api.ask(Kind::Change, request).await? {
        Reply::MembershipChanged => ok(json!({})),
        other => panic!("a change of membership was answered with {other:?}"),
    }
}

async fn status(State(api): State<Arc<Api>>) -> Answered {
    let status = api.status.borrow().clone();
    ok(status)
}

fn ok(body: impl Serialize) -> Answered {
    Ok(Json(body).into_response())
}

fn done(answer: Answer) -> Answered {
    match answer {
        Answer::Done => ok(json!({})),
        _ => Err(ApiError::stamp_reused()),
    }
}

fn parse<T: DeserializeOwned>(body: Body) -> Result<T, ApiError> {
    let body = body.map_err(|error| ApiError::bad(error.status(), error.body_text()))?;
    serde_json::from_slice(&body).map_err(|error| ApiError::bad(StatusCode::BAD_REQUEST, error.to_string()))
}

fn parse_or_empty<T: DeserializeOwned + Default>(body: Body) -> Result<T, ApiError> {
    if body.as_ref().is_ok_and(Bytes::is_empty) { Ok(T::default()) } else { parse(body) }
}

fn parse_key(key: String) -> Result<String, ApiError> {
    if key.is_empty() || key.len() > KEY_BYTES_MAX {
        let message = format!("a key has 1 to {KEY_BYTES_MAX} bytes, this one {}", key.len());
        return Err(ApiError::bad(StatusCode::BAD_REQUEST, message));
    }
    Ok(key)
}

fn parse_value(value: JsonValue) -> Result<Value, ApiError> {
    Value::from_json(value).map_err(|error| ApiError::bad(StatusCode::BAD_REQUEST, error.to_string()))
}

fn parse_stamp(fields: SessionFields) -> Result<Option<Stamp>, ApiError> {
    match (fields.session, fields.seq) {
        (None, None) => Ok(None),
        (Some(session), Some(seq)) if seq > 0 => Ok(Some(Stamp { session, seq })),
        _ => Err(ApiError::bad(StatusCode::BAD_REQUEST, "`session` and `seq` go together, and `seq` counts from 1")),
    }
}

fn parse_step((kind, key, value): &(String, String, JsonValue)) -> Result<TxnStep, ApiError> {
    let key = parse_key(key.clone())?;
    match kind.as_str() {
        "r" if value.is_null() => Ok(TxnStep::Read { key }),
        "r" => Err(ApiError::bad(StatusCode::BAD_REQUEST, "the value of a read is null in a request")),
        "w" => Ok(TxnStep::Write { key, value: parse_value(value.clone())? }),
        "append" => Ok(TxnStep::Append { key, value: parse_value(value.clone())? }),
        other => Err(ApiError::bad(StatusCode::BAD_REQUEST, format!("{other:?} is none of r, w, append"))),
    }
}

/// Whether an unanswered request may have had an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Read,
    Change,
}

/// An answer that is not 200.
#[derive(Debug)]
struct ApiError {
    status: StatusCode,
    code: Cow<'static, str>,
    outcome: Outcome,
    message: String,
}

impl ApiError {
    fn failed(status: StatusCode, code: Cow<'static, str>, message: impl Into<String>) -> Self {
        Self { status, code, outcome: Outcome::Fail, message: message.into() }
    }

    fn bad(status: StatusCode, message: impl Into<String>) -> Self {
        Self::failed(status, Cow::Borrowed("bad-request"), message)
    }

    /// The machine said no. It did not do this copy of the request; but another copy may be what made the stamp stale, or may
    /// have been done before its session was evicted.
    fn rejected(code: String) -> Self {
        let is_about_stamp = [Answer::UNKNOWN_SESSION, Answer::STALE_SEQUENCE].contains(&code.as_str());
        let outcome = if is_about_stamp { Outcome::Info } else { Outcome::Fail };
        let message = format!("the state machine rejected it: {code}");
        Self { status: StatusCode::CONFLICT, code: Cow::Owned(code), outcome, message }
    }

    /// The answer that is remembered under the stamp is one to another kind of operation: a mistake of the client, and no reason
    /// to end. What it did, if anything, is not known here.
    fn stamp_reused() -> Self {
        let message = "its `session` and `seq` were used for another operation";
        Self::unknown(Kind::Change, StatusCode::CONFLICT, "stamp-reused", message)
    }

    fn unknown(kind: Kind, status: StatusCode, code: &'static str, message: &str) -> Self {
        let outcome = if kind == Kind::Read { Outcome::Fail } else { Outcome::Info };
        Self { status, code: Cow::Borrowed(code), outcome, message: message.to_owned() }
    }

    fn refused(kind: Kind, refusal: Refusal) -> Self {
        let (code, message) = match refusal {
            Refusal::NoLeader => ("no-leader", "this node knows no leader"),
            Refusal::NotLeader => ("not-leader", "this node, or the one it was forwarded to, does not lead"),
            Refusal::Overwritten => ("overwritten", "another term's entry was applied in its place"),
            Refusal::Overloaded => ("overloaded", "too many requests wait here"),
            Refusal::Unsupported => ("unsupported", "the membership of this protocol is static"),
            Refusal::ChangeUnderWay => ("change-under-way", "another change of membership is under way, or may be"),
            Refusal::InvalidMembership => (
                "invalid-membership",
                "name at least one voter, each node once, and only nodes that this one knows from --peers",
            ),
            Refusal::LeadershipLost => ("leadership-lost", "leadership was lost after the command entered the log"),
            Refusal::ForwardLost => ("forward-lost", "it was forwarded, and no answer came back"),
            Refusal::Timeout => ("timeout", "no answer in time"),
        };
        let status = match refusal {
            Refusal::Timeout => StatusCode::GATEWAY_TIMEOUT,
            Refusal::Unsupported => StatusCode::NOT_IMPLEMENTED,
            Refusal::InvalidMembership => StatusCode::BAD_REQUEST,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        if refusal.is_definite() {
            Self::failed(status, Cow::Borrowed(code), message)
        } else {
            Self::unknown(kind, status, code, message)
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let error = ErrorBody { code: self.code.into_owned(), outcome: self.outcome, message: self.message };
        (self.status, Json(ErrorResponse { error })).into_response()
    }
}

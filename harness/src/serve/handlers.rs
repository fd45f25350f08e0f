//! What each address answers.

use std::sync::Arc;

use axum::{
    extract::{Path, RawQuery, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use maud::Markup;
use results::{
    report::{REPORT_NAME, page_of},
    store::{RunDir, StoreError},
};

use super::{
    Shared, blocking,
    list::{self, ListQuery},
    page::{Page, problem},
    run_page::{self, RunPage},
    trends,
};
use crate::listing::CollectionRow;

/// The largest file that is shown, bytes: it is held in memory.
pub(super) const SERVED_BYTES_MAX: u64 = 32 << 20;

/// The largest report: that of a run with a million operations has 25 MB.
const REPORT_BYTES_MAX: u64 = 128 << 20;

/// What a file of a run may do in a browser: nothing.
const FILE_POLICY: &str = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox";

/// What a report may do: run its own script and style, and reach nothing; as it has no origin, not even this server.
const REPORT_POLICY: &str = "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; \
    img-src data: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The largest stored history that a report is made of while somebody waits, bytes: it is read into memory, and compressed ones grow.
const HISTORY_BYTES_MAX: u64 = 64 << 20;

fn is_too_long(run: &RunDir) -> bool {
    run.files().iter().any(|(name, bytes)| name.starts_with("history.") && *bytes > HISTORY_BYTES_MAX)
}

type Stated = State<Arc<Shared>>;

fn page(title: &str, status: StatusCode, content: Markup) -> Response {
    Page { title: title.to_owned(), status, content }.into_response()
}

/// The store itself cannot be read: it was moved, or the disk fails.
fn unreadable(error: &StoreError) -> Response {
    problem(StatusCode::SERVICE_UNAVAILABLE, &error.to_string())
}

pub(super) async fn runs(State(shared): Stated, RawQuery(query): RawQuery) -> Response {
    blocking(move || {
        let query = ListQuery::parse(&query.unwrap_or_default());
        let entries = match shared.store.entries() {
            Ok(entries) => entries,
            Err(error) => return unreadable(&error),
        };
        let chosen = list::choose(&entries, &query);
        let status = if chosen.is_ok() { StatusCode::OK } else { StatusCode::BAD_REQUEST };
        page("Runs", status, list::runs(&query, chosen, &shared.store.path().display().to_string()))
    })
    .await
}

pub(super) async fn collections(State(shared): Stated) -> Response {
    blocking(move || match shared.store.collections() {
        Ok(collections) => {
            let rows: Vec<CollectionRow> = collections.iter().map(CollectionRow::of).collect();
            page("Hunts, gates, benches", StatusCode::OK, list::collections(&rows))
        }
        Err(error) => unreadable(&error),
    })
    .await
}

/// The run that a URL names in full. Nothing else of the URL is looked for on the disk.
fn the_run(shared: &Shared, name: &str) -> Result<RunDir, Box<Response>> {
    let none = |_| Box::new(problem(StatusCode::NOT_FOUND, "There is no run by this name; it may have been removed."));
    shared.store.run(name).map_err(none)
}

pub(super) async fn run(State(shared): Stated, Path(name): Path<String>) -> Response {
    blocking(move || {
        let run = match the_run(&shared, &name) {
            Ok(run) => run,
            Err(response) => return *response,
        };
        let entry = match shared.store.entry(&run) {
            Ok(entry) => entry,
            Err(error) => return unreadable(&error),
        };
        let files = run.files();
        let has = |wanted: &str| files.iter().any(|(name, _)| name.starts_with(wanted));
        let has_report = has(REPORT_NAME) || has("history.jsonl");
        let content = run_page::run(&RunPage { entry: &entry, files: &files, has_report });
        page(&name, StatusCode::OK, content)
    })
    .await
}

pub(super) async fn report(State(shared): Stated, Path(name): Path<String>) -> Response {
    blocking(move || {
        let run = match the_run(&shared, &name) {
            Ok(run) => run,
            Err(response) => return *response,
        };
        let report = match run.read_file(REPORT_NAME, REPORT_BYTES_MAX) {
            Ok(Some(report)) => report,
            Ok(None) if is_too_long(&run) => {
                let why = "The history of this run is too long for a report made here. Make it with `trueline report`.";
                return problem(StatusCode::NOT_FOUND, why);
            }
            Ok(None) => match page_of(&run) {
                Ok(report) => report.into_bytes(),
                Err(error) => {
                    return problem(StatusCode::NOT_FOUND, &format!("No report can be made of this run: {error}"));
                }
            },
            Err(error) => return problem(StatusCode::NOT_FOUND, &error.to_string()),
        };
        answer(report, "text/html; charset=utf-8", REPORT_POLICY)
    })
    .await
}

pub(super) async fn file(State(shared): Stated, Path((name, file)): Path<(String, String)>) -> Response {
    blocking(move || {
        let run = match the_run(&shared, &name) {
            Ok(run) => run,
            Err(response) => return *response,
        };
        // The report has an address and a policy of its own.
        if file == REPORT_NAME {
            return problem(StatusCode::NOT_FOUND, "The report is at another address.");
        }
        match run.read_file(&file, SERVED_BYTES_MAX) {
            Ok(Some(bytes)) => {
                let kind = if file.ends_with(".zst") { "application/zstd" } else { "text/plain; charset=utf-8" };
                answer(bytes, kind, FILE_POLICY)
            }
            Ok(None) => problem(StatusCode::NOT_FOUND, "This run has no such file."),
            Err(error) => problem(StatusCode::NOT_FOUND, &error.to_string()),
        }
    })
    .await
}

fn answer(bytes: Vec<u8>, kind: &'static str, policy: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy)),
    ];
    (headers, bytes).into_response()
}

pub(super) async fn trends(State(shared): Stated, RawQuery(query): RawQuery) -> Response {
    blocking(move || match shared.store.entries() {
        Ok(entries) => {
            let content = trends::trends(&entries, &query.unwrap_or_default());
            page("Trends", StatusCode::OK, content)
        }
        Err(error) => unreadable(&error),
    })
    .await
}

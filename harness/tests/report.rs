//! Reports in a headless Chromium: that they open, that what matters is on the screen, and that one can find one's way with
//! mouse, keys and links. Skipped where there is no chromedriver; required with `TRUELINE_REQUIRE_BROWSER=1`, and only then
//! the time to load a million operations has a bar, since a machine that does other things too keeps none.

use std::{
    io::BufWriter,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use browser::{Browser, is_required};
use checkers::{
    history::{Event, EventKind, Function, HistoryWriter, Value},
    model::{ModelKind, ModelSpec},
};
use made::{Made, NODES, STRIDE};
use results::store::{Manifest, RunDir, Store};
use serde_json::Value as Json;

#[path = "support/browser.rs"]
mod browser;
#[path = "support/made.rs"]
mod made;

/// The bars of the project: the size of a report of a million operations, and the time until all of it is drawn.
const BYTES_MAX: u64 = 25_000_000;
const LOAD_MS_MAX: f64 = 3_000.0;

/// A store with one run, and its report.
struct Reported {
    _store: tempfile::TempDir,
    run: RunDir,
    page: PathBuf,
}

fn trueline(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_trueline")).args(args).output().expect("trueline can be started")
}

fn reported(made: &Made) -> Reported {
    reported_by(|store| made.make(store))
}

fn reported_by(make: impl FnOnce(&Store) -> RunDir) -> Reported {
    let directory = tempfile::tempdir().unwrap();
    let run = make(&Store::open(directory.path()).unwrap());
    let output = trueline(&["report", "latest", "--store", directory.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let page = PathBuf::from(String::from_utf8(output.stdout).unwrap().trim());
    assert_eq!(page, run.path().join("report.html"));
    Reported { _store: directory, run, page }
}

/// A run of 201 processes, so that the first and the last one share a lane: the last one's only read, operation 0, takes a second, and during
/// it the first one reads for 100 µs every 2 ms, from operation 200 on.
fn shared_lane(store: &Store) -> RunDir {
    let run = store.create_run(&Manifest::here(7, serde_json::json!({ "system": "raft" }))).unwrap();
    let mut reads = vec![(200, 1_000, 1_000_000_000)];
    reads.extend((1..200).map(|process| (process, 1_000 + process, 500_000 + process)));
    reads.extend((0..450).map(|nth| (0, 1_000_000 + nth * 2_000_000, 1_100_000 + nth * 2_000_000)));
    let ends =
        |&(process, from, to): &(u64, u64, u64)| [(from, process, EventKind::Invoke), (to, process, EventKind::Ok)];
    let mut events: Vec<(u64, u64, EventKind)> = reads.iter().flat_map(ends).collect();
    events.sort_by_key(|&(time, ..)| time);
    let model = ModelSpec { model: ModelKind::CasRegister, initial: Value::Nil };
    let mut writer = HistoryWriter::new(BufWriter::new(run.create_history().unwrap()), &model).unwrap();
    for (time, process, kind) in events {
        let event = Event { time: Some(time), ..Event::client(process, kind, Function::Read, Value::Nil) };
        writer.write(&event).unwrap();
    }
    writer.flush().unwrap();
    run
}

/// A run in which one read returned what had been overwritten.
fn invalid() -> Made {
    Made { stale: Some(2_000), ..Made::default() }
}

fn number(json: &Json) -> f64 {
    json.as_f64().unwrap_or_else(|| panic!("{json} is no number"))
}

/// Left, top, width and height on the screen of the first element that a selector finds.
fn rect(browser: &Browser, selector: &str) -> [f64; 4] {
    let script = format!(
        "const r = document.querySelector({}).getBoundingClientRect(); return [r.left, r.top, r.width, r.height]",
        Json::from(selector)
    );
    let rect = browser.run(&script);
    [0, 1, 2, 3].map(|place| number(&rect[place]))
}

fn range(browser: &Browser) -> [f64; 2] {
    let range = browser.run("return window.trueline.range()");
    [number(&range[0]), number(&range[1])]
}

/// Where an operation is in the window, after the page has been scrolled to the lanes.
fn place_of(browser: &Browser, operation: u64) -> (f64, f64) {
    browser.run("document.querySelector('#lanes').scrollIntoView({ block: 'center' })");
    browser.settle();
    let [left, top, ..] = rect(browser, "#lanes");
    let place = browser.run(&format!("return window.trueline.positionOf({operation})"));
    let (x, end) = (number(&place["x"]), place["end"].as_f64().unwrap_or(0.0));
    (left + f64::midpoint(x, end.max(x)), top + number(&place["y"]))
}

fn is_clean(browser: &Browser) {
    assert_eq!(browser.console(), Vec::<String>::new());
}

#[test]
fn the_counterexample_is_on_the_screen() {
    let Some(browser) = Browser::start(1280, 900, false) else { return };
    let report = reported(&invalid());
    let stale = invalid().stale_number();
    browser.open(&report.page, "");
    is_clean(&browser);
    assert_eq!(browser.text("h1"), "invalid");
    let [_, top, width, height] = rect(&browser, "#counterexample .drawing svg");
    assert!(width > 300.0 && height > 80.0 && top < 900.0, "{width} {height} {top}");
    let drawn = browser
        .run("return [...document.querySelectorAll('#counterexample svg a')].map((a) => a.getAttribute('href'))");
    let drawn: Vec<&str> = drawn.as_array().unwrap().iter().map(|href| href.as_str().unwrap()).collect();
    assert!(drawn.len() >= 2 && drawn.contains(&format!("#op={stale}").as_str()), "{drawn:?}");
    // The read is marked, beside its value, and the table says the same.
    assert!(browser.text("svg .impossible .label").contains("read"));
    assert!(browser.text("tr.impossible").contains("no order is left"));
    assert!(browser.text("#counterexample .finding").contains("read"), "{}", browser.text("#counterexample .finding"));
    let bars = browser.run(
        "return [...document.querySelectorAll('svg .bar')].every((bar) => bar.getBoundingClientRect().width >= 2)",
    );
    assert_eq!(bars, Json::Bool(true));
    assert!(browser.text(".columns").contains("sequential"), "the ladder is there");
    browser.screenshot("made-invalid");
    // One click leads from the drawing to the operation on the lanes.
    browser.click("#violation");
    assert_eq!(browser.run("return window.trueline.chosen()"), Json::from(stale));
    assert!(browser.text("#details").contains("Part of the smallest counterexample"));
    browser.screenshot("made-violation");
    // Its link once more, from elsewhere: the address stays the same, and it is followed all the same.
    browser.keys("0");
    browser.settle();
    let length = |[from, to]: [f64; 2]| to - from;
    let whole = length(range(&browser));
    let click = "new MouseEvent('click', { bubbles: true, cancelable: true })";
    browser.run(&format!("document.querySelector('svg .impossible .bar').dispatchEvent({click})"));
    browser.settle();
    assert!(length(range(&browser)) < whole / 10.0, "{:?} of {whole}", range(&browser));
    assert_eq!(browser.run("return location.hash"), Json::from(format!("#op={stale}")));
    is_clean(&browser);
}

#[test]
fn zoom_hover_click_and_keys() {
    let Some(browser) = Browser::start(1280, 900, false) else { return };
    let report = reported(&Made::default());
    browser.open(&report.page, "");
    assert_eq!(browser.text("h1"), "valid");
    assert!(browser.run("return document.querySelector('#counterexample') === null").as_bool().unwrap());
    let whole = range(&browser);
    let width = |[from, to]: [f64; 2]| to - from;

    // Buttons, wheel with Ctrl, drag and keys change what is shown.
    browser.click("#zoom-in");
    assert!((width(range(&browser)) - width(whole) / 2.0).abs() < 2.0);
    let (x, y) = place_of(&browser, 900);
    browser.wheel(x, y, -240);
    assert_eq!(width(range(&browser)), width(whole) / 2.0, "the wheel alone scrolls the page");
    browser.run("document.querySelector('#lanes').focus()");
    let (x, y) = place_of(&browser, 900);
    browser.wheel(x, y, -240);
    assert!(width(range(&browser)) < width(whole) / 3.0);
    let before = range(&browser);
    browser.drag((x, y), (x + 120.0, y));
    assert!(range(&browser)[0] < before[0] && (width(range(&browser)) - width(before)).abs() < 2.0);
    let before = range(&browser);
    browser.keys("\u{E014}");
    assert!(range(&browser)[0] > before[0], "the right arrow moves on");
    browser.keys("+");
    assert!(width(range(&browser)) < width(before) * 0.6);
    browser.keys("0");
    assert_eq!(range(&browser), whole);

    // The strip above chooses a part.
    let [left, top, wide, _] = rect(&browser, "#overview");
    browser.drag((left + wide * 0.6, top + 20.0), (left + wide * 0.7, top + 20.0));
    assert!(width(range(&browser)) < width(whole) * 0.25 && range(&browser)[0] > whole[0]);

    // What is under the mouse is told, and it is what is there.
    let operation = 2_000;
    let wanted = Made::default().operations();
    let client = wanted[operation as usize].process.0;
    let next = (operation + 1..).find(|&next| wanted[next as usize].process.0 == client).expect("it goes on");
    let key = &wanted[operation as usize].key;
    let on_key = (operation + 1..).find(|&next| wanted[next as usize].key == *key).expect("there are more");
    browser.run(&format!("location.hash = '#op={operation}'"));
    browser.settle();
    browser.keys("z");
    browser.settle();
    let (x, y) = place_of(&browser, operation);
    browser.mouse(x, y, false);
    let tip = browser.text("#tooltip");
    let node = client % STRIDE % NODES + 1;
    assert!(tip.contains(&format!("#{operation} ")) && tip.contains(&format!("node {node}")), "{tip}");
    browser.keys("\u{E00C}");
    assert_eq!(browser.run("return window.trueline.chosen()"), Json::Null, "Escape lets it go");
    browser.mouse(x, y, true);
    assert_eq!(browser.run("return window.trueline.chosen()"), Json::from(operation));
    assert_eq!(browser.run("return location.hash"), Json::from(format!("#op={operation}")));
    assert!(browser.text("#details").contains(&format!("Operation {operation}")));
    // The next of the same client, and back.
    browser.keys("n");
    assert_eq!(browser.run("return window.trueline.chosen()"), Json::from(next));
    browser.keys("p");
    assert_eq!(browser.run("return window.trueline.chosen()"), Json::from(operation));
    browser.keys("k");
    assert_eq!(browser.run("return window.trueline.chosen()"), Json::from(on_key));
    browser.keys("?");
    assert!(browser.run("return document.querySelector('#keys').open").as_bool().unwrap());
    browser.click("#keys-close");
    is_clean(&browser);
}

#[test]
fn a_long_operation_on_a_shared_lane_is_drawn_and_found_among_short_ones() {
    let Some(browser) = Browser::start(1280, 900, false) else { return };
    let report = reported_by(shared_lane);
    browser.open(&report.page, "#op=425");
    assert_eq!(browser.run("return window.trueline.chosen()"), Json::from(425));
    browser.keys("z");
    browser.settle();
    // The short one takes the middle third of what is shown: half its length behind its end there is only the long one.
    let colour = |of_lane: u64| {
        browser.run(&format!(
            "const canvas = document.querySelector('#lanes'), {{ x, end }} = window.trueline.positionOf(425);
             const ratio = canvas.width / canvas.clientWidth, y = window.trueline.positionOf({of_lane}).y;
             const [left, top] = [end + (end - x) / 2, y].map((place) => Math.round(place * ratio));
             const copy = new OffscreenCanvas(1, 1).getContext('2d', {{ willReadFrequently: true }});
             copy.drawImage(canvas, left, top, 1, 1, 0, 0, 1, 1);
             return [...copy.getImageData(0, 0, 1, 1).data]"
        ))
    };
    assert_ne!(colour(425), colour(5), "drawn on the shared lane, while nothing goes on in the fifth one");
    assert_eq!(colour(5), colour(6));
    // The link has brought the lane on the screen.
    let [left, top, ..] = rect(&browser, "#lanes");
    let place = browser.run("return window.trueline.positionOf(425)");
    let [x, end, y] = ["x", "end", "y"].map(|name| number(&place[name]));
    browser.mouse(left + f64::midpoint(x, end), top + y, false);
    assert!(browser.text("#tooltip").contains("#425 "), "{}", browser.text("#tooltip"));
    browser.mouse(left + end + (end - x) / 2.0, top + y, false);
    assert!(browser.text("#tooltip").contains("#0 "), "{}", browser.text("#tooltip"));
    is_clean(&browser);
}

#[test]
fn a_link_opens_its_operation() {
    let Some(browser) = Browser::start(1280, 900, false) else { return };
    let report = reported(&Made::default());
    browser.open(&report.page, "#op=812");
    assert_eq!(browser.run("return window.trueline.chosen()"), Json::from(812));
    let details = browser.text("#details");
    let wanted = &Made::default().operations();
    let operation = &wanted[812];
    for words in [
        "Operation 812".to_owned(),
        format!("{}.{:06} s", operation.invoke / 1_000_000_000, operation.invoke % 1_000_000_000 / 1_000),
        operation.action.function().to_string(),
        operation.key.to_string(),
        "on this key".to_owned(),
    ] {
        assert!(details.contains(&words), "{words:?} is not in {details}");
    }
    // What it says of its neighbours is so: each that is listed as overlapping does.
    let overlapping = browser.run(
        "const head = [...document.querySelectorAll('#details h4')].find((h) => h.textContent.startsWith('At the same'));
         return head ? [...head.nextSibling.querySelectorAll('a')].map((a) => Number(a.textContent.slice(1))) : []",
    );
    for other in overlapping.as_array().unwrap() {
        let other = &wanted[other.as_u64().unwrap() as usize];
        assert!(other.key == operation.key && other.invoke <= operation.ret && other.ret >= operation.invoke);
    }
    browser.run("location.hash = '#op=99999999'");
    browser.settle();
    assert!(browser.text("#status").contains("no operation 99999999"));
    is_clean(&browser);
}

#[test]
fn nothing_that_a_run_says_runs() {
    let Some(browser) = Browser::start(1280, 900, false) else { return };
    let attack = "</script></style></title><script>window.hacked = 1</script><img src=x onerror=\"window.hacked=1\"><!-- \u{202e}\u{7}\u{0} ${1} `";
    let made = Made {
        key: attack.to_owned(),
        value: Some(attack.to_owned()),
        fault: attack.to_owned(),
        stale: Some(2_000),
        ..Made::default()
    };
    let stale = made.stale_number();
    let report = reported(&made);
    browser.open(&report.page, &format!("#op={stale}"));
    // Every panel, tooltip and list is shown once.
    browser.click("#violation");
    browser.run("for (const details of document.querySelectorAll('details')) details.open = true");
    let (x, y) = place_of(&browser, stale);
    browser.mouse(x, y, false);
    let [left, top, ..] = rect(&browser, "#lanes");
    browser.keys("0");
    browser.mouse(left + 500.0, top + 34.0, false);
    browser.settle();
    is_clean(&browser);
    assert_eq!(browser.run("return window.hacked ?? null"), Json::Null);
    let built = browser
        .run("return [document.scripts.length, document.images.length, document.querySelectorAll('[onerror]').length]");
    assert_eq!(built, serde_json::json!([2, 0, 0]));
    let shown = browser.text("#details");
    assert!(shown.contains("<img") || shown.contains("</script>"), "it is shown as text: {shown}");
    assert!(!browser.text("body").contains('\u{202e}'));
    // And even a script that somehow came into the page would not be run by its policy.
    browser.run("const s = document.createElement('div'); s.innerHTML = '<img src=x onerror=\"window.hacked=2\">'; document.body.append(s)");
    browser.settle();
    assert_eq!(browser.run("return window.hacked ?? null"), Json::Null);
    assert!(browser.console().iter().any(|line| line.contains("Content Security Policy")));
}

#[test]
fn dark_and_narrow_pages_fit() {
    let report = reported(&invalid());
    for (width, dark, name) in [(360, false, "narrow"), (360, true, "narrow-dark"), (1280, true, "dark")] {
        let Some(browser) = Browser::start(width, 800, dark) else { return };
        browser.open(&report.page, "");
        let dark_now = browser.run("return matchMedia('(prefers-color-scheme: dark)').matches");
        assert_eq!(dark_now, Json::Bool(dark), "{name}");
        let fits = |what: &str| {
            let sizes = browser.run("return [document.documentElement.scrollWidth, innerWidth]");
            assert_eq!(number(&sizes[1]), f64::from(width), "{name}");
            assert!(number(&sizes[0]) <= f64::from(width), "{name}, {what}: {sizes}");
        };
        fits("at first");
        browser.screenshot(name);
        browser.click("#violation");
        fits("with details");
        browser.screenshot(&format!("{name}-details"));
        let colour = |browser: &Browser| browser.run("return getComputedStyle(document.body).backgroundColor");
        let before = colour(&browser);
        browser.click("#theme");
        assert_ne!(colour(&browser), before, "{name}: the button changes the colours");
        is_clean(&browser);
    }
}

#[test]
fn a_run_that_was_broken_off_has_a_report() {
    let report = reported(&Made { broken_off: true, ..Made::default() });
    assert!(!report.run.verdict_path().exists());
    let Some(browser) = Browser::start(1280, 900, false) else { return };
    browser.open(&report.page, "");
    assert_eq!(browser.text("h1"), "no verdict");
    let said = browser.text("main");
    assert!(said.contains("no nodes.jsonl"), "{said}");
    assert_eq!(browser.run("return window.trueline.count"), Json::from(Made::default().operations));
    is_clean(&browser);
}

#[test]
fn damaged_data_are_told_in_the_page() {
    let Some(browser) = Browser::start(1280, 900, false) else { return };
    let report = reported(&invalid());
    let page = std::fs::read_to_string(&report.page).unwrap();
    let data = page.find("octet-stream\">").unwrap() + 1_000;
    let damaged = format!("{}{}", &page[..data], &page[data + 400..]);
    std::fs::write(&report.page, damaged).unwrap();
    browser.open(&report.page, "");
    let told = browser.text("#status");
    assert!(told.contains("cannot be shown"), "{told}");
    // What came out, and the counterexample, are there all the same.
    assert_eq!(browser.text("h1"), "invalid");
    assert!(number(&browser.run("return document.querySelectorAll('#counterexample svg a').length")) >= 2.0);
}

#[test]
fn a_million_operations_open_quickly() {
    let report = reported(&Made { operations: 1_000_000, ..Made::default() });
    let bytes = std::fs::metadata(&report.page).unwrap().len();
    println!("1,000,000 operations: {bytes} bytes");
    assert!(bytes < BYTES_MAX, "{bytes}");
    let Some(browser) = Browser::start(1280, 900, false) else { return };
    let mut times = Vec::new();
    for _ in 0..3 {
        browser.open(&report.page, "");
        assert_eq!(browser.run("return window.trueline.count"), Json::from(1_000_000));
        // From the beginning of the navigation until everything is decoded and drawn for the first time.
        times.push(number(&browser.run("return window.trueline.readyMs")));
    }
    let draw = number(&browser.run("return window.trueline.drawTime()"));
    browser.run("location.hash = '#op=500000'");
    browser.settle();
    let near = number(&browser.run("return window.trueline.drawTime()"));
    assert_eq!(browser.run("return window.trueline.chosen()"), Json::from(500_000));
    println!("ready after {times:.0?} ms; drawing all takes {draw:.1} ms, a part {near:.1} ms");
    browser.run("document.querySelector('#board').scrollIntoView()");
    browser.keys("0");
    browser.screenshot("million");
    is_clean(&browser);
    let best = times.iter().copied().fold(f64::INFINITY, f64::min);
    if is_required() {
        assert!(best < LOAD_MS_MAX, "{times:?}");
    }
}

#[test]
fn a_run_that_cannot_be_reported_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().to_str().unwrap();
    let said = |output: &Output, words: &str| {
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(254), "{text}");
        assert!(text.contains(words), "{text}");
    };
    said(&trueline(&["report", "latest", "--store", store]), "trueline runs");
    let run = Made { operations: 50, ..Made::default() }.make(&Store::open(directory.path()).unwrap());
    let page = directory.path().join("page.html");
    let output = trueline(&["report", run.path().to_str().unwrap(), "--output", page.to_str().unwrap(), "--json"]);
    assert_eq!(output.status.code(), Some(0));
    let told: Json = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(Path::new(told["report"].as_str().unwrap()), page);
    assert!(std::fs::read_to_string(&page).unwrap().starts_with("<!DOCTYPE html>"));
    assert!(!run.path().join("report.html").exists());
    let nowhere = directory.path().join("none/page.html");
    said(
        &trueline(&["report", run.path().to_str().unwrap(), "--output", nowhere.to_str().unwrap()]),
        "could not write",
    );
    std::fs::write(run.path().join("history.jsonl"), "{\"trueline_history\":1}\n{\"time\":-1}\n{}\n").unwrap();
    said(&trueline(&["report", "latest", "--store", store]), "history");
}

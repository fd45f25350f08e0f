//! A headless Chromium, driven through chromedriver: W3C WebDriver over HTTP on loopback.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value as Json, json};

/// One request of the driver may take so long.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(120);

/// The element's number stands under this name (WebDriver, section 12.3).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Set to 1 where a browser must be there: then a missing one is a failure.
const REQUIRED: &str = "TRUELINE_REQUIRE_BROWSER";

/// A browser with one window.
pub struct Browser {
    driver: Child,
    session: String,
    http: reqwest::Client,
    runtime: tokio::runtime::Runtime,
    _profile: tempfile::TempDir,
}

/// Whether tests must not be skipped, and what is timed must keep its bars.
pub fn is_required() -> bool {
    std::env::var(REQUIRED).is_ok_and(|value| value == "1")
}

impl Browser {
    /// Starts one of this size in this colour scheme. None, with a message, where there is no chromedriver and none is required.
    pub fn start(width: u32, height: u32, dark: bool) -> Option<Self> {
        let driver = Command::new("chromedriver").arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut driver = match driver {
            Ok(driver) => driver,
            Err(error) if !is_required() => {
                eprintln!(
                    "skipped: there is no chromedriver ({error}); install chromium-driver, or set {REQUIRED}=1 to fail instead"
                );
                return None;
            }
            Err(error) => panic!("{REQUIRED}=1, and chromedriver cannot be started: {error}"),
        };
        let port = port_of(&mut driver);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let http = reqwest::Client::builder().timeout(REQUEST_TIMEOUT).no_proxy().build().expect("a client");
        let profile = tempfile::tempdir().expect("a directory");
        let mut browser =
            Self { driver, session: format!("http://127.0.0.1:{port}/session"), http, runtime, _profile: profile };
        let profile = browser._profile.path().display().to_string();
        let mut args = vec![
            "--headless".to_owned(),
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--disable-quic".to_owned(),
            "--no-first-run".to_owned(),
            "--disable-background-networking".to_owned(),
            "--disable-component-update".to_owned(),
            "--disable-sync".to_owned(),
            "--disable-default-apps".to_owned(),
            "--hide-scrollbars".to_owned(),
            format!("--user-data-dir={profile}"),
            format!("--window-size={width},{height}"),
        ];
        if dark {
            args.push("--blink-settings=preferredColorScheme=0".to_owned());
        }
        let mut options = json!({ "args": args });
        if width < 500 {
            // Windows are not made narrower than 500 pixels; emulated phones are.
            options["mobileEmulation"] =
                json!({ "deviceMetrics": { "width": width, "height": height, "pixelRatio": 1.0, "touch": true } });
        }
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "goog:loggingPrefs": { "browser": "ALL" },
        } } });
        let answer = browser.post("", &wanted);
        let id = answer["sessionId"].as_str().unwrap_or_else(|| panic!("no session: {answer}"));
        browser.session = format!("{}/{id}", browser.session);
        Some(browser)
    }

    /// Opens a file, and waits until the page says that it is ready.
    pub fn open(&self, file: &Path, fragment: &str) {
        // From another document, so that a fragment alone loads it anew.
        self.post("/url", &json!({ "url": "about:blank" }));
        self.post("/url", &json!({ "url": format!("file://{}{fragment}", file.display()) }));
        self.wait_for("return window.trueline?.ready || window.trueline?.errors.length > 0");
        self.settle();
    }

    /// Waits until this script gives something true.
    pub fn wait_for(&self, script: &str) {
        let start = Instant::now();
        while !self.run(script).as_bool().unwrap_or(false) {
            assert!(start.elapsed() < Duration::from_secs(60), "never true: {script}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until what was asked for has been drawn: two frames.
    pub fn settle(&self) {
        let script = "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(() => done(true)))";
        self.post("/execute/async", &json!({ "script": script, "args": [] }));
    }

    /// What this script returns.
    pub fn run(&self, script: &str) -> Json {
        self.post("/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// The text of the first element that this selector finds.
    pub fn text(&self, selector: &str) -> String {
        self.run(&format!("return document.querySelector({})?.textContent ?? ''", json!(selector)))
            .as_str()
            .expect("text")
            .to_owned()
    }

    /// Clicks on the first element that this selector finds.
    pub fn click(&self, selector: &str) {
        let found = self.post("/element", &json!({ "using": "css selector", "value": selector }));
        let id = found[ELEMENT].as_str().unwrap_or_else(|| panic!("{selector}: {found}")).to_owned();
        self.post(&format!("/element/{id}/click"), &json!({}));
        self.settle();
    }

    /// Types on whatever has the focus.
    pub fn keys(&self, keys: &str) {
        let actions: Vec<Json> = keys
            .chars()
            .flat_map(|key| {
                [
                    json!({ "type": "keyDown", "value": key.to_string() }),
                    json!({ "type": "keyUp", "value": key.to_string() }),
                ]
            })
            .collect();
        self.act(&json!([{ "type": "key", "id": "keyboard", "actions": actions }]));
    }

    /// Moves the mouse to this place of the window; clicks there if asked to.
    pub fn mouse(&self, x: f64, y: f64, click: bool) {
        let mut actions =
            vec![json!({ "type": "pointerMove", "duration": 0, "x": x.round() as i64, "y": y.round() as i64 })];
        if click {
            actions.push(json!({ "type": "pointerDown", "button": 0 }));
            actions.push(json!({ "type": "pointerUp", "button": 0 }));
        }
        self.act(&json!([{ "type": "pointer", "id": "mouse", "actions": actions }]));
    }

    /// Presses the mouse here, and lets it go there.
    pub fn drag(&self, from: (f64, f64), to: (f64, f64)) {
        let go = |(x, y): (f64, f64)| json!({ "type": "pointerMove", "duration": 50, "x": x.round() as i64, "y": y.round() as i64 });
        let middle = ((from.0 + to.0) / 2.0, (from.1 + to.1) / 2.0);
        let actions = [
            go(from),
            json!({ "type": "pointerDown", "button": 0 }),
            go(middle),
            go(to),
            json!({ "type": "pointerUp", "button": 0 }),
        ];
        self.act(&json!([{ "type": "pointer", "id": "mouse", "actions": actions }]));
    }

    /// Turns the wheel here.
    pub fn wheel(&self, x: f64, y: f64, by: i32) {
        let scroll = json!({ "type": "scroll", "x": x.round() as i64, "y": y.round() as i64, "deltaX": 0, "deltaY": by, "duration": 0 });
        self.act(&json!([{ "type": "wheel", "id": "wheel", "actions": [scroll] }]));
    }

    fn act(&self, actions: &Json) {
        self.post("/actions", &json!({ "actions": actions }));
        self.settle();
    }

    /// What was written to the console, the page's own errors included, since the last time.
    pub fn console(&self) -> Vec<String> {
        let log = self.post("/se/log", &json!({ "type": "browser" }));
        let lines = log.as_array().unwrap_or_else(|| panic!("no log: {log}"));
        let mut told: Vec<String> = lines.iter().map(|line| line["message"].to_string()).collect();
        let errors = self.run("return window.trueline?.errors ?? []");
        told.extend(errors.as_array().expect("a list").iter().map(Json::to_string));
        told
    }

    /// Stores what is to be seen, where `TRUELINE_SCREENSHOTS` names a directory for it.
    pub fn screenshot(&self, name: &str) {
        if let Some(directory) = std::env::var_os("TRUELINE_SCREENSHOTS") {
            use base64::Engine;
            let shot = self.send(self.http.get(format!("{}/screenshot", self.session)));
            let bytes =
                base64::engine::general_purpose::STANDARD.decode(shot.as_str().expect("base64")).expect("base64");
            std::fs::write(Path::new(&directory).join(name).with_extension("png"), bytes).expect("written");
        }
    }

    fn post(&self, path: &str, body: &Json) -> Json {
        self.send(self.http.post(format!("{}{path}", self.session)).json(body))
    }

    fn send(&self, request: reqwest::RequestBuilder) -> Json {
        let answer: Json =
            self.runtime.block_on(async { request.send().await?.json().await }).expect("the driver answers");
        let value = answer["value"].clone();
        assert!(value.get("error").is_none(), "{value:#}");
        value
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let delete = self.http.delete(&self.session);
        _ = self.runtime.block_on(async { delete.send().await });
        _ = self.driver.kill();
        _ = self.driver.wait();
    }
}

/// The port that the driver chose.
fn port_of(driver: &mut Child) -> u16 {
    let out = BufReader::new(driver.stdout.take().expect("it is piped"));
    let told = "started successfully on port ";
    for line in out.lines().map_while(Result::ok) {
        if let Some((_, port)) = line.split_once(told) {
            return port.trim_end_matches('.').parse().expect("a port");
        }
    }
    panic!("chromedriver has ended before it listened");
}

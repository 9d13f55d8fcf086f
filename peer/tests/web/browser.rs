//! A browser that does what a person does, and says what it shows.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use thirtyfour::prelude::*;
use thirtyfour::{ChromeCapabilities, ChromiumLikeCapabilities};

use crate::support::{LIMIT, within};

/// Whether browsers can be had; a test without one says that it tested nothing.
#[expect(clippy::print_stderr, reason = "a test that tests nothing says so")]
pub fn there_is_one() -> bool {
    if std::env::var_os("NATTER_NO_BROWSER").is_some_and(|said| !said.is_empty()) {
        eprintln!("not tested: there is no browser (NATTER_NO_BROWSER is set)");
        return false;
    }
    true
}

/// The program that drives browsers, on a port of its own.
pub struct Driver {
    child: Child,
    port: u16,
    folder: tempfile::TempDir,
    browsers: std::cell::Cell<usize>,
}

impl Driver {
    pub fn start() -> Self {
        let mut child = Command::new("chromedriver")
            .args(["--port=0", "--log-level=SEVERE"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver is installed (Debian: chromium-driver), or NATTER_NO_BROWSER=1 is set");
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let said = lines.map_while(Result::ok).find(|line| line.contains("started successfully on port"));
        let port = said.and_then(|line| line.trim_end_matches('.').rsplit(' ').next()?.parse().ok());
        let (folder, browsers) = (tempfile::TempDir::new().unwrap(), std::cell::Cell::default());
        Self { child, port: port.expect("it says on which port"), folder, browsers }
    }

    /// A new browser with a profile of its own.
    pub async fn browser(&self) -> Browser {
        let number = self.browsers.replace(self.browsers.get() + 1);
        let profile = self.folder.path().join(number.to_string());
        let mut wanted = ChromeCapabilities::new();
        for flag in [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--disable-extensions",
            "--force-color-profile=srgb",
            "--hide-scrollbars",
            "--window-size=1280,800",
            &format!("--user-data-dir={}", profile.display()),
        ] {
            wanted.add_arg(flag).unwrap();
        }
        let driver = WebDriver::new(format!("http://127.0.0.1:{}", self.port), wanted);
        Browser { driver: within(Box::pin(driver)).await.expect("the browser starts") }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // A test that fails leaves browsers behind: each says in its profile which process it is.
        for number in 0..self.browsers.get() {
            let lock = std::fs::read_link(self.folder.path().join(number.to_string()).join("SingletonLock"));
            let lock = lock.ok().and_then(|lock| lock.to_str()?.rsplit('-').next()?.parse().ok());
            if let Some(pid) = lock.and_then(Pid::from_raw) {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub struct Browser {
    driver: WebDriver,
}

/// The page may put another element in the place of one at any time: then it is done with that.
async fn not_stale(css: &str, act: impl AsyncFn() -> WebDriverResult<()>) {
    while let Err(error) = act().await {
        assert!(error.to_string().contains("stale"), "{css} cannot be used: {error}");
    }
}

impl Browser {
    pub async fn goto(&self, url: &str) {
        within(self.driver.goto(url)).await.unwrap();
    }

    pub async fn reload(&self) {
        within(self.driver.refresh()).await.unwrap();
    }

    pub async fn quit(self) {
        within(self.driver.quit()).await.unwrap();
    }

    /// What a script of the test's own says. Chromium runs it in spite of the page's policy.
    pub async fn js(&self, expression: &str) -> Value {
        let script = format!("return ({expression});");
        match within(self.driver.execute(script, Vec::new())).await {
            Ok(said) => said.json().clone(),
            // The page was just being left.
            Err(_) => Value::Null,
        }
    }

    /// Waits until it is so.
    pub async fn until(&self, expression: &str) {
        let waiting = async {
            while self.js(expression).await != json!(true) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        if tokio::time::timeout(LIMIT, waiting).await.is_err() {
            let shown = self.js("document.body.innerText").await;
            let place = self.js("location.href").await;
            panic!(
                "it does not come about that {expression}; {place} shows: {}",
                shown.as_str().unwrap_or("nothing")
            );
        }
    }

    pub async fn until_there(&self, css: &str) {
        self.until(&format!("document.querySelector({}) !== null", json!(css))).await;
    }

    pub async fn until_gone(&self, css: &str) {
        self.until(&format!("document.querySelector({}) === null", json!(css))).await;
    }

    /// Waits until an element shows a text.
    pub async fn until_shows(&self, css: &str, text: &str) {
        let all = format!("[...document.querySelectorAll({})]", json!(css));
        self.until(&format!("{all}.some((one) => one.textContent.includes({}))", json!(text))).await;
    }

    pub async fn click(&self, css: &str) {
        within(not_stale(css, async || {
            let element = self.find(css).await?;
            element.scroll_into_view().await?;
            element.click().await
        }))
        .await;
    }

    async fn find(&self, css: &str) -> WebDriverResult<WebElement> {
        self.until_there(css).await;
        self.driver.find(By::Css(css.to_owned())).await
    }

    /// Types into a field, in place of what is there.
    pub async fn fill(&self, css: &str, text: &str) {
        within(not_stale(css, async || {
            let element = self.find(css).await?;
            element.clear().await?;
            element.send_keys(text).await
        }))
        .await;
    }

    pub async fn press(&self, css: &str, keys: impl Into<TypingData>) {
        self.until_there(css).await;
        let element = within(self.driver.find(By::Css(css.to_owned()))).await.unwrap();
        within(element.send_keys(keys)).await.unwrap();
    }

    /// Types where the focus is.
    pub async fn keys(&self, keys: impl Into<TypingData>) {
        within(self.driver.action_chain().send_keys(keys).perform()).await.unwrap();
    }

    /// Presses yes in the page's own window that asks.
    pub async fn agree(&self) {
        self.until("document.getElementById('confirm').open").await;
        self.click("#confirm button[value=yes]").await;
    }

    /// Writes a message and sends it.
    pub async fn write(&self, text: &str) {
        self.until_there("#text").await;
        // By script: keys of a driver cannot type all that people can paste.
        let set = format!(
            "(() => {{ const text = document.getElementById('text'); text.value = {}; \
             text.dispatchEvent(new Event('input')); return true; }})()",
            json!(text)
        );
        self.js(&set).await;
        self.press("#text", Key::Enter).await;
    }

    /// The texts of the messages that are shown, in order.
    pub async fn messages(&self) -> Vec<String> {
        // Code is shown without the ticks that stand around it.
        let all = "[...document.querySelectorAll('#log .message .text')].map((one) => { \
                   const copy = one.cloneNode(true); \
                   for (const code of copy.querySelectorAll('p code')) code.textContent = '`' + code.textContent + '`'; \
                   return copy.textContent; })";
        serde_json::from_value(self.js(all).await).unwrap_or_default()
    }

    pub async fn command(&self, method: &str, parameters: Value) -> Value {
        within(self.driver.cdp().send_raw(method, parameters)).await.unwrap()
    }

    /// Shows the page so wide, and light or dark.
    pub async fn look(&self, width: u32, height: u32, scheme: &str) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.command("Emulation.setDeviceMetricsOverride", size).await;
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.command("Emulation.setEmulatedMedia", media).await;
    }

    /// Writes down what the page looks like now.
    pub async fn picture(&self, name: &str) {
        let folder = pictures();
        let png = within(self.driver.screenshot_as_png()).await.unwrap();
        std::fs::write(folder.join(format!("{name}.png")), png).unwrap();
    }

    /// What the browser complained about since the last time, faults of scripts and broken rules among it.
    async fn complaints(&self) -> Vec<String> {
        let log = within(self.driver.browser_log()).await.unwrap();
        log.into_iter().map(|entry| entry.message).collect()
    }

    /// No script failed, and nothing went against the page's policy.
    pub async fn is_content(&self) {
        let mut said = self.complaints().await;
        said.retain(|said| said.contains("Content Security Policy") || said.contains("Uncaught"));
        assert_eq!(said, Vec::<String>::new());
    }
}

/// Where pictures go: `target/screenshots`.
fn pictures() -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/screenshots");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

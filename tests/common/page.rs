//! What every page must be: whole, in need of nothing else, and readable on a phone.

use std::path::Path;
use std::process::Command;

use super::skip;

/// Each element that begins ends, inside the one that it began in.
pub fn assert_well_formed(page: &str) {
    let mut open = Vec::new();
    let body = page.strip_prefix("<!DOCTYPE html>\n").unwrap();
    for tag in body.split('<').skip(1) {
        let (tag, text) = tag.split_once('>').expect("a tag ends");
        assert!(
            !text.contains('>') || open.last() == Some(&"style"),
            "{text}"
        );
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        for entity in text.split('&').skip(1) {
            let name = entity.split(';').next().unwrap();
            assert!(["amp", "lt", "gt", "quot"].contains(&name), "{text}");
        }
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "</{name}>");
        } else if !tag.ends_with('/') {
            open.push(tag.split(' ').next().unwrap());
        }
    }
    assert!(open.is_empty(), "{open:?} do not end");
}

/// It needs nothing from elsewhere, and nothing in it runs.
pub fn assert_self_contained(page: &str) {
    let elsewhere = page.replace("xmlns=\"http://www.w3.org/1999/xhtml\"", "");
    for unwanted in ["http:", "https:", "<script", "<link", "@import", "url(/"] {
        assert!(!elsewhere.contains(unwanted), "{unwanted}");
    }
}

/// A browser shows it without scrolling sideways; `dir` is for its files.
pub fn assert_fits_a_phone(dir: &Path, page: &str) {
    // The page says of itself how wide it became.
    let measure = "<script>var all = document.documentElement; \
        document.title = all.scrollWidth - all.clientWidth + ' too wide'</script></body>";
    let measured = dir.join("measured.html");
    std::fs::write(&measured, page.replace("</body>", measure)).unwrap();
    let browser = ["chromium", "chromium-browser", "google-chrome"]
        .into_iter()
        .find(|name| Command::new(name).arg("--version").output().is_ok());
    let Some(browser) = browser else {
        assert!(std::env::var_os("CI").is_none(), "CI needs chromium");
        return skip("no chromium to look at the page with");
    };
    let shown = Command::new("timeout")
        .args(["60", browser, "--headless", "--no-sandbox", "--disable-gpu"])
        .args(["--window-size=500,900", "--dump-dom"])
        .arg(format!("--user-data-dir={}", dir.join("p").display()))
        .arg(format!("file://{}", measured.display()))
        .output()
        .unwrap();
    let shown = String::from_utf8_lossy(&shown.stdout);
    assert!(shown.contains("<title>0 too wide</title>"), "{shown:.400}");
}

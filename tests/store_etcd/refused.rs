//! Who is not let in, and by whom one would rather not be: one line each.

use std::io::{Read, Write};
use std::net::TcpListener;

use super::common::servers::etcd::Certificates;
use super::common::servers::free_port;
use super::*;

/// Whether it passes by itself, and what is said.
async fn refused(url: &str, is_lasting: bool, says: &str) {
    let error = refusal(&open(url)).await;
    assert!(error.to_string().contains(says), "{url}: {error}");
    assert_eq!(error.is_lasting(), is_lasting, "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_are_asked_who_they_are_and_what_they_may() {
    if !is_here() {
        return;
    }
    let etcd = Etcd::start(1, &["--auth-token-ttl", "2"]);
    let url = |user: &str, path: &str| format!("etcd://{user}{}{path}", etcd.hosts());
    // Where nobody is asked, a user does no harm.
    assert_eq!(
        open(&url("anybody:secret@", "")).read().await.unwrap(),
        None
    );
    for args in [
        &["user", "add", "root:root"][..],
        &["user", "grant-role", "root", "root"],
        &["user", "add", "ours:secret"],
        &["role", "add", "ours"],
        &[
            "role",
            "grant-permission",
            "ours",
            "readwrite",
            "--prefix",
            "ours/",
        ],
        &["user", "grant-role", "ours", "ours"],
        &["auth", "enable"],
    ] {
        etcd.ctl(args);
    }
    refused(&url("", "/ours"), true, "ETCDCTL_USER").await;
    refused(
        &url("ours:secret2@", "/ours"),
        true,
        "authentication failed",
    )
    .await;
    refused(
        &url("nobody:secret@", "/ours"),
        true,
        "authentication failed",
    )
    .await;
    refused(
        &url("ours:secret@", "/theirs"),
        true,
        "readwrite --prefix theirs/",
    )
    .await;

    let (a, b) = (
        open(&url("ours:secret@", "/ours")),
        open(&url("ours:secret@", "/ours")),
    );
    let first = swapped(&a, None, &held(1)).await;
    let waiter = b.clone();
    let wait = tokio::spawn(async move { waiter.changed(first).await });
    // Its token is forgotten meanwhile.
    sleep(Duration::from_secs(5)).await;
    let next = held(2);
    let second = swapped(&a, Some(first), &next).await;
    let wake = timeout(PATIENCE, wait).await.expect("a wake-up").unwrap();
    assert_eq!(wake, Wake::Changed(observed(second, &next)));
    // Asked no more who it is.
    etcd.ctl(&["--user", "root:root", "auth", "disable"]);
    swapped(&a, Some(second), &held(3)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_count_at_both_ends() {
    if !is_here() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let tls = Certificates::make(dir.path());
    let other = tempfile::tempdir().unwrap();
    let other = Certificates::make(other.path()).ca.display().to_string();
    let [ca, cert, key] = [&tls.ca, &tls.cert, &tls.key].map(|path| path.display().to_string());
    let etcd = Etcd::secure(tls.clone(), &[]);
    let good = format!("{}?cacert={ca}", etcd.url());
    let store = open(&good);
    let at = swapped(&store, None, &held(1)).await;
    let waiter = store.clone();
    let wait = tokio::spawn(async move { waiter.changed(at).await });
    sleep(Duration::from_millis(200)).await;
    swapped(&open(&good), Some(at), &held(2)).await;
    timeout(PATIENCE, wait).await.expect("a wake-up").unwrap();

    let url = etcd.url();
    refused(&url, true, "certificate").await;
    refused(&format!("{url}?cacert={other}"), true, "no TLS: ").await;
    refused(
        &format!("{url}?cacert=/nowhere"),
        true,
        "cannot use /nowhere",
    )
    .await;
    refused(&format!("{url}?cacert={key}"), true, "no certificate in it").await;
    refused(&format!("etcd://{}", etcd.hosts()), false, "etcds://").await;
    let named = format!("etcds://localhost:{}?cacert={ca}", etcd.port(0));
    let error = open(&named).read().await.expect_err("not its name");
    assert!(
        error.is_lasting() && error.to_string().contains("certificate"),
        "{error}"
    );

    // And the other way round.
    let strict = Etcd::secure(tls, &["--client-cert-auth", "--trusted-ca-file", &ca]);
    refused(&format!("{}?cacert={ca}", strict.url()), true, "no TLS: ").await;
    let shown = format!("{}?cacert={ca}&cert={cert}&key={key}", strict.url());
    assert_eq!(open(&shown).read().await.unwrap(), None);
    refused(
        &format!("{}?cacert={ca}&cert={cert}&key={ca}", strict.url()),
        true,
        "cannot use",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_is_not_spoken_everywhere() {
    if !is_here() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let ca = Certificates::make(dir.path()).ca;
    let url = |hosts: &str| format!("etcds://u:secret@{hosts}?cacert={}", ca.display());
    let etcd = Etcd::start(1, &[]);
    refused(&url(&etcd.hosts()), false, "write etcd://").await;
    refused(&url(&resets()), false, "write etcd://").await;
    let other = answers("HTTP/1.1 400 Bad Request\r\n\r\n");
    refused(&url(&other), true, "write etcd://").await;
}

/// Where a connection is closed before all that was sent is read.
fn resets() -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let host = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.read_exact(&mut [0]).unwrap();
    });
    host
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_gateway_an_etcd_is_of_no_use() {
    if !is_here() {
        return;
    }
    let etcd = Etcd::start(1, &["--enable-grpc-gateway=false"]);
    refused(&etcd.url(), true, "--enable-grpc-gateway").await;
}

/// Where whatever is asked is answered with this, once.
fn answers(answer: impl Into<String>) -> String {
    let answer = answer.into();
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let host = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 1 << 16]);
        let _ = stream.write_all(answer.as_bytes());
    });
    host
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_etcd_or_too_old_is_told_so() {
    let answer = |body: &str| {
        format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    for (says, is_lasting, answer) in [
        (
            "etcd 3.3.27: this needs etcd 3.4 or newer",
            true,
            answer(r#"{"etcdserver":"3.3.27","etcdcluster":"3.3.0"}"#),
        ),
        (
            "etcd who\\nknows",
            true,
            answer(r#"{"etcdserver":"who\nknows"}"#),
        ),
        ("address of an etcd", true, answer("<html>\n")),
        (
            "address of an etcd",
            true,
            "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".into(),
        ),
        (
            "503",
            false,
            "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n".into(),
        ),
        ("HTTP", false, "-ERR unknown command\r\n".into()),
    ] {
        let host = answers(answer);
        refused(&format!("etcd://u:secret@{host}"), is_lasting, says).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_nobody_listens_somebody_may_before_long() {
    let url = format!("etcd://u:secret@127.0.0.1:{}", free_port());
    refused(&url, false, "nobody listens there").await;
    let nowhere = "etcd://no.such.host.invalid";
    let error = open(nowhere).read().await.unwrap_err();
    assert!(error.to_string().contains("has no address"), "{error}");
    assert!(!format!("{:?}", url.parse::<Server>().unwrap()).contains("secret"));
}

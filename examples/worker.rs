//! Work that exactly one of several processes does, and that stops when its
//! leadership is lost.
//!
//! Run it in two terminals, and stop one: `cargo run --example worker`

use std::time::Duration;

use leader_demo::{FileStore, Leadership, LockName, Node};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::temp_dir().join("leader-demo-example");
    let store = FileStore::open(dir, &LockName::new("worker")?)?;
    let node = Node::builder(format!("pid-{}", std::process::id())).start(store)?;

    // The library installs no signal handlers: when to stop is yours to say.
    let stopper = node.clone();
    let (asked, mut stop) = tokio::sync::watch::channel(false);
    ctrlc::set_handler(move || {
        asked.send_replace(true);
    })?;
    tokio::spawn(async move {
        let _ = stop.wait_for(|asked| *asked).await;
        stopper.stop().await;
    });

    println!("campaigning; Ctrl+C stops");
    match node.run(work).await {
        Ok(done) => println!("{done}"),
        Err(stopped) => println!("{stopped}"),
    }
    Ok(())
}

/// Owns the leadership: the lease is given back when this is dropped.
async fn work(leadership: Leadership) -> &'static str {
    for step in 1..=60 {
        if !leadership.leads() {
            break;
        }
        println!("step {step} in term {}", leadership.term());
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    "all steps done"
}

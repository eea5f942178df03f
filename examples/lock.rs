//! A crash-safe lock: acquire, do the work, release. Mutual exclusion falls out
//! of leadership as a scope, and a holder that is killed blocks nobody.
//!
//! Run it in two terminals: `cargo run --example lock`

use std::time::Duration;

use leader_demo::{FileStore, LockName, Node};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::temp_dir().join("leader-demo-example");
    let store = FileStore::open(dir, &LockName::new("invoices")?)?;
    let node = Node::builder(format!("pid-{}", std::process::id())).start(store)?;

    println!("waiting for the lock");
    let lock = node.campaign().await?;
    println!("locked, fencing token {}", lock.term());
    tokio::select! {
        () = lock.lost() => println!("lost it: whatever is left of the work must not be done"),
        () = the_work() => {
            lock.release().await;
            println!("released");
        }
    }
    Ok(())
}

async fn the_work() {
    tokio::time::sleep(Duration::from_secs(3)).await;
}

//! `leader-demo judge`, which reads the logs and knows nothing else.

use std::path::PathBuf;

use anyhow::{Result, ensure};

use crate::common;

/// Its verdict, if all is well.
pub(crate) fn judge(logs: &[PathBuf]) -> Result<String> {
    let output = common::binary().arg("judge").args(logs).output()?;
    let verdict = String::from_utf8(output.stdout)?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{verdict}{complaint}");
    Ok(verdict)
}

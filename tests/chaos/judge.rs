//! `leader-demo judge`, which reads the logs and knows nothing else.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use crate::common;

/// Its verdict, if all is well. It draws the picture in any case.
pub(crate) fn judge(logs: &[PathBuf], page: &Path) -> Result<String> {
    let mut judge = common::binary();
    judge.arg("judge").arg("--html").arg(page).args(logs);
    let output = judge.output()?;
    let verdict = String::from_utf8(output.stdout)?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{verdict}{complaint}");
    Ok(verdict)
}

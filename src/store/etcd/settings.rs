//! What a member says of itself and of its cluster, for who judges it.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::gateway::{Failure, Gateway};
use super::{Etcd, Header};
use crate::store::StoreError;
use crate::store::remote::examined::if_allowed;
use crate::store::trial::Setting;

#[derive(Deserialize)]
struct Status {
    header: Header,
    version: String,
    /// Zero, which is left out, where there is none.
    #[serde(default)]
    leader: String,
    #[serde(default, rename = "dbSize")]
    db_size: String,
}

#[derive(Deserialize)]
struct Members {
    #[serde(default)]
    members: Vec<Member>,
}

#[derive(Deserialize)]
struct Member {
    #[serde(default, rename = "isLearner")]
    is_learner: bool,
}

#[derive(Deserialize)]
struct Alarms {
    #[serde(default)]
    alarms: Vec<Alarm>,
}

#[derive(Deserialize)]
struct Alarm {
    #[serde(default)]
    alarm: String,
}

impl Etcd {
    /// By the names of its API and of its metrics.
    pub(super) async fn of_member(&self, on: &mut Gateway) -> Result<Vec<Setting>, StoreError> {
        let status: Option<Status> = self.told(on, "maintenance/status", "{}").await?;
        let members: Option<Members> = self.told(on, "cluster/member/list", "{}").await?;
        let alarms: Option<Alarms> = self
            .told(on, "maintenance/alarm", r#"{"action":"GET"}"#)
            .await?;
        let metrics = on.page("/metrics").await;
        let metrics = if_allowed(metrics.map_err(|failure| self.lasting(failure)))?;
        let metric = |name| metrics.as_deref().and_then(|page| value_of(page, name));
        let count = |learners| {
            let members = &members.as_ref()?.members;
            let of_them = members.iter().filter(|m| m.is_learner == learners);
            Some(of_them.count().to_string())
        };
        let (voters, learners) = (count(false), count(true));
        let said = |what: fn(&Status) -> String| status.as_ref().map(what);
        Ok(vec![
            ("version", said(|status| status.version.clone())),
            (
                "cluster_id",
                said(|status| status.header.cluster_id.to_string()),
            ),
            ("leader", said(|status| status.leader.clone())),
            ("members", voters),
            ("learners", learners),
            (
                "alarms",
                alarms.map(|said| {
                    let all: Vec<_> = said.alarms.into_iter().map(|alarm| alarm.alarm).collect();
                    all.join(",")
                }),
            ),
            ("dbSize", said(|status| status.db_size.clone())),
            (
                "quota_backend_bytes",
                metric("etcd_server_quota_backend_bytes"),
            ),
            (
                "wal_fsync_count",
                metric("etcd_disk_wal_fsync_duration_seconds_count"),
            ),
        ])
    }

    async fn told<A: DeserializeOwned>(
        &self,
        on: &mut Gateway,
        what: &str,
        request: &str,
    ) -> Result<Option<A>, StoreError> {
        let answer = on.post(&format!("/v3/{what}"), request.to_owned()).await;
        if_allowed(answer.map_err(|failure| self.lasting(failure)))
    }

    /// What a member will not say now it will not say soon.
    fn lasting(&self, failure: Failure) -> StoreError {
        match failure {
            Failure::Said(what) => StoreError::lasting(what),
            failure => self.trouble(failure),
        }
    }
}

/// A whole number on a page for Prometheus.
fn value_of(page: &str, metric: &str) -> Option<String> {
    let mut lines = page.lines();
    let value = lines.find_map(|line| line.strip_prefix(metric)?.strip_prefix(' '))?;
    let value: f64 = value.trim().parse().ok()?;
    Some(format!("{value:.0}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_found_by_its_whole_name() {
        let page = "# TYPE a gauge\na_long 7\na 2.147483648e+09\nb{x=\"y\"} 1\n";
        assert_eq!(value_of(page, "a").as_deref(), Some("2147483648"));
        assert_eq!(value_of(page, "a_long").as_deref(), Some("7"));
        assert_eq!(value_of(page, "c"), None);
    }
}

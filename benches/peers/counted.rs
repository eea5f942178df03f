//! How many requests a server has had, by its own count.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::server::{Kind, Server, postgres_program};

impl Server {
    /// So far, of everybody.
    pub(crate) fn requests(&self) -> Result<u64> {
        let port = self.port.to_string();
        match self.kind {
            Kind::Etcd => {
                let metrics = get(self.port, "/metrics")?;
                // Of its gateway too, and each message of a stream.
                sum(&metrics, |line| {
                    let (name, count) = line.rsplit_once(' ')?;
                    name.starts_with("grpc_server_msg_received_total{")
                        .then_some(count)
                })
            }
            Kind::Redis => {
                let mut info = Command::new("redis-cli");
                info.args(["-p", &port, "info", "commandstats"]);
                // All that is sent to it here; what scripts do within is no request.
                let sent = ["cmdstat_eval", "cmdstat_evalsha", "cmdstat_set"];
                sum(&said(&mut info)?, |line| {
                    let (name, figures) = line.split_once(":calls=")?;
                    let (calls, _) = figures.split_once(',')?;
                    sent.contains(&name).then_some(calls)
                })
            }
            Kind::Postgres => {
                let mut psql = Command::new(postgres_program("psql").context("no psql")?);
                psql.args(["-h", "127.0.0.1", "-p", &port, "-U", "postgres", "-Atc"]);
                psql.arg("SELECT sum(xact_commit + xact_rollback) FROM pg_stat_database");
                sum(&said(&mut psql)?, Some)
            }
            Kind::ZooKeeper => bail!("nobody asks how many"),
        }
    }
}

fn sum<'a>(text: &'a str, number: impl Fn(&'a str) -> Option<&'a str>) -> Result<u64> {
    let mut sum = 0.0;
    for number in text.lines().filter_map(number) {
        sum += number.parse::<f64>().context(text.to_owned())?;
    }
    Ok(sum as u64)
}

fn said(command: &mut Command) -> Result<String> {
    let output = command.output()?;
    ensure!(output.status.success(), "{command:?}: {output:?}");
    Ok(String::from_utf8(output.stdout)?)
}

fn get(port: u16, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

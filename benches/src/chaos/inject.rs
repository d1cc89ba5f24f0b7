//! Faults, carried out and undone.

use tokio::task::block_in_place;
use tokio::time::sleep;

use super::cluster::{Cluster, Redis};
use super::link::{Link, Way};
use super::redis;
use super::schedule::{Fault, Kind};
use crate::measure::Failure;

impl Cluster {
    /// Does it, and undoes it after its time; says what is worth knowing.
    pub(super) async fn inject(&self, fault: &Fault) -> Result<String, Failure> {
        match fault.kind {
            Kind::KillNode | Kind::PauseNode | Kind::FreezeNode | Kind::RollNodes => {
                self.harm_nodes(fault).await
            }
            Kind::KillRedis | Kind::RestartRedis | Kind::FreezeRedis | Kind::FlushRedis => {
                Ok(self.harm_redis(fault).await)
            }
            Kind::KillMariadb | Kind::RestartMariadb | Kind::FreezeMariadb => {
                self.harm_mariadb(fault).await;
                Ok(String::new())
            }
            Kind::KillNginxWorker | Kind::ReloadNginx => {
                let nginx = self.nginx.lock().await;
                block_in_place(|| match fault.kind {
                    Kind::ReloadNginx => nginx.reload(&self.addresses()),
                    _ => nginx.kill_worker(),
                });
                Ok(String::new())
            }
            Kind::CutRedis | Kind::SilenceRedis | Kind::SlowRedis => {
                harm_links(&self.to_redis[fault.target], fault).await;
                Ok(String::new())
            }
            Kind::CutMariadb | Kind::SilenceMariadb | Kind::SlowMariadb => {
                harm_links(std::slice::from_ref(&self.to_mariadb[fault.target]), fault).await;
                Ok(String::new())
            }
        }
    }

    async fn harm_nodes(&self, fault: &Fault) -> Result<String, Failure> {
        let node = &self.nodes[fault.target];
        let mut attempts = 0;
        match fault.kind {
            Kind::KillNode => {
                node.kill();
                sleep(fault.lasts).await;
                attempts = node.start().await? - 1;
            }
            Kind::RollNodes => {
                for node in &self.nodes {
                    let status = node.stop().await?;
                    if !status.success() {
                        return Err(format!("a node that was stopped in order ended with {status}").into());
                    }
                    attempts += node.start().await? - 1;
                }
            }
            _ => {
                node.signal("STOP");
                sleep(fault.lasts).await;
                node.signal("CONT");
            }
        }
        Ok(if attempts == 0 { String::new() } else { format!("{attempts} starts in vain") })
    }

    async fn harm_redis(&self, fault: &Fault) -> String {
        let mut redis = self.redis.lock().await;
        match fault.kind {
            Kind::KillRedis => {
                block_in_place(|| redis.server(fault.target).kill());
                sleep(fault.lasts).await;
                block_in_place(|| redis.server(fault.target).restart());
            }
            Kind::RestartRedis => block_in_place(|| {
                for server in redis.servers() {
                    server.command("SHUTDOWN NOSAVE");
                    server.restart();
                }
            }),
            Kind::FlushRedis => block_in_place(|| {
                for server in redis.servers() {
                    server.command("FLUSHALL");
                }
            }),
            _ => {
                let process = block_in_place(|| redis.server(fault.target).pid());
                redis::signal(&process, "-STOP");
                sleep(fault.lasts).await;
                redis::signal(&process, "-CONT");
            }
        }
        match (&*redis, fault.kind) {
            (Redis::Cluster(_), Kind::KillRedis | Kind::FreezeRedis) => {
                format!("master {}", fault.target + 1)
            }
            _ => String::new(),
        }
    }

    async fn harm_mariadb(&self, fault: &Fault) {
        let mut mariadb = self.mariadb.lock().await;
        match fault.kind {
            Kind::KillMariadb => {
                mariadb.kill();
                sleep(fault.lasts).await;
                mariadb.restart().await;
            }
            Kind::RestartMariadb => {
                mariadb.stop().await;
                mariadb.restart().await;
            }
            _ => {
                mariadb.freeze();
                sleep(fault.lasts).await;
                mariadb.thaw();
            }
        }
    }
}

async fn harm_links(links: &[Link], fault: &Fault) {
    let way = match fault.kind {
        Kind::CutRedis | Kind::CutMariadb => Way::Cut,
        Kind::SilenceRedis | Kind::SilenceMariadb => Way::Silent,
        _ => Way::Slow(fault.late),
    };
    links.iter().for_each(|link| link.set(way));
    sleep(fault.lasts).await;
    links.iter().for_each(|link| link.set(Way::Open));
}

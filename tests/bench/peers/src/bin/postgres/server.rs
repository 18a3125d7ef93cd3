//! One server of the installed PostgreSQL, in a folder of its own, on a port of loopback.

use std::future::poll_fn;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tests_peers::clock::now_ns;
use tests_peers::content;
use tokio::process::{Child, Command};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{Instant, interval};
use tokio_postgres::{AsyncMessage, Client, Config, NoTls, Statement};

/// What both servers hold: one row a change.
const TABLES: &str = "
    CREATE TABLE change (
        id uuid PRIMARY KEY, document uuid NOT NULL, number int NOT NULL, fields jsonb NOT NULL
    );
    CREATE INDEX change_document ON change (document);";
/// Where Debian puts the programs of every release.
const DEBIAN: &str = "/usr/lib/postgresql";
/// Who runs a server that root starts: PostgreSQL refuses to be root.
const SERVER_USER: &str = "postgres";
/// Longest that a server may take to start or stop.
const WITHIN: Duration = Duration::from_secs(30);
/// What differs from what the release ships.
const OPTIONS: [&str; 6] = [
    "listen_addresses = '127.0.0.1'",
    "wal_level = logical",
    // Off and on again must not wait for the usual 5 s between two starts of a subscription.
    "wal_retrieve_retry_interval = '10ms'",
    "max_wal_size = '4GB'",
    "fsync = on",
    "synchronous_commit = on",
];

const INSERT: &str = "INSERT INTO change VALUES ($1::text::uuid, $2::text::uuid, $3, $4::text::jsonb)";
const INSERT_MANY: &str = "INSERT INTO change SELECT id::uuid, $2::text::uuid, number, fields::jsonb
    FROM unnest($1::text[], $3::int[], $4::text[]) AS new (id, number, fields)";
const HAS: &str = "SELECT EXISTS (SELECT FROM change WHERE id = $1::text::uuid)";

/// A subscriber's subscriber.
pub struct Told {
    /// Which document, and when.
    pub heard: UnboundedReceiver<(String, u64)>,
    /// The session that listens; without it nothing is heard.
    _client: Client,
}

/// A running server.
pub struct Server {
    child: Child,
    config: Config,
    /// A session.
    pub client: Client,
    insert: Statement,
    insert_many: Statement,
    has: Statement,
    /// Where it listens.
    pub port: u16,
}

/// The folder with `initdb` and `postgres`, if they are installed.
pub fn programs() -> Option<PathBuf> {
    let has = |folder: &PathBuf| folder.join("initdb").is_file() && folder.join("postgres").is_file();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let debian =
        std::fs::read_dir(DEBIAN).into_iter().flatten().flatten().map(|entry| entry.path().join("bin"));
    let mut debian: Vec<PathBuf> = debian.collect();
    debian.sort();
    std::env::split_paths(&path).chain(debian.into_iter().rev()).find(has)
}

impl Server {
    /// Makes and starts one.
    pub async fn start(programs: &Path, folder: &Path) -> anyhow::Result<Server> {
        std::fs::create_dir_all(folder)?;
        let root = rustix::process::getuid().is_root();
        if root {
            let chown = Command::new("chown").arg(SERVER_USER).arg(folder).status().await?;
            ensure!(chown.success(), "there is no user {SERVER_USER} to run the server");
            // The server's user must be able to pass the folders above.
            let above = folder.parent().context("it has a folder above")?;
            let chmod = Command::new("chmod").arg("o+x").arg(above).status().await?;
            ensure!(chmod.success(), "the folder of the servers cannot be opened to them");
        }
        let run = |program: &str| {
            let program = programs.join(program);
            if root {
                let mut command = Command::new("setpriv");
                command.args(["--reuid", SERVER_USER, "--regid", SERVER_USER, "--clear-groups"]).arg(program);
                command
            } else {
                Command::new(program)
            }
        };
        let data = folder.join("data");
        let made = run("initdb")
            .arg("--pgdata")
            .arg(&data)
            .args([
                "--username",
                "peer",
                "--auth",
                "trust",
                "--no-sync",
                "--encoding",
                "UTF8",
                "--locale",
                "C",
            ])
            .current_dir(folder)
            .output()
            .await?;
        ensure!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let mut command = run("postgres");
        command.arg("-D").arg(&data).args(["-p", &port.to_string()]);
        command.arg("-c").arg(format!("unix_socket_directories={}", folder.display()));
        for option in OPTIONS {
            command.arg("-c").arg(option.replace(" = ", "=").replace('\'', ""));
        }
        let log = std::fs::File::create(folder.join("log"))?;
        command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).kill_on_drop(true);
        let child = command.spawn()?;
        let mut config = Config::new();
        config.host("127.0.0.1").port(port).user("peer").dbname("postgres");
        let client = connected(&config).await.with_context(|| {
            format!("the server said: {}", std::fs::read_to_string(folder.join("log")).unwrap_or_default())
        })?;
        client.batch_execute(TABLES).await?;
        let prepare = async |sql| client.prepare(sql).await;
        let (insert, insert_many, has) =
            (prepare(INSERT).await?, prepare(INSERT_MANY).await?, prepare(HAS).await?);
        Ok(Server { child, config, client, insert, insert_many, has, port })
    }

    /// One row, durable on return.
    pub async fn insert_one(&self, document: u32, change: u32) -> anyhow::Result<()> {
        let number = i32::try_from(change)?;
        let (id, fields) = (id(document, change), super::fields(document, change)?);
        self.client.execute(&self.insert, &[&id, &uuid(document), &number, &fields]).await?;
        Ok(())
    }

    /// These changes of these documents, a transaction a document, all durable on return.
    pub async fn insert(&self, documents: Range<u32>, changes: Range<u32>) -> anyhow::Result<()> {
        self.client.batch_execute("SET synchronous_commit = off").await?;
        for document in documents {
            let ids: Vec<String> = changes.clone().map(|change| id(document, change)).collect();
            let numbers: Vec<i32> = changes.clone().map(i32::try_from).collect::<Result<_, _>>()?;
            let fields: Vec<String> =
                changes.clone().map(|change| super::fields(document, change)).collect::<Result<_, _>>()?;
            self.client.execute(&self.insert_many, &[&ids, &uuid(document), &numbers, &fields]).await?;
        }
        // Nobody waited for the disk while filling; from here on everything is on it.
        self.client.batch_execute("SET synchronous_commit = on; CHECKPOINT").await?;
        Ok(())
    }

    /// True if this row is there.
    pub async fn has(&self, document: u32, change: u32) -> anyhow::Result<bool> {
        Ok(self.client.query_one(&self.has, &[&id(document, change)]).await?.get(0))
    }

    /// Waits until nobody reads this server's log.
    pub async fn nobody_reads(&self) -> anyhow::Result<()> {
        let until = Instant::now() + WITHIN;
        let mut looks = interval(Duration::from_millis(5));
        while Instant::now() < until {
            looks.tick().await;
            let sql = "SELECT NOT EXISTS (SELECT FROM pg_replication_slots WHERE active)";
            if self.client.query_one(sql, &[]).await?.get(0) {
                return Ok(());
            }
        }
        anyhow::bail!("the subscription does not end")
    }

    /// Where its log ends now.
    pub async fn end_of_log(&self) -> anyhow::Result<String> {
        Ok(self.client.query_one("SELECT pg_current_wal_lsn()::text", &[]).await?.get(0))
    }

    /// True if the subscriber has reported that its disk has everything up to there.
    pub async fn subscriber_flushed(&self, end: &str) -> anyhow::Result<bool> {
        let sql = "SELECT coalesce(bool_or(flush_lsn >= $1::text::pg_lsn), false) FROM pg_stat_replication";
        Ok(self.client.query_one(sql, &[&end]).await?.get(0))
    }

    /// Rows, and a hash over all of them.
    pub async fn digest(&self) -> anyhow::Result<(i64, String)> {
        let sql =
            "SELECT count(*), coalesce(md5(string_agg(md5(change::text), '' ORDER BY id)), '') FROM change";
        let row = self.client.query_one(sql, &[]).await?;
        Ok((row.get(0), row.get(1)))
    }

    /// Subscribes to the rows that come by replication: the server tells once they are committed.
    pub async fn listen(&self) -> anyhow::Result<Told> {
        let sql = "
            CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN PERFORM pg_notify('told', NEW.document::text); RETURN NULL; END $$;
            CREATE TRIGGER tell AFTER INSERT ON change FOR EACH ROW EXECUTE FUNCTION tell();
            ALTER TABLE change ENABLE REPLICA TRIGGER tell";
        self.client.batch_execute(sql).await?;
        let (client, mut connection) = self.config.connect(NoTls).await?;
        let (sender, heard) = unbounded_channel();
        tokio::spawn(async move {
            while let Some(Ok(message)) = poll_fn(|task| connection.poll_message(task)).await {
                if let AsyncMessage::Notification(notification) = message
                    && sender.send((notification.payload().to_owned(), now_ns())).is_err()
                {
                    return;
                }
            }
        });
        client.batch_execute("LISTEN told").await?;
        Ok(Told { heard, _client: client })
    }

    /// Stops it in good order.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        let process = self.child.id().and_then(|id| i32::try_from(id).ok());
        let process = process.and_then(rustix::process::Pid::from_raw).context("the server is gone")?;
        rustix::process::kill_process(process, rustix::process::Signal::INT)?;
        tokio::time::timeout(WITHIN, self.child.wait()).await.context("the server does not stop")??;
        Ok(())
    }
}

async fn connected(config: &Config) -> anyhow::Result<Client> {
    let until = Instant::now() + WITHIN;
    let mut tries = interval(Duration::from_millis(50));
    loop {
        tries.tick().await;
        match config.connect(NoTls).await {
            Ok((client, connection)) => {
                tokio::spawn(connection);
                return Ok(client);
            }
            Err(error) if Instant::now() >= until => return Err(error).context("it does not answer"),
            Err(_) => {}
        }
    }
}

/// A document's id as the server writes it.
pub fn uuid(document: u32) -> String {
    written(content::key(document))
}

fn id(document: u32, change: u32) -> String {
    written(content::key(document.wrapping_mul(64).wrapping_add(change).wrapping_add(1 << 31)))
}

fn written(key: [u8; 16]) -> String {
    let hex = format!("{:032x}", u128::from_be_bytes(key));
    let part = |range: Range<usize>| hex.get(range).unwrap_or_default();
    [part(0..8), part(8..12), part(12..16), part(16..20), part(20..32)].join("-")
}

//! A way to the broker that a test can close and open again.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub struct Gate {
    addr: SocketAddr,
    open: watch::Sender<bool>,
    refused: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
}

impl Gate {
    /// A gate to `host:port`, open.
    pub async fn to(target: String) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let addr = listener.local_addr()?;
        let (open, state) = watch::channel(true);
        let refused = Arc::<AtomicUsize>::default();
        let count = refused.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((inner, _)) = listener.accept().await {
                if *state.borrow() {
                    tokio::spawn(forward(inner, target.clone(), state.clone()));
                } else {
                    count.fetch_add(1, Ordering::SeqCst);
                }
            }
        });
        Ok(Self { addr, open, refused, accepting })
    }

    /// A URL that leads through the gate instead of straight to the broker.
    pub fn url(&self, direct: &str) -> anyhow::Result<String> {
        let mut url = reqwest::Url::parse(direct)?;
        url.set_host(Some("127.0.0.1"))?;
        if url.set_port(Some(self.addr.port())).is_err() {
            anyhow::bail!("{direct} takes no port");
        }
        Ok(url.into())
    }

    /// How many found it shut.
    pub fn refused(&self) -> usize {
        self.refused.load(Ordering::SeqCst)
    }

    /// Cuts every connection; new ones are cut at once.
    pub fn shut(&self) {
        self.open.send_replace(false);
    }

    pub fn open(&self) {
        self.open.send_replace(true);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn forward(mut inner: TcpStream, target: String, mut open: watch::Receiver<bool>) {
    let Ok(mut outer) = TcpStream::connect(target).await else { return };
    tokio::select! {
        _ = copy_bidirectional(&mut inner, &mut outer) => {}
        _ = open.wait_for(|open| !open) => {}
    }
}

//! Servers on loopback that write exactly the bytes a test gives them, and remember what they were sent.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What a server does with a connection once the request's head and body are there.
#[derive(Clone)]
pub enum Script {
    /// Writes this and closes.
    Say(Vec<u8>),
    /// Writes the first part, then the second again and again, with a pause between, until the client goes.
    Drip(Vec<u8>, &'static [u8], std::time::Duration),
    /// Says nothing until the client goes.
    Hang,
    /// Closes without a word.
    Close,
}

/// A server of one script; `{}` in what it says is its own port.
pub struct Server {
    pub port: u16,
    connections: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Server {
    /// Listens on a free port of 127.0.0.1.
    pub async fn start(script: Script) -> Self {
        Self::at("127.0.0.1:0".parse().unwrap(), script).await
    }

    pub async fn at(address: SocketAddr, script: Script) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (connections, requests) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
        let (counter, log) = (Arc::clone(&connections), Arc::clone(&requests));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream, script.clone(), Arc::clone(&log)));
            }
        });
        Self { port, connections, requests, task }
    }

    /// Answers every request with this status line's rest, headers and body.
    pub async fn answering(status: &str, headers: &str, body: &str) -> Self {
        Self::start(Script::Say(answer(status, headers, body))).await
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// What it was sent, one text per connection.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// `answer("404 Not Found", "X-A: 1\r\n", "gone")`
pub fn answer(status: &str, headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n{body}", body.len())
        .into_bytes()
}

async fn serve(mut stream: TcpStream, script: Script, log: Arc<Mutex<Vec<String>>>) {
    let request = read_request(&mut stream).await;
    log.lock().unwrap().push(request);
    match script {
        // Errors are the client's going away.
        Script::Say(bytes) => {
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
        }
        Script::Drip(head, again, pause) => {
            let mut written = stream.write_all(&head).await;
            let mut ticks = tokio::time::interval(pause);
            while written.is_ok() {
                ticks.tick().await;
                written = stream.write_all(again).await;
            }
        }
        Script::Hang => {
            let _ = stream.read(&mut [0; 1]).await;
        }
        Script::Close => {}
    }
}

/// Head and body of one request, as far as they come.
pub async fn read_request<S: AsyncReadExt + Unpin>(stream: &mut S) -> String {
    let (mut received, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let text = String::from_utf8_lossy(&received).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .filter_map(|line| line.split_once(':'))
                .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
                .and_then(|(_, length)| length.trim().parse::<usize>().ok())
                .unwrap_or(0);
            if body.len() >= length {
                return text;
            }
        }
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return text,
            Ok(read) => received.extend_from_slice(&buffer[..read]),
        }
    }
}

//! A provider on loopback that misbehaves as it is told.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

/// What it does with a request.
#[derive(Debug, Clone)]
pub enum Manner {
    /// Answers with this status, these headers and this text.
    Answers(u16, String, String),
    /// Reads the request, and says nothing for so long.
    Sleeps(Duration),
    /// Says 200, and then sends for ever.
    Pours,
}

impl Manner {
    /// Answers with this status and text.
    #[must_use]
    pub const fn answers(status: u16, text: String) -> Self {
        Self::Answers(status, String::new(), text)
    }
}

/// It listens until the test ends.
pub struct Provider {
    /// Where: `http://127.0.0.1:PORT`.
    pub base: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Provider {
    /// Listens on a port of its own.
    #[must_use]
    pub fn that(manner: &Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (requests, manner) = (Arc::clone(&asked), manner.clone());
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (requests, manner) = (Arc::clone(&requests), manner.clone());
                thread::spawn(move || serve(stream.unwrap(), &requests, &manner));
            }
        });
        Self { base, asked }
    }

    /// Bodies of the requests that came, oldest first.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn serve(mut stream: TcpStream, asked: &Mutex<Vec<String>>, manner: &Manner) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    if reader.read_exact(&mut body).is_err() {
        return;
    }
    asked.lock().unwrap_or_else(PoisonError::into_inner).push(String::from_utf8(body).unwrap());
    match manner {
        Manner::Answers(status, headers, text) => {
            let head = format!(
                "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n",
                text.len()
            );
            let _ = stream.write_all(format!("{head}{text}").as_bytes());
        }
        Manner::Sleeps(long) => {
            let _ = stream.set_read_timeout(Some(*long));
            let _ = reader.read(&mut [0]); // until the other side has enough
        }
        Manner::Pours => {
            let _ = stream.write_all(b"HTTP/1.1 200 X\r\nContent-Length: 10737418240\r\n\r\n");
            while stream.write_all(&[b'x'; 65536]).is_ok() {}
        }
    }
}

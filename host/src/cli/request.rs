//! `jackfield request`

use std::{
    fs,
    io::{self, IsTerminal, Read, Write},
};

use clap::Args;
use jackfield::{Error, ErrorKind, Result, api::accounts::ConnectionShown, system};

use super::{
    Everywhere, completion,
    connection::only,
    engine::{Engine, encoded},
    output,
    served::Piece,
};

/// Send a request to a provider as a connection, without an action
#[derive(Args)]
pub(crate) struct Request {
    /// The connector
    #[arg(add = completion::connectors())]
    connector: String,
    /// The path at the provider, such as users/me/meetings, with its query
    path: String,
    /// The method
    #[arg(short = 'X', long, value_name = "METHOD")]
    method: Option<String>,
    /// The body: text, @FILE, or @- for standard input
    #[arg(short, long, value_name = "DATA", allow_hyphen_values = true)]
    data: Option<String>,
    /// A header, as 'NAME: VALUE'
    #[arg(short = 'H', long = "header", value_name = "HEADER")]
    headers: Vec<String>,
    /// Send it as this connection
    #[arg(short, long, value_name = "ID")]
    connection: Option<String>,
    /// Send it as the only connection of this user
    #[arg(long, value_name = "ID")]
    user: Option<String>,
    /// Show the status and the headers of the answer too
    #[arg(short, long)]
    include: bool,
    /// Fail if the provider's status is not a success; the answer is printed all the same
    #[arg(short, long)]
    fail: bool,
}

impl Request {
    pub(crate) fn run(self, everywhere: &Everywhere) -> Result<()> {
        let body = self.body()?;
        let method =
            self.method.clone().unwrap_or_else(|| if body.is_some() { "POST" } else { "GET" }.to_owned());
        let mut headers = Vec::new();
        for header in &self.headers {
            let (name, value) = header.split_once(':').ok_or_else(|| {
                let short: String = header.escape_debug().take(40).collect();
                Error::new(ErrorKind::Usage, format!("`{short}` is no header"))
                    .hint("write it as 'NAME: VALUE'")
            })?;
            headers.push((name.trim().to_owned(), value.trim().to_owned()));
        }
        if let Some(body) = &body
            && !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"))
        {
            let is_json = serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok();
            let kind = if is_json { "application/json" } else { "application/octet-stream" };
            headers.push(("content-type".to_owned(), kind.to_owned()));
        }
        let mut engine = Engine::find(everywhere)?;
        let connection: ConnectionShown =
            only(&mut engine, &self.connector, self.connection.as_deref(), self.user.as_deref())?;
        // One slash before it means nothing; two could mean another machine, which is for whoever sends it to refuse.
        let path = self.path.strip_prefix('/').filter(|rest| !rest.starts_with('/')).unwrap_or(&self.path);
        // What an address cannot hold is written as it can; what is encoded stays as it is.
        let path: String = path
            .bytes()
            .map(|byte| {
                if byte.is_ascii_graphic() && byte != b'#' {
                    char::from(byte).to_string()
                } else {
                    format!("%{byte:02X}")
                }
            })
            .collect();
        let address = format!("/v1/connections/{}/proxy/{path}", encoded(&connection.id));
        let (include, mut status) = (self.include, 0);
        let stdout = io::stdout();
        let is_terminal = stdout.is_terminal();
        let mut last = b'\n';
        let served = engine.served()?;
        let sent = served.raw(&method, &address, &headers, body.unwrap_or_default(), |piece| {
            let mut out = stdout.lock();
            let written = match piece {
                Piece::Head(code, head) => {
                    status = code.as_u16();
                    if !include {
                        return Ok(());
                    }
                    let reason = code.canonical_reason().unwrap_or_default();
                    let mut lines = format!("{} {reason}\n", code.as_u16());
                    for (name, value) in head {
                        let value = output::one_line(&String::from_utf8_lossy(value.as_bytes()));
                        lines.push_str(&format!("{name}: {value}\n"));
                    }
                    writeln!(out, "{lines}")
                }
                Piece::Body(bytes) => {
                    last = bytes.last().copied().unwrap_or(last);
                    if is_terminal {
                        // Nothing of it may turn a terminal about.
                        let text = String::from_utf8_lossy(bytes);
                        text.split_inclusive('\n').try_for_each(|line| {
                            let (line, end) = line.strip_suffix('\n').map_or((line, ""), |line| (line, "\n"));
                            write!(out, "{}{end}", output::one_line(line))
                        })
                    } else {
                        out.write_all(bytes)
                    }
                }
            };
            written.and_then(|()| out.flush()).map_err(|error| {
                Error::new(
                    ErrorKind::NotShown,
                    format!("the answer cannot be printed: {}", system::words(&error)),
                )
            })
        });
        engine.block_on(sent)?;
        if is_terminal && last != b'\n' {
            output::say("");
        }
        if !(200..300).contains(&status) {
            output::say(&format!("the provider answered with status {status}"));
            if self.fail {
                return Err(Error::new(
                    ErrorKind::Refused,
                    format!("the provider answered with status {status}"),
                ));
            }
        }
        Ok(())
    }

    fn body(&self) -> Result<Option<Vec<u8>>> {
        let Some(data) = &self.data else { return Ok(None) };
        let cannot = |what: &str, error: io::Error| {
            Error::new(ErrorKind::Usage, format!("cannot read {what}: {}", system::words(&error)))
        };
        match data.strip_prefix('@') {
            None => Ok(Some(data.clone().into_bytes())),
            Some("-") => {
                let mut bytes = Vec::new();
                io::stdin()
                    .lock()
                    .read_to_end(&mut bytes)
                    .map_err(|error| cannot("standard input", error))?;
                Ok(Some(bytes))
            }
            Some(file) => fs::read(file).map(Some).map_err(|error| cannot(file, error)),
        }
    }
}

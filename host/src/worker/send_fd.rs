//! Passing open files over a Unix socket, so that a worker gets what it needs without being able to open anything.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};

/// How many files are passed at once at most.
const MOST: usize = 4;

/// How long what is said with them may be, in bytes.
const MAX_LEN: usize = 4096;

/// Sends files, and what is to be said with them, which is not empty.
pub(super) fn send(socket: impl AsFd, files: &[BorrowedFd<'_>], words: &[u8]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if words.is_empty() || words.len() > MAX_LEN || !control.push(SendAncillaryMessage::ScmRights(files)) {
        return Err(io::Error::other("no room for the files and what is said with them"));
    }
    // It is the first thing in the socket and small: it goes as a whole.
    let sent = sendmsg(socket, &[IoSlice::new(words)], &mut control, SendFlags::NOSIGNAL)?;
    if sent == words.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
}

/// Receives the files that the other side sends, and what came with them; waits for both.
pub(super) fn receive(socket: impl AsFd) -> io::Result<(Vec<OwnedFd>, Vec<u8>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut words = vec![0; MAX_LEN];
    let received =
        recvmsg(socket, &mut [IoSliceMut::new(&mut words)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    if received.bytes == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    words.truncate(received.bytes);
    let files = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(files) => Some(files),
        _ => None,
    });
    Ok((files.flatten().collect(), words))
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Seek, Write},
        os::unix::net::UnixStream,
    };

    use super::*;

    #[test]
    fn files_arrive_open_and_what_was_said_with_them_too() {
        let (a, b) = UnixStream::pair().unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"content").unwrap();
        file.rewind().unwrap();
        send(&a, &[file.as_fd(), b.as_fd()], b"words").unwrap();
        let (received, words) = receive(&b).unwrap();
        let mut received = received.into_iter();
        let mut text = String::new();
        std::fs::File::from(received.next().unwrap()).read_to_string(&mut text).unwrap();
        assert_eq!((text.as_str(), words.as_slice()), ("content", &b"words"[..]));
        assert!(received.next().is_some() && received.next().is_none());
        drop(received);
        drop(a);
        assert!(receive(&b).is_err());
    }
}

//! Passing one open file over a Unix socket, so that a worker gets the library without being able to open anything.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};

/// Sends a file with one byte of data, which is what carries it.
pub(super) fn send(socket: impl AsFd, file: BorrowedFd<'_>, byte: u8) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let files = [file];
    if !control.push(SendAncillaryMessage::ScmRights(&files)) {
        return Err(io::Error::other("no room for the file"));
    }
    sendmsg(socket, &[IoSlice::new(&[byte])], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Receives the file that the other side sends, and the byte that came with it; waits for both.
pub(super) fn receive(socket: impl AsFd) -> io::Result<(OwnedFd, u8)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let received = recvmsg(socket, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    if received.bytes == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let file = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut files) => files.next(),
        _ => None,
    });
    let file = file.ok_or_else(|| io::Error::other("no file came with it"))?;
    Ok((file, byte[0]))
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Seek, Write},
        os::unix::net::UnixStream,
    };

    use super::*;

    #[test]
    fn a_file_arrives_open() {
        let (a, b) = UnixStream::pair().unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"content").unwrap();
        file.rewind().unwrap();
        send(&a, file.as_fd(), 7).unwrap();
        let (received, byte) = receive(&b).unwrap();
        let mut received = std::fs::File::from(received);
        let mut text = String::new();
        received.read_to_string(&mut text).unwrap();
        assert_eq!((text.as_str(), byte), ("content", 7));
        drop(a);
        assert!(receive(&b).is_err());
    }
}

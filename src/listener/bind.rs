//! Opens listening sockets: one a data thread on TCP, so that threads never wait for each other to accept.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    os::unix::{fs::FileTypeExt as _, fs::PermissionsExt as _, net::UnixListener, net::UnixStream},
    path::Path,
};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::config::ListenAddress;

/// A bound socket, of no runtime yet.
#[derive(Debug)]
pub enum Bound {
    /// TCP.
    Tcp(TcpListener),
    /// Unix.
    Unix(UnixListener),
}

/// Binds `address` once for each of `threads`; tells the address that it became.
///
/// # Errors
///
/// Those of [`tcp`] and [`unix`].
pub fn open(address: &ListenAddress, threads: usize) -> io::Result<(Vec<Bound>, ListenAddress)> {
    match address {
        ListenAddress::Tcp(address) => {
            let sockets = tcp(*address, threads)?;
            let bound = sockets.first().map_or(Ok(*address), TcpListener::local_addr)?;
            Ok((sockets.into_iter().map(Bound::Tcp).collect(), ListenAddress::Tcp(bound)))
        }
        ListenAddress::Unix { path, mode } => {
            let socket = unix(path, *mode)?;
            let copies = (0..threads).map(|_| socket.try_clone().map(Bound::Unix)).collect::<io::Result<_>>()?;
            Ok((copies, address.clone()))
        }
    }
}

/// One socket for each of `threads`, all on `address`; port 0 picks one port for all.
///
/// Another process that listens there is an error, although sockets that share a port would not collide with it.
///
/// # Errors
///
/// Those of the system, `AddrInUse` first of all.
pub fn tcp(address: SocketAddr, threads: usize) -> io::Result<Vec<TcpListener>> {
    if address.port() != 0 {
        // Without SO_REUSEPORT: fails if anybody listens.
        let probe = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        probe.set_reuse_address(true)?;
        probe.bind(&address.into())?;
    }
    let mut sockets = Vec::with_capacity(threads);
    let mut bound = address;
    for _ in 0..threads {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&bound.into())?;
        socket.listen(BACKLOG)?;
        let socket = TcpListener::from(socket);
        bound = socket.local_addr()?;
        sockets.push(socket);
    }
    Ok(sockets)
}

/// A Unix socket at `path` with permission bits `mode`. A socket that a dead process left behind is replaced.
///
/// # Errors
///
/// Those of the system; `AddrInUse` when a process listens there or the path is no socket.
pub fn unix(path: &Path, mode: u32) -> io::Result<UnixListener> {
    if let Ok(found) = std::fs::symlink_metadata(path) {
        if !found.file_type().is_socket() || UnixStream::connect(path).is_ok() {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        std::fs::remove_file(path)?;
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    // Before it listens: nobody connects under another mode.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    socket.set_nonblocking(true)?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

const BACKLOG: i32 = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_threads_share_one_port() {
        let sockets = tcp("127.0.0.1:0".parse().unwrap(), 3).unwrap();
        let ports: Vec<u16> = sockets.iter().map(|socket| socket.local_addr().unwrap().port()).collect();
        assert_eq!(ports, [ports[0]; 3]);
    }

    #[test]
    fn a_port_that_is_taken_is_an_error() {
        let first = tcp("127.0.0.1:0".parse().unwrap(), 2).unwrap();
        let error = tcp(first[0].local_addr().unwrap(), 2).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn a_unix_socket_has_its_mode_and_replaces_a_dead_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gate.sock");
        let first = unix(&path, 0o660).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
        assert_eq!(unix(&path, 0o660).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(first);
        unix(&path, 0o600).unwrap();
    }

    #[test]
    fn a_file_that_is_no_socket_is_never_removed() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(unix(file.path(), 0o660).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        assert!(file.path().exists());
    }
}
